//! Ids of members.

use std::fmt;

/// Who a member of one hub is, as long as the hub lives: ids of members that left are not used
/// again. An id means nothing to another hub, where it may be somebody else's.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct MemberId {
    pub(crate) index: u32,
    /// Tells apart those who had the same slot one after the other.
    pub(crate) generation: u32,
}

impl MemberId {
    /// The number of its slot, small and dense.
    pub(crate) fn index(self) -> usize {
        self.index as usize
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemberId({}.{})", self.index, self.generation)
    }
}
