//! Drives the two halves of a session, and its one timer, in one task.

use super::desk::Desk;
use super::{Naming, SessionConfig, notices};
use crate::event::LeaveReason;
use crate::hub::Hub;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::time::{Instant, Sleep, sleep_until};

/// The timer when there is nothing to wait for.
const NEVER: Duration = Duration::from_secs(30 * 365 * 86_400);

/// Runs both halves to their end, each polled only when it was woken: the one that delivers by
/// the hub and its connection, the one that receives and the timer by way of the desk. Gives
/// the reason for the end, unless the desk has an earlier one.
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
    let (mut received, mut delivered) = (false, false);
    let reason = poll_fn(|cx| {
        desk.set_waker(cx);
        if desk.answer() {
            let mut cx = Context::from_waker(&waker);
            if !received && let Poll::Ready(ended) = receiving.as_mut().poll(&mut cx) {
                received = true;
                if let Err(error) = ended {
                    tracing::debug!(%error, "receiving failed");
                    return Poll::Ready(LeaveReason::Lost);
                }
            }
            if let Poll::Ready(reason) = limits.poll(timer.as_mut(), &mut cx) {
                return Poll::Ready(reason);
            }
        }
        if !delivered && let Poll::Ready(ended) = delivering.as_mut().poll(cx) {
            delivered = true;
            if let Err(error) = ended {
                tracing::debug!(%error, "delivering failed");
                return Poll::Ready(LeaveReason::Lost);
            }
            limits.linger();
        }
        if received && delivered {
            return Poll::Ready(LeaveReason::Left);
        }
        if limits.watch_progress() {
            let mut cx = Context::from_waker(&waker);
            return limits.poll(timer.as_mut(), &mut cx);
        }
        Poll::Pending
    })
    .await;
    desk.clear_waker();
    reason
}

/// What a peer has time for. One timer serves all limits: it is armed for the next of them and
/// armed again when it finds that the peer has done something meanwhile.
struct Limits<'a> {
    hub: &'a Hub,
    config: &'a SessionConfig,
    desk: &'a Desk,
    opened: Instant,
    /// Since when the peer has taken nothing of what is being delivered, and what it had taken.
    stuck: Option<(Instant, u64)>,
    /// Until when input is ignored, after everything was delivered.
    lingers: Option<Instant>,
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

    /// Everything was delivered.
    fn linger(&mut self) {
        self.stuck = None;
        self.lingers = Some(Instant::now() + self.config.linger);
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
            .and_then(|(since, _)| since.checked_add(self.config.stall_timeout))
    }

    /// Applies the limits that are reached and arms the timer for the next. Ready when the
    /// session is to end at once.
    fn poll(&mut self, mut timer: Pin<&mut Sleep>, cx: &mut Context<'_>) -> Poll<LeaveReason> {
        loop {
            let now = Instant::now();
            let over = |limit: Option<Instant>| limit.is_some_and(|limit| limit <= now);
            if over(self.lingers) {
                return Poll::Ready(LeaveReason::Left);
            }
            if over(self.stalls()) {
                return Poll::Ready(LeaveReason::Stalled);
            }
            let (answers, talks) = self.patience();
            if over(answers) {
                self.let_go(
                    LeaveReason::Nameless,
                    notices::nameless(self.config.name_timeout),
                );
            } else if over(talks) {
                let limit = self.config.idle_timeout.unwrap_or_default();
                self.let_go(LeaveReason::Idle, notices::idle(limit));
            }
            let (answers, talks) = self.patience();
            let limits = [self.lingers, self.stalls(), answers, talks];
            let next = limits.into_iter().flatten().min().unwrap_or(now + NEVER);
            if self.armed != Some(next) {
                self.armed = Some(next);
                timer.as_mut().reset(next);
            }
            // It is armed and has the waker, or has already run out.
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.armed = None;
        }
    }

    /// Until when the peer has to answer the question for its name, or to say something.
    fn patience(&self) -> (Option<Instant>, Option<Instant>) {
        let papers = self.desk.lock();
        if papers.ended.is_some() {
            return (None, None);
        }
        match papers.id {
            None if self.config.naming == Naming::Ask => {
                (self.opened.checked_add(self.config.name_timeout), None)
            }
            None => (None, None),
            Some(_) => {
                let idle = self.config.idle_timeout;
                (
                    None,
                    idle.and_then(|limit| papers.last_line.checked_add(limit)),
                )
            }
        }
    }

    fn let_go(&self, reason: LeaveReason, goodbye: String) {
        self.desk.lock().goodbye = Some(goodbye);
        self.desk.leave(self.hub, reason);
    }
}
