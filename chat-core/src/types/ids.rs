//! Ids of hubs and members.

use std::fmt;
use std::num::NonZeroU64;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Tells the hubs of one process apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HubId(NonZeroU64);

impl HubId {
    /// An id that no other hub of this process has.
    pub(crate) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        let id = NonZeroU64::new(NEXT.fetch_add(1, Relaxed));
        Self(id.expect("no process makes 2^64 hubs"))
    }
}

/// Identifies a member of one hub.
///
/// An id is never reused within its hub, and another hub of the same process rejects it as the id
/// of a member that is not there. The order of ids means nothing; it is there for ordered maps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId {
    pub(crate) hub: HubId,
    pub(crate) slot: SlotId,
}

/// A member's slot, and which of the slot's successive members is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SlotId {
    /// Small and dense: slots are reused.
    pub(crate) index: u32,
    /// Counts the members that had the slot before.
    pub(crate) generation: u32,
}

/// The slot of a member, or none, in the size of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct MaybeSlot(SlotId);

impl MaybeSlot {
    /// No slot has this index.
    const NONE: SlotId = SlotId {
        index: u32::MAX,
        generation: 0,
    };

    pub(crate) fn get(self) -> Option<SlotId> {
        (self.0.index != Self::NONE.index).then_some(self.0)
    }
}

impl Default for MaybeSlot {
    fn default() -> Self {
        Self(Self::NONE)
    }
}

impl From<Option<SlotId>> for MaybeSlot {
    fn from(slot: Option<SlotId>) -> Self {
        Self(slot.unwrap_or(Self::NONE))
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SlotId { index, generation } = self.slot;
        write!(f, "MemberId({}.{index}.{generation})", self.hub.0)
    }
}
