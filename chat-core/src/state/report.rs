//! What the state reports about itself.

use super::State;
use crate::types::name::Name;
use crate::types::stats::{Lag, Roster, Stats};
use std::cmp::Reverse;

impl State {
    pub(crate) fn roster(&self, limit: usize) -> Roster {
        let total = self.members.len();
        let mut names = Vec::with_capacity(limit.min(total));
        names.extend(self.members.names().take(limit).cloned());
        Roster {
            position: self.position(),
            total,
            names,
        }
    }

    /// How many members there are, and their names in the order in which they joined.
    pub(crate) fn members(&self) -> (usize, impl Iterator<Item = &Name>) {
        (self.members.len(), self.members.names())
    }

    pub(crate) fn stats(&self) -> Stats {
        let (tail, head) = (self.log.tail_offset(), self.log.head_offset());
        let (hindmost, overrun) = self.lag.hindmost(tail, head);
        let behind = match overrun {
            0 => hindmost.map_or(0, |offset| head - offset),
            _ => head - tail,
        };
        Stats {
            members: self.members.len(),
            readers: self.cursors.len(),
            published: self.messages,
            position: self.position(),
            bytes: head - tail,
            events: self.log.held().end - self.log.held().start,
            gaps: self.gaps,
            missed: self.missed,
            behind,
            overrun,
        }
    }

    /// The `count` readers that are furthest behind, from the slowest on.
    pub(crate) fn slowest(&self, count: usize) -> Vec<Lag> {
        let mut slowest: Vec<_> = self.cursors.iter().collect();
        let count = count.min(slowest.len());
        if count == 0 {
            return Vec::new();
        }
        slowest.select_nth_unstable_by_key(count - 1, |(number, _)| *number);
        slowest.truncate(count);
        slowest.sort_by_key(|(number, _)| *number);
        let head = self.log.head();
        let lag = |(number, slot): (u64, Option<u32>)| Lag {
            member: slot
                .and_then(|index| self.members.at(index))
                .map(|(id, name)| (self.member_id(id), name.clone())),
            behind: head - number.min(head),
        };
        let mut lags: Vec<_> = slowest.into_iter().map(lag).collect();
        lags.sort_by_key(|lag| Reverse(lag.behind));
        lags
    }
}
