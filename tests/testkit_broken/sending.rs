//! Halves that deliver, and what can be wrong with them.

use super::{Flaw, Shared};
use async_trait::async_trait;
use chat_core::LeaveReason;
use chat_core::transport::{DeliverHalf, Feed};
use std::future::{pending, poll_fn};
use std::io;
use std::pin::Pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Waker};
use tokio::io::{AsyncWrite, AsyncWriteExt, DuplexStream, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

type Stream = WriteHalf<DuplexStream>;

pub(crate) struct Sending {
    shared: Shared,
    sink: Sink,
    /// Lines that were held back.
    back: String,
}

enum Sink {
    /// None when it was forgotten.
    Stream(Option<Stream>),
    /// To a task that writes, however much there is.
    Ahead(mpsc::UnboundedSender<String>),
    /// To a task that writes, a batch at a time.
    Task(mpsc::Sender<String>, JoinHandle<()>),
}

/// Writes what comes, until no more does.
async fn write_all(mut stream: Stream, mut recv: impl AsyncFnMut() -> Option<String>) {
    while let Some(lines) = recv().await
        && stream.write_all(lines.as_bytes()).await.is_ok()
    {}
    let _ = stream.shutdown().await;
}

impl Sending {
    pub(crate) fn new(shared: Shared, stream: Stream) -> Self {
        let sink = match shared.flaw {
            Flaw::TakesAhead => {
                let (ahead, mut all) = mpsc::unbounded_channel();
                tokio::spawn(write_all(stream, async move || all.recv().await));
                Sink::Ahead(ahead)
            }
            Flaw::DropsTheRestAtTheEnd => {
                let (batches, mut all) = mpsc::channel(1);
                let task = tokio::spawn(write_all(stream, async move || all.recv().await));
                Sink::Task(batches, task)
            }
            _ => Sink::Stream(Some(stream)),
        };
        Self {
            shared,
            sink,
            back: String::new(),
        }
    }

    async fn deliver_to_stream(&mut self, feed: &mut Feed) -> io::Result<()> {
        let Sink::Stream(Some(stream)) = &mut self.sink else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        match self.shared.flaw {
            Flaw::StopsSendingAtTheEnd if self.shared.ended.load(SeqCst) => drop(feed.take()),
            Flaw::HoldsTheLastLineBack => {
                let mut lines = std::mem::take(&mut self.back) + &feed.take();
                let end = lines
                    .trim_end_matches('\n')
                    .rfind('\n')
                    .map_or(0, |end| end + 1);
                // The greeting is let through.
                if !lines.starts_with("You are") {
                    self.back = lines.split_off(end);
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
            Flaw::ForgetsWhatDidNotFit => {
                let lines = feed.take();
                let _ = stream.write(lines.as_bytes()).await?;
            }
            Flaw::GivesTheBeginOfABatch => {
                let mut lines = feed.take();
                lines.truncate(lines[..lines.len().min(100)].rfind('\n').unwrap_or(0) + 1);
                stream.write_all(lines.as_bytes()).await?;
            }
            Flaw::LeavesOutNotices => {
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
            Flaw::RepeatsWhatDidNotFit => {
                let write = |bytes: &[u8]| match write_now(stream, bytes) {
                    Poll::Ready(Ok(taken)) if taken < bytes.len() => Ok(taken - 1),
                    Poll::Ready(taken) => taken,
                    Poll::Pending => Ok(0),
                };
                if feed.lend(write)? == 0 {
                    lend(stream, feed).await?;
                }
            }
            Flaw::ThrowsAwayWhatHasNoRoom => {
                let lines = feed.take();
                let _ = write_now(stream, lines.as_bytes());
            }
            Flaw::SpinsWithoutRoom => {
                feed.lend(|bytes| match write_now(stream, bytes) {
                    Poll::Ready(taken) => taken,
                    Poll::Pending => Ok(0),
                })?;
            }
            _ => {
                let sent = lend(stream, feed).await;
                if self.shared.flaw != Flaw::NeverSeesTheEnd {
                    sent?;
                } else if sent.is_err() {
                    drop(feed.take());
                }
            }
        }
        Ok(())
    }
}

/// Writes what there is room for, and is not woken when there is more.
fn write_now(stream: &mut Stream, bytes: &[u8]) -> Poll<io::Result<usize>> {
    Pin::new(stream).poll_write(&mut Context::from_waker(Waker::noop()), bytes)
}

/// How it is done.
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
impl DeliverHalf for Sending {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        let lock = self.shared.lock.clone();
        let _lock = match self.shared.flaw {
            Flaw::SendsUnderTheLockOfReceiving => Some(lock.lock().await),
            _ => None,
        };
        match &mut self.sink {
            Sink::Stream(_) => self.deliver_to_stream(feed).await,
            Sink::Ahead(ahead) => ahead.send(feed.take()).map_err(io::Error::other),
            Sink::Task(batches, _) => {
                let room = batches.reserve().await.map_err(io::Error::other)?;
                room.send(feed.take());
                Ok(())
            }
        }
    }

    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        match &mut self.sink {
            _ if self.shared.flaw == Flaw::NeverTellsTheEnd => Ok(()),
            Sink::Stream(Some(stream)) => stream.shutdown().await,
            Sink::Stream(None) | Sink::Ahead(_) => Ok(()),
            Sink::Task(_, task) => {
                task.abort();
                Ok(())
            }
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        if self.shared.flaw == Flaw::ForgetsToHangUp
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
