//! The log's index: one small entry for each event, and their times.

use crate::types::event::EventKind;
use crate::types::ids::{MaybeSlot, SlotId};
use crate::types::time::Timestamp;
use std::collections::VecDeque;

/// The length of a name takes this many bits of an entry, which is more than
/// [`Name::MAX_ASSIGNED_CHARS`](crate::Name::MAX_ASSIGNED_CHARS) of four bytes; the kind has the rest.
const NAME_BITS: u32 = 11;

/// The index entry of one event, 16 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The low bits of the offset of the line's end; enough, as the log is smaller than 4 GiB.
    end: u32,
    member: MaybeSlot,
    kind_and_name: u16,
    /// Milliseconds since the event's base in [`Times`].
    millis: u16,
}

impl Entry {
    pub(crate) fn new(
        end: u64,
        kind: EventKind,
        name_len: usize,
        member: Option<SlotId>,
        millis: u16,
    ) -> Self {
        assert!(
            name_len < 1 << NAME_BITS,
            "a name has at most 64 characters"
        );
        Self {
            end: end as u32,
            member: member.into(),
            kind_and_name: u16::from(kind.code()) << NAME_BITS | name_len as u16,
            millis,
        }
    }

    /// How many bytes the line has, if it begins at an offset with these low bits.
    pub(crate) fn len(self, start: u32) -> usize {
        self.end.wrapping_sub(start) as usize
    }

    /// The low bits of the offset of the line's end, where the next line begins.
    pub(crate) fn end(self) -> u32 {
        self.end
    }

    pub(crate) fn kind(self) -> EventKind {
        EventKind::from_code((self.kind_and_name >> NAME_BITS) as u8)
    }

    pub(crate) fn name_len(self) -> u16 {
        self.kind_and_name & ((1 << NAME_BITS) - 1)
    }

    pub(crate) fn member(self) -> Option<SlotId> {
        self.member.get()
    }

    pub(crate) fn millis(self) -> u16 {
        self.millis
    }
}

/// The time from which entries count their milliseconds, from event number `first` on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Base {
    pub(crate) first: u64,
    pub(crate) time: Timestamp,
}

impl Base {
    /// The time of an entry that has this base.
    pub(crate) fn time(self, entry: Entry) -> Timestamp {
        Timestamp::from_millis(self.time.as_millis() + u64::from(entry.millis()))
    }
}

/// The bases of all events that the log holds: a new one wherever 16 bits of milliseconds end, so
/// one a minute at most.
#[derive(Debug, Default)]
pub(crate) struct Times {
    bases: VecDeque<Base>,
}

impl Times {
    /// The time of the entry for an event with this number and time. Times do not decrease.
    pub(crate) fn add(&mut self, number: u64, time: Timestamp) -> u16 {
        let since = |base: &Base| time.as_millis().saturating_sub(base.time.as_millis());
        if let Some(millis) = self
            .bases
            .back()
            .and_then(|last| u16::try_from(since(last)).ok())
        {
            return millis;
        }
        self.bases.push_back(Base {
            first: number,
            time,
        });
        0
    }

    pub(crate) fn len(&self) -> usize {
        self.bases.len()
    }

    /// Events before this number are no longer held.
    pub(crate) fn evict_before(&mut self, number: u64) {
        while self.bases.get(1).is_some_and(|next| next.first <= number) {
            self.bases.pop_front();
        }
    }

    /// The base of an event that is held.
    pub(crate) fn base(&self, number: u64) -> Base {
        self.bases[self.at(number)]
    }

    /// The base of the first of these events, of which there is at least one. Appends those of the
    /// others, if they differ.
    pub(crate) fn bases(&self, events: std::ops::Range<u64>, others: &mut Vec<Base>) -> Base {
        // Nearly always.
        if let Some(last) = self.bases.back().filter(|last| last.first <= events.start) {
            return *last;
        }
        let (first, last) = (self.at(events.start), self.at(events.end - 1));
        others.extend(self.bases.range(first + 1..last + 1));
        self.bases[first]
    }

    fn at(&self, number: u64) -> usize {
        // Nearly always there is one base, or the last one is asked for.
        match self.bases.back() {
            Some(last) if last.first <= number => self.bases.len() - 1,
            _ => self.bases.partition_point(|base| base.first <= number) - 1,
        }
    }
}
