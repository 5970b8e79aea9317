//! Polls the two halves of a session and its timer, in one task.

use super::deadlines::{Deadlines, Verdict};
use crate::hub::Hub;
use crate::peer::config::SessionConfig;
use crate::peer::shared::SessionShared;
use crate::peer::shutdown::Registration;
use crate::sync::AtomicBool;
use crate::types::event::LeaveReason;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll, Wake, Waker};
use tokio::time::Sleep;

/// Runs both halves to their end and returns the reason, unless the shared state has an earlier one.
///
/// The receiving half and the timer register the cold waker, which goes by way of the shared state, and
/// are polled only when it was woken. The delivering half is polled at every wake-up: most come
/// from the hub and are for this half. While its peer accepts no more bytes, it has a waker of its
/// own instead, because each attempt would copy what is to be delivered.
#[repr(C)]
pub(crate) struct Driver {
    /// Set while the peer accepts no more bytes.
    blocked: Option<Arc<WriteReadiness>>,
    received: bool,
    delivered: bool,
    ending: LeaveReason,
    deadlines: Deadlines,
    shutdown: Option<Registration>,
}

impl Driver {
    pub(crate) fn new(config: SessionConfig, shared: &Arc<SessionShared>) -> Self {
        let cold = Waker::from(shared.clone());
        Self {
            blocked: None,
            received: false,
            delivered: false,
            ending: LeaveReason::Left,
            deadlines: Deadlines::new(&config),
            shutdown: config.shutdown.map(|all| Registration::new(all, &cold)),
        }
    }

    /// Whether the shutdown of this session was triggered.
    pub(crate) fn is_shut_down(&self) -> bool {
        self.shutdown
            .as_ref()
            .is_some_and(Registration::is_triggered)
    }

    pub(crate) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        hub: &Hub,
        shared: &Arc<SessionShared>,
        (mut receiving, mut delivering): (
            Pin<&mut impl Future<Output = io::Result<()>>>,
            Pin<&mut impl Future<Output = io::Result<()>>>,
        ),
        mut timer: Pin<&mut Sleep>,
    ) -> Poll<LeaveReason> {
        shared.register_task(cx.waker());
        // Made for each poll, so that an idle session has no room for it.
        let cold = Waker::from(shared.clone());
        let mut cold = Context::from_waker(&cold);
        let mut left = false;
        loop {
            let woken = shared.take_woken();
            if woken && self.is_shut_down() && !shared.has_ended() {
                shared.leave_with(hub, LeaveReason::Closed, None);
            }
            if woken
                && !self.received
                && let Poll::Ready(ended) = receiving.as_mut().poll(&mut cold)
            {
                self.received = true;
                if let Err(error) = ended {
                    tracing::debug!(%error, "receiving failed");
                    return Poll::Ready(LeaveReason::Lost);
                }
            }
            let blocked = self.blocked.as_ref().is_some_and(|write| !write.is_ready());
            if !self.delivered && !blocked {
                let mut ended = delivering.as_mut().poll(cx);
                self.blocked = None;
                if ended.is_pending() && shared.is_delivering() {
                    let readiness = Arc::new(WriteReadiness::new(shared.clone()));
                    let waker = Waker::from(readiness.clone());
                    ended = delivering.as_mut().poll(&mut Context::from_waker(&waker));
                    // The peer may have accepted bytes since, so that this waits for the hub.
                    let blocked = ended.is_pending() && shared.is_delivering();
                    self.blocked = blocked.then_some(readiness);
                }
                if let Poll::Ready(ended) = ended {
                    self.delivered = true;
                    if let Err(error) = ended {
                        // Input of the peer may still be on its way.
                        tracing::debug!(%error, "delivering failed");
                        self.ending = LeaveReason::Lost;
                    }
                    self.deadlines.linger();
                }
            }
            if self.received && self.delivered {
                return Poll::Ready(self.ending);
            }
            // After the halves: what they have done counts even if the process was suspended.
            if woken | left | self.deadlines.watch_progress(shared) {
                match self.deadlines.poll(hub, shared, timer.as_mut(), &mut cold) {
                    Verdict::Continue => {}
                    Verdict::Left => {
                        left = true;
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

/// The waker of a delivering half whose peer accepts no more bytes.
struct WriteReadiness {
    shared: Arc<SessionShared>,
    ready: AtomicBool,
}

impl WriteReadiness {
    fn new(shared: Arc<SessionShared>) -> Self {
        Self {
            shared,
            ready: AtomicBool::new(false),
        }
    }

    fn is_ready(&self) -> bool {
        self.ready.load(SeqCst)
    }
}

impl Wake for WriteReadiness {
    fn wake(self: Arc<Self>) {
        self.ready.store(true, SeqCst);
        self.shared.wake_task();
    }
}
