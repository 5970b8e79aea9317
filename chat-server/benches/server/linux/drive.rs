//! Lets publishers speak, and measures what arrives until all has.

use crate::linux::crowd::{Crowd, CrowdError};
use crate::linux::machine::{Usage, most_resident, resident};
use crate::linux::record::{Figure, Figures};
use crate::linux::tally::Reader;
use std::time::Duration;

/// The most payloads in one write.
const BATCH: u64 = 64;

/// What a flood has ready for the socket, in bytes.
const FLOOD: usize = 64 * 1024;

/// When publishers speak.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// While members lack less than so many payloads each, on average.
    Window(u64),
    /// So often in a second, all publishers together.
    Rate(u32),
    /// As fast as the server reads.
    Flood,
}

/// What is done to a crowd.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) pace: Pace,
    /// How long publishers speak.
    pub(crate) time: Duration,
    /// How many payloads they send at most.
    pub(crate) messages: u64,
    /// When nothing has arrived for this long, the rest will not.
    pub(crate) patience: Duration,
    /// How long all that was sent may take to arrive; what still comes then is left out.
    pub(crate) drain: Duration,
    pub(crate) resting: Option<Resting>,
}

/// Members that do not read for a while, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resting {
    /// How long all read first.
    pub(crate) after: Duration,
    /// How long each does not.
    pub(crate) each: Duration,
    /// How many do so: the last ones of the crowd.
    pub(crate) members: usize,
}

/// Drives a crowd that has gathered, and says what it measured.
pub(crate) fn drive(crowd: &mut Crowd, server: u32, plan: &Plan) -> Result<Figures, CrowdError> {
    let memory = resident(server);
    let before = Usage::now(server);
    let start = crowd.now();
    crowd.tally.begin(crowd.present(), start);
    let mut drive = Drive::new(plan, start);
    while drive.goes_on(crowd) {
        drive.turns.step(crowd, crowd.now() - start)?;
        let wait = drive.speak(crowd);
        crowd.pump(wait)?;
    }
    drive.turns.finish(crowd)?;

    let used = Usage::now(server).since(before);
    let tally = &crowd.tally;
    let pause = match drive.stalled {
        true => tally.longest_pause.max(crowd.now() - tally.last),
        false => tally.longest_pause,
    };
    let seconds = (tally.last - start).max(1) as f64 / 1e9;
    let deliveries = tally.delivered.max(1) as f64;
    let missing = tally.outstanding().max(0) as f64;
    let (missing, under_way) = match drive.late && !drive.stalled {
        true => (0.0, missing),
        false => (missing, 0.0),
    };
    let micros = |quantile| tally.latency.value_at_quantile(quantile) as f64 / 1e3;
    let growth = most_resident(server).saturating_sub(memory) as f64;
    let mut figures = Figures::from([
        (Figure::Messages, drive.sent as f64),
        (Figure::Delivered, tally.delivered as f64),
        (Figure::Lost, tally.lost as f64 + missing),
        (Figure::UnderWay, under_way),
        (Figure::Duplicates, tally.duplicates as f64),
        (Figure::Disconnected, tally.disconnected as f64),
        (Figure::Seconds, seconds),
        (Figure::DeliveriesPerSecond, deliveries / seconds),
        (
            Figure::ServerMicros,
            used.server_ns as f64 / 1e3 / deliveries,
        ),
        (
            Figure::GeneratorMicros,
            used.generator_ns as f64 / 1e3 / deliveries,
        ),
        (Figure::ServerCores, used.server_cores),
        (Figure::GeneratorCores, used.generator_cores),
        (Figure::OtherCores, used.other_cores),
        (Figure::P50Micros, micros(0.5)),
        (Figure::P99Micros, micros(0.99)),
        (Figure::MaxMicros, tally.latency.max() as f64 / 1e3),
        (Figure::LongestPauseMillis, pause as f64 / 1e6),
        (Figure::GrowthMib, growth / 1024.0),
    ]);
    figures.extend(drive.turns.figures(tally.lost_at_times));
    Ok(figures)
}

struct Drive<'a> {
    plan: &'a Plan,
    start: u64,
    sent: u64,
    /// When the next payload is due, if they have a rate.
    due: u64,
    /// Who is next to speak.
    next: usize,
    /// Since when nobody speaks.
    silent: Option<u64>,
    /// Nothing came for too long.
    stalled: bool,
    /// Something still came when time was up.
    late: bool,
    turns: Turns,
}

impl<'a> Drive<'a> {
    fn new(plan: &'a Plan, start: u64) -> Self {
        Self {
            plan,
            start,
            sent: 0,
            due: start,
            next: 0,
            silent: None,
            stalled: false,
            late: false,
            turns: Turns::new(plan.resting),
        }
    }

    /// Whether there is more to send or to come.
    fn goes_on(&mut self, crowd: &mut Crowd) -> bool {
        let now = crowd.now();
        let over = now >= self.start + nanos(self.plan.time) || self.sent >= self.plan.messages;
        if over && self.silent.is_none() {
            self.silent = Some(now);
            crowd.conclude();
        }
        let all_sent = || (0..crowd.shape().publishers).all(|publisher| crowd.has_sent(publisher));
        if self.silent.is_some() && crowd.tally.outstanding() <= 0 && all_sent() {
            return false;
        }
        // With a rate there may be nothing to come between two payloads.
        let waited = now - crowd.tally.last.min(now);
        let tired = waited > nanos(self.plan.patience) && crowd.tally.outstanding() > 0;
        self.stalled = tired || crowd.tally.active() == 0;
        self.late = self
            .silent
            .is_some_and(|since| now - since > nanos(self.plan.drain));
        !self.stalled && !self.late
    }

    /// Sends what may be sent now; how long it can be waited for more reason to.
    fn speak(&mut self, crowd: &mut Crowd) -> Duration {
        const LONG: Duration = Duration::from_millis(100);
        if self.silent.is_some() {
            return LONG;
        }
        match self.plan.pace {
            Pace::Rate(rate) => {
                let tick = 1_000_000_000 / u64::from(rate);
                while self.due <= crowd.now() {
                    self.send(crowd, 1);
                    self.due += tick;
                }
                Duration::from_nanos(self.due.saturating_sub(crowd.now())).min(LONG)
            }
            Pace::Window(window) => {
                let publishers = crowd.shape().publishers;
                // So that many publishers do speak, each less.
                let batch = (window / publishers as u64).clamp(1, BATCH);
                let mut spoke = false;
                for _ in 0..publishers {
                    let members = crowd.tally.active().max(1) as i64;
                    let free = window as i64 * members - crowd.tally.outstanding();
                    let count = (free.max(0) / members) as u64;
                    let count = count.min(batch).min(self.plan.messages - self.sent);
                    if count == 0 {
                        break;
                    }
                    spoke |= self.send(crowd, count);
                }
                if spoke { Duration::ZERO } else { LONG }
            }
            Pace::Flood => {
                let count = FLOOD / (crowd.tally.whole_payload() + 1);
                let spoke = self.send(crowd, count as u64);
                if spoke { Duration::ZERO } else { LONG }
            }
        }
    }

    /// The next publisher sends this much, unless it has not yet sent what it had to. A rate does
    /// not ask for that.
    fn send(&mut self, crowd: &mut Crowd, count: u64) -> bool {
        let publisher = self.next;
        self.next = (publisher + 1) % crowd.shape().publishers;
        let can = matches!(self.plan.pace, Pace::Rate(_)) || crowd.has_sent(publisher);
        if can {
            crowd.publish(publisher, count);
            self.sent += count;
        }
        can
    }
}

/// Who rests, and how the room fared meanwhile.
struct Turns {
    plan: Option<Resting>,
    /// How many have begun to rest.
    begun: usize,
    resting: Option<usize>,
    /// When the first one began, and the deliveries until then.
    first: Option<(u64, u64)>,
    /// When the last one had rested, and the deliveries until then.
    last: Option<(u64, u64)>,
}

impl Turns {
    fn new(plan: Option<Resting>) -> Self {
        Self {
            plan,
            begun: 0,
            resting: None,
            first: None,
            last: None,
        }
    }

    /// Does what is due `now`, in ns since the start.
    fn step(&mut self, crowd: &mut Crowd, now: u64) -> Result<(), CrowdError> {
        let Some(plan) = self.plan else { return Ok(()) };
        let due = nanos(plan.after + plan.each * self.begun as u32);
        if self.last.is_some() || now < due {
            return Ok(());
        }
        self.finish(crowd)?;
        if self.begun == plan.members {
            self.last = Some((now, crowd.tally.delivered));
            return Ok(());
        }
        self.first.get_or_insert((now, crowd.tally.delivered));
        self.begun += 1;
        let member = crowd.shape().members - self.begun;
        crowd.tally.set_reader(member, Reader::AtTimes);
        crowd.turn_away(member)?;
        self.resting = Some(member);
        Ok(())
    }

    /// Nobody rests any more.
    fn finish(&mut self, crowd: &Crowd) -> Result<(), CrowdError> {
        if let Some(member) = self.resting.take() {
            crowd.listen(member)?;
        }
        Ok(())
    }

    fn figures(&self, lost_at_times: u64) -> Figures {
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return Figures::new();
        };
        let without = first.1 as f64 / (first.0 as f64 / 1e9);
        let with = (last.1 - first.1) as f64 / ((last.0 - first.0) as f64 / 1e9);
        Figures::from([
            (Figure::LostAtTimes, lost_at_times as f64),
            (Figure::RateWithout, without),
            (Figure::RateWith, with),
            (Figure::RateKept, with / without),
        ])
    }
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos() as u64
}
