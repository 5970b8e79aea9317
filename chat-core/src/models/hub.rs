//! Members that wait while other threads publish, join and close the hub.

use super::{Record, block_on, check, hub, hub_with, join, paused_runtime};
use crate::hub::Hub;
use crate::hub::batch::Batch;
use crate::hub::join::{JoinOptions, Joined};
use crate::hub::member::Member;
use crate::types::errors::{JoinError, PublishError};
use crate::types::event::{Delivery, Event, LeaveReason};
use crate::types::ids::MemberId;
use loom::thread::{JoinHandle, spawn};
use std::time::Duration;

fn publishing(
    hub: &Hub,
    id: MemberId,
    text: &'static str,
) -> JoinHandle<Result<u64, PublishError>> {
    let hub = hub.clone();
    spawn(move || hub.publish(id, text))
}

/// A published text is at its number; one that was not published is nowhere.
fn assert_published<const N: usize>(
    record: &Record,
    published: [(Result<u64, PublishError>, &str); N],
) {
    for (published, line) in published {
        let received = record
            .lines()
            .iter()
            .filter(|received| **received == line)
            .count();
        match published {
            Ok(seq) => assert_eq!((record.line(seq), received), (Some(line), 1)),
            Err(error) => assert_eq!((error, received), (PublishError::Closed, 0)),
        }
    }
}

/// Waits for two events.
fn receive_two(member: &mut Member) -> [Event; 2] {
    [(); 2].map(|()| match block_on(member.recv()) {
        Some(Delivery::Event(event)) => event,
        other => panic!("{other:?} is no event"),
    })
}

/// The hub is not closed: closing would hide a lost wake-up.
#[test]
fn two_readers_receive_two_messages() {
    check(1, || {
        let hub = hub();
        let [mut alice, bob, mut carol] = ["alice", "bob", "carol"].map(|name| join(&hub, name));
        let arrivals = receive_two(&mut alice);
        let publishers = [
            publishing(&hub, bob.id(), "one"),
            publishing(&hub, carol.id(), "two"),
        ];
        let other = spawn(move || (receive_two(&mut carol), carol));
        let received = receive_two(&mut alice);
        let (others, _carol) = other.join().unwrap();
        let numbers = publishers.map(|publisher| publisher.join().unwrap().unwrap());

        assert_eq!(received, others);
        let next = arrivals[1].seq() + 1;
        assert_eq!(received.each_ref().map(Event::seq), [next, next + 1]);
        for (seq, line) in numbers.into_iter().zip(["bob: one", "carol: two"]) {
            assert_eq!(received[(seq - next) as usize].line(), line);
        }
    });
}

#[test]
fn two_readers_see_the_close() {
    check(1, || {
        let hub = hub();
        let [mut alice, bob, mut carol] = ["alice", "bob", "carol"].map(|name| join(&hub, name));
        let ids = [bob.id(), carol.id()];
        let publishers = [
            publishing(&hub, ids[0], "one"),
            publishing(&hub, ids[1], "two"),
        ];
        let other = spawn(move || (Record::of(&mut carol), carol));
        let closing = spawn({
            let hub = hub.clone();
            move || hub.close()
        });
        let record = Record::of(&mut alice);
        let (others, _carol) = other.join().unwrap();
        closing.join().unwrap();
        let [one, two] = publishers.map(|publisher| publisher.join().unwrap());

        for record in [&record, &others] {
            assert_eq!(
                (record.reason, record.end()),
                (LeaveReason::Closed, hub.position().number)
            );
            assert_published(record, [(one, "bob: one"), (two, "carol: two")]);
        }
        assert!(record.events.ends_with(&others.events));
        assert_eq!(hub.publish(ids[0], "late"), Err(PublishError::Closed));
        assert_eq!(hub.position().number, record.end());
    });
}

#[test]
fn join_is_atomic() {
    check(3, || {
        let hub = hub();
        let bob = join(&hub, "bob");
        let publisher = publishing(&hub, bob.id(), "one");
        let closing = spawn({
            let hub = hub.clone();
            move || hub.close()
        });
        let mut options = JoinOptions::new("alice".parse().unwrap());
        options.roster = 9;
        match hub.join_with(options) {
            Ok(Joined {
                member: mut alice,
                roster,
                ..
            }) => {
                let position = roster.position.number;
                let names: Vec<_> = roster.names.iter().map(|name| name.as_str()).collect();
                assert_eq!(names, ["bob", "alice"]);
                let record = Record::of(&mut alice);
                assert_eq!(
                    (record.from, record.reason),
                    (position, LeaveReason::Closed)
                );
                let published = publisher.join().unwrap();
                if published.is_err() || published.is_ok_and(|seq| seq >= position) {
                    assert_published(&record, [(published, "bob: one")]);
                } else {
                    assert_eq!(record.lines(), [""; 0]);
                }
            }
            Err(error) => {
                assert_eq!(error, JoinError::Closed);
                let _ = publisher.join().unwrap();
            }
        }
        closing.join().unwrap();
    });
}

#[test]
fn closed_wakes_all_waiters() {
    check(3, || {
        let hub = hub();
        let waiting = [(); 2].map(|()| {
            let hub = hub.clone();
            spawn(move || block_on(hub.closed()))
        });
        hub.close();
        for thread in waiting {
            thread.join().unwrap();
        }
    });
}

/// How the slow reader stops being one.
#[derive(Clone, Copy)]
enum Slow {
    Reads,
    Leaves,
    HubCloses,
}

fn pace_ends(when: Slow) {
    let runtime = paused_runtime();
    let _guard = runtime.enter();
    check(3, move || {
        let hub = hub_with(|config| config.patience = Duration::from_secs(3600));
        let [mut slow, mut writer] = ["slow", "writer"].map(|name| join(&hub, name));
        // So many that the slow reader is about to be overrun, and fewer than the log holds.
        let mut published = 0;
        while !hub.shared.lock().is_crowded() {
            hub.publish_many(writer.id(), &[""; 10]).unwrap();
            published += 10;
        }
        let mut batch = Batch::default();
        writer.try_recv_many(&mut batch).unwrap();
        let waiting = [(); 2].map(|()| {
            let hub = hub.clone();
            spawn(move || block_on(hub.pace()))
        });
        match when {
            Slow::Reads => assert_eq!(slow.try_recv_many(&mut batch), Ok(1 + published)),
            Slow::Leaves => drop(slow),
            Slow::HubCloses => hub.close(),
        }
        for thread in waiting {
            thread.join().unwrap();
        }
    });
}

#[test]
fn pace_ends_when_slow_reader_reads() {
    pace_ends(Slow::Reads);
}

#[test]
fn pace_ends_when_slow_reader_leaves() {
    pace_ends(Slow::Leaves);
}

#[test]
fn pace_ends_when_hub_closes() {
    pace_ends(Slow::HubCloses);
}
