//! The task that delivers to the readers of one shard.

use super::shard::{Parking, Shard, Taken};
use super::{Offered, ParkedReader, ParkingPlace};
use crate::buffer;
use crate::hub::handle::Hub;
use crate::hub::shared::Shared;
use crate::hub::subscriber::BATCH_BYTES;
use crate::hub::wait_list::WaitKey;
#[cfg(all(test, chat_loom))]
use crate::models::spawn_dispatcher as spawn;
use crate::state::State;
use crate::state::parked::Due;
use std::future::poll_fn;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::Duration;
use tokio::task::yield_now;
use tokio::time::Instant;

/// How many readers a dispatcher serves before it yields to other tasks. In the models, so few that
/// a round has several turns.
pub(super) const READERS_PER_TURN: usize = if cfg!(all(test, chat_loom)) { 1 } else { 64 };

/// The time after which it yields even if it has served fewer.
const TURN: Duration = Duration::from_millis(1);

/// How many readers it serves between two looks at the clock.
const READERS_PER_LOOK: usize = 8;

/// Serves the readers of a shard in turn, as long as the hub exists.
///
/// Each turn serves some of them with everything that the log has for them by then. So a reader
/// that waited for its turn receives what was published meanwhile, too.
pub(super) struct Dispatcher {
    /// Weak, because parked readers keep their hub, and nothing else of a dispatcher needs it.
    hub: Weak<Shared>,
    shard: Arc<Shard>,
    /// The place where the next turn begins.
    next: usize,
    /// How many places have to be looked at, until all readers have what was published by `head`.
    rest: usize,
    head: u64,
    closed: bool,
    /// Whether the readers of the last turn were given less than there was, or something was
    /// published after their places were looked at.
    is_behind: bool,
    /// The hub's version at the last turn.
    seen: u64,
    /// The readers of one turn.
    readers: Vec<Taken>,
    /// Its place among the wakers of dispatchers.
    key: Option<WaitKey>,
}

impl ParkingPlace {
    /// Parks a reader, and starts its dispatcher if it is the first. Gives the reader back if no
    /// dispatcher can take it.
    pub(crate) fn park(
        &self,
        hub: &Hub,
        reader: Box<dyn ParkedReader>,
    ) -> Result<(), Box<dyn ParkedReader>> {
        match self.shard.park(self.at, reader) {
            Parking::Refused(reader) => return Err(reader),
            Parking::Parked { start: false } => {}
            Parking::Parked { start: true } => {
                spawn(Dispatcher::new(hub, self.shard.clone()).run());
            }
        }
        Ok(())
    }
}

#[cfg(not(all(test, chat_loom)))]
fn spawn(dispatcher: impl Future<Output = ()> + Send + 'static) {
    // It yields on its own account, after as many readers as are worth it.
    tokio::spawn(tokio::task::unconstrained(dispatcher));
}

impl Dispatcher {
    pub(super) fn new(hub: &Hub, shard: Arc<Shard>) -> Self {
        Self {
            hub: Arc::downgrade(&hub.shared),
            shard,
            next: 0,
            rest: 0,
            head: 0,
            closed: false,
            is_behind: false,
            // No version of a hub: there may be something to do.
            seen: u64::MAX,
            readers: Vec::new(),
            key: None,
        }
    }

    pub(super) async fn run(mut self) {
        loop {
            // For the turn only: a dispatcher that waits does not keep its hub.
            let Some(hub) = self.hub.upgrade() else {
                return;
            };
            self.turn(&hub);
            let idle = self.rest == 0;
            drop(hub);
            // Also if the hub changes all the time, the thread is for other tasks in between.
            if !idle || !self.changed().await {
                yield_now().await;
            }
        }
    }

    /// Waits until the hub has changed since the last turn. `false` if it had changed before, so
    /// that there was nothing to wait for.
    async fn changed(&mut self) -> bool {
        let mut waited = false;
        poll_fn(|cx| {
            let Some(hub) = self.hub.upgrade() else {
                return Poll::Ready(());
            };
            let idle = &hub.dispatchers.idle;
            match idle.register(&mut self.key, cx.waker(), hub.version(), self.seen) {
                true => waited = true,
                false => return Poll::Ready(()),
            }
            Poll::Pending
        })
        .await;
        waited
    }

    /// Serves the next readers with what the log has for them.
    fn turn(&mut self, hub: &Shared) {
        if self.rest == 0 && !self.has_changed(hub) {
            return;
        }
        let from = self.next;
        let looked_at = self
            .shard
            .take_out(from, READERS_PER_TURN, self.rest, &mut self.readers);
        let served = self.serve(hub);
        let places = looked_at.all.max(1);
        let looked = match self.readers.get(served) {
            Some(next) => (next.at + places - from) % places,
            None => looked_at.looked,
        };
        self.next = (from + looked) % places;
        // What did not fit into this turn is for another round.
        self.rest = match self.is_behind {
            true => usize::MAX,
            false => self.rest.min(looked_at.all) - looked,
        };
        self.shard.put_back(&mut self.readers);
    }

    /// Whether there is something new for the readers, when all of them have been served.
    fn has_changed(&mut self, hub: &Shared) -> bool {
        self.note(&hub.lock(), hub)
    }

    /// Notes what there is to be read. If it is more than before, all readers have to be served
    /// again.
    fn note(&mut self, state: &State, hub: &Shared) -> bool {
        // Loaded under the lock, so whatever changes it comes after this.
        self.seen = hub.version().load(SeqCst);
        let now = (state.position().number, state.is_closed());
        let changed = (self.head, self.closed) != now;
        if changed {
            (self.head, self.closed) = now;
            self.rest = usize::MAX;
        }
        changed
    }

    /// Delivers to the readers that were taken out. Returns how many of them were served before the
    /// turn was over.
    fn serve(&mut self, hub: &Shared) -> usize {
        buffer::lend_for_writing(|bytes| {
            let (to, reached) = self.read(hub, bytes);
            let started = Instant::now();
            let mut served = 0;
            for readers in self.readers.chunks_mut(READERS_PER_LOOK) {
                if served > 0 && started.elapsed() > TURN {
                    break;
                }
                served += readers.len();
                readers.iter_mut().for_each(Taken::prepare);
                readers.iter_mut().for_each(|taken| taken.offer(bytes, to));
            }
            self.commit(hub);
            served.min(reached)
        })
    }

    /// Copies lines from where the first of the readers needs them. Returns the number after the last
    /// one, and the index of the first reader that they do not reach, because it is far ahead or
    /// behind: the next turn begins with it.
    fn read(&mut self, hub: &Shared, bytes: &mut Vec<u8>) -> (u64, usize) {
        let state = hub.lock();
        let changed = self.note(&state, hub);
        let mut first = None;
        for taken in &mut self.readers {
            let cursor = taken.reader.cursor();
            taken.from = cursor.seq;
            match state.due(cursor) {
                Due::Lines => _ = first.get_or_insert(cursor.seq),
                Due::Nothing => {}
                Due::Owner => taken.to_owner = true,
            }
        }
        let first = first.unwrap_or(self.head);
        let run = state.read_run(first, BATCH_BYTES, bytes);
        let mut reached = self.readers.len();
        for (at, taken) in self.readers.iter_mut().enumerate() {
            if taken.to_owner || taken.from == self.head {
                continue;
            }
            if (first..run.to).contains(&taken.from) {
                taken.start = Some(state.offset_in(&run, taken.from));
            } else {
                reached = reached.min(at);
            }
        }
        // A reader that was parked after its place was looked at, and before the change, is behind.
        self.is_behind = changed || run.to < self.head || reached < self.readers.len();
        (run.to, reached)
    }

    /// Moves the cursors behind what was taken.
    fn commit(&mut self, hub: &Shared) {
        let mut state = hub.lock();
        for taken in &mut self.readers {
            if let Some(to) = taken.to.take() {
                state.advance(taken.reader.cursor(), to);
            }
        }
        hub.after_read(state);
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        for taken in &mut self.readers {
            taken.to_owner = true;
        }
        self.shard.put_back(&mut self.readers);
        self.shard.end();
        if let Some(hub) = self.hub.upgrade() {
            hub.dispatchers.idle.remove(self.key.take());
        }
    }
}

impl Taken {
    /// Announces an offer, if there is going to be one.
    fn prepare(&mut self) {
        if self.start.is_some() {
            self.reader.prepare();
        }
    }

    /// Offers the reader its part of the lines, which end before number `to`.
    fn offer(&mut self, lines: &[u8], to: u64) {
        let Some(start) = self.start.take() else {
            return;
        };
        self.to = match self.reader.offer(&lines[start..]) {
            Offered::All => Some(to),
            Offered::Some(taken) => {
                self.to_owner = true;
                (taken > 0).then_some(self.from + taken)
            }
        };
    }
}
