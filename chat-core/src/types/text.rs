//! Makes the text of a peer safe to show: one line stays one line, and no terminal obeys it.
//!
//! Removed are the C0 controls except tab, DEL, the C1 controls, the line and paragraph separators
//! (U+2028, U+2029), and the bidi embeddings, overrides and isolates (U+202A to U+202E, U+2066 to
//! U+2069), which reorder the text around them. All other characters stay.

use std::borrow::Cow;

/// A text was refused because it has `len` bytes, more than the `max` allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLong {
    pub(crate) len: usize,
    pub(crate) max: usize,
}

/// [`sanitize`] for a text of at most `max` bytes.
///
/// The limit applies to the text as it came: refusing a long text does not read it, and characters
/// that would be removed count.
pub(crate) fn admit(text: &str, max: usize) -> Result<Cow<'_, str>, TooLong> {
    check_length(text, max)?;
    Ok(sanitize(text))
}

/// The check of [`admit`] alone.
pub(crate) fn check_length(text: &str, max: usize) -> Result<(), TooLong> {
    match text.len() {
        len if len > max => Err(TooLong { len, max }),
        _ => Ok(()),
    }
}

/// Removes from `text` the characters that could forge a line or control a terminal. Borrows the
/// text if it has none.
pub(crate) fn sanitize(text: &str) -> Cow<'_, str> {
    if is_plain(text.as_bytes()) {
        return Cow::Borrowed(text);
    }
    match text.find(is_unsafe) {
        None => Cow::Borrowed(text),
        Some(first) => {
            let (safe, rest) = text.split_at(first);
            let mut kept = String::with_capacity(text.len());
            kept.push_str(safe);
            kept.extend(rest.chars().filter(|&c| !is_unsafe(c)));
            Cow::Owned(kept)
        }
    }
}

/// [`sanitize`] for bytes of unknown encoding: invalid UTF-8 becomes U+FFFD.
///
/// Decoding comes first, so an invalid sequence cannot hide a control, and a removed character
/// cannot join two halves into another one.
pub(crate) fn sanitize_bytes(line: &[u8]) -> Cow<'_, str> {
    // Faster than `from_utf8_lossy` on valid UTF-8, the usual case.
    if let Ok(text) = str::from_utf8(line) {
        return sanitize(text);
    }
    let text = String::from_utf8_lossy(line);
    Cow::Owned(sanitize(&text).into_owned())
}

/// Whether the bytes are printable ASCII and tabs only. No early exit, so that it is vectorised.
fn is_plain(bytes: &[u8]) -> bool {
    let suspicious = |b: u8| (b < 0x20) & (b != b'\t') | (b >= 0x7f);
    !bytes.iter().fold(false, |found, &b| found | suspicious(b))
}

fn is_unsafe(c: char) -> bool {
    matches!(
        c,
        '\0'..='\x08'
            | '\n'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// The rule a second time, from the tables of the standard library and by number.
    fn is_forbidden(c: char) -> bool {
        let n = u32::from(c);
        (c.is_control() && c != '\t')
            || (0x2028..=0x202e).contains(&n)
            || (0x2066..=0x2069).contains(&n)
    }

    /// Text rich in characters that are removed, and in their neighbours.
    fn text() -> impl Strategy<Value = String> {
        let alphabet = "a\t\n\r\0\x08\x1b\x1f ~\x7f\u{80}\u{85}\u{9b}\u{9f}\u{a0}é\u{2027}\u{2028}\
            \u{2029}\u{202a}\u{202e}\u{202f}\u{2065}\u{2066}\u{2069}\u{206a}\u{200e}李🦀\u{fffd}";
        let picked = proptest::sample::select(alphabet.chars().collect::<Vec<_>>());
        vec(prop_oneof![3 => picked, 1 => any::<char>()], 0..80).prop_map(String::from_iter)
    }

    mod limit {
        use super::*;

        #[test]
        fn applies_before_removal() {
            // As long as a megabyte of text, though it has none.
            let bells = "\x07".repeat(1 << 20);
            let refused = TooLong {
                len: 1 << 20,
                max: 4096,
            };
            assert_eq!(admit(&bells, 4096), Err(refused));
        }

        #[test]
        fn longest_text_is_admitted() {
            for text in ["", "hi", "naïve", "\x07\x07\x07\x07"] {
                assert_eq!(admit(text, text.len()), Ok(sanitize(text)));
            }
        }
    }

    mod sanitizing {
        use super::*;

        #[test]
        fn judges_every_char_by_rule() {
            for c in '\0'..=char::MAX {
                let (text, safe) = (format!("a{c}b"), sanitize(&format!("a{c}b")).into_owned());
                assert_eq!(safe, if is_forbidden(c) { "ab" } else { &text }, "{c:?}");
            }
        }

        #[test]
        fn borrows_clean_text() {
            for text in ["", "hi", "\ttab", "naïve 李 🦀", "नमस्ते"] {
                assert!(matches!(sanitize(text), Cow::Borrowed(t) if t == text));
                assert!(matches!(sanitize_bytes(text.as_bytes()), Cow::Borrowed(t) if t == text));
            }
        }

        #[test]
        fn disarms_escape_sequences() {
            assert_eq!(sanitize("\x1b[2J\u{9b}1Ahi\r\n* bye"), "[2J1Ahi* bye");
        }

        #[test]
        fn replaces_invalid_bytes_first() {
            assert_eq!(sanitize_bytes(b"caf\xe9"), "caf\u{fffd}");
            assert_eq!(sanitize_bytes(b"\xc2\x1bx"), "\u{fffd}x");
            // Removing the escape first would have made U+009B of the rest.
            assert_eq!(sanitize_bytes(b"\xc2\x1b\x9bx"), "\u{fffd}\u{fffd}x");
        }
    }

    proptest! {
        #[test]
        fn only_forbidden_chars_are_removed(text in text()) {
            let kept: String = text.chars().filter(|&c| !is_forbidden(c)).collect();
            prop_assert_eq!(sanitize(&text), kept.as_str());
            prop_assert_eq!(sanitize(&kept), kept.as_str());
            prop_assert_eq!(sanitize_bytes(text.as_bytes()), kept);
        }

        #[test]
        fn bytes_are_decoded_then_sanitized(bytes in vec(any::<u8>(), 0..80)) {
            let decoded = String::from_utf8_lossy(&bytes);
            prop_assert_eq!(sanitize_bytes(&bytes), sanitize(&decoded));
            prop_assert!(!sanitize_bytes(&bytes).contains(is_forbidden));
        }

        #[test]
        fn admitted_text_fits(bytes in vec(any::<u8>(), 0..80), max in 0..80usize) {
            let text = String::from_utf8_lossy(&bytes);
            match admit(&text, max) {
                Ok(safe) => {
                    prop_assert!(text.len() <= max);
                    prop_assert_eq!(safe, sanitize(&text));
                }
                Err(refused) => {
                    prop_assert_eq!(refused, TooLong { len: text.len(), max });
                    prop_assert!(text.len() > max);
                }
            }
        }
    }
}
