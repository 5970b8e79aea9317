//! One error for each operation of a hub.

use thiserror::Error;

/// Why [`Hub::join`](crate::Hub::join) did not work. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JoinError {
    /// Somebody here has this name, or one that looks like it.
    #[error("it is taken")]
    NameTaken,
    /// The hub is closed.
    #[error("the hub is closed")]
    Closed,
}

/// Why [`Hub::publish`](crate::Hub::publish) did not work. Nothing was published, no number was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The member has left.
    #[error("the member has left")]
    NotHere,
    /// A text is longer than [`HubConfig::max_text`](crate::HubConfig::max_text).
    #[error("text of {len} bytes, longer than {max}")]
    TooLong {
        /// Its length in bytes.
        len: usize,
        /// The greatest length allowed.
        max: usize,
    },
    /// The hub is closed.
    #[error("the hub is closed")]
    Closed,
}

/// Why [`Hub::rename`](crate::Hub::rename) did not work. The member keeps the name it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RenameError {
    /// Somebody else has this name, or one that looks like it.
    #[error("it is taken")]
    NameTaken,
    /// The member has left.
    #[error("the member has left")]
    NotHere,
    /// The hub is closed.
    #[error("the hub is closed")]
    Closed,
}

/// Why [`Hub::leave`](crate::Hub::leave) did not work. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LeaveError {
    /// The member had left before, or the hub is closed.
    #[error("the member has left")]
    NotHere,
}
