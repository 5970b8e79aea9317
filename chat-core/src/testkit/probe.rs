//! A wrapper around the transport under test, which counts and controls the session's calls.

use super::watchdog;
use crate::transport::{Attempt, DeliverHalf, Feed, Inbox, ReceiveHalf, Received, Transport};
use crate::types::event::LeaveReason;
use async_trait::async_trait;
use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::sync::watch;

/// More polls than any check needs while the peer takes nothing. A transport that polls in a busy
/// loop keeps a paused clock from advancing, so no deadline could end it.
const MAX_POLLS_WITHOUT_PROGRESS: u64 = 500_000;

/// The counters of one transport, shared with the check.
#[derive(Debug)]
pub(super) struct Probe {
    /// Polls of either half, and attempts.
    polls: AtomicU64,
    /// The same since the peer last took bytes.
    polls_without_progress: AtomicU64,
    /// Why a half was made to fail.
    aborted: OnceLock<String>,
    /// Bytes that were taken, from the feed or by attempts.
    taken: AtomicU64,
    /// Calls of `deliver`.
    deliveries: AtomicU64,
    attempts: Attempts,
    /// Whether the transport is used as if it did not support attempts.
    masks_attempts: bool,
    /// How long an attempt may take.
    limit: Duration,
    /// The most times that one call of `deliver` took bytes from its feed.
    max_takes: AtomicU64,
    /// Whether the receiving half may be called.
    may_receive: watch::Sender<bool>,
    /// Whether the session is not told the end of the input, nor an error.
    hides_end: AtomicBool,
}

/// How many calls of `try_deliver` had which result.
#[derive(Debug, Default)]
struct Attempts {
    complete: AtomicU64,
    partial: AtomicU64,
    failed: AtomicU64,
    unsupported: AtomicU64,
}

impl Probe {
    /// `limit` is how long an attempt may take.
    pub(super) fn new(masks_attempts: bool, limit: Duration) -> Self {
        Self {
            polls: AtomicU64::new(0),
            polls_without_progress: AtomicU64::new(0),
            aborted: OnceLock::new(),
            taken: AtomicU64::new(0),
            deliveries: AtomicU64::new(0),
            attempts: Attempts::default(),
            masks_attempts,
            limit,
            max_takes: AtomicU64::new(0),
            may_receive: watch::Sender::new(true),
            hides_end: AtomicBool::new(false),
        }
    }

    pub(super) fn polls(&self) -> u64 {
        self.polls.load(Relaxed)
    }

    pub(super) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    pub(super) fn deliveries(&self) -> u64 {
        self.deliveries.load(Relaxed)
    }

    /// Attempts that the transport supports.
    pub(super) fn attempts(&self) -> u64 {
        self.complete() + self.partial() + self.attempts.failed.load(Relaxed)
    }

    /// Attempts in which the peer took everything.
    pub(super) fn complete(&self) -> u64 {
        self.attempts.complete.load(Relaxed)
    }

    /// Attempts in which it did not.
    pub(super) fn partial(&self) -> u64 {
        self.attempts.partial.load(Relaxed)
    }

    pub(super) fn is_unsupported(&self) -> bool {
        self.attempts.unsupported.load(Relaxed) > 0
    }

    pub(super) fn max_takes(&self) -> u64 {
        self.max_takes.load(Relaxed)
    }

    /// Why a half was made to fail, if it was.
    pub(super) fn aborted(&self) -> Option<&str> {
        self.aborted.get().map(String::as_str)
    }

    fn abort<T>(&self, reason: String) -> io::Result<T> {
        let error = io::Error::other(reason.clone());
        // The first reason counts.
        let _ = self.aborted.set(reason);
        Err(error)
    }

    /// Sets whether the session may call the receiving half. Until then its calls wait.
    pub(super) fn allow_receive(&self, may: bool) {
        self.may_receive.send_replace(may);
    }

    /// From now on, the session is not told the end of the input, nor an error.
    pub(super) fn hide_end(&self) {
        self.hides_end.store(true, Relaxed);
    }

    /// Counts a poll, or an attempt.
    fn count_poll(&self) -> io::Result<()> {
        self.polls.fetch_add(1, Relaxed);
        if self.polls_without_progress.fetch_add(1, Relaxed) <= MAX_POLLS_WITHOUT_PROGRESS {
            return Ok(());
        }
        self.abort(format!(
            "the halves were polled {MAX_POLLS_WITHOUT_PROGRESS} times while the peer took \
             nothing, and were aborted"
        ))
    }

    fn poll<T>(
        &self,
        call: Pin<&mut (impl Future<Output = io::Result<T>> + ?Sized)>,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<T>> {
        self.count_poll()?;
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
                deliverer: Some(deliverer),
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
        let received = poll_fn(|cx| self.probe.poll(call.as_mut(), cx)).await;
        let has_ended = !matches!(received, Ok(Received::More));
        if has_ended && self.probe.hides_end.load(Relaxed) {
            pending::<()>().await;
        }
        received
    }
}

struct ProbedDeliverer {
    /// `None` after an attempt that blocked.
    deliverer: Option<Box<dyn DeliverHalf>>,
    probe: Arc<Probe>,
    /// Bytes of complete attempts, which the session does not count.
    complete: u64,
}

impl ProbedDeliverer {
    fn deliverer(&mut self) -> io::Result<&mut Box<dyn DeliverHalf>> {
        let deliverer = self.deliverer.as_mut();
        deliverer.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

#[async_trait]
impl DeliverHalf for ProbedDeliverer {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        let (meter, complete) = (feed.meter(), self.complete);
        let mut takes = 0;
        let probe = self.probe.clone();
        probe.deliveries.fetch_add(1, Relaxed);
        let mut call = self.deliverer()?.deliver(feed);
        poll_fn(|cx| {
            let polled = probe.poll(call.as_mut(), cx);
            takes += u64::from(probe.set_taken(complete + meter.taken()));
            probe.max_takes.fetch_max(takes, Relaxed);
            polled
        })
        .await
    }

    fn try_deliver(&mut self, lines: &[u8]) -> io::Result<Attempt> {
        let probe = &self.probe;
        if probe.masks_attempts {
            return Ok(Attempt::Unsupported);
        }
        probe.count_poll()?;
        let deliverer = self.deliverer.take().ok_or(io::ErrorKind::NotConnected)?;
        let attempted = watchdog::try_deliver(deliverer, lines, probe.limit);
        let Some((deliverer, attempt)) = attempted else {
            let limit = probe.limit;
            return probe.abort(format!(
                "`try_deliver` had not returned after {limit:?}: it blocks its thread"
            ));
        };
        self.deliverer = Some(deliverer);
        let attempts = &probe.attempts;
        let (counter, taken) = match attempt {
            Ok(Attempt::Complete) => (&attempts.complete, lines.len()),
            Ok(Attempt::Partial(taken)) => (&attempts.partial, taken),
            Ok(Attempt::Unsupported) => (&attempts.unsupported, 0),
            Err(_) => (&attempts.failed, 0),
        };
        probe.set_taken(probe.taken() + taken as u64);
        counter.fetch_add(1, Relaxed);
        if let Ok(Attempt::Complete) = attempt {
            self.complete += taken as u64;
        }
        attempt
    }

    fn prepare(&self) {
        if let Some(deliverer) = &self.deliverer {
            deliverer.prepare();
        }
    }

    async fn close(&mut self, reason: LeaveReason) -> io::Result<()> {
        let probe = self.probe.clone();
        let mut call = self.deliverer()?.close(reason);
        poll_fn(|cx| probe.poll(call.as_mut(), cx)).await
    }
}
