//! The other end of a connection, which its author brings along.

use async_trait::async_trait;
use std::fmt;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// What a [`Stream`] reads at a time, in turn: the hub's end is to meet a peer that makes room
/// for a single byte, and one that takes all.
const READS: [usize; 6] = [1, 16 * 1024, 7, 61, 4096, 1021];

/// The other end of a connection: the peer, in the hands of the kit.
///
/// Three methods have to be written. The others are for what not every connection can do: leave
/// them out, and the checks that need them are [skipped](super::Outcome::Skipped), which the
/// report says. Whatever is `AsyncRead + AsyncWrite` has all of it by [`Stream`].
///
/// It must not receive ahead: what it was not asked for stays in the connection, whose buffers
/// are to be as small as they can be made. To drop it is to hang up without a word. A call is
/// dropped only when a check has failed.
///
/// ```
/// use async_trait::async_trait;
/// use chat_core::testkit::Remote;
/// use std::io;
/// use tokio::sync::mpsc;
///
/// /// The other end of a transport over two channels of text.
/// struct Peer {
///     say: Option<mpsc::Sender<String>>,
///     hear: mpsc::Receiver<String>,
/// }
///
/// #[async_trait]
/// impl Remote for Peer {
///     async fn send(&mut self, text: &str) -> io::Result<()> {
///         let say = self.say.as_ref().ok_or(io::ErrorKind::NotConnected)?;
///         say.send(text.into()).await.map_err(io::Error::other)
///     }
///
///     async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
///         Ok(self.hear.recv().await.map(String::into_bytes))
///     }
///
///     async fn finish(&mut self) -> io::Result<()> {
///         self.say = None;
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait Remote: Send + 'static {
    /// Sends text: whole lines, each with `\n` at its end, at most 8 KiB at a time. Where
    /// messages have ends of their own, as one message or as several.
    ///
    /// # Errors
    ///
    /// An error fails the check.
    async fn send(&mut self, text: &str) -> io::Result<()>;

    /// Waits for what the hub sends, and gives as much of it as it likes, as lines with `\n` at
    /// their ends; `None` when the hub's end has said that nothing more will come.
    ///
    /// # Errors
    ///
    /// An error says that the connection broke.
    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>>;

    /// Says, in order, that it will send no more, also after the hub's end has said so.
    ///
    /// # Errors
    ///
    /// An error fails the check, unless the hub's end has said its own.
    async fn finish(&mut self) -> io::Result<()>;

    /// Whether it still receives after it has [finished](Self::finish), and all of it: a half
    /// close. A WebSocket does not.
    fn half_closes(&self) -> bool {
        true
    }

    /// Sends these bytes, which need not be whole lines or characters. Only for byte streams.
    ///
    /// # Errors
    ///
    /// `Unsupported`, unless it is written.
    async fn send_part(&mut self, _part: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Breaks the connection so that the hub's end can tell it from an orderly end, as a reset
    /// of TCP, or a WebSocket that goes away without closing.
    ///
    /// # Errors
    ///
    /// `Unsupported`, unless it is written.
    async fn reset(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A [`Remote`] at the other end of a byte stream: a socket, a pipe, a serial line.
pub struct Stream<S> {
    /// None when it was reset.
    stream: Option<S>,
    reset: Option<Box<dyn FnOnce(S) + Send>>,
    reads: usize,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream<S> {
    /// The peer at this end of a stream. It hangs up by dropping it, and half-closes by
    /// `shutdown`.
    pub fn new(stream: S) -> Self {
        Self {
            stream: Some(stream),
            reset: None,
            reads: 0,
        }
    }

    /// The same, which can also be reset, by `reset`: `|tcp| drop(tcp.set_zero_linger())`.
    #[must_use]
    pub fn with_reset(mut self, reset: impl FnOnce(S) + Send + 'static) -> Self {
        self.reset = Some(Box::new(reset));
        self
    }

    fn stream(&mut self) -> io::Result<&mut S> {
        let gone = io::ErrorKind::NotConnected;
        self.stream.as_mut().ok_or_else(|| gone.into())
    }
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Remote for Stream<S> {
    async fn send(&mut self, text: &str) -> io::Result<()> {
        self.send_part(text.as_bytes()).await
    }

    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut piece = vec![0; READS[self.reads % READS.len()]];
        self.reads += 1;
        let read = self.stream()?.read(&mut piece).await?;
        piece.truncate(read);
        Ok((read > 0).then_some(piece))
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.stream()?.shutdown().await
    }

    async fn send_part(&mut self, part: &[u8]) -> io::Result<()> {
        let stream = self.stream()?;
        stream.write_all(part).await?;
        stream.flush().await
    }

    async fn reset(&mut self) -> io::Result<()> {
        let reset = self.reset.take().ok_or(io::ErrorKind::Unsupported)?;
        let stream = self.stream.take().ok_or(io::ErrorKind::NotConnected)?;
        reset(stream);
        Ok(())
    }
}

impl<S> fmt::Debug for Stream<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream")
            .field("connected", &self.stream.is_some())
            .finish_non_exhaustive()
    }
}
