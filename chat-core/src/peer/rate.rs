//! Rate limits, by the generic cell rate algorithm (ITU-T I.371).
//!
//! The only state of a limit is the time at which everything that was taken is earned again, so
//! nothing has to be refilled and an unused limit needs no timer.

use std::num::NonZeroU32;
use std::time::Duration;
use tokio::time::Instant;

/// Longer than any program runs.
const NEVER: Duration = Duration::from_secs(30 * 365 * 86_400);

/// The time `wait` from `now`, or a time decades ahead if that cannot be represented.
pub(crate) fn later(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or_else(|| now + NEVER)
}

/// How fast peers may send: [`SessionConfig::rate`](crate::session::SessionConfig::rate) for one
/// peer, [`SharedLimits`](crate::session::SharedLimits) for all peers of one origin.
///
/// A session does not read from a peer that is beyond its rate, so its input waits in the
/// connection and finally at the sender. No line is lost while the connection lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rate {
    /// Lines per second, commands and refused lines included; default 5.
    pub lines: NonZeroU32,
    /// Lines that are accepted at once after a silence; default 20.
    pub burst: NonZeroU32,
    /// Bytes per second, and bytes that are accepted at once after a silence; default 16 KiB.
    pub bytes: NonZeroU32,
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            lines: const { NonZeroU32::new(5).expect("5 is not zero") },
            burst: const { NonZeroU32::new(20).expect("20 is not zero") },
            bytes: const { NonZeroU32::new(16 * 1024).expect("16,384 is not zero") },
        }
    }
}

impl Rate {
    /// The rate of `peers` peers together: each number is multiplied, up to `u32::MAX`.
    #[must_use]
    pub fn times(self, peers: NonZeroU32) -> Self {
        Self {
            lines: self.lines.saturating_mul(peers),
            burst: self.burst.saturating_mul(peers),
            bytes: self.bytes.saturating_mul(peers),
        }
    }
}

/// How often something may happen: `burst` times at once, then once per `period`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Quota {
    /// How many times at once, after a silence of `burst` periods.
    pub burst: NonZeroU32,
    /// The time in which one more is earned.
    pub period: Duration,
}

impl Quota {
    /// A quota of `burst` at once, then one per `period`.
    pub const fn new(burst: NonZeroU32, period: Duration) -> Self {
        Self { burst, period }
    }
}

/// A [`Quota`], and how much of it is used.
///
/// ```
/// use chat_core::session::{Quota, RateLimiter};
/// use std::num::NonZeroU32;
/// use std::time::Duration;
/// use tokio::time::Instant;
///
/// let two = NonZeroU32::new(2).expect("2 is not zero");
/// let mut connects = RateLimiter::new(Quota::new(two, Duration::from_secs(1)));
/// let now = Instant::now();
/// assert!(connects.try_take(now).is_ok());
/// assert!(connects.try_take(now).is_ok());
/// let wait = connects.try_take(now).expect_err("the burst is used up");
/// assert!(connects.try_take(now + wait).is_ok());
/// ```
#[derive(Clone, Debug)]
pub struct RateLimiter {
    quota: Quota,
    debt: Debt,
}

impl RateLimiter {
    /// A limiter of which nothing is used.
    pub fn new(quota: Quota) -> Self {
        let period = quota.period.min(NEVER);
        Self {
            quota: Quota { period, ..quota },
            debt: Debt::new(),
        }
    }

    /// Takes one.
    ///
    /// # Errors
    ///
    /// The time until there is one to take, never zero. Nothing was taken.
    pub fn try_take(&mut self, now: Instant) -> Result<(), Duration> {
        let ahead = self.quota.period * (self.quota.burst.get() - 1);
        match self.debt.ready_at(ahead).filter(|at| *at > now) {
            Some(at) => Err(at - now),
            None => {
                self.debt.add(self.quota.period, now);
                Ok(())
            }
        }
    }

    /// Gives back the one that was taken last, because it was not used.
    pub(crate) fn give_back(&mut self) {
        self.debt.give_back(self.quota.period);
    }

    /// Whether nothing is used: a new limiter would be the same.
    pub fn is_unused(&self, now: Instant) -> bool {
        self.debt.earned_at <= now
    }
}

/// The time at which everything that was taken is earned again.
#[derive(Clone, Copy, Debug)]
struct Debt {
    earned_at: Instant,
}

impl Debt {
    fn new() -> Self {
        let earned_at = Instant::now();
        Self { earned_at }
    }

    /// The time from which more may be taken, if debts up to `ahead` are tolerated before.
    fn ready_at(self, ahead: Duration) -> Option<Instant> {
        self.earned_at.checked_sub(ahead)
    }

    fn add(&mut self, cost: Duration, now: Instant) {
        self.earned_at = later(self.earned_at.max(now), cost);
    }

    fn give_back(&mut self, cost: Duration) {
        self.earned_at = self.earned_at.checked_sub(cost).unwrap_or(self.earned_at);
    }
}

/// A [`Rate`], and how much of it is used.
#[derive(Debug)]
pub(crate) struct RateUsage {
    rate: Rate,
    lines: Debt,
    bytes: Debt,
}

impl RateUsage {
    pub(crate) fn new(rate: Rate) -> Self {
        Self {
            rate,
            lines: Debt::new(),
            bytes: Debt::new(),
        }
    }

    /// The time from which more may be taken.
    pub(crate) fn ready_at(&self) -> Option<Instant> {
        // The last line of a burst needs room for itself.
        let lines = Duration::from_secs(1) * (self.rate.burst.get() - 1) / self.rate.lines.get();
        let bytes = Duration::from_secs(1);
        self.lines.ready_at(lines).max(self.bytes.ready_at(bytes))
    }

    /// Takes bytes, and a line if they end one.
    pub(crate) fn take(&mut self, bytes: usize, ends_line: bool, now: Instant) {
        let (line, bytes) = self.costs(bytes, ends_line);
        self.lines.add(line, now);
        self.bytes.add(bytes, now);
    }

    /// Gives back what [`take`](Self::take) took for the same bytes, because it was not used.
    pub(crate) fn give_back(&mut self, bytes: usize, ends_line: bool) {
        let (line, bytes) = self.costs(bytes, ends_line);
        self.lines.give_back(line);
        self.bytes.give_back(bytes);
    }

    fn costs(&self, bytes: usize, ends_line: bool) -> (Duration, Duration) {
        let line = match ends_line {
            true => Duration::from_secs(1) / self.rate.lines.get(),
            false => Duration::ZERO,
        };
        let bytes = Duration::from_secs_f64(bytes as f64 / f64::from(self.rate.bytes.get()));
        (line, bytes)
    }

    /// Whether nothing is used.
    pub(crate) fn is_unused(&self, now: Instant) -> bool {
        self.lines.earned_at.max(self.bytes.earned_at) <= now
    }
}
