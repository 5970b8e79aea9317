//! The history checker: what members were given, held against what the hub promises.
//!
//! A test keeps one [`Record`] per member, one [`Said`] per member that publishes, and now and
//! then a roster. [`History::check`] then looks at all of them together:
//!
//! - *Total order*: a record's numbers increase, and a number means the same event to all.
//! - *Exact suffix, exact gaps*: from the arrival on, events and gaps tile the numbers.
//! - *Sender FIFO*: what a member said has increasing numbers between its arrival and leaving,
//!   and is what the others were given under these.
//! - *Silence after leave*: where it left is its leaving, and the hub's end is after everything.
//! - *Presence, atomic join, leave once*: every roster is the one before it with the arrivals,
//!   renamings and leavings in between, in order; nobody arrives twice, leaves twice, or speaks
//!   who is not there.
//! - *Drain*: `Closed` is last and once; who was closed by the hub has the same end as all such.

pub mod lines;

use chat_core::{Batch, Delivery, Event, EventKind, LeaveReason, Member, Roster, TryRecvError};
use std::collections::BTreeMap;
use std::ops::Range;

/// Everything that one member was given.
#[derive(Clone, Debug)]
pub struct Record {
    who: String,
    from: u64,
    items: Vec<Delivery>,
}

impl Record {
    /// To be made before the member reads anything.
    pub fn of(member: &Member) -> Self {
        Self {
            who: format!("{:?}", member.id()),
            from: member.position(),
            items: Vec::new(),
        }
    }

    /// Takes down the next thing it was given.
    pub fn push(&mut self, delivery: Delivery) {
        self.items.push(delivery);
    }

    /// Takes down all that a batch holds.
    pub fn push_batch(&mut self, batch: &Batch) {
        self.items.extend(owned(batch));
    }

    /// Reads, one by one, all that there is for the member now.
    pub fn catch_up(&mut self, member: &mut Member) -> TryRecvError {
        loop {
            match member.try_recv() {
                Ok(delivery) => self.push(delivery),
                Err(nothing) => return nothing,
            }
        }
    }

    /// Reads, in batches, all that there is for the member now.
    pub fn catch_up_in_batches(&mut self, member: &mut Member, batch: &mut Batch) -> TryRecvError {
        loop {
            match member.try_recv_many(batch) {
                Ok(_) => self.push_batch(batch),
                Err(nothing) => return nothing,
            }
        }
    }

    /// Reads one by one until the stream has ended.
    pub async fn read_to_end(&mut self, member: &mut Member) {
        while let Some(delivery) = member.recv().await {
            self.push(delivery);
        }
    }

    /// The events, in order.
    pub fn events(&self) -> impl Iterator<Item = &Event> {
        self.items.iter().filter_map(|item| match item {
            Delivery::Event(event) => Some(event),
            _ => None,
        })
    }

    /// Their lines.
    pub fn lines(&self) -> Vec<&str> {
        self.events().map(Event::line).collect()
    }

    /// How many events its gaps hid.
    pub fn missed(&self) -> u64 {
        let missed = |item: &_| match item {
            Delivery::Gap { missed } => *missed,
            _ => 0,
        };
        self.items.iter().map(missed).sum()
    }

    /// How many gaps it was told of.
    pub fn gaps(&self) -> usize {
        let is_gap = |item: &&_| matches!(item, Delivery::Gap { .. });
        self.items.iter().filter(is_gap).count()
    }

    /// How many events it was given.
    pub fn given(&self) -> u64 {
        self.events().count() as u64
    }

    /// The number after the last that it was given or told that it missed.
    pub fn next(&self) -> u64 {
        self.from + self.given() + self.missed()
    }

    /// Why it ended, if it has.
    pub fn closed(&self) -> Option<LeaveReason> {
        match self.items.last() {
            Some(Delivery::Closed(reason)) => Some(*reason),
            _ => None,
        }
    }

    /// Holds this one record against what needs no other.
    ///
    /// # Errors
    ///
    /// Says which promise was broken, and where.
    pub fn check(&self) -> Result<(), String> {
        let mut next = self.from;
        for (at, item) in self.items.iter().enumerate() {
            let broken = |what| Err(format!("{}, item {at}, {item:?}: {what}", self.who));
            match item {
                Delivery::Event(event) if event.seq() != next => {
                    return broken(format!("number {next} should have come"));
                }
                Delivery::Event(_) => next += 1,
                Delivery::Gap { missed: 0 } => return broken("a gap of nothing".into()),
                // One right after another is right: it was overrun again before it read on.
                Delivery::Gap { missed } => next += missed,
                Delivery::Closed(_) if at + 1 < self.items.len() => {
                    return broken("something came after the end".into());
                }
                Delivery::Closed(_) => {}
            }
        }
        Ok(())
    }
}

/// The items of a batch, which own their lines.
pub fn owned(batch: &Batch) -> impl Iterator<Item = Delivery> {
    batch.iter().map(|item| match item {
        Delivery::Event(event) => Delivery::Event(event.to_owned()),
        Delivery::Gap { missed } => Delivery::Gap { missed },
        Delivery::Closed(reason) => Delivery::Closed(reason),
    })
}

/// What one member published, in the order of its calls.
#[derive(Clone, Debug)]
pub struct Said {
    from: u64,
    texts: Vec<(u64, String)>,
    until: u64,
}

impl Said {
    /// To be made after the member has joined and before it publishes.
    pub fn of(member: &Member) -> Self {
        Self {
            from: member.position(),
            texts: Vec::new(),
            until: u64::MAX,
        }
    }

    /// A text was published and got this number.
    pub fn push(&mut self, number: u64, text: &str) {
        self.texts.push((number, text.into()));
    }

    /// Texts were published together and got these numbers.
    pub fn push_many(&mut self, numbers: Range<u64>, texts: &[&str]) {
        assert_eq!(numbers.end - numbers.start, texts.len() as u64);
        for (number, text) in numbers.zip(texts) {
            self.push(number, text);
        }
    }

    /// It left, and this is the number that `Hub::leave` gave.
    pub fn left(&mut self, end: u64) {
        self.until = end;
    }
}

/// How much a check had to go by, so that a test can see that it was not about nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// Different events that anybody was given.
    pub events: usize,
    /// Times that somebody was given an event.
    pub deliveries: usize,
    /// Rosters that the events since the one before led to.
    pub rosters: usize,
}

/// Everything that is known about what happened in a hub.
#[derive(Clone, Debug, Default)]
pub struct History {
    records: Vec<Record>,
    said: Vec<Said>,
    rosters: Vec<Roster>,
    /// Not every arrival and leaving is in the log.
    quiet: bool,
}

impl History {
    /// Of a hub that announces every arrival and leaving.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of a hub that does not: there is nothing to learn of who is present.
    pub fn unannounced() -> Self {
        Self {
            quiet: true,
            ..Self::default()
        }
    }

    /// What a member was given.
    pub fn add(&mut self, record: Record) {
        self.records.push(record);
    }

    /// What a member published.
    pub fn add_said(&mut self, said: Said) {
        self.said.push(said);
    }

    /// Who was here at some position: all names, from `join_with_roster` or from `roster` before
    /// the hub was closed.
    pub fn add_roster(&mut self, roster: Roster) {
        self.rosters.push(roster);
    }

    /// How many gaps its members were told of, and how many events these hid.
    pub fn told(&self) -> (u64, u64) {
        let records = self.records.iter();
        let told = records.map(|record| (record.gaps() as u64, record.missed()));
        told.fold((0, 0), |sum, told| (sum.0 + told.0, sum.1 + told.1))
    }

    /// How many texts its members published.
    pub fn said(&self) -> u64 {
        self.said.iter().map(|said| said.texts.len() as u64).sum()
    }

    /// Takes over what another has.
    pub fn merge(&mut self, other: Self) {
        self.records.extend(other.records);
        self.said.extend(other.said);
        self.rosters.extend(other.rosters);
    }

    /// Holds it against the promises.
    ///
    /// # Errors
    ///
    /// Says which promise was broken, and where.
    pub fn check(&self) -> Result<Checked, String> {
        let mut events = BTreeMap::new();
        let mut deliveries = 0;
        for record in &self.records {
            record.check()?;
            for event in record.events() {
                deliveries += 1;
                let known = *events.entry(event.seq()).or_insert(event);
                if known != event {
                    return Err(format!("{known:?} to one, {event:?} to {}", record.who));
                }
            }
        }
        let end = self.check_ends()?;
        if let Some((_, event)) = events.range(end..).next() {
            return Err(format!("{event:?} is after the hub's end at {end}"));
        }
        for said in &self.said {
            said.check(&events, end)?;
        }
        let rosters = match self.quiet {
            true => 0,
            false => self.check_presence(&events)?,
        };
        Ok(Checked {
            events: events.len(),
            deliveries,
            rosters,
        })
    }

    /// Gives the number before which the hub was closed, as far as anybody knows.
    fn check_ends(&self) -> Result<u64, String> {
        let closed = |record: &&Record| record.closed() == Some(LeaveReason::Closed);
        let mut ends = self.records.iter().filter(closed);
        let Some(first) = ends.next() else {
            return Ok(u64::MAX);
        };
        match ends.find(|other| other.next() != first.next()) {
            None => Ok(first.next()),
            Some(other) => Err(format!(
                "the hub's end is {} to {}, {} to {}",
                first.next(),
                first.who,
                other.next(),
                other.who,
            )),
        }
    }

    /// Gives how many rosters followed from the one before.
    fn check_presence(&self, events: &BTreeMap<u64, &Event>) -> Result<usize, String> {
        let is_leaving = |event: &Event| matches!(event.kind(), EventKind::Left(_));
        let mut ends = self.said.iter().filter_map(|said| events.get(&said.until));
        if let Some(event) = ends.find(|event| !is_leaving(event)) {
            return Err(format!("{event:?} is where somebody left"));
        }
        let mut rosters: Vec<_> = self.rosters.iter().collect();
        rosters.sort_by_key(|roster| roster.position);
        let mut checked = 0;
        for (at, roster) in rosters.iter().enumerate() {
            let mut present: Vec<_> = roster.names.iter().map(|name| name.as_str()).collect();
            if present.len() != roster.total {
                return Err(format!("{} of {} names", present.len(), roster.total));
            }
            let next = rosters.get(at + 1);
            let until = next.map_or(u64::MAX, |next| next.position);
            let mut position = roster.position;
            for (number, event) in events.range(position..until) {
                if *number != position {
                    break; // Nobody was given what is missing here.
                }
                happen(&mut present, event)?;
                position += 1;
            }
            let Some(next) = next.filter(|_| position == until) else {
                continue;
            };
            let names: Vec<_> = next.names.iter().map(|name| name.as_str()).collect();
            if present != names {
                return Err(format!(
                    "at {position} the roster is {names:?}, but the events since {} lead to {present:?}",
                    roster.position,
                ));
            }
            checked += 1;
        }
        Ok(checked)
    }
}

impl Said {
    fn check(&self, events: &BTreeMap<u64, &Event>, end: u64) -> Result<(), String> {
        let (mut from, until) = (self.from, self.until.min(end));
        for (number, text) in &self.texts {
            if !(from..until).contains(number) {
                return Err(format!("{text:?} got {number}, not in {from}..{until}"));
            }
            from = number + 1;
            let given = events.get(number);
            if given.is_some_and(|event| event.kind() != EventKind::Message || event.text() != text)
            {
                return Err(format!("{text:?} got {number}, where others had {given:?}"));
            }
        }
        Ok(())
    }
}

/// Folds one event into who is present.
fn happen<'a>(present: &mut Vec<&'a str>, event: &'a Event) -> Result<(), String> {
    let broken = |what| Err(format!("{event:?}: {what}; present are {present:?}"));
    let place = present.iter().position(|name| *name == event.sender());
    match (event.kind(), place) {
        (EventKind::Arrived, None) => present.push(event.sender()),
        (EventKind::Arrived, Some(_)) => return broken("it was there before"),
        (_, None) => return broken("it is not there"),
        (EventKind::Left(_), Some(place)) => drop(present.remove(place)),
        (EventKind::Renamed, Some(place)) => match present.contains(&event.text()) {
            false => present[place] = event.text(),
            true => return broken("somebody else has that name"),
        },
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests;
