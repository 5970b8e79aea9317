//! Publishes according to a plan, and measures the deliveries until all have arrived.

use crate::linux::generator::{Generator, GeneratorError};
use crate::linux::machine::{Usage, most_resident, resident};
use crate::linux::record::{Figure, Figures};
use crate::linux::tally::Reader;
use std::time::Duration;

/// Payloads in one write, at most.
const BATCH: u64 = 64;

/// Bytes that a flood offers to the socket at a time.
const FLOOD: usize = 64 * 1024;

/// The pace of publishing.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Pace {
    /// Publishes while the average member has fewer than this many payloads outstanding.
    Window(u64),
    /// Payloads per second, of all publishers together.
    Rate(u32),
    /// As fast as the server reads.
    Flood,
}

/// What a generator publishes, and for how long it waits for deliveries.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) pace: Pace,
    /// How long publishers publish.
    pub(crate) time: Duration,
    /// The maximum number of payloads.
    pub(crate) messages: u64,
    /// After this long without a delivery, outstanding ones count as lost.
    pub(crate) patience: Duration,
    /// How long deliveries may take after the last payload; later ones do not count.
    pub(crate) drain: Duration,
    pub(crate) pauses: Option<ReadPauses>,
}

/// Members that pause reading, one after the other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ReadPauses {
    /// How long all members read before the first pause.
    pub(crate) after: Duration,
    /// The length of each pause.
    pub(crate) each: Duration,
    /// The number of members that pause: the last ones of the generator.
    pub(crate) members: usize,
}

/// Carries out the plan on a connected generator, and returns the measured figures.
pub(crate) fn drive(
    generator: &mut Generator,
    server: u32,
    plan: &Plan,
) -> Result<Figures, GeneratorError> {
    let memory = resident(server);
    let before = Usage::now(server);
    let start = generator.now();
    generator.tally.start(generator.joined_members(), start);
    let mut drive = Drive::new(plan, start);
    while drive.is_running(generator) {
        drive.pauses.step(generator, generator.now() - start)?;
        let wait = drive.publish_due(generator);
        generator.poll(wait)?;
    }
    drive.pauses.finish(generator)?;

    let used = Usage::now(server).since(before);
    let tally = &generator.tally;
    let pause = match drive.stalled {
        true => tally.longest_pause.max(generator.now() - tally.last),
        false => tally.longest_pause,
    };
    let seconds = (tally.last - start).max(1) as f64 / 1e9;
    let deliveries = tally.delivered.max(1) as f64;
    let missing = tally.outstanding().max(0) as f64;
    let (missing, under_way) = match drive.timed_out && !drive.stalled {
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
    figures.extend(drive.pauses.figures(tally.lost_by_intermittent));
    Ok(figures)
}

struct Drive<'a> {
    plan: &'a Plan,
    start: u64,
    sent: u64,
    /// When the next payload is due; only for a rate.
    due: u64,
    /// The next publisher.
    next: usize,
    /// When publishing ended.
    stopped_at: Option<u64>,
    /// No delivery arrived within [`Plan::patience`].
    stalled: bool,
    /// Deliveries were still arriving after [`Plan::drain`].
    timed_out: bool,
    pauses: PauseSchedule,
}

impl<'a> Drive<'a> {
    fn new(plan: &'a Plan, start: u64) -> Self {
        Self {
            plan,
            start,
            sent: 0,
            due: start,
            next: 0,
            stopped_at: None,
            stalled: false,
            timed_out: false,
            pauses: PauseSchedule::new(plan.pauses),
        }
    }

    /// Whether payloads are still to be published or deliveries to arrive.
    fn is_running(&mut self, generator: &mut Generator) -> bool {
        let now = generator.now();
        let over = now >= self.start + nanos(self.plan.time) || self.sent >= self.plan.messages;
        if over && self.stopped_at.is_none() {
            self.stopped_at = Some(now);
            generator.finish_publishing();
        }
        let all_sent = || {
            (0..generator.workload().publishers).all(|publisher| generator.has_sent_all(publisher))
        };
        if self.stopped_at.is_some() && generator.tally.outstanding() <= 0 && all_sent() {
            return false;
        }
        // With a rate, nothing may be outstanding between two payloads.
        let waited = now - generator.tally.last.min(now);
        let overdue = waited > nanos(self.plan.patience) && generator.tally.outstanding() > 0;
        self.stalled = overdue || generator.tally.active() == 0;
        self.timed_out = self
            .stopped_at
            .is_some_and(|since| now - since > nanos(self.plan.drain));
        !self.stalled && !self.timed_out
    }

    /// Publishes what is due, and returns how long to wait for events.
    fn publish_due(&mut self, generator: &mut Generator) -> Duration {
        const LONG: Duration = Duration::from_millis(100);
        if self.stopped_at.is_some() {
            return LONG;
        }
        match self.plan.pace {
            Pace::Rate(rate) => {
                let tick = 1_000_000_000 / u64::from(rate);
                while self.due <= generator.now() {
                    self.send(generator, 1);
                    self.due += tick;
                }
                Duration::from_nanos(self.due.saturating_sub(generator.now())).min(LONG)
            }
            Pace::Window(window) => {
                let publishers = generator.workload().publishers;
                // Smaller batches with many publishers, so that each of them publishes.
                let batch = (window / publishers as u64).clamp(1, BATCH);
                let mut published = false;
                for _ in 0..publishers {
                    let members = generator.tally.active().max(1) as i64;
                    let free = window as i64 * members - generator.tally.outstanding();
                    let count = (free.max(0) / members) as u64;
                    let count = count.min(batch).min(self.plan.messages - self.sent);
                    if count == 0 {
                        break;
                    }
                    published |= self.send(generator, count);
                }
                if published { Duration::ZERO } else { LONG }
            }
            Pace::Flood => {
                let count = FLOOD / (generator.tally.full_payload_size() + 1);
                let published = self.send(generator, count as u64);
                if published { Duration::ZERO } else { LONG }
            }
        }
    }

    /// Publishes `count` payloads through the next publisher, unless its earlier ones have not left
    /// yet. With a rate, it publishes in any case.
    fn send(&mut self, generator: &mut Generator, count: u64) -> bool {
        let publisher = self.next;
        self.next = (publisher + 1) % generator.workload().publishers;
        let can = matches!(self.plan.pace, Pace::Rate(_)) || generator.has_sent_all(publisher);
        if can {
            generator.publish(publisher, count);
            self.sent += count;
        }
        can
    }
}

/// The member whose reading is paused, and the rate of delivery with and without pauses.
struct PauseSchedule {
    plan: Option<ReadPauses>,
    /// Pauses started so far.
    started: usize,
    paused: Option<usize>,
    /// The start of the first pause, and the deliveries until then.
    first: Option<(u64, u64)>,
    /// The end of the last pause, and the deliveries until then.
    last: Option<(u64, u64)>,
}

impl PauseSchedule {
    fn new(plan: Option<ReadPauses>) -> Self {
        Self {
            plan,
            started: 0,
            paused: None,
            first: None,
            last: None,
        }
    }

    /// Ends and starts the pauses that are due `now`, in ns since the start.
    fn step(&mut self, generator: &mut Generator, now: u64) -> Result<(), GeneratorError> {
        let Some(plan) = self.plan else { return Ok(()) };
        let due = nanos(plan.after + plan.each * self.started as u32);
        if self.last.is_some() || now < due {
            return Ok(());
        }
        self.finish(generator)?;
        if self.started == plan.members {
            self.last = Some((now, generator.tally.delivered));
            return Ok(());
        }
        self.first.get_or_insert((now, generator.tally.delivered));
        self.started += 1;
        let member = generator.workload().members - self.started;
        generator.tally.set_reader(member, Reader::Intermittent);
        generator.pause_reading(member)?;
        self.paused = Some(member);
        Ok(())
    }

    /// Ends the current pause.
    fn finish(&mut self, generator: &Generator) -> Result<(), GeneratorError> {
        if let Some(member) = self.paused.take() {
            generator.resume_reading(member)?;
        }
        Ok(())
    }

    fn figures(&self, lost: u64) -> Figures {
        let (Some(first), Some(last)) = (self.first, self.last) else {
            return Figures::new();
        };
        let without = first.1 as f64 / (first.0 as f64 / 1e9);
        let with = (last.1 - first.1) as f64 / ((last.0 - first.0) as f64 / 1e9);
        Figures::from([
            (Figure::LostAtTimes, lost as f64),
            (Figure::RateWithout, without),
            (Figure::RateWith, with),
            (Figure::RateKept, with / without),
        ])
    }
}

fn nanos(time: Duration) -> u64 {
    time.as_nanos() as u64
}
