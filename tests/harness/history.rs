//! The history checker: compares the deliveries of all members with the promises of the hub.
//!
//! A test keeps one [`Record`] per member or subscriber, one [`Published`] per publishing member,
//! one [`Sent`] per member that sends direct messages, and some rosters. [`History::check`] checks all of them together:
//!
//! - *Total order*: the numbers of a record increase, and a number means the same event in all
//!   records.
//! - *Exact suffix, exact gaps*: from the arrival on, events and gaps tile the numbers.
//! - *Sender FIFO*: the texts of a member have increasing numbers between its arrival and its
//!   departure, and other members received these texts under these numbers.
//! - *Silence after leave*: the event at the number of a departure is a departure, and no event
//!   follows the end of the hub.
//! - *Presence, atomic join, leave once*: each roster follows from the previous one and the
//!   arrivals, renamings and departures in between, in order. No member arrives twice, leaves
//!   twice, or publishes while absent.
//! - *Ids and times*: an id means the same member in all events, and times do not decrease.
//! - *Mail*: the direct messages of a member to another one arrive in the order of the calls, each
//!   once, between the events that the sender published before and after it.
//! - *Drain*: `Closed` is the last item and occurs once. All members closed by the hub have the
//!   same end.

mod identity;
mod mail;
mod record;
pub mod stream;

pub use mail::Sent;
pub use record::{ReadMethod, Record, owned_items};

use chat_core::{Event, EventKind, LeaveReason, Member, Roster};
use std::collections::BTreeMap;
use std::ops::Range;

/// The texts that one member published, in the order of its calls.
#[derive(Clone, Debug)]
pub struct Published {
    from: u64,
    texts: Vec<(u64, String)>,
    until: u64,
}

impl Published {
    /// An empty list of a member that has not published yet.
    pub fn of(member: &Member) -> Self {
        Self {
            from: member.position().number,
            texts: Vec::new(),
            until: u64::MAX,
        }
    }

    /// Appends a text that was published under this number.
    pub fn push(&mut self, number: u64, text: &str) {
        self.texts.push((number, text.into()));
    }

    /// Appends texts that were published together under these numbers.
    pub fn push_many(&mut self, numbers: Range<u64>, texts: &[&str]) {
        assert_eq!(numbers.end - numbers.start, texts.len() as u64);
        for (number, text) in numbers.zip(texts) {
            self.push(number, text);
        }
    }

    /// Sets the number that `Hub::leave` returned.
    pub fn left(&mut self, end: u64) {
        self.until = end;
    }
}

/// The amount of data that a check has covered, so that a test can assert that there was some.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Distinct events in all records.
    pub events: usize,
    /// Events in all records, counted once per record.
    pub deliveries: usize,
    /// Rosters that followed from the previous one.
    pub rosters: usize,
    /// Direct messages in all records.
    pub mail: usize,
}

/// All records, published texts and rosters of one hub.
#[derive(Clone, Debug, Default)]
pub struct History {
    records: Vec<Record>,
    published: Vec<Published>,
    sent: Vec<Sent>,
    rosters: Vec<Roster>,
    /// Arrivals and departures may be missing from the log.
    unannounced: bool,
}

impl History {
    /// The history of a hub that announces every arrival and departure.
    pub fn new() -> Self {
        Self::default()
    }

    /// The history of a hub that does not announce all of them, so presence is not checked.
    pub fn unannounced() -> Self {
        Self {
            unannounced: true,
            ..Self::default()
        }
    }

    /// Adds the record of a member.
    pub fn add(&mut self, record: Record) {
        self.records.push(record);
    }

    /// Adds the texts that a member published.
    pub fn add_published(&mut self, published: Published) {
        self.published.push(published);
    }

    /// Adds the direct messages that a member sent.
    pub fn add_sent(&mut self, sent: Sent) {
        self.sent.push(sent);
    }

    /// Adds a roster with all names, from `join_with_roster` or from `roster` before the close of
    /// the hub.
    pub fn add_roster(&mut self, roster: Roster) {
        self.rosters.push(roster);
    }

    /// The number of gaps in all records, and the number of events that they cover.
    pub fn gap_counts(&self) -> (u64, u64) {
        let records = self.records.iter();
        let counts = records.map(|record| (record.gaps() as u64, record.missed()));
        counts.fold((0, 0), |sum, count| (sum.0 + count.0, sum.1 + count.1))
    }

    /// How many texts all members published.
    pub fn published(&self) -> u64 {
        self.published.iter().map(|by| by.texts.len() as u64).sum()
    }

    /// Moves the content of another history into this one.
    pub fn merge(&mut self, other: Self) {
        self.records.extend(other.records);
        self.published.extend(other.published);
        self.sent.extend(other.sent);
        self.rosters.extend(other.rosters);
    }

    /// Checks all promises.
    ///
    /// # Errors
    ///
    /// If a promise is broken; the message names it and the place.
    pub fn check(&self) -> Result<Checked, String> {
        let mut events = BTreeMap::new();
        let mut deliveries = 0;
        for record in &self.records {
            record.check()?;
            for event in record.events() {
                deliveries += 1;
                let known = *events.entry(event.seq()).or_insert(event);
                if known != event {
                    return Err(format!(
                        "{event:?} at {}, but {known:?} in another record",
                        record.member
                    ));
                }
            }
        }
        let end = self.check_ends()?;
        if let Some((_, event)) = events.range(end..).next() {
            return Err(format!("{event:?} is after the hub's end at {end}"));
        }
        identity::check(&events)?;
        for published in &self.published {
            published.check(&events, end)?;
        }
        let mut mail = 0;
        for record in &self.records {
            let received = record.received_texts();
            for sent in &self.sent {
                mail += sent.check(record, &received)?;
            }
        }
        let rosters = match self.unannounced {
            true => 0,
            false => self.check_presence(&events)?,
        };
        Ok(Checked {
            events: events.len(),
            deliveries,
            rosters,
            mail,
        })
    }

    /// The number before which the hub was closed, or `u64::MAX` if no record has that end.
    fn check_ends(&self) -> Result<u64, String> {
        let closed = |record: &&Record| record.closed() == Some(LeaveReason::Closed);
        let mut ends = self.records.iter().filter(closed);
        let Some(first) = ends.next() else {
            return Ok(u64::MAX);
        };
        match ends.find(|other| other.next() != first.next()) {
            None => Ok(first.next()),
            Some(other) => Err(format!(
                "the hub's end is {} in {}, {} in {}",
                first.next(),
                first.member,
                other.next(),
                other.member,
            )),
        }
    }

    /// Returns how many rosters followed from the previous one.
    fn check_presence(&self, events: &BTreeMap<u64, &Event>) -> Result<usize, String> {
        let is_departure = |event: &Event| matches!(event.kind(), EventKind::Left(_));
        let mut ends = self
            .published
            .iter()
            .filter_map(|published| events.get(&published.until));
        if let Some(event) = ends.find(|event| !is_departure(event)) {
            return Err(format!("{event:?} is at the number of a departure"));
        }
        let mut rosters: Vec<_> = self.rosters.iter().collect();
        rosters.sort_by_key(|roster| roster.position.number);
        let mut checked = 0;
        for (at, roster) in rosters.iter().enumerate() {
            let mut present: Vec<_> = roster.names.iter().map(|name| name.as_str()).collect();
            if present.len() != roster.total {
                return Err(format!("{} of {} names", present.len(), roster.total));
            }
            let next = rosters.get(at + 1);
            let until = next.map_or(u64::MAX, |next| next.position.number);
            let mut position = roster.position.number;
            for (number, event) in events.range(position..until) {
                if *number != position {
                    break; // No record has the missing event.
                }
                apply_event(&mut present, event)?;
                position += 1;
            }
            let Some(next) = next.filter(|_| position == until) else {
                continue;
            };
            let names: Vec<_> = next.names.iter().map(|name| name.as_str()).collect();
            if present != names {
                return Err(format!(
                    "at {position} the roster is {names:?}, events since {} lead to {present:?}",
                    roster.position.number,
                ));
            }
            checked += 1;
        }
        Ok(checked)
    }
}

impl Published {
    fn check(&self, events: &BTreeMap<u64, &Event>, end: u64) -> Result<(), String> {
        let (mut from, until) = (self.from, self.until.min(end));
        for (number, text) in &self.texts {
            if !(from..until).contains(number) {
                return Err(format!(
                    "{text:?} has number {number}, not in {from}..{until}"
                ));
            }
            from = number + 1;
            let received = events.get(number);
            if received
                .is_some_and(|event| event.kind() != EventKind::Message || event.text() != text)
            {
                return Err(format!(
                    "{text:?} has number {number}, but other members received {received:?}"
                ));
            }
        }
        Ok(())
    }
}

/// Applies one event to the list of present members.
fn apply_event<'a>(present: &mut Vec<&'a str>, event: &'a Event) -> Result<(), String> {
    if event.kind() == EventKind::Announcement {
        return Ok(());
    }
    let broken = |what| Err(format!("{event:?}: {what}; present are {present:?}"));
    let index = present.iter().position(|name| *name == event.subject());
    match (event.kind(), index) {
        (EventKind::Arrived, None) => present.push(event.subject()),
        (EventKind::Arrived, Some(_)) => return broken("the member is already present"),
        (_, None) => return broken("the member is not present"),
        (EventKind::Left(_), Some(index)) => drop(present.remove(index)),
        (EventKind::Renamed, Some(index)) => match present.contains(&event.text()) {
            false => present[index] = event.text(),
            true => return broken("another member has that name"),
        },
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
