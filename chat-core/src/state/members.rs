//! The members, their names, and the order in which they joined. Plain data.

use super::mailbox::Mailbox;
use crate::types::event::LeaveReason;
use crate::types::ids::SlotId;
use crate::types::name::{Name, NameKeys};
use crate::types::time::Timestamp;
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::sync::Arc;

/// No slot.
const NONE: u32 = u32::MAX;

/// A member's record. Members that are here are linked in the order in which they joined.
#[derive(Debug)]
struct Slot {
    generation: u32,
    prev: u32,
    next: u32,
    state: SlotState,
    /// `None` if nothing waits for the member, as is nearly always so.
    mailbox: Option<Box<Mailbox>>,
}

#[derive(Debug)]
enum SlotState {
    Here(Record),
    /// The member left, but its handle may still read all events before `end`.
    Left {
        end: u64,
        reason: LeaveReason,
    },
    Free,
}

/// A member that has not left.
#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) name: Name,
    pub(crate) keys: NameKeys,
    /// Whether an event in the log has shown the member, so that its departure must be announced.
    pub(crate) announced: bool,
    /// The member cannot publish before this time.
    pub(crate) muted_until: Timestamp,
}

#[derive(Debug)]
pub(crate) struct Members {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// First and last of the members that are here.
    first: u32,
    last: u32,
    here: usize,
    names: Names,
}

impl Members {
    pub(crate) fn new() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            first: NONE,
            last: NONE,
            here: 0,
            names: Names::default(),
        }
    }

    /// The number of members that have not left.
    pub(crate) fn len(&self) -> usize {
        self.here
    }

    /// How many slots there are, used or not.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The record of a member that is here.
    pub(crate) fn get(&self, id: SlotId) -> Option<&Record> {
        match &self.slot(id)?.state {
            SlotState::Here(record) => Some(record),
            SlotState::Left { .. } | SlotState::Free => None,
        }
    }

    pub(crate) fn get_mut(&mut self, id: SlotId) -> Option<&mut Record> {
        match &mut self.slot_mut(id)?.state {
            SlotState::Here(record) => Some(record),
            SlotState::Left { .. } | SlotState::Free => None,
        }
    }

    /// The member whose slot has this index, and its name, if it is here.
    pub(crate) fn at(&self, index: u32) -> Option<(SlotId, &Name)> {
        let slot = self.slots.get(index as usize)?;
        let id = SlotId {
            index,
            generation: slot.generation,
        };
        Some((id, &self.get(id)?.name))
    }

    /// The member that has exactly this name; else one whose name differs in case only; else one
    /// whose name looks like it.
    pub(crate) fn find(&self, name: &Name, keys: &NameKeys) -> Option<SlotId> {
        let folded = |name: &Name| name.as_str().to_lowercase();
        let rank = |held: &Name| match held {
            held if held == name => 0,
            held if folded(held) == folded(name) => 1,
            _ => 2,
        };
        let holders = keys.iter().filter_map(|key| self.at(self.holder(key)?));
        let (id, _) = holders.min_by_key(|(_, held)| rank(held))?;
        Some(id)
    }

    /// The number at which the membership of a departed member ended, and the reason.
    pub(crate) fn end(&self, id: SlotId) -> Option<(u64, LeaveReason)> {
        match self.slot(id)?.state {
            SlotState::Left { end, reason } => Some((end, reason)),
            SlotState::Here(_) | SlotState::Free => None,
        }
    }

    /// The mailbox of a member, also of one that has left.
    pub(crate) fn mailbox(&self, id: SlotId) -> Option<&Mailbox> {
        self.slot(id)?.mailbox.as_deref()
    }

    pub(crate) fn mailbox_mut(&mut self, id: SlotId) -> Option<&mut Option<Box<Mailbox>>> {
        Some(&mut self.slot_mut(id)?.mailbox)
    }

    /// The names of the members, in the order in which they joined.
    pub(crate) fn names(&self) -> impl Iterator<Item = &Name> {
        let mut at = self.first;
        std::iter::from_fn(move || {
            let slot = self.slots.get(at as usize)?;
            at = slot.next;
            match &slot.state {
                SlotState::Here(record) => Some(&record.name),
                SlotState::Left { .. } | SlotState::Free => {
                    unreachable!("only members that are here are linked")
                }
            }
        })
    }

    /// Whether no member has this name, except perhaps the one that asks: its own name in another
    /// case, or one that looks like it, is free for it.
    pub(crate) fn is_free(&self, keys: &NameKeys, asks: Option<SlotId>) -> bool {
        keys.iter().all(|key| match self.holder(key) {
            Some(holder) => asks.is_some_and(|id| id.index == holder),
            None => true,
        })
    }

    /// Adds a member, whose name is free.
    pub(crate) fn add(&mut self, record: Record) -> SlotId {
        let index = self.free.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.slots.len())
                .ok()
                .filter(|index| *index != NONE)
                .expect("fewer than 2^32 members at a time");
            self.slots.push(Slot {
                generation: 0,
                prev: NONE,
                next: NONE,
                state: SlotState::Free,
                mailbox: None,
            });
            index
        });
        self.occupy(index, &record.keys);
        let last = mem::replace(&mut self.last, index);
        match last {
            NONE => self.first = index,
            last => self.slots[last as usize].next = index,
        }
        self.here += 1;
        let slot = &mut self.slots[index as usize];
        slot.state = SlotState::Here(record);
        (slot.prev, slot.next) = (last, NONE);
        SlotId {
            index,
            generation: slot.generation,
        }
    }

    /// Gives a member that is here another name, which is free for it.
    pub(crate) fn rename(&mut self, id: SlotId, name: Name, keys: NameKeys) {
        let Some(record) = self.get_mut(id) else {
            return;
        };
        record.name = name;
        let before = mem::replace(&mut record.keys, keys.clone());
        self.vacate(id.index, &before);
        self.occupy(id.index, &keys);
    }

    /// Makes a member that is here one that has left, and gives its record. Its name is free then.
    pub(crate) fn leave(&mut self, id: SlotId, end: u64, reason: LeaveReason) -> Option<Record> {
        self.get(id)?;
        let slot = &mut self.slots[id.index as usize];
        let left = mem::replace(&mut slot.state, SlotState::Left { end, reason });
        let SlotState::Here(record) = left else {
            unreachable!("it has a record, so it is here");
        };
        self.vacate(id.index, &record.keys);
        self.unlink(id.index);
        self.here -= 1;
        Some(record)
    }

    /// No handle reads any more for a member that has left: its slot is free.
    pub(crate) fn release(&mut self, id: SlotId) -> Option<Box<Mailbox>> {
        let slot = &mut self.slots[id.index as usize];
        slot.state = SlotState::Free;
        // A slot that has been used 2^32 times is given up: its ids would come again.
        if let Some(generation) = slot.generation.checked_add(1) {
            slot.generation = generation;
            self.free.push(id.index);
        }
        slot.mailbox.take()
    }

    /// No member is here any more. Gives the names, to be dropped without the hub's lock.
    pub(crate) fn clear(&mut self) -> Names {
        (self.first, self.last, self.here) = (NONE, NONE, 0);
        mem::take(&mut self.names)
    }

    fn slot(&self, id: SlotId) -> Option<&Slot> {
        let slot = self.slots.get(id.index as usize)?;
        (slot.generation == id.generation).then_some(slot)
    }

    fn slot_mut(&mut self, id: SlotId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(id.index as usize)?;
        (slot.generation == id.generation).then_some(slot)
    }

    /// The slot of the member whose name has this key.
    fn holder(&self, key: &Arc<str>) -> Option<u32> {
        let has = |index| match &self.slots[index as usize].state {
            SlotState::Here(record) => record.keys.iter().any(|held| held == key),
            SlotState::Left { .. } | SlotState::Free => false,
        };
        self.names.find(key, has)
    }

    fn occupy(&mut self, index: u32, keys: &NameKeys) {
        for key in keys.iter() {
            self.names.insert(key, index);
        }
    }

    fn vacate(&mut self, index: u32, keys: &NameKeys) {
        for key in keys.iter() {
            self.names.remove(key, index);
        }
    }

    fn unlink(&mut self, index: u32) {
        let Slot { prev, next, .. } = self.slots[index as usize];
        match prev {
            NONE => self.first = next,
            prev => self.slots[prev as usize].next = next,
        }
        match next {
            NONE => self.last = prev,
            next => self.slots[next as usize].prev = prev,
        }
    }
}

/// Which slots have which keys.
///
/// The keys are in the slots; an entry here has 8 bytes, with the hash. So the table can grow, which
/// it does under the hub's lock, without fetching and hashing each key again. With a million keys in
/// a `HashMap` that takes 30 times as long.
#[derive(Debug, Default)]
pub(crate) struct Names {
    /// Users choose the keys: hence the default hasher.
    hasher: RandomState,
    table: HashTable<Entry>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    hash: u32,
    index: u32,
}

impl Entry {
    /// The table uses both ends of a hash.
    fn hash(&self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}

impl Names {
    fn entry(&self, key: &str, index: u32) -> Entry {
        let hash = self.hasher.hash_one(key) as u32;
        Entry { hash, index }
    }

    /// The slot that has this key, according to `has`.
    fn find(&self, key: &str, has: impl Fn(u32) -> bool) -> Option<u32> {
        let wanted = self.entry(key, NONE);
        let is_it = |entry: &Entry| entry.hash == wanted.hash && has(entry.index);
        Some(self.table.find(wanted.hash(), is_it)?.index)
    }

    /// Adds a key that no slot has.
    fn insert(&mut self, key: &str, index: u32) {
        let entry = self.entry(key, index);
        self.table.insert_unique(entry.hash(), entry, Entry::hash);
    }

    /// Removes a key that this slot has.
    fn remove(&mut self, key: &str, index: u32) {
        let gone = self.entry(key, index);
        if let Ok(found) = self.table.find_entry(gone.hash(), |entry| *entry == gone) {
            found.remove();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    mod names {
        use super::*;

        /// No two keys with the same hash are known: here they are the same key.
        #[test]
        fn keys_with_equal_hash_differ() {
            let mut names = Names::default();
            for index in 0..3 {
                names.insert("key", index);
            }
            names.remove("key", 1);
            for (index, found) in [(0, Some(0)), (1, None), (2, Some(2))] {
                assert_eq!(names.find("key", |slot| slot == index), found);
            }
        }
    }

    mod leave {
        use super::*;

        /// From the outside, a key that is left over is nothing but memory.
        #[test]
        fn frees_slot_and_keys() {
            let mut members = Members::new();
            for number in 0..100 {
                let [one, two] = ["a", "b"].map(|letter| {
                    let name: Name = format!("{letter}{number}").parse().unwrap();
                    let keys = name.keys();
                    (name, keys)
                });
                let id = members.add(Record {
                    name: one.0,
                    keys: one.1,
                    announced: true,
                    muted_until: Timestamp::default(),
                });
                members.rename(id, two.0, two.1);
                members.leave(id, number, LeaveReason::Left);
                members.release(id);
            }
            assert_eq!((members.names.table.len(), members.slots.len()), (0, 1));
        }
    }
}
