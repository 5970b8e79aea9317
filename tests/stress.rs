//! Everything at once, on several threads, until the hub is closed in the middle of it: members that
//! talk, that read in all the ways there are and at all paces, that fight for a few names, and one
//! that sends others away. Nobody waits for a time; what was seen is held against the promises.

use chat_core::{
    Batch, EventKind, Hub, HubConfig, JoinError, LeaveReason, Member, Name, PublishError,
};
use chat_tests::history::{History, Record, Said};
use chat_tests::memory::{DEADLINE, join, join_with_roster, timely};
use std::sync::{Arc, Barrier};
use std::thread;
use tokio::task::{JoinSet, yield_now};
use tokio_stream::StreamExt;

/// How many events there are when the hub is closed, at least.
const EVENTS: u64 = 12_000;

const TALKERS: usize = 4;
const RIVALS: usize = 4;
/// What the rivals want to be called: fewer names than there are of them.
const CROWNS: [&str; 3] = ["king", "queen", "ace"];

/// How a member reads.
#[derive(Clone, Copy, Debug)]
enum Habit {
    OneByOne,
    AsStream,
    InBatches,
    /// In batches, and between two of them so many events happen.
    InBatchesAfter(u64),
    /// Gives each wait up, to ask again.
    Impatient,
    /// Nothing until the hub is closed.
    Asleep,
}

const HABITS: [Habit; 8] = [
    Habit::OneByOne,
    Habit::OneByOne,
    Habit::AsStream,
    Habit::InBatches,
    Habit::InBatchesAfter(50),
    Habit::InBatchesAfter(1_000),
    Habit::Impatient,
    Habit::Asleep,
];

async fn listen(mut member: Member, mut record: Record, habit: Habit) -> History {
    let hub = member.hub().clone();
    let mut batch = Batch::default();
    match habit {
        Habit::OneByOne => record.read_to_end(&mut member).await,
        Habit::AsStream => {
            while let Some(delivery) = member.next().await {
                record.push(delivery);
            }
        }
        Habit::InBatches => {
            while member.recv_many(&mut batch).await > 0 {
                record.push_batch(&batch);
            }
        }
        Habit::InBatchesAfter(events) => {
            while member.recv_many(&mut batch).await > 0 {
                record.push_batch(&batch);
                let next = member.position().saturating_add(events);
                while hub.position() < next && !hub.is_closed() {
                    yield_now().await;
                }
            }
        }
        Habit::Impatient => loop {
            tokio::select! {
                biased;
                delivery = member.recv() => match delivery {
                    Some(delivery) => record.push(delivery),
                    None => break,
                },
                () = yield_now() => {}
            }
        },
        Habit::Asleep => {
            hub.closed().await;
            record.read_to_end(&mut member).await;
        }
    }
    assert_eq!(record.closed(), Some(LeaveReason::Closed), "{habit:?}");
    let mut history = History::new();
    history.add(record);
    history
}

/// Publishes as fast as it can and reads now and then, until the hub is closed.
async fn talk(mut member: Member, mut record: Record) -> History {
    let mut said = Said::of(&member);
    for line in 0.. {
        let texts: Vec<_> = (0..1 + line % 4)
            .map(|part| format!("{line}.{part}"))
            .collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        match member.hub().publish_many(member.id(), &texts) {
            Ok(numbers) => said.push_many(numbers, &texts),
            Err(refused) => {
                assert_eq!(refused, PublishError::Closed);
                break;
            }
        }
        if line % 5 == 0 {
            record.catch_up(&mut member);
        }
        yield_now().await;
    }
    record.read_to_end(&mut member).await;
    assert_eq!(record.closed(), Some(LeaveReason::Closed));
    let mut history = History::new();
    history.add(record);
    history.add_said(said);
    history
}

fn crown(number: usize) -> Name {
    let name = CROWNS[number % CROWNS.len()].parse();
    name.expect("the names are in order")
}

/// Comes under a name as soon as it is free, would like another, says something, and goes in one
/// of the ways there are or is sent away before. Gives what it saw until the hub was closed.
async fn compete(hub: Hub, number: usize) -> History {
    let mut history = History::new();
    for round in number.. {
        let (mut member, roster) = match hub.join_with_roster(crown(round), usize::MAX) {
            Ok(joined) => joined,
            Err(JoinError::NameTaken) => {
                yield_now().await;
                continue;
            }
            Err(refused) => {
                assert_eq!(refused, JoinError::Closed);
                break;
            }
        };
        assert_eq!(roster.position, member.position(), "joining is one point");
        history.add_roster(roster);
        let (mut record, mut said) = (Record::of(&member), Said::of(&member));
        for text in ["it is", "me"] {
            // Whether it is still here is for others to say.
            if let Ok(number) = member.publish(text) {
                said.push(number, text);
            }
            let _ = hub.rename(member.id(), crown(round + 1));
        }
        if round % 2 == 0 {
            yield_now().await;
        }
        if round % 3 == 0
            && let Ok(end) = hub.leave(member.id(), LeaveReason::Left)
        {
            said.left(end);
            assert_eq!(member.publish("too late").ok(), None);
        }
        record.catch_up(&mut member);
        history.add(record);
        history.add_said(said);
    }
    history
}

/// Sends away whoever has a name, again and again; gives how many it was that did.
async fn send_away(hub: Hub) -> u64 {
    let mut sent_away = 0;
    for round in 0.. {
        if hub.is_closed() {
            break;
        }
        let found = hub.find(&crown(round));
        let left = found.map(|id| hub.leave(id, LeaveReason::Kicked));
        sent_away += u64::from(left.is_some_and(|left| left.is_ok()));
        yield_now().await;
    }
    sent_away
}

/// What became of it.
struct Aftermath {
    history: History,
    /// How many members were sent away.
    sent_away: u64,
    /// What the first who came was told.
    first: Vec<EventKind>,
}

/// Lets all loose on a hub, which is closed when so many events have happened, or by itself.
async fn uproar(hub: &Hub, close_after: u64) -> Aftermath {
    let mut history = History::new();
    let mut tasks = JoinSet::new();
    // All are here before anybody does anything, so there is nothing that they do not see.
    let mut members = Vec::new();
    for number in 0..HABITS.len() + TALKERS {
        let (member, roster) = join_with_roster(hub, &format!("member{number}"));
        history.add_roster(roster);
        members.push((Record::of(&member), member));
    }
    let mut observer = join(hub, "observer");
    let mut first = Record::of(&observer);
    let observer = tokio::spawn(async move {
        first.read_to_end(&mut observer).await;
        first
    });
    for (record, member) in members.drain(..TALKERS) {
        tasks.spawn(talk(member, record));
    }
    for ((record, member), habit) in members.into_iter().zip(HABITS) {
        tasks.spawn(listen(member, record, habit));
    }
    for number in 0..RIVALS {
        tasks.spawn(compete(hub.clone(), number));
    }
    let sent_away = tokio::spawn(send_away(hub.clone()));
    let end = hub.position().saturating_add(close_after);
    let middle = async {
        while hub.position() < end && !hub.is_closed() {
            let roster = hub.roster(usize::MAX);
            if !hub.is_closed() {
                history.add_roster(roster);
            }
            yield_now().await;
        }
    };
    timely(DEADLINE, "the middle", middle).await;
    hub.close();
    for part in timely(DEADLINE, "the end", tasks.join_all()).await {
        history.merge(part);
    }
    let first = timely(DEADLINE, "the end", observer).await;
    let sent_away = timely(DEADLINE, "the end", sent_away).await;
    let (first, sent_away) = (first.expect("no panic"), sent_away.expect("no panic"));
    let kinds = first.events().map(|event| event.kind()).collect();
    history.add(first);
    Aftermath {
        history,
        sent_away,
        first: kinds,
    }
}

fn hub(log_bytes: usize, first: u64) -> Hub {
    let mut config = HubConfig::default();
    (config.log_bytes, config.max_text) = (log_bytes, 64);
    Hub::starting_at(config, first)
}

/// What is true however much was missed.
fn check(hub: &Hub, aftermath: &Aftermath) {
    let checked = aftermath.history.check();
    let checked = checked.expect("what all were given together is in order");
    assert!(checked.deliveries > 0 && checked.rosters > 0, "{checked:?}");
    let stats = hub.stats();
    assert!(hub.is_closed());
    assert_eq!((stats.members, hub.roster(1).total), (0, 0));
    assert_eq!(
        stats.published,
        aftermath.history.said(),
        "no other has a number"
    );
    assert_eq!((stats.gaps, stats.missed), aftermath.history.told());
    assert_eq!(stats.overrun, 0, "nobody is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_see_one_order_until_the_hub_is_closed_in_the_middle_of_it() {
    let hub = hub(64 << 20, 0);
    let aftermath = uproar(&hub, EVENTS).await;
    check(&hub, &aftermath);
    let stats = hub.stats();
    assert_eq!(stats.missed, 0, "the log has room for all");
    // Who was there from the start and missed nothing knows of each arrival and each leaving.
    let first = aftermath.first;
    let count = |is: fn(EventKind) -> bool| first.iter().filter(|kind| is(**kind)).count() as u64;
    let here = (HABITS.len() + TALKERS) as u64 + 1;
    assert_eq!(first.len() as u64, stats.position - here);
    assert_eq!(count(|kind| kind == EventKind::Message), stats.published);
    assert_eq!(
        count(|kind| kind == EventKind::Left(LeaveReason::Kicked)),
        aftermath.sent_away
    );
    let gone = count(|kind| matches!(kind, EventKind::Left(_)));
    let came = count(|kind| kind == EventKind::Arrived);
    let fought = gone..=gone + RIVALS as u64;
    assert!(fought.contains(&came), "{came} came and {gone} left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_see_one_order_also_when_they_are_overrun_all_the_time() {
    let hub = hub(0, 0);
    let aftermath = uproar(&hub, EVENTS).await;
    check(&hub, &aftermath);
    assert!(hub.stats().missed > 0, "the log is too small for all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_see_one_order_until_the_numbers_run_out() {
    for log_bytes in [0, 64 << 20] {
        let hub = hub(log_bytes, u64::MAX - EVENTS);
        let aftermath = uproar(&hub, u64::MAX).await;
        check(&hub, &aftermath);
        // A few are left over when somebody wanted more than there were.
        assert!(hub.position() > u64::MAX - 4, "{}", hub.position());
    }
}

/// On threads that do nothing else, and for an address, which is looked up in no time: so there is
/// always somebody who asks for it while another gives it up.
#[test]
fn a_name_goes_from_hand_to_hand_only_after_a_leaving() {
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
                        match hub.join_with_roster(name.clone(), usize::MAX) {
                            Ok(joined) => break joined,
                            Err(refused) => assert_eq!(refused, JoinError::NameTaken),
                        }
                    };
                    assert_eq!(roster.position, member.position(), "joining is one point");
                    assert_eq!(roster.total, 2, "nobody else has that name");
                    rosters.add_roster(roster);
                    match (round + number) % 2 {
                        0 => drop(member),
                        _ => drop(hub.leave(member.id(), LeaveReason::Left).unwrap()),
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
    assert_eq!(record.given(), (2 * RIVALS * TIMES) as u64);
    history.add(record);
    let checked = history.check().unwrap();
    assert_eq!(checked.rosters, RIVALS * TIMES + 1);
}
