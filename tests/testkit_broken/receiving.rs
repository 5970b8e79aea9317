//! Halves that receive, and what can be wrong with them.

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

pub(crate) struct Receiving {
    shared: Shared,
    source: Source,
    /// The begin of a line, for those who look at lines.
    begin: Vec<u8>,
}

enum Source {
    Stream(ReadHalf<DuplexStream>),
    /// Everything, as soon as it comes.
    Ahead(mpsc::UnboundedReceiver<Vec<u8>>),
}

impl Source {
    /// The next piece, which is empty at the end.
    async fn read(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Stream(stream) => {
                let mut piece = vec![0; 16 * 1024];
                let read = stream.read(&mut piece).await?;
                piece.truncate(read);
                Ok(piece)
            }
            Self::Ahead(pieces) => Ok(pieces.recv().await.unwrap_or_default()),
        }
    }
}

impl Receiving {
    pub(crate) fn new(shared: Shared, stream: ReadHalf<DuplexStream>) -> Self {
        let mut source = Source::Stream(stream);
        if shared.flaw == Flaw::ReadsAhead {
            let (ahead, pieces) = mpsc::unbounded_channel();
            tokio::spawn(async move {
                while let Ok(piece) = source.read().await
                    && ahead.send(piece).is_ok()
                {}
            });
            source = Source::Ahead(pieces);
        }
        Self {
            shared,
            source,
            begin: Vec::new(),
        }
    }

    async fn end(&self) -> io::Result<Received> {
        let broken = self.shared.broken.load(SeqCst);
        match self.shared.flaw {
            Flaw::NeverSeesTheEnd => pending().await,
            Flaw::TakesTheEndForAnError => Err(io::ErrorKind::UnexpectedEof.into()),
            Flaw::TakesAnErrorForTheEnd => Ok(Received::End),
            _ if broken => Err(io::ErrorKind::ConnectionReset.into()),
            _ => {
                self.shared.ended.store(true, SeqCst);
                Ok(Received::End)
            }
        }
    }

    /// The lines that are whole by now, each with its end.
    fn lines(&mut self, piece: &[u8]) -> Vec<Vec<u8>> {
        self.begin.extend_from_slice(piece);
        let whole = self.begin.iter().rposition(|byte| *byte == b'\n');
        let rest = self.begin.split_off(whole.map_or(0, |end| end + 1));
        let whole = std::mem::replace(&mut self.begin, rest);
        let lines = whole.split_inclusive(|byte| *byte == b'\n');
        lines.map(<[u8]>::to_vec).collect()
    }
}

/// The next piece; if it is to spin, `None` when there is none now.
async fn read(source: &mut Source, spins: bool) -> Option<io::Result<Vec<u8>>> {
    let mut reading = pin!(source.read());
    poll_fn(|cx| match reading.as_mut().poll(cx) {
        Poll::Ready(read) => Poll::Ready(Some(read)),
        Poll::Pending if spins => Poll::Ready(None),
        Poll::Pending => Poll::Pending,
    })
    .await
}

#[async_trait]
impl ReceiveHalf for Receiving {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        let flaw = self.shared.flaw;
        let spins = flaw == Flaw::SpinsWithoutInput;
        let Some(read) = read(&mut self.source, spins).await else {
            return Ok(Received::More);
        };
        let mut piece = read?;
        if piece.is_empty() {
            return self.end().await;
        }
        let lock = self.shared.lock.clone();
        let _lock = match flaw {
            Flaw::SendsUnderTheLockOfReceiving => Some(lock.lock().await),
            _ => None,
        };
        match flaw {
            Flaw::WaitsForMore => {
                let more = self.source.read().await?;
                piece.extend(more);
                inbox.bytes(&piece);
            }
            Flaw::DecodesEachPiece => inbox.bytes(String::from_utf8_lossy(&piece).as_bytes()),
            Flaw::TakesAPieceForALine => inbox.text(&String::from_utf8_lossy(&piece)),
            Flaw::LeavesOutEmptyLines => {
                let mut lines = self.lines(&piece);
                lines.retain(|line| line != b"\n");
                inbox.bytes(&lines.concat());
            }
            Flaw::CutsLongLines => {
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
            Flaw::LosesASecondLine => {
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
