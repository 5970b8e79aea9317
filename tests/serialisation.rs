//! The feature `serde`: the JSON of events, and of the types that a program keeps or receives.

use chat_core::{
    Delivery, EventKind, Hub, HubConfig, LeaveReason, Name, Position, RemovalReason, Start,
    Timestamp,
};
use chat_tests::memory::{hub_starting_at, join, rename};
use serde_json::{Value, from_value, json, to_value};

/// The JSON of all events of the hub, without their times, which are checked.
fn events(hub: &Hub) -> Vec<Value> {
    let mut log = hub.subscribe(Start::Last(100));
    let mut events = Vec::new();
    while let Ok(Delivery::Event(event)) = log.try_recv() {
        let mut json = to_value(&event).expect("an event is serialisable");
        let fields = json.as_object_mut().expect("an event is an object");
        let time = fields.remove("time").expect("an event has a time");
        assert_eq!(time, json!(event.time().as_millis()));
        events.push(json);
    }
    events
}

mod event {
    use super::*;

    #[test]
    fn is_object_of_its_parts() {
        let hub = hub_starting_at(HubConfig::default(), 7);
        let ann = join(&hub, "ann");
        ann.publish("one \"two\"").unwrap();
        rename(&ann, "eve");
        hub.announce("noon").unwrap();
        hub.remove(ann.id(), RemovalReason::Kicked).unwrap();
        let expected = [
            json!({"seq": 7, "kind": "arrived", "subject": "ann", "text": ""}),
            json!({"seq": 8, "kind": "message", "subject": "ann", "text": "one \"two\""}),
            json!({"seq": 9, "kind": "renamed", "subject": "ann", "text": "eve"}),
            json!({"seq": 10, "kind": "announcement", "subject": "", "text": "noon"}),
            json!({"seq": 11, "kind": {"left": "kicked"}, "subject": "eve", "text": ""}),
        ];
        assert_eq!(events(&hub), expected);
    }

    #[test]
    fn kind_is_read_back() {
        for kind in [
            EventKind::Message,
            EventKind::Arrived,
            EventKind::Renamed,
            EventKind::Announcement,
            EventKind::Left(LeaveReason::Panicked),
        ] {
            assert_eq!(
                from_value::<EventKind>(to_value(kind).unwrap()).unwrap(),
                kind
            );
        }
    }
}

mod reason {
    use super::*;

    #[test]
    fn is_one_word() {
        let reasons = [
            (LeaveReason::Left, "left"),
            (LeaveReason::Kicked, "kicked"),
            (LeaveReason::Idle, "idle"),
            (LeaveReason::Nameless, "nameless"),
            (LeaveReason::Misbehaved, "misbehaved"),
            (LeaveReason::Lost, "lost"),
            (LeaveReason::Stalled, "stalled"),
            (LeaveReason::Panicked, "panicked"),
            (LeaveReason::Closed, "closed"),
        ];
        for (reason, word) in reasons {
            assert_eq!(to_value(reason).unwrap(), json!(word));
            assert_eq!(from_value::<LeaveReason>(json!(word)).unwrap(), reason);
        }
    }
}

mod name {
    use super::*;

    #[test]
    fn obeys_the_rules_for_assigned() {
        for text in ["alice", "192.0.2.1:5000", "Ωmega"] {
            let name = Name::assigned(text).unwrap();
            assert_eq!(to_value(&name).unwrap(), json!(text));
            assert_eq!(from_value::<Name>(json!(text)).unwrap(), name);
        }
        for text in ["", "two words", "* notice", "line\nend", "You", "bob:"] {
            assert!(from_value::<Name>(json!(text)).is_err(), "{text:?}");
        }
    }
}

mod position {
    use super::*;

    #[test]
    fn is_read_back() {
        let hub = hub_starting_at(HubConfig::default(), u64::MAX - 1);
        let position = hub.position();
        let json = json!({"epoch": position.epoch, "number": u64::MAX - 1});
        assert_eq!(to_value(position).unwrap(), json);
        assert_eq!(from_value::<Position>(json).unwrap(), position);
    }
}

mod time {
    use super::*;

    #[test]
    fn is_milliseconds() {
        let time = Timestamp::from_millis(1_800_000_000_123);
        assert_eq!(to_value(time).unwrap(), json!(1_800_000_000_123_u64));
        assert_eq!(
            from_value::<Timestamp>(json!(1_800_000_000_123_u64)).unwrap(),
            time
        );
    }
}
