//! Translates stdin for the server, and counts its lines.

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
    beginning: Beginning,
    quits: bool,
}

impl Encoder {
    pub(crate) fn new(slash: Slash) -> Self {
        Self {
            slash,
            head: Vec::with_capacity(HEAD),
            beginning: Beginning::default(),
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
            let is_command = self.beginning.is_slash(byte);
            if self.slash == Slash::Escaped && (is_command || byte == TELNET) {
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
        self.beginning = Beginning::default();
    }
}

/// The state of a line of which the server has removed all characters so far. It removes controls,
/// line separators and bidi controls before it looks for a command.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Beginning {
    #[default]
    Empty,
    /// In a character that begins with this byte.
    Two(u8),
    /// In a character that begins with `E2` and this byte.
    Three(u8),
    /// A character was not removed.
    Over,
}

impl Beginning {
    /// Whether `byte`, the next one of the line, is a slash at the beginning of the server's text.
    fn is_slash(&mut self, byte: u8) -> bool {
        let before = *self;
        *self = match (before, byte) {
            (Self::Empty, 0..=0x08 | 0x0b..=0x1f | 0x7f) => Self::Empty,
            (Self::Empty, 0xc2 | 0xe2) => Self::Two(byte),
            // U+0080 to U+009F
            (Self::Two(0xc2), 0x80..=0x9f) => Self::Empty,
            (Self::Two(0xe2), 0x80 | 0x81) => Self::Three(byte),
            // U+2028 to U+202E, U+2066 to U+2069
            (Self::Three(0x80), 0xa8..=0xae) | (Self::Three(0x81), 0xa6..=0xa9) => Self::Empty,
            _ => Self::Over,
        };
        before == Self::Empty && byte == b'/'
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
        fn slash_is_doubled_after_removed_characters() {
            let removed = "\0\r\x1f\x7f\u{80}\u{9f}\u{2028}\u{202e}\u{2066}\u{2069}";
            for c in removed.chars() {
                let (wire, ..) = encode(Slash::Escaped, format!("{c}{removed}/x/").as_bytes());
                assert_eq!(wire, format!("{c}{removed}//x/").as_bytes(), "{c:?}");
            }
            let kept = "a\t \u{a0}\u{2027}\u{202f}\u{2065}\u{206a}\u{e9}\u{1f980}";
            for c in kept.chars() {
                let line = format!("\r{c}/x");
                let (wire, ..) = encode(Slash::Escaped, line.as_bytes());
                assert_eq!(wire, line.as_bytes(), "{c:?}");
            }
            for line in [&b"\xe2\x80/x"[..], b"\xe2/x", b"\xc2/x", b"\x80/x"] {
                assert_eq!(encode(Slash::Escaped, line).0, line);
            }
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
