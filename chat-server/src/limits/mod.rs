//! Limits by origin.

mod origin;
mod origins;
mod refusals;

pub(crate) use origin::Origin;
pub(crate) use origins::{OriginLimits, Origins, times};
pub(crate) use refusals::Refusals;

use std::fmt::{self, Display};
use std::time::Duration;

/// Why a peer cannot join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    ServerFull,
    TooManyPeers,
    /// The origin connects too fast, and may connect again after this time.
    TooFast(Duration),
}

impl Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ServerFull => f.write_str("the server is full"),
            Self::TooManyPeers => f.write_str("too many from your address"),
            Self::TooFast(wait) => {
                // Rounded up: a peer that waits so long is let in.
                let seconds = wait.as_millis().div_ceil(1000);
                write!(f, "too many connections from your address, wait {seconds}s")
            }
        }
    }
}
