//! The delivering half of a session, which is parked while its peer has everything.

use crate::hub::Hub;
use crate::hub::dispatch::{Offered, Owner, ParkedReader, ParkingPlace};
use crate::hub::publisher::reason_of_drop;
use crate::peer::feed::Feed;
use crate::peer::shared::SessionShared;
use crate::state::read::Cursor;
use crate::transport::{Attempt, DeliverHalf};
use std::any::Any;
use std::io;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};

/// The connection to a peer, and what it is to be given. The fields that each offer uses come first.
#[repr(C)]
pub(super) struct Half {
    pub(super) sink: Box<dyn DeliverHalf>,
    pub(super) feed: Feed,
    /// The result of the last attempt to deliver while parked, unless the peer took everything.
    remainder: Remainder,
    can_park: bool,
}

/// The payload of a panic.
type Payload = Box<dyn Any + Send>;

/// What a parked half leaves to its session.
enum Remainder {
    Nothing,
    /// To call `deliver`, also if there is nothing to deliver.
    Deliver,
    Error(io::Error),
    Panic(Box<Payload>),
}

impl Half {
    /// The hub's version at which the peer has everything, if it has and the half can park.
    fn idle_at(&mut self) -> Option<u64> {
        match self.can_park {
            true => self.feed.idle_at(),
            false => None,
        }
    }
}

impl ParkedReader for Half {
    fn cursor(&mut self) -> &mut Cursor {
        self.feed.cursor_to_park()
    }

    fn offer(&mut self, lines: &[u8]) -> Offered {
        if let Remainder::Panic(_) = self.remainder {
            return Offered::Some(0);
        }
        let attempt = catch_unwind(AssertUnwindSafe(|| {
            let attempt = self.sink.try_deliver(lines);
            if let Ok(Attempt::Partial(taken)) = attempt {
                assert!(taken <= lines.len(), "an attempt takes what it was offered");
            }
            attempt
        }));
        let (taken, remainder) = match attempt {
            // Nothing waits for the progress of a peer that keeps up.
            Ok(Ok(Attempt::Complete)) => return Offered::All,
            Ok(Ok(Attempt::Partial(taken))) => (taken, Remainder::Deliver),
            Ok(Ok(Attempt::Unsupported)) => {
                self.can_park = false;
                (0, Remainder::Nothing)
            }
            Ok(Err(error)) => (0, Remainder::Error(error)),
            Err(panic) => (0, Remainder::Panic(Box::new(panic))),
        };
        self.remainder = remainder;
        self.feed.add_taken(taken);
        Offered::Some(self.feed.take_lines(lines, taken))
    }

    fn prepare(&mut self) {
        let prepare = AssertUnwindSafe(|| self.sink.prepare());
        if let Err(panic) = catch_unwind(prepare) {
            self.remainder = Remainder::Panic(Box::new(panic));
        }
    }

    fn owner(&self) -> Arc<dyn Owner> {
        self.feed.owner()
    }
}

/// The delivering half, wherever it is.
pub(super) struct Delivery {
    /// `None` while it is parked.
    half: Option<Box<Half>>,
    /// Where it parks, once it has parked.
    place: Option<ParkingPlace>,
}

impl Delivery {
    pub(super) fn new(sink: Box<dyn DeliverHalf>, feed: Feed) -> Self {
        let half = Half {
            sink,
            feed,
            remainder: Remainder::Nothing,
            can_park: true,
        };
        Self {
            half: Some(Box::new(half)),
            place: None,
        }
    }

    /// The half, which is not parked.
    pub(super) fn half(&mut self) -> &mut Half {
        self.half.as_mut().expect("it was taken back")
    }

    /// Waits until there may be something to deliver; meanwhile the half is parked, if it can be.
    /// Gives `false` at the end.
    ///
    /// # Errors
    ///
    /// If delivering failed while the half was parked.
    pub(super) fn poll_ready(
        &mut self,
        cx: &mut Context<'_>,
        hub: &Hub,
        shared: &SessionShared,
    ) -> Poll<io::Result<bool>> {
        loop {
            if self.half.is_none() && !self.take_back(shared) {
                return Poll::Pending;
            }
            match mem::replace(&mut self.half().remainder, Remainder::Nothing) {
                Remainder::Nothing => {}
                Remainder::Deliver => return Poll::Ready(Ok(true)),
                Remainder::Error(error) => return Poll::Ready(Err(error)),
                Remainder::Panic(panic) => resume_unwind(*panic),
            }
            let version = match self.half().idle_at() {
                Some(version) if self.park(hub) => version,
                _ => return self.half().feed.poll_ready(cx).map(Ok),
            };
            // The dispatcher may have looked for new lines before the half was there.
            if hub.shared.version().load(SeqCst) == version {
                return Poll::Pending;
            }
            let half = self.place().recall();
            self.put(half);
        }
    }

    fn place(&self) -> &ParkingPlace {
        self.place.as_ref().expect("it has parked")
    }

    /// Takes the half back if it was returned, or if the session has something for it. `false` if
    /// it remains parked, or will be returned soon.
    fn take_back(&mut self, shared: &SessionShared) -> bool {
        let half = match shared.is_dirty() {
            true => self.place().recall(),
            false => self.place().take_returned(),
        };
        self.put(half)
    }

    fn put(&mut self, half: Option<Box<dyn ParkedReader>>) -> bool {
        let Some(half) = half else {
            return false;
        };
        let half: Box<dyn Any> = half;
        self.half = Some(half.downcast().expect("the session parked it"));
        true
    }

    /// Parks the half. `false` if no dispatcher takes it.
    fn park(&mut self, hub: &Hub) -> bool {
        let Some(half) = self.half.take() else {
            return false;
        };
        if self.place.is_none() {
            self.place = half.feed.parking_place();
        }
        let refused = match &self.place {
            Some(place) => place.park(hub, half).err(),
            None => Some(half as Box<dyn ParkedReader>),
        };
        let parks = refused.is_none();
        self.put(refused);
        if self.place.is_none() {
            // There is no runtime, and there will be none.
            self.half().can_park = false;
        }
        parks
    }

    /// Gives up a half that is parked. The session no longer exists.
    pub(super) fn abandon(&self, hub: &Hub, shared: &SessionShared) {
        if self.half.is_none()
            && let Some(place) = &self.place
        {
            // Before the dispatcher can drop the half, for which it has no other reason than `Left`.
            shared.leave(hub, reason_of_drop());
            place.abandon();
        }
    }
}
