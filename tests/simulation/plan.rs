//! The plan of a seed: the peers, their behaviour, and the faults of the network.

use super::server::TICK;
use chat_core::{Hub, HubConfig};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The settings and the peers of a scenario. Limits are short, so that a few seconds cover what
/// takes minutes otherwise.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    pub(crate) log_bytes: usize,
    pub(crate) max_text: usize,
    pub(crate) patience: Duration,
    pub(crate) stall: Duration,
    pub(crate) idle: Option<Duration>,
    pub(crate) linger: Duration,
    pub(crate) grace: Duration,
    /// The minimum and the maximum.
    pub(crate) latency: (Duration, Duration),
    /// The unread bytes that a connection holds.
    pub(crate) window: usize,
    /// The maximal number of bytes of one read by the server.
    pub(crate) read_size: usize,
    /// The number of accepted peers between two accept errors.
    pub(crate) peers_per_error: usize,
    /// The time of the shutdown signal; `None` for a shutdown once all peers have left.
    pub(crate) drain: Option<Duration>,
    pub(crate) hosts: Vec<HostPlan>,
    /// The texts that the process of the server sends to peers and the removals, each with its time.
    pub(crate) interventions: Vec<(Duration, Intervention)>,
}

/// An action of the process of the server on one of the peers at that time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Intervention {
    /// Chooses the peer.
    pub(crate) peer: usize,
    pub(crate) kind: InterventionKind,
    /// Whether lines are published at once after it, otherwise before it.
    pub(crate) before_lines: bool,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum InterventionKind {
    /// Sends so many texts to this peer alone.
    Mail(usize),
    Kick,
}

/// A host whose peers connect one after the other.
#[derive(Clone, Debug)]
pub(crate) struct HostPlan {
    pub(crate) name: String,
    pub(crate) role: Role,
    /// Whether attempts to deliver are masked, so that no session parks for long.
    pub(crate) masked: bool,
    pub(crate) connections: Vec<ConnectionPlan>,
    pub(crate) fault: Option<NetworkFault>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    Talker,
    Silent,
    Slow,
    Stalled,
    Reset,
    Vanishing,
    HalfCloser,
    SlowStarter,
    Reconnecting,
    Renamer,
}

/// A fault of the link to a host.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NetworkFault {
    pub(crate) from: Duration,
    pub(crate) until: Duration,
    /// Whether segments are lost. Otherwise they arrive after the fault, like a retransmission.
    pub(crate) drops: bool,
}

/// One connection of a host.
#[derive(Clone, Debug)]
pub(crate) struct ConnectionPlan {
    /// The delay after the start of the host or after its previous connection.
    pub(crate) delay: Duration,
    pub(crate) reading: Reading,
    /// The actions, each with the delay before it.
    pub(crate) actions: Vec<(Duration, Action)>,
    pub(crate) ending: Ending,
    /// How long the peer waits for the end of the stream after its last action.
    pub(crate) end_timeout: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    Eager,
    Slow {
        bytes: usize,
        every: Duration,
    },
    /// One pause.
    Pauses {
        after: Duration,
        lasting: Duration,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum Action {
    /// Publishes lines in one write.
    Publish(Vec<String>),
    /// Publishes a line in writes of one byte.
    PublishBytewise(String, Duration),
    Rename(&'static str),
    Who,
    Unknown,
    TooLong,
}

#[derive(Clone, Debug)]
pub(crate) enum Ending {
    /// Sends `/quit` and reads to the end.
    Quit,
    /// Half-closes, with or without an unfinished line, and reads to the end.
    HalfClose(Option<String>),
    /// Closes, with or without an unfinished line.
    Close(Option<String>),
    /// Drops the connection in the middle of a line; the host answers with resets.
    Reset(String),
    /// Disappears; no segment of the host arrives any more.
    Vanish { held: bool },
    /// Reads until the server ends the stream.
    Stay,
}

const NAMES: [&str; 6] = ["ann", "ben", "cat", "dan", "eve", "Zoë"];

fn millis(rng: &mut SmallRng, range: RangeInclusive<u64>) -> Duration {
    Duration::from_millis(rng.random_range(range))
}

impl Plan {
    pub(crate) fn of(seed: u64) -> Self {
        let rng = &mut SmallRng::seed_from_u64(seed);
        let drain = rng.random_bool(0.5).then(|| millis(rng, 500..=1400));
        let fastest = millis(rng, 1..=10);
        let max_text = rng.random_range(60..=200);
        let mut plan = Self {
            seed,
            log_bytes: rng.random_range(0..=9_000),
            max_text,
            patience: *[0, 2, 5]
                .map(Duration::from_millis)
                .choose(rng)
                .expect("three"),
            stall: millis(rng, 400..=900),
            idle: rng.random_bool(0.4).then(|| millis(rng, 500..=1200)),
            linger: millis(rng, 100..=500),
            grace: match rng.random_bool(0.2) {
                true => millis(rng, 50..=300),
                false => millis(rng, 2000..=3000),
            },
            latency: (fastest, fastest + millis(rng, 0..=50)),
            window: rng.random_range(800..=4000),
            read_size: *[7, 64, 256].choose(rng).expect("three"),
            peers_per_error: rng.random_range(1..=6),
            drain,
            hosts: Vec::new(),
            interventions: Vec::new(),
        };
        for number in 0..rng.random_range(2..=12) {
            let host = plan.host(rng, number);
            plan.hosts.push(host);
        }
        if rng.random_bool(0.06) {
            plan.add_crowd(rng);
        }
        plan.interventions = plan.interventions(rng);
        plan
    }

    /// Adds many peers that do nothing but read, so that many sessions are parked.
    fn add_crowd(&mut self, rng: &mut SmallRng) {
        for _ in 0..20 {
            let number = self.hosts.len();
            let host = self.host_with(rng, number, Role::Silent);
            self.hosts.push(host);
        }
    }

    fn interventions(&self, rng: &mut SmallRng) -> Vec<(Duration, Intervention)> {
        let mail = (0..rng.random_range(0..=12)).map(|_| InterventionKind::Mail(1));
        let mut kinds: Vec<_> = mail.collect();
        kinds.extend(rng.random_bool(0.3).then_some(InterventionKind::Mail(4)));
        kinds.extend(rng.random_bool(0.3).then_some(InterventionKind::Kick));
        let mut all: Vec<_> = kinds
            .into_iter()
            .map(|kind| {
                let intervention = Intervention {
                    peer: rng.random_range(0..1000),
                    kind,
                    before_lines: rng.random_bool(0.5),
                };
                (millis(rng, 100..=1400), intervention)
            })
            .collect();
        all.sort_by_key(|(at, _)| *at);
        all
    }

    /// The hosts whose attempts to deliver are masked.
    pub(crate) fn masked_hosts(&self) -> BTreeSet<String> {
        let masked = self.hosts.iter().filter(|host| host.masked);
        masked.map(|host| host.name.clone()).collect()
    }

    /// The hub of the scenario.
    pub(crate) fn hub(&self) -> Hub {
        let mut config = HubConfig::default();
        config.log_bytes = self.log_bytes;
        config.max_text = self.max_text;
        config.patience = self.patience;
        Hub::new(config)
    }

    /// The maximal time in which a continuously reading peer receives a full log.
    fn delivery_time(&self) -> Duration {
        let windows = self.hub().config().log_bytes.div_ceil(self.window);
        let windows = u32::try_from(windows).expect("the log is small");
        windows * (self.latency.1 + 2 * TICK)
    }

    fn host(&self, rng: &mut SmallRng, number: usize) -> HostPlan {
        use Role::*;
        let roles = [
            Talker,
            Talker,
            Silent,
            Slow,
            Slow,
            Stalled,
            Reset,
            Vanishing,
            HalfCloser,
            SlowStarter,
            Reconnecting,
            Renamer,
        ];
        let role = *roles.choose(rng).expect("some");
        self.host_with(rng, number, role)
    }

    fn host_with(&self, rng: &mut SmallRng, number: usize, role: Role) -> HostPlan {
        use Role::*;
        let connections = match role {
            Reconnecting => rng.random_range(2..=3),
            _ => 1,
        };
        let connections = (0..connections).map(|connection| {
            let id = format!("h{number}c{connection}");
            self.connection(rng, role, &id)
        });
        let connections = connections.collect();
        // Roles that break the connection themselves get no fault.
        let has_fault = !matches!(role, Reset | Vanishing) && rng.random_bool(0.2);
        let fault = has_fault.then(|| {
            let from = millis(rng, 50..=1000);
            NetworkFault {
                from,
                until: from + millis(rng, 50..=700),
                drops: rng.random_bool(0.3),
            }
        });
        HostPlan {
            name: format!("peer{number}"),
            role,
            masked: rng.random_bool(0.35),
            connections,
            fault,
        }
    }

    fn connection(&self, rng: &mut SmallRng, role: Role, id: &str) -> ConnectionPlan {
        let busy = match self.drain {
            // The peer publishes during the shutdown.
            Some(drain) => drain + Duration::from_millis(300),
            None => millis(rng, 400..=1000),
        };
        let mut texts = TextGenerator {
            id,
            count: 0,
            max_text: self.max_text,
        };
        let reading = match role {
            Role::Slow => Reading::Slow {
                bytes: rng.random_range(8..=200),
                every: millis(rng, 10..=100),
            },
            Role::Stalled => Reading::Pauses {
                after: millis(rng, 0..=300),
                lasting: self.stall.mul_f64(rng.random_range(0.2..=3.0)),
            },
            _ => Reading::Eager,
        };
        let actions = match role {
            Role::Silent => Vec::new(),
            Role::SlowStarter => {
                let step = millis(rng, 10..=80);
                let first = Action::PublishBytewise(texts.line(rng, 12), step);
                let mut actions = vec![(Duration::ZERO, first)];
                actions.extend(texts.actions(rng, role, busy / 2));
                actions
            }
            Role::Reconnecting => texts.actions(rng, role, busy / 3),
            _ => texts.actions(rng, role, busy),
        };
        let partial = |texts: &mut TextGenerator<'_>, rng: &mut SmallRng| {
            rng.random_bool(0.7).then(|| texts.line(rng, 40))
        };
        let ending = match role {
            Role::Reset => Ending::Reset(texts.line(rng, 40)),
            Role::Vanishing => Ending::Vanish {
                held: rng.random_bool(0.5),
            },
            Role::HalfCloser => Ending::HalfClose(partial(&mut texts, rng)),
            _ if self.drain.is_some() && role != Role::Reconnecting && rng.random_bool(0.7) => {
                Ending::Stay
            }
            Role::Silent if self.idle.is_some() => Ending::Stay,
            _ => match rng.random_range(0..4) {
                0 => Ending::Close(partial(&mut texts, rng)),
                1 => Ending::HalfClose(partial(&mut texts, rng)),
                _ => Ending::Quit,
            },
        };
        let mut end_timeout = self.delivery_time() + Duration::from_millis(700);
        if matches!(ending, Ending::Stay) {
            end_timeout += match (self.drain, role) {
                (Some(drain), Role::Silent) => drain + self.grace,
                (Some(_), _) => self.grace,
                (None, _) => self.idle.unwrap_or_default(),
            };
        }
        ConnectionPlan {
            delay: millis(rng, 0..=200),
            reading,
            actions,
            ending,
            end_timeout,
        }
    }
}

/// The generator of the texts of one connection: its id, a number, and padding.
struct TextGenerator<'a> {
    id: &'a str,
    count: usize,
    max_text: usize,
}

impl TextGenerator<'_> {
    fn line(&mut self, rng: &mut SmallRng, most: usize) -> String {
        self.count += 1;
        let mut line = format!("{} {} ", self.id, self.count);
        let most = most.min(self.max_text);
        while line.len() + 2 <= most && rng.random_bool(0.95) {
            // Characters of one and of two bytes, so that a read can end within a character.
            line.push(if rng.random_bool(0.8) { 'x' } else { 'é' });
        }
        line
    }

    fn actions(
        &mut self,
        rng: &mut SmallRng,
        role: Role,
        busy: Duration,
    ) -> Vec<(Duration, Action)> {
        let mut actions = Vec::new();
        let mut spent = Duration::ZERO;
        while spent < busy {
            let wait = match role {
                Role::Slow | Role::Stalled => millis(rng, 50..=300),
                _ => millis(rng, 20..=120),
            };
            spent += wait;
            let action = match rng.random_range(0..40) {
                0..8 if role == Role::Renamer => Action::Rename(NAMES.choose(rng).expect("some")),
                8 => Action::Rename(NAMES.choose(rng).expect("some")),
                9..12 => Action::Who,
                12 => Action::Unknown,
                13 => Action::TooLong,
                _ => {
                    let lines = 0..rng.random_range(1..=5);
                    Action::Publish(lines.map(|_| self.line(rng, 60)).collect())
                }
            };
            actions.push((wait, action));
        }
        actions
    }
}
