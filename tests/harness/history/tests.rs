//! The history checker reports broken histories.

use super::*;
use chat_core::{Delivery, Hub, HubConfig, TryRecvError};

/// The records of two members of the same short history, which each test breaks in one place.
fn history() -> History {
    let hub = Hub::new(HubConfig::default());
    let mut history = History::new();
    let mut join = |name: &str| {
        let joined = crate::memory::join_with_limit(&hub, name.parse().unwrap(), usize::MAX);
        let (member, roster) = joined.unwrap();
        history.add_roster(roster);
        (Record::of(&member), member)
    };
    let (mut one, mut ann) = join("ann");
    let (mut two, mut bob) = join("bob");
    let mut published = Published::of(&ann);
    for text in ["a", "b", "c"] {
        published.push(ann.publish(text).unwrap(), text);
    }
    hub.rename(ann.id(), "eve".parse().unwrap()).unwrap();
    let (_, cid) = join("cid");
    drop(cid);
    history.add_roster(hub.roster(usize::MAX));
    hub.close();
    for (record, member) in [(&mut one, &mut ann), (&mut two, &mut bob)] {
        assert_eq!(record.catch_up(member), TryRecvError::Ended);
    }
    history.add(one);
    history.add(two);
    history.add_published(published);
    history
}

fn assert_fails(what: &str, by: impl FnOnce(&mut History)) {
    let mut history = history();
    by(&mut history);
    let error = history.check().expect_err(what);
    assert!(error.contains(what), "{error:?} does not say {what:?}");
}

mod history {
    use super::*;

    #[test]
    fn of_a_hub_passes() {
        let checked = Checked {
            events: 7,
            deliveries: 13,
            rosters: 3,
        };
        assert_eq!(history().check(), Ok(checked));
    }
}

mod items {
    use super::*;

    #[test]
    fn with_wrong_numbers_fail() {
        assert_fails("number 1 was expected", |h| {
            drop(h.records[0].items.remove(0))
        });
        assert_fails("number 2 was expected", |h| {
            let copy = h.records[0].items[0].clone();
            h.records[0].items.insert(0, copy);
        });
        assert_fails("number 2 was expected", |h| h.records[0].items.swap(1, 2));
        for missed in [1, 3] {
            assert_fails("was expected", |h| {
                let gap = Delivery::Gap { missed };
                h.records[0].items.splice(0..2, [gap]);
            });
        }
        assert_fails("an empty gap", |h| {
            h.records[0].items.insert(0, Delivery::Gap { missed: 0 });
        });
    }

    #[test]
    fn with_exact_gaps_pass() {
        let mut history = history();
        let gap = Delivery::Gap { missed: 2 };
        history.records[0].items.splice(0..2, [gap]);
        assert_eq!(history.records[0].missed(), 2);
        assert!(history.check().is_ok());
        let gap = Delivery::Gap { missed: 1 };
        history.records[0].items.splice(0..1, [gap.clone(), gap]);
        assert!(history.check().is_ok(), "two overruns between two reads");
    }

    #[test]
    fn after_the_end_fail() {
        assert_fails("after the end", |h| {
            h.records[0].push(Delivery::Closed(LeaveReason::Left))
        });
        assert_fails("the hub's end", |h| {
            let end = h.records[0].items.len() - 2;
            h.records[0].items.remove(end);
        });
    }
}

mod events {
    use super::*;

    #[test]
    fn with_equal_numbers_fail() {
        let other = Hub::new(HubConfig::default());
        let one = other.join("one".parse().unwrap()).unwrap();
        let mut two = other.join("two".parse().unwrap()).unwrap();
        one.publish("x").unwrap();
        let Ok(event) = two.try_recv() else {
            panic!("the event is available")
        };
        assert_fails("in another record", |h| h.records[1].items[0] = event);
    }

    #[test]
    fn after_the_hub_end_fail() {
        assert_fails("after the hub's end", |h| {
            h.records[0].items.pop();
            h.records[1].items.truncate(4);
            h.records[1].push(Delivery::Closed(LeaveReason::Closed));
        });
        assert_fails("not in", |h| h.published[0].push(8, "z"));
        assert_fails("number of a departure", |h| h.published[0].left(5));
    }
}

mod publisher {
    use super::*;

    #[test]
    fn out_of_order_fails() {
        assert_fails("not in", |h| h.published[0].texts.swap(0, 1));
        assert_fails("other members received", |h| {
            h.published[0].texts[0].1 = "z".into()
        });
        assert_fails("not in", |h| h.published[0].from = 3);
        assert_fails("not in", |h| h.published[0].left(4));
        assert_fails("other members received", |h| h.published[0].push(5, "eve"));
    }
}

mod roster {
    use super::*;

    #[test]
    fn inconsistent_with_events_fails() {
        let swap = |h: &mut History| h.rosters[2].names.swap(0, 1);
        assert_fails("lead to", swap);
        assert_fails("already present", |h| {
            h.rosters[0] = {
                let mut early = h.rosters[1].clone();
                early.position.number = 1;
                early
            }
        });
        assert_fails("is not present", |h| {
            h.rosters.remove(0);
            h.rosters[0].names.remove(0);
            h.rosters[0].total -= 1;
        });
    }
}
