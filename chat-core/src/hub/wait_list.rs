//! Wait lists: the wakers of readers that have nothing to read.
//!
//! Members are spread over several lists, so that members that register on different threads do not
//! contend for one lock. No wake-up is lost: a member registers its waker and then checks the hub's
//! version again; a publisher changes the version and then checks for registered wakers. So one of
//! the two sees the other.

use crate::panics::contain;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard};
use std::mem;
use std::num::NonZeroU64;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Waker;

/// A waker's place in a list, valid until the list is next woken.
#[derive(Debug)]
pub(crate) struct WaitKey {
    /// One more than `List::round`, so that a session has room for the key where it has none.
    round: NonZeroU64,
    at: u32,
}

impl WaitKey {
    fn new(round: u64, at: usize) -> Self {
        let at = u32::try_from(at).expect("fewer than 2^32 wakers at a time");
        let round = NonZeroU64::MIN.saturating_add(round);
        Self { round, at }
    }

    /// The place, if the list was not woken since.
    fn at(&self, round: u64) -> Option<usize> {
        (self.round.get() - 1 == round).then_some(self.at as usize)
    }
}

#[derive(Debug, Default)]
struct List {
    /// How often the list was woken.
    round: u64,
    wakers: Vec<Waker>,
    /// Places of wakers that were removed.
    free: Vec<usize>,
    /// The emptied list of the last round, so that waking allocates nothing.
    spare: Vec<Waker>,
}

/// One list, alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct WaitList {
    list: Mutex<List>,
    /// Whether a waker may be registered. Changed under the lock, so that waking an empty list
    /// takes none.
    waiting: AtomicBool,
}

impl WaitList {
    fn lock(&self) -> MutexGuard<'_, List> {
        // No foreign code runs under this lock, so a panic leaves the list whole.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers the waker until the list is next woken, unless `version` is no longer `seen`:
    /// then gives `false`.
    pub(crate) fn register(
        &self,
        key: &mut Option<WaitKey>,
        waker: &Waker,
        version: &AtomicU64,
        seen: u64,
    ) -> bool {
        // Cheap, and how every second call ends.
        if version.load(SeqCst) != seen {
            return false;
        }
        // Cloning and dropping a waker is foreign code, so neither happens under the lock.
        let mut waker = waker.clone();
        let replaced;
        {
            let mut list = self.lock();
            self.waiting.store(true, SeqCst);
            if version.load(SeqCst) != seen {
                drop(list);
                return false;
            }
            let List {
                round,
                wakers,
                free,
                ..
            } = &mut *list;
            match key.as_ref().and_then(|key| key.at(*round)) {
                Some(at) => {
                    mem::swap(&mut wakers[at], &mut waker);
                    replaced = Some(waker);
                }
                None => {
                    let at = free.pop().unwrap_or(wakers.len());
                    if at < wakers.len() {
                        mem::swap(&mut wakers[at], &mut waker);
                        replaced = Some(waker);
                    } else {
                        wakers.push(waker);
                        replaced = None;
                    }
                    *key = Some(WaitKey::new(*round, at));
                }
            }
        }
        drop(replaced);
        true
    }

    /// Removes the waker that was registered under this key.
    pub(crate) fn remove(&self, key: Option<WaitKey>) {
        let Some(key) = key else { return };
        let mut waker = Waker::noop().clone();
        let mut list = self.lock();
        if let Some(at) = key.at(list.round) {
            mem::swap(&mut list.wakers[at], &mut waker);
            list.free.push(at);
        }
        drop(list);
        drop(waker);
    }

    /// Wakes all registered wakers. A waker that panics does not keep the others from being woken,
    /// nor does its panic reach the caller, whose change has been made.
    pub(crate) fn wake_all(&self) {
        if !self.waiting.load(SeqCst) {
            return;
        }
        let mut wakers = {
            let mut list = self.lock();
            self.waiting.store(false, SeqCst);
            if list.wakers.is_empty() {
                return;
            }
            list.round += 1;
            list.free.clear();
            let spare = mem::take(&mut list.spare);
            mem::replace(&mut list.wakers, spare)
        };
        for waker in wakers.drain(..) {
            contain("a waker", || waker.wake());
        }
        let mut list = self.lock();
        if list.spare.capacity() < wakers.capacity() {
            mem::swap(&mut list.spare, &mut wakers);
        }
        drop(list);
    }
}

#[cfg(test)]
#[cfg(not(chat_loom))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::AtomicUsize;
    use std::task::Wake;

    struct Count(AtomicUsize);
    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("as the test wants");
        }
    }

    mod register {
        use super::*;

        #[test]
        fn lasts_for_one_round() {
            let list = WaitList::default();
            let (count, version) = (Arc::new(Count(0.into())), AtomicU64::new(7));
            let waker = count.clone().into();
            let mut key = None;
            assert!(!list.register(&mut key, &waker, &version, 6), "it changed");
            for _ in 0..3 {
                assert!(list.register(&mut key, &waker, &version, 7));
            }
            assert_eq!(list.lock().wakers.len(), 1);
            list.wake_all();
            list.wake_all();
            assert_eq!(count.0.load(SeqCst), 1);
            assert!(list.register(&mut key, &waker, &version, 7));
            list.wake_all();
            assert_eq!(count.0.load(SeqCst), 2);
            drop(waker);
            assert_eq!(Arc::strong_count(&count), 1, "a woken waker is dropped");
        }
    }

    mod remove {
        use super::*;

        #[test]
        fn drops_the_waker() {
            let list = WaitList::default();
            let (count, version) = (Arc::new(Count(0.into())), AtomicU64::new(0));
            let waker = count.clone().into();
            for _ in 0..1000 {
                let mut key = None;
                assert!(list.register(&mut key, &waker, &version, 0));
                list.remove(key);
            }
            assert_eq!(list.lock().wakers.len(), 1);
            list.wake_all();
            assert_eq!(count.0.load(SeqCst), 0);
            drop(waker);
            assert_eq!(Arc::strong_count(&count), 1, "no waker is kept");
        }
    }

    mod wake_all {
        use super::*;

        #[test]
        fn survives_a_panicking_waker() {
            let list = WaitList::default();
            let (count, version) = (Arc::new(Count(0.into())), AtomicU64::new(0));
            let (good, bad) = (count.clone().into(), Arc::new(Panics).into());
            let mut keys = [const { None }; 3];
            for (key, waker) in keys.iter_mut().zip([&good, &bad, &good]) {
                assert!(list.register(key, waker, &version, 0));
            }
            list.wake_all();
            assert_eq!(count.0.load(SeqCst), 2);
        }
    }
}
