//! The hub as anyone would write it who need not forget: all that ever happened, in a `Vec`, and a
//! list of who is here. What the hub still holds is not modelled: whatever that is, what a member
//! is given and its gaps have to make up this `Vec` from its arrival to its end.

use crate::ops::{Op, clash, ops, texts};
use chat_core::{EventKind, JoinError, LeaveError, LeaveReason, PublishError, RenameError};
use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::ReferenceStateMachine;
use std::ops::Range;

/// What a hub is made with.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) max_text: usize,
    pub(crate) announce_up_to: Option<usize>,
    /// The number of the first event.
    pub(crate) first: u64,
}

/// What an operation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The number of the first event that the newcomer is to be given.
    Joined(Result<u64, JoinError>),
    Left(Result<u64, LeaveError>),
    Published(Result<Range<u64>, PublishError>),
    Renamed(Result<(), RenameError>),
    /// Nothing that could fail; what is read is looked at by itself.
    Done,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) struct Happened {
    pub(crate) kind: EventKind,
    pub(crate) sender: &'static str,
    pub(crate) text: String,
    /// Bytes of all lines up to the end of this one.
    pub(crate) end: u64,
}

impl Happened {
    pub(crate) fn line(&self) -> String {
        let Self { sender, text, .. } = self;
        match self.kind {
            EventKind::Message => format!("{sender}: {text}"),
            EventKind::Arrived => format!("{sender} has arrived"),
            EventKind::Left(_) => format!("{sender} has left"),
            EventKind::Renamed => format!("{sender} is now {text}"),
            kind => unreachable!("{kind:?} is not modelled"),
        }
    }
}

/// Somebody who came.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    /// Its name, if it is here.
    pub(crate) name: Option<&'static str>,
    /// The number before which its stream ends, and why, if it has left.
    pub(crate) until: Option<(u64, LeaveReason)>,
    /// Whether its handle is still there.
    pub(crate) held: bool,
}

impl Guest {
    /// The number before which its stream ends, or has come to by now.
    pub(crate) fn end(&self, model: &Model) -> u64 {
        self.until.map_or(model.position(), |(end, _)| end)
    }
}

/// The naive hub.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) settings: Settings,
    pub(crate) events: Vec<Happened>,
    /// All who ever came.
    pub(crate) guests: Vec<Guest>,
    /// Those who are here, in the order in which they came.
    pub(crate) here: Vec<usize>,
    pub(crate) closed: bool,
    pub(crate) published: u64,
    /// What the last operation came to.
    pub(crate) outcome: Outcome,
}

impl Model {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            events: Vec::new(),
            guests: Vec::new(),
            here: Vec::new(),
            closed: false,
            published: 0,
            outcome: Outcome::Done,
        }
    }

    /// The number that the next event gets.
    pub(crate) fn position(&self) -> u64 {
        self.settings.first + self.events.len() as u64
    }

    /// The event that has this number.
    pub(crate) fn event(&self, number: u64) -> &Happened {
        &self.events[(number - self.settings.first) as usize]
    }

    /// Bytes of all lines before the event of this number.
    pub(crate) fn offset(&self, number: u64) -> u64 {
        match number - self.settings.first {
            0 => 0,
            _ => self.event(number - 1).end,
        }
    }

    /// The names of those who are here.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let name = |who: &usize| self.guests[*who].name.expect("it is here");
        self.here.iter().map(name).collect()
    }

    /// Who here has this name or one that counts as the same.
    pub(crate) fn holders(&self, wanted: &str) -> Vec<usize> {
        let names = self.here.iter().copied().zip(self.names());
        let has = names.filter(|(_, name)| clash(name, wanted));
        has.map(|(who, _)| who).collect()
    }

    /// Without a number left the hub closes.
    fn append(&mut self, kind: EventKind, sender: &'static str, text: &str) -> Option<u64> {
        let number = self.position();
        if number == u64::MAX {
            self.close();
            return None;
        }
        let mut event = Happened {
            kind,
            sender,
            text: text.into(),
            end: 0,
        };
        event.end = self.offset(number) + event.line().len() as u64 + 1;
        self.events.push(event);
        Some(number)
    }

    fn announces(&self, members: usize) -> bool {
        let limit = self.settings.announce_up_to;
        limit.is_none_or(|limit| members <= limit)
    }

    fn join(&mut self, name: &'static str) -> Result<u64, JoinError> {
        if self.closed {
            return Err(JoinError::Closed);
        }
        if !self.holders(name).is_empty() {
            return Err(JoinError::NameTaken);
        }
        if self.announces(self.here.len() + 1) {
            let arrived = self.append(EventKind::Arrived, name, "");
            arrived.ok_or(JoinError::Closed)?;
        }
        self.here.push(self.guests.len());
        self.guests.push(Guest {
            name: Some(name),
            until: None,
            held: true,
        });
        Ok(self.position())
    }

    fn leave(&mut self, who: usize, reason: LeaveReason) -> Result<u64, LeaveError> {
        let name = self.guests[who].name.take().ok_or(LeaveError::NotHere)?;
        let (end, members) = (self.position(), self.here.len());
        self.guests[who].until = Some((end, reason));
        self.here.retain(|other| *other != who);
        if self.announces(members) {
            self.append(EventKind::Left(reason), name, "");
        }
        Ok(end)
    }

    fn publish(&mut self, who: usize, op: &Op) -> Result<Range<u64>, PublishError> {
        let safe = |text: String| text.replace(['\n', '\u{202e}'], "");
        let texts: Vec<_> = texts(op, self.published).into_iter().map(safe).collect();
        let max = self.settings.max_text;
        if let Some(text) = texts.iter().find(|text| text.len() > max) {
            let len = text.len();
            return Err(PublishError::TooLong { len, max });
        }
        if self.closed {
            return Err(PublishError::Closed);
        }
        let name = self.guests[who].name.ok_or(PublishError::NotHere)?;
        let first = self.position();
        if u64::MAX - first < texts.len() as u64 {
            self.close();
            return Err(PublishError::Closed);
        }
        for text in texts {
            self.append(EventKind::Message, name, &text);
            self.published += 1;
        }
        Ok(first..self.position())
    }

    fn rename(&mut self, who: usize, name: &'static str) -> Result<(), RenameError> {
        if self.closed {
            return Err(RenameError::Closed);
        }
        let old = self.guests[who].name.ok_or(RenameError::NotHere)?;
        if old == name {
            return Ok(());
        }
        if self.holders(name).iter().any(|holder| *holder != who) {
            return Err(RenameError::NameTaken);
        }
        let renamed = self.append(EventKind::Renamed, old, name);
        renamed.ok_or(RenameError::Closed)?;
        self.guests[who].name = Some(name);
        Ok(())
    }

    fn close(&mut self) {
        self.closed = true;
        for who in std::mem::take(&mut self.here) {
            self.guests[who].name = None;
            self.guests[who].until = Some((self.position(), LeaveReason::Closed));
        }
    }

    /// Those whose handles are still there.
    pub(crate) fn handles(&self) -> Vec<usize> {
        let held = |who: &usize| self.guests[*who].held;
        (0..self.guests.len()).filter(held).collect()
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Self> {
        // Logs whose index is full first, whose ring is, and one that is longer than a batch.
        let max_text = select(vec![0, 8, 64, 64, 12_000]);
        let announce_up_to = select(vec![None, None, None, Some(0), Some(1), Some(3)]);
        // Far from the last number, and so near that it is often met.
        let left = prop_oneof![Just(u64::MAX), 0..100u64, 0..3_000u64];
        let first = left.prop_map(|left| u64::MAX - left);
        let settings = (max_text, announce_up_to, first);
        let model = |(max_text, announce_up_to, first)| {
            Self::new(Settings {
                max_text,
                announce_up_to,
                first,
            })
        };
        settings.prop_map(model).boxed()
    }

    fn transitions(model: &Self) -> BoxedStrategy<Op> {
        ops(model)
    }

    /// When a failure is made smaller, those who were to act may no longer have come.
    fn preconditions(model: &Self, op: &Op) -> bool {
        match op {
            Op::Join { .. } | Op::Close => true,
            Op::Leave { who, .. }
            | Op::Say { who, .. }
            | Op::Flood { who, .. }
            | Op::Rename { who, .. } => *who < model.guests.len(),
            Op::Drop { who, .. } | Op::Read { who, .. } => {
                model.guests.get(*who).is_some_and(|guest| guest.held)
            }
        }
    }

    fn apply(mut model: Self, op: &Op) -> Self {
        model.outcome = match op {
            Op::Join { name, .. } => Outcome::Joined(model.join(name)),
            Op::Leave { who, reason } => Outcome::Left(model.leave(*who, *reason)),
            Op::Say { who, .. } | Op::Flood { who, .. } => {
                Outcome::Published(model.publish(*who, op))
            }
            Op::Rename { who, name } => Outcome::Renamed(model.rename(*who, name)),
            Op::Drop { who, panics } => {
                let reason = match panics {
                    true => LeaveReason::Panicked,
                    false => LeaveReason::Left,
                };
                let _ = model.leave(*who, reason); // Unless it has left before.
                model.guests[*who].held = false;
                Outcome::Done
            }
            Op::Read { .. } => Outcome::Done,
            Op::Close => {
                model.close();
                Outcome::Done
            }
        };
        model
    }
}
