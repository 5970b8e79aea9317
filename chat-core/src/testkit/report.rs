//! The outcomes of checks.

use super::check::Check;
use std::fmt;

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The transport keeps the rule.
    Passed,
    /// The [`Remote`](super::Remote) lacks a capability that the check needs, and which.
    Skipped(String),
    /// The rule is one for an optional method that the transport does not implement, and which.
    NotApplicable(String),
    /// The transport breaks the rule, with the evidence.
    Failed(String),
}

/// The outcomes of checks. `Display` gives a line for each, and the rule of each that failed.
#[derive(Clone, Debug)]
#[must_use = "a failed check does not panic; `assert_passed_but` does"]
pub struct Report {
    pub(super) outcomes: Vec<(Check, Outcome)>,
}

impl Report {
    /// Every check that has run, in that order, and its outcome.
    pub fn outcomes(&self) -> &[(Check, Outcome)] {
        &self.outcomes
    }

    /// The checks that failed.
    pub fn failed(&self) -> Vec<Check> {
        self.select(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    /// The checks that need a capability that the remote lacks. A test should assert which these
    /// are, so that no check is skipped unnoticed.
    pub fn skipped(&self) -> Vec<Check> {
        self.select(|outcome| matches!(outcome, Outcome::Skipped(_)))
    }

    /// The checks of an optional method that the transport does not implement.
    pub fn not_applicable(&self) -> Vec<Check> {
        self.select(|outcome| matches!(outcome, Outcome::NotApplicable(_)))
    }

    /// Asserts that the skipped checks are exactly these, in the order in which they run, and that
    /// all others passed or are not applicable.
    ///
    /// # Panics
    ///
    /// Panics with the whole report if a check failed, or if other checks were skipped.
    #[track_caller]
    pub fn assert_passed_but(&self, skipped: &[Check]) {
        assert!(self.failed().is_empty(), "\n{self}");
        assert_eq!(self.skipped(), skipped, "skipped checks\n{self}");
    }

    fn select(&self, is_wanted: impl Fn(&Outcome) -> bool) -> Vec<Check> {
        let selected = self
            .outcomes
            .iter()
            .filter(|(_, outcome)| is_wanted(outcome));
        selected.map(|(check, _)| *check).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (check, outcome) in &self.outcomes {
            match outcome {
                Outcome::Passed => writeln!(f, "{check:<17} passed")?,
                Outcome::Skipped(capability) => writeln!(f, "{check:<17} skipped: {capability}")?,
                Outcome::NotApplicable(why) => writeln!(f, "{check:<17} not applicable: {why}")?,
                Outcome::Failed(evidence) => {
                    writeln!(f, "{check:<17} FAILED: {evidence}")?;
                    writeln!(f, "{:<17} rule: {}", "", check.rule())?;
                }
            }
        }
        Ok(())
    }
}
