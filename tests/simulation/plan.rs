//! What is to happen under a seed: who comes, how it behaves, what the network does to it.

use super::house::TICK;
use chat_core::{Hub, HubConfig};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use std::ops::RangeInclusive;
use std::time::Duration;

/// Limits are short, so that few seconds of a scenario show what takes minutes otherwise.
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
    /// The least and the greatest.
    pub(crate) latency: (Duration, Duration),
    /// Bytes that a connection takes ahead of what its peer has read.
    pub(crate) window: usize,
    /// Bytes that the server reads at a time.
    pub(crate) piece: usize,
    /// After so many peers accepting fails once.
    pub(crate) peers_per_error: usize,
    /// When the server is told to go down; else when all guests are gone.
    pub(crate) drain: Option<Duration>,
    pub(crate) guests: Vec<Guest>,
}

/// A host from which one peer after the other comes.
#[derive(Clone, Debug)]
pub(crate) struct Guest {
    pub(crate) host: String,
    pub(crate) role: Role,
    pub(crate) visits: Vec<Visit>,
    pub(crate) trouble: Option<Trouble>,
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

/// What the network does to a guest for some time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trouble {
    pub(crate) from: Duration,
    pub(crate) until: Duration,
    /// Nothing comes through, and never will; else it comes when the trouble is over, as what TCP
    /// sends again does.
    pub(crate) loses: bool,
}

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    /// After the guest began, or ended its last visit.
    pub(crate) comes_after: Duration,
    pub(crate) reading: Reading,
    /// Each after some time.
    pub(crate) acts: Vec<(Duration, Act)>,
    pub(crate) ending: Ending,
    /// How long, after all that, it waits for the server's end of the conversation.
    pub(crate) patience: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Reading {
    Eager,
    Slow {
        bytes: usize,
        every: Duration,
    },
    /// Not at all from some time after it came, for some time.
    Pauses {
        after: Duration,
        lasting: Duration,
    },
}

#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// Lines in one write.
    Say(Vec<String>),
    /// A line, byte by byte.
    Dribble(String, Duration),
    Rename(&'static str),
    Who,
    Unknown,
    TooLong,
}

#[derive(Clone, Debug)]
pub(crate) enum Ending {
    /// `/quit`, and reads on.
    Quit,
    /// Says that no more comes, perhaps in the middle of a line, and reads on.
    HalfClose(Option<String>),
    /// Closes, perhaps in the middle of a line.
    HangUp(Option<String>),
    /// Is gone in the middle of a line, and its host knows nothing of the connection.
    Reset(String),
    /// Is gone, and nothing comes from its host any more.
    Vanish { held: bool },
    /// Reads until the server ends it.
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
            piece: *[7, 64, 256].choose(rng).expect("three"),
            peers_per_error: rng.random_range(1..=6),
            drain,
            guests: Vec::new(),
        };
        for number in 0..rng.random_range(2..=12) {
            let guest = plan.guest(rng, number);
            plan.guests.push(guest);
        }
        plan
    }

    /// The hub that it is about.
    pub(crate) fn hub(&self) -> Hub {
        let mut config = HubConfig::default();
        config.log_bytes = self.log_bytes;
        config.max_text = self.max_text;
        config.patience = self.patience;
        Hub::new(config)
    }

    /// How long, at most, a peer that reads all the time takes for what the log can hold.
    fn delivery(&self) -> Duration {
        let windows = self.hub().config().log_bytes.div_ceil(self.window);
        let windows = u32::try_from(windows).expect("a log is not that large");
        windows * (self.latency.1 + 2 * TICK)
    }

    fn guest(&self, rng: &mut SmallRng, number: usize) -> Guest {
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
        let visits = match role {
            Reconnecting => rng.random_range(2..=3),
            _ => 1,
        };
        let visits = (0..visits).map(|visit| {
            let id = format!("g{number}v{visit}");
            self.visit(rng, role, &id)
        });
        let visits = visits.collect();
        // Those who make trouble themselves need no other.
        let suffers = !matches!(role, Reset | Vanishing) && rng.random_bool(0.2);
        let trouble = suffers.then(|| {
            let from = millis(rng, 50..=1000);
            Trouble {
                from,
                until: from + millis(rng, 50..=700),
                loses: rng.random_bool(0.3),
            }
        });
        Guest {
            host: format!("guest{number}"),
            role,
            visits,
            trouble,
        }
    }

    fn visit(&self, rng: &mut SmallRng, role: Role, id: &str) -> Visit {
        let busy = match self.drain {
            // It talks while the server goes down.
            Some(drain) => drain + Duration::from_millis(300),
            None => millis(rng, 400..=1000),
        };
        let mut chatter = Chatter {
            id,
            said: 0,
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
        let acts = match role {
            Role::Silent => Vec::new(),
            Role::SlowStarter => {
                let step = millis(rng, 10..=80);
                let first = Act::Dribble(chatter.line(rng, 12), step);
                let mut acts = vec![(Duration::ZERO, first)];
                acts.extend(chatter.talk(rng, role, busy / 2));
                acts
            }
            Role::Reconnecting => chatter.talk(rng, role, busy / 3),
            _ => chatter.talk(rng, role, busy),
        };
        let rest = |chatter: &mut Chatter<'_>, rng: &mut SmallRng| {
            rng.random_bool(0.7).then(|| chatter.line(rng, 40))
        };
        let ending = match role {
            Role::Reset => Ending::Reset(chatter.line(rng, 40)),
            Role::Vanishing => Ending::Vanish {
                held: rng.random_bool(0.5),
            },
            Role::HalfCloser => Ending::HalfClose(rest(&mut chatter, rng)),
            _ if self.drain.is_some() && role != Role::Reconnecting && rng.random_bool(0.7) => {
                Ending::Stay
            }
            Role::Silent if self.idle.is_some() => Ending::Stay,
            _ => match rng.random_range(0..4) {
                0 => Ending::HangUp(rest(&mut chatter, rng)),
                1 => Ending::HalfClose(rest(&mut chatter, rng)),
                _ => Ending::Quit,
            },
        };
        let mut patience = self.delivery() + Duration::from_millis(700);
        if matches!(ending, Ending::Stay) {
            patience += match (self.drain, role) {
                (Some(drain), Role::Silent) => drain + self.grace,
                (Some(_), _) => self.grace,
                (None, _) => self.idle.unwrap_or_default(),
            };
        }
        Visit {
            comes_after: millis(rng, 0..=200),
            reading,
            acts,
            ending,
            patience,
        }
    }
}

/// What one peer says: who it is, a number, and something.
struct Chatter<'a> {
    id: &'a str,
    said: usize,
    max_text: usize,
}

impl Chatter<'_> {
    fn line(&mut self, rng: &mut SmallRng, most: usize) -> String {
        self.said += 1;
        let mut line = format!("{} {} ", self.id, self.said);
        let most = most.min(self.max_text);
        while line.len() + 2 <= most && rng.random_bool(0.95) {
            // Of one byte and of two, so that a piece can end within a character.
            line.push(if rng.random_bool(0.8) { 'x' } else { 'é' });
        }
        line
    }

    fn talk(&mut self, rng: &mut SmallRng, role: Role, busy: Duration) -> Vec<(Duration, Act)> {
        let mut acts = Vec::new();
        let mut spent = Duration::ZERO;
        while spent < busy {
            let wait = match role {
                Role::Slow | Role::Stalled => millis(rng, 50..=300),
                _ => millis(rng, 20..=120),
            };
            spent += wait;
            let act = match rng.random_range(0..40) {
                0..8 if role == Role::Renamer => Act::Rename(NAMES.choose(rng).expect("some")),
                8 => Act::Rename(NAMES.choose(rng).expect("some")),
                9..12 => Act::Who,
                12 => Act::Unknown,
                13 => Act::TooLong,
                _ => {
                    let lines = 0..rng.random_range(1..=5);
                    Act::Say(lines.map(|_| self.line(rng, 60)).collect())
                }
            };
            acts.push((wait, act));
        }
        acts
    }
}
