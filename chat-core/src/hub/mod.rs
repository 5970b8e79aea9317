//! The hub: one log of lines, in which every member is a cursor.

pub(crate) mod batch;
pub(crate) mod member;
pub(crate) mod shared;
pub(crate) mod wait_list;

use crate::hub::member::Member;
use crate::hub::shared::Shared;
use crate::state::{Refused, State};
use crate::types::config::HubConfig;
use crate::types::errors::{JoinError, LeaveError, PublishError, RenameError};
use crate::types::event::LeaveReason;
use crate::types::ids::MemberId;
use crate::types::name::Name;
use crate::types::stats::{Roster, Stats};
use std::fmt;
use std::sync::Arc;

/// A broadcast hub. This is a handle: clones of it are the same hub.
///
/// # Order
///
/// There is one total order: every event has a number, counting up by one, and every member
/// is given events in strictly increasing numbers, where a number means the same event to
/// all. A member's arrival comes before what it publishes, that in the order of its calls,
/// and all of that before its leaving. Joining is one point in that order: what happened
/// before it is in the roster that [`join_with_roster`](Self::join_with_roster) gives, what
/// happens after it is in the member's stream, and nothing is in both or in neither.
///
/// # Slow members
///
/// Nobody waits for a member. The hub keeps the last [`HubConfig::log_bytes`] of lines for
/// all members together. One that is further behind has lost the oldest of what it has not
/// yet read; it is given [`Delivery::Gap`](crate::Delivery::Gap) with their exact number, and
/// goes on with the oldest that is still there. So what a member is given and what it is told
/// that it missed add up to all that was published since it came. Delivery is at most once.
///
/// ```
/// use chat_core::{Delivery, Hub, HubConfig};
///
/// let mut config = HubConfig::default();
/// config.log_bytes = 0; // the least there can be
/// let hub = Hub::new(config);
/// let mut slow = hub.join("slow".parse()?)?;
/// let writer = hub.join("writer".parse()?)?;
/// for n in 0..10_000 {
///     writer.publish(&format!("line {n}"))?; // does not wait for the slow one
/// }
///
/// let Delivery::Gap { missed } = slow.try_recv()? else { panic!("it lost some") };
/// let mut given = 0;
/// while let Ok(Delivery::Event(_)) = slow.try_recv() {
///     given += 1;
/// }
/// assert_eq!(given + missed, 1 + 10_000); // the writer's arrival and its lines
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Leaving
///
/// A member leaves once: by the first of [`leave`](Self::leave), its [`Member`] being dropped
/// (also by a panic), and [`close`](Self::close). Its name is free from then on, publishing
/// under its id is an error that takes no number, and its stream still gives what came before
/// the leaving, then [`Delivery::Closed`](crate::Delivery::Closed) with the reason.
///
/// # Closing
///
/// [`close`](Self::close) is everybody's leaving at one point in the order: nothing is
/// published or joins after it, and every stream gives its remainder and then ends. It takes no
/// place in the log. A hub is not closed by dropping its handles: each member holds one.
#[derive(Clone)]
pub struct Hub {
    pub(crate) shared: Arc<Shared>,
}

impl Hub {
    /// A hub with no members. It needs no runtime and starts no task.
    pub fn new(config: HubConfig) -> Self {
        Self::starting_at(config, 0)
    }

    /// [`new`](Self::new), but the first event gets this number. Hidden, because it is for tests:
    /// no program lives to see the numbers run out.
    #[doc(hidden)]
    pub fn starting_at(config: HubConfig, first_seq: u64) -> Self {
        Self {
            shared: Arc::new(Shared::new(config.within_bounds(), first_seq)),
        }
    }

    /// Makes a member of this name, whose arrival the others are told. Does not wait; costs
    /// the same however many members there are.
    ///
    /// # Errors
    ///
    /// [`JoinError::NameTaken`] also for a name that looks like one here; see [`Name`].
    pub fn join(&self, name: Name) -> Result<Member, JoinError> {
        Ok(self.join_with_roster(name, 0)?.0)
    }

    /// [`join`](Self::join), together with who is here at that very point: the newcomer, as the
    /// last, and those before it. At most `limit` names are copied.
    ///
    /// # Errors
    ///
    /// As [`join`](Self::join).
    pub fn join_with_roster(
        &self,
        name: Name,
        limit: usize,
    ) -> Result<(Member, Roster), JoinError> {
        let keys = name.keys();
        let joined = self.shared.change(|state| {
            let (id, cursor) = state.join(name, keys)?;
            Ok((id, cursor, state.roster_now(limit)))
        });
        match joined {
            Ok((id, cursor, roster)) => Ok((Member::new(self.clone(), id, cursor), roster)),
            Err(Refused::Taken) => Err(JoinError::NameTaken),
            Err(Refused::Closed | Refused::NotHere) => Err(JoinError::Closed),
        }
    }

    /// Publishes a text in the name of a member, to all members, itself included, and gives the
    /// event's number: its place in the order. That is no promise that anybody has read it or
    /// ever will.
    ///
    /// Characters that could move a cursor or forge a line are removed: C0 and C1 controls but
    /// tab, DEL, line separators, bidi overrides and isolates. Never waits for a member.
    ///
    /// # Errors
    ///
    /// See [`PublishError`]; a text is refused whole or published whole.
    pub fn publish(&self, id: MemberId, text: &str) -> Result<u64, PublishError> {
        let text = self.shared.admit(text)?;
        let numbers = self.shared.publish(id, std::iter::once(&*text))?;
        Ok(numbers.start)
    }

    /// Publishes many texts, next to each other in the order, and gives their numbers. The hub
    /// is locked once and every member is woken once, so this is much cheaper than one by one.
    ///
    /// # Errors
    ///
    /// As [`publish`](Self::publish): if one text is too long, none is published.
    pub fn publish_many(
        &self,
        id: MemberId,
        texts: &[&str],
    ) -> Result<std::ops::Range<u64>, PublishError> {
        let texts: Vec<_> = texts
            .iter()
            .map(|text| self.shared.admit(text))
            .collect::<Result<_, _>>()?;
        self.shared.publish(id, texts.iter().map(|text| &**text))
    }

    /// Gives a member another name, which everybody is told, itself included. To take the name
    /// it has changes nothing and tells nobody.
    ///
    /// # Errors
    ///
    /// See [`RenameError`]. Its own name in another case is not taken.
    pub fn rename(&self, id: MemberId, name: Name) -> Result<(), RenameError> {
        let keys = name.keys();
        let renamed = self.shared.change(|state| state.rename(id, name, keys));
        renamed.map_err(|refused| match refused {
            Refused::Taken => RenameError::NameTaken,
            Refused::NotHere => RenameError::NotHere,
            Refused::Closed => RenameError::Closed,
        })
    }

    /// Ends a membership, which the others are told, and gives the number before which the
    /// member's stream ends. Anyone who holds the hub can.
    ///
    /// # Errors
    ///
    /// [`LeaveError::NotHere`] if the member had left before: a leaving happens once.
    pub fn leave(&self, id: MemberId, reason: LeaveReason) -> Result<u64, LeaveError> {
        self.shared.leave(id, reason).ok_or(LeaveError::NotHere)
    }

    /// The member that has this name, or one that looks like it, if it is here.
    ///
    /// ```
    /// use chat_core::{Hub, HubConfig, LeaveReason};
    ///
    /// let hub = Hub::new(HubConfig::default());
    /// let troll = hub.join("Troll".parse()?)?;
    /// let id = hub.find(&"troll".parse()?).expect("it is here");
    /// hub.leave(id, LeaveReason::Kicked)?;
    /// assert_eq!(id, troll.id());
    /// assert_eq!(hub.find(&"Troll".parse()?), None);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn find(&self, name: &Name) -> Option<MemberId> {
        let keys = name.keys();
        self.shared.lock().find(&keys)
    }

    /// The name of a member, or `None` if it has left.
    pub fn name(&self, id: MemberId) -> Option<Name> {
        self.shared.lock().name(id).cloned()
    }

    /// Who is here, with the position at which that is true: the events from that number on
    /// are not in it. At most `limit` names are copied; holds the hub's lock for that long.
    pub fn roster(&self, limit: usize) -> Roster {
        self.shared.lock().roster_now(limit)
    }

    /// The number that the next event gets.
    pub fn position(&self) -> u64 {
        self.shared.lock().position()
    }

    /// How the hub is doing. Costs the same however many members there are.
    pub fn stats(&self) -> Stats {
        self.shared.lock().stats()
    }

    /// What it was told, within its bounds.
    pub fn config(&self) -> &HubConfig {
        self.shared.config()
    }

    /// Closes the hub: everybody's leaving. Does nothing if it is closed.
    pub fn close(&self) {
        drop(self.shared.change(State::close));
    }

    /// Whether it is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.lock().is_closed()
    }

    /// Waits until the hub is closed. Cancel safe.
    pub async fn closed(&self) {
        self.shared.closed().await;
    }

    /// Waits, at most for [`HubConfig::patience`], as long as members that make progress are
    /// about to be overrun. A program that publishes as fast as it can may call this before
    /// each batch, as sessions do before they read more from their peers.
    ///
    /// Needs tokio's timer. Cancel safe.
    pub async fn pace(&self) {
        if let Some(room) = self.shared.pace() {
            room.await;
        }
    }
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.stats();
        f.debug_struct("Hub")
            .field("members", &stats.members)
            .field("position", &stats.position)
            .finish_non_exhaustive()
    }
}
