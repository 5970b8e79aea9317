//! The readers' numbers in one place, to find readers that are behind.

use std::collections::BTreeMap;
use std::num::NonZeroU64;

/// The key of a cursor: small and dense, and reused.
pub(crate) type CursorKey = u32;

/// No member.
const NONE: u32 = u32::MAX;

#[derive(Debug, Default)]
pub(crate) struct Cursors {
    /// The number of the next event of each, or `u64::MAX` where there is none.
    numbers: Vec<u64>,
    /// The slots of the members that they belong to.
    members: Vec<u32>,
    free: Vec<CursorKey>,
    barriers: Vec<Barrier>,
    next_barrier: u64,
}

/// Identifies a barrier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct BarrierId(NonZeroU64);

/// Counts the readers that have not read all events before a number.
#[derive(Debug)]
struct Barrier {
    id: BarrierId,
    number: u64,
    before: usize,
    /// The gaps before the number, of each reader, since the barrier was set.
    missed: BTreeMap<CursorKey, usize>,
}

impl Cursors {
    pub(crate) fn add(&mut self, number: u64, member: Option<u32>) -> CursorKey {
        let member = member.unwrap_or(NONE);
        for barrier in &mut self.barriers {
            barrier.before += usize::from(number < barrier.number);
        }
        match self.free.pop() {
            Some(key) => {
                self.numbers[key as usize] = number;
                self.members[key as usize] = member;
                key
            }
            None => {
                let key = CursorKey::try_from(self.numbers.len())
                    .ok()
                    .filter(|key| *key != NONE)
                    .expect("fewer than 2^32 readers at a time");
                self.numbers.push(number);
                self.members.push(member);
                key
            }
        }
    }

    /// Says whether a barrier is reached by that.
    pub(crate) fn remove(&mut self, key: CursorKey) -> bool {
        let reached = self.end(key);
        for barrier in &mut self.barriers {
            barrier.missed.remove(&key);
        }
        self.members[key as usize] = NONE;
        self.free.push(key);
        reached
    }

    /// The cursor has read everything that it ever will, so nothing waits for it.
    pub(crate) fn end(&mut self, key: CursorKey) -> bool {
        self.advance(key, u64::MAX)
    }

    /// The cursor has moved to `number`. Says whether a barrier is reached by that.
    pub(crate) fn advance(&mut self, key: CursorKey, number: u64) -> bool {
        let before = std::mem::replace(&mut self.numbers[key as usize], number);
        if self.barriers.is_empty() {
            return false;
        }
        let mut reached = false;
        for barrier in &mut self.barriers {
            match (before < barrier.number, number < barrier.number) {
                (true, false) => {
                    barrier.before -= 1;
                    reached |= barrier.before == 0;
                }
                (false, true) => barrier.before += 1,
                _ => {}
            }
        }
        reached
    }

    /// A cursor at `number` missed events from there on.
    pub(crate) fn missed(&mut self, key: CursorKey, number: u64) {
        for barrier in &mut self.barriers {
            if number < barrier.number {
                *barrier.missed.entry(key).or_default() += 1;
            }
        }
    }

    /// Undoes [`missed`](Self::missed) for a gap that was not delivered.
    pub(crate) fn not_missed(&mut self, key: CursorKey, number: u64) {
        for barrier in &mut self.barriers {
            // It may have been set between the two.
            if number < barrier.number
                && let Some(gaps) = barrier.missed.get_mut(&key)
            {
                *gaps = gaps.saturating_sub(1);
            }
        }
    }

    /// How many keys there are, used or not.
    pub(crate) fn keys(&self) -> usize {
        self.numbers.len()
    }

    pub(crate) fn len(&self) -> usize {
        self.numbers.len() - self.free.len()
    }

    /// The number of each cursor, with the slot of its member.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, Option<u32>)> {
        let members = self.members.iter();
        members
            .zip(&self.numbers)
            .filter(|(_, number)| **number != u64::MAX)
            .map(|(&member, &number)| (number, Some(member).filter(|member| *member != NONE)))
    }

    /// Begins to count the cursors before `number`.
    pub(crate) fn set_barrier(&mut self, number: u64) -> BarrierId {
        self.next_barrier += 1;
        let id = BarrierId(NonZeroU64::new(self.next_barrier).expect("it counts up from 1"));
        let before = self.iter().filter(|(at, _)| *at < number).count();
        self.barriers.push(Barrier {
            id,
            number,
            before,
            missed: BTreeMap::new(),
        });
        id
    }

    /// How many cursors are before the number, and how many missed events before it.
    pub(crate) fn barrier(&self, id: BarrierId) -> Option<(usize, usize)> {
        let barrier = self.barriers.iter().find(|barrier| barrier.id == id)?;
        let missed = barrier.missed.values().filter(|gaps| **gaps > 0).count();
        Some((barrier.before, missed))
    }

    pub(crate) fn clear_barrier(&mut self, id: BarrierId) {
        self.barriers.retain(|barrier| barrier.id != id);
    }
}
