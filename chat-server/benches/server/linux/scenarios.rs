//! What is measured.

use crate::linux::crowd::{Crowd, CrowdError, Shape};
use crate::linux::drive::{Pace, Plan, Resting, drive};
use crate::linux::machine::{Usage, resident};
use crate::linux::record::{Figure, Figures};
use crate::linux::servers::Server;
use crate::linux::tally::Reader;
use std::time::{Duration, Instant};

/// A room full of peers, and what they do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) members: usize,
    pub(crate) publishers: usize,
    pub(crate) payload: usize,
    action: Action,
}

#[derive(Clone, Copy, Debug)]
enum Action {
    /// Some speak, and all but the last `deaf` members read.
    Talk { plan: Plan, deaf: usize },
    /// All come, and then stay so long.
    Idle { settle: Duration },
    /// Others come and go for so long, so many at a time.
    Visits { time: Duration, at_a_time: usize },
}

const PAYLOAD: usize = 32;

const WINDOW: Pace = Pace::Window(256);

/// All of them, in the order in which they are run and shown.
pub(crate) const SCENARIOS: [Scenario; 12] = [
    talk("fan10", 10, plan(WINDOW, 1500)),
    talk("fan100", 100, plan(WINDOW, 1500)),
    talk("fan1000", 1000, plan(WINDOW, 1500)),
    talk("fan5000", 5000, plan(WINDOW, 1500)),
    talk("ping1000", 1000, plan(Pace::Window(1), 1500)),
    talk("lat1000", 1000, plan(Pace::Rate(50), 5000)),
    talk("rate1000", 1000, plan(Pace::Rate(1000), 3000)),
    Scenario {
        action: Action::Idle {
            settle: Duration::from_secs(1),
        },
        ..talk("idle10k", 10_000, plan(WINDOW, 0))
    },
    Scenario {
        payload: 400,
        action: Action::Talk {
            plan: Plan {
                messages: 60_000,
                // Some servers stop for seconds, and then go on.
                patience: Duration::from_secs(12),
                ..plan(WINDOW, 15_000)
            },
            deaf: 5,
        },
        ..talk("stuck", 100, plan(WINDOW, 0))
    },
    Scenario {
        action: Action::Visits {
            time: Duration::from_secs(3),
            at_a_time: 32,
        },
        ..talk("churn", 100, plan(WINDOW, 0))
    },
    talk("flood", 1000, flood(3000)),
    talk("turns", 1000, resting(4000, 2000, 10)),
];

/// How cost grows with members, with the size of payloads, with publishers, and with members that
/// never read.
pub(crate) fn growth() -> Vec<Scenario> {
    let saturated = plan(WINDOW, 1500);
    let members = [10, 30, 100, 300, 1000, 3000, 10_000, 19_000];
    let members = members.map(|members| talk("members", members, saturated));
    let payload = [1, 8, 32, 128, 512, 1024, 4096].map(|payload| Scenario {
        payload,
        ..talk("payload", 1000, saturated)
    });
    let publishers = [1, 10, 100, 1000].map(|publishers| Scenario {
        publishers,
        ..talk("publishers", 1000, saturated)
    });
    let deaf = [("deaf", WINDOW), ("deaf-rate", Pace::Rate(1000))].map(|(name, pace)| {
        [0, 50, 500].map(|deaf| Scenario {
            // So that the sockets of those that never read are full at once.
            payload: 400,
            action: Action::Talk {
                plan: plan(pace, 6000),
                deaf,
            },
            ..talk(name, 100 + deaf, saturated)
        })
    });
    members
        .into_iter()
        .chain(payload)
        .chain(publishers)
        .chain(deaf.into_iter().flatten())
        .collect()
}

const fn talk(name: &'static str, members: usize, plan: Plan) -> Scenario {
    Scenario {
        name,
        members,
        publishers: 1,
        payload: PAYLOAD,
        action: Action::Talk { plan, deaf: 0 },
    }
}

const fn plan(pace: Pace, millis: u64) -> Plan {
    Plan {
        pace,
        time: Duration::from_millis(millis),
        messages: u64::MAX,
        patience: Duration::from_secs(5),
        drain: Duration::from_secs(30),
        resting: None,
    }
}

const fn flood(millis: u64) -> Plan {
    Plan {
        // What the sockets hold can take a slow server minutes.
        drain: Duration::from_secs(10),
        ..plan(Pace::Flood, millis)
    }
}

const fn resting(after: u64, each: u64, members: usize) -> Plan {
    Plan {
        resting: Some(Resting {
            after: Duration::from_millis(after),
            each: Duration::from_millis(each),
            members,
        }),
        // A little longer, so that the last one's turn ends within it.
        ..flood(after + each * members as u64 + 100)
    }
}

impl Scenario {
    /// The same in its shortest form, which shows that it can be carried out and nothing else.
    pub(crate) fn shortest(self) -> Self {
        const SHORT: u64 = 80;
        let action = match self.action {
            Action::Idle { .. } => Action::Idle {
                settle: Duration::from_millis(20),
            },
            Action::Visits { at_a_time, .. } => Action::Visits {
                time: Duration::from_millis(SHORT),
                at_a_time: at_a_time.min(4),
            },
            Action::Talk { plan: whole, deaf } => {
                let short = match whole.resting {
                    Some(_) => resting(SHORT, SHORT / 2, 2),
                    None => plan(whole.pace, SHORT),
                };
                let deaf = deaf.min(5);
                Action::Talk { plan: short, deaf }
            }
        };
        Self {
            members: self.members.min(20),
            publishers: self.publishers.min(20),
            action,
            ..self
        }
    }

    /// Carries it out against a server that nobody has used.
    pub(crate) fn run(&self, server: &Server) -> Result<Figures, CrowdError> {
        const GATHER: Duration = Duration::from_secs(300);
        let shape = Shape {
            members: self.members,
            publishers: self.publishers,
            visitors: match self.action {
                Action::Visits { at_a_time, .. } => at_a_time,
                _ => 0,
            },
            payload: self.payload,
        };
        let memory = resident(server.id());
        let before = Usage::now(server.id());
        let mut crowd = Crowd::new(shape, server.address(), server.protocol())?;
        let setup = crowd.gather(GATHER)?.as_secs_f64();
        let mut figures = match self.action {
            Action::Talk { plan, deaf } => {
                for member in self.members - deaf..self.members {
                    crowd.tally.set_reader(member, Reader::Never);
                    crowd.turn_away(member)?;
                }
                drive(&mut crowd, server.id(), &plan)?
            }
            Action::Idle { settle } => {
                let other_cores = Usage::now(server.id()).since(before).other_cores;
                let end = Instant::now() + settle;
                while Instant::now() < end {
                    crowd.pump(Duration::from_millis(20))?;
                }
                let grown = resident(server.id()).saturating_sub(memory) as f64 * 1024.0;
                Figures::from([
                    (Figure::BytesPerPeer, grown / self.members as f64),
                    (Figure::PeersPerSecond, self.members as f64 / setup),
                    (Figure::OtherCores, other_cores),
                ])
            }
            Action::Visits { time, .. } => visits(&mut crowd, server.id(), time)?,
        };
        figures.insert(Figure::SetupSeconds, setup);
        Ok(figures)
    }
}

/// Visitors connect, are greeted and leave, until the room has heard about all of them.
fn visits(crowd: &mut Crowd, server: u32, time: Duration) -> Result<Figures, CrowdError> {
    let before = Usage::now(server);
    let start = Instant::now();
    crowd.visiting = true;
    while start.elapsed() < time {
        crowd.open_visitors()?;
        crowd.pump(Duration::from_millis(20))?;
    }
    crowd.visiting = false;
    let visits = crowd.visits as f64;
    crowd.confirm(Duration::from_secs(30))?;
    let seconds = start.elapsed().as_secs_f64();
    let used = Usage::now(server).since(before);
    Ok(Figures::from([
        (Figure::CyclesPerSecond, visits / seconds),
        (
            Figure::ServerMicros,
            used.server_ns as f64 / 1e3 / visits.max(1.0),
        ),
        (Figure::ServerCores, used.server_cores),
        (Figure::GeneratorCores, used.generator_cores),
        (Figure::OtherCores, used.other_cores),
        (Figure::Disconnected, crowd.tally.disconnected as f64),
    ]))
}
