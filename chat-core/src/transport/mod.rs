//! The connections of peers, as a [session](crate::session) uses them.
//!
//! A [`Transport`] is the connection of one peer. It splits into a half that
//! [receives](ReceiveHalf) and a half that [delivers](DeliverHalf). A session runs both halves in
//! one task, so reading never waits for writing. The session does everything that is not I/O:
//! names, commands, order, timeouts, rate limits, graceful endings.
//!
//! A byte stream needs no transport of its own: [`IoTransport`] adapts everything that is
//! `AsyncRead + AsyncWrite`, such as TCP, TLS or a pipe. [`memory::pair`] makes a connection in
//! memory. For a connection that carries messages, implement the three traits. They have async
//! methods, so the implementing crate depends on the crate `async-trait`, too:
//!
//! ```
//! use async_trait::async_trait;
//! use chat_core::LeaveReason;
//! use chat_core::transport::{DeliverHalf, Feed, Inbox, ReceiveHalf, Received, Transport};
//! use std::io;
//! use tokio::sync::mpsc;
//!
//! /// A peer at the other end of two channels of text.
//! struct Channels(mpsc::Receiver<String>, mpsc::Sender<String>);
//!
//! impl Transport for Channels {
//!     fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
//!         (Box::new(FromPeer(self.0)), Box::new(ToPeer(Some(self.1))))
//!     }
//! }
//!
//! struct FromPeer(mpsc::Receiver<String>);
//! #[async_trait]
//! impl ReceiveHalf for FromPeer {
//!     async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
//!         let Some(line) = self.0.recv().await else { return Ok(Received::End) };
//!         inbox.text(&line);
//!         // What else is available, up to the bound of one call.
//!         let mut room = inbox.capacity().saturating_sub(line.len());
//!         while room > 0 && let Ok(line) = self.0.try_recv() {
//!             inbox.text(&line);
//!             room = room.saturating_sub(line.len() + 1);
//!         }
//!         Ok(Received::More)
//!     }
//! }
//!
//! struct ToPeer(Option<mpsc::Sender<String>>);
//! #[async_trait]
//! impl DeliverHalf for ToPeer {
//!     async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
//!         // First the permit, then the lines: until they are taken, they cost nothing.
//!         let sender = self.0.as_ref().ok_or(io::ErrorKind::NotConnected)?;
//!         let permit = sender.reserve().await.map_err(io::Error::other)?;
//!         let lines = feed.take();
//!         if !lines.is_empty() {
//!             permit.send(lines);
//!         }
//!         Ok(())
//!     }
//!
//!     async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
//!         self.0 = None; // the peer sees the end of its channel
//!         Ok(())
//!     }
//! }
//! ```
//!
//! # Calls of a session
//!
//! | method | called | not called |
//! |---|---|---|
//! | [`split`](Transport::split) | once, when the session's future is first polled | |
//! | [`receive`](ReceiveHalf::receive) | again and again, also after the member has left: then its input is discarded | after it returned [`Received::End`] or an error |
//! | [`deliver`](DeliverHalf::deliver) | whenever there may be something to deliver | after it returned an error |
//! | [`try_deliver`](DeliverHalf::try_deliver) | when there are lines for a peer that has received everything | after it returned [`Attempt::Unsupported`] or an error |
//! | [`close`](DeliverHalf::close) | once, after everything was delivered | if the connection was lost, if the peer stalled, or if the session was dropped or panicked |
//!
//! At the end, the session drops both halves. That must close the connection, whatever was called
//! before.
//!
//! # Tests
//!
//! `chat_core::testkit`, behind the feature `testkit`, checks that a transport follows these rules.
//! Its argument `connect` can be a closure or the name of a plain `async fn`.
//!
//! # Servers
//!
//! `chat_server::serve` accepts the peers of any `Listener`, and counts, limits and drains them
//! together.

mod io;
pub mod memory;

pub use crate::peer::feed::Feed;
pub use crate::peer::inbox::Inbox;
pub use io::{IoTransport, StreamTransport};

use crate::types::event::LeaveReason;
use async_trait::async_trait;

/// The connection of one peer, before its session begins.
///
/// The trait is object safe: one hub can have peers over transports of many kinds.
pub trait Transport: Send + 'static {
    /// Splits the connection into its two halves.
    ///
    /// The session uses both from one task and drops them together. When they are dropped, the
    /// connection must be closed.
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>);
}

impl Transport for Box<dyn Transport> {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        (*self).split()
    }
}

/// The result of [`ReceiveHalf::receive`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// There may be more input, so `receive` is to be called again.
    More,
    /// The peer will send no more. It still receives what is delivered.
    End,
}

/// The half of a connection that receives from the peer.
#[async_trait]
pub trait ReceiveHalf: Send {
    /// Waits until the peer has sent something, and puts what is available into the inbox.
    ///
    /// The session publishes the input of one call together, which is much cheaper than line by
    /// line. So take everything that is available, up to [`Inbox::capacity`] bytes, and do not wait for
    /// more. The room is the bound of one call: it does not shrink while input is put into the inbox,
    /// so a transport that takes several messages in one call counts their bytes itself.
    ///
    /// Between two calls the session may wait, for example for a peer that sends too fast. Do not
    /// read ahead: input that was not asked for stays in the connection and slows its sender down.
    ///
    /// Input of the call that returns [`Received::End`] is published like any other, and an
    /// unfinished line counts as a line.
    ///
    /// # Errors
    ///
    /// An error means that the connection broke. The session first publishes the whole lines that
    /// the peer has sent, including those of the same call. Lines beyond the peer's rate wait until
    /// the rate allows them, as before [`Received::End`]; if delivering fails, too, for at most
    /// [`SessionConfig::linger`](crate::session::SessionConfig::linger). Then the session ends with
    /// [`LeaveReason::Lost`] and delivers nothing more. A graceful end is not an error but
    /// [`Received::End`].
    ///
    /// # Cancel safety
    ///
    /// Need not be cancel safe: a call is dropped only when the session ends.
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> std::io::Result<Received>;
}

/// The result of [`DeliverHalf::try_deliver`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The peer has taken everything, and nothing of it waits in a buffer of the transport.
    Complete,
    /// The peer has taken so many bytes, perhaps none, and [`DeliverHalf::deliver`] has to go on. If
    /// these are all bytes, some of them still wait in a buffer of the transport.
    Partial(usize),
    /// The transport does not deliver in this way.
    Unsupported,
}

/// The half of a connection that delivers to the peer.
#[async_trait]
pub trait DeliverHalf: Send {
    /// Takes from the feed what the peer can accept now, and sends it to the peer.
    ///
    /// Output that was not taken yet costs nothing. If the peer falls too far behind, the output
    /// counts as missed, and the peer receives the number of its lines. So wait for the peer
    /// *before* taking, in one of two ways:
    ///
    /// - Wait until the peer can accept a message, then call [`Feed::take`] or
    ///   [`Feed::take_batch`].
    /// - Lend the bytes to a write that does not wait, by [`Feed::lend`]. A write that takes
    ///   nothing must have registered the waker of this call, which then waits and lends again. A
    ///   write may take fewer bytes than the peer could accept: the next call lends the rest.
    ///
    /// The session calls this whenever there *may* be something to deliver. If there is nothing,
    /// `take` returns an empty text, and `lend` returns 0 without calling the write. Return `Ok` then.
    ///
    /// Take once per call, and return when the peer has accepted what was taken, so that the session
    /// sees its progress. A call in which the peer takes nothing for
    /// [`SessionConfig::stall_timeout`](crate::session::SessionConfig::stall_timeout) ends the
    /// session of a stalled peer.
    ///
    /// # Errors
    ///
    /// An error means that the connection broke. Nothing more is delivered, and
    /// [`close`](Self::close) is not called. Input that the peer sent before is still published: the
    /// session ends when [`ReceiveHalf::receive`] has returned its end or an error and that input is
    /// published, at the latest after
    /// [`SessionConfig::linger`](crate::session::SessionConfig::linger).
    ///
    /// # Cancel safety
    ///
    /// Need not be cancel safe: a call is dropped only when the session ends.
    async fn deliver(&mut self, feed: &mut Feed) -> std::io::Result<()>;

    /// Sends lines to the peer as far as that is possible without waiting.
    ///
    /// A peer that has received everything needs no task of its own to receive more: one task of the
    /// hub offers the same bytes to all such peers, by this method. It is optional. Without it, or
    /// after it returned [`Attempt::Unsupported`], the session's own task calls
    /// [`deliver`](Self::deliver) for each delivery, which takes up to twice the CPU time when
    /// messages come one by one.
    ///
    /// `lines` is not empty, and holds whole lines, each with `\n` at its end. It must not block, wait for
    /// another task, or take long: other peers wait for this call, and if the session's future is
    /// dropped meanwhile, the connection is dropped when this call returns. No waker is registered: after
    /// [`Attempt::Partial`], the session calls `deliver`, also if there is nothing more to
    /// deliver, so that it can flush what is still in a buffer of the transport. A transport of
    /// messages takes all lines or none.
    ///
    /// It is never called at the same time as `deliver` or `close`, but perhaps on another thread
    /// and outside of the session's task.
    ///
    /// # Errors
    ///
    /// As those of [`deliver`](Self::deliver).
    ///
    /// # Panics
    ///
    /// A panic, and an attempt that claims more bytes than there are, end the session as a panic of
    /// `deliver` does, and affect no other.
    fn try_deliver(&mut self, lines: &[u8]) -> std::io::Result<Attempt> {
        let _ = lines;
        Ok(Attempt::Unsupported)
    }

    /// Announces a call of [`try_deliver`](Self::try_deliver), which follows within microseconds.
    ///
    /// This is optional and has no effect but on speed. The hub calls it for a few peers before it
    /// delivers to the first of them, so that a transport can read the memory that it is going to
    /// need. Then the processor loads that of all these peers at the same time. Later it would wait
    /// for each of them, because the system call for the peer before has used its caches.
    ///
    /// # Panics
    ///
    /// A panic ends the session, as one of `try_deliver` does.
    fn prepare(&self) {}

    /// Tells the peer that nothing more will come, and why, after everything was delivered.
    ///
    /// It is the last call of this half. The other half continues to receive, and the session discards
    /// that input, until the peer has ended its side or
    /// [`SessionConfig::linger`](crate::session::SessionConfig::linger) is over. So a peer that does
    /// not learn of the end costs that time.
    ///
    /// It is not called if the connection was lost, if the peer stalled, or if the session was
    /// dropped or panicked. A call that takes longer than
    /// [`SessionConfig::stall_timeout`](crate::session::SessionConfig::stall_timeout) is dropped.
    ///
    /// # Errors
    ///
    /// An error has no effect: the member has left before, and the session ends as it would have.
    async fn close(&mut self, reason: LeaveReason) -> std::io::Result<()>;
}
