//! Members that leave, in one way or several at once, while others publish and wait.

use super::{Record, check, hub, hub_that, join};
use crate::hub::Hub;
use crate::hub::member::Member;
use crate::types::errors::{JoinError, LeaveError, PublishError};
use crate::types::event::{EventKind, LeaveReason};
use loom::thread::spawn;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

/// The member is sent away, dropped and heard at the same time, and perhaps the hub closes.
fn leaves_once(closes: bool) {
    check(3, move || {
        let hub = hub();
        let [mut alice, bob] = ["alice", "bob"].map(|name| join(&hub, name));
        let id = bob.id();
        let kicker = spawn({
            let hub = hub.clone();
            move || hub.leave(id, LeaveReason::Kicked)
        });
        let talker = spawn({
            let hub = hub.clone();
            move || ["one", "two"].map(|text| hub.publish(id, text))
        });
        let dropper = spawn(move || drop(bob));
        if closes {
            hub.close();
        }
        let kicked = kicker.join().unwrap();
        let said = talker.join().unwrap();
        dropper.join().unwrap();

        assert!(hub.publish(id, "late").is_err());
        assert_eq!(hub.leave(id, LeaveReason::Idle), Err(LeaveError::NotHere));
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
        assert_left_once(&record, closes, kicked, said);
    });
}

/// `bob` has one leaving, the one that `leave` knows of if it was that, and none of his texts is
/// after it.
fn assert_left_once(
    record: &Record,
    closes: bool,
    kicked: Result<u64, LeaveError>,
    said: [Result<u64, PublishError>; 2],
) {
    // Without those of the second bob.
    let until = if closes {
        record.events.len()
    } else {
        record.events.len() - 2
    };
    let mut leavings = record.events[..until]
        .iter()
        .filter(|event| matches!(event.kind(), EventKind::Left(_)));
    let left = leavings.next();
    assert_eq!(leavings.next(), None);
    // Closing takes no place in the log.
    assert!(left.is_some() || closes);
    let sent_away = left.filter(|left| left.kind() == EventKind::Left(LeaveReason::Kicked));
    assert_eq!(kicked.ok(), sent_away.map(|left| left.seq()));
    let end = left.map_or(record.end(), |left| left.seq());
    for (published, line) in said.into_iter().zip(["bob: one", "bob: two"]) {
        match published {
            Ok(seq) => assert!(seq < end && record.line(seq) == Some(line)),
            Err(error) => assert!(error == PublishError::NotHere || closes),
        }
    }
    let messages = record
        .events
        .iter()
        .filter(|event| event.kind() == EventKind::Message);
    assert_eq!(messages.count(), said.iter().flatten().count());
}

#[test]
fn a_member_leaves_once() {
    leaves_once(false);
}

#[test]
fn a_member_leaves_once_also_when_the_hub_closes() {
    leaves_once(true);
}

/// A member that waits is sent away while somebody publishes.
fn is_told(hub: impl Fn() -> Hub + Sync + Send + 'static) {
    check(3, move || {
        let hub = hub();
        let [alice, mut bob] = ["alice", "bob"].map(|name| join(&hub, name));
        let id = bob.id();
        let reader = spawn(move || (Record::of(&mut bob), bob));
        let talker = spawn(move || (alice.publish("one").unwrap(), alice));
        let end = hub.leave(id, LeaveReason::Kicked).unwrap();
        let (record, _bob) = reader.join().unwrap();
        let (seq, _alice) = talker.join().unwrap();
        assert_eq!((record.reason, record.end()), (LeaveReason::Kicked, end));
        assert_eq!(record.line(seq), (seq < end).then_some("alice: one"));
        assert_eq!(record.events.len(), usize::from(seq < end));
    });
}

#[test]
fn who_is_sent_away_is_told() {
    is_told(hub);
}

#[test]
fn who_is_sent_away_unannounced_is_told() {
    is_told(|| hub_that(|config| config.announce_up_to = Some(0)));
}

/// Waits, and is dropped while it does.
fn gives_up(mut member: Member) {
    let waker = Waker::noop();
    while let Poll::Ready(Some(_)) = pin!(member.recv()).poll(&mut Context::from_waker(waker)) {}
}

#[test]
fn who_gives_up_waiting_takes_nobody_along() {
    check(2, || {
        let hub = hub();
        // The first and the third share a bell.
        let [mut alice, bob, carol] = ["alice", "bob", "carol"].map(|name| join(&hub, name));
        let quitter = spawn(move || gives_up(carol));
        let talker = spawn({
            let hub = hub.clone();
            move || {
                let said = ["one", "two"].map(|text| bob.publish(text).unwrap());
                hub.close();
                (said, bob)
            }
        });
        let record = Record::of(&mut alice);
        quitter.join().unwrap();
        let (said, _bob) = talker.join().unwrap();
        assert_eq!(
            said.map(|seq| record.line(seq).unwrap()),
            ["bob: one", "bob: two"]
        );
        assert_eq!(record.end(), hub.position());
    });
}
