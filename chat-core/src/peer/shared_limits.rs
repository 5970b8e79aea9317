//! Rate limits that several peers draw on together.

use super::rate::{Quota, Rate, RateLimiter, RateUsage};
use crate::sync::{Mutex, MutexGuard};
use std::sync::{Arc, PoisonError};
use tokio::time::Instant;

/// The limits of one origin, such as an IP address: all its peers draw on them together.
///
/// They apply in addition to each peer's own limits, and outlive the connections: an origin that
/// reconnects finds its limits as it left them. Give the same `Arc` to all sessions of the origin,
/// in [`SessionConfig::shared`](crate::session::SessionConfig::shared), and keep it at least until
/// [`is_full`](Self::is_full).
#[derive(Debug)]
pub struct SharedLimits {
    /// Held for a few additions.
    usage: Mutex<Usage>,
    wider: Option<Arc<SharedLimits>>,
}

#[derive(Debug)]
struct Usage {
    talk: Option<RateUsage>,
    renames: Option<RateLimiter>,
}

impl SharedLimits {
    /// Limits of which nothing is used: the rate at which the peers may talk together, and how
    /// often they may rename themselves together. `None` does not limit.
    pub fn new(rate: Option<Rate>, rename_rate: Option<Quota>) -> Self {
        Self {
            usage: Mutex::new(Usage {
                talk: rate.map(RateUsage::new),
                renames: rename_rate.map(RateLimiter::new),
            }),
            wider: None,
        }
    }

    /// The same limits within those of a wider origin, such as a network: peers draw on both.
    #[must_use]
    pub fn within(self, wider: Arc<SharedLimits>) -> Self {
        Self {
            wider: Some(wider),
            ..self
        }
    }

    /// Whether nothing of these limits is used: new ones would be the same, so the origin can be
    /// forgotten if it has no session. Those of a wider origin are not looked at.
    pub fn is_full(&self, now: Instant) -> bool {
        let usage = self.lock();
        usage.talk.as_ref().is_none_or(|talk| talk.is_full(now))
            && usage.renames.as_ref().is_none_or(|all| all.is_full(now))
    }

    fn lock(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
