//! What stands between a session and the transport under test, and takes notes.

use crate::transport::{DeliverHalf, Feed, Inbox, ReceiveHalf, Received, Transport};
use crate::types::event::LeaveReason;
use async_trait::async_trait;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use tokio::sync::watch;

/// More polls than any check needs while the peer takes nothing. A transport that spins would
/// not let a paused clock move on, so that no deadline could end it.
const TOO_MANY_POLLS: u64 = 500_000;

/// What a session does with the transport under test.
#[derive(Debug)]
pub(super) struct Notes {
    /// How often either half was polled.
    polls: AtomicU64,
    /// The same, since the peer last took something.
    in_vain: AtomicU64,
    /// Whether it was too often.
    broken_off: AtomicBool,
    /// Bytes that were taken from the feed.
    taken: AtomicU64,
    /// In how many pieces at most, in one call.
    pieces: AtomicU64,
    /// Whether the receiving half may be called.
    gate: watch::Sender<bool>,
}

impl Notes {
    pub(super) fn new() -> Self {
        Self {
            polls: AtomicU64::new(0),
            in_vain: AtomicU64::new(0),
            broken_off: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            pieces: AtomicU64::new(0),
            gate: watch::Sender::new(true),
        }
    }

    pub(super) fn polls(&self) -> u64 {
        self.polls.load(Relaxed)
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    pub(super) fn pieces(&self) -> u64 {
        self.pieces.load(Relaxed)
    }

    pub(super) fn broken_off(&self) -> Option<String> {
        let why = format!(
            "the halves were polled {TOO_MANY_POLLS} times while the peer took nothing, and were \
             broken off"
        );
        self.broken_off.load(Relaxed).then_some(why)
    }

    /// From now on the session waits before it receives more, or no longer.
    pub(super) fn let_receive(&self, may: bool) {
        self.gate.send_replace(may);
    }

    fn poll<T>(
        &self,
        call: Pin<&mut (impl Future<Output = io::Result<T>> + ?Sized)>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        self.polls.fetch_add(1, Relaxed);
        if self.in_vain.fetch_add(1, Relaxed) > TOO_MANY_POLLS {
            self.broken_off.store(true, Relaxed);
            return Poll::Ready(Err(io::Error::other("polled too often")));
        }
        call.poll(cx)
    }

    /// So many bytes were taken in all. Says whether that is news.
    fn has_taken(&self, bytes: u64) -> bool {
        let more = self.taken.swap(bytes, Relaxed) < bytes;
        if more {
            self.in_vain.store(0, Relaxed);
        }
        more
    }
}

/// The transport under test, watched.
pub(super) struct Spied {
    pub(super) transport: Box<dyn Transport>,
    pub(super) notes: Arc<Notes>,
}

impl Transport for Spied {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        let (source, sink) = self.transport.split();
        let notes = self.notes.clone();
        (
            Box::new(Receiving { source, notes }),
            Box::new(Delivering {
                sink,
                notes: self.notes,
            }),
        )
    }
}

struct Receiving {
    source: Box<dyn ReceiveHalf>,
    notes: Arc<Notes>,
}

#[async_trait]
impl ReceiveHalf for Receiving {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        let mut gate = self.notes.gate.subscribe();
        // The notes hold the other end.
        let _ = gate.wait_for(|open| *open).await;
        let mut call = self.source.receive(inbox);
        poll_fn(|cx| self.notes.poll(call.as_mut(), cx)).await
    }
}

struct Delivering {
    sink: Box<dyn DeliverHalf>,
    notes: Arc<Notes>,
}

#[async_trait]
impl DeliverHalf for Delivering {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        let meter = feed.meter();
        let mut pieces = 0;
        let mut call = self.sink.deliver(feed);
        poll_fn(|cx| {
            let polled = self.notes.poll(call.as_mut(), cx);
            pieces += u64::from(self.notes.has_taken(meter.taken()));
            self.notes.pieces.fetch_max(pieces, Relaxed);
            polled
        })
        .await
    }

    async fn close(&mut self, reason: LeaveReason) -> io::Result<()> {
        let mut call = self.sink.close(reason);
        poll_fn(|cx| self.notes.poll(call.as_mut(), cx)).await
    }
}
