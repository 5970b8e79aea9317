//! Escapes text of the server for a terminal.

use std::fmt::Write as _;

/// Spells out the characters that could move the cursor, reorder text or control the terminal
/// (`\x1b`, `\u{202e}`); invalid UTF-8 becomes U+FFFD. Tab and newline stay; a carriage return
/// before a newline is removed.
///
/// The output does not depend on where the input is split.
#[derive(Debug, Default)]
pub(crate) struct Sanitizer {
    /// The beginning of a character: at most three bytes between two calls.
    unfinished: Vec<u8>,
    /// The last character was a carriage return; the next one decides its meaning.
    carriage_return: bool,
}

impl Sanitizer {
    /// The escaped form of `bytes`, which follow the bytes pushed before.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        let mut shown = String::with_capacity(bytes.len() + 16);
        let mut unfinished = std::mem::take(&mut self.unfinished);
        unfinished.extend_from_slice(bytes);
        let mut rest = unfinished.as_slice();
        loop {
            let error = match str::from_utf8(rest) {
                Ok(text) => {
                    self.show(text, &mut shown);
                    return shown;
                }
                Err(error) => error,
            };
            let (valid, invalid) = rest.split_at(error.valid_up_to());
            let text = str::from_utf8(valid).expect("`valid_up_to` bounds the valid bytes");
            self.show(text, &mut shown);
            let Some(length) = error.error_len() else {
                self.unfinished = invalid.to_vec();
                return shown;
            };
            self.show("\u{fffd}", &mut shown);
            rest = &invalid[length..];
        }
    }

    /// The escaped form of an unfinished character at the end of the stream.
    pub(crate) fn finish(&mut self) -> String {
        let mut shown = String::new();
        if !std::mem::take(&mut self.unfinished).is_empty() {
            self.show("\u{fffd}", &mut shown);
        }
        if std::mem::take(&mut self.carriage_return) {
            shown.push_str("\\x0d");
        }
        shown
    }

    fn show(&mut self, text: &str, shown: &mut String) {
        for c in text.chars() {
            if std::mem::take(&mut self.carriage_return) && c != '\n' {
                shown.push_str("\\x0d");
            }
            match c {
                '\r' => self.carriage_return = true,
                '\t' | '\n' => shown.push(c),
                c if c.is_control() => {
                    write_escape(shown, format_args!("\\x{:02x}", u32::from(c)));
                }
                // Line separators; bidi embeddings, overrides and isolates.
                '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                    write_escape(shown, format_args!("\\u{{{:x}}}", u32::from(c)));
                }
                _ => shown.push(c),
            }
        }
    }
}

fn write_escape(shown: &mut String, escape: std::fmt::Arguments<'_>) {
    shown
        .write_fmt(escape)
        .expect("writing to a String does not fail");
}

/// A complete text in one line: newlines and tabs are spelled out as well.
pub(crate) fn one_line(bytes: &[u8]) -> String {
    let mut sanitizer = Sanitizer::default();
    let mut line = sanitizer.push(bytes);
    line.push_str(&sanitizer.finish());
    line.replace('\n', "\\x0a").replace('\t', "\\x09")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bytes: &[u8]) -> String {
        let mut sanitizer = Sanitizer::default();
        sanitizer.push(bytes) + &sanitizer.finish()
    }

    mod characters {
        use super::*;

        #[test]
        fn controls_are_spelled_out() {
            for (input, expected) in [
                ("\u{1b}[2J", "\\x1b[2J"),
                ("a\u{7}\u{8}\u{0}\u{7f}b", "a\\x07\\x08\\x00\\x7fb"),
                ("\u{9b}31m\u{9d}\u{85}", "\\x9b31m\\x9d\\x85"),
                ("\u{202a}\u{202e}\u{202c}", "\\u{202a}\\u{202e}\\u{202c}"),
                (
                    "\u{2066}\u{2067}\u{2068}\u{2069}",
                    "\\u{2066}\\u{2067}\\u{2068}\\u{2069}",
                ),
                ("\u{2028}\u{2029}", "\\u{2028}\\u{2029}"),
            ] {
                assert_eq!(whole(input.as_bytes()), expected);
            }
        }

        #[test]
        fn text_is_unchanged() {
            let text = "alice:\thi\nбоб: Grüße, 你好, 🦀, \u{200f}שלום\n";
            assert_eq!(whole(text.as_bytes()), text);
        }

        #[test]
        fn overwriting_carriage_return_is_shown() {
            assert_eq!(whole(b"one\r\ntwo\r\n"), "one\ntwo\n");
            assert_eq!(
                whole(b"bob: hi\ralice: no\r\r\n\r"),
                "bob: hi\\x0dalice: no\\x0d\n\\x0d"
            );
            assert_eq!(whole(b"\r\xff\r\xe2"), "\\x0d\u{fffd}\\x0d\u{fffd}");
        }

        #[test]
        fn invalid_bytes_become_replacement_characters() {
            for bytes in [
                &b"\xff\xfe"[..],
                b"a\xe2\x82b",
                b"\xe2\x82",
                b"\xf0\x9f\xa6",
                b"\xf0\x9f\xa6\xf0\x9f\xa6\x80",
                b"\xc0\xaf\xed\xa0\x80",
                b"\x9b1m",
            ] {
                assert_eq!(whole(bytes), String::from_utf8_lossy(bytes));
            }
        }
    }

    mod input {
        use super::*;

        #[test]
        fn split_changes_nothing() {
            let input = "aé€🦀\u{1b}[1m\r\n\r\u{202e}\u{9b}z".as_bytes();
            let input = [input, b"\xff\xe2\x82\xf0\x9f\xa6x\xf0\x9f\r\xe2\x82"].concat();
            let expected = whole(&input);
            for split in 0..=input.len() {
                let mut sanitizer = Sanitizer::default();
                let (head, tail) = input.split_at(split);
                let shown = sanitizer.push(head) + &sanitizer.push(tail) + &sanitizer.finish();
                assert_eq!(shown, expected, "split at {split}");
            }
            let mut sanitizer = Sanitizer::default();
            let mut shown: String = input.chunks(1).map(|byte| sanitizer.push(byte)).collect();
            shown.push_str(&sanitizer.finish());
            assert_eq!(shown, expected, "byte by byte");
        }

        #[test]
        fn complete_characters_are_not_delayed() {
            let mut sanitizer = Sanitizer::default();
            assert_eq!(sanitizer.push(b"name? \xe2\x82"), "name? ");
            assert_eq!(sanitizer.push(b"\xac"), "€");
        }
    }

    mod one_line {
        #[test]
        fn has_no_line_end() {
            assert_eq!(
                super::one_line(b"a\tb\nc\x1b\xff\r"),
                "a\\x09b\\x0ac\\x1b\u{fffd}\\x0d"
            );
        }
    }
}
