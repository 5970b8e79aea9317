//! Waiting until everything was read.

use super::handle::Hub;
use super::shared::Shared;
use crate::state::cursors::BarrierId;
use crate::types::errors::ReadByAllError;

impl Hub {
    /// Waits until every reader has read all events before `number`.
    ///
    /// Readers are the members and subscribers that exist, and those that are added meanwhile and
    /// begin before `number`. A session has read what it has taken from the hub; its peer may not
    /// have received it, and a session whose peer accepts nothing can give some back. A reader that
    /// is dropped, or that has received its end, is waited for no longer. There is no time limit: set
    /// one with `tokio::time::timeout`, and see [`slowest`](Self::slowest) for the reason.
    ///
    /// # Errors
    ///
    /// See [`ReadByAllError`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future has no effect.
    pub async fn read_by_all(&self, number: u64) -> Result<(), ReadByAllError> {
        let barrier = Barrier {
            shared: &self.shared,
            id: self.shared.lock().set_barrier(number),
        };
        self.shared
            .at_barrier(|state| match state.barrier(barrier.id) {
                // A closed hub's readers still read the remainder.
                _ if state.is_closed() && state.position().number < number => {
                    Some(Err(ReadByAllError::Closed))
                }
                Some((1.., _)) => None,
                Some((0, readers @ 1..)) => Some(Err(ReadByAllError::Missed { readers })),
                Some((0, 0)) | None => Some(Ok(())),
            })
            .await
    }
}

/// A barrier, which is removed with this.
struct Barrier<'a> {
    shared: &'a Shared,
    id: BarrierId,
}

impl Drop for Barrier<'_> {
    fn drop(&mut self) {
        self.shared.lock().clear_barrier(self.id);
    }
}
