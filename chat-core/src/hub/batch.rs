//! Many deliveries at a time, without an allocation for each.

use crate::log::index::{Entry, IndexCopy};
use crate::log::spans::Span;
use crate::state::State;
use crate::state::read::{Amount, Cursor, ReadOutcome};
use crate::types::direct::Direct;
use crate::types::event::{Delivery, DeliveryRef, EventRef, LeaveReason};
use crate::types::ids::{HubId, MaybeSlot, MemberId};
use crate::types::time::Timestamp;
use std::slice;

/// Filled by [`Member::recv_many`](crate::Member::recv_many): a run of the log, copied once.
///
/// Keep one and use it again: then its memory is allocated once, for at most about 64 KiB of lines
/// and 8 bytes for each of them, and 12 for each change of the sender. Its items come in the order
/// direct messages, gap, events, closed.
///
/// ```
/// use chat_core::{Batch, Delivery, Hub, HubConfig};
///
/// let hub = Hub::new(HubConfig::default());
/// let mut alice = hub.join("alice".parse()?)?;
/// alice.publish("one")?;
/// alice.publish("two")?;
///
/// let mut batch = Batch::default();
/// assert_eq!(alice.try_recv_many(&mut batch)?, 2);
/// assert_eq!(batch.lines(), "alice: one\nalice: two\n");
/// for delivery in &batch {
///     let Delivery::Event(event) = delivery else { panic!("nothing is missing") };
///     assert_eq!(event.subject(), "alice");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Batch {
    hub: Option<HubId>,
    /// None if there are none. Boxed, because nearly all batches are only events.
    before: Option<Box<BeforeEvents>>,
    first: u64,
    lines: String,
    index: IndexCopy,
    /// The low bits of the offset in the log where its lines begin.
    start: u32,
    closed: Option<LeaveReason>,
}

/// The items before the events.
#[derive(Clone, Debug, Default)]
struct BeforeEvents {
    directs: Vec<Direct>,
    missed: u64,
}

impl Batch {
    /// How many items it holds.
    pub fn len(&self) -> usize {
        self.directs().len()
            + usize::from(self.missed() > 0)
            + self.index.entries.len()
            + usize::from(self.closed.is_some())
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The texts for this member alone, which come before its gap and events.
    pub fn directs(&self) -> &[Direct] {
        self.before.as_ref().map_or(&[], |before| &before.directs)
    }

    /// The lines of its events, each with `\n` at its end.
    pub fn lines(&self) -> &str {
        &self.lines
    }

    /// How many events were lost before its first one.
    pub fn missed(&self) -> u64 {
        self.before.as_ref().map_or(0, |before| before.missed)
    }

    /// The reason of the end, if nothing will come after it.
    pub fn closed(&self) -> Option<LeaveReason> {
        self.closed
    }

    /// Its items.
    #[inline]
    pub fn iter(&self) -> Iter<'_> {
        let index = &self.index;
        let begun = self.before.is_none();
        let is_uniform = index.is_uniform();
        Iter {
            batch: self,
            entries: index.entries[..if begun { index.entries.len() } else { 0 }].iter(),
            directs: 0,
            begun,
            ended: self.closed.is_none(),
            seq: self.first,
            changes_at: if is_uniform { u64::MAX } else { self.first },
            member: self.id(index.member),
            base: index.base,
            next_member: 0,
            next_base: 0,
            rest: &self.lines,
            start: self.start,
        }
    }

    #[inline]
    fn id(&self, slot: MaybeSlot) -> Option<MemberId> {
        Option::zip(self.hub, slot.get()).map(|(hub, slot)| MemberId { hub, slot })
    }

    pub(crate) fn push_direct(&mut self, direct: Direct) {
        self.before.get_or_insert_default().directs.push(direct);
    }

    /// Fills it, empty as it is, with the events that the cursor has before it.
    pub(crate) fn fill(
        &mut self,
        state: &mut State,
        cursor: &mut Cursor,
        amount: Amount,
    ) -> ReadOutcome {
        let outcome = state.read(cursor, amount, &mut self.lines);
        self.hub = Some(state.hub_id());
        self.first = outcome.events.start;
        if outcome.missed > 0 {
            self.before.get_or_insert_default().missed = outcome.missed;
        }
        self.start = outcome.start;
        state.read_index(outcome.events.clone(), &mut self.index);
        self.closed = outcome.closed;
        outcome
    }

    pub(crate) fn clear(&mut self) {
        self.before = None;
        self.lines.clear();
        self.index.clear();
        self.closed = None;
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = DeliveryRef<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The items of a [`Batch`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    batch: &'a Batch,
    /// Those of the events that are left; none before the items before the events were given.
    entries: slice::Iter<'a, Entry>,
    /// How many direct messages were given.
    directs: usize,
    /// Whether the items before the events were given, and those after them.
    begun: bool,
    ended: bool,
    /// The number of the next event, and of the next one that needs another member or base.
    seq: u64,
    changes_at: u64,
    member: Option<MemberId>,
    base: Timestamp,
    next_member: usize,
    next_base: usize,
    /// The lines that are left, and the low bits of the offset where they begin.
    rest: &'a str,
    start: u32,
}

impl<'a> Iter<'a> {
    /// The items before and after the events.
    #[cold]
    fn around_events(&mut self) -> Option<DeliveryRef<'a>> {
        let batch = self.batch;
        if self.begun {
            let closed = batch.closed.filter(|_| !self.ended)?;
            self.ended = true;
            return Some(Delivery::Closed(closed));
        }
        if let Some(direct) = batch.directs().get(self.directs) {
            self.directs += 1;
            return Some(Delivery::Direct(direct));
        }
        self.begun = true;
        self.entries = batch.index.entries.iter();
        match batch.missed() {
            0 => self.next(),
            missed => Some(Delivery::Gap { missed }),
        }
    }

    /// Whether nothing comes after the events.
    fn is_ended(&self) -> bool {
        self.begun && self.ended
    }

    /// Takes the member and the base of the next event, if they are not those of the one before.
    #[inline(never)]
    fn change(&mut self) {
        let index = &self.batch.index;
        let (member, member_until) = begin(index.members(), &mut self.next_member, self.seq);
        if let Some(slot) = member {
            self.member = self.batch.id(slot);
        }
        let (base, base_until) = begin(index.bases(), &mut self.next_base, self.seq);
        self.base = base.unwrap_or(self.base);
        self.changes_at = member_until.min(base_until);
    }
}

/// The value of the span that begins at event number `seq`, if one does, and the number of the event
/// at which the next one begins.
fn begin<V: Copy>(spans: &[Span<V>], next: &mut usize, seq: u64) -> (Option<V>, u64) {
    let mut value = None;
    while let Some(span) = spans.get(*next) {
        let first = span.first(seq);
        if first > seq {
            return (value, first);
        }
        value = Some(span.value);
        *next += 1;
    }
    (value, u64::MAX)
}

/// Takes an event from the beginning of the lines `rest`.
// Inlined, because copying an event out of a call costs more than making it.
#[inline(always)]
fn event<'a>(
    entry: Entry,
    seq: u64,
    member: Option<MemberId>,
    base: Timestamp,
    rest: &mut &'a str,
    start: &mut u32,
) -> DeliveryRef<'a> {
    let len = entry.len(*start);
    let (line, after) = rest.split_at(len);
    *start = entry.end();
    *rest = after;
    Delivery::Event(EventRef {
        seq,
        time: entry.time(base),
        member,
        kind: entry.kind(),
        name_len: entry.name_len(),
        line: &line[..len - 1],
    })
}

impl<'a> Iterator for Iter<'a> {
    type Item = DeliveryRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        let Some(&entry) = self.entries.next() else {
            return match self.is_ended() {
                true => None,
                false => self.around_events(),
            };
        };
        if self.seq == self.changes_at {
            self.change();
        }
        let seq = self.seq;
        self.seq += 1;
        let (member, base) = (self.member, self.base);
        let (rest, start) = (&mut self.rest, &mut self.start);
        Some(event(entry, seq, member, base, rest, start))
    }

    /// Faster than calls of `next`: what most events have in common stays in registers.
    fn fold<B, F: FnMut(B, Self::Item) -> B>(mut self, init: B, mut f: F) -> B {
        let mut folded = init;
        loop {
            if self.seq == self.changes_at {
                self.change();
            }
            let same = usize::try_from(self.changes_at - self.seq).unwrap_or(usize::MAX);
            let entries = self.entries.as_slice();
            let (now, later) = entries.split_at(same.min(entries.len()));
            self.entries = later.iter();
            let (mut seq, member, base) = (self.seq, self.member, self.base);
            let (mut rest, mut start) = (self.rest, self.start);
            for &entry in now {
                let event = event(entry, seq, member, base, &mut rest, &mut start);
                folded = f(folded, event);
                seq += 1;
            }
            (self.seq, self.rest, self.start) = (seq, rest, start);
            if self.entries.len() > 0 {
                continue;
            }
            if self.is_ended() {
                return folded;
            }
            if let Some(item) = self.around_events() {
                folded = f(folded, item);
            }
        }
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let before = match self.begun {
            true => 0,
            false => usize::from(self.batch.missed() > 0) + self.batch.index.entries.len(),
        };
        let left = (self.batch.directs().len() - self.directs)
            + before
            + self.entries.len()
            + usize::from(!self.ended);
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
