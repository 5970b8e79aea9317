//! The simulation: the whole server with two members in its process, the peers and the network.

use super::net::{Connections, Observer, SimulatedListener, State, now};
use super::peer::{ConnectionRecord, ConnectionRecords, PORT, SERVER, run_host};
use super::plan::{Intervention, InterventionKind, Plan};
use chat_core::{Hub, Member, MemberId, RemovalReason, Roster};
use chat_server::{ServerConfig, serve};
use chat_tests::history::{History, Published, Record};
use chat_tests::memory::{join, join_with_roster};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::sleep;
use turmoil::{Builder, Sim};

/// The step of the simulated time.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// The interval of the operations of the members in the process of the server.
pub(crate) const MEMBER_INTERVAL: Duration = Duration::from_millis(20);

/// The limit of simulated time, more than twice the longest scenario.
const MAX_DURATION: Duration = Duration::from_secs(30);

/// The segments that a connection of turmoil holds: never reached, because the window is smaller.
const SEGMENTS: usize = 1 << 16;

/// The result of a scenario.
pub(crate) struct Outcome {
    /// The records of the members in the process of the server.
    pub(crate) history: History,
    pub(crate) observer: Record,
    /// The time of each event in the record of the observer.
    pub(crate) times: Vec<Duration>,
    /// The roster when the observer joined.
    pub(crate) roster: Roster,
    /// The other members at the shutdown signal.
    pub(crate) last_peers: Vec<String>,
    /// The time of the shutdown signal.
    pub(crate) shutdown: Duration,
    /// The time at which `serve` returned.
    pub(crate) returned: Duration,
    pub(crate) hub: Hub,
    /// The interventions that were carried out, in order.
    pub(crate) interventions: Vec<Done>,
    pub(crate) records: Vec<ConnectionRecord>,
    pub(crate) connections: BTreeMap<SocketAddr, State>,
    /// The duration of the whole scenario.
    pub(crate) elapsed: Duration,
}

/// An intervention that was carried out.
#[derive(Clone, Debug)]
pub(crate) struct Done {
    pub(crate) to: MemberId,
    /// The text that it was sent. Otherwise it was removed.
    pub(crate) text: Option<String>,
    /// The number of the next event.
    pub(crate) position: u64,
    /// Whether its session was parked.
    pub(crate) parked: bool,
}

/// The members in the process of the server: the observer, and a publisher that reads too slowly.
struct LocalMembers {
    hub: Hub,
    observer: Observer,
    publisher: Member,
    record: Record,
    published: Published,
    history: History,
    steps: usize,
    /// The other members.
    peers: Vec<String>,
    connections: Connections,
    /// The interventions that are to come, the next one last.
    planned: Vec<(Duration, Intervention)>,
    done: Vec<Done>,
}

impl LocalMembers {
    fn step(&mut self) {
        self.steps += 1;
        let due = self.due();
        self.intervene(due.iter().filter(|due| due.before_lines));
        let text = format!("line {} {}", self.steps, "xx ".repeat(self.steps % 15));
        let number = self.publisher.publish(&text).expect("it is present");
        self.published.push(number, &text);
        self.intervene(due.iter().filter(|due| !due.before_lines));
        for _ in 0..self.steps % 4 {
            if let Ok(delivery) = self.publisher.try_recv() {
                self.record.push(delivery);
            }
        }
        self.observer.catch_up();
        let roster = self.hub.roster(usize::MAX);
        // The first two are the members of this process.
        let peers = roster.names.iter().skip(2);
        self.peers = peers.map(|name| name.to_string()).collect();
        self.history.add_roster(roster);
    }

    fn due(&mut self) -> Vec<Intervention> {
        let mut due = Vec::new();
        while let Some((_, next)) = self.planned.pop_if(|(at, _)| *at <= now()) {
            due.push(next);
        }
        due
    }

    fn intervene<'a>(&mut self, all: impl Iterator<Item = &'a Intervention>) {
        self.observer.catch_up();
        for Intervention { peer, kind, .. } in all {
            let connections = self.connections.lock().expect("no panic");
            let mut present: Vec<_> = connections.iter().collect();
            present.retain(|(_, connection)| connection.state().dropped.is_none());
            let Some((address, connection)) = present.get(peer % present.len().max(1)) else {
                continue;
            };
            let Some(to) = self.observer.joined(&address.to_string()) else {
                continue;
            };
            let texts = match kind {
                InterventionKind::Mail(count) => 0..*count,
                InterventionKind::Kick => 0..1,
            };
            for _ in texts {
                let position = self.hub.position().number;
                let parked = connection.is_parked();
                let text = matches!(kind, InterventionKind::Mail(_))
                    .then(|| format!("mail {}", self.done.len()));
                let succeeds = match &text {
                    Some(text) => self.hub.notify(to, text).is_ok(),
                    None => self.hub.remove(to, RemovalReason::Kicked).is_ok(),
                };
                if succeeds {
                    self.done.push(Done {
                        to,
                        text,
                        position,
                        parked,
                    });
                }
            }
        }
    }
}

/// The result of the host of the server.
struct ServerOutcome {
    members: LocalMembers,
    roster: Roster,
    shutdown: Duration,
    returned: Duration,
}

/// Runs the scenario of a plan.
///
/// # Errors
///
/// If the simulation itself fails: a host returns an error, or the scenario does not end.
pub(crate) fn simulate(plan: &Rc<Plan>) -> Result<Outcome, String> {
    let mut builder = Builder::new();
    let mut sim = builder
        .rng_seed(plan.seed)
        .tick_duration(TICK)
        .simulation_duration(MAX_DURATION)
        .min_message_latency(plan.latency.0)
        .max_message_latency(plan.latency.1)
        .tcp_capacity(SEGMENTS)
        .build();
    let (connections, records) = (Connections::default(), ConnectionRecords::default());
    let outcome = Rc::new(RefCell::new(None));
    let running = Rc::new(Cell::new(plan.hosts.len()));
    sim.client(SERVER, {
        let (plan, connections) = (plan.clone(), connections.clone());
        let (outcome, running) = (outcome.clone(), running.clone());
        async move {
            *outcome.borrow_mut() = Some(run_server(&plan, connections, running).await?);
            Ok(())
        }
    });
    for (number, host) in plan.hosts.iter().enumerate() {
        let (plan, running) = (plan.clone(), running.clone());
        let (connections, records) = (connections.clone(), records.clone());
        sim.client(host.name.as_str(), async move {
            run_host(plan, number, connections, records).await;
            running.set(running.get() - 1);
            Ok(())
        });
    }
    run(&mut sim, plan)?;
    let elapsed = sim.elapsed();
    let ServerOutcome {
        members,
        roster,
        shutdown,
        returned,
    } = outcome.take().expect("the server has stopped");
    let (observer, times) = members.observer.recorded();
    let mut history = members.history;
    history.add(observer.clone());
    history.add(members.record);
    history.add_published(members.published);
    let connections = connections.lock().expect("no panic");
    Ok(Outcome {
        history,
        observer,
        times,
        roster,
        last_peers: members.peers,
        shutdown,
        returned,
        hub: members.hub,
        interventions: members.done,
        records: records.take(),
        connections: connections
            .iter()
            .map(|(address, connection)| (*address, connection.state()))
            .collect(),
        elapsed,
    })
}

/// Runs the simulation to the end and applies the faults of the network.
fn run(sim: &mut Sim<'_>, plan: &Plan) -> Result<(), String> {
    let mut changes = Vec::new();
    for host in &plan.hosts {
        if let Some(fault) = host.fault {
            changes.push((fault.from, &host.name, fault.drops, true));
            changes.push((fault.until, &host.name, fault.drops, false));
        }
    }
    changes.sort();
    let mut changes = changes.into_iter().peekable();
    loop {
        while let Some((_, host, drops, begins)) = changes.next_if(|(at, ..)| *at <= sim.elapsed())
        {
            let host = host.as_str();
            match (drops, begins) {
                (true, true) => sim.partition(SERVER, host),
                (true, false) => sim.repair(SERVER, host),
                (false, true) => sim.hold(SERVER, host),
                (false, false) => sim.release(SERVER, host),
            }
        }
        match sim.step() {
            Ok(true) => return Ok(()),
            Ok(false) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}

async fn run_server(
    plan: &Plan,
    connections: Connections,
    running: Rc<Cell<usize>>,
) -> turmoil::Result<ServerOutcome> {
    let hub = plan.hub();
    let mut config = ServerConfig::default();
    config.grace = plan.grace;
    // The checks expect each line within a time.
    config.rate = None;
    config.rename_rate = None;
    config.session.stall_timeout = plan.stall;
    config.session.idle_timeout = plan.idle;
    config.session.linger = plan.linger;

    let (member, roster) = join_with_roster(&hub, "observer");
    let observer = Observer::new(member);
    let publisher = join(&hub, "publisher");
    let mut members = LocalMembers {
        hub: hub.clone(),
        observer: observer.clone(),
        record: Record::of(&publisher),
        published: Published::of(&publisher),
        publisher,
        history: History::new(),
        steps: 0,
        peers: Vec::new(),
        connections: connections.clone(),
        planned: plan.interventions.iter().rev().copied().collect(),
        done: Vec::new(),
    };
    let closing = Arc::new(AtomicBool::new(false));
    let listener =
        SimulatedListener::bind(PORT, plan, connections, observer.clone(), closing.clone()).await?;
    let (shutdown, signal) = oneshot::channel();
    let limit = plan.stall + Duration::from_secs(3);
    let drain = plan.drain;
    let peers = running.clone();
    let local = tokio::task::spawn_local(async move {
        let mut last_peer = Duration::ZERO;
        loop {
            sleep(MEMBER_INTERVAL).await;
            members.step();
            if peers.get() > 0 {
                last_peer = now();
            }
            let stop = match drain {
                Some(drain) => now() >= drain,
                // A vanished peer leaves by the stall timeout at the latest.
                None if members.peers.is_empty() => peers.get() == 0,
                None => now() >= last_peer + limit,
            };
            if stop {
                closing.store(true, SeqCst);
                for connection in members.connections.lock().expect("no panic").values() {
                    connection.note_shutdown();
                }
                let _ = shutdown.send(());
                return (now(), members);
            }
        }
    });
    let shutdown = {
        let hub = hub.clone();
        async move {
            drop(signal.await);
            // As the binary does.
            hub.close();
        }
    };
    serve(listener, hub, config, shutdown).await;
    let returned = now();
    let (shutdown, mut members) = local.await?;
    observer.catch_up();
    while let Ok(delivery) = members.publisher.try_recv() {
        members.record.push(delivery);
    }
    // A host without a task does not answer segments, so this one waits for the peers.
    while running.get() > 0 {
        sleep(MEMBER_INTERVAL).await;
    }
    Ok(ServerOutcome {
        members,
        roster,
        shutdown,
        returned,
    })
}
