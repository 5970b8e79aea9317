//! Who is here, under which name, in the order in which they came. Plain data.

use crate::types::event::LeaveReason;
use crate::types::ids::MemberId;
use crate::types::name::{Name, NameKeys};
use hashbrown::HashTable;
use std::hash::{BuildHasher, RandomState};
use std::mem;
use std::sync::Arc;

/// No slot.
const NONE: u32 = u32::MAX;

/// A member's record. Those who are here are linked in the order in which they came.
#[derive(Debug)]
struct Slot {
    generation: u32,
    prev: u32,
    next: u32,
    tenant: Tenant,
}

#[derive(Debug)]
enum Tenant {
    Here {
        name: Name,
        keys: NameKeys,
    },
    /// It left, but what reads for it still may: all before `end`.
    Left {
        end: u64,
        reason: LeaveReason,
    },
    Nobody,
}

#[derive(Debug)]
pub(crate) struct Members {
    slots: Vec<Slot>,
    free: Vec<u32>,
    /// First and last of those who are here.
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

    /// How many are here.
    pub(crate) fn len(&self) -> usize {
        self.here
    }

    /// How many slots there are, used or not.
    pub(crate) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// The name of a member that is here.
    pub(crate) fn name(&self, id: MemberId) -> Option<&Name> {
        match self.tenant(id)? {
            Tenant::Here { name, .. } => Some(name),
            Tenant::Left { .. } | Tenant::Nobody => None,
        }
    }

    /// Who has this name, or one that counts as the same.
    pub(crate) fn find(&self, keys: &NameKeys) -> Option<MemberId> {
        let index = keys.iter().find_map(|key| self.holder(key))?;
        let generation = self.slots[index as usize].generation;
        Some(MemberId { index, generation })
    }

    /// Where the membership ended, and why, of one that has left.
    pub(crate) fn end(&self, id: MemberId) -> Option<(u64, LeaveReason)> {
        match self.tenant(id)? {
            Tenant::Left { end, reason } => Some((*end, *reason)),
            Tenant::Here { .. } | Tenant::Nobody => None,
        }
    }

    /// The names of the first `limit` members, in the order in which they came.
    pub(crate) fn roster(&self, limit: usize) -> Vec<Name> {
        let mut at = self.first;
        std::iter::from_fn(|| {
            let slot = self.slots.get(at as usize)?;
            at = slot.next;
            match &slot.tenant {
                Tenant::Here { name, .. } => Some(name.clone()),
                Tenant::Left { .. } | Tenant::Nobody => unreachable!("only who is here is linked"),
            }
        })
        .take(limit)
        .collect()
    }

    /// Whether nobody has this name, but perhaps the member that asks: its own name in another
    /// case, or one that looks like it, is free for it.
    pub(crate) fn is_free(&self, keys: &NameKeys, asks: Option<MemberId>) -> bool {
        keys.iter().all(|key| match self.holder(key) {
            Some(holder) => asks.is_some_and(|id| id.index == holder),
            None => true,
        })
    }

    /// Adds a member, whose name is free.
    pub(crate) fn add(&mut self, name: Name, keys: NameKeys) -> MemberId {
        let index = self.free.pop().unwrap_or_else(|| {
            let index = u32::try_from(self.slots.len()).expect("fewer than 2^32 members at a time");
            self.slots.push(Slot {
                generation: 0,
                prev: NONE,
                next: NONE,
                tenant: Tenant::Nobody,
            });
            index
        });
        self.occupy(index, &keys);
        let last = mem::replace(&mut self.last, index);
        match last {
            NONE => self.first = index,
            last => self.slots[last as usize].next = index,
        }
        self.here += 1;
        let slot = &mut self.slots[index as usize];
        slot.tenant = Tenant::Here { name, keys };
        (slot.prev, slot.next) = (last, NONE);
        MemberId {
            index,
            generation: slot.generation,
        }
    }

    /// Gives a member that is here another name, which is free for it.
    pub(crate) fn rename(&mut self, id: MemberId, name: Name, keys: NameKeys) {
        let Some(slot) = self.slots.get_mut(id.index()) else {
            return;
        };
        let now = Tenant::Here {
            name,
            keys: keys.clone(),
        };
        if let Tenant::Here { keys: before, .. } = mem::replace(&mut slot.tenant, now) {
            self.vacate(id.index, &before);
        }
        self.occupy(id.index, &keys);
    }

    /// Makes a member that is here one that has left, and gives its name, which is free now.
    pub(crate) fn leave(&mut self, id: MemberId, end: u64, reason: LeaveReason) -> Option<Name> {
        self.name(id)?;
        let slot = &mut self.slots[id.index()];
        let left = mem::replace(&mut slot.tenant, Tenant::Left { end, reason });
        let Tenant::Here { name, keys } = left else {
            unreachable!("it has a name, so it is here");
        };
        self.vacate(id.index, &keys);
        self.unlink(id.index);
        self.here -= 1;
        Some(name)
    }

    /// Nobody reads any more for a member that has left: its slot is free.
    pub(crate) fn release(&mut self, id: MemberId) {
        let slot = &mut self.slots[id.index()];
        slot.tenant = Tenant::Nobody;
        // A slot that has been used 2^32 times is given up: its ids would come again.
        if let Some(generation) = slot.generation.checked_add(1) {
            slot.generation = generation;
            self.free.push(id.index);
        }
    }

    /// Nobody is here any more. Gives the names, to be dropped where that keeps nobody waiting.
    pub(crate) fn clear(&mut self) -> Names {
        (self.first, self.last, self.here) = (NONE, NONE, 0);
        mem::take(&mut self.names)
    }

    fn tenant(&self, id: MemberId) -> Option<&Tenant> {
        let slot = self.slots.get(id.index())?;
        (slot.generation == id.generation).then_some(&slot.tenant)
    }

    /// The slot of the member whose name has this key.
    fn holder(&self, key: &Arc<str>) -> Option<u32> {
        let has = |index| match &self.slots[index as usize].tenant {
            Tenant::Here { keys, .. } => keys.iter().any(|held| held == key),
            Tenant::Left { .. } | Tenant::Nobody => false,
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
/// The keys are in the slots, an entry here is 8 bytes and has the hash: so when the table grows,
/// which is under the hub's lock, nobody waits until each key has been fetched and hashed again.
/// With a million keys in a `HashMap` that takes 30 times as long.
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
    /// For the table, which looks at both ends of a hash.
    fn hash(&self) -> u64 {
        u64::from(self.hash) << 32 | u64::from(self.hash)
    }
}

impl Names {
    fn entry(&self, key: &str, index: u32) -> Entry {
        let hash = self.hasher.hash_one(key) as u32;
        Entry { hash, index }
    }

    /// The slot that has this key, as `has` knows.
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

    /// Takes a key away that this slot has.
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

    /// Private, because nobody can find two keys of one hash: here it is the same key twice.
    #[test]
    fn keys_of_one_hash_are_told_apart() {
        let mut names = Names::default();
        for index in 0..3 {
            names.insert("key", index);
        }
        names.remove("key", 1);
        for (index, found) in [(0, Some(0)), (1, None), (2, Some(2))] {
            assert_eq!(names.find("key", |slot| slot == index), found);
        }
    }

    /// Private, because from the outside a key that is left over is nothing but memory.
    #[test]
    fn who_has_left_leaves_nothing_behind() {
        let mut members = Members::new();
        for number in 0..100 {
            let [one, two] = ["a", "b"].map(|letter| {
                let name: Name = format!("{letter}{number}").parse().unwrap();
                let keys = name.keys();
                (name, keys)
            });
            let id = members.add(one.0, one.1);
            members.rename(id, two.0, two.1);
            members.leave(id, number, LeaveReason::Left);
            members.release(id);
        }
        assert_eq!((members.names.table.len(), members.slots.len()), (0, 1));
    }
}
