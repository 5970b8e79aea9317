//! The log: a ring of lines with an index. Plain data: no lock, no clock, no I/O.
//!
//! Events are stored once, as the bytes of their lines, one after the other in a ring, so
//! whatever a reader is missing is one contiguous run. The index has one small entry per
//! event, found by its sequence number. Both are allocated once; when either is full the
//! oldest events go.

pub(crate) mod lag;

use crate::types::event::EventKind;
use std::ops::Range;

/// One number buys both: index entries are this many bytes of log apart. Lines of less than
/// about 32 bytes on average fill the index first, longer ones the ring.
const BYTES_PER_ENTRY: usize = 40;

/// What the index knows of one event.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The low bits of the offset of its end; enough, as the log is smaller than 4 GiB.
    end: u32,
    pub(crate) kind: EventKind,
    pub(crate) name_len: u16,
}

/// An entry as it is stored: a number, so that an index that is not yet used is zeros, for which
/// the system needs no memory.
pub(crate) type Packed = u64;

impl Entry {
    /// How many bytes its line has, if it begins at this offset.
    pub(crate) fn len(self, start: u32) -> usize {
        self.end.wrapping_sub(start) as usize
    }

    /// The low bits of the offset of its end, where the next begins.
    pub(crate) fn end(self) -> u32 {
        self.end
    }

    fn pack(self) -> Packed {
        let [a, b, c, d] = self.end.to_le_bytes();
        let [e, f] = self.name_len.to_le_bytes();
        Packed::from_le_bytes([a, b, c, d, e, f, self.kind.code(), 0])
    }

    pub(crate) fn unpack(packed: Packed) -> Self {
        let [a, b, c, d, e, f, kind, _] = packed.to_le_bytes();
        Self {
            end: u32::from_le_bytes([a, b, c, d]),
            name_len: u16::from_le_bytes([e, f]),
            kind: EventKind::from_code(kind),
        }
    }
}

#[derive(Debug)]
pub(crate) struct Log {
    ring: Box<[u8]>,
    index: Box<[Packed]>,
    /// Sequence numbers of the oldest event, and of the next one.
    tail: u64,
    head: u64,
    /// Bytes ever written before the oldest event, and in all. At 10 GB/s they last for 58 years.
    tail_offset: u64,
    head_offset: u64,
}

impl Log {
    /// A log that needs `bytes` of memory in all, ring and index, and whose first event gets
    /// the number `first`.
    pub(crate) fn new(bytes: usize, first: u64) -> Self {
        let entries = (bytes / BYTES_PER_ENTRY).max(1);
        let ring = bytes.saturating_sub(entries * size_of::<Packed>()).max(1);
        Self::with_parts(ring, entries, first)
    }

    fn with_parts(ring: usize, entries: usize, first: u64) -> Self {
        assert!(ring < u32::MAX as usize, "an entry keeps 32 bits of offset");
        Self {
            ring: vec![0; ring].into(),
            index: vec![0; entries].into(),
            tail: first,
            head: first,
            tail_offset: 0,
            head_offset: 0,
        }
    }

    /// The numbers of the events it holds.
    pub(crate) fn held(&self) -> Range<u64> {
        self.tail..self.head
    }

    /// The number that the next event gets.
    pub(crate) fn head(&self) -> u64 {
        self.head
    }

    pub(crate) fn tail_offset(&self) -> u64 {
        self.tail_offset
    }

    pub(crate) fn head_offset(&self) -> u64 {
        self.head_offset
    }

    /// The offset before which readers are in danger of being overrun: the events that go before
    /// a quarter of the ring, or of the index, is written anew.
    pub(crate) fn endangered(&self) -> u64 {
        let kept = (self.ring.len() - self.ring.len() / 4) as u64;
        let by_bytes = self.head_offset.saturating_sub(kept);
        let kept = (self.index.len() - self.index.len() / 4) as u64;
        let by_entries = match self.head - self.tail > kept {
            true => self.start_of(self.head - kept),
            false => 0,
        };
        by_bytes.max(by_entries)
    }

    /// How many bytes of lines it can hold.
    pub(crate) fn capacity(&self) -> usize {
        self.ring.len()
    }

    /// Writes an event and gives its number, or `None` if the numbers are used up.
    ///
    /// Must hold: O(1) but for the copy and the events that make room; never splits or
    /// reorders; the line fits into the ring (the hub sees to it); whatever was there is
    /// either whole or gone.
    pub(crate) fn append(&mut self, kind: EventKind, name: &str, text: &str) -> Option<u64> {
        let phrase = kind.phrase();
        let len = name.len() + phrase.len() + text.len() + 1;
        assert!(len <= self.ring.len(), "the hub bounds names and texts");
        let name_len = u16::try_from(name.len()).expect("a name has at most 64 characters");
        let next = self.head.checked_add(1)?;
        while self.used() + len > self.ring.len() || self.len() == self.index.len() {
            self.tail_offset = self.end_of(self.tail);
            self.tail += 1;
        }
        for part in [name, phrase, text, "\n"] {
            self.write(part.as_bytes());
        }
        let slot = self.slot(self.head);
        let entry = Entry {
            end: self.head_offset as u32,
            kind,
            name_len,
        };
        self.index[slot] = entry.pack();
        self.head = next;
        Some(next - 1)
    }

    /// Appends to `out` the lines of as many events from number `from` on as fit into
    /// `max_bytes`, at least one if there is one, and gives the number after the last.
    ///
    /// Must hold: `from` is in the log or its head; whole events only, in order, none left
    /// out; O(log n) but for the copy.
    pub(crate) fn read(&self, from: u64, until: u64, max_bytes: usize, out: &mut Vec<u8>) -> u64 {
        debug_assert!(self.tail <= from && from <= until && until <= self.head);
        let start = self.start_of(from);
        let to = self.fitting(from, until, start.saturating_add(max_bytes as u64));
        self.copy(start, self.start_of(to), out);
        to
    }

    /// Appends to `out` the index entries of these events, and gives the low bits of the offset
    /// where the first begins.
    pub(crate) fn read_index(&self, events: Range<u64>, out: &mut Vec<Packed>) -> u32 {
        // An empty range may be anywhere, also where nothing is kept any more.
        if events.is_empty() {
            return 0;
        }
        let (at, len) = (
            self.slot(events.start),
            (events.end - events.start) as usize,
        );
        let first = len.min(self.index.len() - at);
        out.extend_from_slice(&self.index[at..at + first]);
        out.extend_from_slice(&self.index[..len - first]);
        self.start_of(events.start) as u32
    }

    /// Bytes ever written before event `seq`, which is in the log or its head.
    pub(crate) fn start_of(&self, seq: u64) -> u64 {
        if seq == self.head {
            // What nearly every reader asks for.
            self.head_offset
        } else if seq == self.tail {
            self.tail_offset
        } else {
            self.end_of(seq - 1)
        }
    }

    fn end_of(&self, seq: u64) -> u64 {
        let end = self.entry(seq).end;
        self.tail_offset + u64::from(end.wrapping_sub(self.tail_offset as u32))
    }

    /// What the index knows of an event that is in the log.
    pub(crate) fn entry(&self, seq: u64) -> Entry {
        Entry::unpack(self.index[self.slot(seq)])
    }

    /// The greatest number up to which whole events from `from` on end by offset `limit`.
    fn fitting(&self, from: u64, until: u64, limit: u64) -> u64 {
        if from == until || self.start_of(until) <= limit {
            return until;
        }
        let (mut fits, mut over) = (from + 1, until);
        while over - fits > 1 {
            let middle = fits + (over - fits) / 2;
            if self.start_of(middle) <= limit {
                fits = middle;
            } else {
                over = middle;
            }
        }
        fits
    }

    fn slot(&self, seq: u64) -> usize {
        (seq % self.index.len() as u64) as usize
    }

    fn len(&self) -> usize {
        (self.head - self.tail) as usize
    }

    fn used(&self) -> usize {
        (self.head_offset - self.tail_offset) as usize
    }

    fn write(&mut self, part: &[u8]) {
        let at = (self.head_offset % self.ring.len() as u64) as usize;
        let first = part.len().min(self.ring.len() - at);
        self.ring[at..at + first].copy_from_slice(&part[..first]);
        self.ring[..part.len() - first].copy_from_slice(&part[first..]);
        self.head_offset += part.len() as u64;
    }

    fn copy(&self, start: u64, end: u64, out: &mut Vec<u8>) {
        let at = (start % self.ring.len() as u64) as usize;
        let len = (end - start) as usize;
        let first = len.min(self.ring.len() - at);
        out.extend_from_slice(&self.ring[at..at + first]);
        out.extend_from_slice(&self.ring[..len - first]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The log as anyone would write it: every event ever appended.
    struct Model {
        first: u64,
        lines: Vec<(EventKind, String)>,
    }

    fn kinds() -> impl Strategy<Value = EventKind> {
        prop_oneof![
            4 => Just(EventKind::Message),
            1 => Just(EventKind::Arrived),
            1 => Just(EventKind::Renamed),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_the_model(
            ring in 24usize..90,
            entries in 1usize..9,
            // Far from the limit, and so near that it is met.
            first in prop_oneof![Just(0u64), u64::MAX - 40..=u64::MAX],
            ops in prop::collection::vec((kinds(), "[a-z]{1,4}", "[a-z]{0,7}", 1usize..60), 1..80),
        ) {
            let mut log = Log::with_parts(ring, entries, first);
            let mut model = Model { first, lines: Vec::new() };
            let mut cursor = first;
            let (mut given, mut missed) = (0, 0);
            for (kind, name, text, max) in ops {
                let text = if kind == EventKind::Arrived { String::new() } else { text };
                let line = format!("{name}{}{text}\n", kind.phrase());
                let next = first.checked_add(model.lines.len() as u64 + 1);
                let seq = log.append(kind, &name, &text);
                prop_assert_eq!(seq, next.map(|n| n - 1));
                if seq.is_some() {
                    model.lines.push((kind, line));
                }
                // What is held is a suffix that fits and could not be longer by one event.
                let held = log.held();
                prop_assert_eq!(held.end, first + model.lines.len() as u64);
                let bytes = |range: Range<u64>| -> usize {
                    let at = |seq| (seq - model.first) as usize;
                    model.lines[at(range.start)..at(range.end)].iter().map(|(_, l)| l.len()).sum()
                };
                prop_assert!(bytes(held.clone()) <= ring);
                prop_assert!((held.end - held.start) as usize <= entries);
                if held.start > first && seq.is_some() {
                    let more = held.start - 1..held.end;
                    prop_assert!(bytes(more.clone()) > ring || (more.end - more.start) as usize > entries);
                }
                // A reader that now and then reads: what it is given and its gaps tile the log.
                if max % 3 == 0 {
                    if cursor < held.start {
                        missed += held.start - cursor;
                        cursor = held.start;
                    }
                    let mut out = Vec::new();
                    let to = log.read(cursor, held.end, max, &mut out);
                    let at = (cursor - first) as usize..(to - first) as usize;
                    let expected: String = model.lines[at.clone()].iter().map(|(_, l)| &**l).collect();
                    prop_assert_eq!(String::from_utf8(out).unwrap(), &*expected);
                    prop_assert!(to - cursor <= 1 || expected.len() <= max);
                    prop_assert!(to > cursor || cursor == held.end);
                    if to < held.end {
                        let longer = expected.len() + model.lines[at.end].1.len();
                        prop_assert!(longer > max, "it would have fitted");
                    }
                    let mut index = Vec::new();
                    let mut start = log.read_index(cursor..to, &mut index);
                    let entries: Vec<_> = index.into_iter().map(Entry::unpack).map(|entry| {
                        let len = entry.len(start);
                        start = entry.end();
                        (entry.kind, len)
                    }).collect();
                    let expected: Vec<_> = model.lines[at].iter().map(|(k, l)| (*k, l.len())).collect();
                    prop_assert_eq!(entries, expected);
                    given += to - cursor;
                    cursor = to;
                }
            }
            prop_assert_eq!(given + missed, cursor - first);
        }
    }

    #[test]
    fn one_number_pays_for_ring_and_index() {
        for bytes in [4_000, 1 << 20, 8 << 20] {
            let log = Log::new(bytes, 0);
            let used = log.ring.len() + log.index.len() * size_of::<Packed>();
            assert_eq!(used, bytes);
            assert!(log.ring.len() * 10 >= bytes * 7);
        }
    }

    #[test]
    fn a_quarter_is_endangered_whichever_of_ring_and_index_is_full() {
        for text in ["", &"x".repeat(100)] {
            let mut log = Log::new(100_000, 0);
            log.append(EventKind::Message, "a", text);
            assert!(log.endangered() <= log.tail_offset(), "there is room");
            while log.tail_offset() == 0 {
                log.append(EventKind::Message, "a", text);
            }
            let held = (log.head_offset() - log.tail_offset()) as f64;
            let endangered = log.endangered() as f64 - log.tail_offset() as f64;
            assert!(
                (0.2..0.3).contains(&(endangered / held)),
                "{endangered} of {held}"
            );
        }
    }

    #[test]
    fn offsets_past_four_gib_are_told_apart() {
        let mut log = Log::with_parts(64, 8, 0);
        log.tail_offset = u64::from(u32::MAX) - 30;
        log.head_offset = log.tail_offset;
        for n in 0..20 {
            log.append(EventKind::Message, "a", &n.to_string());
        }
        let held = log.held();
        let mut out = Vec::new();
        assert_eq!(log.read(held.start, held.end, 1000, &mut out), 20);
        assert!(out.ends_with(b"a: 18\na: 19\n"));
        assert_eq!(out.len() as u64, log.head_offset - log.tail_offset);
    }
}
