//! Splits a peer's byte stream into lines, in bounded memory and whatever the chunking.
//!
//! [`LineDecoder`] is for transports that carry bytes rather than messages. It finds line ends and
//! takes telnet negotiation out ([RFC 854], [RFC 855]); that a line's bytes are text, and safe to
//! show, is seen to later.
//!
//! [RFC 854]: https://www.rfc-editor.org/rfc/rfc854
//! [RFC 855]: https://www.rfc-editor.org/rfc/rfc855

use std::mem;

/// "Interpret as command": begins telnet negotiation. Never occurs in UTF-8.
const IAC: u8 = 255;
/// `WILL`, `WONT`, `DO`, `DONT`: an option follows.
const NEGOTIATE: std::ops::RangeInclusive<u8> = 251..=254;
/// Begins a subnegotiation, which lasts until `IAC SE`.
const SB: u8 = 250;
/// Ends a subnegotiation.
const SE: u8 = 240;

/// What a decoder has found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// A line's bytes without its end, of unknown encoding.
    Text(&'a [u8]),
    /// A line with more bytes than allowed, refused whole: one of these stands for all of it.
    TooLong,
}

/// A peer sent so much without a line end that it is to be cut. The decoder gives nothing more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a line has no end")]
pub(crate) struct Endless;

/// Where in a telnet command the stream stands.
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
/// An unfinished line is kept, at most the longest line's bytes and one more; between lines
/// nothing is, so an idle peer costs no buffer.
#[derive(Debug)]
pub(crate) struct LineDecoder {
    max_line: usize,
    endless: usize,
    /// Bytes received since the last line end, of telnet commands too.
    unended: usize,
    /// The unfinished line's data: at most `max_line` bytes, and a `\r` that may be part of its end.
    kept: Vec<u8>,
    /// The unfinished line is longer than `max_line`, so nothing of it is kept.
    too_long: bool,
    /// The stream was cut.
    ended: bool,
    telnet: Telnet,
}

impl LineDecoder {
    /// As many bytes without a line end, telnet commands included, are an [`Endless`] line: far more
    /// than anybody types or pastes into one line, and little to read and drop.
    pub(crate) const ENDLESS: usize = 64 * 1024;

    /// A decoder of lines of at most `max_line` bytes, not counting their ends.
    ///
    /// A line is endless at [`ENDLESS`](Self::ENDLESS) bytes, or at twice `max_line` if that is more.
    pub(crate) fn new(max_line: usize) -> Self {
        Self::with_limits(max_line, Self::ENDLESS.max(max_line.saturating_mul(2)))
    }

    pub(crate) fn with_limits(max_line: usize, endless: usize) -> Self {
        Self {
            max_line,
            endless,
            unended: 0,
            kept: Vec::new(),
            too_long: false,
            ended: false,
            telnet: Telnet::Data,
        }
    }

    /// Takes the next bytes of the stream and gives `on_line` each line that ends in them.
    ///
    /// It must
    ///
    /// 1. give the same for the same bytes, however they are cut into chunks, an error included;
    /// 2. end a line at each `\n`, without it and one `\r` right before it; other `\r` stay;
    /// 3. take out `IAC` commands before anything else: `IAC IAC` is one byte 255 of text, a `\n`
    ///    within a command ends no line;
    /// 4. give exactly one [`Line::TooLong`], at its end, for a line of more than `max_line` bytes,
    ///    and never take its tail for a line;
    /// 5. keep no more than an unfinished line, at most `max_line + 1` bytes, and nothing between lines;
    /// 6. not copy a line that is whole in the chunk;
    /// 7. stay cut once it was.
    ///
    /// # Errors
    ///
    /// [`Endless`] when a line (commands included) goes on for too long, and forever after. The
    /// lines before it have been given; nothing more will be.
    pub(crate) fn push(
        &mut self,
        chunk: &[u8],
        mut on_line: impl FnMut(Line<'_>),
    ) -> Result<(), Endless> {
        if self.ended {
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

    /// Says that the stream has ended. What is unfinished counts as a line, without a `\r` at its
    /// end, which may be half of a line end; if nothing is left then, it is no line.
    ///
    /// The decoder is then as new, unless it was cut.
    pub(crate) fn finish(&mut self, mut on_line: impl FnMut(Line<'_>)) {
        self.telnet = Telnet::Data;
        if self.too_long || !matches!(*self.kept, [] | [b'\r']) {
            self.give_kept(&mut on_line);
        }
        self.reset();
    }

    /// Takes bytes that hold no command.
    fn data(&mut self, run: &[u8], on_line: &mut impl FnMut(Line<'_>)) -> Result<(), Endless> {
        let mut start = 0;
        for end in memchr::memchr_iter(b'\n', run) {
            let tail = &run[start..end];
            start = end + 1;
            if self.unended == 0 {
                if tail.len() >= self.endless {
                    return Err(self.cut());
                }
                on_line(self.judge(tail));
            } else {
                self.keep(tail)?;
                self.give_kept(on_line);
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
            // `IAC IAC` is a byte 255 of it, and what else could stand here is not defined.
            (Telnet::Subnegotiation | Telnet::SubnegotiationCommand, _) => Telnet::Subnegotiation,
            (Telnet::Data | Telnet::Command | Telnet::Option, _) => Telnet::Data,
        };
        self.count(1)
    }

    fn count(&mut self, bytes: usize) -> Result<(), Endless> {
        self.unended = self.unended.saturating_add(bytes);
        if self.unended >= self.endless {
            return Err(self.cut());
        }
        Ok(())
    }

    /// Adds to the unfinished line, or gives it up when it is too long.
    fn keep(&mut self, tail: &[u8]) -> Result<(), Endless> {
        self.count(tail.len())?;
        if self.too_long {
            return Ok(());
        }
        let len = self.kept.len() + tail.len();
        let most = self.max_line.saturating_add(1);
        if len > most {
            self.too_long = true;
            self.kept = Vec::new();
            return Ok(());
        }
        if len > self.kept.capacity() {
            // Doubled, as `Vec` does, for peers that send byte by byte, but never past the limit.
            let capacity = len.max(self.kept.capacity().saturating_mul(2)).min(most);
            self.kept.reserve_exact(capacity - self.kept.len());
        }
        self.kept.extend_from_slice(tail);
        Ok(())
    }

    /// Ends the unfinished line.
    fn give_kept(&mut self, on_line: &mut impl FnMut(Line<'_>)) {
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
        if text.len() > self.max_line {
            Line::TooLong
        } else {
            Line::Text(text)
        }
    }

    /// Begins a new line, and gives what was kept of the last one.
    fn reset(&mut self) -> Vec<u8> {
        self.unended = 0;
        self.too_long = false;
        mem::take(&mut self.kept)
    }

    fn cut(&mut self) -> Endless {
        self.reset();
        self.ended = true;
        Endless
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const WILL: u8 = 251;
    const MAX: usize = 4;
    const LIMIT: usize = 16;

    /// What came out: `None` is a line too long. Then whether the stream was cut.
    type Decoded = (Vec<Option<Vec<u8>>>, bool);

    fn decode<'a>(chunks: impl IntoIterator<Item = &'a [u8]>) -> Decoded {
        let mut decoder = LineDecoder::with_limits(MAX, LIMIT);
        let mut lines = Vec::new();
        let mut on_line = |line: Line<'_>| {
            lines.push(match line {
                Line::Text(text) => Some(text.to_vec()),
                Line::TooLong => None,
            });
        };
        let mut cut = false;
        for chunk in chunks {
            let given = decoder.push(chunk, &mut on_line);
            assert!(given.is_err() || !cut, "goes on after the cut");
            cut |= given.is_err();
            let kept = decoder.kept.capacity();
            assert!(kept <= MAX + 1, "keeps {kept} bytes");
            let unfinished = decoder.unended > 0 && !decoder.too_long;
            assert!(unfinished || kept == 0, "keeps a buffer");
        }
        decoder.finish(&mut on_line);
        assert_eq!(decoder.kept.capacity(), 0);
        (lines, cut)
    }

    /// The rules again, in passes over the whole stream: first what each byte is, then the lines.
    fn model(stream: &[u8]) -> Decoded {
        let mut roles = Vec::new();
        let mut at = 0;
        while at < stream.len() {
            let (len, data) = match &stream[at..] {
                [IAC, IAC, ..] => (2, Some(IAC)),
                [IAC, WILL..=254, ..] => (3, None),
                [IAC, SB, body @ ..] => {
                    // The first IAC SE, pairs of IAC and another byte passed over.
                    let (mut i, mut closed) = (0, false);
                    while i < body.len() && !closed {
                        closed = body[i..].starts_with(&[IAC, SE]);
                        i += if body[i] == IAC { 2 } else { 1 };
                    }
                    (2 + i, None)
                }
                [IAC, ..] => (2, None),
                [byte, ..] => (1, Some(*byte)),
                [] => unreachable!(),
            };
            let len = len.min(stream.len() - at);
            roles.extend((1..len).map(|_| None));
            // A lone IAC at the end of the stream is no data yet.
            let whole = len > 1 || stream[at] != IAC;
            roles.push(data.filter(|_| whole));
            at += len;
        }

        let (mut lines, mut line, mut bytes) = (Vec::new(), Vec::new(), 0);
        let ended = |mut line: Vec<u8>| {
            line.pop_if(|b| *b == b'\r');
            (line.len() <= MAX).then_some(line)
        };
        for role in roles {
            match role {
                Some(b'\n') => {
                    lines.push(ended(mem::take(&mut line)));
                    bytes = 0;
                    continue;
                }
                Some(byte) => line.push(byte),
                None => {}
            }
            bytes += 1;
            if bytes == LIMIT {
                return (lines, true);
            }
        }
        if !line.is_empty() && line != b"\r" {
            lines.push(ended(line));
        }
        (lines, false)
    }

    fn texts(lines: &[&[u8]]) -> Decoded {
        (
            lines.iter().map(|line| Some(line.to_vec())).collect(),
            false,
        )
    }

    #[test]
    fn a_line_ends_at_lf_or_crlf() {
        assert_eq!(
            decode([&b"a\n\nb\r\n\r\nc"[..]]),
            texts(&[b"a", b"", b"b", b"", b"c"])
        );
        assert_eq!(
            decode([&b"a\r"[..], b"\nb\rc\r\r\n"]),
            texts(&[b"a", b"b\rc\r"])
        );
    }

    #[test]
    fn what_is_unfinished_counts_as_a_line() {
        assert_eq!(decode([&b"ab"[..]]), texts(&[b"ab"]));
        assert_eq!(decode([&b"abcd\r"[..]]), texts(&[b"abcd"]));
        assert_eq!(decode([&b"ab\n"[..]]), texts(&[b"ab"]));
        assert_eq!(decode([&b"\r"[..]]), texts(&[]));
        assert_eq!(decode([&b"abcde"[..]]), (vec![None], false));
        assert_eq!(decode([]), texts(&[]));
    }

    #[test]
    fn telnet_commands_are_taken_out() {
        let negotiation = [b'a', IAC, WILL, b'\n', IAC, 241, b'b', b'\n'];
        assert_eq!(decode([&negotiation[..]]), texts(&[b"ab"]));
        let sub = [b'a', IAC, SB, 1, b'\n', IAC, IAC, SE, IAC, SE, b'b', b'\n'];
        assert_eq!(decode([&sub[..]]), texts(&[b"ab"]));
        assert_eq!(
            decode([&[IAC, IAC, IAC][..], &[IAC, b'\n']]),
            texts(&[&[IAC, IAC]])
        );
        assert_eq!(decode([&[b'\r', IAC, 241, b'\n'][..]]), texts(&[b""]));
    }

    #[test]
    fn a_line_too_long_is_refused_whole_and_once() {
        let expected = (vec![None, Some(b"ok".to_vec())], false);
        assert_eq!(decode([&b"abcdefghi\nok\n"[..]]), expected);
        assert_eq!(decode([&b"abcd"[..], b"ef", b"ghi\nok\n"]), expected);
        assert_eq!(decode([&b"abcd\r"[..], b"\r\nok\n"]), expected);
    }

    #[test]
    fn the_longest_line_is_accepted_with_either_end() {
        assert_eq!(decode([&b"abcd\nabcd\r\n"[..]]), texts(&[b"abcd", b"abcd"]));
        assert_eq!(decode([&b"abcd"[..], b"\r", b"\n"]), texts(&[b"abcd"]));
    }

    #[test]
    fn an_endless_line_cuts_and_stays_cut() {
        let line = [b'x'; LIMIT];
        assert_eq!(
            decode([b"a\n", &line[..], b"\nb\n"]),
            (vec![Some(b"a".to_vec())], true)
        );
        assert_eq!(
            decode([&line[1..], b"\nb\n"]),
            (vec![None, Some(b"b".to_vec())], false)
        );
        let mut open_subnegotiation = [0; LIMIT];
        open_subnegotiation[..2].copy_from_slice(&[IAC, SB]);
        assert_eq!(decode([&open_subnegotiation[..]]), (vec![], true));
    }

    #[test]
    fn the_limits_are_the_documented_ones() {
        let endless = LineDecoder::ENDLESS;
        let mut decoder = LineDecoder::new(4096);
        assert_eq!(decoder.push(&vec![b'x'; endless - 1], |_| ()), Ok(()));
        assert_eq!(decoder.push(b"x", |_| ()), Err(Endless));
        let mut decoder = LineDecoder::new(endless);
        let mut longest = vec![b'x'; endless];
        longest.push(b'\n');
        let mut lines = 0;
        let pushed = decoder.push(&longest, |line| {
            assert_eq!(line, Line::Text(&longest[..endless]));
            lines += 1;
        });
        assert_eq!((pushed, lines), (Ok(()), 1));
    }

    #[test]
    fn a_whole_line_is_not_copied() {
        let chunk = b"ab\ncd\n";
        let mut decoder = LineDecoder::new(MAX);
        let mut places = Vec::new();
        let pushed = decoder.push(chunk, |line| match line {
            Line::Text(text) => places.push(text.as_ptr()),
            Line::TooLong => unreachable!(),
        });
        assert_eq!(pushed, Ok(()));
        assert_eq!(places, [chunk.as_ptr(), chunk[3..].as_ptr()]);
    }

    #[test]
    fn a_finished_decoder_is_as_new() {
        let mut decoder = LineDecoder::new(MAX);
        for _ in 0..2 {
            let mut lines = 0;
            assert_eq!(decoder.push(&[b'a', IAC, SB], |_| ()), Ok(()));
            decoder.finish(|line| {
                assert_eq!(line, Line::Text(b"a"));
                lines += 1;
            });
            assert_eq!(lines, 1);
        }
    }

    fn adversarial() -> impl Strategy<Value = Vec<u8>> {
        let byte = proptest::sample::select(vec![
            b'a', b'a', b'\r', b'\n', 0x80, IAC, IAC, WILL, 254, SB, SE, 241,
        ]);
        proptest::collection::vec(byte, 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        #[test]
        fn only_the_bytes_matter(stream in adversarial(), cuts in proptest::collection::vec(0..60usize, 0..12)) {
            let expected = model(&stream);
            prop_assert_eq!(&decode([&stream[..]]), &expected);
            prop_assert_eq!(&decode(stream.chunks(1)), &expected);
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            prop_assert_eq!(&decode(cuts.windows(2).map(|cut| &stream[cut[0]..cut[1]])), &expected);
        }
    }
}
