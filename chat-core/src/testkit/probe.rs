//! A wrapper around the transport under test, which counts and controls the session's calls.

use crate::transport::{Attempt, DeliverHalf, Feed, Inbox, ReceiveHalf, Received, Transport};
use crate::types::event::LeaveReason;
use async_trait::async_trait;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll};
use tokio::sync::watch;

/// More polls than any check needs while the peer takes nothing. A transport that polls in a busy
/// loop keeps a paused clock from advancing, so no deadline could end it.
const MAX_POLLS_WITHOUT_PROGRESS: u64 = 500_000;

/// The counters of one transport, shared with the check.
#[derive(Debug)]
pub(super) struct Probe {
    /// Polls of either half.
    polls: AtomicU64,
    /// Polls since bytes were last taken from the feed.
    polls_without_progress: AtomicU64,
    /// Whether a half was polled too often and was made to fail.
    is_aborted: AtomicBool,
    /// Bytes that were taken from the feed.
    taken: AtomicU64,
    /// The most times that one call of `deliver` took bytes from its feed.
    max_takes: AtomicU64,
    /// Whether the receiving half may be called.
    may_receive: watch::Sender<bool>,
}

impl Probe {
    pub(super) fn new() -> Self {
        Self {
            polls: AtomicU64::new(0),
            polls_without_progress: AtomicU64::new(0),
            is_aborted: AtomicBool::new(false),
            taken: AtomicU64::new(0),
            max_takes: AtomicU64::new(0),
            may_receive: watch::Sender::new(true),
        }
    }

    pub(super) fn polls(&self) -> u64 {
        self.polls.load(Relaxed)
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    pub(super) fn max_takes(&self) -> u64 {
        self.max_takes.load(Relaxed)
    }

    /// Why a half was made to fail, if it was.
    pub(super) fn aborted(&self) -> Option<String> {
        let reason = format!(
            "the halves were polled {MAX_POLLS_WITHOUT_PROGRESS} times while the peer took \
             nothing, and were aborted"
        );
        self.is_aborted.load(Relaxed).then_some(reason)
    }

    /// Sets whether the session may call the receiving half. Until then its calls wait.
    pub(super) fn allow_receive(&self, may: bool) {
        self.may_receive.send_replace(may);
    }

    fn poll<T>(
        &self,
        call: Pin<&mut (impl Future<Output = io::Result<T>> + ?Sized)>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        self.polls.fetch_add(1, Relaxed);
        if self.polls_without_progress.fetch_add(1, Relaxed) > MAX_POLLS_WITHOUT_PROGRESS {
            self.is_aborted.store(true, Relaxed);
            return Poll::Ready(Err(io::Error::other("polled too often")));
        }
        call.poll(cx)
    }

    /// Sets the number of bytes taken so far. Returns whether it has grown.
    fn set_taken(&self, bytes: u64) -> bool {
        let is_progress = self.taken.swap(bytes, Relaxed) < bytes;
        if is_progress {
            self.polls_without_progress.store(0, Relaxed);
        }
        is_progress
    }
}

/// The transport under test, with its probe.
pub(super) struct ProbedTransport {
    pub(super) transport: Box<dyn Transport>,
    pub(super) probe: Arc<Probe>,
}

impl Transport for ProbedTransport {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        let (receiver, deliverer) = self.transport.split();
        let probe = self.probe.clone();
        (
            Box::new(ProbedReceiver { receiver, probe }),
            Box::new(ProbedDeliverer {
                deliverer,
                probe: self.probe,
                complete: 0,
            }),
        )
    }
}

struct ProbedReceiver {
    receiver: Box<dyn ReceiveHalf>,
    probe: Arc<Probe>,
}

#[async_trait]
impl ReceiveHalf for ProbedReceiver {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        let mut may_receive = self.probe.may_receive.subscribe();
        // Fails without a sender, which the probe holds.
        let _ = may_receive.wait_for(|may| *may).await;
        let mut call = self.receiver.receive(inbox);
        poll_fn(|cx| self.probe.poll(call.as_mut(), cx)).await
    }
}

struct ProbedDeliverer {
    deliverer: Box<dyn DeliverHalf>,
    probe: Arc<Probe>,
    /// Bytes of complete attempts, which the session does not count.
    complete: u64,
}

#[async_trait]
impl DeliverHalf for ProbedDeliverer {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        let (meter, complete) = (feed.meter(), self.complete);
        let mut takes = 0;
        let mut call = self.deliverer.deliver(feed);
        poll_fn(|cx| {
            let polled = self.probe.poll(call.as_mut(), cx);
            takes += u64::from(self.probe.set_taken(complete + meter.taken()));
            self.probe.max_takes.fetch_max(takes, Relaxed);
            polled
        })
        .await
    }

    fn try_deliver(&mut self, lines: &[u8]) -> io::Result<Attempt> {
        let attempt = self.deliverer.try_deliver(lines)?;
        let taken = match attempt {
            Attempt::Complete => lines.len(),
            Attempt::Partial(taken) => taken,
            Attempt::Unsupported => 0,
        };
        self.probe.taken.fetch_add(taken as u64, Relaxed);
        self.probe.polls_without_progress.store(0, Relaxed);
        if attempt == Attempt::Complete {
            self.complete += taken as u64;
        }
        Ok(attempt)
    }

    fn prepare(&self) {
        self.deliverer.prepare();
    }

    async fn close(&mut self, reason: LeaveReason) -> io::Result<()> {
        let mut call = self.deliverer.close(reason);
        poll_fn(|cx| self.probe.poll(call.as_mut(), cx)).await
    }
}
