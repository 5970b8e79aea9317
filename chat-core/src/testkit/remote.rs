//! The peer's end of a connection, which the transport's author provides.

use async_trait::async_trait;
use std::fmt;
use std::io;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The sizes of a [`Stream`]'s reads, in turn: from a single byte to everything.
const READ_SIZES: [usize; 6] = [1, 16 * 1024, 7, 61, 4096, 1021];

/// The peer's end of a connection, operated by the checks.
///
/// Three methods are required. The others are for capabilities that not every connection has:
/// without them, the checks that need them are [skipped](super::Outcome::Skipped). [`Stream`]
/// implements all of them over any `AsyncRead + AsyncWrite`.
///
/// An implementation must not read ahead: what `receive` has not returned stays in the connection,
/// whose buffers should be as small as possible. Dropping it disconnects without notice.
///
/// # Cancel safety
///
/// Methods need not be cancel safe: a call is dropped only when its check has failed.
///
/// ```
/// use async_trait::async_trait;
/// use chat_core::testkit::Remote;
/// use std::io;
/// use tokio::sync::mpsc;
///
/// /// The peer's end of a transport over two channels of text.
/// struct Peer {
///     to_hub: Option<mpsc::Sender<String>>,
///     from_hub: mpsc::Receiver<String>,
/// }
///
/// #[async_trait]
/// impl Remote for Peer {
///     async fn send(&mut self, text: &str) -> io::Result<()> {
///         let to_hub = self.to_hub.as_ref().ok_or(io::ErrorKind::NotConnected)?;
///         to_hub.send(text.into()).await.map_err(io::Error::other)
///     }
///
///     async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
///         Ok(self.from_hub.recv().await.map(String::into_bytes))
///     }
///
///     async fn finish(&mut self) -> io::Result<()> {
///         self.to_hub = None;
///         Ok(())
///     }
/// }
/// ```
#[async_trait]
pub trait Remote: Send + 'static {
    /// Sends text: whole lines, each with `\n` at its end, at most 8 KiB per call. A transport of
    /// messages may send them as one message or as several.
    ///
    /// # Errors
    ///
    /// An error fails the check.
    async fn send(&mut self, text: &str) -> io::Result<()>;

    /// Waits for output of the hub and returns any amount of it, as lines with `\n` at their ends,
    /// not necessarily whole ones; `None` once the hub's end has closed gracefully.
    ///
    /// # Errors
    ///
    /// An error means that the connection broke.
    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>>;

    /// Ends the peer's input gracefully. It is also called after the hub's end has closed.
    ///
    /// # Errors
    ///
    /// An error fails the check, unless the hub's end has closed before.
    async fn finish(&mut self) -> io::Result<()>;

    /// Whether it still receives everything after it has [finished](Self::finish), as a TCP socket
    /// does after a half-close, and a WebSocket does not.
    fn half_closes(&self) -> bool {
        true
    }

    /// Sends bytes that need not be whole lines or characters. For byte streams only.
    ///
    /// # Errors
    ///
    /// The default implementation returns `Unsupported`.
    async fn send_part(&mut self, _part: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Breaks the connection so that the hub's end can distinguish it from a graceful end, as a TCP reset
    /// does, or a WebSocket that ends without a closing handshake.
    ///
    /// # Errors
    ///
    /// The default implementation returns `Unsupported`.
    async fn reset(&mut self) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// A [`Remote`] over a byte stream: a socket, a pipe, a serial line.
pub struct Stream<S> {
    /// `None` after a reset.
    stream: Option<S>,
    reset: Option<Box<dyn FnOnce(S) + Send>>,
    reads: usize,
}

impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream<S> {
    /// A peer at this end of a stream. [`finish`](Remote::finish) calls
    /// [`shutdown`](AsyncWriteExt::shutdown), which must half-close the stream.
    pub fn new(stream: S) -> Self {
        Self {
            stream: Some(stream),
            reset: None,
            reads: 0,
        }
    }

    /// Adds the capability to [reset](Remote::reset) the connection, such as
    /// `|tcp| drop(tcp.set_zero_linger())`.
    #[must_use]
    pub fn with_reset(mut self, reset: impl FnOnce(S) + Send + 'static) -> Self {
        self.reset = Some(Box::new(reset));
        self
    }

    fn stream(&mut self) -> io::Result<&mut S> {
        let stream = self.stream.as_mut();
        stream.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

#[async_trait]
impl<S: AsyncRead + AsyncWrite + Send + Unpin + 'static> Remote for Stream<S> {
    async fn send(&mut self, text: &str) -> io::Result<()> {
        self.send_part(text.as_bytes()).await
    }

    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut piece = vec![0; READ_SIZES[self.reads % READ_SIZES.len()]];
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
