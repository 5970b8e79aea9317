//! Conformance checks for a [`Transport`] of your own.
//!
//! Enable the feature `testkit` in your dev-dependencies. One call runs every [`Check`], each over
//! its own connection between the transport and a [`Remote`], which is the peer's end:
//!
//! ```
//! use chat_core::testkit::{self, Check, Stream};
//! use chat_core::transport::memory;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let report = testkit::check(async || {
//!     let (transport, peer) = memory::pair(256);
//!     Ok((transport, Stream::new(peer)))
//! })
//! .await;
//! // In memory, a reset cannot be distinguished from a graceful end.
//! report.assert_passed_but(&[Check::Reset]);
//! # }
//! ```
//!
//! The checks find defects that are hard to see otherwise: bytes lost or repeated after a short
//! write, one half waiting for the other, lines missing after a half-close, a backlog discarded by
//! a close. Small buffers find more: let the connection hold some hundred bytes if you can, or as
//! little as the system allows. A real socket needs real time; in memory, time can be paused.
//!
//! # Attempts to deliver
//!
//! A session delivers in two ways to a transport that implements the optional
//! [`try_deliver`](crate::transport::DeliverHalf::try_deliver). So each check runs over a second
//! connection, on which `try_deliver` is masked: the session is told [`Attempt::Unsupported`], and
//! calls `deliver` for everything. The evidence of a failure there begins with ``without
//! `try_deliver` ``. There is no second run of a check without attempts, nor of the four checks that
//! need them. Those are [not applicable](Outcome::NotApplicable) to a transport that does not
//! implement the method. If yours does, assert that [`Report::not_applicable`] is empty: a wrapper
//! that does not forward the method is only slower, and no check fails for it.
//!
//! # Time
//!
//! The checks need a tokio runtime with time enabled. All together take about five seconds, or one
//! if time is paused. One that fails can take up to [`Suite::deadline`]. Attempts are made on a
//! thread of their own, so one that blocks its thread fails its check at the deadline, in real time.
//! A transport that blocks its thread in another call blocks the checks, too.
//!
//! [`Attempt::Unsupported`]: crate::transport::Attempt::Unsupported

mod check;
mod checks;
mod fixture;
mod probe;
mod remote;
mod report;
mod watchdog;

pub use check::Check;
pub use remote::{Remote, Stream};
pub use report::{Outcome, Report};

use crate::transport::Transport;
use std::io;
use std::time::Duration;
use tokio::time::timeout;

/// Runs every check over a connection that `connect` makes for it; see the [module](self).
///
/// `connect` is a closure, or the name of a plain `async fn connect() -> io::Result<(T, R)>`.
///
/// A failed check does not stop the others. The report also contains the errors of `connect`.
pub async fn check<T: Transport, R: Remote>(
    connect: impl AsyncFnMut() -> io::Result<(T, R)>,
) -> Report {
    Suite::default().check(connect).await
}

/// A selection of checks, and their deadline.
///
/// ```
/// # use chat_core::testkit::{Check, Stream, Suite};
/// # use chat_core::transport::memory;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let one = Suite::default().only(&[Check::HalfClose]);
/// let report = one.check(async || {
///     let (transport, peer) = memory::pair(256);
///     Ok((transport, Stream::new(peer)))
/// });
/// report.await.assert_passed_but(&[]);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Suite {
    checks: Vec<Check>,
    deadline: Duration,
}

impl Default for Suite {
    fn default() -> Self {
        Self {
            checks: Check::ALL.into(),
            deadline: Duration::from_secs(10),
        }
    }
}

impl Suite {
    /// Selects these checks and no others.
    #[must_use]
    pub fn only(mut self, checks: &[Check]) -> Self {
        self.checks = checks.into();
        self
    }

    /// Sets how long one run of a check may take, and one attempt to deliver in real time; default
    /// 10 s. A check that passes takes far less, unless the connection is slow.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs the selected checks, as [`check`](check()) runs all.
    pub async fn check<T: Transport, R: Remote>(
        &self,
        mut connect: impl AsyncFnMut() -> io::Result<(T, R)>,
    ) -> Report {
        let mut outcomes = Vec::new();
        for &check in &self.checks {
            let (mut outcome, has_attempts) = self.run(check, &mut connect, false).await;
            if has_attempts && outcome == Outcome::Passed && !check.needs_attempts() {
                outcome = self.run(check, &mut connect, true).await.0;
                if let Outcome::Failed(evidence) = &mut outcome {
                    evidence.insert_str(0, "without `try_deliver`: ");
                }
            }
            outcomes.push((check, outcome));
        }
        Report { outcomes }
    }

    /// Runs a check over a connection of its own; see [`checks::run`].
    async fn run<T: Transport, R: Remote>(
        &self,
        check: Check,
        connect: &mut impl AsyncFnMut() -> io::Result<(T, R)>,
        masks_attempts: bool,
    ) -> (Outcome, bool) {
        let failed = match timeout(self.deadline, connect()).await {
            Ok(Ok((transport, remote))) => {
                let (transport, remote) = (Box::new(transport), Box::new(remote));
                return checks::run(check, transport, remote, masks_attempts, self.deadline).await;
            }
            Ok(Err(error)) => error.to_string(),
            Err(elapsed) => elapsed.to_string(),
        };
        (Outcome::Failed(format!("cannot connect: {failed}")), false)
    }
}
