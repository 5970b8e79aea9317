//! What stands under the hub's lock: the log, the members, the names. No clock, no waking.

use crate::config::HubConfig;
use crate::event::{EventKind, LeaveReason};
use crate::hub::{Roster, Stats};
use crate::log::{Entry, Log};
use crate::name::{Name, NameKeys};
use crate::zones::{Place, Zones};
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Who a member is, as long as the program runs: ids of members that left are not used again.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MemberId {
    index: u32,
    /// Tells apart those who had the same slot one after the other.
    generation: u32,
}

impl MemberId {
    /// The number of its slot, small and dense.
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemberId({}.{})", self.index, self.generation)
    }
}

/// Where a member is in the log.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// The number of the next event it is to be given.
    pub(crate) seq: u64,
    place: Place,
}

/// How much one look at the log may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// One thing: a gap, an event, or the end.
    One,
    /// Everything before an event, up to so many bytes of lines, but at least one event.
    Upto { bytes: usize, before: u64 },
}

/// What one look at the log gave.
#[derive(Debug)]
pub(crate) struct Look {
    /// Events lost before the first one given.
    pub(crate) missed: u64,
    /// The events given.
    pub(crate) events: Range<u64>,
    /// Set when nothing will come after these.
    pub(crate) closed: Option<LeaveReason>,
    /// Whether there is nothing more until something happens.
    pub(crate) caught_up: bool,
    /// Where the cursor was counted before it read.
    before: Place,
}

const NONE: u32 = u32::MAX;

/// A member's record. Those who are here are linked in the order in which they came.
#[derive(Debug)]
struct Slot {
    generation: u32,
    prev: u32,
    next: u32,
    tenant: Tenant,
}

#[derive(Debug)]
enum Tenant {
    Here {
        name: Name,
        keys: NameKeys,
    },
    /// It left, but what reads for it still may: all before `end`.
    Left {
        end: u64,
        reason: LeaveReason,
    },
    Nobody,
}

/// Why a name could not be given; the caller's error enums say it in their own words.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Taken,
    Closed,
    NotHere,
}

#[derive(Debug)]
pub(crate) struct State {
    log: Log,
    zones: Zones,
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// First and last of those who are here.
    first: u32,
    last: u32,
    members: usize,
    /// Keyed by what users choose, hence the default hasher.
    names: HashMap<Arc<str>, u32>,
    announce_up_to: usize,
    closed_at: Option<u64>,
    /// Sessions that wait for room; see `Hub::pace`.
    pub(crate) pacing: usize,
    messages: u64,
    gaps: u64,
    missed: u64,
}

impl State {
    pub(crate) fn new(config: &HubConfig, first_seq: u64) -> Self {
        let log = Log::new(config.log_size(), first_seq);
        Self {
            zones: Zones::new(log.capacity()),
            log,
            slots: Vec::new(),
            free: Vec::new(),
            first: NONE,
            last: NONE,
            members: 0,
            names: HashMap::new(),
            announce_up_to: config.announce_up_to.unwrap_or(usize::MAX),
            closed_at: None,
            pacing: 0,
            messages: 0,
            gaps: 0,
            missed: 0,
        }
    }

    pub(crate) fn position(&self) -> u64 {
        self.log.head()
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed_at.is_some()
    }

    /// How many slots there are, used or not.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    pub(crate) fn join(
        &mut self,
        name: Name,
        keys: NameKeys,
    ) -> Result<(MemberId, Cursor), Refused> {
        if self.is_closed() {
            return Err(Refused::Closed);
        }
        if keys.iter().any(|key| self.names.contains_key(key)) {
            return Err(Refused::Taken);
        }
        if self.members < self.announce_up_to {
            self.append(EventKind::Arrived, &name, "")
                .ok_or(Refused::Closed)?;
        }
        let index = self.free.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.slots.len()).expect("fewer than 2^32 members at a time");
            self.slots.push(Slot {
                generation: 0,
                prev: NONE,
                next: NONE,
                tenant: Tenant::Nobody,
            });
            index
        });
        for key in keys.iter() {
            self.names.insert(key.clone(), index);
        }
        let last = self.last;
        let slot = &mut self.slots[index as usize];
        slot.tenant = Tenant::Here { name, keys };
        (slot.prev, slot.next) = (last, NONE);
        let id = MemberId {
            index,
            generation: slot.generation,
        };
        match last {
            NONE => self.first = index,
            last => self.slots[last as usize].next = index,
        }
        self.last = index;
        self.members += 1;
        let cursor = Cursor {
            seq: self.log.head(),
            place: self.zones.enter(self.log.head_offset()),
        };
        Ok((id, cursor))
    }

    pub(crate) fn publish<'a>(
        &mut self,
        id: MemberId,
        texts: impl Iterator<Item = &'a str>,
    ) -> Result<Range<u64>, Refused> {
        let first = self.log.head();
        if self.is_closed() {
            return Err(Refused::Closed);
        }
        let Some(Tenant::Here { name, .. }) = self.tenant(id) else {
            return Err(Refused::NotHere);
        };
        // Its reference count goes up and down once per batch; the borrow ends here.
        let name = name.clone();
        for text in texts {
            self.append(EventKind::Message, &name, text)
                .ok_or(Refused::Closed)?;
            self.messages += 1;
        }
        Ok(first..self.log.head())
    }

    pub(crate) fn rename(
        &mut self,
        id: MemberId,
        name: Name,
        keys: NameKeys,
    ) -> Result<(), Refused> {
        if self.is_closed() {
            return Err(Refused::Closed);
        }
        let Some(Tenant::Here { name: old, .. }) = self.tenant(id) else {
            return Err(Refused::NotHere);
        };
        let old = old.clone();
        if old == name {
            return Ok(());
        }
        // Its own name in another case, or one that looks like it, is free for it.
        let mine = |holder: &u32| *holder == id.index;
        if keys
            .iter()
            .any(|key| self.names.get(key).is_some_and(|holder| !mine(holder)))
        {
            return Err(Refused::Taken);
        }
        self.append(EventKind::Renamed, &old, name.as_str())
            .ok_or(Refused::Closed)?;
        for key in keys.iter() {
            self.names.insert(key.clone(), id.index);
        }
        let tenant = &mut self.slots[id.index()].tenant;
        let before = std::mem::replace(
            tenant,
            Tenant::Here {
                name,
                keys: keys.clone(),
            },
        );
        if let Tenant::Here { keys: before, .. } = before {
            for key in before
                .iter()
                .filter(|key| !keys.iter().any(|new| new == *key))
            {
                self.names.remove(key);
            }
        }
        Ok(())
    }

    /// Gives the position of the leaving, or `None` if it had left before.
    pub(crate) fn leave(&mut self, id: MemberId, reason: LeaveReason) -> Option<u64> {
        if self.is_closed() || !matches!(self.tenant(id), Some(Tenant::Here { .. })) {
            return None;
        }
        let end = self.log.head();
        let tenant = &mut self.slots[id.index()].tenant;
        let left = std::mem::replace(tenant, Tenant::Left { end, reason });
        let Tenant::Here { name, keys } = left else {
            unreachable!("matched above");
        };
        for key in keys.iter() {
            self.names.remove(key);
        }
        self.unlink(id.index);
        if self.members <= self.announce_up_to {
            // Without a number left the hub is closed now, and that is everybody's leaving.
            let _ = self.append(EventKind::Left(reason), &name, "");
        }
        self.members -= 1;
        Some(end)
    }

    /// The member's handle is gone: it leaves, if it has not, and its slot is free.
    pub(crate) fn release(&mut self, id: MemberId, cursor: &Cursor, reason: LeaveReason) {
        self.zones.leave(cursor.place);
        self.leave(id, reason);
        let slot = &mut self.slots[id.index()];
        slot.tenant = Tenant::Nobody;
        // A slot that has been used 2^32 times is given up: its ids would come again.
        if let Some(generation) = slot.generation.checked_add(1) {
            slot.generation = generation;
            self.free.push(id.index);
        }
    }

    /// From now on nobody is here.
    pub(crate) fn close(&mut self) {
        if self.is_closed() {
            return;
        }
        self.closed_at = Some(self.log.head());
        self.names = HashMap::new();
        (self.first, self.last, self.members) = (NONE, NONE, 0);
    }

    /// What the cursor has before it; the cursor moves behind that.
    pub(crate) fn look(
        &mut self,
        id: MemberId,
        cursor: &mut Cursor,
        amount: Amount,
        out: &mut Vec<u8>,
    ) -> Look {
        let (until, ended) = match self.tenant(id) {
            Some(Tenant::Left { end, reason }) => (*end, Some(*reason)),
            _ => match self.closed_at {
                Some(end) => (end, Some(LeaveReason::Closed)),
                None => (self.log.head(), None),
            },
        };
        let held = self.log.held();
        let mut missed = 0;
        if cursor.seq < held.start.min(until) {
            missed = held.start.min(until) - cursor.seq;
            cursor.seq += missed;
            self.gaps += 1;
            self.missed += missed;
        }
        let from = cursor.seq;
        // Who left long ago may have its end before the tail; then there is nothing to read.
        if missed > 0 && from >= held.start {
            let offset = self.log.start_of(from);
            self.zones.advance(&mut cursor.place, offset, false);
        }
        let before = cursor.place;
        if from < until && !(missed > 0 && amount == Amount::One) {
            let (to, max_bytes) = match amount {
                Amount::One => (from + 1, usize::MAX),
                Amount::Upto { bytes, before } => (before.clamp(from, until), bytes),
            };
            cursor.seq = self.log.read(from, to, max_bytes, out);
            let offset = self.log.start_of(cursor.seq);
            self.zones.advance(&mut cursor.place, offset, true);
        }
        let caught_up = cursor.seq == until;
        let room = amount != Amount::One || (missed == 0 && from == until);
        Look {
            missed,
            events: from..cursor.seq,
            closed: ended.filter(|_| caught_up && room),
            caught_up: caught_up && ended.is_none(),
            before,
        }
    }

    /// Puts the cursor back to an event that it was given but could not pass on.
    pub(crate) fn put_back(&mut self, cursor: &mut Cursor, look: &Look, seq: u64) {
        cursor.seq = seq;
        // If it was overrun meanwhile, the next look will say so.
        let held = seq >= self.log.held().start;
        let offset = held.then(|| self.log.start_of(seq));
        self.zones.put_back(&mut cursor.place, look.before, offset);
    }

    /// The index entries of events that a look just gave.
    pub(crate) fn entries(&self, events: Range<u64>) -> impl Iterator<Item = (Entry, usize)> {
        self.log.entries(events)
    }

    /// Whether a member that makes progress is about to be overrun.
    pub(crate) fn crowded(&self) -> bool {
        self.zones.has_credit(self.danger())
    }

    /// They were waited for.
    pub(crate) fn give_up_on_the_slow(&mut self) {
        self.zones.use_up(self.danger());
    }

    fn danger(&self) -> Range<u64> {
        let tail = self.log.tail_offset();
        tail..self.log.endangered().max(tail)
    }

    pub(crate) fn name(&self, id: MemberId) -> Option<&Name> {
        match self.tenant(id) {
            Some(Tenant::Here { name, .. }) if !self.is_closed() => Some(name),
            _ => None,
        }
    }

    /// The names of the first `limit` members, in the order in which they came.
    fn roster(&self, limit: usize) -> Vec<Name> {
        let mut at = self.first;
        std::iter::from_fn(|| {
            let slot = self.slots.get(at as usize)?;
            at = slot.next;
            match &slot.tenant {
                Tenant::Here { name, .. } => Some(name.clone()),
                _ => unreachable!("only who is here is linked"),
            }
        })
        .take(limit)
        .collect()
    }

    pub(crate) fn roster_now(&self, limit: usize) -> Roster {
        Roster {
            position: self.log.head(),
            total: self.members,
            names: self.roster(limit),
        }
    }

    pub(crate) fn stats(&self) -> Stats {
        let (tail, head) = (self.log.tail_offset(), self.log.head_offset());
        let (hindmost, overrun) = self.zones.hindmost(tail, head);
        let behind = match overrun {
            0 => hindmost.map_or(0, |offset| head - offset),
            _ => head - tail,
        };
        Stats {
            members: self.members,
            published: self.messages,
            position: self.log.head(),
            bytes: head - tail,
            events: self.log.held().end - self.log.held().start,
            gaps: self.gaps,
            missed: self.missed,
            behind,
            overrun,
        }
    }

    fn append(&mut self, kind: EventKind, name: &Name, text: &str) -> Option<u64> {
        let seq = self.log.append(kind, name.as_str(), text);
        if seq.is_none() {
            // 2^64 events: there is no number left, so no order to promise.
            self.close();
        }
        seq
    }

    fn tenant(&self, id: MemberId) -> Option<&Tenant> {
        let slot = self.slots.get(id.index())?;
        (slot.generation == id.generation).then_some(&slot.tenant)
    }

    fn unlink(&mut self, index: u32) {
        let Slot { prev, next, .. } = self.slots[index as usize];
        match prev {
            NONE => self.first = next,
            prev => self.slots[prev as usize].next = next,
        }
        match next {
            NONE => self.last = prev,
            next => self.slots[next as usize].prev = prev,
        }
    }
}
