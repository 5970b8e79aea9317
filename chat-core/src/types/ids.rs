//! Ids of hubs and members.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Tells the hubs of one process apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct HubId(u64);

impl HubId {
    /// An id that no other hub of this process has.
    pub(crate) fn unique() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Relaxed))
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

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SlotId { index, generation } = self.slot;
        write!(f, "MemberId({}.{index}.{generation})", self.hub.0)
    }
}
