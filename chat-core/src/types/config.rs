//! The settings of a hub.

use super::name::Name;
use super::position::Position;
use std::num::NonZeroU32;
use std::time::Duration;

/// The greatest `max_text`. One text is copied in one piece under the hub's lock.
const MAX_TEXT: usize = 1 << 20;
/// The log's index keeps 32 bits of an offset.
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
    /// Bytes of memory for the log: lines, and 8 to 20 bytes of index for each. Default 8 MiB.
    ///
    /// This bounds the memory of the hub, however many members it has and however slow they are:
    /// a member that is further behind misses the oldest events and receives their number. The log
    /// takes memory as it fills, so an idle hub needs about 4 KiB.
    ///
    /// A value below what eight lines of the greatest length need is raised to that; one above
    /// 3 GiB is lowered to it.
    pub log_bytes: usize,

    /// The greatest length of a text, in bytes of UTF-8. Default 4,096.
    ///
    /// A longer text is rejected as a whole. Sessions reject longer lines of their peers likewise.
    /// A value above 1 MiB is lowered to it.
    pub max_text: usize,

    /// Bytes of direct messages and notices that wait for one member. Default 16 KiB.
    ///
    /// Beyond that, [`Hub::send`](crate::Hub::send) reports
    /// [`SendError::Full`](crate::SendError::Full). A member without any takes no memory for them.
    pub mailbox_bytes: usize,

    /// With so many members or more, further arrivals take no place in the log, nor do the
    /// departures of members that arrived then. `None`, the default, announces all.
    ///
    /// Announcing is quadratic: when n members join, n²/2 lines are delivered, 50 million for
    /// 10,000 members. The roster is exact in any case.
    pub announce_up_to: Option<usize>,

    /// The most arrivals and departures that are announced per second. Beyond that, arrivals take
    /// no place in the log, nor do the departures of those members. `None`, the default, announces
    /// all.
    ///
    /// A member whose arrival was announced has its departure announced, even at once; a burst of
    /// departures is made up for by the arrivals after it.
    pub announce_rate: Option<NonZeroU32>,

    /// How long a [session](crate::session) may wait, before it reads more from its peer, for
    /// readers that make progress and are about to be overrun. Default 5 ms; zero turns it off.
    ///
    /// A session waits at most once per batch read, and a reader that has made no progress since
    /// it was last waited for earns no further wait. [`Hub::publish`](crate::Hub::publish) never
    /// waits.
    pub patience: Duration,

    /// The position of the first event. `None`, the default, is number 0 of a random epoch.
    ///
    /// For programs that continue an order across a restart: earlier positions then count as
    /// evicted, not as those of another hub.
    pub first: Option<Position>,
}

impl Default for HubConfig {
    fn default() -> Self {
        Self {
            log_bytes: 8 << 20,
            max_text: 4096,
            mailbox_bytes: 16 << 10,
            announce_up_to: None,
            announce_rate: None,
            patience: Duration::from_millis(5),
            first: None,
        }
    }
}

impl HubConfig {
    /// Brings each value to the nearest one that makes sense.
    pub(crate) fn within_bounds(mut self) -> Self {
        self.max_text = self.max_text.min(MAX_TEXT);
        // Two names of letters that are four bytes each, the phrase between, and the line end.
        let longest = self.max_text + 2 * 4 * Name::MAX_ASSIGNED_CHARS + 9;
        // Less than three eighths are index, and segments that are partly used.
        let least = longest * 8 * 8 / 5;
        self.log_bytes = self.log_bytes.clamp(least, MAX_LOG);
        self
    }
}
