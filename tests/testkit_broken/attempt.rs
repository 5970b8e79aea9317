//! Attempts to deliver and their flaws.

use super::Flaw;
use super::deliver::{Stream, write_now};
use chat_core::transport::Attempt;
use std::io;
use std::mem;
use std::task::Poll;
use std::thread;
use std::time::Duration;
use tokio::io::AsyncWriteExt;

/// What an attempt has taken and not written.
#[derive(Default)]
pub(crate) struct Kept(Vec<u8>);

impl Kept {
    /// Writes it as far as that is possible without waiting.
    fn write_now(&mut self, stream: &mut Stream) -> io::Result<()> {
        let written = attempt(stream, &self.0)?;
        self.0.drain(..written);
        Ok(())
    }

    /// Writes all of it.
    pub(crate) async fn write(&mut self, stream: &mut Stream) -> io::Result<()> {
        stream.write_all(&mem::take(&mut self.0)).await
    }
}

/// Writes what there is capacity for, and returns the number of bytes.
fn attempt(stream: &mut Stream, bytes: &[u8]) -> io::Result<usize> {
    match write_now(stream, bytes) {
        Poll::Ready(written) => written,
        Poll::Pending => Ok(0),
    }
}

pub(crate) fn try_deliver(
    flaw: Flaw,
    stream: &mut Stream,
    kept: &mut Kept,
    lines: &[u8],
) -> io::Result<Attempt> {
    match flaw {
        Flaw::Unsupported => return Ok(Attempt::Unsupported),
        Flaw::BlocksWhenFull => {
            let mut rest = lines;
            while !rest.is_empty() {
                rest = &rest[attempt(stream, rest)?..];
                thread::sleep(Duration::from_millis(1));
            }
            return Ok(Attempt::Complete);
        }
        Flaw::BuffersAttempts if kept.0.is_empty() => {
            kept.0 = lines.into();
            return Ok(Attempt::Complete);
        }
        Flaw::BuffersAttempts => return Ok(Attempt::Partial(0)),
        Flaw::DelaysLastLineOfAttempts => {
            kept.write_now(stream)?;
            if !kept.0.is_empty() {
                return Ok(Attempt::Partial(0));
            }
            let last = lines[..lines.len() - 1]
                .iter()
                .rposition(|byte| *byte == b'\n');
            if let Some(last) = last {
                let (first, last) = lines.split_at(last + 1);
                let written = attempt(stream, first)?;
                if written < first.len() {
                    return Ok(Attempt::Partial(written));
                }
                kept.0 = last.into();
                return Ok(Attempt::Complete);
            }
        }
        Flaw::QueuesAttempts => {
            kept.0.extend_from_slice(lines);
            kept.write_now(stream)?;
            return Ok(Attempt::Complete);
        }
        Flaw::FlushesOnlyWithLines => {
            kept.0.extend_from_slice(lines);
            kept.write_now(stream)?;
            return Ok(match kept.0.is_empty() {
                true => Attempt::Complete,
                false => Attempt::Partial(lines.len()),
            });
        }
        _ => {}
    }
    let written = match (attempt(stream, lines), flaw) {
        (Err(_), Flaw::IgnoresErrorsOfAttempts) => return Ok(Attempt::Complete),
        (Err(_), Flaw::RetriesAfterErrors) => 0,
        (written, _) => written?,
    };
    let is_short = 0 < written && written < lines.len();
    Ok(match flaw {
        Flaw::ClaimsWholeAttempts if is_short => Attempt::Complete,
        Flaw::UnderstatesAttempts if is_short => Attempt::Partial(written - 1),
        Flaw::OverstatesAttempts if is_short => Attempt::Partial(written + 1),
        _ if written == lines.len() => Attempt::Complete,
        _ => Attempt::Partial(written),
    })
}
