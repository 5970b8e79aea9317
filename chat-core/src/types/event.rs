//! The events of a hub, and the items that a reader is given.

use super::direct::Direct;
use super::ids::MemberId;
use super::time::Timestamp;
use std::fmt;

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum EventKind {
    /// A member published a text: `alice: hi`.
    Message,
    /// A member joined: `alice has arrived`.
    Arrived,
    /// A member left, for this reason: `alice has left`. The reason is not on the line.
    Left(LeaveReason),
    /// A member changed its name: `alice is now bob`.
    Renamed,
    /// The program announced something: `*** the server restarts at noon`. No member's line
    /// begins like this, because no name begins with `*`; and a notice begins with `* `.
    Announcement,
}

impl EventKind {
    /// Every kind, at the place that is its code.
    const ALL: [Self; 13] = [
        Self::Message,
        Self::Arrived,
        Self::Renamed,
        Self::Announcement,
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

    /// A number below 32, for the log's index.
    pub(crate) fn code(self) -> u8 {
        match self {
            Self::Message => 0,
            Self::Arrived => 1,
            Self::Renamed => 2,
            Self::Announcement => 3,
            Self::Left(reason) => 4 + reason as u8,
        }
    }

    pub(crate) fn from_code(code: u8) -> Self {
        Self::ALL[usize::from(code)]
    }

    /// The part of the line between the name and the text, or after the name.
    pub(crate) const fn phrase(self) -> &'static str {
        match self {
            Self::Message => ": ",
            Self::Arrived => " has arrived",
            Self::Left(_) => " has left",
            Self::Renamed => " is now ",
            Self::Announcement => "*** ",
        }
    }
}

/// Why a member is no longer in the hub, as its peer, the log and the program see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "kebab-case"))]
#[non_exhaustive]
pub enum LeaveReason {
    /// It asked to leave: `/quit`, the end of its input, [`Hub::leave`](crate::Hub::leave), or its
    /// [`Member`](crate::Member) was dropped.
    Left,
    /// A moderator removed it.
    Kicked,
    /// It sent no line for too long.
    Idle,
    /// It gave no name in the time allowed.
    Nameless,
    /// It accepted nothing of what was delivered to it for too long.
    Stalled,
    /// Its connection broke.
    Lost,
    /// It spoke another protocol, or sent a line without end.
    Misbehaved,
    /// The task that owned it panicked.
    Panicked,
    /// The hub was closed, or the server that it was connected to shut down.
    Closed,
}

impl LeaveReason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Left => "left",
            Self::Kicked => "was removed",
            Self::Idle => "was idle",
            Self::Nameless => "gave no name",
            Self::Stalled => "stalled",
            Self::Lost => "was lost",
            Self::Misbehaved => "misbehaved",
            Self::Panicked => "panicked",
            Self::Closed => "hub closed",
        }
    }
}

impl fmt::Display for LeaveReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Why a program removes a member: the [`LeaveReason`]s that a caller may give.
///
/// The others are reported only by the hub, for events that it sees itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum RemovalReason {
    /// [`LeaveReason::Kicked`]
    Kicked,
    /// [`LeaveReason::Idle`]
    Idle,
    /// [`LeaveReason::Stalled`]
    Stalled,
    /// [`LeaveReason::Lost`]
    Lost,
    /// [`LeaveReason::Misbehaved`]
    Misbehaved,
}

impl From<RemovalReason> for LeaveReason {
    fn from(reason: RemovalReason) -> Self {
        match reason {
            RemovalReason::Kicked => Self::Kicked,
            RemovalReason::Idle => Self::Idle,
            RemovalReason::Stalled => Self::Stalled,
            RemovalReason::Lost => Self::Lost,
            RemovalReason::Misbehaved => Self::Misbehaved,
        }
    }
}

/// How a member is removed; see [`Hub::remove`](crate::Hub::remove). A reason alone becomes one.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Removal {
    /// Why.
    pub reason: RemovalReason,
    /// An explanation that only the member receives, as its last
    /// [`Direct`](crate::Delivery::Direct); a session puts it into the peer's last line. Characters
    /// are removed as by [`Hub::publish`](crate::Hub::publish), and what is beyond
    /// [`HubConfig::max_text`](crate::HubConfig::max_text) is left out.
    pub text: Option<String>,
}

impl From<RemovalReason> for Removal {
    fn from(reason: RemovalReason) -> Self {
        Self { reason, text: None }
    }
}

/// One line of the log. `Display` gives the line, without a line end.
///
/// An event *is* its line, and its parts are slices of it. `S` holds the line: an event that owns
/// it (the default), or a view into a [`Batch`](crate::Batch) ([`EventRef`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Event<S = Box<str>> {
    pub(crate) seq: u64,
    pub(crate) time: Timestamp,
    pub(crate) member: Option<MemberId>,
    pub(crate) kind: EventKind,
    pub(crate) name_len: u16,
    pub(crate) line: S,
}

/// An [`Event`] that borrows its line.
pub type EventRef<'a> = Event<&'a str>;

impl<S: AsRef<str>> Event<S> {
    /// The event's number in the hub's order. Numbers count up by one.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// When it was published. Times never decrease from one event to the next.
    pub fn time(&self) -> Timestamp {
        self.time
    }

    /// The kind of the event.
    pub fn kind(&self) -> EventKind {
        self.kind
    }

    /// The member that the event is about: the sender of a message, the member that joined, left
    /// or changed its name. `None` for an announcement.
    ///
    /// A program that is a member recognises its own messages by this. The member may have left
    /// since.
    pub fn member(&self) -> Option<MemberId> {
        self.member
    }

    /// The name that [`member`](Self::member) had at that moment: the sender of a message; for
    /// [`EventKind::Renamed`] the old name. Empty for an announcement.
    pub fn subject(&self) -> &str {
        &self.line()[..usize::from(self.name_len)]
    }

    /// The text of a message or an announcement, the new name of a renamed member, else nothing.
    pub fn text(&self) -> &str {
        &self.line()[usize::from(self.name_len) + self.kind.phrase().len()..]
    }

    /// The whole line, without a line end.
    pub fn line(&self) -> &str {
        self.line.as_ref()
    }
}

impl Event<()> {
    /// The same event, with its line.
    pub(crate) fn with_line<S>(self, line: S) -> Event<S> {
        Event {
            seq: self.seq,
            time: self.time,
            member: self.member,
            kind: self.kind,
            name_len: self.name_len,
            line,
        }
    }
}

impl EventRef<'_> {
    /// A copy that owns its line.
    pub fn to_owned(&self) -> Event {
        Event {
            seq: self.seq,
            time: self.time,
            member: self.member,
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

/// As an object with the fields `seq`, `time`, `kind`, `subject`, `text`.
#[cfg(feature = "serde")]
impl<S: AsRef<str>> serde::Serialize for Event<S> {
    fn serialize<T: serde::Serializer>(&self, serializer: T) -> Result<T::Ok, T::Error> {
        use serde::ser::SerializeStruct;

        let mut fields = serializer.serialize_struct("Event", 5)?;
        fields.serialize_field("seq", &self.seq())?;
        fields.serialize_field("time", &self.time())?;
        fields.serialize_field("kind", &self.kind())?;
        fields.serialize_field("subject", self.subject())?;
        fields.serialize_field("text", self.text())?;
        fields.end()
    }
}

/// An item that a reader is given: an event in its order, or what the reader must know of those
/// that it is not given.
///
/// A gap is an item, not an error: a loop that ends at the first error must not end because its
/// reader was slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Delivery<E = Event, D = Direct> {
    /// The next event.
    Event(E),
    /// A text for this member alone, in its place among the events.
    Direct(D),
    /// The reader was so far behind that exactly the next `missed` events were evicted.
    Gap {
        /// How many events, at least 1.
        missed: u64,
    },
    /// The member is no longer in the hub and has been given everything from before its leaving.
    /// For a [`Subscriber`](crate::Subscriber): the hub is closed. Always the last item.
    Closed(LeaveReason),
}

/// A [`Delivery`] that borrows from a [`Batch`](crate::Batch).
pub type DeliveryRef<'a> = Delivery<EventRef<'a>, &'a Direct>;

#[cfg(test)]
mod tests {
    use super::*;

    mod kinds {
        use super::*;

        #[test]
        fn codes_are_inverse() {
            for kind in EventKind::ALL {
                assert_eq!(EventKind::from_code(kind.code()), kind);
            }
        }
    }
}
