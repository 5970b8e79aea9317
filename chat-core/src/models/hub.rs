//! Members that wait for a hub in which others publish, come, and close it.

use super::{Record, block_on, check, hub, hub_that, join, stopped_clock};
use crate::hub::Hub;
use crate::hub::batch::Batch;
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

/// Each text is where its number says if it was published, and else nowhere.
fn assert_published<const N: usize>(
    record: &Record,
    published: [(Result<u64, PublishError>, &str); N],
) {
    for (published, line) in published {
        let given = record
            .lines()
            .iter()
            .filter(|given| **given == line)
            .count();
        match published {
            Ok(seq) => assert_eq!((record.line(seq), given), (Some(line), 1)),
            Err(error) => assert_eq!((error, given), (PublishError::Closed, 0)),
        }
    }
}

/// Waits for two events.
fn hear_two(member: &mut Member) -> [Event; 2] {
    [(); 2].map(|()| match block_on(member.recv()) {
        Some(Delivery::Event(event)) => event,
        other => panic!("{other:?} is no event"),
    })
}

/// Without an end that would wake whoever was forgotten.
#[test]
fn two_publish_and_two_wait_for_both() {
    check(1, || {
        let hub = hub();
        let [mut alice, bob, mut carol] = ["alice", "bob", "carol"].map(|name| join(&hub, name));
        let arrivals = hear_two(&mut alice);
        let publishers = [
            publishing(&hub, bob.id(), "one"),
            publishing(&hub, carol.id(), "two"),
        ];
        let other = spawn(move || (hear_two(&mut carol), carol));
        let heard = hear_two(&mut alice);
        let (others, _carol) = other.join().unwrap();
        let numbers = publishers.map(|publisher| publisher.join().unwrap().unwrap());

        assert_eq!(heard, others);
        let next = arrivals[1].seq() + 1;
        assert_eq!(heard.each_ref().map(Event::seq), [next, next + 1]);
        for (seq, line) in numbers.into_iter().zip(["bob: one", "carol: two"]) {
            assert_eq!(heard[(seq - next) as usize].line(), line);
        }
    });
}

#[test]
fn two_publish_two_wait_and_the_hub_closes() {
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
                (LeaveReason::Closed, hub.position())
            );
            assert_published(record, [(one, "bob: one"), (two, "carol: two")]);
        }
        assert!(record.events.ends_with(&others.events));
        assert_eq!(hub.publish(ids[0], "late"), Err(PublishError::Closed));
        assert_eq!(hub.position(), record.end());
    });
}

#[test]
fn joining_is_one_point_in_the_order() {
    check(3, || {
        let hub = hub();
        let bob = join(&hub, "bob");
        let publisher = publishing(&hub, bob.id(), "one");
        let closing = spawn({
            let hub = hub.clone();
            move || hub.close()
        });
        match hub.join_with_roster("alice".parse().unwrap(), 9) {
            Ok((mut alice, roster)) => {
                let names: Vec<_> = roster.names.iter().map(|name| name.as_str()).collect();
                assert_eq!(names, ["bob", "alice"]);
                let record = Record::of(&mut alice);
                assert_eq!(
                    (record.from, record.reason),
                    (roster.position, LeaveReason::Closed)
                );
                let published = publisher.join().unwrap();
                if published.is_err() || published.is_ok_and(|seq| seq >= roster.position) {
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
fn who_waits_for_the_end_is_told() {
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

/// What ends the wait of those who would overrun a member.
#[derive(Clone, Copy)]
enum Room {
    Reads,
    Leaves,
    Closes,
}

fn who_waits_for_room_gets_it(by: Room) {
    let clock = stopped_clock();
    let _guard = clock.enter();
    check(3, move || {
        let hub = hub_that(|config| config.patience = Duration::from_secs(3600));
        let [mut slow, mut writer] = ["slow", "writer"].map(|name| join(&hub, name));
        // So many that there is no room, and fewer than the log can hold.
        let mut said = 0;
        while !hub.shared.lock().is_crowded() {
            hub.publish_many(writer.id(), &[""; 10]).unwrap();
            said += 10;
        }
        let mut batch = Batch::default();
        writer.try_recv_many(&mut batch).unwrap();
        let waiting = [(); 2].map(|()| {
            let hub = hub.clone();
            spawn(move || block_on(hub.pace()))
        });
        match by {
            Room::Reads => assert_eq!(slow.try_recv_many(&mut batch), Ok(1 + said)),
            Room::Leaves => drop(slow),
            Room::Closes => hub.close(),
        }
        for thread in waiting {
            thread.join().unwrap();
        }
    });
}

#[test]
fn who_waits_for_room_gets_it_when_the_slow_one_reads() {
    who_waits_for_room_gets_it(Room::Reads);
}

#[test]
fn who_waits_for_room_gets_it_when_the_slow_one_leaves() {
    who_waits_for_room_gets_it(Room::Leaves);
}

#[test]
fn who_waits_for_room_gets_it_when_the_hub_closes() {
    who_waits_for_room_gets_it(Room::Closes);
}
