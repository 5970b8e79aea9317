//! Refusals of the state in the words of each operation.

use crate::state::command::Refusal;
use crate::types::errors::{PublishError, SendError};
use crate::types::text::TooLong;

impl From<TooLong> for PublishError {
    fn from(TooLong { len, max }: TooLong) -> Self {
        Self::TooLong { len, max }
    }
}

impl From<Refusal> for PublishError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::NotHere => Self::NotHere,
            Refusal::Muted { until } => Self::Muted { until },
            Refusal::Closed
            | Refusal::NameTaken
            | Refusal::RecipientNotHere
            | Refusal::MailboxFull => Self::Closed,
        }
    }
}

impl From<TooLong> for SendError {
    fn from(TooLong { len, max }: TooLong) -> Self {
        Self::TooLong { len, max }
    }
}

impl From<Refusal> for SendError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::RecipientNotHere => Self::RecipientNotHere,
            Refusal::MailboxFull => Self::Full,
            Refusal::NotHere => Self::SenderNotHere,
            Refusal::Muted { until } => Self::Muted { until },
            Refusal::Closed | Refusal::NameTaken => Self::Closed,
        }
    }
}
