//! The time limits of a session.

use crate::hub::Hub;
use crate::peer::config::SessionConfig;
use crate::peer::rate::later;
use crate::peer::shared::SessionShared;
use crate::protocol::lines;
use crate::types::event::LeaveReason;
use std::future::Future;
use std::pin::Pin;
use std::task::Context;
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// A deadline that is noticed this late was missed while the process was suspended.
const MAX_LATENESS: Duration = Duration::from_millis(2);

/// The consequence of a check of the deadlines.
pub(super) enum Verdict {
    Continue,
    /// The member has left, and there are last words to deliver.
    Left,
    /// The session ends at once, because the time to linger is over.
    Lingered,
    /// The session ends at once, because its peer takes nothing.
    Stalled,
}

/// The deadlines of a session. One timer serves them all. It is set to the earliest, and set
/// again when it fires and the peer has been active meanwhile.
#[repr(C)]
pub(super) struct Deadlines {
    delivery: Delivery,
    /// The time that the timer is set to, or an earlier one.
    armed: Option<Instant>,
    /// Whether a deadline was noticed so late that the process must have been suspended.
    late: bool,
    idle_timeout: Timeout,
    stall_timeout: Timeout,
    name_timeout: Timeout,
    linger: Timeout,
}

/// A time limit in milliseconds, in a quarter of the size of a `Duration`. The greatest number, 49
/// days, is none.
#[derive(Clone, Copy)]
struct Timeout(u32);

impl Timeout {
    fn duration(self) -> Duration {
        match self.0 {
            u32::MAX => Duration::MAX,
            millis => Duration::from_millis(millis.into()),
        }
    }

    /// The deadline of what began at `start`, if there is a limit.
    fn deadline(self, start: Instant) -> Option<Instant> {
        let limit = Some(self.duration()).filter(|limit| *limit < Duration::MAX)?;
        Some(later(start, limit))
    }
}

impl From<Duration> for Timeout {
    fn from(duration: Duration) -> Self {
        let millis = duration.as_nanos().div_ceil(1_000_000);
        Self(u32::try_from(millis).unwrap_or(u32::MAX))
    }
}

/// How far the delivery to the peer is.
enum Delivery {
    /// The peer has taken everything.
    Current,
    /// The peer has taken `taken` bytes in all, and nothing of the rest since this time.
    Stalled { since: Instant, taken: u64 },
    /// Nothing more is delivered. Input is discarded until this time.
    Over { lingers: Instant },
}

impl Deadlines {
    pub(super) fn new(config: &SessionConfig) -> Self {
        Self {
            delivery: Delivery::Current,
            armed: None,
            late: false,
            idle_timeout: config.idle_timeout.unwrap_or(Duration::MAX).into(),
            stall_timeout: config.stall_timeout.into(),
            name_timeout: config.name_timeout.into(),
            linger: config.linger.into(),
        }
    }

    /// Starts lingering: nothing more is delivered.
    pub(super) fn linger(&mut self) {
        let lingers = later(Instant::now(), self.linger.duration());
        self.delivery = Delivery::Over { lingers };
    }

    /// Notes, after the delivering half was polled, whether its peer makes progress. Returns
    /// whether the timer must be set to an earlier time.
    pub(super) fn watch_progress(&mut self, shared: &SessionShared) -> bool {
        match self.delivery {
            Delivery::Over { lingers } => return self.is_earlier(Some(lingers)),
            // A peer that keeps up costs no look at the clock.
            _ if !shared.is_delivering() => {
                self.delivery = Delivery::Current;
                return false;
            }
            Delivery::Stalled { taken, .. } if taken == shared.taken() => return false,
            _ => {}
        }
        self.delivery = Delivery::Stalled {
            since: Instant::now(),
            taken: shared.taken(),
        };
        self.is_earlier(self.stalls())
    }

    fn is_earlier(&self, deadline: Option<Instant>) -> bool {
        deadline.is_some_and(|deadline| self.armed.is_none_or(|armed| deadline < armed))
    }

    fn stalls(&self) -> Option<Instant> {
        match self.delivery {
            Delivery::Stalled { since, .. } => self.stall_timeout.deadline(since),
            _ => None,
        }
    }

    fn lingers(&self) -> Option<Instant> {
        match self.delivery {
            Delivery::Over { lingers } => Some(lingers),
            _ => None,
        }
    }

    /// Acts on the deadlines that have passed, and sets the timer to the next.
    pub(super) fn poll(
        &mut self,
        hub: &Hub,
        shared: &SessionShared,
        mut timer: Pin<&mut Sleep>,
        cx: &mut Context<'_>,
    ) -> Verdict {
        loop {
            let now = Instant::now();
            self.armed = self.armed.filter(|armed| *armed > now);
            let over = |deadline: Option<Instant>| deadline.is_some_and(|at| at <= now);
            let (names_itself, talks) = self.of_member(shared);
            if over(self.lingers()) {
                return Verdict::Lingered;
            }
            let late =
                |deadline: Option<Instant>| deadline.is_some_and(|at| at + MAX_LATENESS <= now);
            if !late(self.stalls()) && !late(names_itself) && !late(talks) {
                self.late = false;
            } else if !std::mem::replace(&mut self.late, true) {
                // The runtime may not have polled for I/O since the process was resumed, but its
                // timers have fired. Let it find what the peer has done meanwhile.
                self.armed = Some(now + MAX_LATENESS);
                timer.as_mut().reset(now + MAX_LATENESS);
                if timer.as_mut().poll(cx).is_pending() {
                    return Verdict::Continue;
                }
            }
            if over(self.stalls()) {
                return Verdict::Stalled;
            }
            if over(names_itself) {
                let goodbye = lines::nameless(self.name_timeout.duration());
                shared.leave_with(hub, LeaveReason::Nameless, Some(goodbye));
                return Verdict::Left;
            }
            if over(talks) {
                let goodbye = lines::idle(self.idle_timeout.duration());
                shared.leave_with(hub, LeaveReason::Idle, Some(goodbye));
                return Verdict::Left;
            }
            let deadlines = [self.lingers(), self.stalls(), names_itself, talks];
            let next = deadlines.into_iter().flatten().min();
            if let Some(next) = next.filter(|_| self.is_earlier(next)) {
                self.armed = Some(next);
                timer.as_mut().reset(next);
            }
            // Without a deadline, the timer is not polled.
            if self.armed.is_none() || timer.as_mut().poll(cx).is_pending() {
                return Verdict::Continue;
            }
            self.armed = None;
        }
    }

    /// The times by which the peer must have answered the question for its name, and by which it
    /// must have sent a line.
    fn of_member(&self, shared: &SessionShared) -> (Option<Instant>, Option<Instant>) {
        let state = shared.lock();
        if state.ended.is_some() {
            return (None, None);
        }
        match state.has_joined() {
            false => (self.name_timeout.deadline(state.last_line), None),
            true => (None, self.idle_timeout.deadline(state.last_line)),
        }
    }
}
