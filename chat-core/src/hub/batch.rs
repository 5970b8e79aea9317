//! Many deliveries at a time, without an allocation for each.

use crate::log::index::{Base, Entry};
use crate::state::State;
use crate::state::read::{Amount, Cursor, ReadOutcome};
use crate::types::direct::Direct;
use crate::types::event::{Delivery, DeliveryRef, EventRef, LeaveReason};
use crate::types::ids::{HubId, MemberId};

/// Filled by [`Member::recv_many`](crate::Member::recv_many): a run of the log, copied once.
///
/// Keep one and use it again: then its memory is allocated once, for at most about 64 KiB of lines
/// and 16 bytes for each of them. Its items come in the order direct messages, gap, events, closed.
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
    directs: Vec<Direct>,
    missed: u64,
    first: u64,
    lines: String,
    entries: Vec<Entry>,
    /// The base of the first event's time, and others for later ones, if there are any.
    base: Base,
    other_bases: Vec<Base>,
    /// The low bits of the offset in the log where its lines begin.
    start: u32,
    closed: Option<LeaveReason>,
}

impl Batch {
    /// How many items it holds.
    pub fn len(&self) -> usize {
        self.directs.len()
            + usize::from(self.missed > 0)
            + self.entries.len()
            + usize::from(self.closed.is_some())
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The texts for this member alone, which come before its gap and events.
    pub fn directs(&self) -> &[Direct] {
        &self.directs
    }

    /// The lines of its events, each with `\n` at its end.
    pub fn lines(&self) -> &str {
        &self.lines
    }

    /// How many events were lost before its first one.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// The reason of the end, if nothing will come after it.
    pub fn closed(&self) -> Option<LeaveReason> {
        self.closed
    }

    /// Its items.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            batch: self,
            directs: self.directs.iter(),
            in_events: self.directs.is_empty() && self.missed == 0,
            next: 0,
            base: self.base,
            next_base: 0,
            rest: &self.lines,
            start: self.start,
            closed: self.closed,
        }
    }

    pub(crate) fn push_direct(&mut self, direct: Direct) {
        self.directs.push(direct);
    }

    /// Takes out the memory for lines, empty.
    pub(crate) fn take_memory(&mut self) -> Vec<u8> {
        let mut bytes = std::mem::take(&mut self.lines).into_bytes();
        bytes.clear();
        bytes
    }

    /// Fills it with the events that the cursor has before it, and `bytes` with their lines.
    pub(crate) fn fill(
        &mut self,
        state: &mut State,
        cursor: &mut Cursor,
        amount: Amount,
        bytes: &mut Vec<u8>,
    ) -> ReadOutcome {
        let outcome = state.read(cursor, amount, bytes);
        self.hub = Some(state.hub_id());
        self.first = outcome.events.start;
        self.missed = outcome.missed;
        self.entries.clear();
        self.other_bases.clear();
        let events = outcome.events.clone();
        self.start = outcome.start;
        self.base = state.read_index(events, &mut self.entries, &mut self.other_bases);
        self.closed = outcome.closed;
        outcome
    }

    /// Puts in the lines that [`fill`](Self::fill) gave. Checking that they are UTF-8 takes up to a
    /// hundred times as long as copying them, so this is not done under the hub's lock.
    pub(crate) fn set_lines(&mut self, bytes: Vec<u8>) {
        self.lines = String::from_utf8(bytes).expect("the log holds whole lines of UTF-8");
    }

    pub(crate) fn clear(&mut self) {
        self.directs.clear();
        self.missed = 0;
        self.lines.clear();
        self.entries.clear();
        self.other_bases.clear();
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
    directs: std::slice::Iter<'a, Direct>,
    /// Whether the items before the events were given.
    in_events: bool,
    next: usize,
    /// The base of the event before, and the place of the next one.
    base: Base,
    next_base: usize,
    rest: &'a str,
    start: u32,
    closed: Option<LeaveReason>,
}

impl<'a> Iter<'a> {
    /// The items before the events.
    #[cold]
    fn before_events(&mut self) -> Option<DeliveryRef<'a>> {
        if let Some(direct) = self.directs.next() {
            return Some(Delivery::Direct(direct));
        }
        self.in_events = true;
        let missed = Some(self.batch.missed).filter(|missed| *missed > 0)?;
        Some(Delivery::Gap { missed })
    }

    #[cold]
    fn find_base(&mut self, seq: u64) {
        while let Some(base) = self.batch.other_bases.get(self.next_base)
            && base.first <= seq
        {
            self.base = *base;
            self.next_base += 1;
        }
    }

    // Inlined, because copying an event out of a call costs more than making it.
    #[inline]
    fn event(&mut self, entry: Entry) -> EventRef<'a> {
        let seq = self.batch.first + self.next as u64;
        if self.next_base < self.batch.other_bases.len() {
            self.find_base(seq);
        }
        let len = entry.len(self.start);
        let (line, rest) = self.rest.split_at(len);
        self.start = entry.end();
        self.next += 1;
        self.rest = rest;
        EventRef {
            seq,
            time: self.base.time(entry),
            member: Option::zip(self.batch.hub, entry.member())
                .map(|(hub, slot)| MemberId { hub, slot }),
            kind: entry.kind(),
            name_len: entry.name_len(),
            line: &line[..len - 1],
        }
    }
}

impl<'a> Iterator for Iter<'a> {
    type Item = DeliveryRef<'a>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if !self.in_events
            && let Some(item) = self.before_events()
        {
            return Some(item);
        }
        if let Some(&entry) = self.batch.entries.get(self.next) {
            return Some(Delivery::Event(self.event(entry)));
        }
        self.closed.take().map(Delivery::Closed)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let gap = !self.in_events && self.batch.missed > 0;
        let left = self.directs.len()
            + usize::from(gap)
            + (self.batch.entries.len() - self.next)
            + usize::from(self.closed.is_some());
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
