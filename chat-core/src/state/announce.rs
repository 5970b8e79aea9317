//! The limit of announcements.

use crate::types::config::HubConfig;
use crate::types::time::Timestamp;
use std::num::NonZeroU32;
use std::time::Duration;

/// How many arrivals and departures are announced in a stretch of time: the generic cell rate
/// algorithm (ITU-T I.371), with times that come with the commands.
#[derive(Debug)]
pub(super) struct AnnounceLimit {
    /// `None` without a limit.
    each: Option<Duration>,
    /// When those that were announced will have been earned, in microseconds.
    earned: u64,
}

impl AnnounceLimit {
    const BURST: Duration = Duration::from_secs(1);

    pub(super) fn new(config: &HubConfig) -> Self {
        let each = |per_second: NonZeroU32| Duration::from_secs(1) / per_second.get();
        Self {
            each: config.announce_rate.map(each),
            earned: 0,
        }
    }

    pub(super) fn admits(&self, now: Timestamp) -> bool {
        let Some(each) = self.each else {
            return true;
        };
        let latest = micros(now).saturating_add((Self::BURST - each).as_micros() as u64);
        self.earned <= latest
    }

    pub(super) fn count(&mut self, now: Timestamp) {
        if let Some(each) = self.each {
            let earned = self.earned.max(micros(now));
            self.earned = earned.saturating_add(each.as_micros() as u64);
        }
    }
}

fn micros(time: Timestamp) -> u64 {
    time.as_millis().saturating_mul(1000)
}
