//! The parked readers of one dispatcher.

use super::{Owner, ParkedReader};
use crate::panics::contain;
use crate::sync::{Mutex, MutexGuard};
use std::mem;
use std::sync::PoisonError;

/// The parked readers of one dispatcher, by the index of their member's slot.
///
/// A reader is owned by its session, by the shard, or by the dispatcher while that delivers to it.
/// Whichever owns it uses it without a lock.
#[derive(Default)]
pub(crate) struct Shard {
    places: Mutex<Places>,
}

#[derive(Default)]
struct Places {
    dispatcher: Dispatching,
    places: Vec<Place>,
}

/// Whether a dispatcher serves the shard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Dispatching {
    /// Not yet.
    #[default]
    NotStarted,
    /// Its runtime has shut down.
    Ended,
    Running,
}

#[derive(Default)]
enum Place {
    #[default]
    Free,
    Parked(Box<dyn ParkedReader>),
    /// With the dispatcher.
    Out,
    /// With the dispatcher, and wanted by its owner.
    Recalled,
    /// With the dispatcher, and its owner no longer exists.
    Abandoned,
    /// To be taken back by its owner, which was woken.
    Returned(Box<dyn ParkedReader>),
}

/// The result of [`Shard::park`].
pub(crate) enum Parking {
    /// The reader is parked. If `start` is set, its dispatcher has to be started.
    Parked { start: bool },
    /// No dispatcher takes it.
    Refused(Box<dyn ParkedReader>),
}

/// A reader on its way from its shard to the dispatcher and back.
pub(super) struct Taken {
    pub(super) at: usize,
    pub(super) reader: Box<dyn ParkedReader>,
    /// Whether its owner has to see to it.
    pub(super) to_owner: bool,
    /// The number that it has to be given next, and where that line begins among the lines that it
    /// is offered. `None` if it is offered nothing.
    pub(super) from: u64,
    pub(super) start: Option<usize>,
    /// The number after the last line that its peer took, if it took any.
    pub(super) to: Option<u64>,
}

/// How many places were looked at, of how many.
pub(super) struct LookedAt {
    pub(super) looked: usize,
    pub(super) all: usize,
}

impl Place {
    /// Takes the reader out, if it is here, and leaves the place free.
    fn take(&mut self) -> Option<Box<dyn ParkedReader>> {
        match mem::take(self) {
            Self::Parked(reader) | Self::Returned(reader) => Some(reader),
            other => {
                *self = other;
                None
            }
        }
    }
}

impl Places {
    /// Grows by an eighth, not to the double: there is one place for each idle peer.
    fn grow_to(&mut self, len: usize) {
        let places = &mut self.places;
        if len > places.len() {
            if len > places.capacity() {
                places.reserve_exact(len - places.len() + places.len() / 8 + 8);
            }
            places.resize_with(len, Place::default);
        }
    }
}

impl Shard {
    fn lock(&self) -> MutexGuard<'_, Places> {
        // No foreign code runs under this lock, so a panic leaves the places whole.
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn dispatching(&self) -> Dispatching {
        self.lock().dispatcher
    }

    /// Parks a reader in a place, from which its owner takes it back.
    pub(crate) fn park(&self, at: usize, reader: Box<dyn ParkedReader>) -> Parking {
        let mut places = self.lock();
        if places.dispatcher == Dispatching::Ended {
            return Parking::Refused(reader);
        }
        places.grow_to(at + 1);
        match &mut places.places[at] {
            place @ Place::Free => *place = Place::Parked(reader),
            // The dispatcher still has a reader of the slot's last member.
            _ => return Parking::Refused(reader),
        }
        let start = places.dispatcher == Dispatching::NotStarted;
        places.dispatcher = Dispatching::Running;
        Parking::Parked { start }
    }

    /// Takes a reader back. `None` if the dispatcher has it: then its owner is woken soon.
    pub(crate) fn recall(&self, at: usize) -> Option<Box<dyn ParkedReader>> {
        let mut places = self.lock();
        let place = places.places.get_mut(at)?;
        if let Place::Out = place {
            *place = Place::Recalled;
        }
        place.take()
    }

    /// Takes a reader back if it was returned.
    pub(crate) fn take_returned(&self, at: usize) -> Option<Box<dyn ParkedReader>> {
        let mut places = self.lock();
        match places.places.get_mut(at)? {
            place @ Place::Returned(_) => place.take(),
            _ => None,
        }
    }

    /// Drops a reader whose owner no longer exists. If the dispatcher has it, that drops it next.
    pub(crate) fn abandon(&self, at: usize) {
        let mut places = self.lock();
        let Some(place) = places.places.get_mut(at) else {
            return;
        };
        if let Place::Out | Place::Recalled = place {
            *place = Place::Abandoned;
        }
        let reader = place.take();
        drop(places);
        drop(reader);
    }

    /// Returns a parked reader to its owner, and wakes that.
    pub(super) fn return_to_owner(&self, at: usize) {
        let mut places = self.lock();
        let Some(place) = places.places.get_mut(at) else {
            return;
        };
        if let Place::Out = place {
            *place = Place::Recalled;
        }
        let owner = match place {
            Place::Parked(reader) => reader.owner(),
            _ => return,
        };
        *place = place.take().map_or(Place::Free, Place::Returned);
        drop(places);
        wake(&*owner);
    }

    /// Takes out up to `limit` parked readers from place `from` on, looking at up to `places` places
    /// in turn.
    pub(super) fn take_out(
        &self,
        from: usize,
        limit: usize,
        places: usize,
        out: &mut Vec<Taken>,
    ) -> LookedAt {
        let mut locked = self.lock();
        let all = locked.places.len();
        let mut seen = 0;
        while seen < places.min(all) && out.len() < limit {
            let at = (from + seen) % all;
            seen += 1;
            let place = &mut locked.places[at];
            if let Place::Parked(_) = place
                && let Some(reader) = place.take()
            {
                *place = Place::Out;
                out.push(Taken {
                    at,
                    reader,
                    to_owner: false,
                    from: 0,
                    start: None,
                    to: None,
                });
            }
        }
        LookedAt { looked: seen, all }
    }

    /// Puts readers back, or returns them to their owners.
    pub(super) fn put_back(&self, readers: &mut Vec<Taken>) {
        let mut owners = Vec::new();
        let mut abandoned = Vec::new();
        let mut places = self.lock();
        for taken in readers.drain(..) {
            let place = &mut places.places[taken.at];
            let reader = taken.reader;
            *place = match mem::take(place) {
                Place::Abandoned => {
                    abandoned.push(reader);
                    Place::Free
                }
                Place::Out if !taken.to_owner => Place::Parked(reader),
                _ => {
                    owners.push(reader.owner());
                    Place::Returned(reader)
                }
            };
        }
        drop(places);
        for owner in owners {
            wake(&*owner);
        }
        for reader in abandoned {
            contain("dropping a connection", || drop(reader));
        }
    }

    /// No dispatcher serves the shard any more: all readers go back to their owners.
    pub(super) fn end(&self) {
        let all = {
            let mut places = self.lock();
            places.dispatcher = Dispatching::Ended;
            places.places.len()
        };
        for at in 0..all {
            self.return_to_owner(at);
        }
    }
}

fn wake(owner: &dyn Owner) {
    contain("waking a session", || owner.wake());
}
