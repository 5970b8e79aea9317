//! Counts of what the scenarios have covered.

use std::collections::BTreeMap;

/// The observations that enough scenarios must cover.
const KINDS: [&str; 25] = [
    "connections",
    "events",
    "lines delivered",
    "gaps reported",
    "rosters at their position",
    "streams that end within a line",
    "lines completed by the end of the stream",
    "lines never completed",
    "published in time",
    "left",
    "idle",
    "stalled",
    "lost",
    "notified of the shutdown",
    "grace exceeded",
    "kicked",
    "kicked while parked",
    "mail delivered",
    "mail while parked",
    "complete attempts",
    "partial attempts",
    "attempts that end within a line",
    "masked attempts",
    "lost while parked",
    "parked at the shutdown",
];

/// Counts of observations, so that the test can assert that each kind has occurred.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Coverage(BTreeMap<&'static str, u64>);

impl Coverage {
    pub(crate) fn count(&mut self, kind: &'static str, number: u64) {
        debug_assert!(KINDS.contains(&kind), "{kind}");
        *self.0.entry(kind).or_default() += number;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (kind, number) in &other.0 {
            self.count(kind, *number);
        }
    }

    /// The kinds that never occurred.
    pub(crate) fn missing(&self) -> Vec<&'static str> {
        let mut kinds = KINDS.to_vec();
        kinds.retain(|kind| self.0.get(kind).is_none_or(|number| *number == 0));
        kinds
    }
}
