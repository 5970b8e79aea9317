//! The text of the log.

use super::segments::Segments;

/// Takes text that is read from the log.
pub(crate) trait Append {
    fn append(&mut self, text: &str);
}

impl Append for String {
    fn append(&mut self, text: &str) {
        self.push_str(text);
    }
}

impl Append for Vec<u8> {
    fn append(&mut self, text: &str) {
        self.extend_from_slice(text.as_bytes());
    }
}

/// Text that is written at one end and evicted at the other, found by the count of bytes ever written
/// before it.
///
/// Its segments are strings, so text that is read is known to be UTF-8 without a look at its bytes.
#[derive(Debug)]
pub(crate) struct Lines {
    /// A char that does not fit into a segment is in it all the same, whole; the next segment has
    /// [`FILLER`] in the places that the char takes from it.
    segments: Segments<String>,
    written: u64,
}

const FILLER: &str = "\0\0\0";

impl Lines {
    /// With segments of at most so many bytes, and `FILLER`.
    pub(crate) fn new(segment_bytes: usize) -> Self {
        let segment_bytes = segment_bytes.max(FILLER.len() + 1);
        Self {
            segments: Segments::new(segment_bytes),
            written: 0,
        }
    }

    /// Writes text after all that was written before.
    pub(crate) fn write(&mut self, mut text: &str) {
        while !text.is_empty() {
            let (index, at) = self.segments.place(self.written);
            let room = self.segments.size() - at;
            let now = match text.len() <= room {
                true => text.len(),
                false => ceil_char_boundary(text, room),
            };
            let segment = self.segments.last(index);
            let is_new = segment.is_empty();
            if at + now > segment.capacity() {
                let whole = self.segments.size() + FILLER.len();
                self.segments.reserve(at + now, whole);
            }
            let segment = self.segments.last(index);
            if is_new {
                segment.push_str(&FILLER[..at]);
            }
            let (now, rest) = text.split_at(now);
            segment.push_str(now);
            self.written += now.len() as u64;
            text = rest;
        }
    }

    /// Appends to `out` the `len` bytes from `offset` on, which are still held and whole chars.
    pub(crate) fn copy(&self, offset: u64, len: usize, out: &mut impl Append) {
        if len == 0 {
            return;
        }
        let (index, at) = self.segments.place(offset);
        let text = &self.segments.get(index)[at..];
        match text.get(..len) {
            Some(text) => out.append(text),
            None => self.copy_several(index, at, len, out),
        }
    }

    fn copy_several(&self, mut index: usize, mut at: usize, mut len: usize, out: &mut impl Append) {
        while len > 0 {
            let segment = self.segments.get(index);
            let text = &segment[at..];
            let text = &text[..len.min(text.len())];
            out.append(text);
            len -= text.len();
            // Where the next one has filler.
            at = segment.len().saturating_sub(self.segments.size());
            index += 1;
        }
    }

    /// The bytes before `offset`, where a char begins, are no longer needed.
    pub(crate) fn evict_before(&mut self, offset: u64) {
        self.segments.evict_before(offset);
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> (usize, usize) {
        self.segments.allocated()
    }

    /// As if so many bytes had been written and evicted: whole segments.
    #[cfg(test)]
    pub(super) fn skip_to(&mut self, offset: u64) {
        self.segments.skip_to(offset);
        self.written = offset;
    }
}

/// The first place from `at` on where a char begins, or the end.
fn ceil_char_boundary(text: &str, at: usize) -> usize {
    let mut places = at..text.len();
    let place = places.find(|place| text.is_char_boundary(*place));
    place.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::super::segments::SLACK;
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn hold_text_that_is_not_evicted(
            segment in prop_oneof![1usize..40, 100usize..500],
            steps in prop::collection::vec(("[a-cß€😀]{0,40}", 0usize..100), 1..60),
        ) {
            let mut lines = Lines::new(segment);
            let (mut all, mut tail) = (String::new(), 0);
            for (text, less) in steps {
                lines.write(&text);
                all.push_str(&text);
                prop_assert_eq!(lines.written, all.len() as u64);
                tail = ceil_char_boundary(&all, all.len().min(tail + less));
                lines.evict_before(tail as u64);
                let (mut out, mut bytes) = (String::new(), Vec::new());
                lines.copy(tail as u64, all.len() - tail, &mut out);
                prop_assert_eq!(&out, &all[tail..]);
                for (at, char) in all[tail..].char_indices() {
                    bytes.clear();
                    lines.copy((tail + at) as u64, char.len_utf8(), &mut bytes);
                    let expected = char.to_string().into_bytes();
                    prop_assert_eq!(&bytes, &expected);
                }
                let segment = lines.segments.size() + FILLER.len();
                let segments = (all.len() - tail) / lines.segments.size() + SLACK;
                prop_assert!(lines.allocated().0 <= segments * segment);
            }
        }
    }
}
