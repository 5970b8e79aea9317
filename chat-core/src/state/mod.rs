//! The state under the hub's lock: log, members, names, cursors. Deterministic: no clock, no
//! waking, no I/O, and nothing that depends on the order of a hash table.
//!
//! Every change that members can see is a [`Command`], carried out by [`State::apply`] at a time
//! that comes with it. Cursors are local to a process: the place of a reader changes nothing for others.

mod announce;
pub(crate) mod command;
pub(crate) mod cursors;
pub(crate) mod mailbox;
pub(crate) mod members;
pub(crate) mod parked;
pub(crate) mod read;
mod report;

use crate::log::Log;
use crate::log::lag::LagTracker;
use crate::types::config::HubConfig;
use crate::types::event::{EventKind, LeaveReason};
use crate::types::ids::{HubId, SlotId};
use crate::types::name::{Name, NameKeys};
use crate::types::position::Position;
use crate::types::time::Timestamp;
use announce::AnnounceLimit;
use command::{Command, Outcome, Refusal, Texts, direct};
use cursors::{BarrierId, Cursors};
use mailbox::{Mail, Mailbox};
use members::{Members, Names, Record};
use std::ops::Range;

#[derive(Debug)]
pub(crate) struct State {
    hub: HubId,
    epoch: u64,
    log: Log,
    lag: LagTracker,
    members: Members,
    cursors: Cursors,
    announce_up_to: usize,
    announcements: AnnounceLimit,
    mailbox_bytes: usize,
    /// The time of the last command.
    now: Timestamp,
    closed_at: Option<u64>,
    /// Counts the leavings, and what was put into mailboxes.
    attention: u64,
    /// Sessions that wait for readers; see [`Hub::pace`](crate::Hub::pace).
    pub(crate) pacing: usize,
    /// Whether a barrier was reached since this was last asked.
    barrier_reached: bool,
    /// The names of a closed hub, to be dropped without the lock.
    retired: Option<Names>,
    messages: u64,
    gaps: u64,
    missed: u64,
}

impl State {
    pub(crate) fn new(config: &HubConfig, hub: HubId, first: Position) -> Self {
        let log = Log::new(config.log_bytes, first.number);
        Self {
            hub,
            epoch: first.epoch,
            lag: LagTracker::new(log.capacity()),
            log,
            members: Members::new(),
            cursors: Cursors::default(),
            announce_up_to: config.announce_up_to.unwrap_or(usize::MAX),
            announcements: AnnounceLimit::new(config),
            mailbox_bytes: config.mailbox_bytes,
            now: Timestamp::default(),
            closed_at: None,
            attention: 0,
            pacing: 0,
            barrier_reached: false,
            retired: None,
            messages: 0,
            gaps: 0,
            missed: 0,
        }
    }

    /// Carries out a command, at a time that is not before that of earlier ones, or else counts as
    /// theirs.
    pub(crate) fn apply(
        &mut self,
        time: Timestamp,
        command: Command<'_>,
    ) -> Result<Outcome, Refusal> {
        if let Command::Close = command {
            self.close();
            return Ok(Outcome::Done);
        }
        if self.is_closed() {
            return Err(Refusal::Closed);
        }
        self.now = self.now.max(time);
        match command {
            Command::Join { name, keys } => self.join(name, keys).map(Outcome::Joined),
            Command::Publish { id, texts } => self.publish(id, texts).map(Outcome::Published),
            Command::Announce { text } => {
                let number = self.append(EventKind::Announcement, None, "", text)?;
                Ok(Outcome::Published(number..number + 1))
            }
            Command::Rename { id, name, keys } => {
                self.rename(id, name, keys)?;
                Ok(Outcome::Done)
            }
            Command::Mute { id, until } => {
                let record = self.members.get_mut(id).ok_or(Refusal::NotHere)?;
                record.muted_until = until;
                Ok(Outcome::Done)
            }
            Command::Send { from, to, text } => {
                self.send(from, to, text)?;
                Ok(Outcome::Done)
            }
            Command::Leave { id, reason, text } => self.leave(id, reason, text).map(Outcome::Left),
            Command::Close => unreachable!("carried out above"),
        }
    }

    fn join(&mut self, name: Name, keys: NameKeys) -> Result<SlotId, Refusal> {
        if !self.members.is_free(&keys, None) {
            return Err(Refusal::NameTaken);
        }
        let announced =
            self.members.len() < self.announce_up_to && self.announcements.admits(self.now);
        if announced && self.log.head() == u64::MAX {
            // Before the member is added: closing ends all memberships.
            return Err(self.no_number_left());
        }
        let shown = name.clone();
        let id = self.members.add(Record {
            name,
            keys,
            announced,
            muted_until: Timestamp::default(),
        });
        if announced {
            self.announcements.count(self.now);
            self.append(EventKind::Arrived, Some(id), shown.as_str(), "")?;
        }
        Ok(id)
    }

    fn publish(&mut self, id: SlotId, texts: Texts<'_>) -> Result<Range<u64>, Refusal> {
        let record = self.speaker(id)?;
        // Cloned once per batch: the log is written to while the name is read.
        let name = record.name.clone();
        let first = self.log.head();
        if u64::MAX - first < texts.ends.len() as u64 {
            // All of them or none.
            return Err(self.no_number_left());
        }
        for text in texts.iter() {
            self.append(EventKind::Message, Some(id), name.as_str(), text)?;
            self.messages += 1;
        }
        Ok(first..self.log.head())
    }

    fn rename(&mut self, id: SlotId, name: Name, keys: NameKeys) -> Result<(), Refusal> {
        let old = self.speaker(id)?.name.clone();
        if old == name {
            return Ok(());
        }
        if !self.members.is_free(&keys, Some(id)) {
            return Err(Refusal::NameTaken);
        }
        self.append(EventKind::Renamed, Some(id), old.as_str(), name.as_str())?;
        self.members.rename(id, name, keys);
        if let Some(record) = self.members.get_mut(id) {
            // The rename shows the member in the log.
            record.announced = true;
        }
        Ok(())
    }

    fn send(&mut self, from: Option<SlotId>, to: SlotId, text: &str) -> Result<(), Refusal> {
        let from = match from {
            Some(id) => Some((self.member_id(id), self.speaker(id)?.name.clone())),
            None => None,
        };
        self.members.get(to).ok_or(Refusal::RecipientNotHere)?;
        let (after, limit) = (self.log.head(), self.mailbox_bytes);
        let pushed = self.mailbox(to).push(direct(from, text), after, limit);
        pushed.map_err(|_| {
            self.drop_empty_mailbox(to);
            Refusal::MailboxFull
        })
    }

    /// A member without mail takes no memory for it.
    fn drop_empty_mailbox(&mut self, id: SlotId) {
        if let Some(mailbox) = self.members.mailbox_mut(id)
            && mailbox.as_ref().is_some_and(|mailbox| mailbox.is_empty())
        {
            *mailbox = None;
        }
    }

    /// Delivers a session's notice to its own member, after all events before number `after`. One
    /// that finds no room is counted, and the member receives the count.
    pub(crate) fn notify(&mut self, to: SlotId, text: &str, after: u64) {
        if self.is_closed() || self.members.get(to).is_none() {
            return;
        }
        let limit = self.mailbox_bytes;
        self.mailbox(to)
            .push_or_count(direct(None, text), after, limit);
    }

    /// Gives the number before which the member's stream ends.
    fn leave(
        &mut self,
        id: SlotId,
        reason: LeaveReason,
        text: Option<&str>,
    ) -> Result<u64, Refusal> {
        let end = self.log.head();
        let record = self.members.leave(id, end, reason);
        let record = record.ok_or(Refusal::NotHere)?;
        self.attention += 1;
        if let Some(text) = text {
            self.mailbox(id).push_farewell(text, end);
        }
        if record.announced {
            self.announcements.count(self.now);
            let left = EventKind::Left(reason);
            // Without a number left the hub is closed now, and that ends all memberships.
            let _ = self.append(left, Some(id), record.name.as_str(), "");
        }
        Ok(end)
    }

    /// The member's handle no longer exists: it leaves, if it has not, and its slot is free. Gives
    /// its mail, to be dropped without the lock.
    pub(crate) fn release(
        &mut self,
        id: SlotId,
        reason: LeaveReason,
        time: Timestamp,
    ) -> Option<Box<Mailbox>> {
        let leave = Command::Leave {
            id,
            reason,
            text: None,
        };
        // A member that has left before is released all the same.
        let _ = self.apply(time, leave);
        self.members.release(id)
    }

    /// From now on no member is here.
    fn close(&mut self) {
        if self.closed_at.is_none() {
            self.closed_at = Some(self.log.head());
            self.attention += 1;
            self.retired = Some(self.members.clear());
        }
    }

    pub(crate) fn hub_id(&self) -> HubId {
        self.hub
    }

    pub(crate) fn take_retired(&mut self) -> Option<Names> {
        self.retired.take()
    }

    pub(crate) fn position(&self) -> Position {
        Position {
            epoch: self.epoch,
            number: self.log.head(),
        }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed_at.is_some()
    }

    /// How many readers there can be with different keys, and members with different slots.
    pub(crate) fn keys(&self) -> usize {
        self.cursors.keys().max(self.members.slots())
    }

    /// Changes whenever something happened that is no event: a leaving, or mail.
    pub(crate) fn attention(&self) -> u64 {
        self.attention
    }

    /// Whether a reader that makes progress is about to be overrun.
    pub(crate) fn is_crowded(&self) -> bool {
        !self.is_closed() && self.lag.has_credit(self.danger())
    }

    /// The readers that are about to be overrun were waited for.
    pub(crate) fn give_up_on_slow_readers(&mut self) {
        self.lag.use_up(self.danger());
    }

    fn danger(&self) -> Range<u64> {
        let tail = self.log.tail_offset();
        tail..self.log.endangered().max(tail)
    }

    pub(crate) fn find(&self, name: &Name, keys: &NameKeys) -> Option<SlotId> {
        if self.is_closed() {
            return None;
        }
        self.members.find(name, keys)
    }

    /// Why a member left, if it has.
    pub(crate) fn left(&self, id: SlotId) -> Option<LeaveReason> {
        let closed = self.closed_at.map(|_| LeaveReason::Closed);
        self.members.end(id).map(|(_, reason)| reason).or(closed)
    }

    pub(crate) fn name(&self, id: SlotId) -> Option<&Name> {
        if self.is_closed() {
            return None;
        }
        Some(&self.members.get(id)?.name)
    }

    /// The mailbox of a member, also of one that has left.
    pub(crate) fn mail(&self, id: SlotId) -> Option<&Mailbox> {
        self.members.mailbox(id)
    }

    /// Removes the first item of a member's mail, if it is due at `position`.
    pub(crate) fn take_mail(&mut self, id: SlotId, position: u64) -> Option<Mail> {
        let mailbox = self.members.mailbox_mut(id)?;
        let mail = mailbox.as_mut()?.take_due(position)?;
        self.drop_empty_mailbox(id);
        Some(mail)
    }

    pub(crate) fn set_barrier(&mut self, number: u64) -> BarrierId {
        self.cursors.set_barrier(number)
    }

    /// How many readers have not read all events before a barrier, and how many missed some.
    pub(crate) fn barrier(&self, id: BarrierId) -> Option<(usize, usize)> {
        self.cursors.barrier(id)
    }

    pub(crate) fn clear_barrier(&mut self, id: BarrierId) {
        self.cursors.clear_barrier(id);
    }

    pub(crate) fn barrier_reached(&self) -> bool {
        self.barrier_reached
    }

    pub(crate) fn take_barrier_reached(&mut self) -> bool {
        std::mem::take(&mut self.barrier_reached)
    }

    /// The member's record, unless it may not publish.
    fn speaker(&self, id: SlotId) -> Result<&Record, Refusal> {
        let record = self.members.get(id).ok_or(Refusal::NotHere)?;
        match record.muted_until > self.now {
            true => Err(Refusal::Muted {
                until: record.muted_until,
            }),
            false => Ok(record),
        }
    }

    fn mailbox(&mut self, to: SlotId) -> &mut Mailbox {
        self.attention += 1;
        let mailbox = self.members.mailbox_mut(to);
        mailbox
            .expect("the caller has seen that the member is there")
            .get_or_insert_default()
    }

    fn append(
        &mut self,
        kind: EventKind,
        member: Option<SlotId>,
        name: &str,
        text: &str,
    ) -> Result<u64, Refusal> {
        let number = self.log.append(kind, member, self.now, name, text);
        number.ok_or_else(|| self.no_number_left())
    }

    /// 2^64 events: there is no order to promise any more.
    fn no_number_left(&mut self) -> Refusal {
        self.close();
        Refusal::Closed
    }
}

#[cfg(test)]
mod tests;
