//! Reading the log through a cursor.

use super::State;
use super::cursors::CursorKey;
use super::mailbox::Mailbox;
use crate::log::index::IndexCopy;
use crate::log::lag::Place;
use crate::log::lines::Append;
use crate::types::event::{Event, EventKind, LeaveReason};
use crate::types::ids::{MaybeSlot, MemberId, SlotId};
use crate::types::position::{Resumed, Start};
use std::ops::Range;

/// Where a reader is in the log.
#[derive(Debug)]
pub(crate) struct Cursor {
    /// The number of the next event that it is to be given.
    pub(crate) seq: u64,
    pub(crate) key: CursorKey,
    member: MaybeSlot,
    pub(super) place: Place,
    /// The state's `attention` when the member was last known to be here and to have no mail: as
    /// long as it has not changed, a read need not look at the member's slot.
    pub(super) attention: u64,
}

/// How much one read may give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Amount {
    /// One item: a gap, an event, or the end.
    One,
    /// Everything, up to so many bytes of lines, but at least one event.
    Bytes(usize),
}

/// The result of one read.
#[derive(Debug)]
pub(crate) struct ReadOutcome {
    /// Events lost before the first one given.
    pub(crate) missed: u64,
    /// The events given.
    pub(crate) events: Range<u64>,
    /// The low bits of the offset where the first of their lines begins.
    pub(crate) start: u32,
    /// Set when nothing will come after these.
    pub(crate) closed: Option<LeaveReason>,
    caught_up: bool,
    /// Where the cursor was counted before it read.
    before: Place,
}

/// How far a read got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// There may be more.
    More,
    /// There is nothing more until something happens.
    CaughtUp,
    /// Nothing will come after this.
    Ended,
}

impl Cursor {
    /// The member that reads, if it is one.
    pub(crate) fn member(&self) -> Option<SlotId> {
        self.member.get()
    }
}

impl ReadOutcome {
    pub(crate) fn progress(&self) -> Progress {
        match (self.closed, self.caught_up) {
            (Some(_), _) => Progress::Ended,
            (None, true) => Progress::CaughtUp,
            (None, false) => Progress::More,
        }
    }
}

impl State {
    /// Makes a cursor that begins at `start`.
    pub(crate) fn open(&mut self, start: Start, member: Option<SlotId>) -> (Cursor, Resumed) {
        let held = self.log.held();
        let (seq, resumed) = match start {
            Start::Now => (held.end, Resumed::Complete),
            Start::Last(events) => {
                // A member's own arrival comes after the events that were asked for.
                let own = u64::from(member.is_some_and(|id| self.last_is_arrival_of(id)));
                let last = held.end - own;
                let first = last.saturating_sub(events).max(held.start);
                (first, Resumed::Complete)
            }
            Start::At(position) if position.epoch != self.epoch => (held.end, Resumed::OtherEpoch),
            Start::At(position) if position.number > held.end => (held.end, Resumed::Future),
            Start::At(position) => match held.start.checked_sub(position.number) {
                None | Some(0) => (position.number, Resumed::Complete),
                Some(missed) => (position.number, Resumed::Missed(missed)),
            },
        };
        let place = match seq >= held.start {
            true => self.lag.enter(self.log.start_of(seq)),
            false => self.lag.enter_overrun(),
        };
        let cursor = Cursor {
            seq,
            key: self.cursors.add(seq, member.map(|id| id.index)),
            member: member.into(),
            place,
            attention: self.attention,
        };
        (cursor, resumed)
    }

    fn last_is_arrival_of(&self, id: SlotId) -> bool {
        let held = self.log.held();
        !held.is_empty() && {
            let last = self.log.entry(held.end - 1);
            last.kind() == EventKind::Arrived && self.log.member(held.end - 1) == Some(id)
        }
    }

    /// The cursor no longer exists.
    pub(crate) fn close_cursor(&mut self, cursor: &Cursor) {
        self.lag.leave(cursor.place);
        self.barrier_reached |= self.cursors.remove(cursor.key);
    }

    /// How many events the cursor has before it, up to the end of its stream.
    pub(crate) fn behind(&self, cursor: &Cursor) -> u64 {
        let left = cursor.member().and_then(|id| self.members.end(id));
        let end = left.map_or(self.log.head(), |(end, _)| end);
        end.saturating_sub(cursor.seq)
    }

    /// Appends to `out` the lines that the cursor has before it, up to the next mail, and moves the
    /// cursor behind them.
    ///
    /// Mail that is due at the cursor comes before these lines; the caller [looks](Self::has_mail)
    /// for it first.
    pub(crate) fn read(
        &mut self,
        cursor: &mut Cursor,
        amount: Amount,
        out: &mut impl Append,
    ) -> ReadOutcome {
        // Nearly always there is nothing but events.
        let (has_mail, before, end) =
            match cursor.attention == self.attention && self.closed_at.is_none() {
                true => (false, u64::MAX, None),
                false => self.other_than_events(cursor),
            };
        let until = end.map_or(self.log.head(), |(until, _)| until);
        let first_held = self.log.held().start.min(until);
        let started_at = cursor.seq;
        if started_at < first_held {
            self.miss(cursor, first_held);
        }
        let missed = cursor.seq - started_at;
        let from = cursor.seq;
        let (place, mut start) = (cursor.place, 0);
        if from < until && !(missed > 0 && amount == Amount::One) {
            let (to, max_bytes) = match amount {
                Amount::One => (from + 1, usize::MAX),
                Amount::Bytes(bytes) => (until, bytes),
            };
            let to = to.min(before.max(from));
            let run = self.log.read(from, to, max_bytes, out);
            (cursor.seq, start) = (run.to, run.start as u32);
            self.lag.advance(&mut cursor.place, run.end, true);
        }
        // Written only if it changes: another reader has the state's memory in its cache.
        if cursor.seq != started_at && self.cursors.advance(cursor.key, cursor.seq) {
            self.barrier_reached = true;
        }
        let caught_up = cursor.seq == until && !has_mail;
        let room = amount != Amount::One || (missed == 0 && from == until);
        let closed = end.filter(|_| caught_up && room);
        if closed.is_some() {
            self.barrier_reached |= self.cursors.end(cursor.key);
            self.lag.end(&mut cursor.place);
        }
        ReadOutcome {
            missed,
            events: from..cursor.seq,
            start,
            closed: closed.map(|(_, reason)| reason),
            caught_up: caught_up && end.is_none(),
            before: place,
        }
    }

    /// Whether the member that reads has mail, the number of the event before which its next mail
    /// comes, and where its stream ends and why.
    #[cold]
    fn other_than_events(&self, cursor: &mut Cursor) -> (bool, u64, Option<(u64, LeaveReason)>) {
        let mail = self.mail_of(cursor);
        let (has_mail, before) = (
            mail.is_some(),
            mail.map_or(u64::MAX, |mail| mail.next_after(cursor.seq)),
        );
        let closed = self.closed_at.map(|end| (end, LeaveReason::Closed));
        let left = match (cursor.attention == self.attention, cursor.member()) {
            (false, Some(id)) => self.members.end(id),
            _ => None,
        };
        if left.is_none() && !has_mail {
            cursor.attention = self.attention;
        }
        (has_mail, before, left.or(closed))
    }

    /// Moves the cursor behind events that were evicted before it read them, to event number `to`.
    #[cold]
    fn miss(&mut self, cursor: &mut Cursor, to: u64) {
        self.cursors.missed(cursor.key, cursor.seq);
        self.gaps += 1;
        // A position can be much earlier than the hub's first event.
        self.missed = self.missed.saturating_add(to - cursor.seq);
        cursor.seq = to;
        // A member that left long ago may have its end before the tail; then nothing is read.
        if to >= self.log.held().start {
            let offset = self.log.start_of(to);
            self.lag.advance(&mut cursor.place, offset, false);
        }
    }

    /// Moves the cursor back to an event, or to the gap, that a read gave but that could not be
    /// passed on.
    pub(crate) fn put_back(&mut self, cursor: &mut Cursor, outcome: &ReadOutcome, seq: u64) {
        cursor.seq = seq;
        self.cursors.advance(cursor.key, seq);
        if seq < outcome.events.start {
            // The gap, too: it was not delivered, and may grow.
            self.cursors.not_missed(cursor.key, seq);
            self.gaps -= 1;
            self.missed = self.missed.saturating_sub(outcome.missed);
        }
        // If it was overrun meanwhile, the next read will say so.
        let held = seq >= self.log.held().start;
        let offset = held.then(|| self.log.start_of(seq));
        self.lag.put_back(&mut cursor.place, outcome.before, offset);
    }

    /// Whether the member that reads has mail, due or not.
    pub(crate) fn has_mail(&self, cursor: &Cursor) -> bool {
        self.mail_of(cursor).is_some()
    }

    /// How far a reader is that was given everything before its cursor.
    pub(crate) fn progress(&self, cursor: &Cursor) -> Progress {
        let here = |id| self.members.get(id).is_some();
        let is_open = !self.is_closed() && cursor.member().is_none_or(here);
        match is_open && cursor.seq == self.log.head() && !self.has_mail(cursor) {
            true => Progress::CaughtUp,
            false => Progress::More,
        }
    }

    fn mail_of(&self, cursor: &Cursor) -> Option<&Mailbox> {
        if cursor.attention == self.attention {
            return None;
        }
        let mailbox = self.members.mailbox(cursor.member()?)?;
        Some(mailbox).filter(|mailbox| !mailbox.is_empty())
    }

    /// Copies the index of events that a read just gave.
    pub(crate) fn read_index(&self, events: Range<u64>, out: &mut IndexCopy) {
        self.log.read_index(events, out);
    }

    /// The event that a read just gave, except for its line.
    pub(crate) fn event(&self, seq: u64) -> Event<()> {
        let entry = self.log.entry(seq);
        Event {
            seq,
            time: self.log.time(seq),
            member: self.log.member(seq).map(|slot| self.member_id(slot)),
            kind: entry.kind(),
            name_len: entry.name_len(),
            line: (),
        }
    }

    pub(crate) fn member_id(&self, slot: SlotId) -> MemberId {
        MemberId {
            hub: self.hub,
            slot,
        }
    }
}
