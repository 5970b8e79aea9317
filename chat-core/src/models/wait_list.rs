//! The wake-up protocol alone: who waits is rung, whoever else comes and goes.

use super::{block_on, check};
use crate::hub::wait_list::{Bell, Ticket};
use crate::sync::AtomicU64;
use loom::thread::{JoinHandle, spawn};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Poll, Waker};

/// A bell, and the number that says whether there is news.
#[derive(Default)]
struct News {
    bell: Bell,
    version: AtomicU64,
}

impl News {
    /// As the hub does when it has changed.
    fn tell(&self) {
        self.version.fetch_add(1, SeqCst);
        self.bell.ring();
    }

    fn wait(&self, ticket: &mut Option<Ticket>, waker: &Waker, seen: u64) -> bool {
        self.bell.wait(ticket, waker, &self.version, seen)
    }

    /// As a member does that reads whatever there is.
    fn wait_for(&self, version: u64) {
        let (mut ticket, mut seen) = (None, 0);
        while seen < version {
            block_on(poll_fn(|cx| {
                match self.wait(&mut ticket, cx.waker(), seen) {
                    true => Poll::Pending,
                    false => Poll::Ready(()),
                }
            }));
            seen = self.version.load(SeqCst);
        }
        self.bell.forget(ticket);
    }

    fn telling(self: &Arc<Self>, times: u64) -> JoinHandle<()> {
        let news = self.clone();
        spawn(move || (0..times).for_each(|_| news.tell()))
    }

    fn waiting(self: &Arc<Self>, version: u64) -> JoinHandle<()> {
        let news = self.clone();
        spawn(move || news.wait_for(version))
    }
}

#[test]
fn two_who_wait_are_rung_by_two() {
    check(2, || {
        let news = Arc::new(News::default());
        let others = [news.telling(1), news.telling(1), news.waiting(2)];
        news.wait_for(2);
        for thread in others {
            thread.join().unwrap();
        }
    });
}

#[test]
fn two_who_wait_are_rung_again() {
    check(3, || {
        let news = Arc::new(News::default());
        let others = [news.telling(2), news.waiting(2)];
        news.wait_for(2);
        for thread in others {
            thread.join().unwrap();
        }
    });
}

#[test]
fn the_waker_given_last_is_woken() {
    check(3, || {
        let news = Arc::new(News::default());
        let other = news.telling(1);
        let mut ticket = None;
        block_on(poll_fn(|cx| {
            // As if it was polled for another reason, by another task.
            let waits = news.wait(&mut ticket, Waker::noop(), 0);
            match waits && news.wait(&mut ticket, cx.waker(), 0) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        }));
        other.join().unwrap();
    });
}

#[test]
fn who_goes_away_takes_nobody_along() {
    check(3, || {
        let news = Arc::new(News::default());
        let teller = news.telling(2);
        let quitter = spawn({
            let news = news.clone();
            move || {
                for _ in 0..2 {
                    let mut ticket = None;
                    let seen = news.version.load(SeqCst);
                    news.wait(&mut ticket, Waker::noop(), seen);
                    news.bell.forget(ticket);
                }
            }
        });
        news.wait_for(2);
        teller.join().unwrap();
        quitter.join().unwrap();
    });
}
