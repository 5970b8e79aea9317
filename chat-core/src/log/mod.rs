//! The log: the lines of events in a bounded queue, with an index. Plain data: no lock, no clock, no
//! I/O.
//!
//! Events are stored once, as the bytes of their lines one after the other, so everything that a
//! reader is missing is one run of bytes. The index has one small entry for each event, found by its
//! number, and spans of events of one member. Lines, entries and spans have one budget; when it is
//! used up, the oldest events are evicted. Memory grows with the content.

pub(crate) mod index;
pub(crate) mod lag;
pub(crate) mod lines;
mod segments;
pub(crate) mod spans;

use crate::types::event::EventKind;
use crate::types::ids::{MaybeSlot, SlotId};
use crate::types::time::Timestamp;
use index::{Entry, IndexCopy};
use lines::{Append, Lines};
use segments::SegmentedQueue;
use spans::{Span, Spans};
use std::ops::Range;

/// Allocating a segment of this size takes a few microseconds, which is how long a writer may hold
/// the hub's lock for it; and allocators reuse blocks of it.
const MOST_SEGMENT_BYTES: usize = 64 * 1024;
/// Kinds of segments: of lines, entries, members and bases.
const KINDS: usize = 4;

const ENTRY: usize = size_of::<Entry>();
const MEMBER: usize = size_of::<Span<MaybeSlot>>();
const BASE: usize = size_of::<Span<Timestamp>>();
/// What one event can take beyond its line: spans of its own, and the last ones of evicted events.
const OVERHEAD: usize = ENTRY + 2 * MEMBER + 2 * BASE;

#[derive(Debug)]
pub(crate) struct Log {
    lines: Lines,
    index: SegmentedQueue<Entry>,
    members: Spans<MaybeSlot>,
    /// The times from which entries count their milliseconds: a new one wherever 16 bits end, so at
    /// most once in 65 s.
    bases: Spans<Timestamp>,
    /// The most bytes of lines, entries and spans.
    limit: usize,
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
        // Larger ones are emptied later, smaller ones need larger tables: 8 KiB for 8 MiB.
        let segment = (8 * bytes).isqrt().clamp(64, MOST_SEGMENT_BYTES);
        let segment = 1 << segment.ilog2();
        let tables = (bytes / segment * segments::TABLE_BYTES).min(bytes / 16);
        let slack = KINDS * segments::SLACK * segment + tables;
        Self::with_parts(segment, bytes.saturating_sub(slack), first)
    }

    fn with_parts(segment: usize, limit: usize, first: u64) -> Self {
        assert!(
            limit < u32::MAX as usize,
            "an entry keeps 32 bits of offset"
        );
        Self {
            lines: Lines::new(segment),
            index: SegmentedQueue::new(segment),
            members: Spans::new(segment),
            bases: Spans::new(segment),
            limit: limit.max(OVERHEAD + 1),
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
    /// evicted before a quarter of the budget is written anew, if lines are equally long.
    pub(crate) fn endangered(&self) -> u64 {
        let (used, kept) = (self.used(), self.limit - self.limit / 4);
        if used <= kept {
            return self.tail_offset;
        }
        // Both factors are less than 2^32.
        let lines = self.head_offset - self.tail_offset;
        self.tail_offset + lines * (used - kept) as u64 / used as u64
    }

    /// How many bytes of lines it can hold.
    pub(crate) fn capacity(&self) -> usize {
        self.limit - OVERHEAD
    }

    /// Writes an event and gives its number, or `None` if the numbers are used up.
    ///
    /// Must hold:
    ///
    /// 1. O(1) but for the copy and the events that make room;
    /// 2. never splits or reorders: each event is held whole or not at all;
    /// 3. the line fits into the log, and times do not decrease (the caller ensures both);
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
        assert!(len <= self.capacity(), "the hub bounds names and texts");
        let number = self.head;
        let next = number.checked_add(1)?;
        let member = MaybeSlot::from(member);
        let same_member = self.members.last() == Some(member);
        let millis = index::millis(self.bases.last(), time);
        let mut needed = ENTRY + len;
        needed += if same_member { 0 } else { MEMBER };
        needed += if millis.is_some() { 0 } else { BASE };
        while self.used() + needed > self.limit {
            self.evict();
        }
        for part in [name, phrase, text, "\n"] {
            self.lines.write(part);
        }
        self.head_offset += len as u64;
        if !same_member {
            self.members.begin(number, member);
            self.members.evict_before(self.tail);
        }
        if millis.is_none() {
            self.bases.begin(number, time);
            self.bases.evict_before(self.tail);
        }
        let millis = millis.unwrap_or(0);
        let entry = Entry::new(self.head_offset, kind, name.len(), millis);
        self.index.push(entry);
        self.head = next;
        Some(number)
    }

    /// Appends to `out` the lines of as many events from number `from` on as fit into
    /// `max_bytes`, at least one if there is one.
    ///
    /// Must hold: `from` is in the log or its head; whole events only, in order, none left
    /// out; O(log n) but for the copy.
    pub(crate) fn read(
        &self,
        from: u64,
        until: u64,
        max_bytes: usize,
        out: &mut impl Append,
    ) -> Run {
        debug_assert!(self.tail <= from && from <= until && until <= self.head);
        let start = self.start_of(from);
        let to = self.fitting(from, until, start.saturating_add(max_bytes as u64));
        let end = self.start_of(to);
        self.lines.copy(start, (end - start) as usize, out);
        Run { to, start, end }
    }

    /// Copies what the index knows of these events to `out`, which is empty.
    pub(crate) fn read_index(&self, events: Range<u64>, out: &mut IndexCopy) {
        // An empty range may be anywhere, also where nothing is held any more.
        if events.is_empty() {
            return;
        }
        let len = (events.end - events.start) as usize;
        let start = events.start - self.first;
        self.index.copy(start, len, &mut out.entries);
        // Nearly always there is one base, and often one member.
        out.base = match self.bases.one_from(events.start) {
            Some(base) => base,
            None => self.bases.copy(events.clone(), &mut out.others().bases),
        };
        out.member = match self.members.one_from(events.start) {
            Some(member) => member,
            None => self.members.copy(events, &mut out.others().members),
        };
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

    /// The member of an event that is in the log.
    pub(crate) fn member(&self, number: u64) -> Option<SlotId> {
        self.members.value(number).get()
    }

    /// The time of an event that is in the log.
    pub(crate) fn time(&self, number: u64) -> Timestamp {
        self.entry(number).time(self.bases.value(number))
    }

    /// Removes the oldest event.
    fn evict(&mut self) {
        self.tail_offset = self.end_of(self.tail);
        self.tail += 1;
        self.lines.evict_before(self.tail_offset);
        self.index.evict_before(self.tail - self.first);
        self.members.evict_before(self.tail);
        self.bases.evict_before(self.tail);
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

    /// Bytes of lines, entries and spans.
    fn used(&self) -> usize {
        (self.head_offset - self.tail_offset) as usize
            + (self.head - self.tail) as usize * ENTRY
            + self.members.len() * MEMBER
            + self.bases.len() * BASE
    }
}

#[cfg(test)]
mod tests;
