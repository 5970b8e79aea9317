//! The time that the client stays after the end of its input.

use std::time::{Duration, Instant};

/// Without `-q`, a silence of this length ends a session whose input has ended.
const SILENCE: Duration = Duration::from_secs(5);
/// A shorter limit would take a busy server for one that has stopped reading.
const SHORTEST_STALL: Duration = Duration::from_secs(1);

/// `-q`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Limit {
    /// The server ends the session, however late.
    Off,
    /// The session ends after this time.
    After(Duration),
}

/// Decides when to leave a server that does not close. Has no clock of its own.
#[derive(Debug)]
pub(crate) struct Linger {
    limit: Option<Limit>,
    last_heard: Instant,
    /// None before the end of the input, without a limit, and beyond the range of the clock.
    deadline: Option<Instant>,
    /// The end, if the input does not end before.
    latest: Option<Instant>,
}

impl Linger {
    pub(crate) fn new(limit: Option<Limit>, now: Instant) -> Self {
        Self {
            limit,
            last_heard: now,
            deadline: None,
            latest: None,
        }
    }

    /// The input has ended.
    pub(crate) fn input_ended(&mut self, now: Instant) {
        self.latest = None;
        let time = match self.limit {
            Some(Limit::Off) => return,
            Some(Limit::After(time)) => time,
            None => SILENCE,
        };
        self.deadline = now.checked_add(time);
    }

    /// The server has sent something.
    pub(crate) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
        if self.limit.is_none() && self.deadline.is_some() {
            self.deadline = now.checked_add(SILENCE);
        }
    }

    /// Ends the session after `time` unless the input has ended by then.
    pub(crate) fn shorten(&mut self, now: Instant, time: Duration) {
        self.latest = now.checked_add(time);
    }

    /// The end of the session, unless the server closes before.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline.or(self.latest)
    }

    /// The time after which a server counts as stalled if it reads and sends nothing.
    pub(crate) fn stall_limit(&self) -> Option<Duration> {
        match self.limit? {
            Limit::Off => None,
            Limit::After(time) => Some(time.max(SHORTEST_STALL)),
        }
    }

    /// The write timeout of the connection: a blocked write returns as often, as its system calls
    /// report progress too late.
    pub(crate) fn write_timeout(&self) -> Option<Duration> {
        Some(self.stall_limit()? / 8)
    }

    /// Whether the server has stalled, if it has read nothing for `time`.
    pub(crate) fn is_stalled(&self, time: Duration, now: Instant) -> bool {
        let silence = now.saturating_duration_since(self.last_heard);
        self.stall_limit()
            .is_some_and(|limit| time.min(silence) >= limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn linger(limit: Option<Limit>) -> (Linger, Instant) {
        let start = Instant::now();
        (Linger::new(limit, start), start)
    }

    mod deadline {
        use super::*;

        #[test]
        fn needs_end_of_input() {
            let (mut linger, start) = linger(None);
            linger.heard(start);
            assert_eq!(linger.deadline(), None);
        }

        #[test]
        fn default_renews_with_output() {
            let (mut linger, start) = linger(None);
            linger.input_ended(start);
            assert_eq!(linger.deadline(), Some(start + 5 * SECOND));
            linger.heard(start + 4 * SECOND);
            assert_eq!(linger.deadline(), Some(start + 9 * SECOND));
        }

        #[test]
        fn limit_is_not_renewed() {
            let (mut linger, start) = linger(Some(Limit::After(2 * SECOND)));
            linger.input_ended(start);
            linger.heard(start + SECOND);
            assert_eq!(linger.deadline(), Some(start + 2 * SECOND));
        }

        #[test]
        fn off_is_none() {
            let (mut linger, start) = linger(Some(Limit::Off));
            linger.input_ended(start);
            linger.heard(start + SECOND);
            assert_eq!(linger.deadline(), None);
        }

        #[test]
        fn beyond_clock_is_none() {
            let (mut linger, start) = linger(Some(Limit::After(Duration::MAX)));
            linger.input_ended(start);
            assert_eq!(linger.deadline(), None);
        }

        #[test]
        fn shortened_is_not_renewed() {
            let (mut linger, start) = linger(None);
            linger.shorten(start, 2 * SECOND);
            linger.heard(start + SECOND);
            assert_eq!(linger.deadline(), Some(start + 2 * SECOND));
        }

        #[test]
        fn end_of_input_outranks_shortened() {
            let (mut linger, start) = linger(None);
            linger.shorten(start, 2 * SECOND);
            linger.input_ended(start);
            assert_eq!(linger.deadline(), Some(start + 5 * SECOND));
            linger.shorten(start, 2 * SECOND);
            assert_eq!(linger.deadline(), Some(start + 5 * SECOND));
        }
    }

    mod stall {
        use super::*;

        #[test]
        fn needs_limit() {
            for limit in [None, Some(Limit::Off)] {
                let (linger, start) = linger(limit);
                assert_eq!(linger.write_timeout(), None, "{limit:?}");
                let later = start + 9 * SECOND;
                assert!(!linger.is_stalled(9 * SECOND, later), "{limit:?}");
            }
        }

        #[test]
        fn needs_silence_and_blocked_write() {
            let (mut linger, start) = linger(Some(Limit::After(2 * SECOND)));
            assert!(!linger.is_stalled(SECOND, start + 2 * SECOND));
            assert!(linger.is_stalled(2 * SECOND, start + 2 * SECOND));
            linger.heard(start + SECOND);
            assert!(!linger.is_stalled(2 * SECOND, start + 2 * SECOND));
            assert!(linger.is_stalled(3 * SECOND, start + 3 * SECOND));
        }

        #[test]
        fn takes_at_least_second() {
            let (linger, start) = linger(Some(Limit::After(Duration::ZERO)));
            assert!(!linger.is_stalled(SECOND / 2, start + SECOND / 2));
            assert!(linger.is_stalled(SECOND, start + SECOND));
            assert!(linger.write_timeout() > Some(Duration::ZERO));
        }
    }
}
