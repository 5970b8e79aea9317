//! Statistics and rosters of a hub.

use super::ids::MemberId;
use super::name::Name;
use super::position::Position;

/// The result of [`Hub::stats`](crate::Hub::stats).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Members that are here.
    pub members: usize,
    /// Cursors in the log: one for each [`Member`](crate::Member) and
    /// [`Subscriber`](crate::Subscriber) that exists, none for a
    /// [`Publisher`](crate::Publisher).
    pub readers: usize,
    /// Messages ever published.
    pub published: u64,
    /// The position of the next event.
    pub position: Position,
    /// Events that the log holds now.
    pub events: u64,
    /// Bytes of their lines.
    pub bytes: u64,
    /// Gaps that readers have received.
    pub gaps: u64,
    /// Events that those gaps hid.
    pub missed: u64,
    /// How many bytes of lines the slowest reader is behind, rounded up by at most 1/128 of
    /// the log; all that the log holds if that reader was overrun.
    ///
    /// A member that never reads counts. A program that only publishes should hold a
    /// [`Publisher`](crate::Publisher), which does not.
    pub behind: u64,
    /// Readers that have lost events and have not received the gap yet.
    pub overrun: usize,
}

/// One reader's lag; see [`Hub::slowest`](crate::Hub::slowest).
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lag {
    /// The member, or `None` for a subscriber or a member that left before the hub was closed.
    pub member: Option<(MemberId, Name)>,
    /// How many events it has not read, evicted ones included.
    pub behind: u64,
}

/// The members of a hub at one point in the order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Roster {
    /// The position at which it is true: it includes the effects of all events before, and of none after.
    pub position: Position,
    /// How many members there are.
    pub total: usize,
    /// Their names in the order in which they joined, as many as were asked for.
    pub names: Vec<Name>,
}
