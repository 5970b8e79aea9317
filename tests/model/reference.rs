//! The model: a hub that keeps all events in a `Vec`, and a list of present members. The model does
//! not say which events the log still holds: in any case the events and gaps of a member tile this
//! `Vec` from its arrival to its end.

use crate::ops::{Op, clash, ops, text};
use chat_core::{
    EventKind, JoinError, LeaveError, LeaveReason, PublishError, RenameError, SendError,
};
use proptest::prelude::*;
use proptest::sample::select;
use proptest_state_machine::ReferenceStateMachine;
use std::ops::Range;

/// The settings of a hub.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) max_text: usize,
    pub(crate) mailbox_bytes: usize,
    pub(crate) announce_up_to: Option<usize>,
    /// The number of the first event.
    pub(crate) first: u64,
}

/// The result of an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The number at which the roster is true.
    Joined(Result<u64, JoinError>),
    Left(Result<u64, LeaveError>),
    /// The numbers, or how many texts were published and why the others were not.
    Published(Result<Range<u64>, (usize, PublishError)>),
    Renamed(Result<(), RenameError>),
    Muted(Result<(), LeaveError>),
    /// Without regard to the bound of the mailbox: the model does not say how much was read.
    Sent(Result<(), SendError>),
    /// An operation without a result. Items that are read are checked separately.
    Done,
}

/// An event of the model.
#[derive(Clone, Debug)]
pub(crate) struct ModelEvent {
    pub(crate) kind: EventKind,
    /// The member that the event is about.
    pub(crate) member: Option<usize>,
    pub(crate) subject: &'static str,
    pub(crate) text: String,
    /// The bytes of all lines up to the end of this one.
    pub(crate) end: u64,
}

impl ModelEvent {
    pub(crate) fn line(&self) -> String {
        let Self { subject, text, .. } = self;
        match self.kind {
            EventKind::Message => format!("{subject}: {text}"),
            EventKind::Arrived => format!("{subject} has arrived"),
            EventKind::Left(_) => format!("{subject} has left"),
            EventKind::Renamed => format!("{subject} is now {text}"),
            EventKind::Announcement => format!("*** {text}"),
            kind => unreachable!("{kind:?} is not modelled"),
        }
    }
}

/// A member that has joined at some time, or a subscriber.
#[derive(Clone, Debug)]
pub(crate) struct ModelMember {
    pub(crate) is_subscriber: bool,
    /// The name, if it is a present member.
    pub(crate) name: Option<&'static str>,
    /// The last name.
    pub(crate) last_name: &'static str,
    /// Whether the log has an event about the member, and so announces its departure.
    pub(crate) announced: bool,
    pub(crate) muted: bool,
    /// The number before which the stream ends and the reason, if it ends.
    pub(crate) until: Option<(u64, LeaveReason)>,
    /// Whether the handle still exists.
    pub(crate) held: bool,
    /// Whether the handle reads.
    pub(crate) reads: bool,
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
    /// How many operations have sent a text to one member.
    pub(crate) sent: u64,
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
            sent: 0,
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

    fn indices(&self, has: impl Fn(&ModelMember) -> bool) -> Vec<usize> {
        let indices = 0..self.members.len();
        indices.filter(|index| has(&self.members[*index])).collect()
    }

    /// The members and subscribers whose handles still exist.
    pub(crate) fn handles(&self) -> Vec<usize> {
        self.indices(|member| member.held)
    }

    /// Those of them that can read.
    pub(crate) fn readers(&self) -> Vec<usize> {
        self.indices(|member| member.held && member.reads)
    }

    /// The members, which have an id.
    pub(crate) fn ids(&self) -> Vec<usize> {
        self.indices(|member| !member.is_subscriber)
    }
}

/// The text as the hub publishes it.
pub(crate) fn sanitized(text: &str) -> String {
    text.replace(['\n', '\u{202e}'], "")
}

impl ReferenceStateMachine for Model {
    type State = Self;
    type Transition = Op;

    fn init_state() -> BoxedStrategy<Self> {
        // Logs whose index fills up first, logs whose ring does, and one that is longer than a
        // batch.
        let max_text = select(vec![0, 8, 64, 64, 12_000]);
        let mailbox_bytes = select(vec![0, 100, 400, 16 << 10]);
        let announce_up_to = select(vec![None, None, None, Some(0), Some(1), Some(3)]);
        // Far from the last number, and so near to it that it is often reached.
        let left = prop_oneof![Just(u64::MAX), 0..100u64, 0..3_000u64];
        // Positions can then be earlier than the first event.
        let first = prop_oneof![4 => left.prop_map(|left| u64::MAX - left), 1 => 0..50u64];
        let settings = (max_text, mailbox_bytes, announce_up_to, first);
        let model = |(max_text, mailbox_bytes, announce_up_to, first)| {
            Self::new(Settings {
                max_text,
                mailbox_bytes,
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
        let has = |index: &usize, test: fn(&ModelMember) -> bool| {
            model.members.get(*index).is_some_and(test)
        };
        let has_id = |index| has(index, |member| !member.is_subscriber);
        match op {
            Op::Join { .. }
            | Op::Subscribe { .. }
            | Op::Announce { .. }
            | Op::UseForeignIds
            | Op::Close => true,
            Op::Leave { index, .. }
            | Op::Publish { index, .. }
            | Op::PublishBurst { index, .. }
            | Op::Mute { index, .. }
            | Op::Rename { index, .. } => has_id(index),
            Op::Send { from, to, .. } => from.as_ref().is_none_or(has_id) && has_id(to),
            Op::IntoPublisher { index } => has_id(index) && has(index, |m| m.held && m.reads),
            Op::Read { index, .. } => has(index, |member| member.held && member.reads),
            Op::Drop { index, .. } => has(index, |member| member.held),
        }
    }

    fn apply(mut model: Self, op: &Op) -> Self {
        model.outcome = match op {
            Op::Join { name, .. } => Outcome::Joined(model.join(name)),
            Op::Subscribe { .. } => {
                model.subscribe();
                Outcome::Done
            }
            Op::Leave { index, reason, .. } => Outcome::Left(model.leave(*index, *reason)),
            Op::Publish { index, .. } | Op::PublishBurst { index, .. } => {
                Outcome::Published(model.publish(*index, op))
            }
            Op::Announce { length } => {
                let announced = model.announce(&text(0, *length, true));
                Outcome::Published(announced.map_err(|reason| (0, reason)))
            }
            Op::Rename { index, name } => Outcome::Renamed(model.rename(*index, name)),
            Op::Mute { index, muted } => Outcome::Muted(model.mute(*index, *muted)),
            Op::Send { from, to, length } => {
                model.sent += 1;
                let text = text(model.sent, *length, true);
                Outcome::Sent(model.send(*from, *to, &text))
            }
            Op::IntoPublisher { index } => {
                model.members[*index].reads = false;
                Outcome::Done
            }
            Op::Drop { index, panics } => {
                let reason = match panics {
                    true => LeaveReason::Panicked,
                    false => LeaveReason::Left,
                };
                let _ = model.leave(*index, reason); // An error if it has left before.
                model.members[*index].held = false;
                Outcome::Done
            }
            Op::Read { .. } | Op::UseForeignIds => Outcome::Done,
            Op::Close => {
                model.close();
                Outcome::Done
            }
        };
        model
    }
}
