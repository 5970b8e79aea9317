//! Members that leave, in several ways at once, while other threads publish and wait.

use super::{Record, check, hub, hub_with, join};
use crate::hub::Hub;
use crate::hub::member::Member;
use crate::types::errors::{JoinError, LeaveError, PublishError};
use crate::types::event::{EventKind, LeaveReason, RemovalReason};
use loom::thread::spawn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// The member is removed and dropped while it publishes, and perhaps the hub closes.
fn leaves_once(closes: bool) {
    check(3, move || {
        let hub = hub();
        let [mut alice, bob] = ["alice", "bob"].map(|name| join(&hub, name));
        let id = bob.id();
        let kicker = spawn({
            let hub = hub.clone();
            move || hub.remove(id, RemovalReason::Kicked)
        });
        let publisher = spawn({
            let hub = hub.clone();
            move || ["one", "two"].map(|text| hub.publish(id, text))
        });
        let dropper = spawn(move || drop(bob));
        if closes {
            hub.close();
        }
        let kicked = kicker.join().unwrap();
        let published = publisher.join().unwrap();
        dropper.join().unwrap();

        assert!(hub.publish(id, "late").is_err());
        assert_eq!(hub.leave(id), Err(LeaveError::NotHere));
        let again = hub.join("bob".parse().unwrap()).map(drop);
        assert_eq!(
            again,
            if closes {
                Err(JoinError::Closed)
            } else {
                Ok(())
            }
        );
        hub.close();
        let record = Record::of(&mut alice);
        assert_left_once(&record, closes, kicked, published);
    });
}

/// `bob` has one departure, at the number that `remove` returned if it succeeded, and no message
/// after it.
fn assert_left_once(
    record: &Record,
    closes: bool,
    kicked: Result<u64, LeaveError>,
    published: [Result<u64, PublishError>; 2],
) {
    // Without the events of the second bob.
    let until = if closes {
        record.events.len()
    } else {
        record.events.len() - 2
    };
    let mut departures = record.events[..until]
        .iter()
        .filter(|event| matches!(event.kind(), EventKind::Left(_)));
    let left = departures.next();
    assert_eq!(departures.next(), None);
    // Closing takes no place in the log.
    assert!(left.is_some() || closes);
    let removed = left.filter(|left| left.kind() == EventKind::Left(LeaveReason::Kicked));
    assert_eq!(kicked.ok(), removed.map(|left| left.seq()));
    let end = left.map_or(record.end(), |left| left.seq());
    for (result, line) in published.into_iter().zip(["bob: one", "bob: two"]) {
        match result {
            Ok(seq) => assert!(seq < end && record.line(seq) == Some(line)),
            Err(error) => assert!(error == PublishError::NotHere || closes),
        }
    }
    let messages = record
        .events
        .iter()
        .filter(|event| event.kind() == EventKind::Message);
    assert_eq!(messages.count(), published.iter().flatten().count());
}

#[test]
fn member_leaves_once() {
    leaves_once(false);
}

#[test]
fn member_leaves_once_despite_close() {
    leaves_once(true);
}

/// A member that waits is removed while another publishes.
fn removal_ends_the_stream(hub: impl Fn() -> Hub + Sync + Send + 'static) {
    check(3, move || {
        let hub = hub();
        let [alice, mut bob] = ["alice", "bob"].map(|name| join(&hub, name));
        let id = bob.id();
        let reader = spawn(move || (Record::of(&mut bob), bob));
        let publisher = spawn(move || (alice.publish("one").unwrap(), alice));
        let end = hub.remove(id, RemovalReason::Kicked).unwrap();
        let (record, _bob) = reader.join().unwrap();
        let (seq, _alice) = publisher.join().unwrap();
        assert_eq!((record.reason, record.end()), (LeaveReason::Kicked, end));
        assert_eq!(record.line(seq), (seq < end).then_some("alice: one"));
        assert_eq!(record.events.len(), usize::from(seq < end));
    });
}

#[test]
fn removal_wakes_the_member() {
    removal_ends_the_stream(hub);
}

#[test]
fn unannounced_removal_wakes_the_member() {
    removal_ends_the_stream(|| hub_with(|config| config.announce_up_to = Some(0)));
}

/// Waits, and is dropped while it does.
fn wait_and_drop(mut member: Member) {
    let waker = Waker::noop();
    while let Poll::Ready(Some(_)) = pin!(member.recv()).poll(&mut Context::from_waker(waker)) {}
}

#[test]
fn dropped_waiter_leaves_others_registered() {
    check(2, || {
        let hub = hub();
        // The first and the third share a wait list.
        let [mut alice, bob, carol] = ["alice", "bob", "carol"].map(|name| join(&hub, name));
        let dropper = spawn(move || wait_and_drop(carol));
        let publisher = spawn({
            let hub = hub.clone();
            move || {
                let numbers = ["one", "two"].map(|text| bob.publish(text).unwrap());
                hub.close();
                (numbers, bob)
            }
        });
        let record = Record::of(&mut alice);
        dropper.join().unwrap();
        let (numbers, _bob) = publisher.join().unwrap();
        assert_eq!(
            numbers.map(|seq| record.line(seq).unwrap()),
            ["bob: one", "bob: two"]
        );
        assert_eq!(record.end(), hub.position().number);
    });
}
