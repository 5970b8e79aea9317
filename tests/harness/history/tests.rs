//! The checker finds what is broken.

use super::*;
use chat_core::{Hub, HubConfig};

/// Two readers of the same short history, from which each test breaks something.
fn history() -> History {
    let hub = Hub::new(HubConfig::default());
    let mut history = History::new();
    let mut join = |name: &str| {
        let joined = hub.join_with_roster(name.parse().unwrap(), usize::MAX);
        let (member, roster) = joined.unwrap();
        history.add_roster(roster);
        (Record::of(&member), member)
    };
    let (mut one, mut ann) = join("ann");
    let (mut two, mut bob) = join("bob");
    let mut said = Said::of(&ann);
    for text in ["a", "b", "c"] {
        said.push(ann.publish(text).unwrap(), text);
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
    history.add_said(said);
    history
}

fn broken(what: &str, by: impl FnOnce(&mut History)) {
    let mut history = history();
    by(&mut history);
    let error = history.check().expect_err(what);
    assert!(error.contains(what), "{error:?} does not say {what:?}");
}

#[test]
fn what_the_hub_does_passes() {
    let checked = Checked {
        events: 7,
        deliveries: 13,
        rosters: 3,
    };
    assert_eq!(history().check(), Ok(checked));
}

#[test]
fn a_hole_an_overlap_and_a_wrong_gap_are_found() {
    broken("number 1 should have come", |h| {
        drop(h.records[0].items.remove(0))
    });
    broken("number 2 should have come", |h| {
        let again = h.records[0].items[0].clone();
        h.records[0].items.insert(0, again);
    });
    broken("number 2 should have come", |h| {
        h.records[0].items.swap(1, 2)
    });
    for missed in [1, 3] {
        broken("should have come", |h| {
            let gap = Delivery::Gap { missed };
            h.records[0].items.splice(0..2, [gap]);
        });
    }
    broken("a gap of nothing", |h| {
        h.records[0].items.insert(0, Delivery::Gap { missed: 0 });
    });
}

#[test]
fn an_exact_gap_passes() {
    let mut history = history();
    let gap = Delivery::Gap { missed: 2 };
    history.records[0].items.splice(0..2, [gap]);
    assert_eq!(history.records[0].missed(), 2);
    assert!(history.check().is_ok());
    let gap = Delivery::Gap { missed: 1 };
    history.records[0].items.splice(0..1, [gap.clone(), gap]);
    assert!(history.check().is_ok(), "overrun again before it read on");
}

#[test]
fn something_after_the_end_and_two_ends_are_found() {
    broken("after the end", |h| {
        h.records[0].push(Delivery::Closed(LeaveReason::Left))
    });
    broken("the hub's end", |h| {
        let end = h.records[0].items.len() - 2;
        h.records[0].items.remove(end);
    });
}

#[test]
fn a_number_with_two_meanings_is_found() {
    let other = Hub::new(HubConfig::default());
    let one = other.join("one".parse().unwrap()).unwrap();
    let mut two = other.join("two".parse().unwrap()).unwrap();
    one.publish("x").unwrap();
    let Ok(event) = two.try_recv() else {
        panic!("it is there")
    };
    broken("to one", |h| h.records[1].items[0] = event);
}

#[test]
fn a_sender_out_of_order_or_place_is_found() {
    broken("not in", |h| h.said[0].texts.swap(0, 1));
    broken("others had", |h| h.said[0].texts[0].1 = "z".into());
    broken("not in", |h| h.said[0].from = 3);
    broken("not in", |h| h.said[0].left(4));
    broken("others had", |h| h.said[0].push(5, "eve"));
}

#[test]
fn what_is_after_an_end_or_in_its_place_is_found() {
    broken("after the hub's end", |h| {
        h.records[0].items.pop();
        h.records[1].items.truncate(4);
        h.records[1].push(Delivery::Closed(LeaveReason::Closed));
    });
    broken("not in", |h| h.said[0].push(8, "z"));
    broken("where somebody left", |h| h.said[0].left(5));
}

#[test]
fn a_roster_that_does_not_fit_is_found() {
    let swap = |h: &mut History| h.rosters[2].names.swap(0, 1);
    broken("lead to", swap);
    broken("it was there before", |h| {
        h.rosters[0] = {
            let mut early = h.rosters[1].clone();
            early.position = 1;
            early
        }
    });
    broken("it is not there", |h| {
        h.rosters.remove(0);
        h.rosters[0].names.remove(0);
        h.rosters[0].total -= 1;
    });
}
