//! A member of a hub: its place in it, and what it reads.

use crate::hub::Hub;
use crate::hub::batch::Batch;
use crate::hub::wait_list::Ticket;
use crate::state::{Amount, Cursor, Look, State};
use crate::types::errors::PublishError;
use crate::types::event::{Delivery, Event, LeaveReason};
use crate::types::ids::MemberId;
use crate::types::name::Name;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use thiserror::Error;
use tokio::task::coop::poll_proceed;
use tokio_stream::Stream;

/// The most bytes of lines that one batch takes.
pub(crate) const BATCH_BYTES: usize = 64 * 1024;

/// A place in a hub. Dropping it leaves.
///
/// It reads the log from its arrival on: one at a time as a [`Stream`] of [`Delivery`] or by
/// [`recv`](Self::recv), or many at a time by [`recv_many`](Self::recv_many). It costs the hub
/// an offset, not a queue, so it need not be read at all. After `Delivery::Closed` there is
/// nothing more.
///
/// ```
/// use chat_core::{Delivery, Hub, HubConfig};
/// use tokio_stream::StreamExt;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::new(HubConfig::default());
/// let mut alice = hub.join("alice".parse()?)?;
/// alice.publish("hi")?;
/// hub.close();
/// while let Some(delivery) = alice.next().await {
///     match delivery {
///         Delivery::Event(event) => assert_eq!(event.line(), "alice: hi"),
///         Delivery::Gap { missed } => println!("{missed} missed"),
///         Delivery::Closed(reason) => println!("{reason}"),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Member {
    hub: Hub,
    id: MemberId,
    cursor: Cursor,
    /// The hub's version when there was last nothing to read.
    seen: Option<u64>,
    /// Its place among those who wait.
    ticket: Option<Ticket>,
    ended: bool,
}

/// Why [`Member::try_recv`] gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum TryRecvError {
    /// There is nothing to read now.
    #[error("nothing to receive now")]
    Empty,
    /// The member has left and been given everything.
    #[error("nothing more to receive")]
    Ended,
}

impl Member {
    pub(crate) fn new(hub: Hub, id: MemberId, cursor: Cursor) -> Self {
        Self {
            hub,
            id,
            cursor,
            seen: None,
            ticket: None,
            ended: false,
        }
    }

    /// Who it is, for [`Hub::publish`], [`Hub::rename`] and [`Hub::leave`].
    pub fn id(&self) -> MemberId {
        self.id
    }

    /// Its hub.
    pub fn hub(&self) -> &Hub {
        &self.hub
    }

    /// Its name, or `None` if it has left.
    pub fn name(&self) -> Option<Name> {
        self.hub.name(self.id)
    }

    /// The number of the next event it is to be given.
    pub fn position(&self) -> u64 {
        self.cursor.seq
    }

    /// Publishes a text in its name; see [`Hub::publish`].
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    pub fn publish(&self, text: &str) -> Result<u64, PublishError> {
        self.hub.publish(self.id, text)
    }

    /// The next item, or `None` after `Closed`; the same as the stream's `next`.
    ///
    /// Cancel safe: if it is dropped while it waits, nothing is lost and nothing comes twice.
    pub async fn recv(&mut self) -> Option<Delivery> {
        poll_fn(|cx| self.poll_next_with(cx, Self::take_one)).await
    }

    /// The next item, if there is one now. Needs no runtime.
    ///
    /// # Errors
    ///
    /// See [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<Delivery, TryRecvError> {
        self.take_one().ok_or_else(|| self.nothing())
    }

    /// Fills the batch with all there is, at most about 64 KiB of lines, and gives the number
    /// of its items; waits for one if there is none. 0 after `Closed`, and the batch is empty.
    ///
    /// Cancel safe: if it is dropped while it waits, nothing is lost and nothing comes twice.
    pub async fn recv_many(&mut self, batch: &mut Batch) -> usize {
        let items =
            poll_fn(|cx| self.poll_next_with(cx, |member| member.take_many(batch, u64::MAX))).await;
        if items.is_none() {
            batch.clear();
        }
        items.unwrap_or(0)
    }

    /// [`recv_many`](Self::recv_many) of what there is now. Needs no runtime.
    ///
    /// # Errors
    ///
    /// See [`TryRecvError`]; the batch is then empty.
    pub fn try_recv_many(&mut self, batch: &mut Batch) -> Result<usize, TryRecvError> {
        self.take_many(batch, u64::MAX)
            .ok_or_else(|| self.nothing())
    }

    fn nothing(&self) -> TryRecvError {
        match self.ended {
            true => TryRecvError::Ended,
            false => TryRecvError::Empty,
        }
    }

    fn take_one(&mut self) -> Option<Delivery> {
        let mut line = Vec::new();
        let (look, entry) = self.look(|state, id, cursor| {
            let look = state.look(id, cursor, Amount::One, &mut line);
            let entry = (!look.events.is_empty()).then(|| state.entry(look.events.start));
            (look, entry)
        })?;
        if look.missed > 0 {
            return Some(Delivery::Gap {
                missed: look.missed,
            });
        }
        if let Some(entry) = entry {
            line.pop();
            let line = String::from_utf8(line).expect("the log holds whole lines of UTF-8");
            return Some(Delivery::Event(Event {
                seq: look.events.start,
                kind: entry.kind,
                name_len: entry.name_len,
                line: line.into(),
            }));
        }
        look.closed.map(Delivery::Closed)
    }

    /// Fills the batch with what there is before event number `before`.
    pub(crate) fn take_many(&mut self, batch: &mut Batch, before: u64) -> Option<usize> {
        batch.clear();
        let amount = Amount::Upto {
            bytes: BATCH_BYTES,
            before,
        };
        self.look(|state, id, cursor| (batch.fill(state, id, cursor, amount), ()))?;
        Some(batch.len()).filter(|items| *items > 0)
    }

    /// Looks at the log, under the lock, by `look`. `None` after the end.
    pub(crate) fn look<T>(
        &mut self,
        look: impl FnOnce(&mut State, MemberId, &mut Cursor) -> (Look, T),
    ) -> Option<(Look, T)> {
        if self.ended {
            return None;
        }
        let shared = &self.hub.shared;
        let mut state = shared.lock();
        let given = look(&mut state, self.id, &mut self.cursor);
        // Read under the lock, so what changes it comes after this look.
        self.seen = given.0.caught_up.then(|| shared.version());
        shared.moved_on(state);
        self.ended = given.0.closed.is_some();
        Some(given)
    }

    /// Puts events back that a look gave, from number `seq` on.
    pub(crate) fn put_back(&mut self, look: &Look, seq: u64) {
        self.hub.shared.lock().put_back(&mut self.cursor, look, seq);
        self.seen = None;
        self.ended = false;
    }

    /// Whether a look would be in vain; then the waker is kept for when that changes.
    pub(crate) fn poll_idle(&mut self, cx: &mut Context<'_>) -> bool {
        let shared = &self.hub.shared;
        self.seen.is_some_and(|seen| {
            let bell = shared.bell(self.id);
            bell.wait(&mut self.ticket, cx.waker(), shared.version_cell(), seen)
        })
    }

    /// What `take` gives, when it gives something; `None` at the end.
    fn poll_next_with<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut take: impl FnMut(&mut Self) -> Option<T>,
    ) -> Poll<Option<T>> {
        // A member that always has something to read must not keep its thread for itself.
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

impl Stream for Member {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.poll_next_with(cx, Self::take_one)
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let shared = &self.hub.shared;
        shared.bell(self.id).forget(self.ticket.take());
        let reason = match std::thread::panicking() {
            true => LeaveReason::Panicked,
            false => LeaveReason::Left,
        };
        shared.change(|state| state.release(self.id, &self.cursor, reason));
    }
}
