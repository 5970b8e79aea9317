//! Rate limits that several peers draw on together.

use super::rate::{Quota, Rate, RateLimiter, RateUsage};
use crate::sync::{Mutex, MutexGuard};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// The limits of one origin, such as an IP address: all its peers draw on them together.
///
/// They apply in addition to each peer's own limits, and outlive the connections: an origin that
/// reconnects finds its limits as it left them. Give the same `Arc` to all sessions of the origin,
/// in [`SessionConfig::shared`](crate::session::SessionConfig::shared), and keep it at least until
/// [`is_unused`](Self::is_unused).
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
    /// Limits of which nothing is used: the rate at which the peers may send together, and how
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
    pub fn is_unused(&self, now: Instant) -> bool {
        let usage = self.lock();
        usage.talk.as_ref().is_none_or(|talk| talk.is_unused(now))
            && usage.renames.as_ref().is_none_or(|all| all.is_unused(now))
    }

    pub(crate) fn limits_talk(&self) -> bool {
        self.lock().talk.is_some() || self.wider.as_ref().is_some_and(|all| all.limits_talk())
    }

    /// Takes bytes, and a line if they end one, in advance. Returns the time from which the peer
    /// may use them. So peers that wait are served in order, and each wakes up once.
    pub(crate) fn reserve(&self, bytes: usize, ends_line: bool, now: Instant) -> Option<Instant> {
        let wider = self.wider.as_ref();
        let wider = wider.and_then(|all| all.reserve(bytes, ends_line, now));
        let mut usage = self.lock();
        let own = usage.talk.as_mut().and_then(|talk| {
            let ready_at = talk.ready_at();
            talk.take(bytes, ends_line, now);
            ready_at
        });
        own.max(wider)
    }

    /// Gives back what was reserved, because the session ended before its turn.
    pub(crate) fn give_back(&self, bytes: usize, ends_line: bool) {
        if let Some(talk) = &mut self.lock().talk {
            talk.give_back(bytes, ends_line);
        }
        if let Some(wider) = &self.wider {
            wider.give_back(bytes, ends_line);
        }
    }

    /// Takes one rename.
    ///
    /// # Errors
    ///
    /// The time until there is one. Nothing was taken.
    pub(crate) fn try_rename(&self, now: Instant) -> Result<(), Duration> {
        if let Some(wider) = &self.wider {
            wider.try_rename(now)?;
        }
        let taken = match &mut self.lock().renames {
            Some(renames) => renames.try_take(now),
            None => Ok(()),
        };
        if let (Err(_), Some(wider)) = (&taken, &self.wider) {
            wider.give_back_rename();
        }
        taken
    }

    pub(crate) fn give_back_rename(&self) {
        if let Some(renames) = &mut self.lock().renames {
            renames.give_back();
        }
        if let Some(wider) = &self.wider {
            wider.give_back_rename();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Usage> {
        self.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How often one peer may rename itself: within its own quota and those of its origin.
#[derive(Debug)]
pub(crate) struct RenameLimits {
    own: Option<RateLimiter>,
    shared: Option<Arc<SharedLimits>>,
}

impl RenameLimits {
    /// The limits of a peer that has any. In a box, as they are rarely used.
    pub(crate) fn new(own: Option<Quota>, shared: Option<Arc<SharedLimits>>) -> Option<Box<Self>> {
        let own = own.map(RateLimiter::new);
        (own.is_some() || shared.is_some()).then(|| Box::new(Self { own, shared }))
    }

    /// Takes one rename of each quota.
    ///
    /// # Errors
    ///
    /// The time until there is one. Nothing was taken.
    pub(crate) fn try_take(&mut self) -> Result<(), Duration> {
        let now = Instant::now();
        if let Some(own) = &mut self.own {
            own.try_take(now)?;
        }
        let taken = match &self.shared {
            Some(shared) => shared.try_rename(now),
            None => Ok(()),
        };
        if let (Err(_), Some(own)) = (&taken, &mut self.own) {
            own.give_back();
        }
        taken
    }

    /// Gives back what was taken last, because the peer kept its name.
    pub(crate) fn give_back(&mut self) {
        if let Some(own) = &mut self.own {
            own.give_back();
        }
        if let Some(shared) = &self.shared {
            shared.give_back_rename();
        }
    }
}
