//! The wait list alone: a registered waker is woken, whatever other threads register and remove.

use super::{block_on, check};
use crate::hub::wait_list::{WaitKey, WaitList};
use crate::sync::AtomicU64;
use loom::thread::{JoinHandle, spawn};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Poll, Waker};

/// A wait list, and the version that its readers compare.
#[derive(Default)]
struct Versioned {
    list: WaitList,
    version: AtomicU64,
}

impl Versioned {
    /// As the hub does when it has changed.
    fn change(&self) {
        self.version.fetch_add(1, SeqCst);
        self.list.wake_all();
    }

    fn register(&self, key: &mut Option<WaitKey>, waker: &Waker, seen: u64) -> bool {
        self.list.register(key, waker, &self.version, seen)
    }

    /// As a member does that reads everything there is.
    fn wait_for(&self, version: u64) {
        let (mut key, mut seen) = (None, 0);
        while seen < version {
            block_on(poll_fn(|cx| {
                match self.register(&mut key, cx.waker(), seen) {
                    true => Poll::Pending,
                    false => Poll::Ready(()),
                }
            }));
            seen = self.version.load(SeqCst);
        }
        self.list.remove(key);
    }

    fn spawn_changes(self: &Arc<Self>, times: u64) -> JoinHandle<()> {
        let shared = self.clone();
        spawn(move || (0..times).for_each(|_| shared.change()))
    }

    fn spawn_wait(self: &Arc<Self>, version: u64) -> JoinHandle<()> {
        let shared = self.clone();
        spawn(move || shared.wait_for(version))
    }
}

mod wake_all {
    use super::*;

    #[test]
    fn two_publishers_reach_two_readers() {
        check(2, || {
            let shared = Arc::new(Versioned::default());
            let others = [
                shared.spawn_changes(1),
                shared.spawn_changes(1),
                shared.spawn_wait(2),
            ];
            shared.wait_for(2);
            for thread in others {
                thread.join().unwrap();
            }
        });
    }

    #[test]
    fn reaches_readers_that_register_again() {
        check(3, || {
            let shared = Arc::new(Versioned::default());
            let others = [shared.spawn_changes(2), shared.spawn_wait(2)];
            shared.wait_for(2);
            for thread in others {
                thread.join().unwrap();
            }
        });
    }

    #[test]
    fn wakes_the_last_waker() {
        check(3, || {
            let shared = Arc::new(Versioned::default());
            let other = shared.spawn_changes(1);
            let mut key = None;
            block_on(poll_fn(|cx| {
                // As if another task had polled it before.
                let waits = shared.register(&mut key, Waker::noop(), 0);
                match waits && shared.register(&mut key, cx.waker(), 0) {
                    true => Poll::Pending,
                    false => Poll::Ready(()),
                }
            }));
            other.join().unwrap();
        });
    }
}

mod remove {
    use super::*;

    #[test]
    fn leaves_other_wakers_registered() {
        check(3, || {
            let shared = Arc::new(Versioned::default());
            let publisher = shared.spawn_changes(2);
            let remover = spawn({
                let shared = shared.clone();
                move || {
                    for _ in 0..2 {
                        let mut key = None;
                        let seen = shared.version.load(SeqCst);
                        shared.register(&mut key, Waker::noop(), seen);
                        shared.list.remove(key);
                    }
                }
            });
            shared.wait_for(2);
            publisher.join().unwrap();
            remover.join().unwrap();
        });
    }
}
