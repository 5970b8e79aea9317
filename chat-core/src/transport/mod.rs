//! What the hub asks of a connection, and nothing else.
//!
//! A [`Transport`] is one peer's connection. It splits into a half that
//! [receives](ReceiveHalf) and a half that [delivers](DeliverHalf), and a
//! [session](crate::session) runs both in one task, so reading never waits for writing. The
//! session sees to everything that is not I/O: names, commands, order, idle and stalled peers,
//! limits, orderly endings.
//!
//! Anything that is `AsyncRead + AsyncWrite` is a transport by [`IoTransport`]; TCP is
//! one. [`memory::pair`] is one in memory. For the rest, message by message, it takes this:
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
//!         Ok(Received::More)
//!     }
//! }
//!
//! struct ToPeer(Option<mpsc::Sender<String>>);
//! #[async_trait]
//! impl DeliverHalf for ToPeer {
//!     async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
//!         // First the room, then the lines: what waits in the hub costs nothing.
//!         let sender = self.0.as_ref().ok_or(io::ErrorKind::NotConnected)?;
//!         let room = sender.reserve().await.map_err(io::Error::other)?;
//!         let lines = feed.take();
//!         if !lines.is_empty() {
//!             room.send(lines);
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
//! Whether it keeps the rules that are written below, `chat_core::testkit` finds out, behind the
//! feature `testkit`.
//!
//! To have such peers counted and drained together with others, give them to
//! `chat_server::serve` by a `Listener` of your own.

mod io;
pub mod memory;

pub use crate::peer::feed::Feed;
pub use crate::peer::inbox::Inbox;
pub use io::{IoTransport, StreamTransport};

use crate::types::event::LeaveReason;
use async_trait::async_trait;

/// One peer's connection, before its session begins.
///
/// The trait is object safe: a program can have peers of many kinds in one hub.
pub trait Transport: Send + 'static {
    /// The half that receives and the half that delivers. They are used from one task, are
    /// dropped together when the session ends, and then the connection must be gone.
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>);
}

impl Transport for Box<dyn Transport> {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        (*self).split()
    }
}

/// What [`ReceiveHalf::receive`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// There may be more: call again.
    More,
    /// The peer will send no more.
    End,
}

/// The half that listens to the peer.
#[async_trait]
pub trait ReceiveHalf: Send {
    /// Waits until the peer has sent something, and puts what is there into the inbox.
    ///
    /// What one call puts there is published under one lock with one wake-up, when the call
    /// returns; so take all that is there, but do not wait for more. Between the calls the
    /// session may wait, as a member that floods must: do not read ahead.
    ///
    /// A call is dropped only when the session ends.
    ///
    /// # Errors
    ///
    /// An error means that the connection broke: the session ends at once, without delivering
    /// the rest. An orderly end is [`Received::End`].
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> std::io::Result<Received>;
}

/// The half that talks to the peer.
#[async_trait]
pub trait DeliverHalf: Send {
    /// Takes from the feed what the peer can accept now, and gives it to the peer.
    ///
    /// It is called when there is something to deliver. Wait for the peer, if need be, *before*
    /// taking from the feed, by [`Feed::take`], or lend the feed's bytes to a write that does not
    /// wait, by [`Feed::lend`]: what has not been taken costs nothing and can, at worst, be
    /// counted as missed. Return after every piece, so that the session sees progress; a
    /// call in which the peer takes nothing for too long is the end of a stalled peer.
    ///
    /// A call is dropped only when the session ends.
    ///
    /// # Errors
    ///
    /// An error means that the connection broke: nothing more is delivered, and the session ends
    /// as soon as it has heard what the peer had sent, at most after
    /// [`SessionConfig::linger`](crate::session::SessionConfig::linger).
    async fn deliver(&mut self, feed: &mut Feed) -> std::io::Result<()>;

    /// Tells the peer that nothing more will come, after everything was delivered, and why.
    ///
    /// The session then goes on receiving, and ignores it, until the peer ends too or
    /// [`SessionConfig::linger`](crate::session::SessionConfig::linger) is over: so a peer that is
    /// not told costs that time.
    ///
    /// # Errors
    ///
    /// An error ends the session, as it was about to.
    async fn close(&mut self, reason: LeaveReason) -> std::io::Result<()>;
}
