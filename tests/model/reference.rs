//! The model: a hub that keeps all events in a `Vec`, and a list of present members. The model does
//! not say which events the log still holds: in any case the events and gaps of a member tile this
//! `Vec` from its arrival to its end.

use crate::ops::{Op, clash, ops, texts};
use chat_core::{EventKind, JoinError, LeaveError, LeaveReason, PublishError, RenameError};
use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::ReferenceStateMachine;
use std::ops::Range;

/// The settings of a hub.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) max_text: usize,
    pub(crate) announce_up_to: Option<usize>,
    /// The number of the first event.
    pub(crate) first: u64,
}

/// The result of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The number of the first event that the new member receives.
    Joined(Result<u64, JoinError>),
    Left(Result<u64, LeaveError>),
    Published(Result<Range<u64>, PublishError>),
    Renamed(Result<(), RenameError>),
    /// An operation without a result. Items that are read are checked separately.
    Done,
}

/// An event of the model.
#[derive(Clone, Debug)]
pub(crate) struct ModelEvent {
    pub(crate) kind: EventKind,
    pub(crate) sender: &'static str,
    pub(crate) text: String,
    /// The bytes of all lines up to the end of this one.
    pub(crate) end: u64,
}

impl ModelEvent {
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

/// A member that has joined at some time.
#[derive(Clone, Debug)]
pub(crate) struct ModelMember {
    /// The name, if the member is present.
    pub(crate) name: Option<&'static str>,
    /// The number before which the stream ends and the reason, if the member has left.
    pub(crate) until: Option<(u64, LeaveReason)>,
    /// Whether the handle still exists.
    pub(crate) held: bool,
}

impl ModelMember {
    /// The number before which the stream ends, or the current position.
    pub(crate) fn end(&self, model: &Model) -> u64 {
        self.until.map_or(model.position(), |(end, _)| end)
    }
}

/// The naive model of a hub.
#[derive(Clone, Debug)]
pub(crate) struct Model {
    pub(crate) settings: Settings,
    pub(crate) events: Vec<ModelEvent>,
    /// All members that ever joined.
    pub(crate) members: Vec<ModelMember>,
    /// The present members, in the order of arrival.
    pub(crate) present: Vec<usize>,
    pub(crate) closed: bool,
    pub(crate) published: u64,
    /// The result of the last operation.
    pub(crate) outcome: Outcome,
}

impl Model {
    fn new(settings: Settings) -> Self {
        Self {
            settings,
            events: Vec::new(),
            members: Vec::new(),
            present: Vec::new(),
            closed: false,
            published: 0,
            outcome: Outcome::Done,
        }
    }

    /// The number of the next event.
    pub(crate) fn position(&self) -> u64 {
        self.settings.first + self.events.len() as u64
    }

    /// The event with this number.
    pub(crate) fn event(&self, number: u64) -> &ModelEvent {
        &self.events[(number - self.settings.first) as usize]
    }

    /// The bytes of all lines before the event with this number.
    pub(crate) fn offset(&self, number: u64) -> u64 {
        match number - self.settings.first {
            0 => 0,
            _ => self.event(number - 1).end,
        }
    }

    /// The names of the present members.
    pub(crate) fn names(&self) -> Vec<&'static str> {
        let name = |index: &usize| self.members[*index].name.expect("the member is present");
        self.present.iter().map(name).collect()
    }

    /// The present members whose names equal this one.
    pub(crate) fn holders(&self, wanted: &str) -> Vec<usize> {
        let names = self.present.iter().copied().zip(self.names());
        let has = names.filter(|(_, name)| clash(name, wanted));
        has.map(|(index, _)| index).collect()
    }

    /// Appends an event; without a free number the hub closes.
    fn append(&mut self, kind: EventKind, sender: &'static str, text: &str) -> Option<u64> {
        let number = self.position();
        if number == u64::MAX {
            self.close();
            return None;
        }
        let mut event = ModelEvent {
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
        if self.announces(self.present.len() + 1) {
            let arrived = self.append(EventKind::Arrived, name, "");
            arrived.ok_or(JoinError::Closed)?;
        }
        self.present.push(self.members.len());
        self.members.push(ModelMember {
            name: Some(name),
            until: None,
            held: true,
        });
        Ok(self.position())
    }

    fn leave(&mut self, index: usize, reason: LeaveReason) -> Result<u64, LeaveError> {
        let name = self.members[index].name.take().ok_or(LeaveError::NotHere)?;
        let (end, members) = (self.position(), self.present.len());
        self.members[index].until = Some((end, reason));
        self.present.retain(|other| *other != index);
        if self.announces(members) {
            self.append(EventKind::Left(reason), name, "");
        }
        Ok(end)
    }

    fn publish(&mut self, index: usize, op: &Op) -> Result<Range<u64>, PublishError> {
        let sanitize = |text: String| text.replace(['\n', '\u{202e}'], "");
        let texts = texts(op, self.published);
        let max = self.settings.max_text;
        // The length counts before anything is removed.
        if let Some(text) = texts.iter().find(|text| text.len() > max) {
            let len = text.len();
            return Err(PublishError::TooLong { len, max });
        }
        let texts: Vec<_> = texts.into_iter().map(sanitize).collect();
        if self.closed {
            return Err(PublishError::Closed);
        }
        let name = self.members[index].name.ok_or(PublishError::NotHere)?;
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

    fn rename(&mut self, index: usize, name: &'static str) -> Result<(), RenameError> {
        if self.closed {
            return Err(RenameError::Closed);
        }
        let old = self.members[index].name.ok_or(RenameError::NotHere)?;
        if old == name {
            return Ok(());
        }
        if self.holders(name).iter().any(|holder| *holder != index) {
            return Err(RenameError::NameTaken);
        }
        let renamed = self.append(EventKind::Renamed, old, name);
        renamed.ok_or(RenameError::Closed)?;
        self.members[index].name = Some(name);
        Ok(())
    }

    fn close(&mut self) {
        self.closed = true;
        for index in std::mem::take(&mut self.present) {
            self.members[index].name = None;
            self.members[index].until = Some((self.position(), LeaveReason::Closed));
        }
    }

    /// The members whose handles still exist.
    pub(crate) fn handles(&self) -> Vec<usize> {
        let held = |index: &usize| self.members[*index].held;
        (0..self.members.len()).filter(held).collect()
    }
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Self> {
        // Logs whose index fills up first, logs whose ring does, and one that is longer than a
        // batch.
        let max_text = select(vec![0, 8, 64, 64, 12_000]);
        let announce_up_to = select(vec![None, None, None, Some(0), Some(1), Some(3)]);
        // Far from the last number, and so near to it that it is often reached.
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

    /// While proptest shrinks a failure, the join of the acting member may have been removed.
    fn preconditions(model: &Self, op: &Op) -> bool {
        match op {
            Op::Join { .. } | Op::Close => true,
            Op::Leave { index, .. }
            | Op::Publish { index, .. }
            | Op::PublishBurst { index, .. }
            | Op::Rename { index, .. } => *index < model.members.len(),
            Op::Drop { index, .. } | Op::Read { index, .. } => model
                .members
                .get(*index)
                .is_some_and(|expected| expected.held),
        }
    }

    fn apply(mut model: Self, op: &Op) -> Self {
        model.outcome = match op {
            Op::Join { name, .. } => Outcome::Joined(model.join(name)),
            Op::Leave { index, reason } => Outcome::Left(model.leave(*index, *reason)),
            Op::Publish { index, .. } | Op::PublishBurst { index, .. } => {
                Outcome::Published(model.publish(*index, op))
            }
            Op::Rename { index, name } => Outcome::Renamed(model.rename(*index, name)),
            Op::Drop { index, panics } => {
                let reason = match panics {
                    true => LeaveReason::Panicked,
                    false => LeaveReason::Left,
                };
                let _ = model.leave(*index, reason); // An error if it has left before.
                model.members[*index].held = false;
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
