//! The receiving half and its flaws.

use super::{Flaw, Shared};
use async_trait::async_trait;
use chat_core::transport::{Inbox, ReceiveHalf, Received};
use std::future::{Future, pending, poll_fn};
use std::io;
use std::pin::pin;
use std::sync::atomic::Ordering::SeqCst;
use std::task::Poll;
use tokio::io::{AsyncReadExt, DuplexStream, ReadHalf};
use tokio::sync::mpsc;

pub(crate) struct FlawedReceiver {
    shared: Shared,
    source: Source,
    /// An unfinished line, for flaws that work on lines.
    partial: Vec<u8>,
}

enum Source {
    Stream(ReadHalf<DuplexStream>),
    /// Pieces that a task has read ahead.
    ReadAhead(mpsc::UnboundedReceiver<Vec<u8>>),
}

impl Source {
    /// The next piece; an empty one is the end.
    async fn read(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Stream(stream) => {
                let mut piece = vec![0; 16 * 1024];
                let read = stream.read(&mut piece).await?;
                piece.truncate(read);
                Ok(piece)
            }
            Self::ReadAhead(pieces) => Ok(pieces.recv().await.unwrap_or_default()),
        }
    }
}

impl FlawedReceiver {
    pub(crate) fn new(shared: Shared, stream: ReadHalf<DuplexStream>) -> Self {
        let mut source = Source::Stream(stream);
        if shared.flaw == Flaw::ReadsAhead {
            let (sender, pieces) = mpsc::unbounded_channel();
            tokio::spawn(async move {
                while let Ok(piece) = source.read().await
                    && sender.send(piece).is_ok()
                {}
            });
            source = Source::ReadAhead(pieces);
        }
        Self {
            shared,
            source,
            partial: Vec::new(),
        }
    }

    async fn end(&self) -> io::Result<Received> {
        let is_reset = self.shared.is_reset.load(SeqCst);
        match self.shared.flaw {
            Flaw::IgnoresEndOfInput => pending().await,
            Flaw::ReportsEndAsError => Err(io::ErrorKind::UnexpectedEof.into()),
            Flaw::ReportsErrorAsEnd => Ok(Received::End),
            _ if is_reset => Err(io::ErrorKind::ConnectionReset.into()),
            _ => {
                self.shared.input_ended.store(true, SeqCst);
                Ok(Received::End)
            }
        }
    }

    /// The lines that this piece completes, each with its `\n`.
    fn lines(&mut self, piece: &[u8]) -> Vec<Vec<u8>> {
        self.partial.extend_from_slice(piece);
        let end = self.partial.iter().rposition(|byte| *byte == b'\n');
        let rest = self.partial.split_off(end.map_or(0, |end| end + 1));
        let whole = std::mem::replace(&mut self.partial, rest);
        let lines = whole.split_inclusive(|byte| *byte == b'\n');
        lines.map(<[u8]>::to_vec).collect()
    }
}

/// The next piece; `None` instead of waiting if `polls`.
async fn read(source: &mut Source, polls: bool) -> Option<io::Result<Vec<u8>>> {
    let mut reading = pin!(source.read());
    poll_fn(|cx| match reading.as_mut().poll(cx) {
        Poll::Ready(read) => Poll::Ready(Some(read)),
        Poll::Pending if polls => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

#[async_trait]
impl ReceiveHalf for FlawedReceiver {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        let flaw = self.shared.flaw;
        let polls = flaw == Flaw::PollsWithoutInput;
        let Some(read) = read(&mut self.source, polls).await else {
            return Ok(Received::More);
        };
        let mut piece = read?;
        if piece.is_empty() {
            return self.end().await;
        }
        let lock = self.shared.lock.clone();
        let _lock = match flaw {
            Flaw::LocksBothHalves => Some(lock.lock().await),
            _ => None,
        };
        match flaw {
            Flaw::WaitsForMoreInput => {
                let more = self.source.read().await?;
                piece.extend(more);
                inbox.bytes(&piece);
            }
            Flaw::DecodesEachPiece => inbox.bytes(String::from_utf8_lossy(&piece).as_bytes()),
            Flaw::TreatsPiecesAsLines => inbox.text(&String::from_utf8_lossy(&piece)),
            Flaw::DropsEmptyLines => {
                let mut lines = self.lines(&piece);
                lines.retain(|line| line != b"\n");
                inbox.bytes(&lines.concat());
            }
            Flaw::TruncatesLongLines => {
                for mut line in self.lines(&piece) {
                    line.truncate(4096);
                    inbox.text(&String::from_utf8_lossy(&line));
                }
            }
            Flaw::ReversesLines => {
                let mut lines = self.lines(&piece);
                lines.reverse();
                inbox.bytes(&lines.concat());
            }
            Flaw::DropsAllButFirstLine => {
                let mut lines = self.lines(&piece);
                lines.truncate(1);
                inbox.bytes(&lines.concat());
            }
            Flaw::MergesLines => {
                let lines = self.lines(&piece);
                let mut merged = lines.concat();
                merged.pop();
                if !lines.is_empty() {
                    inbox.text(&String::from_utf8_lossy(&merged).replace('\n', " "));
                }
            }
            _ => inbox.bytes(&piece),
        }
        Ok(Received::More)
    }
}
