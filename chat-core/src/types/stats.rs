//! What a hub reports.

use super::name::Name;

/// What [`Hub::stats`](crate::Hub::stats) tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Members that are here.
    pub members: usize,
    /// Messages ever published.
    pub published: u64,
    /// The number that the next event gets.
    pub position: u64,
    /// Events that the log holds now.
    pub events: u64,
    /// Bytes of their lines.
    pub bytes: u64,
    /// How many gaps members have been told of.
    pub gaps: u64,
    /// How many events those gaps hid.
    pub missed: u64,
    /// How many bytes of lines the slowest member is behind, rounded up to at most 1/64 of the
    /// log; all that the log holds if it has lost some already.
    pub behind: u64,
    /// Members that have lost events and not yet been told.
    pub overrun: usize,
}

/// Who is here, and at which point in the order that is true.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Roster {
    /// The number of the first event that is not in it.
    pub position: u64,
    /// How many members there are.
    pub total: usize,
    /// Their names in the order in which they came, as many as were asked for.
    pub names: Vec<Name>,
}
