//! What came of the checks.

use super::check::Check;
use std::fmt;

/// What came of a check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing was found.
    Passed,
    /// The [`Remote`](super::Remote) cannot do what it takes, and this is what it cannot do.
    Skipped(String),
    /// The rule was broken, which was seen from this.
    Failed(String),
}

/// What came of all checks. `Display` gives a line for each, with the rule for those that failed.
#[derive(Clone, Debug)]
#[must_use = "it says what is wrong, and panics only if it is asked to"]
pub struct Report {
    pub(super) outcomes: Vec<(Check, Outcome)>,
}

impl Report {
    /// Every check that was run, in that order, and what came of it.
    pub fn outcomes(&self) -> &[(Check, Outcome)] {
        &self.outcomes
    }

    /// The checks that failed.
    pub fn failed(&self) -> Vec<Check> {
        self.which(|outcome| matches!(outcome, Outcome::Failed(_)))
    }

    /// The checks that the remote could not take part in. A test should say which it expects, so
    /// that nothing is left out unseen.
    pub fn skipped(&self) -> Vec<Check> {
        self.which(|outcome| matches!(outcome, Outcome::Skipped(_)))
    }

    /// Panics with the whole report if a check failed, or if others were skipped than these.
    #[track_caller]
    pub fn assert_passed_but(&self, skipped: &[Check]) {
        assert!(self.failed().is_empty(), "\n{self}");
        assert_eq!(self.skipped(), skipped, "checks that were skipped\n{self}");
    }

    fn which(&self, wanted: impl Fn(&Outcome) -> bool) -> Vec<Check> {
        let wanted = self.outcomes.iter().filter(|(_, outcome)| wanted(outcome));
        wanted.map(|(check, _)| *check).collect()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (check, outcome) in &self.outcomes {
            match outcome {
                Outcome::Passed => writeln!(f, "{check:<13} passed")?,
                Outcome::Skipped(why) => writeln!(f, "{check:<13} skipped: {why}")?,
                Outcome::Failed(seen) => {
                    writeln!(f, "{check:<13} FAILED: {seen}")?;
                    writeln!(f, "{:<13} the rule: {}", "", check.rule())?;
                }
            }
        }
        Ok(())
    }
}
