//! Delivery to many readers by one task.
//!
//! A reader that has read everything can be parked: its owner moves it to a [`Shard`], whose
//! dispatcher then reads in its place. So a publisher wakes one task for many readers, and the
//! dispatcher copies the lines out of the log once for all of them. A reader goes back to its owner
//! as soon as it does not take everything at once, or needs anything but lines.
//!
//! A runtime has as many dispatchers as worker threads. Each of them is an ordinary task, which
//! starts with the first reader that is parked and ends with the hub.

mod dispatcher;
mod shard;

use shard::Dispatching;
pub(crate) use shard::Shard;

use super::wait_list::WaitList;
use crate::state::read::Cursor;
use crate::sync::{AtomicBool, Mutex, MutexGuard};
use std::any::Any;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::{Arc, PoisonError};
use tokio::runtime::{self, Handle};

/// More dispatchers than this do not help: each of them has thousands of readers then.
const MAX_SHARDS: usize = 64;

/// A reader that can be parked, with its way to the peer.
pub(crate) trait ParkedReader: Any + Send {
    /// The cursor of the reader.
    fn cursor(&mut self) -> &mut Cursor;

    /// Offers whole lines to the peer, which takes what it can without waiting. A panic of the
    /// connection is the owner's.
    fn offer(&mut self, lines: &[u8]) -> Offered;

    /// Announces an offer, so that what it needs can be loaded.
    fn prepare(&mut self);

    /// The owner, to be woken when the reader is returned.
    fn owner(&self) -> Arc<dyn Owner>;
}

/// The owner of a reader.
pub(crate) trait Owner: Send + Sync {
    /// Wakes the owner's task.
    fn wake(&self);
}

/// The result of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Offered {
    /// The peer took all lines.
    All,
    /// The peer took so many lines, and its owner sees to the rest.
    Some(u64),
}

/// The shards of a hub.
#[derive(Default)]
pub(crate) struct Dispatchers {
    runtimes: Mutex<Vec<RuntimeShards>>,
    /// Whether there are any, so that a hub without takes no lock.
    any: AtomicBool,
    /// The wakers of dispatchers that have nothing to do.
    pub(super) idle: WaitList,
}

/// The shards of the sessions that run in one runtime.
struct RuntimeShards {
    runtime: runtime::Id,
    shards: Box<[Arc<Shard>]>,
}

/// Where a session parks its reader.
pub(crate) struct ParkingPlace {
    shard: Arc<Shard>,
    at: usize,
}

impl Dispatchers {
    fn lock(&self) -> MutexGuard<'_, Vec<RuntimeShards>> {
        self.runtimes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The place of the member with this slot, for a session in the current runtime. `None` outside
    /// of a runtime.
    pub(crate) fn place(&self, slot: u32) -> Option<ParkingPlace> {
        let runtime = Handle::try_current().ok()?;
        let id = runtime.id();
        let mut runtimes = self.lock();
        let known = runtimes.iter().position(|known| known.runtime == id);
        let mut ended = Vec::new();
        let at = known.unwrap_or_else(|| {
            // Otherwise they would accumulate in a hub that outlives many runtimes.
            ended = runtimes.extract_if(.., |known| known.has_ended()).collect();
            let workers = runtime.metrics().num_workers().clamp(1, MAX_SHARDS);
            runtimes.push(RuntimeShards {
                runtime: id,
                shards: (0..workers).map(|_| Arc::default()).collect(),
            });
            self.any.store(true, SeqCst);
            runtimes.len() - 1
        });
        let place = runtimes[at].place(slot);
        drop(runtimes);
        // Nothing parks in them any more. Not under the lock, as this wakes owners.
        let shards = ended.iter().flat_map(|ended| &ended.shards);
        shards.for_each(|shard| shard.end());
        Some(place)
    }

    /// Returns the reader of the member with this slot to its owner, if it is parked.
    pub(crate) fn return_to_owner(&self, slot: u32) {
        if !self.any.load(SeqCst) {
            return;
        }
        let places: Vec<_> = {
            let runtimes = self.lock();
            runtimes.iter().map(|shards| shards.place(slot)).collect()
        };
        for ParkingPlace { shard, at } in places {
            shard.return_to_owner(at);
        }
    }
}

impl RuntimeShards {
    /// Whether the runtime has shut down: there were dispatchers, and none of them runs.
    fn has_ended(&self) -> bool {
        let state = |shard: &Arc<Shard>| shard.dispatching();
        self.shards.iter().map(state).max() == Some(Dispatching::Ended)
    }

    fn place(&self, slot: u32) -> ParkingPlace {
        let shards = self.shards.len();
        ParkingPlace {
            shard: self.shards[slot as usize % shards].clone(),
            at: slot as usize / shards,
        }
    }
}

impl Drop for Dispatchers {
    fn drop(&mut self) {
        // They find that their hub no longer exists.
        self.idle.wake_all();
    }
}

impl ParkingPlace {
    /// See [`Shard::recall`].
    pub(crate) fn recall(&self) -> Option<Box<dyn ParkedReader>> {
        self.shard.recall(self.at)
    }

    /// See [`Shard::take_returned`].
    pub(crate) fn take_returned(&self) -> Option<Box<dyn ParkedReader>> {
        self.shard.take_returned(self.at)
    }

    /// See [`Shard::abandon`].
    pub(crate) fn abandon(&self) {
        self.shard.abandon(self.at);
    }
}

#[cfg(test)]
#[cfg(not(chat_loom))]
mod tests;
