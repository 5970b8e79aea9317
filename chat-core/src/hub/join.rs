//! Joining with options.

use super::member::Member;
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
