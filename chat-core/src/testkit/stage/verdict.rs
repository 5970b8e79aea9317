//! What a step of a check comes to.

use crate::types::event::LeaveReason;
use std::io;
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// Why a check ends early.
#[derive(Debug)]
pub(in crate::testkit) enum Stop {
    /// A rule was broken, as was seen from this.
    Broken(String),
    /// The remote cannot do what it takes.
    Cannot(String),
}

pub(in crate::testkit) type Verdict<T = ()> = Result<T, Stop>;

pub(in crate::testkit) fn broken<T>(what: impl Into<String>) -> Verdict<T> {
    Err(Stop::Broken(what.into()))
}

/// Until when a check has to be over.
#[derive(Clone, Copy, Debug)]
pub(in crate::testkit) struct Deadline {
    pub(super) at: Instant,
    /// How long after its beginning that is.
    pub(super) limit: Duration,
}

impl Deadline {
    pub(super) fn after(limit: Duration) -> Self {
        Self {
            at: Instant::now() + limit,
            limit,
        }
    }

    /// What comes of this work, which is `what` is waited for.
    pub(in crate::testkit) async fn meet<T>(
        self,
        what: impl FnOnce() -> String,
        work: impl Future<Output = T>,
    ) -> Verdict<T> {
        let done = timeout_at(self.at, work).await;
        done.map_err(|_| Stop::Broken(format!("{}, in vain for {:?}", what(), self.limit)))
    }
}

/// The session ended, or the peer left, for another reason than these.
pub(super) fn wrong_end(reason: LeaveReason, reasons: &[LeaveReason]) -> Verdict {
    broken(format!(
        "it was taken for a peer that {reason}, not one that {}",
        reasons[0]
    ))
}

/// What a call of the remote came to that failed.
pub(super) fn failed(call: &str, error: &io::Error) -> Stop {
    match error.kind() {
        io::ErrorKind::Unsupported => Stop::Cannot(format!("the remote has no `{call}`")),
        _ => Stop::Broken(format!("the remote failed to {call}: {error}")),
    }
}

/// A line as it is shown: a long one in part.
pub(in crate::testkit) fn show(line: &str) -> String {
    let shown: String = line.chars().take(60).collect();
    match shown.len() < line.len() {
        true => format!("{shown:?}… ({} bytes)", line.len()),
        false => format!("{shown:?}"),
    }
}
