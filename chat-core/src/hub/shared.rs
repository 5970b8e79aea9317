//! What a hub's handles and members share: the state behind its lock, and who waits for what.

use crate::hub::wait_list::{Bell, Ticket};
use crate::state::{Refused, State};
use crate::sync::{AtomicU64, Mutex, MutexGuard};
use crate::types::config::HubConfig;
use crate::types::errors::PublishError;
use crate::types::event::LeaveReason;
use crate::types::ids::MemberId;
use crate::types::text::sanitize;
use std::borrow::Cow;
use std::future::poll_fn;
use std::ops::Range;
use std::pin::Pin;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};
use tokio::time::timeout;

/// How many lists of waiting members there are; see [`Bell`]. Two in the models, where of three
/// members two share one.
const BELLS: usize = if cfg!(all(test, chat_loom)) { 2 } else { 16 };

pub(crate) struct Shared {
    config: HubConfig,
    /// Short and never held while anything is woken or called, so a plain mutex.
    state: Mutex<State>,
    /// Changes whenever a member may find something new.
    version: AtomicU64,
    bells: [Bell; BELLS],
    /// Changes when somebody who was waited for has moved on.
    room: AtomicU64,
    room_bell: Bell,
    /// Rung when the hub closes, for those who are not members yet; the number becomes 1.
    closing: AtomicU64,
    closing_bell: Bell,
}

impl Shared {
    pub(crate) fn new(config: HubConfig, first_seq: u64) -> Self {
        let state = State::new(&config, first_seq);
        Self {
            config,
            state: Mutex::new(state),
            version: AtomicU64::new(0),
            bells: Default::default(),
            room: AtomicU64::new(0),
            room_bell: Bell::default(),
            closing: AtomicU64::new(0),
            closing_bell: Bell::default(),
        }
    }

    pub(crate) fn config(&self) -> &HubConfig {
        &self.config
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // No foreign code runs under this lock, so whatever panicked left it whole; and a
        // member that is dropped by a panic must still be able to leave.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes whoever waits for what that has brought.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (result, events, closes, lists, room) = {
            let mut state = self.lock();
            let before = (state.position(), state.is_closed());
            let result = change(&mut state);
            let events = state.position() != before.0;
            let closes = state.is_closed() != before.1;
            if events || closes {
                self.version.fetch_add(1, SeqCst);
            }
            let lists = state.slots().min(BELLS);
            (result, events, closes, lists, self.has_room(&state))
        };
        if events || closes {
            self.bells[..lists].iter().for_each(Bell::ring);
        }
        if closes {
            self.closing.store(1, SeqCst);
            self.closing_bell.ring();
        }
        if room {
            self.room_bell.ring();
        }
        result
    }

    /// Ends a membership; gives the number before which its stream ends, if it had not ended.
    pub(crate) fn leave(&self, id: MemberId, reason: LeaveReason) -> Option<u64> {
        let (end, silently) = self.change(|state| {
            let before = state.position();
            let end = state.leave(id, reason);
            (end, state.position() == before)
        });
        if end.is_some() && silently {
            // It took no place in the log, but its own stream has ended.
            self.version.fetch_add(1, SeqCst);
            self.bell(id).ring();
        }
        end
    }

    pub(crate) fn version(&self) -> u64 {
        self.version.load(SeqCst)
    }

    pub(crate) fn bell(&self, id: MemberId) -> &Bell {
        &self.bells[id.index() % BELLS]
    }

    pub(crate) fn version_cell(&self) -> &AtomicU64 {
        &self.version
    }

    /// Somebody has moved on: tells those who wait for room, if any do and there is some.
    pub(crate) fn moved_on(&self, state: MutexGuard<'_, State>) {
        if self.has_room(&state) {
            drop(state);
            self.room_bell.ring();
        }
    }

    /// Whether to tell those who wait for room that there is some.
    fn has_room(&self, state: &State) -> bool {
        let room = state.pacing > 0 && !state.is_crowded();
        if room {
            self.room.fetch_add(1, SeqCst);
        }
        room
    }

    /// Whether the hub is open; then the waker is kept for when it closes.
    pub(crate) fn poll_open(&self, ticket: &mut Option<Ticket>, cx: &mut Context<'_>) -> bool {
        self.closing_bell.wait(ticket, cx.waker(), &self.closing, 0)
    }

    pub(crate) fn forget_open(&self, ticket: Option<Ticket>) {
        self.closing_bell.forget(ticket);
    }

    /// The text as it may be published.
    pub(crate) fn admit<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, PublishError> {
        let max = self.config.max_text;
        let text = sanitize(text);
        match text.len() {
            len if len > max => Err(PublishError::TooLong { len, max }),
            _ => Ok(text),
        }
    }

    /// Publishes texts that were admitted.
    pub(crate) fn publish<'a>(
        &self,
        id: MemberId,
        texts: impl ExactSizeIterator<Item = &'a str>,
    ) -> Result<Range<u64>, PublishError> {
        let published = self.change(|state| state.publish(id, texts));
        published.map_err(|refused| match refused {
            Refused::NotHere => PublishError::NotHere,
            Refused::Closed | Refused::Taken => PublishError::Closed,
        })
    }

    /// Waits until the hub is closed.
    pub(crate) async fn closed(&self) {
        let mut waiting = Closing {
            shared: self,
            ticket: None,
        };
        poll_fn(|cx| match self.poll_open(&mut waiting.ticket, cx) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
    }

    /// What to wait for if members are about to be overrun, as far as they deserve it.
    /// Seldom, so in a box: a session that never waits holds no room for it.
    pub(crate) fn pace(&self) -> Option<Pin<Box<impl Future<Output = ()>>>> {
        if self.config.patience.is_zero() || !self.lock().is_crowded() {
            return None;
        }
        Some(Box::pin(async {
            let mut waiting = Pacing::new(self);
            if timeout(self.config.patience, waiting.room()).await.is_err() {
                self.lock().give_up_on_the_slow();
            }
        }))
    }
}

/// Somebody who waits for the hub to close.
struct Closing<'a> {
    shared: &'a Shared,
    ticket: Option<Ticket>,
}

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        self.shared.forget_open(self.ticket.take());
    }
}

/// Somebody who waits for room in the log.
struct Pacing<'a> {
    shared: &'a Shared,
    ticket: Option<Ticket>,
}

impl<'a> Pacing<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.lock().pacing += 1;
        Self {
            shared,
            ticket: None,
        }
    }

    async fn room(&mut self) {
        let shared = self.shared;
        poll_fn(|cx| {
            loop {
                let seen = shared.room.load(SeqCst);
                if !shared.lock().is_crowded() {
                    return Poll::Ready(());
                }
                if shared
                    .room_bell
                    .wait(&mut self.ticket, cx.waker(), &shared.room, seen)
                {
                    return Poll::Pending;
                }
            }
        })
        .await;
    }
}

impl Drop for Pacing<'_> {
    fn drop(&mut self) {
        self.shared.lock().pacing -= 1;
        self.shared.room_bell.forget(self.ticket.take());
    }
}
