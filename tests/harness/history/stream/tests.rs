//! The stream checker reports broken streams.

use super::*;
use chat_core::{Hub, HubConfig};

/// The record of a member that missed nothing, and the roster at its beginning.
fn observer() -> (Record, Roster) {
    let hub = Hub::new(HubConfig::default());
    let (mut observer, roster) = crate::memory::join_with_roster(&hub, "observer");
    let mut record = Record::of(&observer);
    let ann = hub.join("ann".parse().unwrap()).unwrap();
    let bob = hub.join("bob".parse().unwrap()).unwrap();
    for text in ["a", "b", "c"] {
        ann.publish(text).unwrap();
    }
    hub.rename(ann.id(), "eve".parse().unwrap()).unwrap();
    drop(bob);
    ann.publish("d").unwrap();
    hub.close();
    record.catch_up(&mut observer);
    (record, roster)
}

/// The whole stream of ann.
const ANN: &str = "\
You are ann
Here now: observer
bob has arrived
ann: a
* here now: observer, ann, bob
ann: b
ann: c
ann is now eve
bob has left
eve: d
* server is going down
";

const BOB: &str = "\
You are bob
Here now: observer, ann
ann: a
* 2 messages skipped
ann is now eve
";

fn follow(name: &str, stream: &str) -> Result<StreamSummary, String> {
    let (record, roster) = observer();
    Order::of(&record, &roster)?.follow(name, stream.as_bytes())
}

mod stream {
    use super::*;

    #[test]
    fn of_a_hub_passes() {
        let ann = follow("ann", ANN).unwrap();
        assert_eq!(
            (ann.delivered, ann.rosters, ann.ends_with_line),
            (7, 1, true)
        );
        assert_eq!(ann.final_notice.as_deref(), Some("server is going down"));
        let bob = follow("bob", BOB).unwrap();
        assert_eq!((bob.delivered, bob.gaps), (2, 1));
    }

    #[test]
    fn may_stop_anywhere() {
        for end in 0..ANN.len() {
            let ann = follow("ann", &ANN[..end]).unwrap();
            assert_eq!(ann.ends_with_line, end == 0 || ANN[..end].ends_with('\n'));
        }
    }

    #[test]
    fn with_a_changed_byte_fails() {
        for (name, stream) in [("ann", ANN), ("bob", BOB)] {
            for at in 0..stream.len() {
                // The checker accepts any other notice.
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
                assert!(follow(name, &changed).is_err(), "{changed}");
            }
        }
    }

    #[test]
    fn with_a_missing_line_fails() {
        for (name, stream) in [("ann", ANN), ("bob", BOB)] {
            let lines: Vec<_> = stream.split_inclusive('\n').collect();
            for at in 0..lines.len() {
                let mut fewer = lines.clone();
                let line = fewer.remove(at);
                let asked_for = line.starts_with("* here");
                if !asked_for && at + 1 < lines.len() {
                    assert!(follow(name, &fewer.concat()).is_err(), "{fewer:?}");
                }
                let mut more = lines.clone();
                more.insert(at, line);
                if !asked_for {
                    assert!(follow(name, &more.concat()).is_err(), "{more:?}");
                }
            }
        }
    }

    #[test]
    fn after_its_end_fails() {
        let more = format!("{BOB}bob has left\n");
        assert!(follow("bob", &more).unwrap_err().contains("was expected"));
        let early = BOB.replace("ann is now", "* goodbye\nann is now");
        assert!(follow("bob", &early).unwrap_err().contains("departure"));
        assert!(follow("cid", BOB).unwrap_err().contains("never joined"));
    }
}

mod roster {
    use super::*;

    #[test]
    fn at_a_wrong_position_fails() {
        let late = ANN.replace("* here now: observer, ann, bob\n", "");
        let late = late.replace(
            "bob has left\n",
            "bob has left\n* here now: observer, ann, bob\n",
        );
        assert!(follow("ann", &late).unwrap_err().contains("the roster is"));
        // The position of this roster is inside the gap before it.
        let missed = BOB.replace("skipped\n", "skipped\n* here now: observer, ann, bob\n");
        assert_eq!(follow("bob", &missed).unwrap().rosters, 1);
    }
}

mod mail {
    use super::*;

    /// Bob is sent two texts, after two events beyond its arrival and at one of two positions.
    fn follow(stream: &str) -> Result<StreamSummary, String> {
        let (record, roster) = observer();
        let mut order = Order::of(&record, &roster)?;
        let id = record.events().find(|event| event.subject() == "bob");
        let id = id.unwrap().member().unwrap();
        let from = order.membership("bob").unwrap().from;
        order.add_mail(id, "first", from + 2..=from + 2)?;
        order.add_mail(id, "second", from + 2..=from + 3)?;
        order.follow("bob", stream.as_bytes())
    }

    #[test]
    fn at_its_position_passes() {
        let whole = ["You are bob", "Here now: observer, ann", "ann: a", "ann: b"].join("\n");
        for rest in [
            "* first\n* second\nann: c\n",
            "* first\nann: c\n* second\nann is now eve\n",
        ] {
            assert_eq!(follow(&format!("{whole}\n{rest}")).unwrap().mail, 2);
        }
        // Its position is inside the gap before it.
        let missed = BOB.replace("skipped\n", "skipped\n* first\n* second\n");
        assert_eq!(follow(&missed).unwrap().mail, 2);
    }

    #[test]
    fn at_a_wrong_position_fails() {
        let early = BOB.replace("* 2", "* first\n* 2");
        assert!(follow(&early).unwrap_err().contains("it was sent at"));
        let late = BOB.replace("eve\n", "eve\n* first\n");
        assert!(follow(&late).unwrap_err().contains("it was sent at"));
    }

    #[test]
    fn that_is_unknown_is_a_notice() {
        for other in ["third", "second"] {
            let stream = BOB.replace("skipped\n", &format!("skipped\n* {other}\n"));
            let summary = follow(&stream).unwrap();
            assert_eq!((summary.mail, summary.notices), (0, vec![other.into()]));
        }
    }
}

mod order {
    use super::*;

    #[test]
    fn rejects_a_record_with_gaps() {
        let (mut record, roster) = observer();
        let gap = chat_core::Delivery::Gap { missed: 1 };
        record.items.splice(0..1, [gap]);
        assert!(Order::of(&record, &roster).is_err());
    }
}
