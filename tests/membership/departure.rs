use super::*;
use chat_core::{EventKind, LeaveError};

/// Names and reasons of all departures that the member can read now.
fn departures(member: &mut Member) -> Vec<(String, LeaveReason)> {
    let mut record = Record::of(member);
    record.catch_up(member);
    let departure = |event: &chat_core::Event| match event.kind() {
        EventKind::Left(reason) => Some((event.subject().into(), reason)),
        _ => None,
    };
    record.events().filter_map(departure).collect()
}

#[tokio::test]
async fn is_announced_once_with_reason() {
    let hub = hub();
    let mut observer = join(&hub, "observer");
    drop(join(&hub, "drop"));

    let kicked = join(&hub, "kick");
    let end = hub.remove(kicked.id(), RemovalReason::Kicked).unwrap();
    assert_eq!(end, hub.stats().position.number - 1);
    let again = hub.leave(kicked.id());
    assert_eq!(again, Err(LeaveError::NotHere));
    drop(kicked);

    let panics = join(&hub, "panic");
    let task = tokio::spawn(async move {
        let _owned = panics;
        // A panic without a report in the output of the test.
        resume_unwind(Box::new("on purpose"));
    });
    assert!(task.await.unwrap_err().is_panic());

    let closed = join(&hub, "close");
    let id = closed.id();
    hub.close();
    assert_eq!(hub.leave(id), Err(LeaveError::NotHere));
    drop(closed);

    let expected = [
        ("drop", LeaveReason::Left),
        ("kick", LeaveReason::Kicked),
        ("panic", LeaveReason::Panicked),
    ]
    .map(|(name, reason)| (name.to_string(), reason));
    assert_eq!(departures(&mut observer), expected);
}

#[test]
fn has_one_reason_under_a_race() {
    for round in 0..200 {
        let hub = hub();
        let mut observer = join(&hub, "observer");
        let member = join(&hub, "member");
        let id = member.id();
        let start = Arc::new(Barrier::new(4));
        let closes = round % 2 == 0;
        let race = |run: Box<dyn FnOnce(&Hub) -> bool + Send>| {
            let (hub, start) = (hub.clone(), start.clone());
            thread::spawn(move || {
                start.wait();
                run(&hub)
            })
        };
        let kicks = [RemovalReason::Kicked, RemovalReason::Idle];
        let kicks = kicks.map(|reason| race(Box::new(move |hub| hub.remove(id, reason).is_ok())));
        let drops = race(Box::new(move |_| {
            drop(member);
            false
        }));
        start.wait();
        if closes {
            hub.close();
        }
        let won = kicks.map(|kick| kick.join().unwrap());
        drops.join().unwrap();
        let announced = departures(&mut observer);
        let by_leave = won.iter().filter(|won| **won).count();
        assert!(
            by_leave <= announced.len() && announced.len() <= 1,
            "{announced:?}"
        );
        assert!(closes || announced.len() == 1);
        let consistent = match announced.first() {
            Some((_, LeaveReason::Kicked)) => won[0],
            Some((_, LeaveReason::Idle)) => won[1],
            Some((_, LeaveReason::Left)) | None => by_leave == 0,
            Some(_) => false,
        };
        assert!(consistent, "{announced:?} but {won:?}");
    }
}

#[test]
fn makes_publishing_an_error() {
    let hub = hub();
    let ann = join(&hub, "ann");
    hub.leave(ann.id()).unwrap();
    // The next member reuses the slot; the old id must not address it.
    let bob = join(&hub, "bob");
    let before = hub.stats();
    assert_eq!(ann.publish("x"), Err(PublishError::NotHere));
    let many = hub.publish_many(ann.id(), &["x", "y"]);
    let many = many.unwrap_err();
    assert_eq!((many.published, many.reason), (0, PublishError::NotHere));
    let renamed = hub.rename(ann.id(), "cid".parse().unwrap());
    assert_eq!(renamed, Err(RenameError::NotHere));
    assert_eq!((ann.name(), hub.name(ann.id())), (None, None));
    let id = ann.id();
    drop(ann);
    let _dan = join(&hub, "dan");
    assert_eq!(hub.publish(id, "x"), Err(PublishError::NotHere));
    assert_eq!(hub.stats().position.number, before.position.number + 1);
    hub.close();
    assert_eq!(bob.publish("x"), Err(PublishError::Closed));
    assert_eq!(hub.stats().published, 0);
}
