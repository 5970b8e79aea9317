//! The stream checker: compares the bytes that peers received with the total order of the hub.
//!
//! An [`Order`] comes from the record of a member that missed nothing. The stream of a peer
//! [follows](Order::follow) it if it begins with a greeting at one position and from there on has
//! each line once, whole and in order, or a notice of how many are missing.

use super::{Record, apply_event};
use chat_core::{Event, EventKind, LeaveReason, MemberId, Roster};
use std::ops::RangeInclusive;

/// All events of a hub from one position on.
#[derive(Debug)]
pub struct Order<'a> {
    from: u64,
    events: Vec<&'a Event>,
    /// The roster before each event and after the last, in the order of arrival.
    rosters: Vec<Vec<&'a str>>,
    memberships: Vec<Membership<'a>>,
}

/// One membership, from the arrival to the departure.
#[derive(Clone, Debug)]
pub struct Membership<'a> {
    /// The name at the arrival.
    pub name: &'a str,
    /// The number after the arrival.
    pub from: u64,
    /// The number and the reason of the departure; `None` if the member stayed to the end.
    pub left: Option<(u64, LeaveReason)>,
    /// The numbers of the published texts.
    pub published: Vec<u64>,
    /// Unless it was present from the beginning.
    id: Option<MemberId>,
    mail: Vec<Mail>,
}

/// A text for one member alone.
#[derive(Clone, Debug)]
struct Mail {
    text: String,
    /// The number of the next event when it was sent, as exactly as the sender knows it.
    position: RangeInclusive<u64>,
}

impl Membership<'_> {
    /// How many texts the member was sent alone.
    pub fn mail(&self) -> usize {
        self.mail.len()
    }
}

/// The content of a stream that follows the order.
#[derive(Clone, Debug, Default)]
pub struct StreamSummary {
    /// The number of the first event that is neither delivered nor covered by a gap.
    pub next: u64,
    /// How many events were delivered.
    pub delivered: u64,
    /// How many gaps were reported.
    pub gaps: u64,
    /// How many answers to `/who` fit their position.
    pub rosters: u64,
    /// How many texts for this member alone were delivered at their position.
    pub mail: usize,
    /// All other private notices, without the `* `.
    pub notices: Vec<String>,
    /// The notice that ends the stream, without the `* `.
    pub final_notice: Option<String>,
    /// Whether the stream ends with a line ending.
    pub ends_with_line: bool,
}

impl<'a> Order<'a> {
    /// The order from the beginning of a record on; `roster` is the roster at that position.
    ///
    /// # Errors
    ///
    /// If the record has a gap, or if an event contradicts the roster.
    pub fn of(record: &'a Record, roster: &'a Roster) -> Result<Self, String> {
        record.check()?;
        if record.gaps() > 0 || record.from != roster.position.number {
            let since = roster.position.number;
            return Err(format!("{} missed something since {since}", record.member));
        }
        let mut present: Vec<_> = roster.names.iter().map(|name| name.as_str()).collect();
        let arrived = |name, from, id| Membership {
            name,
            from,
            left: None,
            published: Vec::new(),
            id,
            mail: Vec::new(),
        };
        let mut order = Self {
            from: record.from,
            events: Vec::new(),
            rosters: vec![present.clone()],
            memberships: present
                .iter()
                .map(|name| arrived(name, record.from, None))
                .collect(),
        };
        // The index of the membership of each present member.
        let mut indices: Vec<_> = (0..present.len()).collect();
        for event in record.events() {
            let at = present.iter().position(|name| *name == event.subject());
            apply_event(&mut present, event)?;
            match (event.kind(), at) {
                (EventKind::Arrived, _) => {
                    indices.push(order.memberships.len());
                    let arrived = arrived(event.subject(), event.seq() + 1, event.member());
                    order.memberships.push(arrived);
                }
                (EventKind::Left(reason), Some(at)) => {
                    order.memberships[indices.remove(at)].left = Some((event.seq(), reason));
                }
                (EventKind::Message, Some(at)) => {
                    order.memberships[indices[at]].published.push(event.seq());
                }
                _ => {}
            }
            order.events.push(event);
            order.rosters.push(present.clone());
        }
        Ok(order)
    }

    /// Adds a text that the hub accepted for a member alone, in the order of sending. `position`
    /// contains the number of the next event at that time.
    ///
    /// # Errors
    ///
    /// If the member did not join after the beginning.
    pub fn add_mail(
        &mut self,
        to: MemberId,
        text: &str,
        position: RangeInclusive<u64>,
    ) -> Result<(), String> {
        let mut memberships = self.memberships.iter_mut();
        let Some(membership) = memberships.find(|member| member.id == Some(to)) else {
            return Err(format!("{text:?} was sent to {to:?}, which never joined"));
        };
        let text = text.into();
        membership.mail.push(Mail { text, position });
        Ok(())
    }

    /// The number after the last event.
    pub fn end(&self) -> u64 {
        self.from + self.events.len() as u64
    }

    /// All memberships, in the order of arrival.
    pub fn memberships(&self) -> &[Membership<'a>] {
        &self.memberships
    }

    /// The first membership that began under this name.
    pub fn membership(&self, name: &str) -> Option<&Membership<'a>> {
        self.memberships.iter().find(|member| member.name == name)
    }

    /// The event with this number.
    pub fn event(&self, number: u64) -> Option<&'a Event> {
        let at = usize::try_from(number.checked_sub(self.from)?).ok()?;
        self.events.get(at).copied()
    }

    /// The roster before the event with this number.
    fn roster_at(&self, number: u64) -> Option<&[&'a str]> {
        let at = usize::try_from(number.checked_sub(self.from)?).ok()?;
        self.rosters.get(at).map(Vec::as_slice)
    }

    /// Checks the stream of the peer that joined under this name: the greeting, then the events
    /// from there on. The stream may stop anywhere, as connections do.
    ///
    /// # Errors
    ///
    /// If a line is not the expected one; the message has both.
    pub fn follow(&self, name: &str, stream: &[u8]) -> Result<StreamSummary, String> {
        let ended = stream.iter().rposition(|byte| *byte == b'\n');
        let (lines, part) = stream.split_at(ended.map_or(0, |end| end + 1));
        let lines = str::from_utf8(lines).map_err(|error| format!("{name}: {error}"))?;
        let Some(membership) = self.membership(name) else {
            return Err(format!("{name} never joined, but received {lines:?}"));
        };
        let mut greeting = vec![format!("You are {name}")];
        let others: Vec<_> = self
            .roster_at(membership.from)
            .into_iter()
            .flatten()
            .collect();
        if let [others @ .., _] = &others[..]
            && !others.is_empty()
        {
            let others: Vec<_> = others.iter().map(|name| **name).collect();
            greeting.push(format!("Here now: {}", others.join(", ")));
        }
        let mut checker = StreamChecker {
            order: self,
            membership,
            greeting: greeting.into_iter(),
            mail: membership.mail.iter(),
            earliest: membership.from,
            summary: StreamSummary {
                next: membership.from,
                ends_with_line: part.is_empty(),
                ..StreamSummary::default()
            },
        };
        for (at, line) in lines.split_terminator('\n').enumerate() {
            let broken = |what| format!("{name}, line {}, {line:?}: {what}", at + 1);
            checker.line(line).map_err(broken)?;
        }
        match checker.accepts_partial_line(part) {
            true => Ok(checker.summary),
            false => {
                let part = String::from_utf8_lossy(part);
                Err(format!(
                    "{name} received part of an unexpected line: {part:?}"
                ))
            }
        }
    }
}

/// A position in the stream of a peer.
struct StreamChecker<'o, 'a> {
    order: &'o Order<'a>,
    membership: &'o Membership<'a>,
    greeting: std::vec::IntoIter<String>,
    mail: std::slice::Iter<'o, Mail>,
    /// The number after the last delivered event. A notice whose position is inside a gap follows
    /// that gap.
    earliest: u64,
    summary: StreamSummary,
}

impl StreamChecker<'_, '_> {
    /// The number before which the stream ends.
    fn end(&self) -> u64 {
        self.membership
            .left
            .map_or(self.order.end(), |(end, _)| end)
    }

    fn line(&mut self, line: &str) -> Result<(), String> {
        if self.summary.final_notice.is_some() {
            return Err("follows the final notice".into());
        }
        if let Some(greeting) = self.greeting.next() {
            return match line == greeting {
                true => Ok(()),
                false => Err(format!("{greeting:?} was expected")),
            };
        }
        match line.strip_prefix("* ") {
            Some(notice) => self.notice(notice),
            None => self.event(line),
        }
    }

    fn event(&mut self, line: &str) -> Result<(), String> {
        let (next, end) = (self.summary.next, self.end());
        match self.order.event(next) {
            Some(event) if next < end && event.line() == line => {
                self.summary.next += 1;
                self.summary.delivered += 1;
                self.earliest = self.summary.next;
                Ok(())
            }
            event => Err(format!("number {next} of {end} was expected: {event:?}")),
        }
    }

    fn notice(&mut self, notice: &str) -> Result<(), String> {
        let (next, end) = (self.summary.next, self.end());
        if let Some(mail) = self.mail.as_slice().first()
            && mail.text == notice
        {
            let position = &mail.position;
            if next < *position.start() || self.earliest > *position.end() {
                return Err(format!("at {next}, but it was sent at {position:?}"));
            }
            self.mail.next();
            self.summary.mail += 1;
            return Ok(());
        }
        if let Some(missed) = notice.strip_suffix(" messages skipped") {
            let missed: u64 = missed.parse().map_err(|error| format!("{error}"))?;
            if missed == 0 || missed > end - next {
                return Err(format!("more than from {next} to {end}"));
            }
            self.summary.next += missed;
            self.summary.gaps += 1;
        } else if let Some(names) = notice.strip_prefix("here now: ") {
            let fits = |at| {
                self.order
                    .roster_at(at)
                    .is_some_and(|all| all.join(", ") == names)
            };
            if !(self.earliest..=next).any(fits) {
                let present = self.order.roster_at(next);
                return Err(format!("at {next} the roster is {present:?}"));
            }
            self.summary.rosters += 1;
        } else if notice == "server is going down" || notice.ends_with("goodbye") {
            let fits = match (self.membership.left, notice) {
                (None, "server is going down") => true,
                (Some((_, LeaveReason::Left)), "goodbye") => true,
                (Some((_, LeaveReason::Idle)), idle) => idle.starts_with("idle for "),
                (Some((_, LeaveReason::Kicked)), "you were sent away, goodbye") => true,
                _ => false,
            };
            if !fits || next != end {
                let left = self.membership.left;
                return Err(format!("at {next} of {end}, departure {left:?}"));
            }
            self.summary.final_notice = Some(notice.into());
        } else {
            self.summary.notices.push(notice.into());
        }
        Ok(())
    }

    /// Whether the next line can begin with `part`.
    fn accepts_partial_line(&self, part: &[u8]) -> bool {
        if part.is_empty() {
            return true;
        }
        if self.summary.final_notice.is_some() {
            return false;
        }
        if let Some(greeting) = self.greeting.as_slice().first() {
            return greeting.as_bytes().starts_with(part);
        }
        let next = self.summary.next;
        let event = self.order.event(next).filter(|_| next < self.end());
        part[0] == b'*' || event.is_some_and(|event| event.line().as_bytes().starts_with(part))
    }
}

#[cfg(test)]
mod tests;
