//! The clock that events get their times from.

use crate::types::time::Timestamp;
use tokio::time::Instant;

/// The system's time when the hub was made, and what has passed since then by a clock that is never
/// set. So times do not go back with the system's clock, and paused time in tests pauses them.
#[derive(Debug)]
pub(crate) struct Clock {
    started: Instant,
    started_at: Timestamp,
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "read once, and nothing is measured by it"
    )]
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            started_at: std::time::SystemTime::now().into(),
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.started_at + self.started.elapsed()
    }
}
