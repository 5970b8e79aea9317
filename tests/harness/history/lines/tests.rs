//! The checker of streams finds what is broken.

use super::*;
use chat_core::{Hub, HubConfig};

/// What a hub gave to a member that missed nothing, and who was there at its beginning.
fn witness() -> (Record, Roster) {
    let hub = Hub::new(HubConfig::default());
    let (mut eye, roster) = hub
        .join_with_roster("eye".parse().unwrap(), usize::MAX)
        .unwrap();
    let mut record = Record::of(&eye);
    let ann = hub.join("ann".parse().unwrap()).unwrap();
    let bob = hub.join("bob".parse().unwrap()).unwrap();
    for text in ["a", "b", "c"] {
        ann.publish(text).unwrap();
    }
    hub.rename(ann.id(), "eve".parse().unwrap()).unwrap();
    drop(bob);
    ann.publish("d").unwrap();
    hub.close();
    record.catch_up(&mut eye);
    (record, roster)
}

/// Ann's stream, to its end.
const ANN: &str = "\
You are ann
Here now: eye
bob has arrived
ann: a
* here now: eye, ann, bob
ann: b
ann: c
ann is now eve
bob has left
eve: d
* server is going down
";

const BOB: &str = "\
You are bob
Here now: eye, ann
ann: a
* 2 messages skipped
ann is now eve
";

fn told(name: &str, stream: &str) -> Result<Told, String> {
    let (record, roster) = witness();
    Order::of(&record, &roster)?.follow(name, stream.as_bytes())
}

#[test]
fn what_the_hub_gives_passes() {
    let ann = told("ann", ANN).unwrap();
    assert_eq!((ann.given, ann.rosters, ann.whole), (7, 1, true));
    assert_eq!(ann.last_words.as_deref(), Some("server is going down"));
    let bob = told("bob", BOB).unwrap();
    assert_eq!((bob.given, bob.gaps), (2, 1));
}

#[test]
fn it_may_stop_anywhere() {
    for end in 0..ANN.len() {
        let ann = told("ann", &ANN[..end]).unwrap();
        assert_eq!(ann.whole, end == 0 || ANN[..end].ends_with('\n'));
    }
}

#[test]
fn every_byte_matters() {
    for (name, stream) in [("ann", ANN), ("bob", BOB)] {
        for at in 0..stream.len() {
            // A notice of something else is not for this checker to judge.
            if stream[at..].starts_with('*') || stream[at..].starts_with("* ") {
                continue;
            }
            let line = stream[..at].rfind('\n').map_or(0, |end| end + 1);
            let is_notice = stream[line..].starts_with("* ");
            let digit = stream.as_bytes()[at].is_ascii_digit();
            if is_notice && !digit {
                continue;
            }
            let changed = format!("{}9{}", &stream[..at], &stream[at + 1..]);
            assert!(told(name, &changed).is_err(), "{changed}");
        }
    }
}

#[test]
fn a_line_that_is_missing_or_comes_twice_is_found() {
    for (name, stream) in [("ann", ANN), ("bob", BOB)] {
        let lines: Vec<_> = stream.split_inclusive('\n').collect();
        for at in 0..lines.len() {
            let mut fewer = lines.clone();
            let line = fewer.remove(at);
            let asked_for = line.starts_with("* here");
            if !asked_for && at + 1 < lines.len() {
                assert!(told(name, &fewer.concat()).is_err(), "{fewer:?}");
            }
            let mut more = lines.clone();
            more.insert(at, line);
            if !asked_for {
                assert!(told(name, &more.concat()).is_err(), "{more:?}");
            }
        }
    }
}

#[test]
fn a_roster_in_the_wrong_place_is_found() {
    let late = ANN.replace("* here now: eye, ann, bob\n", "");
    let late = late.replace(
        "bob has left\n",
        "bob has left\n* here now: eye, ann, bob\n",
    );
    assert!(told("ann", &late).unwrap_err().contains("there are"));
    // Its place was in the gap that was told before it.
    let missed = BOB.replace("skipped\n", "skipped\n* here now: eye, ann, bob\n");
    assert_eq!(told("bob", &missed).unwrap().rosters, 1);
}

#[test]
fn what_comes_after_its_leaving_is_found() {
    let more = format!("{BOB}bob has left\n");
    assert!(told("bob", &more).unwrap_err().contains("should come"));
    let early = BOB.replace("ann is now", "* goodbye\nann is now");
    assert!(told("bob", &early).unwrap_err().contains("told"));
    assert!(told("cid", BOB).unwrap_err().contains("never came"));
}

#[test]
fn a_record_with_a_gap_is_no_order() {
    let (mut record, roster) = witness();
    let gap = chat_core::Delivery::Gap { missed: 1 };
    record.items.splice(0..1, [gap]);
    assert!(Order::of(&record, &roster).is_err());
}
