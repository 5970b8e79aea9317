//! One error for each operation of a hub.

use super::time::Timestamp;
use thiserror::Error;

/// Why [`Hub::join`](crate::Hub::join) failed. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum JoinError {
    /// A member has this name, or one that looks like it.
    #[error("it is taken")]
    NameTaken,
    /// The hub is closed.
    #[error("the hub is closed")]
    Closed,
}

/// Why [`Hub::publish`](crate::Hub::publish) or [`Hub::announce`](crate::Hub::announce) failed.
/// Nothing was published, and no number was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The member has left.
    #[error("the member has left")]
    NotHere,
    /// The member is muted.
    #[error("the member is muted")]
    Muted {
        /// Until when; [`Timestamp::MAX`] if there is no end.
        until: Timestamp,
    },
    /// A text is longer than [`HubConfig::max_text`](crate::HubConfig::max_text).
    #[error("text of {len} bytes, longer than {max}")]
    TooLong {
        /// Its length in bytes, before anything was removed from it.
        len: usize,
        /// The greatest length allowed.
        max: usize,
    },
    /// The hub is closed.
    #[error("the hub is closed")]
    Closed,
}

/// Why [`Hub::publish_many`](crate::Hub::publish_many) failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{published} texts were published, the others were not")]
#[non_exhaustive]
pub struct PublishManyError {
    /// How many texts were published, from the first on. 0 if one of them is too long.
    pub published: usize,
    /// Why the others were not.
    #[source]
    pub reason: PublishError,
}

/// Why [`Hub::rename`](crate::Hub::rename) failed. The member keeps its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RenameError {
    /// Another member has this name, or one that looks like it.
    #[error("it is taken")]
    NameTaken,
    /// The member has left.
    #[error("the member has left")]
    NotHere,
    /// The member is muted: a new name is text that every member sees.
    #[error("the member is muted")]
    Muted {
        /// Until when; [`Timestamp::MAX`] if there is no end.
        until: Timestamp,
    },
    /// The hub is closed.
    #[error("the hub is closed")]
    Closed,
}

/// Why [`Hub::leave`](crate::Hub::leave), [`Hub::remove`](crate::Hub::remove) or
/// [`Hub::mute`](crate::Hub::mute) failed. Nothing has changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LeaveError {
    /// The member left before, or the hub is closed.
    #[error("the member has left")]
    NotHere,
}

/// Why [`Hub::send`](crate::Hub::send) or [`Hub::notify`](crate::Hub::notify) failed. The
/// recipient receives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SendError {
    /// The recipient has left.
    #[error("the recipient has left")]
    RecipientNotHere,
    /// The recipient has [`HubConfig::mailbox_bytes`](crate::HubConfig::mailbox_bytes) waiting
    /// for it.
    #[error("the recipient's mailbox is full")]
    Full,
    /// The sender has left.
    #[error("the sender has left")]
    SenderNotHere,
    /// The sender is muted.
    #[error("the sender is muted")]
    Muted {
        /// Until when; [`Timestamp::MAX`] if there is no end.
        until: Timestamp,
    },
    /// The text is longer than [`HubConfig::max_text`](crate::HubConfig::max_text).
    #[error("text of {len} bytes, longer than {max}")]
    TooLong {
        /// Its length in bytes, before anything was removed from it.
        len: usize,
        /// The greatest length allowed.
        max: usize,
    },
    /// The hub is closed.
    #[error("the hub is closed")]
    Closed,
}

/// Why [`Hub::read_by_all`](crate::Hub::read_by_all) failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReadByAllError {
    /// Every reader is past the number now, but some were overrun and missed an event before it.
    #[error("{readers} readers missed events")]
    Missed {
        /// How many members and subscribers, at least 1.
        readers: usize,
    },
    /// The hub was closed before all events before the number were published.
    #[error("the hub is closed")]
    Closed,
}
