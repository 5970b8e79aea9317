//! How long the client stays after its own last word.

use std::time::{Duration, Instant};

/// The default: so much silence means that the server has nothing more to say.
const QUIET: Duration = Duration::from_secs(5);

/// When to leave a server that does not close. Has no clock of its own: callers tell the time.
#[derive(Debug)]
pub(crate) struct Linger {
    limit: Duration,
    /// Each thing heard starts the limit anew.
    renewed: bool,
    /// None before the input ended, and for a limit beyond what the clock can tell.
    deadline: Option<Instant>,
}

impl Linger {
    /// At most `limit` after the end of the input; without one, until the server is quiet for 5 s.
    pub(crate) fn new(limit: Option<Duration>) -> Self {
        Self {
            limit: limit.unwrap_or(QUIET),
            renewed: limit.is_none(),
            deadline: None,
        }
    }

    pub(crate) fn input_ended(&mut self, now: Instant) {
        self.deadline = now.checked_add(self.limit);
    }

    pub(crate) fn heard(&mut self, now: Instant) {
        if self.renewed && self.deadline.is_some() {
            self.deadline = now.checked_add(self.limit);
        }
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn while_input_goes_on_nothing_ends_it() {
        let mut linger = Linger::new(None);
        linger.heard(Instant::now());
        assert_eq!(linger.deadline(), None);
    }

    #[test]
    fn by_default_each_thing_heard_starts_five_seconds_anew() {
        let start = Instant::now();
        let mut linger = Linger::new(None);
        linger.input_ended(start);
        assert_eq!(linger.deadline(), Some(start + 5 * SECOND));
        linger.heard(start + 4 * SECOND);
        assert_eq!(linger.deadline(), Some(start + 9 * SECOND));
    }

    #[test]
    fn a_given_limit_holds_whatever_is_heard() {
        let start = Instant::now();
        let mut linger = Linger::new(Some(2 * SECOND));
        linger.input_ended(start);
        linger.heard(start + SECOND);
        assert_eq!(linger.deadline(), Some(start + 2 * SECOND));
    }

    #[test]
    fn a_limit_beyond_the_clock_is_none() {
        let mut linger = Linger::new(Some(Duration::MAX));
        linger.input_ended(Instant::now());
        assert_eq!(linger.deadline(), None);
    }
}
