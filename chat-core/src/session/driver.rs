//! Drives the two halves of a session, and its one timer, in one task.

use crate::hub::Hub;
use crate::peer::config::SessionConfig;
use crate::peer::rate::later;
use crate::peer::shared::Desk;
use crate::protocol::lines as notices;
use crate::sync::AtomicBool;
use crate::types::event::LeaveReason;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// A timer that runs out so much later than it was to has run out while the process stood still.
const LATE: Duration = Duration::from_millis(2);

/// Runs both halves to their end and gives the reason, unless the desk has an earlier one.
///
/// The receiving half and the timer are polled when they were woken, by way of the desk. The
/// delivering half is polled at every wake-up, most of which are the hub's and for it; only while
/// its peer does not take what it is given does it have a waker of its own, as each attempt would
/// copy what is to be delivered.
#[repr(C)]
pub(crate) struct Driver {
    /// The session's task, as the desk knows it.
    task: Waker,
    room: Option<Arc<Room>>,
    received: bool,
    delivered: bool,
    ending: LeaveReason,
    limits: Limits,
    /// Wakes the receiving half or the timer.
    cold: Waker,
}

impl Driver {
    pub(crate) fn new(config: &SessionConfig, desk: &Arc<Desk>) -> Self {
        Self {
            task: Waker::noop().clone(),
            cold: Waker::from(desk.clone()),
            room: None,
            received: false,
            delivered: false,
            ending: LeaveReason::Left,
            limits: Limits::new(config),
        }
    }

    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        hub: &Hub,
        desk: &Arc<Desk>,
        (mut receiving, mut delivering): (
            Pin<&mut impl Future<Output = io::Result<()>>>,
            Pin<&mut impl Future<Output = io::Result<()>>>,
        ),
        mut timer: Pin<&mut Sleep>,
    ) -> Poll<LeaveReason> {
        if !self.task.will_wake(cx.waker()) {
            self.task = cx.waker().clone();
            desk.set_waker(self.task.clone());
        }
        let mut let_go = false;
        loop {
            let answered = desk.answer();
            let mut cold = Context::from_waker(&self.cold);
            if answered
                && !self.received
                && let Poll::Ready(ended) = receiving.as_mut().poll(&mut cold)
            {
                self.received = true;
                if let Err(error) = ended {
                    tracing::debug!(%error, "receiving failed");
                    return Poll::Ready(LeaveReason::Lost);
                }
            }
            // Nothing to try before there is room.
            let stuck = self.room.as_ref().is_some_and(|room| !room.is_there());
            if !self.delivered && !stuck {
                let mut ended = delivering.as_mut().poll(cx);
                self.room = None;
                if ended.is_pending() && desk.is_delivering() {
                    let new = Arc::new(Room::new(desk.clone()));
                    let waker = Waker::from(new.clone());
                    ended = delivering.as_mut().poll(&mut Context::from_waker(&waker));
                    self.room = ended.is_pending().then_some(new);
                }
                if let Poll::Ready(ended) = ended {
                    self.delivered = true;
                    if let Err(error) = ended {
                        // What the peer has sent may still be on its way.
                        tracing::debug!(%error, "delivering failed");
                        self.ending = LeaveReason::Lost;
                    }
                    self.limits.linger();
                }
            }
            if self.received && self.delivered {
                return Poll::Ready(self.ending);
            }
            // After the halves: what they have done counts, also when everything stood still.
            if answered | let_go | self.limits.watch_progress(desk) {
                match self.limits.poll(hub, desk, timer.as_mut(), &mut cold) {
                    Verdict::GoOn => {}
                    Verdict::LetGo => {
                        let_go = true;
                        continue;
                    }
                    Verdict::Lingered => return Poll::Ready(self.ending),
                    Verdict::Stalled => return Poll::Ready(LeaveReason::Stalled),
                }
            }
            return Poll::Pending;
        }
    }
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
#[repr(C)]
struct Limits {
    /// Since when the peer has taken nothing of what is being delivered, and what it had taken.
    stuck: Option<(Instant, u64)>,
    /// Until when input is ignored, after everything was delivered.
    lingers: Option<Instant>,
    /// What the timer is set to, or an earlier time.
    armed: Option<Instant>,
    /// A limit was found over so late that the process must have stood still.
    doubted: bool,
    config: SessionConfig,
}

impl Limits {
    fn new(config: &SessionConfig) -> Self {
        Self {
            config: config.clone(),
            stuck: None,
            lingers: None,
            armed: None,
            doubted: false,
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
    fn watch_progress(&mut self, desk: &Desk) -> bool {
        if self.lingers.is_some() {
            return self.is_earlier(self.lingers);
        }
        if !desk.is_delivering() {
            // The clock is not even looked at for a peer that keeps up.
            self.stuck = None;
            return false;
        }
        let taken = desk.taken();
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
    fn poll(
        &mut self,
        hub: &Hub,
        desk: &Desk,
        mut timer: Pin<&mut Sleep>,
        cx: &mut Context<'_>,
    ) -> Verdict {
        loop {
            let now = Instant::now();
            // What has run out is no longer armed.
            self.armed = self.armed.filter(|armed| *armed > now);
            let over = |limit: Option<Instant>| limit.is_some_and(|limit| limit <= now);
            let (names_itself, talks) = self.deadlines(desk);
            if over(self.lingers) {
                return Verdict::Lingered;
            }
            let late = |limit: Option<Instant>| limit.is_some_and(|limit| limit + LATE <= now);
            if !late(self.stalls()) && !late(names_itself) && !late(talks) {
                self.doubted = false;
            } else if !std::mem::replace(&mut self.doubted, true) {
                // The runtime may not know yet what has come meanwhile: when a stopped process goes
                // on, its wait for I/O is interrupted, and its timers are over.
                self.armed = Some(now + LATE);
                timer.as_mut().reset(now + LATE);
                if timer.as_mut().poll(cx).is_pending() {
                    return Verdict::GoOn;
                }
            }
            if over(self.stalls()) {
                return Verdict::Stalled;
            }
            if over(names_itself) {
                let limit = self.config.name_timeout;
                return let_go(hub, desk, LeaveReason::Nameless, notices::nameless(limit));
            }
            if over(talks) {
                let limit = self.config.idle_timeout.unwrap_or_default();
                return let_go(hub, desk, LeaveReason::Idle, notices::idle(limit));
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
    fn deadlines(&self, desk: &Desk) -> (Option<Instant>, Option<Instant>) {
        let papers = desk.lock();
        if papers.ended.is_some() {
            return (None, None);
        }
        match papers.id {
            None => (
                Some(later(papers.last_line, self.config.name_timeout)),
                None,
            ),
            Some(_) => {
                let idle = self.config.idle_timeout;
                (None, idle.map(|limit| later(papers.last_line, limit)))
            }
        }
    }
}

fn let_go(hub: &Hub, desk: &Desk, reason: LeaveReason, goodbye: String) -> Verdict {
    desk.leave_saying(hub, reason, Some(goodbye));
    Verdict::LetGo
}
