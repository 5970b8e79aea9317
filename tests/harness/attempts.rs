//! A transport that counts the attempts to deliver to parked peers, or masks them.

use async_trait::async_trait;
use chat_core::LeaveReason;
use chat_core::transport::{Attempt, DeliverHalf, Feed, ReceiveHalf, Transport};
use std::io;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};

/// The number of attempts to deliver, by result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AttemptCounts {
    /// The peer took everything.
    pub complete: u64,
    /// The peer took a part, or nothing.
    pub partial: u64,
    /// The peer took a part that ends within a line.
    pub within_line: u64,
    /// The connection broke.
    pub failed: u64,
    /// The transport is masked.
    pub unsupported: u64,
}

impl AttemptCounts {
    /// Adds those of another connection.
    pub fn add(&mut self, other: &Self) {
        self.complete += other.complete;
        self.partial += other.partial;
        self.within_line += other.within_line;
        self.failed += other.failed;
        self.unsupported += other.unsupported;
    }
}

/// The attempts of one connection.
#[derive(Debug)]
pub struct Attempts {
    masked: bool,
    counts: Mutex<AttemptCounts>,
    /// Whether the last attempt was complete, and nothing was delivered otherwise since.
    keeps_up: AtomicBool,
}

impl Attempts {
    /// No attempts so far. If they are masked, the transport does not support them.
    pub fn new(masked: bool) -> Arc<Self> {
        Arc::new(Self {
            masked,
            counts: Mutex::default(),
            keeps_up: AtomicBool::new(false),
        })
    }

    /// Whether the transport does not support them.
    pub fn are_masked(&self) -> bool {
        self.masked
    }

    /// The number of attempts so far.
    pub fn counts(&self) -> AttemptCounts {
        *self.counts.lock().expect("no panic under this lock")
    }

    /// Whether the half is parked, as far as the transport can tell: its last call was a complete
    /// attempt.
    pub fn keeps_up(&self) -> bool {
        self.keeps_up.load(Relaxed)
    }

    fn count(&self, count: impl FnOnce(&mut AttemptCounts)) {
        count(&mut self.counts.lock().expect("no panic under this lock"));
    }
}

/// A transport whose attempts are counted or masked; everything else is forwarded.
#[derive(Debug)]
pub struct Counted<T> {
    inner: T,
    attempts: Arc<Attempts>,
}

impl<T: Transport> Counted<T> {
    /// A transport that counts its attempts here.
    pub fn new(inner: T, attempts: Arc<Attempts>) -> Self {
        Self { inner, attempts }
    }
}

impl<T: Transport> Transport for Counted<T> {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        let (receiver, inner) = Box::new(self.inner).split();
        let half = Counted {
            inner,
            attempts: self.attempts,
        };
        (receiver, Box::new(half))
    }
}

#[async_trait]
impl DeliverHalf for Counted<Box<dyn DeliverHalf>> {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        self.attempts.keeps_up.store(false, Relaxed);
        self.inner.deliver(feed).await
    }

    fn try_deliver(&mut self, lines: &[u8]) -> io::Result<Attempt> {
        let attempt = match self.attempts.masked {
            true => Ok(Attempt::Unsupported),
            false => self.inner.try_deliver(lines),
        };
        let complete = matches!(attempt, Ok(Attempt::Complete));
        self.attempts.keeps_up.store(complete, Relaxed);
        self.attempts.count(|counts| match attempt {
            Ok(Attempt::Complete) => counts.complete += 1,
            Ok(Attempt::Partial(taken)) => {
                counts.partial += 1;
                let cut = taken > 0 && lines[taken - 1] != b'\n';
                counts.within_line += u64::from(cut);
            }
            Ok(Attempt::Unsupported) => counts.unsupported += 1,
            Err(_) => counts.failed += 1,
        });
        attempt
    }

    fn prepare(&self) {
        self.inner.prepare();
    }

    async fn close(&mut self, reason: LeaveReason) -> io::Result<()> {
        self.attempts.keeps_up.store(false, Relaxed);
        self.inner.close(reason).await
    }
}
