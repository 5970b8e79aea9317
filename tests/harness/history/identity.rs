//! The ids and times of events.

use chat_core::{Event, EventKind, MemberId, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// Checks that times do not decrease, that an id means the same member in all events, and that no
/// event is about a member that has left or has not arrived.
pub(super) fn check(events: &BTreeMap<u64, &Event>) -> Result<(), String> {
    let mut names = BTreeMap::<MemberId, &str>::new();
    let mut left = BTreeSet::new();
    let (mut next, mut time) = (0, Timestamp::default());
    for (&number, event) in events {
        if number != next {
            // Members can have been renamed by the events that no record has.
            names.clear();
        }
        next = number.saturating_add(1);
        let broken = |what| Err(format!("{event:?}: {what}"));
        if event.time() < time {
            return broken("it is earlier than the event before");
        }
        time = event.time();
        let Some(id) = event.member() else {
            match event.kind() {
                EventKind::Announcement => continue,
                _ => return broken("it has no member"),
            }
        };
        if left.contains(&id) {
            return broken("its member has left");
        }
        let known = names.insert(id, event.subject());
        match event.kind() {
            EventKind::Announcement => return broken("an announcement has no member"),
            EventKind::Arrived if known.is_some() => return broken("its member is present"),
            _ if known.is_some_and(|known| known != event.subject()) => {
                return broken("its member has another name");
            }
            EventKind::Left(_) => drop(left.insert(id)),
            EventKind::Renamed => drop(names.insert(id, event.text())),
            _ => {}
        }
    }
    Ok(())
}
