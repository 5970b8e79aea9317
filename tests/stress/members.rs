//! The tasks of the stress test, and their records.

use chat_core::{
    Batch, Hub, JoinError, LeaveReason, Member, MemberId, Name, PublishError, RemovalReason,
    SendError, Start, Subscriber,
};
use chat_tests::history::{History, Published, ReadMethod, Record, Sent};
use chat_tests::memory::join_with_limit;
use tokio::task::yield_now;

/// The names that rivals join under: fewer names than rivals.
const CONTESTED: [&str; 3] = ["ann", "ben", "cat"];

/// How a member reads.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ReadPattern {
    /// Without a pause.
    Continuous(ReadMethod),
    /// In batches, with this number of events between two batches.
    BatchesAfter(u64),
    /// Drops each wait and reads again.
    DroppedWaits,
    /// Not before the hub is closed.
    AfterClose,
}

pub(crate) const READ_PATTERNS: [ReadPattern; 8] = [
    ReadPattern::Continuous(ReadMethod::Recv),
    ReadPattern::Continuous(ReadMethod::Recv),
    ReadPattern::Continuous(ReadMethod::Stream),
    ReadPattern::Continuous(ReadMethod::RecvMany),
    ReadPattern::BatchesAfter(50),
    ReadPattern::BatchesAfter(1_000),
    ReadPattern::DroppedWaits,
    ReadPattern::AfterClose,
];

pub(crate) async fn read(mut member: Member, mut record: Record, pattern: ReadPattern) -> History {
    let hub = member.hub().clone();
    match pattern {
        ReadPattern::Continuous(method) => record.read_to_end_with(method, &mut member).await,
        ReadPattern::BatchesAfter(events) => {
            let mut batch = Batch::default();
            while member.recv_many(&mut batch).await > 0 {
                record.push_batch(&batch);
                let next = member.position().number.saturating_add(events);
                while hub.position().number < next && !hub.is_closed() {
                    yield_now().await;
                }
            }
        }
        ReadPattern::DroppedWaits => loop {
            tokio::select! {
                biased;
                delivery = member.recv() => match delivery {
                    Some(delivery) => record.push(delivery),
                    None => break,
                },
                () = yield_now() => {}
            }
        },
        ReadPattern::AfterClose => {
            hub.closed().await;
            record.read_to_end(&mut member).await;
        }
    }
    assert_eq!(record.closed(), Some(LeaveReason::Closed), "{pattern:?}");
    let mut history = History::new();
    history.add(record);
    history
}

/// Publishes and sends direct messages without a pause, and reads now and then, until the hub is
/// closed.
pub(crate) async fn publish(
    mut member: Member,
    mut record: Record,
    recipients: Vec<MemberId>,
) -> History {
    let mut published = Published::of(&member);
    let mut sent = Sent::of(&member);
    for line in 0.. {
        let texts: Vec<_> = (0..1 + line % 4)
            .map(|part| format!("{line}.{part}"))
            .collect();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        match member.hub().publish_many(member.id(), &texts) {
            Ok(numbers) => {
                sent.published(&numbers);
                published.push_many(numbers, &texts);
            }
            Err(refused) => {
                assert_eq!(
                    (refused.published, refused.reason),
                    (0, PublishError::Closed)
                );
                break;
            }
        }
        for part in 0..line % 3 {
            let to = recipients[(line + part) % recipients.len()];
            let text = format!("to one: {line}.{part}");
            match member.hub().send(member.id(), to, &text) {
                Ok(()) => sent.push(to, &text),
                Err(refused) => {
                    let refusals = [SendError::Full, SendError::Closed];
                    assert!(refusals.contains(&refused), "{refused:?}");
                }
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
    history.add_published(published);
    history.add_sent(sent);
    history
}

fn contested_name(number: usize) -> Name {
    let name = CONTESTED[number % CONTESTED.len()].parse();
    name.expect("the names are valid")
}

/// Joins under a name once it is free, requests another, publishes, and leaves by drop or by
/// `leave` unless it is removed before. Returns its history until the hub is closed.
pub(crate) async fn compete(hub: Hub, number: usize) -> History {
    let mut history = History::new();
    for round in number.. {
        let (mut member, roster) = match join_with_limit(&hub, contested_name(round), usize::MAX) {
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
        assert_eq!(
            roster.position.number,
            member.position().number,
            "joining is one point"
        );
        history.add_roster(roster);
        let (mut record, mut published) = (Record::of(&member), Published::of(&member));
        let mut sent = Sent::of(&member);
        for text in ["one", "two"] {
            // The member may have been removed, which the history checker verifies.
            if let Ok(number) = member.publish(text) {
                sent.published(&(number..number + 1));
                published.push(number, text);
            }
            // The recipient may leave at the same time, and may be the member itself.
            if let Some(to) = hub.find(&contested_name(round + 1))
                && hub.send(member.id(), to, text).is_ok()
            {
                sent.push(to, text);
            }
            let _ = hub.rename(member.id(), contested_name(round + 1));
        }
        if round % 2 == 0 {
            yield_now().await;
        }
        if round % 3 == 0
            && let Ok(end) = hub.leave(member.id())
        {
            published.left(end);
            assert_eq!(member.publish("too late").ok(), None);
        }
        record.catch_up(&mut member);
        history.add(record);
        history.add_published(published);
        history.add_sent(sent);
    }
    history
}

/// Reads as a subscriber until the hub is closed, with this number of events between two reads.
pub(crate) async fn follow(mut subscriber: Subscriber, pause: u64) -> History {
    let mut record = Record::of_subscriber(&subscriber);
    let hub = subscriber.hub().clone();
    let mut batch = Batch::default();
    while subscriber.recv_many(&mut batch).await > 0 {
        record.push_batch(&batch);
        let next = subscriber.position().number.saturating_add(pause);
        while hub.position().number < next && !hub.is_closed() {
            yield_now().await;
        }
    }
    assert_eq!(record.closed(), Some(LeaveReason::Closed));
    let mut history = History::new();
    history.add(record);
    history
}

/// Reads as one subscriber after another, each of which begins where the one before was dropped,
/// until the hub is closed.
pub(crate) async fn resume(mut subscriber: Subscriber) -> History {
    let mut record = Record::of_subscriber(&subscriber);
    let hub = subscriber.hub().clone();
    while record.closed().is_none() {
        for _ in 0..20 {
            match subscriber.recv().await {
                Some(item) => record.push(item),
                None => break,
            }
        }
        if record.closed().is_none() {
            subscriber = hub.subscribe(Start::At(subscriber.position()));
        }
    }
    let mut history = History::new();
    history.add(record);
    history
}

/// Removes the holders of the contested names until the hub is closed; returns how many removals
/// succeeded.
pub(crate) async fn remove_members(hub: Hub) -> u64 {
    let mut removed = 0;
    for round in 0.. {
        if hub.is_closed() {
            break;
        }
        let found = hub.find(&contested_name(round));
        let left = found.map(|id| hub.remove(id, RemovalReason::Kicked));
        removed += u64::from(left.is_some_and(|left| left.is_ok()));
        yield_now().await;
    }
    removed
}
