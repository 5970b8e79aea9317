//! What stands under the hub's lock: the log, the members, the names. No clock, no waking.

pub(crate) mod members;

use crate::log::lag::{Place, Zones};
use crate::log::{Entry, Log, Packed};
use crate::state::members::{Members, Names};
use crate::types::config::HubConfig;
use crate::types::event::{EventKind, LeaveReason};
use crate::types::ids::MemberId;
use crate::types::name::{Name, NameKeys};
use crate::types::stats::{Roster, Stats};
use std::ops::Range;

/// Where a member is in the log.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// The number of the next event it is to be given.
    pub(crate) seq: u64,
    place: Place,
    /// The count of leavings when its member was last known to be here: while nobody has left
    /// since, a look need not find out again.
    leavings: u64,
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
    members: Members,
    announce_up_to: usize,
    closed_at: Option<u64>,
    leavings: u64,
    /// Sessions that wait for room; see `Hub::pace`.
    pub(crate) pacing: usize,
    messages: u64,
    gaps: u64,
    missed: u64,
}

impl State {
    pub(crate) fn new(config: &HubConfig, first_seq: u64) -> Self {
        let log = Log::new(config.log_bytes, first_seq);
        Self {
            zones: Zones::new(log.capacity()),
            log,
            members: Members::new(),
            announce_up_to: config.announce_up_to.unwrap_or(usize::MAX),
            closed_at: None,
            leavings: 0,
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

    /// How many slots for members there are, used or not.
    pub(crate) fn slots(&self) -> usize {
        self.members.slots()
    }

    pub(crate) fn join(
        &mut self,
        name: Name,
        keys: NameKeys,
    ) -> Result<(MemberId, Cursor), Refused> {
        self.check_open()?;
        if !self.members.is_free(&keys, None) {
            return Err(Refused::Taken);
        }
        if self.members.len() < self.announce_up_to {
            self.append(EventKind::Arrived, &name, "")?;
        }
        let id = self.members.add(name, keys);
        let cursor = Cursor {
            seq: self.log.head(),
            place: self.zones.enter(self.log.head_offset()),
            leavings: self.leavings,
        };
        Ok((id, cursor))
    }

    pub(crate) fn publish<'a>(
        &mut self,
        id: MemberId,
        texts: impl ExactSizeIterator<Item = &'a str>,
    ) -> Result<Range<u64>, Refused> {
        self.check_open()?;
        // Cloned once per batch: the log is written to while it is read.
        let name = self.members.name(id).ok_or(Refused::NotHere)?.clone();
        let first = self.log.head();
        if u64::MAX - first < texts.len() as u64 {
            // All of them or none.
            return Err(self.no_number_left());
        }
        for text in texts {
            self.append(EventKind::Message, &name, text)?;
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
        self.check_open()?;
        let old = self.members.name(id).ok_or(Refused::NotHere)?.clone();
        if old == name {
            return Ok(());
        }
        if !self.members.is_free(&keys, Some(id)) {
            return Err(Refused::Taken);
        }
        self.append(EventKind::Renamed, &old, name.as_str())?;
        self.members.rename(id, name, keys);
        Ok(())
    }

    /// Gives the position of the leaving, or `None` if it had left before.
    pub(crate) fn leave(&mut self, id: MemberId, reason: LeaveReason) -> Option<u64> {
        self.check_open().ok()?;
        let (end, here) = (self.log.head(), self.members.len());
        let name = self.members.leave(id, end, reason)?;
        self.leavings += 1;
        if here <= self.announce_up_to {
            // Without a number left the hub is closed now, and that is everybody's leaving.
            let _ = self.append(EventKind::Left(reason), &name, "");
        }
        Some(end)
    }

    /// The member's handle is gone: it leaves, if it has not, and its slot is free.
    pub(crate) fn release(&mut self, id: MemberId, cursor: &Cursor, reason: LeaveReason) {
        self.zones.leave(cursor.place);
        self.leave(id, reason);
        self.members.release(id);
    }

    /// From now on nobody is here. Gives what need not be dropped under the lock.
    pub(crate) fn close(&mut self) -> Names {
        if self.closed_at.is_none() {
            self.closed_at = Some(self.log.head());
        }
        self.members.clear()
    }

    /// What the cursor has before it; the cursor moves behind that.
    pub(crate) fn look(
        &mut self,
        id: MemberId,
        cursor: &mut Cursor,
        amount: Amount,
        out: &mut Vec<u8>,
    ) -> Look {
        let closed = self.closed_at.map(|end| (end, LeaveReason::Closed));
        let left = match cursor.leavings == self.leavings {
            true => None,
            false => self.members.end(id),
        };
        if left.is_none() {
            cursor.leavings = self.leavings;
        }
        let end = left.or(closed);
        let until = end.map_or(self.log.head(), |(until, _)| until);
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
            closed: end.filter(|_| caught_up && room).map(|(_, reason)| reason),
            caught_up: caught_up && end.is_none(),
            before,
        }
    }

    /// Puts the cursor back to an event, or the gap, that it was given but could not pass on.
    pub(crate) fn put_back(&mut self, cursor: &mut Cursor, look: &Look, seq: u64) {
        cursor.seq = seq;
        if seq < look.events.start {
            // The gap, too: it was not told, and may grow.
            self.gaps -= 1;
            self.missed -= look.missed;
        }
        // If it was overrun meanwhile, the next look will say so.
        let held = seq >= self.log.held().start;
        let offset = held.then(|| self.log.start_of(seq));
        self.zones.put_back(&mut cursor.place, look.before, offset);
    }

    /// Appends to `out` the index entries of events that a look just gave; see [`Log::read_index`].
    pub(crate) fn read_index(&self, events: Range<u64>, out: &mut Vec<Packed>) -> u32 {
        self.log.read_index(events, out)
    }

    /// The index entry of an event that a look just gave.
    pub(crate) fn entry(&self, seq: u64) -> Entry {
        self.log.entry(seq)
    }

    /// Whether a member that makes progress is about to be overrun.
    pub(crate) fn is_crowded(&self) -> bool {
        !self.is_closed() && self.zones.has_credit(self.danger())
    }

    /// They were waited for.
    pub(crate) fn give_up_on_the_slow(&mut self) {
        self.zones.use_up(self.danger());
    }

    fn danger(&self) -> Range<u64> {
        let tail = self.log.tail_offset();
        tail..self.log.endangered().max(tail)
    }

    pub(crate) fn find(&self, keys: &NameKeys) -> Option<MemberId> {
        self.members.find(keys)
    }

    /// Why a member left, if it has.
    pub(crate) fn left(&self, id: MemberId) -> Option<LeaveReason> {
        let closed = self.closed_at.map(|_| LeaveReason::Closed);
        self.members.end(id).map(|(_, reason)| reason).or(closed)
    }

    pub(crate) fn name(&self, id: MemberId) -> Option<&Name> {
        self.check_open().ok()?;
        self.members.name(id)
    }

    pub(crate) fn roster_now(&self, limit: usize) -> Roster {
        Roster {
            position: self.log.head(),
            total: self.members.len(),
            names: self.members.roster(limit),
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
            members: self.members.len(),
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

    fn append(&mut self, kind: EventKind, name: &Name, text: &str) -> Result<u64, Refused> {
        let number = self.log.append(kind, name.as_str(), text);
        number.ok_or_else(|| self.no_number_left())
    }

    /// 2^64 events: there is no order to promise any more.
    fn no_number_left(&mut self) -> Refused {
        self.close();
        Refused::Closed
    }

    fn check_open(&self) -> Result<(), Refused> {
        match self.is_closed() {
            true => Err(Refused::Closed),
            false => Ok(()),
        }
    }
}
