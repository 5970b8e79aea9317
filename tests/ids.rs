//! Ids of members: `find` returns the nearest name, events have the ids of their members, and the
//! ids of another hub are rejected.

use chat_core::{
    Delivery, Hub, LeaveError, MemberId, Name, PublishError, RemovalReason, RenameError, SendError,
    Start, Timestamp,
};
use chat_tests::history::Record;
use chat_tests::memory::{hub, join, rename};

fn name(name: &str) -> Name {
    name.parse().expect("the names of the tests are valid")
}

fn find(hub: &Hub, wanted: &str) -> Option<MemberId> {
    hub.find(&name(wanted))
}

mod find {
    use super::*;

    #[test]
    fn prefers_case_to_looks() {
        // `Ivan` is `ivan` in another case, and looks like `lvan`.
        for order in [["lvan", "ivan"], ["ivan", "lvan"]] {
            let hub = hub();
            let members = order.map(|name| join(&hub, name));
            let id = |name: &str| {
                let at = order.iter().position(|held| *held == name);
                at.map(|at| members[at].id())
            };
            assert_eq!(find(&hub, "Ivan"), id("ivan"), "in another case");
            assert_eq!(find(&hub, "IVAN"), id("ivan"), "in another case");
            assert_eq!(find(&hub, "ivan"), id("ivan"), "exactly");
            assert_eq!(find(&hub, "lvan"), id("lvan"), "exactly");
            assert_eq!(find(&hub, "LVAN"), id("lvan"), "in another case");
        }
    }

    #[test]
    fn falls_back_to_looks() {
        let hub = hub();
        let lvan = join(&hub, "lvan");
        assert_eq!(find(&hub, "Ivan"), Some(lvan.id()));
        assert_eq!(find(&hub, "ivan"), None, "it looks like neither");
        let ivan = join(&hub, "ivan");
        assert_eq!(find(&hub, "Ivan"), Some(ivan.id()));
        rename(&ivan, "bob");
        assert_eq!(find(&hub, "Ivan"), Some(lvan.id()));
        hub.leave(lvan.id()).unwrap();
        assert_eq!(find(&hub, "Ivan"), None);
        hub.close();
        assert_eq!(find(&hub, "bob"), None);
    }
}

mod event {
    use super::*;

    #[test]
    fn has_the_id_of_its_member() {
        let hub = hub();
        let mut log = hub.subscribe(Start::Now);
        let ann = join(&hub, "ann");
        ann.publish("hi").unwrap();
        rename(&ann, "eve");
        let bob = join(&hub, "ann");
        bob.publish("hi").unwrap();
        hub.announce("*").unwrap();
        hub.leave(ann.id()).unwrap();
        let expected = [
            ("ann has arrived", Some(ann.id())),
            ("ann: hi", Some(ann.id())),
            ("ann is now eve", Some(ann.id())),
            ("ann has arrived", Some(bob.id())),
            ("ann: hi", Some(bob.id())),
            ("*** *", None),
            ("eve has left", Some(ann.id())),
        ];
        let mut record = Record::of_subscriber(&log);
        record.catch_up_with(|| log.try_recv());
        let received: Vec<_> = record.events().map(|e| (e.line(), e.member())).collect();
        assert_eq!(received, expected);
    }

    #[test]
    fn differs_after_slot_reuse() {
        let hub = hub();
        let mut log = hub.subscribe(Start::Now);
        let mut ids = std::collections::BTreeSet::new();
        for _ in 0..100 {
            let ann = join(&hub, "ann");
            assert!(ids.insert(ann.id()), "the id is new");
            drop(ann);
            let Ok(Delivery::Event(event)) = log.try_recv() else {
                panic!("the arrival is there")
            };
            assert_eq!(event.member().as_ref(), ids.last());
            log.try_recv().unwrap();
        }
    }
}

mod foreign_id {
    use super::*;

    #[test]
    fn is_rejected_by_every_method() {
        let [one, other] = [hub(), hub()];
        let mut own = join(&one, "ann");
        // The same slot of another hub.
        let foreigner = join(&other, "ann");
        let id = foreigner.id();
        assert_ne!(own.id(), id);
        let before = (one.stats(), one.roster(9), other.stats(), other.roster(9));
        let long = "x".repeat(1 << 20);
        for text in ["x", &long] {
            assert_eq!(one.publish(id, text), Err(PublishError::NotHere));
            let many = one.publish_many(id, &[text, text]).unwrap_err();
            assert_eq!((many.published, many.reason), (0, PublishError::NotHere));
            assert_eq!(one.notify(id, text), Err(SendError::RecipientNotHere));
            assert_eq!(
                one.send(own.id(), id, text),
                Err(SendError::RecipientNotHere)
            );
            let sent = one.send(id, own.id(), text);
            assert_eq!(sent, Err(SendError::SenderNotHere));
        }
        assert_eq!(one.rename(id, name("eve")), Err(RenameError::NotHere));
        assert_eq!(one.mute(id, Timestamp::MAX), Err(LeaveError::NotHere));
        assert_eq!(one.leave(id), Err(LeaveError::NotHere));
        let removed = one.remove(id, RemovalReason::Kicked);
        assert_eq!(removed, Err(LeaveError::NotHere));
        assert_eq!(one.name(id), None);
        assert!(own.try_recv().is_err(), "it receives nothing");
        let after = (one.stats(), one.roster(9), other.stats(), other.roster(9));
        assert_eq!(after, before, "nothing has changed");
        own.publish("not muted").unwrap();
        foreigner.publish("not muted").unwrap();
    }
}
