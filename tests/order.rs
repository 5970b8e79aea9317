//! One order for all: many members that talk, come, go and rename themselves at the same time, and
//! every record held against every other.

use chat_core::{Batch, Hub, HubConfig, JoinError, LeaveReason, PublishError, TryRecvError};
use chat_tests::history::{Checked, History, Record, Said};
use chat_tests::memory::{DEADLINE, join, join_with_roster, rename, timely};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread;
use tokio::task::{JoinSet, yield_now};
use tokio_stream::StreamExt;

const PUBLISHERS: usize = 8;
const READERS: usize = 8;
/// Lines of each publisher.
const LINES: usize = 600;

fn hub_with_log(bytes: usize) -> Hub {
    let mut config = HubConfig::default();
    config.log_bytes = bytes;
    config.max_text = 64;
    Hub::new(config)
}

/// Publishes, one by one and several at a time, and reads now and then.
async fn talk(hub: Hub, number: usize) -> History {
    let mut history = History::new();
    let mut member = join(&hub, &format!("talker{number}"));
    let (mut record, mut said) = (Record::of(&member), Said::of(&member));
    let mut line = 0;
    while line < LINES {
        let many: Vec<_> = (line..LINES.min(line + 1 + line % 5))
            .map(|line| format!("{number} says {line}"))
            .collect();
        let texts: Vec<_> = many.iter().map(String::as_str).collect();
        match texts[..] {
            [text] => said.push(member.publish(text).expect("it is here"), text),
            _ => {
                let numbers = hub.publish_many(member.id(), &texts);
                let numbers = numbers.expect("it is here");
                said.push_many(numbers, &texts);
            }
        }
        line += texts.len();
        if line.is_multiple_of(3) {
            record.catch_up(&mut member);
            yield_now().await;
        }
    }
    said.left(
        hub.leave(member.id(), LeaveReason::Left)
            .expect("it is here"),
    );
    record.read_to_end(&mut member).await;
    history.add(record);
    history.add_said(said);
    history
}

/// Reads to the end in one of the ways there are.
async fn read(hub: Hub, number: usize) -> History {
    let mut history = History::new();
    let (mut member, roster) = join_with_roster(&hub, &format!("reader{number}"));
    history.add_roster(roster);
    let mut record = Record::of(&member);
    match number % 3 {
        0 => record.read_to_end(&mut member).await,
        1 => {
            while let Some(delivery) = member.next().await {
                record.push(delivery);
            }
        }
        _ => {
            let mut batch = Batch::default();
            while member.recv_many(&mut batch).await > 0 {
                record.push_batch(&batch);
            }
        }
    }
    assert_eq!(record.closed(), Some(LeaveReason::Closed));
    history.add(record);
    history
}

/// Comes, renames itself, goes, by drop or by `leave`, again and again until it is enough.
async fn come_and_go(hub: Hub, number: usize, enough: Arc<AtomicBool>) -> History {
    let mut history = History::new();
    let names = ["ann", "ben", "cat"].map(|name| format!("{name}{number}"));
    for round in 0.. {
        if enough.load(SeqCst) {
            break;
        }
        let name = |at: usize| &names[(round + at) % 3];
        let (mut member, roster) = join_with_roster(&hub, name(0));
        history.add_roster(roster);
        let mut record = Record::of(&member);
        let mut said = Said::of(&member);
        for at in 1..round % 4 {
            said.push(member.publish("hm").expect("it is here"), "hm");
            rename(&member, name(at));
            record.catch_up(&mut member);
        }
        yield_now().await;
        history.add_roster(hub.roster(usize::MAX));
        if round % 2 == 0 {
            said.left(
                hub.leave(member.id(), LeaveReason::Kicked)
                    .expect("it is here"),
            );
        }
        record.catch_up(&mut member);
        history.add(record);
        history.add_said(said);
    }
    history
}

/// Lets them all loose, and gives what is to be said of what they saw.
async fn party(hub: &Hub) -> Result<Checked, String> {
    let enough = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    let mut talkers = JoinSet::new();
    let mut others = JoinSet::new();
    for number in 0..READERS {
        readers.spawn(read(hub.clone(), number));
    }
    while hub.stats().members < READERS {
        yield_now().await;
    }
    for number in 0..3 {
        others.spawn(come_and_go(hub.clone(), number, enough.clone()));
    }
    for number in 0..PUBLISHERS {
        talkers.spawn(talk(hub.clone(), number));
    }
    let mut history = History::new();
    let mut collect = async |tasks: JoinSet<History>| {
        for part in timely(DEADLINE, "the party", tasks.join_all()).await {
            history.merge(part);
        }
    };
    collect(talkers).await;
    enough.store(true, SeqCst);
    collect(others).await;
    let last = hub.roster(usize::MAX);
    assert_eq!(last.total, READERS, "who was not asked to leave");
    hub.close();
    collect(readers).await;
    history.add_roster(last);
    history.check()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_see_one_order_while_members_talk_come_go_and_rename() {
    let hub = hub_with_log(64 << 20);
    let checked = party(&hub).await.unwrap();
    let stats = hub.stats();
    assert_eq!(stats.gaps, 0, "the log has room for all");
    // All but what happened before the first of them was here.
    assert!(checked.events as u64 >= stats.position - READERS as u64);
    assert!(checked.deliveries >= READERS * PUBLISHERS * LINES);
    assert!(checked.rosters > READERS, "{checked:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_see_one_order_also_when_each_misses_another_part_of_it() {
    let hub = hub_with_log(0);
    let checked = party(&hub).await.unwrap();
    let stats = hub.stats();
    assert!(stats.missed > 0, "the log is too small for all");
    assert!(checked.deliveries > 0);
}

#[test]
fn threads_without_a_runtime_publish_in_the_same_order() {
    let hub = hub_with_log(64 << 20);
    let mut reader = join(&hub, "reader");
    let mut record = Record::of(&reader);
    let start = Arc::new(Barrier::new(PUBLISHERS));
    let talkers: Vec<_> = (0..PUBLISHERS)
        .map(|number| {
            let (hub, start) = (hub.clone(), start.clone());
            thread::spawn(move || {
                let member = join(&hub, &format!("talker{number}"));
                let mut said = Said::of(&member);
                start.wait();
                for line in 0..LINES {
                    let text = format!("{number} says {line}");
                    said.push(hub.publish(member.id(), &text).unwrap(), &text);
                }
                said
            })
        })
        .collect();
    let mut history = History::new();
    while talkers.iter().any(|talker| !talker.is_finished()) {
        record.catch_up(&mut reader);
    }
    assert_eq!(record.catch_up(&mut reader), TryRecvError::Empty);
    for talker in talkers {
        history.add_said(talker.join().unwrap());
    }
    history.add(record);
    let checked = history.check().unwrap();
    assert_eq!(checked.events, PUBLISHERS * (LINES + 2));
    assert_eq!(hub.stats().position, 1 + checked.events as u64);
}

#[test]
fn what_is_published_together_stands_together() {
    let hub = hub_with_log(64 << 20);
    let mut reader = join(&hub, "reader");
    let mut record = Record::of(&reader);
    let start = Arc::new(Barrier::new(PUBLISHERS));
    let talkers: Vec<_> = (0..PUBLISHERS)
        .map(|number| {
            let (hub, start) = (hub.clone(), start.clone());
            thread::spawn(move || {
                let member = join(&hub, &format!("talker{number}"));
                start.wait();
                for _ in 0..LINES {
                    let texts = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"];
                    let numbers = hub.publish_many(member.id(), &texts).unwrap();
                    assert_eq!(numbers.end - numbers.start, 10);
                    member.publish("0").unwrap();
                }
                // Its number is the position, and it takes none.
                let nothing = hub.publish_many(member.id(), &[]).unwrap();
                assert!(nothing.is_empty());
            })
        })
        .collect();
    for talker in talkers {
        talker.join().unwrap();
    }
    record.catch_up(&mut reader);
    let events: Vec<_> = record.events().collect();
    let first = |at: &usize| events[*at].text() == "1";
    let mut runs = 0;
    for at in (0..events.len()).filter(first) {
        for (run, event) in events[at..at + 10].iter().enumerate() {
            assert_eq!(event.sender(), events[at].sender());
            assert_eq!(event.text(), (run + 1).to_string());
        }
        runs += 1;
    }
    assert_eq!(runs, PUBLISHERS * LINES);
}

#[test]
fn when_the_numbers_run_out_the_hub_closes() {
    for left_over in 0..4 {
        let hub = Hub::starting_at(HubConfig::default(), u64::MAX - 3 - left_over);
        let mut alice = join(&hub, "alice");
        let bob = join(&hub, "bob");
        let numbers: Vec<_> = (0..).map_while(|_| bob.publish("hi").ok()).collect();
        assert_eq!(numbers.last(), Some(&(u64::MAX - 1)));
        assert!(hub.is_closed());
        drop(bob);
        assert_eq!(hub.position(), u64::MAX);
        let mut record = Record::of(&alice);
        record.catch_up(&mut alice);
        assert_eq!(record.check(), Ok(()));
        assert_eq!(record.closed(), Some(LeaveReason::Closed));
    }
    // Also if it is a leaving for which there is none.
    let hub = Hub::starting_at(HubConfig::default(), u64::MAX - 1);
    drop(join(&hub, "alice"));
    assert!(hub.is_closed());
    let refused = hub.join("alice".parse().unwrap());
    assert_eq!(refused.err(), Some(JoinError::Closed));
}

#[test]
fn texts_for_which_there_are_too_few_numbers_are_refused_together() {
    let texts = ["one", "two", "three"];
    for (numbers, enough) in [(2, false), (3, true)] {
        let hub = Hub::starting_at(HubConfig::default(), u64::MAX - 1 - numbers);
        let alice = join(&hub, "alice");
        let first = hub.position();
        let published = hub.publish_many(alice.id(), &texts);
        match enough {
            true => assert_eq!(published, Ok(first..u64::MAX)),
            false => assert_eq!(published, Err(PublishError::Closed)),
        }
        assert_eq!(hub.is_closed(), !enough);
        let stats = hub.stats();
        let expected = if enough { 3 } else { 0 };
        assert_eq!(stats.published, expected);
        assert_eq!(stats.position, first + expected);
    }
}
