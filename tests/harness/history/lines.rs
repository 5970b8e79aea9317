//! What peers were sent, as bytes, held against the one order.
//!
//! An [`Order`] comes from the record of a member beside them that missed nothing. A peer's stream
//! [follows](Order::follow) it if it is greeted at one point of it and from there on given each
//! line once, whole and in order, or told how many it missed.

use super::{Record, happen};
use chat_core::{Event, EventKind, LeaveReason, Roster};

/// All that happened in a hub, from one point on.
#[derive(Debug)]
pub struct Order<'a> {
    from: u64,
    events: Vec<&'a Event>,
    /// Who is here before each of the events and after the last, in the order in which they came.
    here: Vec<Vec<&'a str>>,
    stays: Vec<Stay<'a>>,
}

/// One membership, from its arrival to its leaving.
#[derive(Clone, Debug)]
pub struct Stay<'a> {
    /// What it was called when it came.
    pub name: &'a str,
    /// The number after its arrival.
    pub from: u64,
    /// The number of its leaving, and why it left; nothing if it was here to the end.
    pub left: Option<(u64, LeaveReason)>,
    /// The numbers of what it said.
    pub said: Vec<u64>,
}

/// What a stream that follows the order has told its peer.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// The number of the first event that it has not told.
    pub next: u64,
    /// How many events it gave.
    pub given: u64,
    /// How many gaps it told of.
    pub gaps: u64,
    /// Rosters in it that were those of their place.
    pub rosters: u64,
    /// What else was said to this peer alone, without the `* `.
    pub notices: Vec<String>,
    /// The notice after which nothing comes, without the `* `.
    pub last_words: Option<String>,
    /// Whether it ends with a line's end.
    pub whole: bool,
}

impl<'a> Order<'a> {
    /// The order from a record's beginning on, where this was the roster.
    ///
    /// # Errors
    ///
    /// Says what the record lacks, or which event cannot be where it is.
    pub fn of(record: &'a Record, roster: &'a Roster) -> Result<Self, String> {
        record.check()?;
        if record.gaps() > 0 || record.from != roster.position {
            let since = roster.position;
            return Err(format!("{} missed something since {since}", record.who));
        }
        let mut here: Vec<_> = roster.names.iter().map(|name| name.as_str()).collect();
        let came = |name, from| Stay {
            name,
            from,
            left: None,
            said: Vec::new(),
        };
        let mut order = Self {
            from: record.from,
            events: Vec::new(),
            here: vec![here.clone()],
            stays: here.iter().map(|name| came(name, record.from)).collect(),
        };
        // Whose stay each of those here is.
        let mut whose: Vec<_> = (0..here.len()).collect();
        for event in record.events() {
            let place = here.iter().position(|name| *name == event.sender());
            happen(&mut here, event)?;
            match (event.kind(), place) {
                (EventKind::Arrived, _) => {
                    whose.push(order.stays.len());
                    order.stays.push(came(event.sender(), event.seq() + 1));
                }
                (EventKind::Left(reason), Some(place)) => {
                    order.stays[whose.remove(place)].left = Some((event.seq(), reason));
                }
                (EventKind::Message, Some(place)) => {
                    order.stays[whose[place]].said.push(event.seq());
                }
                _ => {}
            }
            order.events.push(event);
            order.here.push(here.clone());
        }
        Ok(order)
    }

    /// The number after the last event.
    pub fn end(&self) -> u64 {
        self.from + self.events.len() as u64
    }

    /// Everybody who was ever here, in the order in which they came.
    pub fn stays(&self) -> &[Stay<'a>] {
        &self.stays
    }

    /// The stay of who came under this name; for names that are given once.
    pub fn stay(&self, name: &str) -> Option<&Stay<'a>> {
        self.stays.iter().find(|stay| stay.name == name)
    }

    /// What happened under this number.
    pub fn event(&self, number: u64) -> Option<&'a Event> {
        let at = usize::try_from(number.checked_sub(self.from)?).ok()?;
        self.events.get(at).copied()
    }

    fn here(&self, number: u64) -> Option<&[&'a str]> {
        let at = usize::try_from(number.checked_sub(self.from)?).ok()?;
        self.here.get(at).map(Vec::as_slice)
    }

    /// Reads what was sent to who came under this name: the greeting, then what happened from
    /// there on. The stream may stop anywhere, as connections do.
    ///
    /// # Errors
    ///
    /// Says which line should not be where it is.
    pub fn follow(&self, name: &str, stream: &[u8]) -> Result<Told, String> {
        let ended = stream.iter().rposition(|byte| *byte == b'\n');
        let (lines, part) = stream.split_at(ended.map_or(0, |end| end + 1));
        let lines = str::from_utf8(lines).map_err(|error| format!("{name}: {error}"))?;
        let Some(stay) = self.stay(name) else {
            return Err(format!("{name} never came, but was told {lines:?}"));
        };
        let mut greeting = vec![format!("You are {name}")];
        let others: Vec<_> = self.here(stay.from).into_iter().flatten().collect();
        if let [others @ .., _] = &others[..]
            && !others.is_empty()
        {
            let others: Vec<_> = others.iter().map(|name| **name).collect();
            greeting.push(format!("Here now: {}", others.join(", ")));
        }
        let mut reader = Reader {
            order: self,
            stay,
            greeting: greeting.into_iter(),
            surely: stay.from,
            told: Told {
                next: stay.from,
                whole: part.is_empty(),
                ..Told::default()
            },
        };
        for (at, line) in lines.split_terminator('\n').enumerate() {
            let broken = |what| format!("{name}, line {}, {line:?}: {what}", at + 1);
            reader.line(line).map_err(broken)?;
        }
        match reader.may_go_on(part) {
            true => Ok(reader.told),
            false => {
                let part = String::from_utf8_lossy(part);
                Err(format!("{name} got half of no line that comes: {part:?}"))
            }
        }
    }
}

/// Somewhere in a peer's stream.
struct Reader<'o, 'a> {
    order: &'o Order<'a>,
    stay: &'o Stay<'a>,
    greeting: std::vec::IntoIter<String>,
    /// The place in the order after the last event given: a notice that had its place in a gap
    /// comes behind it.
    surely: u64,
    told: Told,
}

impl Reader<'_, '_> {
    /// The number before which the stream ends.
    fn end(&self) -> u64 {
        self.stay.left.map_or(self.order.end(), |(end, _)| end)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        if self.told.last_words.is_some() {
            return Err("comes after the last words".into());
        }
        if let Some(greeting) = self.greeting.next() {
            return match line == greeting {
                true => Ok(()),
                false => Err(format!("should be {greeting:?}")),
            };
        }
        match line.strip_prefix("* ") {
            Some(notice) => self.notice(notice),
            None => self.event(line),
        }
    }

    fn event(&mut self, line: &str) -> Result<(), String> {
        let (next, end) = (self.told.next, self.end());
        match self.order.event(next) {
            Some(event) if next < end && event.line() == line => {
                self.told.next += 1;
                self.told.given += 1;
                self.surely = self.told.next;
                Ok(())
            }
            event => Err(format!("number {next} of {end} should come: {event:?}")),
        }
    }

    fn notice(&mut self, notice: &str) -> Result<(), String> {
        let (next, end) = (self.told.next, self.end());
        if let Some(missed) = notice.strip_suffix(" messages skipped") {
            let missed: u64 = missed.parse().map_err(|error| format!("{error}"))?;
            if missed == 0 || missed > end - next {
                return Err(format!("from {next} to {end} it cannot be that many"));
            }
            self.told.next += missed;
            self.told.gaps += 1;
        } else if let Some(names) = notice.strip_prefix("here now: ") {
            let is_it = |at| {
                self.order
                    .here(at)
                    .is_some_and(|all| all.join(", ") == names)
            };
            if !(self.surely..=next).any(is_it) {
                let here = self.order.here(next);
                return Err(format!("at {next} there are {here:?}"));
            }
            self.told.rosters += 1;
        } else if notice == "server is going down" || notice.ends_with("goodbye") {
            let fits = match (self.stay.left, notice) {
                (None, "server is going down") => true,
                (Some((_, LeaveReason::Left)), "goodbye") => true,
                (Some((_, LeaveReason::Idle)), idle) => idle.starts_with("idle for "),
                _ => false,
            };
            if !fits || next != end {
                let left = self.stay.left;
                return Err(format!("told {next} of {end}, left for {left:?}"));
            }
            self.told.last_words = Some(notice.into());
        } else {
            self.told.notices.push(notice.into());
        }
        Ok(())
    }

    /// Whether this can be the beginning of what comes next.
    fn may_go_on(&self, part: &[u8]) -> bool {
        if part.is_empty() {
            return true;
        }
        if self.told.last_words.is_some() {
            return false;
        }
        if let Some(greeting) = self.greeting.as_slice().first() {
            return greeting.as_bytes().starts_with(part);
        }
        let next = self.told.next;
        let event = self.order.event(next).filter(|_| next < self.end());
        part[0] == b'*' || event.is_some_and(|event| event.line().as_bytes().starts_with(part))
    }
}

#[cfg(test)]
mod tests;
