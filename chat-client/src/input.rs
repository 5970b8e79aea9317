//! Translates stdin into what the server is sent, and counts its lines.

use crate::confirmations::Count;

/// Begins a telnet command in the server's input. Never occurs in UTF-8.
const TELNET: u8 = 255;
/// The longest beginning of a line that is looked at: `/quit` and the byte after it.
const HEAD: usize = 6;

/// The meaning of a line that begins with `/`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slash {
    /// Text, for a server that would take it for a command: `/` is sent as `//`.
    Escaped,
    /// Text, for a server without commands: all bytes are sent as they are.
    Text,
    /// A command, or text that is escaped already: all bytes are sent as they are.
    Command,
}

/// Translates a stream piece by piece.
#[derive(Debug)]
pub(crate) struct Encoder {
    slash: Slash,
    /// The first bytes of the current line.
    head: Vec<u8>,
    quits: bool,
}

impl Encoder {
    pub(crate) fn new(slash: Slash) -> Self {
        Self {
            slash,
            head: Vec::with_capacity(HEAD),
            quits: false,
        }
    }

    /// Appends to `wire` the translation of `bytes`, and counts the lines that end in them.
    pub(crate) fn encode(&mut self, bytes: &[u8], wire: &mut Vec<u8>) -> Count {
        let mut count = Count::default();
        for &byte in bytes {
            wire.push(byte);
            if byte == b'\n' {
                self.end_line(&mut count);
                continue;
            }
            let begins = self.head.is_empty() && byte == b'/';
            if self.slash == Slash::Escaped && (begins || byte == TELNET) {
                wire.push(byte);
            }
            if self.head.len() < HEAD {
                self.head.push(byte);
            }
        }
        count
    }

    /// Counts the unfinished line, if the server will take it for one.
    pub(crate) fn finish(&mut self) -> Count {
        let mut count = Count::default();
        if !matches!(*self.head, [] | [b'\r']) {
            self.end_line(&mut count);
        }
        count
    }

    /// Whether there was a `/quit`: the end of the session is then as requested.
    pub(crate) fn quits(&self) -> bool {
        self.quits
    }

    fn end_line(&mut self, count: &mut Count) {
        let command = self.slash == Slash::Command
            && self.head.starts_with(b"/")
            && !self.head.starts_with(b"//");
        if command {
            count.commands += 1;
            let word = self.head.split(u8::is_ascii_whitespace).next();
            self.quits |= word == Some(b"/quit");
        } else {
            count.texts += 1;
        }
        self.head.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Encodes `input` whole and split at every byte; all must agree.
    fn encode(slash: Slash, input: &[u8]) -> (Vec<u8>, u64, u64, bool) {
        let encode = |parts: &[&[u8]]| {
            let mut encoder = Encoder::new(slash);
            let mut wire = Vec::new();
            let mut counts = Vec::new();
            for part in parts {
                counts.push(encoder.encode(part, &mut wire));
            }
            counts.push(encoder.finish());
            let texts = counts.iter().map(|count| count.texts).sum();
            let commands = counts.iter().map(|count| count.commands).sum();
            (wire, texts, commands, encoder.quits())
        };
        let whole = encode(&[input]);
        for split in 0..input.len() {
            let (head, tail) = input.split_at(split);
            assert_eq!(encode(&[head, tail]), whole, "split at {split}");
        }
        whole
    }

    mod escaped {
        use super::*;

        #[test]
        fn slash_is_doubled_at_beginning() {
            let (wire, ..) = encode(Slash::Escaped, b"/a\nb/c\n//d\n\n/");
            assert_eq!(wire, b"//a\nb/c\n///d\n\n//");
        }

        #[test]
        fn telnet_byte_is_doubled() {
            let (wire, texts, ..) = encode(Slash::Escaped, b"\xff\na\xff\xff/\n");
            assert_eq!(
                (wire.as_slice(), texts),
                (&b"\xff\xff\na\xff\xff\xff\xff/\n"[..], 2)
            );
        }

        #[test]
        fn all_lines_are_texts() {
            let (_, texts, commands, quits) = encode(Slash::Escaped, b"/quit\n\n\r\n/x");
            assert_eq!((texts, commands, quits), (4, 0, false));
        }
    }

    mod unescaped {
        use super::*;

        #[test]
        fn bytes_are_unchanged() {
            let input = b"/a\n//b\n\xff\n/c";
            for slash in [Slash::Text, Slash::Command] {
                assert_eq!(encode(slash, input).0, input, "{slash:?}");
            }
        }

        #[test]
        fn commands_are_counted_apart() {
            let input = b"/a\n//b\nc\n/d";
            let (_, texts, commands, _) = encode(Slash::Command, input);
            assert_eq!((texts, commands), (2, 2));
            let (_, texts, commands, _) = encode(Slash::Text, input);
            assert_eq!((texts, commands), (4, 0));
        }

        #[test]
        fn quit_is_noticed() {
            for (input, quits) in [
                (&b"/quit"[..], true),
                (b"/quit\r\n", true),
                (b"/quit now\n", true),
                (b"/quits\n", false),
                (b"//quit\n", false),
                (b"quit\n", false),
            ] {
                assert_eq!(encode(Slash::Command, input).3, quits, "{input:?}");
            }
        }
    }

    mod unfinished_line {
        use super::*;

        #[test]
        fn counts_unless_empty() {
            for (input, expected) in [(&b""[..], 0), (b"\r", 0), (b"a\n", 1), (b"a\nb", 2)] {
                let (_, texts, ..) = encode(Slash::Escaped, input);
                assert_eq!(texts, expected, "{input:?}");
            }
        }
    }
}
