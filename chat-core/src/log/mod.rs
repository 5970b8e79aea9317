//! The log: the lines of events in a bounded ring, with an index. Plain data: no lock, no clock, no
//! I/O.
//!
//! Events are stored once, as the bytes of their lines one after the other, so everything that a
//! reader is missing is one run of bytes. The index has one small entry for each event, found by its
//! number. Lines, entries and times have a share of one budget each; when one of them is full, the
//! oldest events are evicted. Memory grows with the content.

pub(crate) mod index;
pub(crate) mod lag;
mod segments;

use crate::types::event::EventKind;
use crate::types::ids::SlotId;
use crate::types::time::Timestamp;
use index::{Base, Entry, Times};
use segments::SegmentedRing;
use std::ops::Range;

/// There is one entry for so many bytes of the budget, of which it takes a quarter: lines of less
/// than about 48 bytes on average fill the index first, longer ones the ring.
const BYTES_PER_ENTRY: usize = 64;

/// There is one base of times for so many bytes of the budget. With the two bytes in each entry,
/// times take less than 5 % of it. A base is needed at most once in 65 s, so these last for days
/// before they evict an event.
const BYTES_PER_BASE: usize = 1024;
const LEAST_BASES: usize = 16;

#[derive(Debug)]
pub(crate) struct Log {
    lines: SegmentedRing<u8>,
    index: SegmentedRing<Entry>,
    times: Times,
    most_bases: usize,
    /// Numbers of the oldest event, and of the next one.
    tail: u64,
    head: u64,
    /// The number of the first event ever.
    first: u64,
    /// Bytes ever written before the oldest event, and in all. At 10 GB/s they last for 58 years.
    tail_offset: u64,
    head_offset: u64,
}

/// A run of lines that was read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Run {
    /// The number after its last event.
    pub(crate) to: u64,
    /// The offsets where it begins and ends.
    pub(crate) start: u64,
    pub(crate) end: u64,
}

impl Log {
    /// A log that needs at most `bytes` of memory, and whose first event gets the number `first`.
    pub(crate) fn new(bytes: usize, first: u64) -> Self {
        let entries = (bytes / BYTES_PER_ENTRY).max(1);
        let bases = (bytes / BYTES_PER_BASE).max(LEAST_BASES);
        let others = entries * size_of::<Entry>() + bases * size_of::<Base>();
        let ring = bytes.saturating_sub(others).max(1);
        Self::with_parts(ring, entries, bases, first)
    }

    fn with_parts(ring: usize, entries: usize, bases: usize, first: u64) -> Self {
        assert!(ring < u32::MAX as usize, "an entry keeps 32 bits of offset");
        Self {
            lines: SegmentedRing::new(ring),
            index: SegmentedRing::new(entries),
            times: Times::default(),
            most_bases: bases,
            tail: first,
            head: first,
            first,
            tail_offset: 0,
            head_offset: 0,
        }
    }

    /// The numbers of the events that it holds.
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

    /// The offset before which readers are about to be overrun: where the events end that are
    /// evicted before a quarter of the ring, or of the index, is written anew.
    pub(crate) fn endangered(&self) -> u64 {
        let kept = (self.lines.capacity() - self.lines.capacity() / 4) as u64;
        let by_bytes = self.head_offset.saturating_sub(kept);
        let kept = (self.index.capacity() - self.index.capacity() / 4) as u64;
        let by_entries = match self.head - self.tail > kept {
            true => self.start_of(self.head - kept),
            false => 0,
        };
        by_bytes.max(by_entries)
    }

    /// How many bytes of lines it can hold.
    pub(crate) fn capacity(&self) -> usize {
        self.lines.capacity()
    }

    /// Writes an event and gives its number, or `None` if the numbers are used up.
    ///
    /// Must hold:
    ///
    /// 1. O(1) but for the copy and the events that make room;
    /// 2. never splits or reorders: each event is held whole or not at all;
    /// 3. the line fits into the ring, and times do not decrease (the caller ensures both);
    /// 4. no allocation larger than a segment.
    pub(crate) fn append(
        &mut self,
        kind: EventKind,
        member: Option<SlotId>,
        time: Timestamp,
        name: &str,
        text: &str,
    ) -> Option<u64> {
        let phrase = kind.phrase();
        let len = name.len() + phrase.len() + text.len() + 1;
        assert!(
            len <= self.lines.capacity(),
            "the hub bounds names and texts"
        );
        let number = self.head;
        let next = number.checked_add(1)?;
        while self.used() + len > self.lines.capacity() || self.len() == self.index.capacity() {
            self.evict();
        }
        let millis = self.times.add(number, time);
        for part in [name, phrase, text, "\n"] {
            self.lines.write(part.as_bytes());
            self.head_offset += part.len() as u64;
        }
        let entry = Entry::new(self.head_offset, kind, name.len(), member, millis);
        self.index.write(&[entry]);
        self.head = next;
        self.times.evict_before(self.tail);
        while self.times.len() > self.most_bases {
            self.evict();
        }
        Some(number)
    }

    /// Appends to `out` the lines of as many events from number `from` on as fit into
    /// `max_bytes`, at least one if there is one.
    ///
    /// Must hold: `from` is in the log or its head; whole events only, in order, none left
    /// out; O(log n) but for the copy.
    pub(crate) fn read(&self, from: u64, until: u64, max_bytes: usize, out: &mut Vec<u8>) -> Run {
        debug_assert!(self.tail <= from && from <= until && until <= self.head);
        let start = self.start_of(from);
        let to = self.fitting(from, until, start.saturating_add(max_bytes as u64));
        let end = self.start_of(to);
        self.lines.copy(start, (end - start) as usize, out);
        Run { to, start, end }
    }

    /// Appends to `entries` what the index knows of these events, and gives the base of the first
    /// one's time. Appends the other bases, if there are any.
    pub(crate) fn read_index(
        &self,
        events: Range<u64>,
        entries: &mut Vec<Entry>,
        other_bases: &mut Vec<Base>,
    ) -> Base {
        // An empty range may be anywhere, also where nothing is held any more.
        if events.is_empty() {
            return Base::default();
        }
        let len = (events.end - events.start) as usize;
        self.index.copy(events.start - self.first, len, entries);
        self.times.bases(events, other_bases)
    }

    /// Bytes ever written before event `number`, which is in the log or its head.
    pub(crate) fn start_of(&self, number: u64) -> u64 {
        if number == self.head {
            // The usual case.
            self.head_offset
        } else if number == self.tail {
            self.tail_offset
        } else {
            self.end_of(number - 1)
        }
    }

    fn end_of(&self, number: u64) -> u64 {
        let end = self.entry(number).end();
        self.tail_offset + u64::from(end.wrapping_sub(self.tail_offset as u32))
    }

    /// The index entry of an event that is in the log.
    pub(crate) fn entry(&self, number: u64) -> Entry {
        self.index.get(number - self.first)
    }

    /// The time of an event that is in the log.
    pub(crate) fn time(&self, number: u64) -> Timestamp {
        self.times.base(number).time(self.entry(number))
    }

    /// Removes the oldest event.
    fn evict(&mut self) {
        self.tail_offset = self.end_of(self.tail);
        self.tail += 1;
        self.times.evict_before(self.tail);
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

    fn len(&self) -> usize {
        (self.head - self.tail) as usize
    }

    fn used(&self) -> usize {
        (self.head_offset - self.tail_offset) as usize
    }
}

#[cfg(test)]
mod tests;
