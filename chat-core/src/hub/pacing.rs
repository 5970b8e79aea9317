//! Backpressure: waiting for readers that are about to be overrun.

use super::shared::{Registered, Shared};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;
use tokio::time::timeout;

impl Shared {
    /// The wait for readers that are about to be overrun, if any of them has credit.
    ///
    /// Seldom, so it is boxed: a session that never waits has no room for it.
    pub(crate) fn pace(&self) -> Option<Pin<Box<impl Future<Output = ()>>>> {
        if self.config().patience.is_zero() || !self.lock().is_crowded() {
            return None;
        }
        Some(Box::pin(async {
            let mut pacer = Pacer::new(self);
            if timeout(self.config().patience, pacer.room()).await.is_err() {
                self.give_up_on_slow_readers();
            }
        }))
    }

    /// They were waited for long enough: the other sessions that wait go on, too.
    fn give_up_on_slow_readers(&self) {
        self.lock().give_up_on_slow_readers();
        self.room.fetch_add(1, SeqCst);
        self.pacing.wake_all();
    }
}

/// A session that waits for room in the log.
struct Pacer<'a> {
    shared: &'a Shared,
    registered: Registered<'a>,
}

impl<'a> Pacer<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.lock().pacing += 1;
        Self {
            shared,
            registered: Registered::new(&shared.pacing),
        }
    }

    async fn room(&mut self) {
        let shared = self.shared;
        poll_fn(|cx| {
            loop {
                let seen = shared.room.load(SeqCst);
                if !shared.lock().is_crowded() {
                    return Poll::Ready(());
                }
                let key = &mut self.registered.key;
                if shared.pacing.register(key, cx.waker(), &shared.room, seen) {
                    return Poll::Pending;
                }
            }
        })
        .await;
    }
}

impl Drop for Pacer<'_> {
    fn drop(&mut self) {
        self.shared.lock().pacing -= 1;
    }
}
