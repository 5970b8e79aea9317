//! Sessions over connections in memory on several threads: they park, and are brought back by slow
//! peers, mail, removals, lost connections and the close. Each peer's bytes are compared with the
//! order of the hub.

use chat_core::session::SessionConfig;
use chat_core::transport::memory;
use chat_core::{
    Hub, HubConfig, JoinError, LeaveReason, Member, MemberId, Publisher, ReadByAllError,
    RemovalReason, Roster,
};
use chat_tests::attempts::{AttemptCounts, Attempts, Counted};
use chat_tests::history::Record;
use chat_tests::history::stream::Order;
use chat_tests::memory::{DEADLINE, join, join_with_roster, spawn};
use chat_tests::within;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::{JoinSet, yield_now};

/// A run with a lot of quiet: after each phase, nothing is published until all have read.
const MANY_PHASES: Phases = Phases {
    count: 150,
    batches: 8,
};

/// A run in which a slow peer can be overrun within a phase.
const LONG_PHASES: Phases = Phases {
    count: 10,
    batches: 120,
};

#[derive(Clone, Copy)]
struct Phases {
    count: usize,
    /// How many batches of up to four lines each publisher publishes in a phase.
    batches: usize,
}

const PUBLISHERS: usize = 3;
const SLOTS: usize = 12;

/// The bytes that a connection holds: less than a line, a few lines, and more than the log.
const CAPACITIES: [usize; 4] = [16, 200, 2_000, 1 << 20];

/// So many events the observer may be behind. The smallest log here holds more than twice as many.
const LEAD: u64 = 30;

/// So many events pass while a slow peer pauses: more than the smallest log holds.
const SLOW_EVENTS: u64 = 700;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behaviour {
    /// Reads until the session ends.
    Stay,
    /// Reads few bytes at a time, and pauses.
    Slow,
    /// Publishes lines.
    Talk,
    Quit,
    /// Its connection is dropped.
    Cut,
    /// Its session is dropped.
    Abort,
}

const BEHAVIOURS: [Behaviour; 6] = [
    Behaviour::Stay,
    Behaviour::Slow,
    Behaviour::Talk,
    Behaviour::Quit,
    Behaviour::Cut,
    Behaviour::Abort,
];

/// One connection, as its peer has recorded it.
struct Connection {
    name: String,
    behaviour: Behaviour,
    received: Vec<u8>,
    sent: Vec<String>,
    /// Whether the peer has read to the end that its session made.
    complete: bool,
    attempts: Arc<Attempts>,
}

/// Keeps the observer from missing anything, and everything quiet between two phases.
struct Gate {
    hub: Hub,
    observed: AtomicU64,
    quiet: AtomicBool,
}

impl Gate {
    async fn pass(&self) {
        let is_shut = || {
            let observed = self.observed.load(SeqCst);
            (self.hub.position().number > observed + LEAD || self.quiet.load(SeqCst))
                && !self.hub.is_closed()
        };
        // At least once, so that the tasks take turns.
        yield_now().await;
        while is_shut() {
            yield_now().await;
        }
    }

    /// Waits for so many events, but not longer than until the end of the phase.
    async fn pass_events(&self, count: u64) {
        let until = self.hub.position().number + count;
        while self.hub.position().number < until
            && !self.quiet.load(SeqCst)
            && !self.hub.is_closed()
        {
            yield_now().await;
        }
    }
}

async fn observe(mut member: Member, gate: Arc<Gate>) -> Record {
    let mut record = Record::of(&member);
    while let Some(delivery) = member.recv().await {
        record.push(delivery);
        gate.observed.store(member.position().number, SeqCst);
    }
    record
}

async fn publish(publisher: Arc<Publisher>, gate: Arc<Gate>, batches: usize) {
    for batch in 0..batches {
        gate.pass().await;
        let texts = ["a", "longer text", "one that is longer still", ""];
        let texts = &texts[..1 + batch % 4];
        let published = gate.hub.publish_many(publisher.id(), texts);
        published.expect("the member is present");
        // Often, the sessions park in between.
        for _ in 0..batch % 24 {
            yield_now().await;
        }
    }
}

/// Connects again and again until the hub is closed.
async fn occupy(slot: usize, gate: Arc<Gate>) -> Vec<Connection> {
    let mut connections = Vec::new();
    for round in 0.. {
        gate.pass().await;
        if gate.hub.is_closed() {
            break;
        }
        let behaviour = BEHAVIOURS[(slot + round) % BEHAVIOURS.len()];
        connections.push(converse(&gate, slot, round, behaviour).await);
    }
    connections
}

async fn converse(gate: &Gate, slot: usize, round: usize, behaviour: Behaviour) -> Connection {
    let attempts = Attempts::new(slot.is_multiple_of(3));
    let (transport, mut stream) = memory::pair(CAPACITIES[(slot + round) % CAPACITIES.len()]);
    let transport = Counted::new(transport, attempts.clone());
    let name = format!("mem:{slot}.{round}");
    let session = spawn(&gate.hub, &name, transport, &SessionConfig::default());
    let mut connection = Connection {
        name,
        behaviour,
        received: Vec::new(),
        sent: Vec::new(),
        complete: false,
        attempts,
    };
    let mut buffer = [0; 4096];
    let most = if behaviour == Behaviour::Slow {
        30
    } else {
        4096
    };
    for reads in 1.. {
        let read = stream.read(&mut buffer[..most]).await;
        let read = read.expect("a connection in memory can be read");
        if read == 0 {
            connection.complete = true;
            break;
        }
        connection.received.extend_from_slice(&buffer[..read]);
        match behaviour {
            Behaviour::Slow if reads % 100 == 0 => gate.pass_events(SLOW_EVENTS).await,
            Behaviour::Talk if reads % 20 == 0 => {
                let line = format!("line {reads} of {}", connection.name);
                // It fails after a removal.
                let _ = stream.write_all(format!("{line}\n").as_bytes()).await;
                connection.sent.push(line);
            }
            Behaviour::Quit if reads == 50 => {
                let _ = stream.write_all(b"/quit\n").await;
            }
            Behaviour::Cut if reads == 60 => break,
            Behaviour::Abort if reads == 70 => session.abort(),
            _ => {}
        }
    }
    drop(stream);
    match within(DEADLINE, "ending", session).await {
        Ok(Ok(_) | Err(JoinError::Closed)) => {}
        Err(cancelled) if cancelled.is_cancelled() => connection.complete = false,
        other => panic!("{other:?}"),
    }
    connection
}

/// A text that was sent to one member alone, and the possible numbers of the next event then.
type Mail = (MemberId, String, RangeInclusive<u64>);

/// Sends mail to the peers in turn, and removes one now and then, until the hub is closed.
async fn intervene(gate: Arc<Gate>) -> Vec<Mail> {
    let hub = &gate.hub;
    let mut mail = Vec::new();
    for round in 0_usize.. {
        gate.pass().await;
        if hub.is_closed() {
            break;
        }
        let names = hub.roster(usize::MAX).names;
        let mut peers = names
            .iter()
            .filter(|name| name.as_str().starts_with("mem:"));
        let Some(to) = peers.nth(round % SLOTS).and_then(|name| hub.find(name)) else {
            continue;
        };
        if round % 40 == 39 {
            // It may have left meanwhile.
            let _ = hub.remove(to, RemovalReason::Kicked);
            continue;
        }
        let text = format!("mail {round}");
        let from = hub.position().number;
        if hub.notify(to, &text).is_ok() {
            mail.push((to, text, from..=hub.position().number));
        }
        for _ in 0..round % 16 {
            yield_now().await;
        }
    }
    mail
}

/// The streams of all peers of a run.
struct Streams {
    observed: Record,
    roster: Roster,
    mail: Vec<Mail>,
    connections: Vec<Connection>,
}

async fn run(hub: &Hub, phases: Phases) -> Streams {
    let (observer, roster) = join_with_roster(hub, "observer");
    let gate = Arc::new(Gate {
        hub: hub.clone(),
        observed: AtomicU64::new(observer.position().number),
        quiet: AtomicBool::new(false),
    });
    let observer = tokio::spawn(observe(observer, gate.clone()));
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|number| Arc::new(join(hub, &format!("publisher{number}")).into_publisher()))
        .collect();
    let slots: JoinSet<_> = (0..SLOTS).map(|slot| occupy(slot, gate.clone())).collect();
    let intervening = tokio::spawn(intervene(gate.clone()));
    for _ in 0..phases.count {
        gate.quiet.store(false, SeqCst);
        let publishing: JoinSet<_> = publishers
            .iter()
            .map(|publisher| publish(publisher.clone(), gate.clone(), phases.batches))
            .collect();
        within(DEADLINE, "publishing", publishing.join_all()).await;
        gate.quiet.store(true, SeqCst);
        // No later event brings what a lost wake-up has left behind.
        let read = hub.read_by_all(hub.position().number);
        let read = within(DEADLINE, "reading", read).await;
        assert!(!matches!(read, Err(ReadByAllError::Closed)));
    }
    hub.close();
    let mail = within(DEADLINE, "closing", intervening).await;
    let connections = within(DEADLINE, "closing", slots.join_all()).await;
    let observed = within(DEADLINE, "closing", observer).await;
    Streams {
        observed: observed.expect("no panic"),
        roster,
        mail: mail.expect("no panic"),
        connections: connections.into_iter().flatten().collect(),
    }
}

/// What a peer of a closed hub receives.
const REFUSED: &[u8] = b"* server is going down\n";

/// The observations of a run.
#[derive(Debug, Default)]
struct Observed {
    attempts: AttemptCounts,
    delivered: u64,
    gaps: u64,
    mail: usize,
    kicked: usize,
}

/// Checks each stream: every line once and in order from the greeting on, gaps as told, mail at its
/// position, and everything that it has to have at its end.
fn check(streams: &Streams) -> Result<Observed, String> {
    let mut order = Order::of(&streams.observed, &streams.roster)?;
    for (to, text, position) in &streams.mail {
        order.add_mail(*to, text, position.clone())?;
    }
    let mut observed = Observed::default();
    for connection in &streams.connections {
        let Connection { name, received, .. } = connection;
        let Some(membership) = order.membership(name) else {
            match REFUSED.starts_with(received) {
                true => continue,
                false => return Err(format!("{name} did not join, but received {received:?}")),
            }
        };
        let stream = order.follow(name, received)?;
        let broken = |what| Err(format!("{name}, {:?}: {what}", connection.behaviour));
        let mut sent = connection.sent.iter();
        for number in &membership.published {
            let event = order.event(*number).expect("the order has its events");
            if sent.next().is_none_or(|line| event.text() != line) {
                return broken(format!("{event:?} is not its next line"));
            }
        }
        let reason = membership.left.map(|(_, reason)| reason);
        if connection.complete {
            let end = membership.left.map_or(order.end(), |(end, _)| end);
            if !stream.ends_with_line || stream.next != end || stream.final_notice.is_none() {
                return broken(format!("{stream:?} ends before {end}, {reason:?}"));
            }
            if stream.mail != membership.mail() || !stream.notices.is_empty() {
                return broken(format!("{stream:?} of {} texts", membership.mail()));
            }
        }
        let attempts = connection.attempts.counts();
        if attempts.unsupported > 1 {
            return broken(format!("{attempts:?}"));
        }
        observed.attempts.add(&attempts);
        observed.delivered += stream.delivered;
        observed.gaps += stream.gaps;
        observed.mail += stream.mail;
        observed.kicked += usize::from(reason == Some(LeaveReason::Kicked));
    }
    Ok(observed)
}

async fn hold(log_bytes: usize, phases: Phases) {
    let mut config = HubConfig::default();
    (config.log_bytes, config.max_text) = (log_bytes, 64);
    let hub = Hub::new(config);
    let streams = run(&hub, phases).await;
    let observed = check(&streams).unwrap_or_else(|broken| panic!("{broken}"));
    println!("{observed:?}");
    let Observed { attempts, gaps, .. } = observed;
    // Both ways were taken, and both ways back.
    assert!(
        attempts.complete > 0 && attempts.unsupported > 0,
        "{attempts:?}"
    );
    assert!(
        attempts.partial > 0 && attempts.within_line > 0,
        "{attempts:?}"
    );
    assert!(observed.mail > 0 && observed.kicked > 0, "{observed:?}");
    assert!(observed.delivered > 0);
    assert_eq!(gaps > 0, log_bytes < 1 << 20, "{gaps} gaps");
    let stats = hub.stats();
    assert_eq!((stats.members, stats.readers), (0, 0));
}

mod promises {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn hold_on_four_threads() {
        hold(64 << 20, MANY_PHASES).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn hold_on_one_thread() {
        hold(64 << 20, MANY_PHASES).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn hold_under_overrun_on_four_threads() {
        hold(24 << 10, LONG_PHASES).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 1)]
    async fn hold_under_overrun_on_one_thread() {
        hold(24 << 10, LONG_PHASES).await;
    }
}
