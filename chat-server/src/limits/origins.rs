//! The limits of origins, which outlive connections.

use super::{Origin, Refusal};
use chat_core::session::{Quota, Rate, RateLimiter, SharedLimits};
use std::collections::{BTreeSet, HashMap};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::Id;
use tokio::time::Instant;

/// How many origins without a peer are remembered at most.
const REMEMBERED: usize = 8192;

/// The limits of a wider origin, as a multiple of those of the origins in it.
const WIDER: NonZeroU32 = NonZeroU32::new(4).expect("4 is not zero");

/// The limits of an origin. Those of a wider one are [`WIDER`] times as high.
#[derive(Clone, Debug)]
pub(crate) struct OriginLimits {
    pub(crate) peers: usize,
    pub(crate) connects: Option<Quota>,
    pub(crate) talk: Option<Rate>,
    pub(crate) renames: Option<Quota>,
}

impl OriginLimits {
    fn wider(&self) -> Self {
        Self {
            peers: self.peers.saturating_mul(WIDER.get() as usize),
            connects: self.connects.map(|quota| times(quota, WIDER)),
            talk: self.talk.map(|rate| rate.times(WIDER)),
            renames: self.renames.map(|quota| times(quota, WIDER)),
        }
    }
}

/// A quota that is shared by so many.
pub(crate) fn times(quota: Quota, factor: NonZeroU32) -> Quota {
    let burst = quota.burst.saturating_mul(factor);
    Quota::new(burst, quota.period / factor.get())
}

/// The peers of each origin, and how much each origin has used of its limits.
///
/// An origin is forgotten when it has no peer and its limits are unused, because a new entry would be
/// the same. At most [`REMEMBERED`] origins without a peer are kept. Beyond that, those whose limits are
/// unused soonest are forgotten early, and find unused limits when they return. So the table is bounded
/// by that number and the number of peers, and an attacker with more networks gains little.
#[derive(Debug)]
pub(crate) struct Origins {
    limits: OriginLimits,
    wider_limits: OriginLimits,
    entries: HashMap<Origin, Entry>,
    /// Origins without a peer, by the time at which their limits are unused.
    idle: BTreeSet<(Instant, Origin)>,
    sessions: HashMap<Id, Origin>,
}

#[derive(Debug)]
struct Entry {
    peers: usize,
    /// Remembered origins within this one.
    narrower: usize,
    connects: Option<RateLimiter>,
    shared: Arc<SharedLimits>,
    /// Its time in the set of idle origins, if it is there.
    idle: Option<Instant>,
}

impl Entry {
    fn new(limits: &OriginLimits, wider: Option<&Arc<SharedLimits>>) -> Self {
        let shared = SharedLimits::new(limits.talk, limits.renames);
        Self {
            peers: 0,
            narrower: 0,
            connects: limits.connects.map(RateLimiter::new),
            shared: Arc::new(match wider {
                Some(wider) => shared.within(wider.clone()),
                None => shared,
            }),
            idle: None,
        }
    }

    fn take_connect(&mut self, now: Instant) -> Result<(), Refusal> {
        let Some(connects) = &mut self.connects else {
            return Ok(());
        };
        connects.try_take(now).map_err(Refusal::TooFast)
    }

    fn is_unused(&self, now: Instant) -> bool {
        let connects = self.connects.as_ref();
        connects.is_none_or(|connects| connects.is_unused(now)) && self.shared.is_unused(now)
    }

    /// A time at which the limits are unused, and not long after they are.
    fn unused_at(&self, now: Instant) -> Instant {
        const LONGEST: Duration = Duration::from_secs(365 * 86_400);
        let mut wait = Duration::ZERO;
        while !self.is_unused(now + wait) && wait < LONGEST {
            wait = (wait * 2).max(Duration::from_secs(1));
        }
        now + wait
    }
}

impl Origins {
    pub(crate) fn new(limits: OriginLimits) -> Self {
        Self {
            wider_limits: limits.wider(),
            limits,
            entries: HashMap::new(),
            idle: BTreeSet::new(),
            sessions: HashMap::new(),
        }
    }

    /// Counts one more peer, and gives the limits that it shares with others of its origin.
    ///
    /// # Errors
    ///
    /// The reason why it cannot join. Nothing is counted.
    pub(crate) fn connect(
        &mut self,
        origin: Origin,
        now: Instant,
    ) -> Result<Arc<SharedLimits>, Refusal> {
        self.remember(origin);
        let connected = self.try_connect(origin, now);
        self.settle(origin, now);
        self.forget(now);
        connected
    }

    fn try_connect(&mut self, origin: Origin, now: Instant) -> Result<Arc<SharedLimits>, Refusal> {
        let wider = origin.wider();
        let is_full = |origin, most| self.entries[&origin].peers >= most;
        if is_full(origin, self.limits.peers)
            || wider.is_some_and(|wider| is_full(wider, self.wider_limits.peers))
        {
            return Err(Refusal::TooManyPeers);
        }
        let before = self.entry(origin).connects.clone();
        self.entry(origin).take_connect(now)?;
        if let Some(wider) = wider {
            if let Err(refusal) = self.entry(wider).take_connect(now) {
                self.entry(origin).connects = before;
                return Err(refusal);
            }
            self.entry(wider).peers += 1;
        }
        let entry = self.entry(origin);
        entry.peers += 1;
        Ok(entry.shared.clone())
    }

    /// The session of a peer that was counted has begun.
    pub(crate) fn began(&mut self, session: Id, origin: Origin) {
        self.sessions.insert(session, origin);
    }

    /// A session has ended.
    pub(crate) fn ended(&mut self, session: Id, now: Instant) {
        let Some(origin) = self.sessions.remove(&session) else {
            return;
        };
        for origin in with_wider(origin) {
            self.entry(origin).peers -= 1;
        }
        self.settle(origin, now);
        self.forget(now);
    }

    /// Forgets origins whose limits are unused, and those that are too many.
    pub(crate) fn forget(&mut self, now: Instant) {
        while let Some(&(unused_at, origin)) = self.idle.first()
            && (unused_at <= now || self.idle.len() > REMEMBERED)
        {
            self.idle.pop_first();
            self.entries.remove(&origin);
            if let Some(wider) = origin.wider() {
                self.entry(wider).narrower -= 1;
                self.settle(wider, now);
            }
        }
    }

    /// Whether no origin is remembered that could be forgotten as time passes.
    pub(crate) fn are_settled(&self) -> bool {
        self.idle.is_empty()
    }

    fn entry(&mut self, origin: Origin) -> &mut Entry {
        let entry = self.entries.get_mut(&origin);
        entry.expect("an origin is remembered while it has peers or narrower origins")
    }

    fn remember(&mut self, origin: Origin) {
        if self.entries.contains_key(&origin) {
            return;
        }
        let shared = origin.wider().map(|wider| {
            let limits = &self.wider_limits;
            let wider = self
                .entries
                .entry(wider)
                .or_insert_with(|| Entry::new(limits, None));
            wider.narrower += 1;
            wider.shared.clone()
        });
        let entry = Entry::new(&self.limits, shared.as_ref());
        self.entries.insert(origin, entry);
    }

    /// Notes whether an origin and the wider one are idle now, and until when they are remembered.
    fn settle(&mut self, origin: Origin, now: Instant) {
        for origin in with_wider(origin) {
            let entry = self.entry(origin);
            let is_idle = entry.peers == 0 && entry.narrower == 0;
            // An idle origin can only connect, and what it uses up thereby ends its idleness.
            if is_idle == entry.idle.is_some() {
                continue;
            }
            let unused_at = is_idle.then(|| entry.unused_at(now));
            let before = std::mem::replace(&mut entry.idle, unused_at);
            if let Some(before) = before {
                self.idle.remove(&(before, origin));
            }
            if let Some(unused_at) = unused_at {
                self.idle.insert((unused_at, origin));
            }
        }
    }
}

fn with_wider(origin: Origin) -> impl Iterator<Item = Origin> {
    [Some(origin), origin.wider()].into_iter().flatten()
}

#[cfg(test)]
mod tests;
