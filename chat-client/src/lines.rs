//! The server's lines. The first token of a line decides its kind.

use memchr::memchr_iter;

/// The bytes of a line that are kept: more than the longest line of a chat server by default. The
/// rest of a longer line is ignored.
pub(crate) const KEPT: usize = 8192;

/// One line of the server, without its end.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// `You are NAME`
    Greeting { name: &'a [u8] },
    /// `* what is your name? …`
    NameQuestion,
    /// `NAME: TEXT`
    Message { name: &'a [u8], text: &'a [u8] },
    /// `OLD is now NEW`
    Rename { old: &'a [u8], new: &'a [u8] },
    /// `* N messages skipped`
    MessagesSkipped(u64),
    /// `* N notices skipped`
    NoticesSkipped(u64),
    /// `* name refused: REASON`
    NameRefused { reason: &'a [u8] },
    /// `* line refused: REASON`, without the `* `.
    TextRefused(&'a [u8]),
    /// A notice that refuses a command, without the `* `.
    CommandRefused(&'a [u8]),
    /// Any other notice, without the `* `.
    Notice(&'a [u8]),
    /// An arrival, a departure, the roster, or a line of another protocol.
    Other,
}

impl<'a> Line<'a> {
    pub(crate) fn parse(line: &'a [u8]) -> Self {
        let Some((token, rest)) = split_at_space(line) else {
            return Self::Other;
        };
        if token == b"*" {
            return Self::parse_notice(rest);
        }
        if let Some(name) = token.strip_suffix(b":") {
            return Self::Message { name, text: rest };
        }
        if let Some(name) = line.strip_prefix(b"You are ") {
            return Self::Greeting { name };
        }
        match rest.strip_prefix(b"is now ") {
            Some(new) => Self::Rename { old: token, new },
            None => Self::Other,
        }
    }

    fn parse_notice(text: &'a [u8]) -> Self {
        if text.starts_with(b"what is your name?") {
            return Self::NameQuestion;
        }
        if let Some(reason) = text.strip_prefix(b"name refused: ") {
            return Self::NameRefused { reason };
        }
        if text.starts_with(b"line refused: ") {
            return Self::TextRefused(text);
        }
        if text.starts_with(b"unknown command ") || text.starts_with(b"renaming too fast") {
            return Self::CommandRefused(text);
        }
        if let Some(count) = count(text, b" messages skipped") {
            return Self::MessagesSkipped(count);
        }
        if let Some(count) = count(text, b" notices skipped") {
            return Self::NoticesSkipped(count);
        }
        Self::Notice(text)
    }
}

fn split_at_space(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b' ', line)?;
    Some((&line[..end], &line[end + 1..]))
}

fn count(text: &[u8], suffix: &[u8]) -> Option<u64> {
    let digits = text.strip_suffix(suffix)?;
    str::from_utf8(digits).ok()?.parse().ok()
}

/// `line` without `\n` or `\r\n` at its end.
pub(crate) fn without_end(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// Splits a stream into lines. Keeps at most [`KEPT`] bytes of an unfinished one.
#[derive(Debug, Default)]
pub(crate) struct LineSplitter {
    unfinished: Vec<u8>,
}

impl LineSplitter {
    /// Gives `on_line` each line that ends in `bytes`, without its end.
    pub(crate) fn push(&mut self, bytes: &[u8], mut on_line: impl FnMut(&[u8])) {
        let mut start = 0;
        for end in memchr_iter(b'\n', bytes) {
            let piece = &bytes[start..end];
            start = end + 1;
            if self.unfinished.is_empty() {
                on_line(without_end(&piece[..piece.len().min(KEPT)]));
            } else {
                self.keep(piece);
                on_line(without_end(&self.unfinished));
                self.unfinished.clear();
            }
        }
        self.keep(&bytes[start..]);
    }

    /// Gives `on_line` the unfinished line, if there is one.
    pub(crate) fn finish(&mut self, mut on_line: impl FnMut(&[u8])) {
        let line = std::mem::take(&mut self.unfinished);
        if !line.is_empty() {
            on_line(without_end(&line));
        }
    }

    fn keep(&mut self, piece: &[u8]) {
        let room = KEPT - self.unfinished.len();
        self.unfinished
            .extend_from_slice(&piece[..piece.len().min(room)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    mod parse {
        use super::*;

        #[test]
        fn first_token_decides() {
            for (line, expected) in [
                ("You are bob", Line::Greeting { name: b"bob" }),
                ("You are 1.2.3.4:5", Line::Greeting { name: b"1.2.3.4:5" }),
                (
                    "* what is your name? (Enter for 1.2.3.4:5)",
                    Line::NameQuestion,
                ),
                (
                    "1.2.3.4:5: hi: you",
                    Line::Message {
                        name: b"1.2.3.4:5",
                        text: b"hi: you",
                    },
                ),
                (
                    "bob: ",
                    Line::Message {
                        name: b"bob",
                        text: b"",
                    },
                ),
                (
                    "bob: * line refused: no",
                    Line::Message {
                        name: b"bob",
                        text: b"* line refused: no",
                    },
                ),
                (
                    "bob is now eve",
                    Line::Rename {
                        old: b"bob",
                        new: b"eve",
                    },
                ),
                ("* 37 messages skipped", Line::MessagesSkipped(37)),
                ("* 2 notices skipped", Line::NoticesSkipped(2)),
                ("* name refused: no", Line::NameRefused { reason: b"no" }),
                (
                    "* line refused: longer than 4096 bytes",
                    Line::TextRefused(b"line refused: longer than 4096 bytes"),
                ),
                (
                    "* unknown command /x, /help lists them",
                    Line::CommandRefused(b"unknown command /x, /help lists them"),
                ),
                (
                    "* renaming too fast, wait 7s",
                    Line::CommandRefused(b"renaming too fast, wait 7s"),
                ),
                ("* goodbye", Line::Notice(b"goodbye")),
                (
                    "* many messages skipped",
                    Line::Notice(b"many messages skipped"),
                ),
                ("* ", Line::Notice(b"")),
                ("bob has left", Line::Other),
                ("Here now: bob", Line::Other),
                ("bob:", Line::Other),
                ("", Line::Other),
            ] {
                assert_eq!(Line::parse(line.as_bytes()), expected, "{line}");
            }
        }
    }

    mod splitter {
        use super::*;

        fn lines(parts: &[&[u8]]) -> Vec<String> {
            let mut splitter = LineSplitter::default();
            let mut lines = Vec::new();
            let mut keep = |line: &[u8]| lines.push(String::from_utf8_lossy(line).into_owned());
            for part in parts {
                splitter.push(part, &mut keep);
            }
            splitter.finish(&mut keep);
            lines
        }

        #[test]
        fn split_input_changes_nothing() {
            let input = b"one\r\n\ntwo\rtwo\nthree";
            let expected = ["one", "", "two\rtwo", "three"];
            for split in 0..=input.len() {
                let (head, tail) = input.split_at(split);
                assert_eq!(lines(&[head, tail]), expected, "split at {split}");
            }
        }

        #[test]
        fn long_line_is_cut() {
            let long = "x".repeat(3 * KEPT);
            let input = format!("{long}\nend\n");
            let expected = [&long[..KEPT], "end"];
            assert_eq!(lines(&[input.as_bytes()]), expected);
            let parts: Vec<_> = input.as_bytes().chunks(1000).collect();
            assert_eq!(lines(&parts), expected);
        }
    }
}
