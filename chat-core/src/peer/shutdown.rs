//! The graceful shutdown of some of a hub's sessions.

use crate::hub::wait_list::{WaitKey, WaitList};
use crate::sync::AtomicU64;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Waker;

/// Ends all sessions that have it in their
/// [`SessionConfig::shutdown`](crate::session::SessionConfig::shutdown), and leaves their hub open
/// for others. This is a handle: clones of it are the same shutdown.
///
/// Each session ends as if the hub had been closed for its peer alone: it leaves, delivers what
/// came before that, then `* server is going down`, and closes. Its reason is
/// [`LeaveReason::Closed`](crate::LeaveReason::Closed).
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// 1 once it is triggered.
    triggered: AtomicU64,
    sessions: WaitList,
}

impl Shutdown {
    /// A shutdown that is not triggered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the sessions, those that begin later included. Does not wait for them. Does nothing the
    /// second time.
    pub fn trigger(&self) {
        self.shared.triggered.store(1, SeqCst);
        self.shared.sessions.wake_all();
    }

    /// Whether it was triggered.
    pub fn is_triggered(&self) -> bool {
        self.shared.triggered.load(SeqCst) == 1
    }
}

/// One session's place in the wait list of its shutdown.
#[derive(Debug)]
pub(crate) struct Registration {
    shutdown: Shutdown,
    key: Option<WaitKey>,
}

impl Registration {
    /// Registers a waker, which is woken once. The session must look at
    /// [`is_triggered`](Self::is_triggered) afterwards.
    pub(crate) fn new(shutdown: Shutdown, waker: &Waker) -> Self {
        let mut key = None;
        let Shared {
            triggered,
            sessions,
        } = &*shutdown.shared;
        sessions.register(&mut key, waker, triggered, 0);
        Self { shutdown, key }
    }

    pub(crate) fn is_triggered(&self) -> bool {
        self.shutdown.is_triggered()
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        self.shutdown.shared.sessions.remove(self.key.take());
    }
}

#[cfg(test)]
#[cfg(not(chat_loom))]
mod tests {
    use super::*;
    use std::task::Wake;

    struct Ignore;

    impl Wake for Ignore {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn keeps_no_waker_of_ended_session() {
        let shutdown = Shutdown::new();
        let task = Arc::new(Ignore);
        for _ in 0..2 {
            let session = Registration::new(shutdown.clone(), &task.clone().into());
            drop(session);
            assert_eq!(Arc::strong_count(&task), 1);
            shutdown.trigger();
        }
    }
}
