//! The shared part of a hub's handles: the state behind its lock, and the wait lists.

use super::clock::Clock;
use super::dispatch::Dispatchers;
use super::wait_list::{WaitKey, WaitList};
use crate::state::State;
use crate::state::command::{Command, Outcome, Refusal, TextsBuffer};
use crate::sync::{AtomicU64, Mutex, MutexGuard};
use crate::types::config::HubConfig;
use crate::types::errors::{PublishError, PublishManyError};
use crate::types::event::LeaveReason;
use crate::types::ids::{HubId, MemberId, SlotId};
use crate::types::position::Position;
use crate::types::text::{TooLong, admit, check_length, sanitize};
use crate::types::time::Timestamp;
use std::borrow::Cow;
use std::future::poll_fn;
use std::hash::{BuildHasher, RandomState};
use std::ops::Range;
use std::sync::PoisonError;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};

/// How many lists the wakers of readers are spread over; see [`WaitList`]. In the models there are
/// two, so that of three members two share one.
const WAIT_LISTS: usize = if cfg!(all(test, chat_loom)) { 2 } else { 16 };

pub(crate) struct Shared {
    config: HubConfig,
    id: HubId,
    epoch: u64,
    clock: Clock,
    /// Held briefly, and never while foreign code runs, so a plain mutex.
    state: Mutex<State>,
    /// Changes whenever a reader may find something new.
    version: AtomicU64,
    readers: [WaitList; WAIT_LISTS],
    pub(crate) dispatchers: Dispatchers,
    /// Changes when a reader that sessions wait for has moved on, or is waited for no longer.
    pub(super) room: AtomicU64,
    pub(super) pacing: WaitList,
    /// Changes when a barrier is reached.
    barriers: AtomicU64,
    at_barriers: WaitList,
    /// 1 when the hub is closed.
    closed: AtomicU64,
    closing: WaitList,
}

/// The consequences of a change of the state, for the wakers, once the lock is released.
struct News {
    events: bool,
    closes: bool,
    room: bool,
    barrier: bool,
    lists: usize,
}

impl Shared {
    pub(crate) fn new(config: HubConfig) -> Self {
        let config = config.within_bounds();
        let id = HubId::unique();
        let first = config.first.unwrap_or_else(|| Position {
            // Random, and differently so for each.
            epoch: RandomState::new().hash_one(id),
            number: 0,
        });
        Self {
            state: Mutex::new(State::new(&config, id, first)),
            config,
            id,
            epoch: first.epoch,
            clock: Clock::new(),
            version: AtomicU64::new(0),
            readers: Default::default(),
            dispatchers: Dispatchers::default(),
            room: AtomicU64::new(0),
            pacing: WaitList::default(),
            barriers: AtomicU64::new(0),
            at_barriers: WaitList::default(),
            closed: AtomicU64::new(0),
            closing: WaitList::default(),
        }
    }

    pub(crate) fn config(&self) -> &HubConfig {
        &self.config
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        // No foreign code runs under this lock, so a panic leaves the state whole; and a member
        // that a panic drops must still be able to leave.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The position of the event with this number.
    pub(crate) fn at(&self, number: u64) -> Position {
        let epoch = self.epoch;
        Position { epoch, number }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The slot of a member of this hub.
    pub(crate) fn slot(&self, id: MemberId) -> Option<SlotId> {
        (id.hub == self.id).then_some(id.slot)
    }

    pub(crate) fn member_id(&self, slot: SlotId) -> MemberId {
        MemberId { hub: self.id, slot }
    }

    pub(crate) fn apply(&self, command: Command<'_>) -> Result<Outcome, Refusal> {
        let now = self.now();
        self.change(|state| state.apply(now, command))
    }

    /// Changes the state, and wakes the tasks that wait for the result.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let (result, news, retired) = {
            let mut state = self.lock();
            let before = (state.position().number, state.is_closed());
            let result = change(&mut state);
            let news = self.news(&mut state, before);
            (result, news, state.take_retired())
        };
        self.wake(&news);
        drop(retired);
        result
    }

    fn news(&self, state: &mut State, before: (u64, bool)) -> News {
        let news = News {
            events: state.position().number != before.0,
            closes: state.is_closed() != before.1,
            room: self.has_room(state),
            barrier: state.take_barrier_reached(),
            lists: state.keys().min(WAIT_LISTS),
        };
        if news.events || news.closes {
            self.version.fetch_add(1, SeqCst);
        }
        if news.barrier || news.closes {
            self.barriers.fetch_add(1, SeqCst);
        }
        news
    }

    fn wake(&self, news: &News) {
        if news.events || news.closes {
            self.dispatchers.idle.wake_all();
            for list in &self.readers[..news.lists] {
                list.wake_all();
            }
        }
        if news.closes {
            self.closed.store(1, SeqCst);
            self.closing.wake_all();
        }
        if news.barrier || news.closes {
            self.at_barriers.wake_all();
        }
        if news.room {
            self.pacing.wake_all();
        }
    }

    /// Ends a membership, and gives the number before which its stream ends.
    pub(crate) fn leave(
        &self,
        id: SlotId,
        reason: LeaveReason,
        text: Option<&str>,
    ) -> Result<u64, Refusal> {
        let now = self.now();
        let leave = |state: &mut State| state.apply(now, Command::Leave { id, reason, text });
        Ok(self.change_of_member(id, leave)?.left())
    }

    /// Changes something for one member that need not take a place in the log.
    pub(crate) fn change_of_member<T>(
        &self,
        id: SlotId,
        change: impl FnOnce(&mut State) -> T,
    ) -> T {
        let (result, silently) = self.change(|state| {
            let before = (state.position().number, state.attention());
            let result = change(state);
            let after = (state.position().number, state.attention());
            (result, before.0 == after.0 && before.1 != after.1)
        });
        if silently {
            self.version.fetch_add(1, SeqCst);
            self.list(id.index).wake_all();
            self.dispatchers.return_to_owner(id.index);
        }
        result
    }

    /// Delivers a session's notice to its own member, after all events before number `after`, or
    /// after all there are.
    pub(crate) fn notify(&self, to: SlotId, text: &str, after: Option<u64>) {
        self.change_of_member(to, |state| {
            let after = after.unwrap_or(state.position().number);
            state.notify(to, text, after);
        });
    }

    pub(crate) fn version(&self) -> &AtomicU64 {
        &self.version
    }

    /// The list in which a reader registers: a member by its slot, a subscriber by its cursor.
    pub(crate) fn list(&self, index: u32) -> &WaitList {
        &self.readers[index as usize % WAIT_LISTS]
    }

    /// Unlocks the state after a read, and wakes the tasks that waited for it.
    #[inline]
    pub(crate) fn after_read(&self, state: MutexGuard<'_, State>) {
        if state.pacing > 0 || state.barrier_reached() {
            self.wake_after_read(state);
        }
    }

    #[cold]
    fn wake_after_read(&self, mut state: MutexGuard<'_, State>) {
        let (room, barrier) = (self.has_room(&state), state.take_barrier_reached());
        if barrier {
            self.barriers.fetch_add(1, SeqCst);
        }
        drop(state);
        if barrier {
            self.at_barriers.wake_all();
        }
        if room {
            self.pacing.wake_all();
        }
    }

    /// Whether sessions wait for slow readers, and there is room now.
    fn has_room(&self, state: &State) -> bool {
        let room = state.pacing > 0 && !state.is_crowded();
        if room {
            self.room.fetch_add(1, SeqCst);
        }
        room
    }

    /// Whether the hub is open; then the waker is registered for when it closes.
    pub(crate) fn poll_open(&self, key: &mut Option<WaitKey>, cx: &mut Context<'_>) -> bool {
        self.closing.register(key, cx.waker(), &self.closed, 0)
    }

    pub(crate) fn forget_open(&self, key: Option<WaitKey>) {
        self.closing.remove(key);
    }

    /// The text as it may be published.
    pub(crate) fn admit<'a>(&self, text: &'a str) -> Result<Cow<'a, str>, TooLong> {
        admit(text, self.config.max_text)
    }

    /// Publishes texts that were admitted, and that are at most one batch.
    pub(crate) fn publish(
        &self,
        id: SlotId,
        texts: &TextsBuffer,
    ) -> Result<Range<u64>, PublishError> {
        let texts = texts.texts();
        let published = self.apply(Command::Publish { id, texts })?;
        Ok(published.published())
    }

    /// Publishes texts in as many batches as they need.
    pub(crate) fn publish_many(
        &self,
        id: MemberId,
        texts: &[&str],
    ) -> Result<Range<u64>, PublishManyError> {
        let failed = |published| move |reason| PublishManyError { published, reason };
        let slot = self.slot(id).ok_or(PublishError::NotHere);
        let slot = slot.map_err(failed(0))?;
        // All lengths before any text is published; each text is sanitised once, below.
        let max = self.config.max_text;
        let fits = texts.iter().try_for_each(|text| check_length(text, max));
        fits.map_err(|too_long| failed(0)(too_long.into()))?;
        let mut first = None;
        let (mut buffer, mut published) = (TextsBuffer::default(), 0);
        let mut rest = texts.iter().peekable();
        loop {
            while let Some(text) = rest.next_if(|text| !buffer.is_full_for(text.len())) {
                buffer.push(&sanitize(text));
            }
            let batch = self.publish(slot, &buffer).map_err(failed(published))?;
            published += buffer.len();
            buffer.clear();
            let first = *first.get_or_insert(batch.start);
            if rest.peek().is_none() {
                return Ok(first..batch.end);
            }
        }
    }

    /// Waits until the hub is closed.
    pub(crate) async fn closed(&self) {
        let mut waiting = Registered::new(&self.closing);
        poll_fn(|cx| match self.poll_open(&mut waiting.key, cx) {
            true => Poll::Pending,
            false => Poll::Ready(()),
        })
        .await;
    }

    /// Waits until `done` gives something, which it is asked whenever a barrier is reached.
    pub(crate) async fn at_barrier<T>(&self, mut done: impl FnMut(&mut State) -> Option<T>) -> T {
        let mut waiting = Registered::new(&self.at_barriers);
        poll_fn(|cx| {
            loop {
                let seen = self.barriers.load(SeqCst);
                if let Some(result) = done(&mut self.lock()) {
                    return Poll::Ready(result);
                }
                let (key, waker) = (&mut waiting.key, cx.waker());
                if self.at_barriers.register(key, waker, &self.barriers, seen) {
                    return Poll::Pending;
                }
            }
        })
        .await
    }
}

/// A waker's registration, which ends with this.
pub(super) struct Registered<'a> {
    list: &'a WaitList,
    pub(super) key: Option<WaitKey>,
}

impl<'a> Registered<'a> {
    pub(super) fn new(list: &'a WaitList) -> Self {
        Self { list, key: None }
    }
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.list.remove(self.key.take());
    }
}
