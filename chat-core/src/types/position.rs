//! Places in a hub's order.

/// A place in one hub's order of events: before the event with this number.
///
/// A position of another hub, or of an earlier life of the same one, has another epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Position {
    /// Identifies the hub's numbering. Chosen at random by [`Hub::new`](crate::Hub::new), unless
    /// [`HubConfig::first`](crate::HubConfig::first) gives one.
    pub epoch: u64,
    /// The number of the next event.
    pub number: u64,
}

/// Where a stream of events begins.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Start {
    /// With the next event. A member is not given its own arrival.
    #[default]
    Now,
    /// With the last so many events, or as many as the log holds. For a member, its own arrival is
    /// the event after them.
    Last(u64),
    /// At a position from which an earlier stream is to go on. Events that were evicted from the
    /// log since are reported as a [`Gap`](crate::Delivery::Gap).
    At(Position),
}

/// How a stream that was to begin with [`Start::At`] relates to its position.
///
/// For the other starts it is `Complete`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Resumed {
    /// The stream begins at the position, and the log still holds all events from there on.
    Complete,
    /// The stream begins at the position with a gap of this many events, as far as the log is
    /// concerned now. The gap can grow until it is delivered.
    Missed(u64),
    /// The position has another epoch. The stream begins with the next event.
    OtherEpoch,
    /// The position is after the next event, so no member can have it. The stream begins with the
    /// next event.
    Future,
}
