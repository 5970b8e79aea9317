//! All operations at once on several threads until the hub closes: members publish, read with every
//! method and at every pace, send direct messages, compete for a few names, and one task removes
//! members. Subscribers read along, and tasks wait until all have read. No task waits for a time. The
//! history checker compares all records with the promises.

mod members;
mod read_by_all;
mod sessions;

use chat_core::{EventKind, Hub, HubConfig, JoinError, LeaveReason, Name, ReadByAllError, Start};
use chat_tests::history::{History, Record};
use chat_tests::memory::{DEADLINE, hub_starting_at, join, join_with_limit, join_with_roster};
use chat_tests::within;
use members::{READ_PATTERNS, compete, follow, publish, read, remove_members, resume};
use std::sync::{Arc, Barrier};
use std::thread;
use tokio::task::{JoinSet, yield_now};

/// The minimal number of events before the hub is closed.
const EVENTS: u64 = 12_000;

const PUBLISHERS: usize = 4;
const RIVALS: usize = 4;

/// The result of [`run_all`].
struct RunResult {
    history: History,
    /// How many members were removed.
    removed: u64,
    /// The events of the observer, which reads without a pause.
    observed: Vec<EventKind>,
}

/// Runs all members on a hub, which is closed after this number of events or closes itself.
async fn run_all(hub: &Hub, close_after: u64) -> RunResult {
    let mut history = History::new();
    let mut tasks = JoinSet::new();
    // All members join before the first operation, so each of them receives every event.
    let mut members = Vec::new();
    for number in 0..READ_PATTERNS.len() + PUBLISHERS {
        let (member, roster) = join_with_roster(hub, &format!("member{number}"));
        history.add_roster(roster);
        members.push((Record::of(&member), member));
    }
    let mut observer = join(hub, "observer");
    let mut observed = Record::of(&observer);
    let observer = tokio::spawn(async move {
        observed.read_to_end(&mut observer).await;
        observed
    });
    let ids: Vec<_> = members.iter().map(|(_, member)| member.id()).collect();
    for (record, member) in members.drain(..PUBLISHERS) {
        tasks.spawn(publish(member, record, ids.clone()));
    }
    for pause in [0, 1_000] {
        tasks.spawn(follow(hub.subscribe(Start::Now), pause));
    }
    tasks.spawn(resume(hub.subscribe(Start::Now)));
    // One member reads nothing before the close, so all waits end after it.
    let mut waits = JoinSet::new();
    for events in [0, 100, u64::MAX / 2] {
        let hub = hub.clone();
        waits.spawn(async move {
            let number = hub.position().number.saturating_add(events);
            (number, hub.read_by_all(number).await)
        });
    }
    for ((record, member), pattern) in members.into_iter().zip(READ_PATTERNS) {
        tasks.spawn(read(member, record, pattern));
    }
    for number in 0..RIVALS {
        tasks.spawn(compete(hub.clone(), number));
    }
    let removed = tokio::spawn(remove_members(hub.clone()));
    let end = hub.position().number.saturating_add(close_after);
    let running = async {
        while hub.position().number < end && !hub.is_closed() {
            let roster = hub.roster(usize::MAX);
            if !hub.is_closed() {
                history.add_roster(roster);
            }
            yield_now().await;
        }
    };
    within(DEADLINE, "running", running).await;
    hub.close();
    for part in within(DEADLINE, "closing", tasks.join_all()).await {
        history.merge(part);
    }
    let observed = within(DEADLINE, "closing", observer).await;
    let removed = within(DEADLINE, "closing", removed).await;
    for (number, result) in within(DEADLINE, "reading", waits.join_all()).await {
        let reached = number <= hub.position().number;
        assert_eq!(reached, result != Err(ReadByAllError::Closed), "{result:?}");
    }
    let (observed, removed) = (observed.expect("no panic"), removed.expect("no panic"));
    let kinds = observed.events().map(|event| event.kind()).collect();
    history.add(observed);
    RunResult {
        history,
        removed,
        observed: kinds,
    }
}

fn hub(log_bytes: usize, first: u64) -> Hub {
    let mut config = HubConfig::default();
    (config.log_bytes, config.max_text) = (log_bytes, 64);
    hub_starting_at(config, first)
}

/// Checks the promises that hold for any number of missed events.
fn check(hub: &Hub, result: &RunResult) {
    let checked = result.history.check();
    let checked = checked.expect("the common history keeps the promises");
    assert!(checked.deliveries > 0 && checked.rosters > 0, "{checked:?}");
    assert!(checked.mail > 0, "{checked:?}");
    let stats = hub.stats();
    assert!(hub.is_closed());
    assert_eq!((stats.members, hub.roster(1).total), (0, 0));
    assert_eq!(
        stats.published,
        result.history.published(),
        "every number of a message belongs to a publisher"
    );
    assert_eq!((stats.gaps, stats.missed), result.history.gap_counts());
    assert_eq!(stats.overrun, 0, "no member is left");
}

mod total_order {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn holds_until_a_concurrent_close() {
        let hub = hub(64 << 20, 0);
        let result = run_all(&hub, EVENTS).await;
        check(&hub, &result);
        let stats = hub.stats();
        assert_eq!(stats.missed, 0, "the log holds all events");
        // A member that was present from the start and missed nothing has every arrival and
        // departure.
        let observed = result.observed;
        let count =
            |is: fn(EventKind) -> bool| observed.iter().filter(|kind| is(**kind)).count() as u64;
        let present = (READ_PATTERNS.len() + PUBLISHERS) as u64 + 1;
        assert_eq!(observed.len() as u64, stats.position.number - present);
        assert_eq!(count(|kind| kind == EventKind::Message), stats.published);
        assert_eq!(
            count(|kind| kind == EventKind::Left(LeaveReason::Kicked)),
            result.removed
        );
        let departures = count(|kind| matches!(kind, EventKind::Left(_)));
        let arrivals = count(|kind| kind == EventKind::Arrived);
        let expected = departures..=departures + RIVALS as u64;
        assert!(
            expected.contains(&arrivals),
            "{arrivals} arrivals, {departures} departures"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn holds_under_constant_overrun() {
        let hub = hub(0, 0);
        let result = run_all(&hub, EVENTS).await;
        check(&hub, &result);
        assert!(hub.stats().missed > 0, "the log is too small for all");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn holds_until_numbers_run_out() {
        for log_bytes in [0, 64 << 20] {
            let hub = hub(log_bytes, u64::MAX - EVENTS);
            let result = run_all(&hub, u64::MAX).await;
            check(&hub, &result);
            // Up to three numbers are left when a batch needed more.
            assert!(
                hub.position().number > u64::MAX - 4,
                "{}",
                hub.position().number
            );
        }
    }
}

mod name {
    use super::*;

    /// Threads do nothing else, and an address is looked up fastest, so one thread always requests
    /// the name while another releases it.
    #[test]
    fn is_reused_after_departure_only() {
        const TIMES: usize = 2_000;
        let name = Name::assigned("127.0.0.1:80").unwrap();
        let hub = hub(64 << 20, 0);
        let (mut observer, roster) = join_with_roster(&hub, "observer");
        let mut record = Record::of(&observer);
        let start = Arc::new(Barrier::new(RIVALS));
        let rivals: Vec<_> = (0..RIVALS)
            .map(|number| {
                let (hub, name, start) = (hub.clone(), name.clone(), start.clone());
                thread::spawn(move || {
                    let mut rosters = History::new();
                    start.wait();
                    for round in 0..TIMES {
                        let (member, roster) = loop {
                            match join_with_limit(&hub, name.clone(), usize::MAX) {
                                Ok(joined) => break joined,
                                Err(refused) => assert_eq!(refused, JoinError::NameTaken),
                            }
                        };
                        assert_eq!(
                            roster.position.number,
                            member.position().number,
                            "joining is one point"
                        );
                        assert_eq!(roster.total, 2, "one other member and the holder");
                        rosters.add_roster(roster);
                        match (round + number) % 2 {
                            0 => drop(member),
                            _ => drop(hub.leave(member.id()).unwrap()),
                        }
                    }
                    rosters
                })
            })
            .collect();
        let mut history = History::new();
        history.add_roster(roster);
        for rival in rivals {
            history.merge(rival.join().unwrap());
        }
        history.add_roster(hub.roster(usize::MAX));
        record.catch_up(&mut observer);
        assert_eq!(record.delivered(), (2 * RIVALS * TIMES) as u64);
        history.add(record);
        let checked = history.check().unwrap();
        assert_eq!(checked.rosters, RIVALS * TIMES + 1);
    }
}
