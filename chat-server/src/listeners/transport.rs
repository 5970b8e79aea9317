//! The transport of a TCP connection.

use chat_core::transport::{DeliverHalf, IoTransport, ReceiveHalf, Transport};
use socket2::SockRef;
use std::io::{self, ErrorKind};
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::task::{Context, Poll, ready};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;

/// A peer's TCP connection, made from a `TcpStream`.
// An `IoTransport` that needs one system call less to close.
#[derive(Debug)]
pub struct TcpTransport(TcpStream);

impl From<TcpStream> for TcpTransport {
    fn from(stream: TcpStream) -> Self {
        Self(stream)
    }
}

impl Transport for TcpTransport {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        let connection = Arc::new(Connection {
            stream: self.0,
            is_read_to_end: AtomicBool::new(false),
        });
        let halves = IoTransport::from_halves(Reader(connection.clone()), Writer(connection));
        #[cfg(all(unix, not(target_vendor = "apple")))]
        let halves = halves.with_try_write(try_write).with_prepare(prepare);
        Box::new(halves).split()
    }
}

/// What the halves share. `TcpStream::into_split` has no place for the flag.
#[derive(Debug)]
struct Connection {
    stream: TcpStream,
    /// Whether the reader has seen the end of the peer's input. Both halves run in one task.
    is_read_to_end: AtomicBool,
}

#[derive(Debug)]
struct Reader(Arc<Connection>);

impl AsyncRead for Reader {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Connection {
            stream,
            is_read_to_end,
        } = &*self.0;
        let bytes = buffer.initialize_unfilled();
        let read = loop {
            ready!(stream.poll_read_ready(cx))?;
            match transfer(stream, Interest::READABLE, bytes.len(), || {
                stream.try_read(bytes)
            }) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => break read?,
            }
        };
        if read == 0 && !bytes.is_empty() {
            is_read_to_end.store(true, Relaxed);
        }
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

#[derive(Debug)]
struct Writer(Arc<Connection>);

impl AsyncWrite for Writer {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let stream = &self.0.stream;
        loop {
            ready!(stream.poll_write_ready(cx))?;
            match transfer(stream, Interest::WRITABLE, bytes.len(), || {
                stream.try_write(bytes)
            }) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                written => return Poll::Ready(written),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The system sends what it was given.
        Poll::Ready(Ok(()))
    }

    /// Ends the output. If the peer has ended its input before, and all of that was read, the session is over:
    /// the system then ends the output when the connection is closed, and there is no unread input
    /// for which it would reset the connection instead.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Connection {
            stream,
            is_read_to_end,
        } = &*self.0;
        if is_read_to_end.load(Relaxed) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(match SockRef::from(stream).shutdown(Shutdown::Write) {
            // The peer has reset the connection.
            Err(error) if error.kind() == ErrorKind::NotConnected => Ok(()),
            shut_down => shut_down,
        })
    }
}

/// Writes without a look at the runtime's readiness of the socket. The memory of a quiet peer is not in
/// the processor's caches, and loading it is most of what a delivery costs beside the system call.
// Not on Apple's systems, which have no flag against the signal.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn try_write(writer: &Writer, bytes: &[u8]) -> io::Result<usize> {
    let stream = &writer.0.stream;
    // The socket does not block.
    let sent = rustix::net::send(stream, bytes, rustix::net::SendFlags::NOSIGNAL);
    Ok(sent?)
}

/// Loads the descriptor.
#[cfg(all(unix, not(target_vendor = "apple")))]
fn prepare(writer: &Writer) {
    std::hint::black_box(std::os::fd::AsFd::as_fd(&writer.0.stream));
}

/// Reads or writes, at most `most` bytes. A transfer of fewer bytes shows that the system has no
/// more, or takes no more, until there is an event. So the runtime need not find that out by
/// another call, as its own streams do not.
fn transfer(
    stream: &TcpStream,
    interest: Interest,
    most: usize,
    transfer: impl FnOnce() -> io::Result<usize>,
) -> io::Result<usize> {
    let mut transferred = 0;
    let result = stream.try_io(interest, || {
        transferred = transfer()?;
        // True of edge-triggered events, as the runtime uses them on Linux.
        match cfg!(target_os = "linux") && (1..most).contains(&transferred) {
            true => Err(ErrorKind::WouldBlock.into()),
            false => Ok(()),
        }
    });
    match transferred {
        0 => result.map(|()| 0),
        _ => Ok(transferred),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    /// The halves of a connection, and its peer.
    async fn connect() -> io::Result<(Reader, Writer, TcpStream)> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let peer = TcpStream::connect(listener.local_addr()?).await?;
        let (stream, _) = listener.accept().await?;
        let connection = Arc::new(Connection {
            stream,
            is_read_to_end: AtomicBool::new(false),
        });
        Ok((Reader(connection.clone()), Writer(connection), peer))
    }

    mod shutdown {
        use super::*;

        #[tokio::test]
        async fn ends_output_before_input_ends() -> io::Result<()> {
            let (_reader, mut writer, mut peer) = connect().await?;
            writer.write_all(b"bye").await?;
            writer.shutdown().await?;
            let mut output = String::new();
            peer.read_to_string(&mut output).await?;
            assert_eq!(output, "bye");
            Ok(())
        }

        #[tokio::test]
        async fn ends_output_despite_unread_end() -> io::Result<()> {
            let (mut reader, mut writer, mut peer) = connect().await?;
            peer.write_all(b"hi").await?;
            peer.shutdown().await?;
            reader.read_exact(&mut [0; 2]).await?;
            writer.shutdown().await?;
            assert_eq!(peer.read(&mut [0; 1]).await?, 0);
            Ok(())
        }

        #[tokio::test]
        async fn after_end_is_left_to_closing() -> io::Result<()> {
            let (mut reader, mut writer, mut peer) = connect().await?;
            peer.write_all(b"hi").await?;
            peer.shutdown().await?;
            let mut input = String::new();
            reader.read_to_string(&mut input).await?;
            assert_eq!(input, "hi");
            writer.shutdown().await?;
            // The connection can still be written to.
            writer.write_all(b"bye").await?;
            drop((reader, writer));
            let mut output = String::new();
            peer.read_to_string(&mut output).await?;
            assert_eq!(output, "bye");
            Ok(())
        }

        #[tokio::test]
        async fn of_reset_connection_succeeds() -> io::Result<()> {
            let (mut reader, mut writer, peer) = connect().await?;
            peer.set_zero_linger()?;
            drop(peer);
            assert!(reader.read(&mut [0; 1]).await.is_err());
            writer.shutdown().await
        }
    }

    mod reader {
        use super::*;

        #[tokio::test]
        async fn is_woken_after_partial_read() -> io::Result<()> {
            let (mut reader, _writer, mut peer) = connect().await?;
            for piece in [b"one".as_slice(), b"two", b"three"] {
                let sent = async {
                    tokio::task::yield_now().await;
                    peer.write_all(piece).await
                };
                let mut input = [0; 16];
                let (read, sent) = tokio::join!(reader.read(&mut input), sent);
                sent?;
                assert_eq!(&input[..read?], piece);
            }
            Ok(())
        }
    }
}
