//! The limit of announcements.

use crate::types::config::HubConfig;
use crate::types::time::Timestamp;
use std::num::NonZeroU32;

/// How many arrivals and departures are announced in a stretch of time: the generic cell rate
/// algorithm (ITU-T I.371), with times that come with the commands.
///
/// It counts in announcements × milliseconds, so that nothing is rounded at any rate.
#[derive(Debug)]
pub(super) struct AnnounceLimit {
    /// Announcements per second. `None` without a limit.
    rate: Option<NonZeroU32>,
    /// When those that were announced will have been earned, in milliseconds since 1970 × the rate.
    earned: u128,
}

impl AnnounceLimit {
    /// The cost of one announcement: a second has so many milliseconds.
    const EACH: u128 = 1000;

    pub(super) fn new(config: &HubConfig) -> Self {
        Self {
            rate: config.announce_rate,
            earned: 0,
        }
    }

    pub(super) fn admits(&self, now: Timestamp) -> bool {
        self.rate.is_none_or(|rate| {
            let burst = Self::EACH * u128::from(rate.get());
            self.earned <= scaled(now, rate) + burst - Self::EACH
        })
    }

    pub(super) fn count(&mut self, now: Timestamp) {
        if let Some(rate) = self.rate {
            self.earned = self.earned.max(scaled(now, rate)) + Self::EACH;
        }
    }
}

fn scaled(time: Timestamp, rate: NonZeroU32) -> u128 {
    u128::from(time.as_millis()) * u128::from(rate.get())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_rate_is_a_limit() {
        for rate in [1, 3, 999_999, 1_000_001, 3_000_000] {
            let mut limit = AnnounceLimit::new(&HubConfig {
                announce_rate: NonZeroU32::new(rate),
                ..HubConfig::default()
            });
            for second in [0, 1, 2, 100] {
                let now = Timestamp::from_millis(1_800_000_000_000 + second * 1000);
                let mut admitted = 0;
                while admitted <= rate && limit.admits(now) {
                    limit.count(now);
                    admitted += 1;
                }
                assert_eq!(admitted, rate, "{rate}/s in second {second}");
            }
        }
    }
}
