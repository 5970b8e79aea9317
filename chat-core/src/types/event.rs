//! What the log holds and what a member is given.

use std::fmt;

/// What happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EventKind {
    /// A member published a line: `alice: hi`.
    Message,
    /// A member joined: `alice has arrived`.
    Arrived,
    /// A member left, and why: `alice has left`. The reason is not on the line.
    Left(LeaveReason),
    /// A member took another name: `alice is now bob`.
    Renamed,
}

impl EventKind {
    /// Every kind, at the place that is its code.
    const ALL: [Self; 12] = [
        Self::Message,
        Self::Arrived,
        Self::Renamed,
        Self::Left(LeaveReason::Left),
        Self::Left(LeaveReason::Kicked),
        Self::Left(LeaveReason::Idle),
        Self::Left(LeaveReason::Nameless),
        Self::Left(LeaveReason::Stalled),
        Self::Left(LeaveReason::Lost),
        Self::Left(LeaveReason::Misbehaved),
        Self::Left(LeaveReason::Panicked),
        Self::Left(LeaveReason::Closed),
    ];

    /// A small number for it, for the log's index.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Message => 0,
            Self::Arrived => 1,
            Self::Renamed => 2,
            Self::Left(reason) => 3 + reason as u8,
        }
    }

    pub(crate) fn from_code(code: u8) -> Self {
        Self::ALL[usize::from(code)]
    }

    /// What stands between the name and the text, and after the text.
    pub(crate) const fn phrase(self) -> &'static str {
        match self {
            Self::Message => ": ",
            Self::Arrived => " has arrived",
            Self::Left(_) => " has left",
            Self::Renamed => " is now ",
        }
    }
}

/// Why a member is no longer in the hub: what its peer, the log and a caller all see.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum LeaveReason {
    /// It wanted to: `/quit`, the end of its input, or its [`Member`](crate::Member) was dropped.
    Left,
    /// Somebody who holds the hub sent it away.
    Kicked,
    /// It sent no line for too long.
    Idle,
    /// It gave no name in the time it had.
    Nameless,
    /// It took nothing of what was delivered to it for too long.
    Stalled,
    /// Its connection broke.
    Lost,
    /// It spoke another protocol, or a line without end.
    Misbehaved,
    /// The task that owned it panicked.
    Panicked,
    /// The hub was closed.
    Closed,
}

impl fmt::Display for LeaveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Left => "left",
            Self::Kicked => "was sent away",
            Self::Idle => "was idle",
            Self::Nameless => "gave no name",
            Self::Stalled => "stalled",
            Self::Lost => "was lost",
            Self::Misbehaved => "misbehaved",
            Self::Panicked => "panicked",
            Self::Closed => "hub closed",
        })
    }
}

/// One line of the log. `Display` gives the line, without a line end.
///
/// An event *is* its line, and its parts are slices of it. `S` holds the line: an event of
/// its own ([`Event`], the default) or a view into a [`Batch`](crate::Batch) ([`EventRef`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event<S = Box<str>> {
    pub(crate) seq: u64,
    pub(crate) kind: EventKind,
    pub(crate) name_len: u16,
    pub(crate) line: S,
}

/// An [`Event`] that borrows its line.
pub type EventRef<'a> = Event<&'a str>;

impl<S: AsRef<str>> Event<S> {
    /// Its place in the hub's one total order. Numbers count up by one from 0.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// What happened.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// The name of the member it is about, at that moment; for [`EventKind::Renamed`] the old one.
    pub fn sender(&self) -> &str {
        &self.line()[..usize::from(self.name_len)]
    }

    /// The text of a message, the new name of a renamed member, else nothing.
    pub fn text(&self) -> &str {
        &self.line()[usize::from(self.name_len) + self.kind.phrase().len()..]
    }

    /// The whole line, without a line end.
    pub fn line(&self) -> &str {
        self.line.as_ref()
    }
}

impl EventRef<'_> {
    /// A copy that owns its line.
    pub fn to_owned(&self) -> Event {
        Event {
            seq: self.seq,
            kind: self.kind,
            name_len: self.name_len,
            line: self.line.into(),
        }
    }
}

impl<S: AsRef<str>> fmt::Display for Event<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.line())
    }
}

/// What a member is given: the log's events in their order, and what it missed of them.
///
/// A gap is an item and no error: a loop that ends at the first error must not end because
/// its reader was slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery<E = Event> {
    /// The next event.
    Event(E),
    /// The member was so far behind that exactly the next `missed` events are gone.
    Gap {
        /// How many events, at least 1.
        missed: u64,
    },
    /// The member is no longer in the hub and has been given all that came before its leaving.
    /// Always the last item.
    Closed(LeaveReason),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code() {
        for kind in EventKind::ALL {
            assert_eq!(EventKind::from_code(kind.code()), kind);
        }
    }
}
