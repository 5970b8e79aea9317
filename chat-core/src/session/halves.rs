//! Drives the two halves of a session, and its one timer, in one task.

use super::desk::Desk;
use super::{SessionConfig, notices};
use crate::event::LeaveReason;
use crate::hub::Hub;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// Longer than any program runs.
const NEVER: Duration = Duration::from_secs(30 * 365 * 86_400);

/// Runs both halves to their end and gives the reason, unless the desk has an earlier one.
///
/// The receiving half and the timer are polled when they were woken, by way of the desk. The
/// delivering half is polled at every wake-up, most of which are the hub's and for it; only while
/// its peer does not take what it is given does it have a waker of its own, as each attempt would
/// copy what is to be delivered.
pub(crate) async fn drive(
    hub: &Hub,
    config: &SessionConfig,
    desk: &Arc<Desk>,
    mut receiving: Pin<&mut impl Future<Output = io::Result<()>>>,
    mut delivering: Pin<&mut impl Future<Output = io::Result<()>>>,
) -> LeaveReason {
    let waker = Waker::from(desk.clone());
    let mut timer = pin!(sleep_until(Instant::now()));
    let mut limits = Limits::new(hub, config, desk);
    let mut room: Option<Arc<Room>> = None;
    let (mut received, mut delivered) = (false, false);
    let mut ending = LeaveReason::Left;
    let reason = poll_fn(|cx| {
        desk.set_waker(cx);
        let mut let_go = false;
        loop {
            let answered = desk.answer();
            let mut cold = Context::from_waker(&waker);
            if answered
                && !received
                && let Poll::Ready(ended) = receiving.as_mut().poll(&mut cold)
            {
                received = true;
                if let Err(error) = ended {
                    tracing::debug!(%error, "receiving failed");
                    return Poll::Ready(LeaveReason::Lost);
                }
            }
            // Nothing to try before there is room.
            let stuck = room.as_ref().is_some_and(|room| !room.is_there());
            if !delivered && !stuck {
                let mut ended = delivering.as_mut().poll(cx);
                room = None;
                if ended.is_pending() && desk.is_delivering() {
                    let new = Arc::new(Room::new(desk.clone()));
                    let waker = Waker::from(new.clone());
                    ended = delivering.as_mut().poll(&mut Context::from_waker(&waker));
                    room = ended.is_pending().then_some(new);
                }
                if let Poll::Ready(ended) = ended {
                    delivered = true;
                    if let Err(error) = ended {
                        // What the peer has sent may still be on its way.
                        tracing::debug!(%error, "delivering failed");
                        ending = LeaveReason::Lost;
                    }
                    limits.linger();
                }
            }
            if received && delivered {
                return Poll::Ready(ending);
            }
            // After the halves: what they have done counts, also when everything stood still.
            if answered | let_go | limits.watch_progress() {
                match limits.poll(timer.as_mut(), &mut cold) {
                    Verdict::GoOn => {}
                    Verdict::LetGo => {
                        let_go = true;
                        continue;
                    }
                    Verdict::Lingered => return Poll::Ready(ending),
                    Verdict::Stalled => return Poll::Ready(LeaveReason::Stalled),
                }
            }
            return Poll::Pending;
        }
    })
    .await;
    desk.clear_waker();
    reason
}

/// The waker of a delivering half whose peer has no room.
struct Room {
    desk: Arc<Desk>,
    there: AtomicBool,
}

impl Room {
    fn new(desk: Arc<Desk>) -> Self {
        Self {
            desk,
            there: AtomicBool::new(false),
        }
    }

    fn is_there(&self) -> bool {
        self.there.load(SeqCst)
    }
}

impl Wake for Room {
    fn wake(self: Arc<Self>) {
        self.there.store(true, SeqCst);
        self.desk.wake_task();
    }
}

/// What a look at the limits comes to.
enum Verdict {
    GoOn,
    /// The peer was let go; there are last words to deliver.
    LetGo,
    /// The session ends at once: its peer was waited for, or it takes nothing.
    Lingered,
    Stalled,
}

/// What a peer has time for. One timer serves all limits: it is armed for the next of them, and
/// armed again when it runs out and finds that the peer has done something meanwhile.
struct Limits<'a> {
    hub: &'a Hub,
    config: &'a SessionConfig,
    desk: &'a Desk,
    opened: Instant,
    /// Since when the peer has taken nothing of what is being delivered, and what it had taken.
    stuck: Option<(Instant, u64)>,
    /// Until when input is ignored, after everything was delivered.
    lingers: Option<Instant>,
    /// What the timer is set to, or an earlier time.
    armed: Option<Instant>,
}

impl<'a> Limits<'a> {
    fn new(hub: &'a Hub, config: &'a SessionConfig, desk: &'a Desk) -> Self {
        Self {
            hub,
            config,
            desk,
            opened: Instant::now(),
            stuck: None,
            lingers: None,
            armed: None,
        }
    }

    /// Nothing more is delivered.
    fn linger(&mut self) {
        self.stuck = None;
        let now = Instant::now();
        self.lingers = Some(later(now, self.config.linger));
    }

    /// Looks, after the delivering half has done what it could, whether its peer takes anything.
    /// Says whether the timer must be armed for an earlier time.
    fn watch_progress(&mut self) -> bool {
        if self.lingers.is_some() {
            return self.is_earlier(self.lingers);
        }
        if !self.desk.is_delivering() {
            // The clock is not even looked at for a peer that keeps up.
            self.stuck = None;
            return false;
        }
        let taken = self.desk.taken();
        match self.stuck {
            Some((_, before)) if before == taken => false,
            _ => {
                self.stuck = Some((Instant::now(), taken));
                self.is_earlier(self.stalls())
            }
        }
    }

    fn is_earlier(&self, limit: Option<Instant>) -> bool {
        limit.is_some_and(|limit| self.armed.is_none_or(|armed| limit < armed))
    }

    fn stalls(&self) -> Option<Instant> {
        self.stuck
            .map(|(since, _)| later(since, self.config.stall_timeout))
    }

    /// Applies the limits that are reached and arms the timer for the next.
    fn poll(&mut self, mut timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Verdict {
        loop {
            let now = Instant::now();
            // What has run out is no longer armed.
            self.armed = self.armed.filter(|armed| *armed > now);
            let over = |limit: Option<Instant>| limit.is_some_and(|limit| limit <= now);
            let (names_itself, talks) = self.deadlines();
            if over(self.lingers) {
                return Verdict::Lingered;
            }
            if over(self.stalls()) {
                return Verdict::Stalled;
            }
            if over(names_itself) {
                let limit = self.config.name_timeout;
                return self.let_go(LeaveReason::Nameless, notices::nameless(limit));
            }
            if over(talks) {
                let limit = self.config.idle_timeout.unwrap_or_default();
                return self.let_go(LeaveReason::Idle, notices::idle(limit));
            }
            let limits = [self.lingers, self.stalls(), names_itself, talks];
            let next = limits.into_iter().flatten().min();
            if let Some(next) = next.filter(|_| self.is_earlier(next)) {
                self.armed = Some(next);
                timer.as_mut().reset(next);
            }
            // Without a limit the timer is not waited for.
            if self.armed.is_none() || timer.as_mut().poll(cx).is_pending() {
                return Verdict::GoOn;
            }
            self.armed = None;
        }
    }

    /// Until when the peer has to answer the question for its name, or to say something.
    fn deadlines(&self) -> (Option<Instant>, Option<Instant>) {
        let papers = self.desk.lock();
        if papers.ended.is_some() {
            return (None, None);
        }
        match papers.id {
            None => (Some(later(self.opened, self.config.name_timeout)), None),
            Some(_) => {
                let idle = self.config.idle_timeout;
                (None, idle.map(|limit| later(papers.last_line, limit)))
            }
        }
    }

    fn let_go(&self, reason: LeaveReason, goodbye: String) -> Verdict {
        self.desk.lock().goodbye = Some(goodbye);
        self.desk.leave(self.hub, reason);
        Verdict::LetGo
    }
}

/// The time after a while, or a time that nobody lives to see.
fn later(now: Instant, wait: Duration) -> Instant {
    now.checked_add(wait).unwrap_or_else(|| now + NEVER)
}
