//! Total order: many members publish, join, leave and rename concurrently, and the history checker
//! compares the records of all members.

use chat_core::{
    Hub, HubConfig, JoinError, LeaveReason, Member, PublishError, RemovalReason, TryRecvError,
};
use chat_tests::history::{Checked, History, Published, ReadMethod, Record};
use chat_tests::memory::{DEADLINE, hub_starting_at, join, join_with_roster, rename};
use chat_tests::within;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use tokio::task::{JoinSet, yield_now};

const PUBLISHERS: usize = 8;
const READERS: usize = 8;
/// Lines per publisher.
const LINES: usize = 600;

fn hub_with_log(bytes: usize) -> Hub {
    let mut config = HubConfig::default();
    config.log_bytes = bytes;
    config.max_text = 64;
    Hub::new(config)
}

/// Publishes single texts and batches, and reads between them.
async fn publish(hub: Hub, number: usize) -> History {
    let mut history = History::new();
    let mut member = join(&hub, &format!("publisher{number}"));
    let (mut record, mut published) = (Record::of(&member), Published::of(&member));
    let mut line = 0;
    while line < LINES {
        let many: Vec<_> = (line..LINES.min(line + 1 + line % 5))
            .map(|line| format!("{number} text {line}"))
            .collect();
        let texts: Vec<_> = many.iter().map(String::as_str).collect();
        match texts[..] {
            [text] => published.push(member.publish(text).expect("the member is present"), text),
            _ => {
                let numbers = hub.publish_many(member.id(), &texts);
                let numbers = numbers.expect("the member is present");
                published.push_many(numbers, &texts);
            }
        }
        line += texts.len();
        if line.is_multiple_of(3) {
            record.catch_up(&mut member);
            yield_now().await;
        }
    }
    published.left(hub.leave(member.id()).expect("the member is present"));
    record.read_to_end(&mut member).await;
    history.add(record);
    history.add_published(published);
    history
}

/// Reads to the end with one of the read methods.
async fn read(hub: Hub, number: usize) -> History {
    let mut history = History::new();
    let (mut member, roster) = join_with_roster(&hub, &format!("reader{number}"));
    history.add_roster(roster);
    let mut record = Record::of(&member);
    let method = ReadMethod::nth(number);
    record.read_to_end_with(method, &mut member).await;
    assert_eq!(record.closed(), Some(LeaveReason::Closed));
    history.add(record);
    history
}

/// Joins, renames itself and leaves, by drop or by `leave`, until `stop` is set.
async fn join_and_leave(hub: Hub, number: usize, stop: Arc<AtomicBool>) -> History {
    let mut history = History::new();
    let names = ["ann", "ben", "cat"].map(|name| format!("{name}{number}"));
    for round in 0.. {
        if stop.load(SeqCst) {
            break;
        }
        let name = |at: usize| &names[(round + at) % 3];
        let (mut member, roster) = join_with_roster(&hub, name(0));
        history.add_roster(roster);
        let mut record = Record::of(&member);
        let mut published = Published::of(&member);
        for at in 1..round % 4 {
            published.push(member.publish("hm").expect("the member is present"), "hm");
            rename(&member, name(at));
            record.catch_up(&mut member);
        }
        yield_now().await;
        history.add_roster(hub.roster(usize::MAX));
        if round % 2 == 0 {
            published.left(
                hub.remove(member.id(), RemovalReason::Kicked)
                    .expect("the member is present"),
            );
        }
        record.catch_up(&mut member);
        history.add(record);
        history.add_published(published);
    }
    history
}

/// Runs readers, publishers and changing members, and checks their common history.
async fn run_members(hub: &Hub) -> Result<Checked, String> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut readers = JoinSet::new();
    let mut publishers = JoinSet::new();
    let mut others = JoinSet::new();
    for number in 0..READERS {
        readers.spawn(read(hub.clone(), number));
    }
    while hub.stats().members < READERS {
        yield_now().await;
    }
    for number in 0..3 {
        others.spawn(join_and_leave(hub.clone(), number, stop.clone()));
    }
    for number in 0..PUBLISHERS {
        publishers.spawn(publish(hub.clone(), number));
    }
    let mut history = History::new();
    let mut collect = async |tasks: JoinSet<History>| {
        for part in within(DEADLINE, "the members", tasks.join_all()).await {
            history.merge(part);
        }
    };
    collect(publishers).await;
    stop.store(true, SeqCst);
    collect(others).await;
    let last = hub.roster(usize::MAX);
    assert_eq!(last.total, READERS, "only readers remain");
    hub.close();
    collect(readers).await;
    history.add_roster(last);
    history.check()
}

/// Starts one thread per publisher. All threads join first and call `publish` together.
fn spawn_publishers<T: Send + 'static>(
    hub: &Hub,
    publish: fn(usize, &Member) -> T,
) -> Vec<JoinHandle<T>> {
    let start = Arc::new(Barrier::new(PUBLISHERS));
    let spawn = |number| {
        let (hub, start) = (hub.clone(), start.clone());
        thread::spawn(move || {
            let member = join(&hub, &format!("publisher{number}"));
            start.wait();
            publish(number, &member)
        })
    };
    (0..PUBLISHERS).map(spawn).collect()
}

mod total_order {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn holds_under_concurrent_changes() {
        let hub = hub_with_log(64 << 20);
        let checked = run_members(&hub).await.unwrap();
        let stats = hub.stats();
        assert_eq!(stats.gaps, 0, "the log holds all events");
        // All events but the arrivals before the last reader joined.
        assert!(checked.events as u64 >= stats.position.number - READERS as u64);
        assert!(checked.deliveries >= READERS * PUBLISHERS * LINES);
        assert!(checked.rosters > READERS, "{checked:?}");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn holds_with_different_gaps() {
        let hub = hub_with_log(0);
        let checked = run_members(&hub).await.unwrap();
        let stats = hub.stats();
        assert!(stats.missed > 0, "the log is too small for all");
        assert!(checked.deliveries > 0);
    }

    #[test]
    fn holds_for_plain_threads() {
        let hub = hub_with_log(64 << 20);
        let mut reader = join(&hub, "reader");
        let mut record = Record::of(&reader);
        let publishers = spawn_publishers(&hub, |number, member| {
            let mut published = Published::of(member);
            for line in 0..LINES {
                let text = format!("{number} text {line}");
                let event = member.hub().publish(member.id(), &text).unwrap();
                published.push(event, &text);
            }
            published
        });
        let mut history = History::new();
        while publishers.iter().any(|publisher| !publisher.is_finished()) {
            record.catch_up(&mut reader);
        }
        assert_eq!(record.catch_up(&mut reader), TryRecvError::Empty);
        for publisher in publishers {
            history.add_published(publisher.join().unwrap());
        }
        history.add(record);
        let checked = history.check().unwrap();
        assert_eq!(checked.events, PUBLISHERS * (LINES + 2));
        assert_eq!(hub.stats().position.number, 1 + checked.events as u64);
    }
}

mod batch {
    use super::*;

    #[test]
    fn stays_contiguous() {
        let hub = hub_with_log(64 << 20);
        let mut reader = join(&hub, "reader");
        let mut record = Record::of(&reader);
        let publishers = spawn_publishers(&hub, |_, member| {
            let hub = member.hub();
            for _ in 0..LINES {
                let texts = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"];
                let numbers = hub.publish_many(member.id(), &texts).unwrap();
                assert_eq!(numbers.end - numbers.start, 10);
                member.publish("0").unwrap();
            }
            // An empty batch takes no number.
            let nothing = hub.publish_many(member.id(), &[]).unwrap();
            assert!(nothing.is_empty());
        });
        for publisher in publishers {
            publisher.join().unwrap();
        }
        record.catch_up(&mut reader);
        let events: Vec<_> = record.events().collect();
        let first = |at: &usize| events[*at].text() == "1";
        let mut runs = 0;
        for at in (0..events.len()).filter(first) {
            for (run, event) in events[at..at + 10].iter().enumerate() {
                assert_eq!(event.subject(), events[at].subject());
                assert_eq!(event.text(), (run + 1).to_string());
            }
            runs += 1;
        }
        assert_eq!(runs, PUBLISHERS * LINES);
    }

    #[test]
    fn is_refused_whole_without_numbers() {
        let texts = ["one", "two", "three"];
        for (numbers, enough) in [(2, false), (3, true)] {
            let hub = hub_starting_at(HubConfig::default(), u64::MAX - 1 - numbers);
            let alice = join(&hub, "alice");
            let first = hub.position().number;
            let published = hub.publish_many(alice.id(), &texts);
            match enough {
                true => assert_eq!(published, Ok(first..u64::MAX)),
                false => assert_eq!(published.unwrap_err().reason, PublishError::Closed),
            }
            assert_eq!(hub.is_closed(), !enough);
            let stats = hub.stats();
            let expected = if enough { 3 } else { 0 };
            assert_eq!(stats.published, expected);
            assert_eq!(stats.position.number, first + expected);
        }
    }
}

mod numbers {
    use super::*;

    #[test]
    fn exhaustion_closes_the_hub() {
        for left_over in 0..4 {
            let hub = hub_starting_at(HubConfig::default(), u64::MAX - 3 - left_over);
            let mut alice = join(&hub, "alice");
            let bob = join(&hub, "bob");
            let numbers: Vec<_> = (0..).map_while(|_| bob.publish("hi").ok()).collect();
            assert_eq!(numbers.last(), Some(&(u64::MAX - 1)));
            assert!(hub.is_closed());
            drop(bob);
            assert_eq!(hub.position().number, u64::MAX);
            let mut record = Record::of(&alice);
            record.catch_up(&mut alice);
            assert_eq!(record.check(), Ok(()));
            assert_eq!(record.closed(), Some(LeaveReason::Closed));
        }
        // The same for an arrival without a free number.
        let hub = hub_starting_at(HubConfig::default(), u64::MAX - 1);
        let alice = join(&hub, "alice");
        let refused = hub.join("bob".parse().unwrap());
        assert_eq!(refused.err(), Some(JoinError::Closed));
        assert_eq!((hub.is_closed(), hub.stats().members), (true, 0));
        drop(alice);
        // The same for a departure without a free number.
        let hub = hub_starting_at(HubConfig::default(), u64::MAX - 1);
        drop(join(&hub, "alice"));
        assert!(hub.is_closed());
        let refused = hub.join("alice".parse().unwrap());
        assert_eq!(refused.err(), Some(JoinError::Closed));
    }
}
