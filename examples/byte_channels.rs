//! A custom transport of bytes, and its conformance checks.
//!
//! ```text
//! cargo run --example byte_channels
//! ```
//!
//! A peer sends and receives pieces of a byte stream over two channels. A piece may end anywhere,
//! also within a line or a character. You will see the outcome of each check of
//! `chat_core::testkit`. It ends by itself, with exit code 1 if a check fails.

use async_trait::async_trait;
use chat_core::LeaveReason;
use chat_core::testkit::{self, Remote};
use chat_core::transport::{Attempt, DeliverHalf, Feed, Inbox, ReceiveHalf, Received, Transport};
use std::io;
use std::process::ExitCode;
use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;

/// Bytes of a piece at most.
const PIECE: usize = 100;

/// Pieces that a channel holds.
const CAPACITY: usize = 4;

// The hub's end.

struct ByteTransport {
    from_peer: mpsc::Receiver<Vec<u8>>,
    to_peer: mpsc::Sender<Vec<u8>>,
}

impl Transport for ByteTransport {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        (
            Box::new(ByteReceiver(self.from_peer)),
            Box::new(ByteDeliverer(Some(self.to_peer))),
        )
    }
}

struct ByteReceiver(mpsc::Receiver<Vec<u8>>);

#[async_trait]
impl ReceiveHalf for ByteReceiver {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        let Some(piece) = self.0.recv().await else {
            return Ok(Received::End);
        };
        let mut budget = inbox.capacity().saturating_sub(piece.len());
        inbox.bytes(&piece);
        // The session publishes what one call receives together.
        while budget > 0
            && let Ok(piece) = self.0.try_recv()
        {
            budget = budget.saturating_sub(piece.len());
            inbox.bytes(&piece);
        }
        Ok(Received::More)
    }
}

/// `None` after it was closed.
struct ByteDeliverer(Option<mpsc::Sender<Vec<u8>>>);

#[async_trait]
impl DeliverHalf for ByteDeliverer {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        let sender = self.0.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        // First the permit, then the bytes: until they are taken, they cost nothing.
        let permit = sender.reserve().await.map_err(io::Error::other)?;
        feed.lend(|bytes| {
            let piece = &bytes[..bytes.len().min(PIECE)];
            permit.send(piece.into());
            Ok(piece.len())
        })?;
        Ok(())
    }

    // Optional: without it, each peer is delivered to by its own task.
    fn try_deliver(&mut self, lines: &[u8]) -> io::Result<Attempt> {
        let sender = self.0.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let mut taken = 0;
        for piece in lines.chunks(PIECE) {
            match sender.try_send(piece.into()) {
                Ok(()) => taken += piece.len(),
                Err(TrySendError::Full(_)) => return Ok(Attempt::Partial(taken)),
                Err(closed) => return Err(io::Error::other(closed)),
            }
        }
        Ok(Attempt::Complete)
    }

    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        // The peer sees the end of its channel.
        self.0 = None;
        Ok(())
    }
}

// The peer's end, for the checks.

struct Peer {
    /// `None` after the peer has ended its input.
    to_hub: Option<mpsc::Sender<Vec<u8>>>,
    from_hub: mpsc::Receiver<Vec<u8>>,
}

#[async_trait]
impl Remote for Peer {
    async fn send(&mut self, text: &str) -> io::Result<()> {
        for piece in text.as_bytes().chunks(PIECE) {
            self.send_part(piece).await?;
        }
        Ok(())
    }

    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.from_hub.recv().await)
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.to_hub = None;
        Ok(())
    }

    async fn send_part(&mut self, part: &[u8]) -> io::Result<()> {
        let to_hub = self.to_hub.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        to_hub.send(part.into()).await.map_err(io::Error::other)
    }
}

async fn connect() -> io::Result<(ByteTransport, Peer)> {
    let (to_hub, from_peer) = mpsc::channel(CAPACITY);
    let (to_peer, from_hub) = mpsc::channel(CAPACITY);
    let to_hub = Some(to_hub);
    Ok((
        ByteTransport { from_peer, to_peer },
        Peer { to_hub, from_hub },
    ))
}

// Nothing waits for the outside, so time can be paused, as in a test.
#[tokio::main(flavor = "current_thread", start_paused = true)]
async fn main() -> ExitCode {
    let report = testkit::check(connect).await;
    print!("{report}");
    match report.failed().is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_core::testkit::Check;

    #[tokio::test(start_paused = true)]
    async fn transport_passes_all_checks() {
        let report = testkit::check(connect).await;
        // To a channel, a dropped sender is the end of input.
        report.assert_passed_but(&[Check::Reset]);
        assert_eq!(report.not_applicable(), [], "{report}");
    }
}
