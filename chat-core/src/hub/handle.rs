//! The handle of a hub.

use super::shared::Shared;
use std::fmt;
use std::sync::Arc;

/// A broadcast hub. This is a handle: clones of it are the same hub.
///
/// # Order
///
/// There is one total order: every event has a number, counting up by one, and every reader
/// is given events with strictly increasing numbers, where a number means the same event to
/// all. A member's arrival comes before its messages, these come in the order of its calls, and all
/// of them before its departure.
///
/// Joining is one point in that order. [`join_with`](Self::join_with) returns a roster and the
/// position at which it is true, and a member whose position, where its stream begins, is known.
/// With [`Start::Now`](crate::Start::Now) the two are the same: each event is in the roster or in
/// the stream, never in both, never in neither.
///
/// # Slow members
///
/// Slow members do not block publishers. The hub keeps the last
/// [`HubConfig::log_bytes`](crate::HubConfig::log_bytes) of lines for all members together. A member
/// that is further behind has lost the oldest events that it has not read; it receives
/// [`Delivery::Gap`](crate::Delivery::Gap) with their exact number, and continues with the oldest
/// event that the log holds. So the events that a member receives and those that its gaps
/// count add up to all that were published since it joined. Delivery is at most once.
///
/// ```
/// use chat_core::{Delivery, Hub, HubConfig};
///
/// let mut config = HubConfig::default();
/// config.log_bytes = 0; // raised to the least there can be
/// let hub = Hub::new(config);
/// let mut slow = hub.join("slow".parse()?)?;
/// let writer = hub.join("writer".parse()?)?;
/// for n in 0..10_000 {
///     writer.publish(&format!("line {n}"))?; // does not wait for the slow member
/// }
///
/// let Delivery::Gap { missed } = slow.try_recv()? else { panic!("it lost some") };
/// let mut given = 0;
/// while let Ok(Delivery::Event(_)) = slow.try_recv() {
///     given += 1;
/// }
/// assert_eq!(given + missed, 1 + 10_000); // the writer's arrival and its lines
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Direct messages
///
/// [`send`](Self::send) and [`notify`](Self::notify) deliver a text to one member alone, in a place
/// among the events: after all that were published before the call. It is in no log and has no
/// number. The mail that waits for a member is bounded by
/// [`HubConfig::mailbox_bytes`](crate::HubConfig::mailbox_bytes).
///
/// # Leaving
///
/// A member leaves once: by the first of [`leave`](Self::leave), [`remove`](Self::remove), its
/// [`Member`](crate::Member) being dropped (also by a panic), and [`close`](Self::close). Its name
/// is free from then on, publishing under its id is an error that takes no number, and its stream
/// still gives what came before the leaving, then [`Delivery::Closed`](crate::Delivery::Closed) with
/// the reason.
///
/// # Closing
///
/// [`close`](Self::close) ends all memberships at one point in the order: nothing is published and
/// no member joins after it, and every stream gives its remainder and then ends. It takes no place
/// in the log. A hub is not closed by dropping its handles: each member holds one.
#[derive(Clone)]
pub struct Hub {
    pub(crate) shared: Arc<Shared>,
}

impl fmt::Debug for Hub {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stats = self.shared.lock().stats();
        f.debug_struct("Hub")
            .field("members", &stats.members)
            .field("position", &stats.position)
            .finish_non_exhaustive()
    }
}
