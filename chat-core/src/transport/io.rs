//! The adapter for byte streams.

use super::{Attempt, DeliverHalf, ReceiveHalf, Received, Transport};
use crate::buffer;
use crate::peer::feed::Feed;
use crate::peer::inbox::Inbox;
use crate::types::event::LeaveReason;
use async_trait::async_trait;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, ReadHalf, WriteHalf};

/// A [`Transport`] of UTF-8 lines over a byte stream: a socket, TLS, a pipe, a serial port.
///
/// It has no buffer of its own: it reads into, and writes from, memory that its thread lends it. One
/// write takes everything that the peer has not received yet, up to 64 KiB. A flush follows each
/// write.
#[derive(Debug)]
pub struct IoTransport<R, W> {
    reader: R,
    writer: W,
    try_write: Option<TryWrite<W>>,
    prepare: Option<fn(&W)>,
}

/// A write that does not wait; see [`IoTransport::with_try_write`].
type TryWrite<W> = fn(&W, &[u8]) -> io::Result<usize>;

/// The [`IoTransport`] of one stream, as [`IoTransport::new`] returns it.
pub type StreamTransport<T> = IoTransport<ReadHalf<T>, WriteHalf<T>>;

impl<T: AsyncRead + AsyncWrite + Send + 'static> StreamTransport<T> {
    /// A transport over one stream, which it splits by [`tokio::io::split`].
    pub fn new(stream: T) -> Self {
        let (reader, writer) = tokio::io::split(stream);
        Self::from_halves(reader, writer)
    }
}

impl<R, W> IoTransport<R, W> {
    /// A transport over a reader and a writer: two pipes, or a stream that has a cheaper way to
    /// split, such as `TcpStream::into_split`.
    pub fn from_halves(reader: R, writer: W) -> Self {
        Self {
            reader,
            writer,
            try_write: None,
            prepare: None,
        }
    }

    /// Sets a write for a writer that has a cheaper way to write without waiting than
    /// [`poll_write`](AsyncWrite::poll_write), which is used otherwise.
    ///
    /// It writes to the peer, not to a buffer that has to be flushed, and returns the number of bytes
    /// that it wrote. If it can write nothing now, it returns
    /// [`WouldBlock`](io::ErrorKind::WouldBlock). No bytes written count as
    /// [`WriteZero`](io::ErrorKind::WriteZero), which ends the session like any other error.
    pub fn with_try_write(mut self, try_write: fn(&W, &[u8]) -> io::Result<usize>) -> Self {
        self.try_write = Some(try_write);
        self
    }

    /// Sets a function that reads the memory which the next write is going to need; see
    /// [`DeliverHalf::prepare`].
    pub fn with_prepare(mut self, prepare: fn(&W)) -> Self {
        self.prepare = Some(prepare);
        self
    }
}

impl<R, W> Transport for IoTransport<R, W>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        (
            Box::new(Reader(self.reader)),
            Box::new(Writer {
                writer: Some(self.writer),
                try_write: self.try_write,
                prepare: self.prepare,
            }),
        )
    }
}

struct Reader<R>(R);

#[async_trait]
impl<R: AsyncRead + Send + Unpin> ReceiveHalf for Reader<R> {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        poll_fn(|cx| {
            buffer::lend_for_reading(|buffer| {
                let room = inbox.capacity().min(buffer.len());
                let mut buffer = ReadBuf::new(&mut buffer[..room]);
                ready!(Pin::new(&mut self.0).poll_read(cx, &mut buffer))?;
                if buffer.filled().is_empty() {
                    return Poll::Ready(Ok(Received::End));
                }
                inbox.bytes(buffer.filled());
                Poll::Ready(Ok(Received::More))
            })
        })
        .await
    }
}

struct Writer<W> {
    /// `None` after it was closed: a pipe is closed only by dropping it.
    writer: Option<W>,
    try_write: Option<TryWrite<W>>,
    prepare: Option<fn(&W)>,
}

impl<W: AsyncWrite + Unpin> Writer<W> {
    /// Writes and flushes as far as that is possible without waiting. A waker is not needed: the
    /// session calls `deliver` next.
    fn poll_once(writer: &mut W, lines: &[u8]) -> io::Result<Attempt> {
        let mut writer = Pin::new(writer);
        let mut cx = Context::from_waker(Waker::noop());
        let taken = match writer.as_mut().poll_write(&mut cx, lines)? {
            Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
            Poll::Ready(taken) => taken,
            Poll::Pending => return Ok(Attempt::Partial(0)),
        };
        let flushed = writer.poll_flush(&mut cx)?.is_ready();
        Ok(match flushed && taken == lines.len() {
            true => Attempt::Complete,
            false => Attempt::Partial(taken),
        })
    }
}

#[async_trait]
impl<W: AsyncWrite + Send + Unpin> DeliverHalf for Writer<W> {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        let writer = self.writer.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        poll_fn(|cx| {
            let mut full = false;
            let given = feed.lend(|bytes| match Pin::new(&mut *writer).poll_write(cx, bytes) {
                Poll::Ready(Ok(0)) => Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(taken) => taken,
                // The writer has the waker now, and the feed takes its bytes back.
                Poll::Pending => {
                    full = true;
                    Ok(0)
                }
            });
            if full {
                Poll::Pending
            } else {
                Poll::Ready(given)
            }
        })
        .await?;
        writer.flush().await
    }

    fn try_deliver(&mut self, lines: &[u8]) -> io::Result<Attempt> {
        let writer = self.writer.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let Some(try_write) = self.try_write else {
            return Self::poll_once(writer, lines);
        };
        match try_write(writer, lines) {
            Ok(0) => Err(io::ErrorKind::WriteZero.into()),
            Ok(taken) if taken == lines.len() => Ok(Attempt::Complete),
            Ok(taken) => Ok(Attempt::Partial(taken)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Attempt::Partial(0)),
            Err(error) => Err(error),
        }
    }

    fn prepare(&self) {
        if let (Some(writer), Some(prepare)) = (&self.writer, self.prepare) {
            prepare(writer);
        }
    }

    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        if let Some(writer) = &mut self.writer {
            writer.shutdown().await?;
        }
        self.writer = None;
        Ok(())
    }
}
