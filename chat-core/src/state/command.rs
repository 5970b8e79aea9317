//! The changes that a hub's state can undergo.

use crate::types::direct::Direct;
use crate::types::event::LeaveReason;
use crate::types::ids::{MemberId, SlotId};
use crate::types::name::{Name, NameKeys};
use crate::types::time::Timestamp;
use std::ops::Range;

/// One change of the state. The same commands at the same times make the same state: keys of names
/// come with the command, because the Unicode tables behind them differ between builds.
#[derive(Debug)]
pub(crate) enum Command<'a> {
    Join {
        name: Name,
        keys: NameKeys,
    },
    Publish {
        id: SlotId,
        texts: Texts<'a>,
    },
    Announce {
        text: &'a str,
    },
    Rename {
        id: SlotId,
        name: Name,
        keys: NameKeys,
    },
    Mute {
        id: SlotId,
        until: Timestamp,
    },
    /// Delivers a text to one member: a direct message, or a notice of the program.
    Send {
        from: Option<SlotId>,
        to: SlotId,
        text: &'a str,
    },
    Leave {
        id: SlotId,
        reason: LeaveReason,
        /// An explanation for the member.
        text: Option<&'a str>,
    },
    Close,
}

/// The result of a command that was carried out.
#[derive(Debug)]
pub(crate) enum Outcome {
    Done,
    Joined(SlotId),
    Published(Range<u64>),
    /// The number before which the member's stream ends.
    Left(u64),
}

impl Outcome {
    pub(crate) fn joined(self) -> SlotId {
        match self {
            Self::Joined(id) => id,
            other => unreachable!("{other:?} is no outcome of joining"),
        }
    }

    pub(crate) fn published(self) -> Range<u64> {
        match self {
            Self::Published(numbers) => numbers,
            other => unreachable!("{other:?} is no outcome of publishing"),
        }
    }

    pub(crate) fn left(self) -> u64 {
        match self {
            Self::Left(end) => end,
            other => unreachable!("{other:?} is no outcome of leaving"),
        }
    }
}

/// Why a command was not carried out. The public API has an error enum per operation for it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    NameTaken,
    Closed,
    NotHere,
    /// The recipient of a direct message has left.
    RecipientNotHere,
    MailboxFull,
    Muted {
        until: Timestamp,
    },
}

/// Texts to be published together, in one piece of memory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Texts<'a> {
    pub(crate) bytes: &'a str,
    /// Where each of them ends.
    pub(crate) ends: &'a [usize],
}

impl<'a> Texts<'a> {
    pub(crate) fn iter(self) -> impl Iterator<Item = &'a str> {
        let mut start = 0;
        self.ends.iter().map(move |&end| {
            let text = &self.bytes[start..end];
            start = end;
            text
        })
    }
}

/// [`Texts`] that are being put together.
#[derive(Debug, Default)]
pub(crate) struct TextsBuffer {
    bytes: String,
    ends: Vec<usize>,
}

impl TextsBuffer {
    /// Texts that are published together are held under one lock for as long as it takes to copy
    /// them, so no more than this, or one longer text.
    pub(crate) const MAX_BYTES: usize = 64 * 1024;
    pub(crate) const MAX_TEXTS: usize = 1024;

    /// Whether a text of this length must wait until those before it are published.
    pub(crate) fn is_full_for(&self, len: usize) -> bool {
        !self.ends.is_empty()
            && (self.bytes.len() + len > Self::MAX_BYTES || self.ends.len() >= Self::MAX_TEXTS)
    }

    pub(crate) fn push(&mut self, text: &str) {
        self.bytes.push_str(text);
        self.ends.push(self.bytes.len());
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(crate) fn texts(&self) -> Texts<'_> {
        Texts {
            bytes: &self.bytes,
            ends: &self.ends,
        }
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }
}

/// The item that [`Command::Send`] puts into a mailbox.
pub(crate) fn direct(from: Option<(MemberId, Name)>, text: &str) -> Direct {
    match from {
        Some((id, name)) => Direct::message(id, name, text),
        None => Direct::notice(text),
    }
}
