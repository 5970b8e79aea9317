//! Joining with options.

use super::handle::Hub;
use super::member::Member;
use super::publisher::Membership;
use super::subscriber::Subscriber;
use crate::state::State;
use crate::state::command::{Command, Refusal};
use crate::types::errors::JoinError;
use crate::types::name::Name;
use crate::types::position::{Resumed, Start};
use crate::types::stats::Roster;

/// How to join; see [`Hub::join_with`](crate::Hub::join_with).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct JoinOptions {
    /// The member's name.
    pub name: Name,
    /// How many names the roster that is returned has at most. Default 0.
    pub roster: usize,
    /// Where the member's stream begins. Default [`Start::Now`].
    pub start: Start,
}

impl JoinOptions {
    /// Joins under this name, without names in the roster, from now on.
    pub fn new(name: Name) -> Self {
        Self {
            name,
            roster: 0,
            start: Start::Now,
        }
    }
}

/// What [`Hub::join_with`](crate::Hub::join_with) returns.
#[derive(Debug)]
#[non_exhaustive]
pub struct Joined {
    /// The new member. Its stream begins at its [`position`](Member::position).
    pub member: Member,
    /// The members right after the arrival, the new one as the last.
    pub roster: Roster,
    /// How the stream relates to the position that [`Start::At`] asked for.
    pub resumed: Resumed,
}

impl Hub {
    /// Adds a member, and gives what `see` finds in the state right after the arrival, under the
    /// hub's lock.
    pub(crate) fn join_and_see<T>(
        &self,
        name: Name,
        start: Start,
        see: impl FnOnce(&State) -> T,
    ) -> Result<(Member, Resumed, T), JoinError> {
        let keys = name.keys();
        let now = self.shared.now();
        let joined = self.shared.change(|state| {
            let outcome = state.apply(now, Command::Join { name, keys })?;
            let slot = outcome.joined();
            let (cursor, resumed) = state.open(start, Some(slot));
            Ok((slot, cursor, resumed, see(state)))
        });
        match joined {
            Ok((slot, cursor, resumed, seen)) => {
                let reader = Subscriber::new(self.clone(), cursor);
                let member = Member::new(reader, Membership::new(self.clone(), slot));
                Ok((member, resumed, seen))
            }
            Err(Refusal::NameTaken) => Err(JoinError::NameTaken),
            Err(_) => Err(JoinError::Closed),
        }
    }
}
