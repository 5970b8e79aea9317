//! A member of a hub: a subscriber with a name.

use super::batch::Batch;
use super::handle::Hub;
use super::publisher::{Membership, Publisher};
use super::subscriber::{Subscriber, TryRecvError};
use crate::types::errors::PublishError;
use crate::types::event::Delivery;
use crate::types::ids::MemberId;
use crate::types::name::Name;
use crate::types::position::Position;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio_stream::Stream;

/// A place in a hub. Dropping it leaves.
///
/// It reads the log from its arrival on: one item at a time as a [`Stream`] of [`Delivery`] or by
/// [`recv`](Self::recv), or many at a time by [`recv_many`](Self::recv_many). After
/// [`Delivery::Closed`] there is nothing more.
///
/// It costs the hub an offset, not a queue, so it need not be read at all. But a member that is never
/// read is the slowest reader of its hub: a program that only publishes should make it a
/// [`Publisher`].
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
///         Delivery::Direct(direct) => println!("* {direct}"),
///         Delivery::Closed(reason) => println!("{reason}"),
///         _ => {}
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
#[repr(C)]
pub struct Member {
    // Dropped first: the slot is released when nothing reads for it any more.
    reader: Subscriber,
    membership: Membership,
}

impl Member {
    pub(super) fn new(reader: Subscriber, membership: Membership) -> Self {
        Self { reader, membership }
    }

    /// Its id, for [`Hub::publish`], [`Hub::rename`], [`Hub::leave`] and others.
    pub fn id(&self) -> MemberId {
        self.membership.id()
    }

    /// Its hub.
    pub fn hub(&self) -> &Hub {
        self.reader.hub()
    }

    /// Its name, or `None` if it has left.
    pub fn name(&self) -> Option<Name> {
        self.hub().name(self.id())
    }

    /// The position of the next event that it is to be given.
    pub fn position(&self) -> Position {
        self.reader.position()
    }

    /// How many events it has not read yet, evicted ones included. Events after its departure do
    /// not count.
    pub fn behind(&self) -> u64 {
        self.reader.behind()
    }

    /// Publishes a text in its name; see [`Hub::publish`].
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    pub fn publish(&self, text: &str) -> Result<u64, PublishError> {
        self.hub().publish(self.id(), text)
    }

    /// Stops reading and keeps the membership: unread events are given up, and the member no
    /// longer counts as a slow reader. The membership lasts until the last clone is dropped.
    pub fn into_publisher(self) -> Publisher {
        Publisher::new(self.membership)
    }

    /// Waits for the next item. `None` after [`Delivery::Closed`]; the same as the stream's `next`.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future while it waits loses nothing and repeats nothing.
    pub async fn recv(&mut self) -> Option<Delivery> {
        poll_fn(|cx| self.reader.poll_recv(cx)).await
    }

    /// The next item, if there is one now. Needs no runtime.
    ///
    /// # Errors
    ///
    /// See [`TryRecvError`].
    pub fn try_recv(&mut self) -> Result<Delivery, TryRecvError> {
        self.reader.try_recv()
    }

    /// Fills the batch with everything there is; see [`Subscriber::recv_many`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future while it waits loses nothing and repeats nothing.
    pub async fn recv_many(&mut self, batch: &mut Batch) -> usize {
        // Not by the reader's future: one future within another costs a tenth more per call.
        poll_fn(|cx| self.reader.poll_recv_many(cx, batch)).await
    }

    /// Fills the batch with what there is now; see [`Subscriber::try_recv_many`].
    ///
    /// # Errors
    ///
    /// See [`TryRecvError`]; the batch is then empty.
    pub fn try_recv_many(&mut self, batch: &mut Batch) -> Result<usize, TryRecvError> {
        self.reader.try_recv_many(batch)
    }

    pub(crate) fn reader(&mut self) -> &mut Subscriber {
        &mut self.reader
    }
}

impl Stream for Member {
    type Item = Delivery;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        self.reader.poll_recv(cx)
    }
}
