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
    let (mut published, mut sent) = (Published::of(&ann), Sent::of(&ann));
    for text in ["a", "b", "c"] {
        let number = ann.publish(text).unwrap();
        published.push(number, text);
        sent.published(&(number..number + 1));
        if text != "b" {
            hub.send(ann.id(), bob.id(), text).unwrap();
            sent.push(bob.id(), text);
        }
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
    history.add_sent(sent);
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
            mail: 2,
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

mod mail {
    use super::*;

    /// The items of bob: `a`, mail, `b`, `c`, mail, and others.
    fn items(history: &mut History) -> &mut Vec<Delivery> {
        &mut history.records[1].items
    }

    #[test]
    fn out_of_order_fails() {
        assert_fails("was sent before", |h| items(h).swap(1, 4));
        assert_fails("was sent before", |h| drop(items(h).remove(1)));
    }

    #[test]
    fn lost_or_repeated_fails() {
        assert_fails("was lost", |h| drop(items(h).remove(4)));
        assert_fails("comes twice", |h| {
            let copy = items(h)[4].clone();
            items(h).insert(5, copy);
        });
        assert_fails("was not sent", |h| {
            let copy = items(h)[1].clone();
            h.records[0].items.insert(0, copy);
        });
    }

    #[test]
    fn at_another_place_fails() {
        assert_fails("it was sent between", |h| items(h).swap(0, 1));
        assert_fails("it was sent between", |h| items(h).swap(1, 2));
        let mut history = history();
        items(&mut history).splice(2..3, [Delivery::Gap { missed: 1 }]);
        assert!(history.check().is_ok(), "after a, before the gap");
        items(&mut history).swap(1, 2);
        assert!(history.check().is_ok(), "the gap comes first");
    }
}

mod identity {
    use super::*;
    use chat_core::EventKind;

    /// Checks some of these events as if they had consecutive numbers.
    fn check(kinds: &[EventKind]) -> Result<(), String> {
        let history = history();
        let known: Vec<_> = history.records[0].events().collect();
        let of_kind = |kind: &EventKind| known.iter().find(|event| event.kind() == *kind);
        let events = kinds.iter().filter_map(of_kind).copied();
        super::super::identity::check(&(0..).zip(events).collect())
    }

    #[test]
    fn of_departed_or_renamed_member_fails() {
        use EventKind::{Arrived, Left, Message, Renamed};
        let left = Left(LeaveReason::Left);
        assert_eq!(check(&[Arrived, Message, Renamed]), Ok(()));
        assert!(check(&[Arrived, Arrived]).unwrap_err().contains("present"));
        assert!(check(&[left, left]).unwrap_err().contains("has left"));
        let renamed = check(&[Renamed, Message]).unwrap_err();
        assert!(renamed.contains("another name"), "{renamed}");
    }

    #[tokio::test(start_paused = true)]
    async fn decreasing_time_fails() {
        let [early, late] = [0, 1].map(|_| Hub::new(HubConfig::default()));
        let mut events = Vec::new();
        for hub in [early, late] {
            let mut reader = hub.subscribe(chat_core::Start::Now);
            hub.announce("now").unwrap();
            let Ok(Delivery::Event(event)) = reader.try_recv() else {
                panic!("the event is available")
            };
            events.push(event);
            tokio::time::advance(std::time::Duration::from_secs(60)).await;
        }
        let check = |events: &[&Event]| {
            super::super::identity::check(&(0..).zip(events.iter().copied()).collect())
        };
        assert_eq!(check(&[&events[0], &events[1]]), Ok(()));
        let error = check(&[&events[1], &events[0]]).unwrap_err();
        assert!(error.contains("earlier"), "{error}");
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
