//! A membership, and a handle that publishes and does not read.

use super::handle::Hub;
use crate::types::errors::PublishError;
use crate::types::event::LeaveReason;
use crate::types::ids::{MemberId, SlotId};
use crate::types::name::Name;
use std::sync::Arc;

/// Ends a membership when it is dropped, unless it has ended.
#[derive(Debug)]
pub(crate) struct Membership {
    hub: Hub,
    slot: SlotId,
}

impl Membership {
    pub(super) fn new(hub: Hub, slot: SlotId) -> Self {
        Self { hub, slot }
    }

    pub(super) fn id(&self) -> MemberId {
        self.hub.shared.member_id(self.slot)
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let reason = reason_of_drop();
        let shared = &self.hub.shared;
        let now = shared.now();
        let mail = shared.change(|state| state.release(self.slot, reason, now));
        // Not under the lock.
        drop(mail);
    }
}

/// Why a member leaves whose handle is dropped.
pub(crate) fn reason_of_drop() -> LeaveReason {
    match std::thread::panicking() {
        true => LeaveReason::Panicked,
        false => LeaveReason::Left,
    }
}

/// A member that only publishes: it has no cursor, so it is never a slow reader.
///
/// Made by [`Member::into_publisher`](crate::Member::into_publisher). Clones are the same member,
/// which leaves when the last of them is dropped.
///
/// ```
/// use chat_core::{Hub, HubConfig};
///
/// let hub = Hub::new(HubConfig::default());
/// let sensor = hub.join("sensor".parse()?)?.into_publisher();
/// sensor.publish("21 °C")?;
/// assert_eq!(hub.stats().members, 1);
/// assert_eq!(hub.stats().readers, 0);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Publisher {
    membership: Arc<Membership>,
}

impl Publisher {
    pub(super) fn new(membership: Membership) -> Self {
        Self {
            membership: Arc::new(membership),
        }
    }

    /// Its id.
    pub fn id(&self) -> MemberId {
        self.membership.id()
    }

    /// Its hub.
    pub fn hub(&self) -> &Hub {
        &self.membership.hub
    }

    /// Its name, or `None` if it has left.
    pub fn name(&self) -> Option<Name> {
        self.hub().name(self.id())
    }

    /// Publishes a text in its name; see [`Hub::publish`].
    ///
    /// # Errors
    ///
    /// See [`PublishError`].
    pub fn publish(&self, text: &str) -> Result<u64, PublishError> {
        self.hub().publish(self.id(), text)
    }
}
