//! Splits a peer's byte stream into lines, in bounded memory, however the stream is chunked.
//!
//! [`LineDecoder`] is for transports that carry bytes rather than messages. It finds line endings and
//! removes telnet negotiation ([RFC 854], [RFC 855]). The session decodes and sanitises the bytes of
//! a line later.
//!
//! [RFC 854]: https://www.rfc-editor.org/rfc/rfc854
//! [RFC 855]: https://www.rfc-editor.org/rfc/rfc855

#[cfg(test)]
mod tests;

use std::mem;

/// "Interpret as command": begins telnet negotiation. Never occurs in UTF-8.
const IAC: u8 = 255;
/// `WILL`, `WONT`, `DO`, `DONT`: an option follows.
const NEGOTIATE: std::ops::RangeInclusive<u8> = 251..=254;
/// Begins a subnegotiation, which lasts until `IAC SE`.
const SB: u8 = 250;
/// Ends a subnegotiation.
const SE: u8 = 240;

/// A line that the decoder has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// The line's bytes without its ending, of unknown encoding.
    Text(&'a [u8]),
    /// A line with more bytes than allowed. It is refused as a whole, so there is one of these for
    /// all its bytes.
    TooLong,
}

/// The peer sent too much without a line ending, and the session is to disconnect it. The decoder
/// has stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line has no end")]
pub(crate) struct Endless;

/// The part of a telnet command that the next byte belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Telnet {
    Data,
    Command,
    Option,
    Subnegotiation,
    SubnegotiationCommand,
}

/// Splits a byte stream into lines.
///
/// It keeps an unfinished line, at most one byte more than the longest line has. Between lines it
/// keeps nothing, so an idle peer costs no buffer.
#[derive(Debug)]
pub(crate) struct LineDecoder {
    max_line: u32,
    endless: u32,
    /// Bytes received since the last line ending, those of telnet commands included.
    unended: u32,
    /// The unfinished line's data: at most `max_line` bytes, and a `\r` that may be part of its
    /// ending.
    kept: Vec<u8>,
    /// The unfinished line is longer than `max_line`, so nothing of it is kept.
    too_long: bool,
    /// A line was endless.
    stopped: bool,
    telnet: Telnet,
}

impl LineDecoder {
    /// This many bytes without a line ending, telnet commands included, are an [`Endless`] line: far
    /// more than a person types or pastes into one line, and little to read and drop.
    pub(crate) const ENDLESS: usize = 64 * 1024;

    /// Creates a decoder of lines of at most `max_line` bytes, not counting their endings.
    ///
    /// A line is endless at [`ENDLESS`](Self::ENDLESS) bytes, or at twice `max_line` if that is more.
    pub(crate) fn new(max_line: usize) -> Self {
        Self::with_limits(max_line, Self::ENDLESS.max(max_line.saturating_mul(2)))
    }

    pub(crate) fn with_limits(max_line: usize, endless: usize) -> Self {
        let bounded = |limit| u32::try_from(limit).unwrap_or(u32::MAX);
        Self {
            max_line: bounded(max_line),
            endless: bounded(endless),
            unended: 0,
            kept: Vec::new(),
            too_long: false,
            stopped: false,
            telnet: Telnet::Data,
        }
    }

    /// Takes the next bytes of the stream and passes each line that ends in them to `on_line`.
    ///
    /// It must
    ///
    /// 1. give the same lines, and the same error, for the same bytes, however they are chunked;
    /// 2. end a line at each `\n`, without it and one `\r` right before it; other `\r` stay;
    /// 3. remove `IAC` commands before anything else: `IAC IAC` is one byte 255 of text, a `\n`
    ///    within a command ends no line;
    /// 4. give exactly one [`Line::TooLong`], at its end, for a line of more than `max_line` bytes,
    ///    and never take its tail for a line;
    /// 5. keep only an unfinished line, at most `max_line + 1` bytes, and nothing between lines;
    /// 6. not copy a line that is whole in the chunk;
    /// 7. give nothing after an error.
    ///
    /// # Errors
    ///
    /// [`Endless`] when a line, commands included, is too long to be read on, and on each later
    /// call. The lines before it have been passed on.
    pub(crate) fn push(
        &mut self,
        chunk: &[u8],
        mut on_line: impl FnMut(Line<'_>),
    ) -> Result<(), Endless> {
        if self.stopped {
            return Err(Endless);
        }
        let mut rest = chunk;
        while let Some((&byte, after)) = rest.split_first() {
            if self.telnet != Telnet::Data {
                self.command(byte)?;
                rest = after;
                continue;
            }
            let run = memchr::memchr(IAC, rest).unwrap_or(rest.len());
            self.data(&rest[..run], &mut on_line)?;
            rest = &rest[run..];
            if !rest.is_empty() {
                self.count(1)?;
                self.telnet = Telnet::Command;
                rest = &rest[1..];
            }
        }
        Ok(())
    }

    /// Ends the stream. An unfinished line counts, without a `\r` at its end, which may be half of a
    /// line ending; if nothing is left then, there is no line.
    ///
    /// The decoder is then as new, unless a line was endless.
    pub(crate) fn finish(&mut self, mut on_line: impl FnMut(Line<'_>)) {
        self.telnet = Telnet::Data;
        if self.too_long || !matches!(*self.kept, [] | [b'\r']) {
            self.pass_on_kept(&mut on_line);
        }
        self.reset();
    }

    /// The bytes of memory for the unfinished line.
    #[cfg(any(test, fuzzing))]
    pub(crate) fn kept(&self) -> usize {
        self.kept.capacity()
    }

    /// Takes bytes without a telnet command.
    fn data(&mut self, run: &[u8], on_line: &mut impl FnMut(Line<'_>)) -> Result<(), Endless> {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', run) {
            let tail = &run[start..end];
            start = end + 1;
            if self.unended == 0 {
                if tail.len() >= self.endless as usize {
                    return Err(self.stop());
                }
                on_line(self.judge(tail));
            } else {
                self.keep(tail)?;
                self.pass_on_kept(on_line);
            }
        }
        self.keep(&run[start..])
    }

    /// Takes one byte of a telnet command, after its `IAC`.
    fn command(&mut self, byte: u8) -> Result<(), Endless> {
        self.telnet = match (self.telnet, byte) {
            (Telnet::Command, IAC) => {
                self.telnet = Telnet::Data;
                return self.keep(&[IAC]);
            }
            (Telnet::Command, SB) => Telnet::Subnegotiation,
            (Telnet::Command, b) if NEGOTIATE.contains(&b) => Telnet::Option,
            (Telnet::Subnegotiation, IAC) => Telnet::SubnegotiationCommand,
            (Telnet::SubnegotiationCommand, SE) => Telnet::Data,
            // `IAC IAC` is a byte 255 of it; other commands are not defined here.
            (Telnet::Subnegotiation | Telnet::SubnegotiationCommand, _) => Telnet::Subnegotiation,
            (Telnet::Data | Telnet::Command | Telnet::Option, _) => Telnet::Data,
        };
        self.count(1)
    }

    fn count(&mut self, bytes: usize) -> Result<(), Endless> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        self.unended = self.unended.saturating_add(bytes);
        if self.unended >= self.endless {
            return Err(self.stop());
        }
        Ok(())
    }

    /// Adds to the unfinished line, or drops it when it is too long.
    fn keep(&mut self, tail: &[u8]) -> Result<(), Endless> {
        self.count(tail.len())?;
        if self.too_long {
            return Ok(());
        }
        let len = self.kept.len() + tail.len();
        let most = self.max_line as usize + 1;
        if len > most {
            self.too_long = true;
            self.kept = Vec::new();
            return Ok(());
        }
        if len > self.kept.capacity() {
            // Doubled, as `Vec` does, for peers that send byte by byte, but never beyond the limit.
            let capacity = len.max(self.kept.capacity().saturating_mul(2)).min(most);
            self.kept.reserve_exact(capacity - self.kept.len());
        }
        self.kept.extend_from_slice(tail);
        Ok(())
    }

    /// Ends the unfinished line.
    fn pass_on_kept(&mut self, on_line: &mut impl FnMut(Line<'_>)) {
        let too_long = self.too_long;
        let line = self.reset();
        on_line(if too_long {
            Line::TooLong
        } else {
            self.judge(&line)
        });
    }

    fn judge<'a>(&self, line: &'a [u8]) -> Line<'a> {
        let text = line.strip_suffix(b"\r").unwrap_or(line);
        if text.len() > self.max_line as usize {
            Line::TooLong
        } else {
            Line::Text(text)
        }
    }

    /// Begins a new line, and returns the data kept of the last one.
    fn reset(&mut self) -> Vec<u8> {
        self.unended = 0;
        self.too_long = false;
        mem::take(&mut self.kept)
    }

    fn stop(&mut self) -> Endless {
        self.reset();
        self.stopped = true;
        Endless
    }
}
