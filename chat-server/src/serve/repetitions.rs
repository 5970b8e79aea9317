//! Events that peers can cause at any rate, logged at a bounded one.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;
use tokio::time::Instant;

/// The time after which repetitions are summarized.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// How many kinds of event are counted separately in a window.
const KINDS: usize = 64;

/// Counts repetitions: the first event of each kind in a window is logged, the others are counted.
/// Neither memory nor the number of log lines grows beyond [`KINDS`], whatever peers do.
#[derive(Debug)]
pub(crate) struct Repetitions<K> {
    /// When the window ends, if one has begun.
    ends: Option<Instant>,
    counts: HashMap<K, u64>,
    others: u64,
}

/// The repetitions of a window.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Summary<K> {
    /// The time from its first event on.
    pub(crate) time: Duration,
    /// How many events of each kind were not logged; never 0.
    pub(crate) counts: Vec<(K, u64)>,
    /// How many of further kinds.
    pub(crate) others: u64,
}

impl<K: Copy + Eq + Hash> Repetitions<K> {
    pub(crate) fn new() -> Self {
        Self {
            ends: None,
            counts: HashMap::new(),
            others: 0,
        }
    }

    /// Whether an event is the first of its kind in the window, and to be logged. Counts it if not.
    pub(crate) fn is_first(&mut self, kind: K, now: Instant) -> bool {
        self.ends.get_or_insert_with(|| now + WINDOW);
        if let Some(count) = self.counts.get_mut(&kind) {
            *count += 1;
            return false;
        }
        if self.counts.len() >= KINDS {
            self.others += 1;
            return false;
        }
        self.counts.insert(kind, 0);
        true
    }

    /// When the window ends, if one has begun.
    pub(crate) fn ends(&self) -> Option<Instant> {
        self.ends
    }

    /// Ends the window, or cuts it short.
    pub(crate) fn finish(&mut self, now: Instant) -> Summary<K> {
        let ends = self.ends.take().unwrap_or(now);
        let counts = self.counts.drain().filter(|(_, count)| *count > 0);
        Summary {
            time: (now + WINDOW).saturating_duration_since(ends),
            counts: counts.collect(),
            others: std::mem::take(&mut self.others),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    mod repetitions {
        use super::*;

        #[tokio::test(start_paused = true)]
        async fn first_is_logged_others_counted() {
            let now = Instant::now();
            let mut repetitions = Repetitions::new();
            assert_eq!(repetitions.ends(), None);
            assert!(repetitions.is_first('a', now));
            assert!(repetitions.is_first('b', now + WINDOW / 2));
            assert!(!repetitions.is_first('a', now + WINDOW / 2));
            assert!(!repetitions.is_first('a', now + WINDOW / 2));
            assert_eq!(repetitions.ends(), Some(now + WINDOW));
            let summary = Summary {
                time: WINDOW,
                counts: vec![('a', 2)],
                others: 0,
            };
            assert_eq!(repetitions.finish(now + WINDOW), summary);
            assert_eq!(repetitions.ends(), None);
            assert!(repetitions.is_first('a', now + WINDOW));
        }

        #[tokio::test(start_paused = true)]
        async fn further_kinds_are_counted_together() {
            let now = Instant::now();
            let mut repetitions = Repetitions::new();
            let logged = (0..KINDS + 5).filter(|kind| repetitions.is_first(*kind, now));
            assert_eq!(logged.count(), KINDS);
            let summary = Summary {
                time: WINDOW / 2,
                counts: vec![],
                others: 5,
            };
            assert_eq!(repetitions.finish(now + WINDOW / 2), summary);
        }
    }
}
