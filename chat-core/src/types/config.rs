//! What a hub can be told.

use crate::types::name::Name;
use std::time::Duration;

const MAX_TEXT: usize = 16 << 20;
const MAX_LOG: usize = 3 << 30;

/// The settings of a [`Hub`](crate::Hub). Take the default and change what you need:
///
/// ```
/// use chat_core::{Hub, HubConfig};
///
/// let mut config = HubConfig::default();
/// config.log_bytes = 1 << 20;
/// let hub = Hub::new(config);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct HubConfig {
    /// Bytes of memory for the log, lines and index together; default 8 MiB.
    ///
    /// This bounds what the hub holds, however many members it has and however slow they
    /// are: a member that is further behind than this misses the oldest events and is told
    /// how many. It is allocated at once, and
    /// the system backs it with memory as it fills.
    /// A number below what eight lines of the greatest length need is raised to that, one
    /// above 3 GiB is lowered to it.
    pub log_bytes: usize,

    /// The greatest length of a message's text, in bytes of UTF-8; default 4,096.
    ///
    /// A longer one is refused whole. Sessions refuse longer lines of their peers alike. A number
    /// above 16 MiB is lowered to it.
    pub max_text: usize,

    /// While more members than this are here, arrivals and leavings take no place in the log;
    /// `None`, the default: they always do.
    ///
    /// Announcing is quadratic: when n members join, n²/2 lines are delivered, 50 million for
    /// 10,000. Whoever wants to know who is here asks for the roster.
    pub announce_up_to: Option<usize>,

    /// How long a [session](crate::session) may wait, before it reads more from its peer, for
    /// members that make progress and are about to be overrun; default 5 ms, zero for not at all.
    ///
    /// It is waited for at most once per batch read, and a member that has made no progress
    /// since it was last waited for earns no further wait. [`Hub::publish`](crate::Hub::publish)
    /// itself never waits.
    pub patience: Duration,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            log_bytes: 8 << 20,
            max_text: 4096,
            announce_up_to: None,
            patience: Duration::from_millis(5),
        }
    }
}

impl HubConfig {
    /// Brings what makes no sense to the nearest that does.
    pub(crate) fn within_bounds(mut self) -> Self {
        self.max_text = self.max_text.min(MAX_TEXT);
        // Two names of letters that are four bytes each, what stands between, and the line end.
        let longest = self.max_text + 2 * 4 * Name::MAX_ASSIGNED_CHARS + 9;
        // A fifth is index.
        let least = longest * 8 * 5 / 4;
        self.log_bytes = self.log_bytes.clamp(least, MAX_LOG);
        self
    }
}
