//! A cursor in a hub's log, and reading through it.

use super::batch::Batch;
use super::handle::Hub;
use super::wait_list::{WaitKey, WaitList};
use crate::state::State;
use crate::state::read::{Amount, Cursor, Progress, ReadOutcome};
use crate::types::direct::Direct;
use crate::types::event::Delivery;
use crate::types::position::Position;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, ready};
use thiserror::Error;
use tokio::task::coop::poll_proceed;
use tokio_stream::Stream;

/// The most bytes of lines that one batch takes.
pub(crate) const BATCH_BYTES: usize = 64 * 1024;

/// A version that no hub reaches: more may be read.
const NOT_SEEN: u64 = u64::MAX;

/// A reader of a hub's events that is not a member: for loggers, metrics, journals and bridges.
///
/// It is not in the roster, has no name and receives no direct messages. Otherwise it reads like a
/// [`Member`](crate::Member): in order, exactly, with gaps if it is too slow, and it counts as a
/// slow reader where sessions [wait](crate::HubConfig::patience) for those.
///
/// ```
/// use chat_core::{Delivery, Hub, HubConfig, Start};
///
/// let hub = Hub::new(HubConfig::default());
/// let mut log = hub.subscribe(Start::Now);
/// let alice = hub.join("alice".parse()?)?;
/// alice.publish("hi")?;
///
/// let mut lines = Vec::new();
/// while let Ok(Delivery::Event(event)) = log.try_recv() {
///     lines.push(event.to_string());
/// }
/// assert_eq!(lines, ["alice has arrived", "alice: hi"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
#[repr(C)]
pub struct Subscriber {
    cursor: Cursor,
    /// The hub's version when there was last nothing to read, or [`NOT_SEEN`].
    seen: u64,
    hub: Hub,
    /// Its place in a wait list.
    key: Option<WaitKey>,
    ended: bool,
}

/// Why [`Member::try_recv`](crate::Member::try_recv) gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum TryRecvError {
    /// There is nothing to read now.
    #[error("nothing to receive now")]
    Empty,
    /// [`Delivery::Closed`] was given, and nothing comes after it.
    #[error("nothing more to receive")]
    Ended,
}

impl Subscriber {
    pub(super) fn new(hub: Hub, cursor: Cursor) -> Self {
        Self {
            hub,
            cursor,
            seen: NOT_SEEN,
            key: None,
            ended: false,
        }
    }

    /// The hub that it reads.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// The position of the next event that it is to be given.
    pub fn position(&self) -> Position {
        self.hub.shared.at(self.cursor.seq)
    }

    /// How many events it has not read yet, evicted ones included. Events after the end of its
    /// stream do not count.
    pub fn behind(&self) -> u64 {
        self.hub.shared.lock().behind(&self.cursor)
    }

    /// Waits for the next item. `None` after [`Delivery::Closed`]; the same as the stream's `next`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future while it waits loses nothing and repeats nothing.
    pub async fn recv(&mut self) -> Option<Delivery> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// The next item, if there is one now. Needs no runtime.
    ///
    /// # Errors
    ///
    /// See [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<Delivery, TryRecvError> {
        self.take_one().ok_or_else(|| self.nothing())
    }

    /// Fills the batch with everything there is, at most about 64 KiB of lines, and gives the number
    /// of its items; waits for one if there is none. 0 after [`Delivery::Closed`], and the batch is
    /// empty.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future while it waits loses nothing and repeats nothing.
    pub async fn recv_many(&mut self, batch: &mut Batch) -> usize {
        poll_fn(|cx| self.poll_recv_many(cx, batch)).await
    }

    /// Fills the batch with what there is now, like [`recv_many`](Self::recv_many). Needs no runtime.
    ///
    /// # Errors
    ///
    /// See [`TryRecvError`]; the batch is then empty.
    pub fn try_recv_many(&mut self, batch: &mut Batch) -> Result<usize, TryRecvError> {
        self.take_many(batch).ok_or_else(|| self.nothing())
    }

    fn nothing(&self) -> TryRecvError {
        match self.ended {
            true => TryRecvError::Ended,
            false => TryRecvError::Empty,
        }
    }

    fn take_one(&mut self) -> Option<Delivery> {
        let mut line = String::new();
        let item = self.with_state(|state, cursor| {
            if let Some(direct) = take_mail(state, cursor) {
                return (Some(Delivery::Direct(direct)), state.progress(cursor));
            }
            let outcome = state.read(cursor, Amount::One, &mut line);
            let item = if let missed @ 1.. = outcome.missed {
                Some(Delivery::Gap { missed })
            } else if !outcome.events.is_empty() {
                Some(Delivery::Event(state.event(outcome.events.start)))
            } else {
                outcome.closed.map(Delivery::Closed)
            };
            (item, outcome.progress())
        })??;
        Some(match item {
            Delivery::Event(event) => {
                line.pop();
                Delivery::Event(event.with_line(line.into()))
            }
            Delivery::Direct(direct) => Delivery::Direct(direct),
            Delivery::Gap { missed } => Delivery::Gap { missed },
            Delivery::Closed(reason) => Delivery::Closed(reason),
        })
    }

    /// Fills the batch with what there is.
    pub(crate) fn take_many(&mut self, batch: &mut Batch) -> Option<usize> {
        batch.clear();
        let read = self.with_state(|state, cursor| {
            while let Some(direct) = take_mail(state, cursor) {
                batch.push_direct(direct);
            }
            let outcome = batch.fill(state, cursor, Amount::Bytes(BATCH_BYTES));
            ((), outcome.progress())
        });
        read?;
        Some(batch.len()).filter(|items| *items > 0)
    }

    /// Reads under the lock, by `read`, which also says how far it got. `None` after the end.
    pub(crate) fn with_state<T>(
        &mut self,
        read: impl FnOnce(&mut State, &mut Cursor) -> (T, Progress),
    ) -> Option<T> {
        if self.ended {
            return None;
        }
        let shared = &self.hub.shared;
        let mut state = shared.lock();
        let (given, progress) = read(&mut state, &mut self.cursor);
        // Loaded under the lock, so whatever changes it comes after this read.
        self.seen = match progress {
            Progress::CaughtUp => shared.version().load(SeqCst),
            Progress::More | Progress::Ended => NOT_SEEN,
        };
        shared.after_read(state);
        self.ended = progress == Progress::Ended;
        Some(given)
    }

    /// Puts events back that a read gave, from number `seq` on.
    pub(crate) fn put_back(&mut self, outcome: &ReadOutcome, seq: u64) {
        self.hub
            .shared
            .lock()
            .put_back(&mut self.cursor, outcome, seq);
        self.seen = NOT_SEEN;
        self.ended = false;
    }

    /// Whether a read would give nothing; then the waker is registered for when that changes.
    #[inline]
    pub(crate) fn poll_idle(&mut self, cx: &mut Context<'_>) -> bool {
        if self.seen == NOT_SEEN {
            return false;
        }
        let shared = &self.hub.shared;
        // How every second call ends: the waker was woken.
        if shared.version().load(SeqCst) != self.seen {
            return false;
        }
        let list = list(&self.hub, &self.cursor);
        list.register(&mut self.key, cx.waker(), shared.version(), self.seen)
    }

    /// The hub's version at which it had read everything, if that is still the hub's version: then
    /// a read would give nothing.
    pub(crate) fn idle_at(&self) -> Option<u64> {
        let version = self.hub.shared.version().load(SeqCst);
        (self.seen == version).then_some(version)
    }

    /// The cursor, for a dispatcher that reads in its place. The reader must be idle, and reads
    /// anew afterwards.
    pub(crate) fn cursor_to_park(&mut self) -> &mut Cursor {
        self.seen = NOT_SEEN;
        &mut self.cursor
    }

    // Inlined, as it is called twice for each batch.
    #[inline]
    pub(super) fn poll_recv_many(
        &mut self,
        cx: &mut Context<'_>,
        batch: &mut Batch,
    ) -> Poll<usize> {
        let items = ready!(self.poll_next_with(cx, |reader| reader.take_many(batch)));
        Poll::Ready(items.unwrap_or_else(|| {
            batch.clear();
            0
        }))
    }

    pub(super) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.poll_next_with(cx, Self::take_one)
    }

    /// The next result of `take`, as soon as there is one; `None` at the end.
    fn poll_next_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&mut Self) -> Option<T>,
    ) -> Poll<Option<T>> {
        // A reader that always has something to read must not keep its thread for itself.
        let budget = ready!(poll_proceed(cx));
        loop {
            if self.ended {
                return Poll::Ready(None);
            }
            if self.poll_idle(cx) {
                return Poll::Pending;
            }
            if let Some(taken) = take(self) {
                budget.made_progress();
                return Poll::Ready(Some(taken));
            }
        }
    }
}

/// The next mail that is due, of the member that reads.
fn take_mail(state: &mut State, cursor: &Cursor) -> Option<Direct> {
    let member = cursor.member().filter(|_| state.has_mail(cursor))?;
    Some(state.take_mail(member, cursor.seq)?.direct)
}

fn list<'a>(hub: &'a Hub, cursor: &Cursor) -> &'a WaitList {
    let index = cursor.member().map_or(cursor.key, |slot| slot.index);
    hub.shared.list(index)
}

impl Stream for Subscriber {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.poll_recv(cx)
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        list(&self.hub, &self.cursor).remove(self.key.take());
        let shared = &self.hub.shared;
        let mut state = shared.lock();
        state.close_cursor(&self.cursor);
        shared.after_read(state);
    }
}
