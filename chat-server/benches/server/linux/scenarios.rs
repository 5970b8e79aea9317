//! The scenarios.

use crate::linux::drive::{Pace, Plan, ReadPauses, drive};
use crate::linux::generator::{Generator, GeneratorError};
use crate::linux::machine::{Usage, resident};
use crate::linux::record::{Figure, Figures};
use crate::linux::servers::Server;
use crate::linux::tally::Reader;
use crate::linux::workload::Workload;
use std::time::{Duration, Instant};

/// Members and publishers, and what they do.
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
    /// Publishers follow the plan, and all but the last `non_readers` members read.
    Publish { plan: Plan, non_readers: usize },
    /// All members join, and then stay idle.
    Idle { settle: Duration },
    /// Visitors join and leave, `concurrent` at a time.
    Churn { time: Duration, concurrent: usize },
}

const PAYLOAD: usize = 32;

const WINDOW: Pace = Pace::Window(256);

/// All scenarios but those of [`growth`], in the order of runs and of the report.
pub(crate) const SCENARIOS: [Scenario; 12] = [
    publishing("fan10", 10, plan(WINDOW, 1500)),
    publishing("fan100", 100, plan(WINDOW, 1500)),
    publishing("fan1000", 1000, plan(WINDOW, 1500)),
    publishing("fan5000", 5000, plan(WINDOW, 1500)),
    publishing("ping1000", 1000, plan(Pace::Window(1), 1500)),
    publishing("lat1000", 1000, plan(Pace::Rate(50), 5000)),
    publishing("rate1000", 1000, plan(Pace::Rate(1000), 3000)),
    Scenario {
        action: Action::Idle {
            settle: Duration::from_secs(1),
        },
        ..publishing("idle10k", 10_000, plan(WINDOW, 0))
    },
    Scenario {
        payload: 400,
        action: Action::Publish {
            plan: Plan {
                messages: 60_000,
                // Some servers deliver nothing for seconds, and then resume.
                patience: Duration::from_secs(12),
                ..plan(WINDOW, 15_000)
            },
            non_readers: 5,
        },
        ..publishing("stuck", 100, plan(WINDOW, 0))
    },
    Scenario {
        action: Action::Churn {
            time: Duration::from_secs(3),
            concurrent: 32,
        },
        ..publishing("churn", 100, plan(WINDOW, 0))
    },
    publishing("flood", 1000, flood(3000)),
    publishing("turns", 1000, with_pauses(4000, 2000, 10)),
];

/// The scenarios of the curves: cost by members, by payload size, by publishers, and by members that
/// never read.
pub(crate) fn growth() -> Vec<Scenario> {
    let saturated = plan(WINDOW, 1500);
    let members = [10, 30, 100, 300, 1000, 3000, 10_000, 19_000];
    let members = members.map(|members| publishing("members", members, saturated));
    let payload = [1, 8, 32, 128, 512, 1024, 4096].map(|payload| Scenario {
        payload,
        ..publishing("payload", 1000, saturated)
    });
    let publishers = [1, 10, 100, 1000].map(|publishers| Scenario {
        publishers,
        ..publishing("publishers", 1000, saturated)
    });
    let non_readers = [("deaf", WINDOW), ("deaf-rate", Pace::Rate(1000))].map(|(name, pace)| {
        [0, 50, 500].map(|non_readers| Scenario {
            // Fills the sockets of members that never read immediately.
            payload: 400,
            action: Action::Publish {
                plan: plan(pace, 6000),
                non_readers,
            },
            ..publishing(name, 100 + non_readers, saturated)
        })
    });
    members
        .into_iter()
        .chain(payload)
        .chain(publishers)
        .chain(non_readers.into_iter().flatten())
        .collect()
}

const fn publishing(name: &'static str, members: usize, plan: Plan) -> Scenario {
    Scenario {
        name,
        members,
        publishers: 1,
        payload: PAYLOAD,
        action: Action::Publish {
            plan,
            non_readers: 0,
        },
    }
}

const fn plan(pace: Pace, millis: u64) -> Plan {
    Plan {
        pace,
        time: Duration::from_millis(millis),
        messages: u64::MAX,
        patience: Duration::from_secs(5),
        drain: Duration::from_secs(30),
        pauses: None,
    }
}

const fn flood(millis: u64) -> Plan {
    Plan {
        // A slow server can take minutes for what the sockets hold.
        drain: Duration::from_secs(10),
        ..plan(Pace::Flood, millis)
    }
}

const fn with_pauses(after: u64, each: u64, members: usize) -> Plan {
    Plan {
        pauses: Some(ReadPauses {
            after: Duration::from_millis(after),
            each: Duration::from_millis(each),
            members,
        }),
        // Slightly longer, so that the last pause ends within it.
        ..flood(after + each * members as u64 + 100)
    }
}

impl Scenario {
    /// The scenario in its shortest form, which shows that it can be carried out.
    pub(crate) fn shortest(self) -> Self {
        const SHORT: u64 = 80;
        let action = match self.action {
            Action::Idle { .. } => Action::Idle {
                settle: Duration::from_millis(20),
            },
            Action::Churn { concurrent, .. } => Action::Churn {
                time: Duration::from_millis(SHORT),
                concurrent: concurrent.min(4),
            },
            Action::Publish {
                plan: full,
                non_readers,
            } => {
                let short = match full.pauses {
                    Some(_) => with_pauses(SHORT, SHORT / 2, 2),
                    None => plan(full.pace, SHORT),
                };
                let non_readers = non_readers.min(5);
                Action::Publish {
                    plan: short,
                    non_readers,
                }
            }
        };
        Self {
            members: self.members.min(20),
            publishers: self.publishers.min(20),
            action,
            ..self
        }
    }

    /// Carries out the scenario against a fresh server.
    pub(crate) fn run(&self, server: &Server) -> Result<Figures, GeneratorError> {
        const CONNECT: Duration = Duration::from_secs(300);
        let workload = Workload {
            members: self.members,
            publishers: self.publishers,
            visitors: match self.action {
                Action::Churn { concurrent, .. } => concurrent,
                _ => 0,
            },
            payload: self.payload,
        };
        let memory = resident(server.id());
        let before = Usage::now(server.id());
        let mut generator = Generator::new(workload, server.address(), server.protocol())?;
        let setup = generator.connect_all(CONNECT)?.as_secs_f64();
        let mut figures = match self.action {
            Action::Publish { plan, non_readers } => {
                for member in self.members - non_readers..self.members {
                    generator.tally.set_reader(member, Reader::Never);
                    generator.pause_reading(member)?;
                }
                drive(&mut generator, server.id(), &plan)?
            }
            Action::Idle { settle } => {
                let other_cores = Usage::now(server.id()).since(before).other_cores;
                let end = Instant::now() + settle;
                while Instant::now() < end {
                    generator.poll(Duration::from_millis(20))?;
                }
                let grown = resident(server.id()).saturating_sub(memory) as f64 * 1024.0;
                Figures::from([
                    (Figure::BytesPerPeer, grown / self.members as f64),
                    (Figure::PeersPerSecond, self.members as f64 / setup),
                    (Figure::OtherCores, other_cores),
                ])
            }
            Action::Churn { time, .. } => churn(&mut generator, server.id(), time)?,
        };
        figures.insert(Figure::SetupSeconds, setup);
        Ok(figures)
    }
}

/// Visitors connect, receive the greeting and leave, until members have received all announcements.
fn churn(
    generator: &mut Generator,
    server: u32,
    time: Duration,
) -> Result<Figures, GeneratorError> {
    let before = Usage::now(server);
    let start = Instant::now();
    generator.visiting = true;
    while start.elapsed() < time {
        generator.open_visitors()?;
        generator.poll(Duration::from_millis(20))?;
    }
    generator.visiting = false;
    let visits = generator.visits as f64;
    generator.await_probe(Duration::from_secs(30))?;
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
        (Figure::Disconnected, generator.tally.disconnected as f64),
    ]))
}
