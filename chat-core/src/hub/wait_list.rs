//! Waking the members that wait for news.
//!
//! Members are spread over several lists of wakers, so that those who go to sleep on
//! different threads do not queue at one lock. No wake-up is lost: a member says that it waits
//! and then looks at the hub's version again, a publisher changes the version and then looks
//! who waits; so one of them sees the other.

use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard};
use std::mem;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Waker;

/// A member's place in its list, good for one ringing.
#[derive(Debug)]
pub(crate) struct Ticket {
    ringing: u64,
    at: usize,
}

#[derive(Debug, Default)]
struct List {
    /// How often it was rung.
    ringing: u64,
    wakers: Vec<Waker>,
    /// Places of members that no longer wait.
    free: Vec<usize>,
    /// The emptied list of the last ringing, so that ringing allocates nothing.
    spare: Vec<Waker>,
}

/// One list, alone on its cache lines.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(crate) struct Bell {
    list: Mutex<List>,
    /// Whether somebody may wait. Changed under the lock, so that ringing for nobody needs none.
    waiting: AtomicBool,
}

impl Bell {
    fn lock(&self) -> MutexGuard<'_, List> {
        // No foreign code runs under this lock, so whatever panicked left it whole.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the next ringing, unless `version` is no longer `seen`: then gives `false`.
    pub(crate) fn wait(
        &self,
        ticket: &mut Option<Ticket>,
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
                return false;
            }
            let List {
                ringing,
                wakers,
                free,
                ..
            } = &mut *list;
            match ticket {
                Some(ticket) if ticket.ringing == *ringing => {
                    mem::swap(&mut wakers[ticket.at], &mut waker);
                    replaced = Some(waker);
                }
                _ => {
                    let at = free.pop().unwrap_or(wakers.len());
                    if at < wakers.len() {
                        mem::swap(&mut wakers[at], &mut waker);
                        replaced = Some(waker);
                    } else {
                        wakers.push(waker);
                        replaced = None;
                    }
                    *ticket = Some(Ticket {
                        ringing: *ringing,
                        at,
                    });
                }
            }
        }
        drop(replaced);
        true
    }

    /// The member no longer waits.
    pub(crate) fn forget(&self, ticket: Option<Ticket>) {
        let Some(ticket) = ticket else { return };
        let mut waker = Waker::noop().clone();
        let mut list = self.lock();
        if ticket.ringing == list.ringing {
            mem::swap(&mut list.wakers[ticket.at], &mut waker);
            list.free.push(ticket.at);
        }
        drop(list);
        drop(waker);
    }

    /// Wakes everyone who waits.
    pub(crate) fn ring(&self) {
        if !self.waiting.load(SeqCst) {
            return;
        }
        let mut wakers = {
            let mut list = self.lock();
            self.waiting.store(false, SeqCst);
            if list.wakers.is_empty() {
                return;
            }
            list.ringing += 1;
            list.free.clear();
            let spare = mem::take(&mut list.spare);
            mem::replace(&mut list.wakers, spare)
        };
        wakers.drain(..).for_each(Waker::wake);
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

    #[test]
    fn waits_for_one_ringing_however_often_it_asks() {
        let bell = Bell::default();
        let (count, version) = (Arc::new(Count(0.into())), AtomicU64::new(7));
        let waker = count.clone().into();
        let mut ticket = None;
        assert!(
            !bell.wait(&mut ticket, &waker, &version, 6),
            "there is news"
        );
        for _ in 0..3 {
            assert!(bell.wait(&mut ticket, &waker, &version, 7));
        }
        assert_eq!(bell.lock().wakers.len(), 1);
        bell.ring();
        bell.ring();
        assert_eq!(count.0.load(SeqCst), 1);
        assert!(bell.wait(&mut ticket, &waker, &version, 7));
        bell.ring();
        assert_eq!(count.0.load(SeqCst), 2);
        drop(waker);
        assert_eq!(Arc::strong_count(&count), 1, "who was woken is forgotten");
    }

    #[test]
    fn who_went_away_is_not_woken_and_leaves_no_trace() {
        let bell = Bell::default();
        let (count, version) = (Arc::new(Count(0.into())), AtomicU64::new(0));
        let waker = count.clone().into();
        for _ in 0..1000 {
            let mut ticket = None;
            assert!(bell.wait(&mut ticket, &waker, &version, 0));
            bell.forget(ticket);
        }
        assert_eq!(bell.lock().wakers.len(), 1);
        bell.ring();
        assert_eq!(count.0.load(SeqCst), 0);
        drop(waker);
        assert_eq!(Arc::strong_count(&count), 1, "no waker is kept");
    }
}
