//! Peers that are being refused, each with a notice of the reason.

use super::Origin;
use std::collections::HashMap;
use std::future::Future;
use tokio::task::{Id, JoinSet};

/// The most peers that are being refused at a time; further ones are closed without a notice.
const SLOTS: usize = 64;

/// Of those, for one address or IPv6 /64, for one IPv6 /48, and for this machine, whose peers may be
/// those of a proxy.
const PER_ORIGIN: usize = 4;
const PER_SITE: usize = 16;
const LOCAL: usize = 48;

/// The refusals in progress. Each origin has a share of them, so that an origin that is refused all
/// the time does not keep others from their notices.
#[derive(Debug, Default)]
pub(crate) struct Refusals {
    tasks: JoinSet<()>,
    origins: HashMap<Id, Option<Origin>>,
    /// How many slots each origin has, the wider ones included; `None` is this machine.
    used: HashMap<Option<Origin>, usize>,
}

impl Refusals {
    /// Whether a peer of this origin can be refused with a notice.
    pub(crate) fn has_slot(&self, origin: Option<Origin>) -> bool {
        let used = |origin| self.used.get(&origin).copied().unwrap_or(0);
        let share = match origin {
            Some(_) => PER_ORIGIN,
            None => LOCAL,
        };
        self.tasks.len() < SLOTS
            && used(origin) < share
            && origin
                .and_then(Origin::wider)
                .is_none_or(|site| used(Some(site)) < PER_SITE)
    }

    /// Runs a refusal in a slot of this origin.
    pub(crate) fn spawn(
        &mut self,
        origin: Option<Origin>,
        refusal: impl Future<Output = ()> + Send + 'static,
    ) {
        let id = self.tasks.spawn(refusal).id();
        self.origins.insert(id, origin);
        for origin in with_wider(origin) {
            *self.used.entry(origin).or_default() += 1;
        }
    }

    /// Waits until a refusal has ended, and frees its slot; `None` if there is none in progress.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe.
    pub(crate) async fn next_ended(&mut self) -> Option<()> {
        let id = match self.tasks.join_next_with_id().await? {
            Ok((id, ())) => id,
            // Its transport panicked, which concerns that peer alone.
            Err(error) => error.id(),
        };
        let origin = self.origins.remove(&id).flatten();
        for origin in with_wider(origin) {
            if let Some(used) = self.used.get_mut(&origin) {
                *used -= 1;
                if *used == 0 {
                    self.used.remove(&origin);
                }
            }
        }
        Some(())
    }
}

fn with_wider(origin: Option<Origin>) -> impl Iterator<Item = Option<Origin>> {
    let wider = origin.and_then(Origin::wider);
    [origin].into_iter().chain(wider.map(Some))
}
