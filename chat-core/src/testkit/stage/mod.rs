//! Where a check is played: a hub, a witness in it, and one peer over the transport under test.

mod peer;
mod verdict;
mod witness;

pub(in crate::testkit) use verdict::{Deadline, Stop, Verdict, broken, show};

use super::remote::Remote;
use super::spy::{Notes, Spied};
use crate::hub::Hub;
use crate::hub::member::Member;
use crate::session::{self, SessionConfig};
use crate::transport::Transport;
use crate::types::config::HubConfig;
use crate::types::errors::JoinError;
use crate::types::event::LeaveReason;
use crate::types::name::Name;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::{Instant, sleep};
use verdict::wrong_end;

/// What the peer is called, and the member who sees what others see.
const PEER: &str = "testkit:1";
const WITNESS: &str = "witness";

/// Longer than any check: what waits for this waits in vain.
pub(in crate::testkit) const FOREVER: Duration = Duration::from_secs(24 * 3600);

/// More than the buffers between two ends of a connection hold, on any system.
pub(in crate::testkit) const AHEAD: u64 = 32 << 20;

/// Who has not moved for so many milliseconds is taken to be stuck. It may be wrong about one
/// that is slow: then a check looks at less, but does not fail.
const STUCK_MS: u32 = 20;

pub(in crate::testkit) struct Stage {
    pub(in crate::testkit) hub: Hub,
    pub(in crate::testkit) notes: Arc<Notes>,
    witness: Member,
    /// None when it has hung up.
    remote: Option<Box<dyn Remote>>,
    /// What came from the hub, of which `read` bytes were looked at.
    heard: Vec<u8>,
    read: usize,
    /// Bytes of lines that the witness has said.
    told: u64,
    session: Option<JoinHandle<Result<LeaveReason, JoinError>>>,
    abort: AbortHandle,
    deadline: Deadline,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.abort.abort();
    }
}

impl Stage {
    /// A stage on which nothing has happened. The peer is neither idled out nor cut, and is waited
    /// for at the end, unless `change` says otherwise.
    pub(in crate::testkit) fn new(
        transport: Box<dyn Transport>,
        remote: Box<dyn Remote>,
        limit: Duration,
        change: impl FnOnce(&mut HubConfig, &mut SessionConfig),
    ) -> Self {
        let (mut hub, mut config) = (HubConfig::default(), SessionConfig::default());
        hub.patience = Duration::ZERO;
        config.idle_timeout = None;
        config.stall_timeout = FOREVER;
        config.linger = FOREVER;
        change(&mut hub, &mut config);
        let hub = Hub::new(hub);
        let witness = WITNESS.parse().expect("a name that can be chosen");
        let witness = hub.join(witness).expect("the hub is new");
        let notes = Arc::new(Notes::new());
        let transport = Spied {
            transport,
            notes: notes.clone(),
        };
        let name = Name::assigned(PEER).expect("a colon, but not at its end");
        let session = tokio::spawn(session::run(&hub, name, transport, &config));
        Self {
            hub,
            notes,
            witness,
            remote: Some(remote),
            heard: Vec::new(),
            read: 0,
            told: 0,
            abort: session.abort_handle(),
            session: Some(session),
            deadline: Deadline::after(limit),
        }
    }

    /// The peer arrives, is greeted, and the witness hears of it.
    pub(in crate::testkit) async fn greet(&mut self) -> Verdict {
        self.peer_hears(&format!("You are {PEER}")).await?;
        self.peer_hears(&format!("Here now: {WITNESS}")).await?;
        self.all_hear(&format!("{PEER} has arrived")).await
    }

    pub(in crate::testkit) fn deadline(&self) -> Deadline {
        self.deadline
    }

    /// For what waits in steps: whether there is time for another.
    pub(in crate::testkit) fn check_deadline(&self, what: impl FnOnce() -> String) -> Verdict {
        match Instant::now() < self.deadline.at {
            true => Ok(()),
            false => broken(format!("{}, after {:?}", what(), self.deadline.limit)),
        }
    }

    /// Waits until the peer has taken what it was told, or is stuck.
    pub(in crate::testkit) async fn settle(&mut self) {
        let mut stuck = 0;
        loop {
            let before = self.notes.taken();
            sleep(Duration::from_millis(1)).await;
            let now = self.notes.taken();
            stuck = if now == before { stuck + 1 } else { 0 };
            // The greeting is in what it took, so this may be a few bytes early.
            if stuck == STUCK_MS || now >= self.told || self.has_ended() {
                return;
            }
        }
    }

    pub(in crate::testkit) fn has_ended(&self) -> bool {
        self.session.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Drops the session, as a program does that is in a hurry to end.
    pub(in crate::testkit) fn drop_session(&mut self) {
        self.abort.abort();
    }

    /// The session ends, for one of these reasons.
    pub(in crate::testkit) async fn session_ends(&mut self, reasons: &[LeaveReason]) -> Verdict {
        let Some(session) = self.session.as_mut() else {
            return broken("the session has ended before");
        };
        let what = || "the session is waited for, which has no reason to go on".into();
        let deadline = self.deadline;
        let ended = deadline.meet(what, session).await?;
        self.session = None;
        match ended {
            Ok(Ok(reason)) if reasons.contains(&reason) => Ok(()),
            Ok(Ok(reason)) => wrong_end(reason, reasons),
            Ok(Err(error)) => broken(format!("the peer could not join: {error}")),
            Err(error) => broken(format!("the transport failed: {error}")),
        }
    }

    /// Adds to what was seen what only the stage knows.
    pub(in crate::testkit) async fn conclude(&mut self, verdict: Verdict) -> Verdict {
        let mut seen = match (verdict, self.notes.broken_off()) {
            (Err(Stop::Broken(seen)), None) => seen,
            (Err(Stop::Broken(seen)), Some(why)) => format!("{why}; {seen}"),
            (_, Some(why)) => why,
            (other, None) => return other,
        };
        if let Some(session) = self.session.take().filter(JoinHandle::is_finished) {
            match session.await {
                Ok(Ok(reason)) => seen += &format!("; the session had ended, the peer {reason}"),
                Ok(Err(error)) => seen += &format!("; the peer could not join: {error}"),
                Err(error) => seen += &format!("; the transport failed: {error}"),
            }
        }
        broken(seen)
    }
}
