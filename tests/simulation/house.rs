//! The server, whole, with two members in its process, and the simulation around it.

use super::guest::{Diary, PORT, SERVER, Visited, attend};
use super::net::{Door, State, Wires, Witness, now};
use super::plan::Plan;
use chat_core::{Hub, Member, Roster};
use chat_server::{ServerConfig, serve};
use chat_tests::history::{History, Record, Said};
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

/// How much the network and the hosts move at a time.
pub(crate) const TICK: Duration = Duration::from_millis(10);

/// How often the members in the server's process do something.
pub(crate) const BEAT: Duration = Duration::from_millis(20);

/// A scenario that takes longer hangs. None may take as long as half of it.
const LONGEST: Duration = Duration::from_secs(30);

/// Segments that a connection of turmoil's holds: more than there ever are, as the limit is a
/// window of ours.
const SEGMENTS: usize = 1 << 16;

/// All that is known of what happened.
pub(crate) struct Outcome {
    /// What the members in the server's process know.
    pub(crate) history: History,
    pub(crate) witness: Record,
    /// When the witness saw what it saw.
    pub(crate) times: Vec<Duration>,
    /// Who was here when the witness came.
    pub(crate) roster: Roster,
    /// Who else was here when the server was told to go down.
    pub(crate) last_guests: Vec<String>,
    pub(crate) shutdown: Duration,
    /// When the server had gone down.
    pub(crate) returned: Duration,
    pub(crate) hub: Hub,
    pub(crate) visits: Vec<Visited>,
    pub(crate) wires: BTreeMap<SocketAddr, State>,
    /// How long it all took.
    pub(crate) elapsed: Duration,
}

/// Who is in the server's process: one who sees everything, and one who talks all the time, and
/// reads too slowly.
struct House {
    hub: Hub,
    witness: Witness,
    crier: Member,
    record: Record,
    said: Said,
    history: History,
    beats: usize,
    /// Who else is here.
    guests: Vec<String>,
}

impl House {
    fn beat(&mut self) {
        self.beats += 1;
        let text = format!("hear {} {}", self.beats, "ye ".repeat(self.beats % 15));
        let number = self.crier.publish(&text).expect("it is here");
        self.said.push(number, &text);
        for _ in 0..self.beats % 4 {
            if let Ok(delivery) = self.crier.try_recv() {
                self.record.push(delivery);
            }
        }
        self.witness.look();
        let roster = self.hub.roster(usize::MAX);
        // The first two live here.
        let guests = roster.names.iter().skip(2);
        self.guests = guests.map(|name| name.to_string()).collect();
        self.history.add_roster(roster);
    }
}

/// What the server's host gives when it is down.
struct Down {
    house: House,
    roster: Roster,
    shutdown: Duration,
    returned: Duration,
}

/// Lets happen what is planned.
///
/// # Errors
///
/// Says what went wrong with the simulation itself: a host failed, or it does not end.
pub(crate) fn simulate(plan: &Rc<Plan>) -> Result<Outcome, String> {
    let mut builder = Builder::new();
    let mut sim = builder
        .rng_seed(plan.seed)
        .tick_duration(TICK)
        .simulation_duration(LONGEST)
        .min_message_latency(plan.latency.0)
        .max_message_latency(plan.latency.1)
        .tcp_capacity(SEGMENTS)
        .build();
    let (wires, diary) = (Wires::default(), Diary::default());
    let down = Rc::new(RefCell::new(None));
    let present = Rc::new(Cell::new(plan.guests.len()));
    sim.client(SERVER, {
        let (plan, wires) = (plan.clone(), wires.clone());
        let (down, present) = (down.clone(), present.clone());
        async move {
            *down.borrow_mut() = Some(host(&plan, wires, present).await?);
            Ok(())
        }
    });
    for (number, guest) in plan.guests.iter().enumerate() {
        let (plan, present) = (plan.clone(), present.clone());
        let (wires, diary) = (wires.clone(), diary.clone());
        sim.client(guest.host.as_str(), async move {
            attend(plan, number, wires, diary).await;
            present.set(present.get() - 1);
            Ok(())
        });
    }
    run(&mut sim, plan)?;
    let elapsed = sim.elapsed();
    let Down {
        house,
        roster,
        shutdown,
        returned,
    } = down.take().expect("the server has gone down");
    let (witness, times) = house.witness.recall();
    let mut history = house.history;
    history.add(witness.clone());
    history.add(house.record);
    history.add_said(house.said);
    let wires = wires.lock().expect("no panic");
    Ok(Outcome {
        history,
        witness,
        times,
        roster,
        last_guests: house.guests,
        shutdown,
        returned,
        hub: house.hub,
        visits: diary.take(),
        wires: wires.iter().map(|(at, wire)| (*at, wire.state())).collect(),
        elapsed,
    })
}

/// Steps to the end, and makes trouble on the way.
fn run(sim: &mut Sim<'_>, plan: &Plan) -> Result<(), String> {
    let mut troubles = Vec::new();
    for guest in &plan.guests {
        if let Some(trouble) = guest.trouble {
            troubles.push((trouble.from, &guest.host, trouble.loses, true));
            troubles.push((trouble.until, &guest.host, trouble.loses, false));
        }
    }
    troubles.sort();
    let mut troubles = troubles.into_iter().peekable();
    loop {
        while let Some((_, host, loses, begins)) = troubles.next_if(|(at, ..)| *at <= sim.elapsed())
        {
            let host = host.as_str();
            match (loses, begins) {
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

async fn host(plan: &Plan, wires: Wires, present: Rc<Cell<usize>>) -> turmoil::Result<Down> {
    let hub = plan.hub();
    let mut config = ServerConfig::default();
    config.grace = plan.grace;
    // What is said is looked for within a time.
    config.rate = None;
    config.rename_rate = None;
    config.session.stall_timeout = plan.stall;
    config.session.idle_timeout = plan.idle;
    config.session.linger = plan.linger;

    let (member, roster) = join_with_roster(&hub, "witness");
    let witness = Witness::new(member);
    let crier = join(&hub, "crier");
    let mut house = House {
        hub: hub.clone(),
        witness: witness.clone(),
        record: Record::of(&crier),
        said: Said::of(&crier),
        crier,
        history: History::new(),
        beats: 0,
        guests: Vec::new(),
    };
    let closing = Arc::new(AtomicBool::new(false));
    let door = Door::open(PORT, plan, wires, witness.clone(), closing.clone()).await?;
    let (tell, told) = oneshot::channel();
    let bound = plan.stall + Duration::from_secs(3);
    let drain = plan.drain;
    let here = present.clone();
    let living = tokio::task::spawn_local(async move {
        let mut since_last = Duration::ZERO;
        loop {
            sleep(BEAT).await;
            house.beat();
            if here.get() > 0 {
                since_last = now();
            }
            let over = match drain {
                Some(drain) => now() >= drain,
                // Who is gone without a word is to be found out, by what it does not take.
                None if house.guests.is_empty() => here.get() == 0,
                None => now() >= since_last + bound,
            };
            if over {
                closing.store(true, SeqCst);
                let _ = tell.send(());
                return (now(), house);
            }
        }
    });
    let shutdown = {
        let hub = hub.clone();
        async move {
            drop(told.await);
            hub.close();
        }
    };
    serve(door, hub, config, shutdown).await;
    let returned = now();
    let (shutdown, mut house) = living.await?;
    witness.look();
    while let Ok(delivery) = house.crier.try_recv() {
        house.record.push(delivery);
    }
    // A host that has nothing to do is not there to answer what still comes.
    while present.get() > 0 {
        sleep(BEAT).await;
    }
    Ok(Down {
        house,
        roster,
        shutdown,
        returned,
    })
}
