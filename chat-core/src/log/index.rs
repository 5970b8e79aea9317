//! The log's index: one small entry for each event, and spans of events that have something in
//! common.

use super::spans::Span;
use crate::types::event::EventKind;
use crate::types::ids::MaybeSlot;
use crate::types::time::Timestamp;

/// The length of a name takes this many bits of an entry, which is more than
/// [`Name::MAX_ASSIGNED_CHARS`](crate::Name::MAX_ASSIGNED_CHARS) of four bytes; the kind has the rest.
const NAME_BITS: u32 = 11;

/// The index entry of one event, 8 bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Entry {
    /// The low bits of the offset of the line's end; enough, as the log is smaller than 4 GiB.
    end: u32,
    kind_and_name: u16,
    /// Milliseconds since the event's base.
    millis: u16,
}

impl Entry {
    pub(crate) fn new(end: u64, kind: EventKind, name_len: usize, millis: u16) -> Self {
        assert!(
            name_len < 1 << NAME_BITS,
            "a name has at most 64 characters"
        );
        Self {
            end: end as u32,
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

    /// The time of the event, which has this base.
    pub(crate) fn time(self, base: Timestamp) -> Timestamp {
        Timestamp::from_millis(base.as_millis() + u64::from(self.millis))
    }
}

/// The milliseconds of an entry for an event at this time, or `None` if it needs a new base. Times
/// do not decrease.
pub(crate) fn millis(base: Option<Timestamp>, time: Timestamp) -> Option<u16> {
    let since = time.as_millis().saturating_sub(base?.as_millis());
    u16::try_from(since).ok()
}

/// A part of the index, copied.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct IndexCopy {
    pub(crate) entries: Vec<Entry>,
    /// The member of the first event, and the base of its time.
    pub(crate) member: MaybeSlot,
    pub(crate) base: Timestamp,
    /// Boxed, so that a batch of one member, which has none, is small.
    others: Option<Box<OtherSpans>>,
}

/// The spans that begin after the first event.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct OtherSpans {
    pub(crate) members: Vec<Span<MaybeSlot>>,
    pub(crate) bases: Vec<Span<Timestamp>>,
}

impl IndexCopy {
    pub(crate) fn clear(&mut self) {
        self.entries.clear();
        if let Some(others) = &mut self.others {
            others.members.clear();
            others.bases.clear();
        }
    }

    pub(crate) fn members(&self) -> &[Span<MaybeSlot>] {
        self.others.as_ref().map_or(&[], |others| &others.members)
    }

    pub(crate) fn bases(&self) -> &[Span<Timestamp>] {
        self.others.as_ref().map_or(&[], |others| &others.bases)
    }

    /// Whether all events have the same member and base.
    pub(crate) fn is_uniform(&self) -> bool {
        self.others.is_none() || (self.members().is_empty() && self.bases().is_empty())
    }

    pub(crate) fn others(&mut self) -> &mut OtherSpans {
        self.others.get_or_insert_default()
    }
}
