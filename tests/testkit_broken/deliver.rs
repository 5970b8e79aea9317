//! The delivering half and its flaws.

use super::attempt::{self, Kept};
use super::{Flaw, Shared};
use async_trait::async_trait;
use chat_core::LeaveReason;
use chat_core::transport::{Attempt, DeliverHalf, Feed};
use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncWrite, AsyncWriteExt, DuplexStream, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(crate) type Stream = WriteHalf<DuplexStream>;

pub(crate) struct FlawedDeliverer {
    shared: Shared,
    sink: Sink,
    /// The line that is delayed.
    delayed: String,
    /// What attempts have left.
    kept: Kept,
}

enum Sink {
    /// `None` after it was leaked.
    Stream(Option<Stream>),
    /// A task that writes, with an unbounded queue.
    Queue(mpsc::UnboundedSender<String>),
    /// A task that writes, with a queue of one batch.
    Task(mpsc::Sender<String>, JoinHandle<()>),
}

/// Writes batches until there are no more.
async fn write_all(mut stream: Stream, mut next: impl AsyncFnMut() -> Option<String>) {
    while let Some(lines) = next().await
        && stream.write_all(lines.as_bytes()).await.is_ok()
    {}
    let _ = stream.shutdown().await;
}

impl FlawedDeliverer {
    pub(crate) fn new(shared: Shared, stream: Stream) -> Self {
        let sink = match shared.flaw {
            Flaw::QueuesWithoutBound => {
                let (queue, mut batches) = mpsc::unbounded_channel();
                tokio::spawn(write_all(stream, async move || batches.recv().await));
                Sink::Queue(queue)
            }
            Flaw::AbortsWritesOnClose => {
                let (queue, mut batches) = mpsc::channel(1);
                let task = tokio::spawn(write_all(stream, async move || batches.recv().await));
                Sink::Task(queue, task)
            }
            _ => Sink::Stream(Some(stream)),
        };
        Self {
            shared,
            sink,
            delayed: String::new(),
            kept: Kept::default(),
        }
    }

    async fn deliver_to_stream(&mut self, feed: &mut Feed) -> io::Result<()> {
        let Sink::Stream(Some(stream)) = &mut self.sink else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        if self.shared.flaw != Flaw::FlushesOnlyWithLines {
            self.kept.write(stream).await?;
        }
        match self.shared.flaw {
            Flaw::StopsDeliveringAtEnd if self.shared.input_ended.load(SeqCst) => drop(feed.take()),
            Flaw::DelaysLastLine => {
                let mut lines = std::mem::take(&mut self.delayed) + &feed.take();
                let end = lines
                    .trim_end_matches('\n')
                    .rfind('\n')
                    .map_or(0, |end| end + 1);
                // The greeting is not delayed.
                if !lines.starts_with("You are") {
                    self.delayed = lines.split_off(end);
                }
                stream.write_all(lines.as_bytes()).await?;
            }
            Flaw::SplitsCharacters => {
                let lines = feed.take();
                for piece in lines.as_bytes().chunks(1000) {
                    let piece = String::from_utf8_lossy(piece).into_owned();
                    stream.write_all(piece.as_bytes()).await?;
                }
            }
            Flaw::DropsUnwrittenBytes => {
                let lines = feed.take();
                let _ = stream.write(lines.as_bytes()).await?;
            }
            Flaw::TruncatesBatches => {
                let mut lines = feed.take();
                lines.truncate(lines[..lines.len().min(100)].rfind('\n').unwrap_or(0) + 1);
                stream.write_all(lines.as_bytes()).await?;
            }
            Flaw::DropsNotices => {
                let lines = feed.take();
                let lines = lines
                    .split_inclusive('\n')
                    .filter(|line| !line.starts_with('*'));
                stream
                    .write_all(lines.collect::<String>().as_bytes())
                    .await?;
            }
            Flaw::TakesAllInOneCall => loop {
                if lend(stream, feed).await? == 0 {
                    break;
                }
            },
            Flaw::RepeatsWrittenBytes => {
                let write = |bytes: &[u8]| match write_now(stream, bytes) {
                    Poll::Ready(Ok(taken)) if taken < bytes.len() => Ok(taken - 1),
                    Poll::Ready(taken) => taken,
                    Poll::Pending => Ok(0),
                };
                if feed.lend(write)? == 0 {
                    lend(stream, feed).await?;
                }
            }
            Flaw::DropsLinesWhenFull => {
                let lines = feed.take();
                let _ = write_now(stream, lines.as_bytes());
            }
            Flaw::PollsWhenFull => {
                feed.lend(|bytes| match write_now(stream, bytes) {
                    Poll::Ready(taken) => taken,
                    Poll::Pending => Ok(0),
                })?;
            }
            Flaw::FlushesOnlyWithLines => {
                let lines = feed.take();
                if !lines.is_empty() {
                    self.kept.write(stream).await?;
                    stream.write_all(lines.as_bytes()).await?;
                }
            }
            Flaw::RetriesAfterErrors => drop(lend(stream, feed).await),
            _ => {
                let sent = lend(stream, feed).await;
                if self.shared.flaw != Flaw::IgnoresEndOfInput {
                    sent?;
                } else if sent.is_err() {
                    drop(feed.take());
                }
            }
        }
        Ok(())
    }
}

/// Writes as much as there is capacity for, without registering a waker.
pub(crate) fn write_now(stream: &mut Stream, bytes: &[u8]) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_write(&mut Context::from_waker(Waker::noop()), bytes)
}

/// Writes correctly: the feed keeps what the stream does not take.
async fn lend(stream: &mut Stream, feed: &mut Feed) -> io::Result<usize> {
    poll_fn(|cx| {
        let mut full = false;
        let given = feed.lend(|bytes| match Pin::new(&mut *stream).poll_write(cx, bytes) {
            Poll::Ready(taken) => taken,
            Poll::Pending => {
                full = true;
                Ok(0)
            }
        });
        match full {
            true => Poll::Pending,
            false => Poll::Ready(given),
        }
    })
    .await
}

#[async_trait]
impl DeliverHalf for FlawedDeliverer {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        let lock = self.shared.lock.clone();
        let _lock = match self.shared.flaw {
            Flaw::LocksBothHalves => Some(lock.lock().await),
            _ => None,
        };
        match &mut self.sink {
            Sink::Stream(_) => self.deliver_to_stream(feed).await,
            Sink::Queue(queue) => queue.send(feed.take()).map_err(io::Error::other),
            Sink::Task(queue, _) => {
                let permit = queue.reserve().await.map_err(io::Error::other)?;
                permit.send(feed.take());
                Ok(())
            }
        }
    }

    fn try_deliver(&mut self, lines: &[u8]) -> io::Result<Attempt> {
        match &mut self.sink {
            Sink::Stream(Some(stream)) => {
                attempt::try_deliver(self.shared.flaw, stream, &mut self.kept, lines)
            }
            _ => Ok(Attempt::Unsupported),
        }
    }

    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        match &mut self.sink {
            _ if self.shared.flaw == Flaw::IgnoresClose => Ok(()),
            Sink::Stream(Some(stream)) => stream.shutdown().await,
            Sink::Stream(None) | Sink::Queue(_) => Ok(()),
            Sink::Task(_, task) => {
                task.abort();
                Ok(())
            }
        }
    }
}

impl Drop for FlawedDeliverer {
    fn drop(&mut self) {
        if self.shared.flaw == Flaw::LeaksConnection
            && let Sink::Stream(stream) = &mut self.sink
        {
            let stream = stream.take();
            tokio::spawn(async move {
                pending::<()>().await;
                drop(stream);
            });
        }
    }
}
