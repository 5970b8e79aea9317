//! What the server promises, held against what happened.

use super::guest::{End, Line, Visited};
use super::house::{BEAT, Outcome, TICK};
use super::net::State;
use super::plan::{Ending, Guest, Plan, Reading, Visit};
use chat_core::LeaveReason;
use chat_tests::history::lines::{Order, Stay, Told};
use std::collections::BTreeMap;
use std::time::Duration;

/// How much later than it happens something is seen, by hosts that take turns.
const TURN: Duration = Duration::from_millis(3 * TICK.as_millis() as u64);

/// What there is to see in enough scenarios.
const KINDS: [&str; 15] = [
    "visits",
    "events",
    "lines given",
    "gaps told",
    "rosters in their place",
    "streams that stop within a line",
    "lines finished by the end of the stream",
    "lines never finished",
    "published soon",
    "left",
    "idle",
    "stalled",
    "lost",
    "told that the server goes down",
    "out of grace",
];

/// How much there was to check, so that it is seen to have been about something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally(BTreeMap<&'static str, u64>);

impl Tally {
    fn count(&mut self, kind: &'static str, number: u64) {
        debug_assert!(KINDS.contains(&kind), "{kind}");
        *self.0.entry(kind).or_default() += number;
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (kind, number) in &other.0 {
            self.count(kind, *number);
        }
    }

    /// What was never seen.
    pub(crate) fn lacks(&self) -> Vec<&'static str> {
        let mut kinds = KINDS.to_vec();
        kinds.retain(|kind| self.0.get(kind).is_none_or(|number| *number == 0));
        kinds
    }
}

/// Holds what happened against what was planned and is promised.
///
/// # Errors
///
/// Says which promise was broken, and where.
pub(crate) fn check(plan: &Plan, outcome: &Outcome) -> Result<Tally, String> {
    let checked = outcome.history.check()?;
    let order = Order::of(&outcome.witness, &outcome.roster)?;
    let mut tally = Tally::default();
    tally.count("events", checked.events as u64);
    check_house(plan, outcome, &order)?;
    for visited in &outcome.visits {
        let name = visited.address.to_string();
        let Some(wire) = outcome.wires.get(&visited.address) else {
            return Err(format!("{name} was let in, but never came"));
        };
        let Some(stay) = order.stay(&name) else {
            check_late(outcome, visited, wire)?;
            continue;
        };
        let told = order.follow(&name, &visited.heard)?;
        let guest = &plan.guests[visited.guest];
        let seen = Seen {
            plan,
            outcome,
            order: &order,
            guest,
            visit: &guest.visits[visited.visit],
            visited,
            wire,
            stay,
            told: &told,
        };
        let checked = [
            seen.check_limits(),
            seen.check_said(&mut tally),
            seen.check_answers(),
            seen.check_end(&mut tally),
        ];
        let checked: Result<(), String> = checked.into_iter().collect();
        let (role, left) = (guest.role, stay.left);
        checked.map_err(|broken| format!("{name}, {role:?}, left for {left:?}: {broken}"))?;
        tally.count("visits", 1);
        tally.count("lines given", told.given);
        tally.count("gaps told", told.gaps);
        tally.count("rosters in their place", told.rosters);
        tally.count("streams that stop within a line", u64::from(!told.whole));
    }
    Ok(tally)
}

/// The hub and the server as a whole.
fn check_house(plan: &Plan, outcome: &Outcome, order: &Order<'_>) -> Result<(), String> {
    let took = outcome.returned - outcome.shutdown;
    if took > plan.grace + TURN {
        return Err(format!("going down took {took:?} of {:?}", plan.grace));
    }
    let members = outcome.hub.stats().members;
    if members > 0 || !outcome.hub.is_closed() {
        return Err(format!("{members} members after the end"));
    }
    if plan.drain.is_none() && !outcome.last_guests.is_empty() {
        let guests = &outcome.last_guests;
        return Err(format!("{guests:?} are gone, but have not left"));
    }
    // The first two are those in the server's process.
    let guests = &order.stays()[2..];
    for stay in guests {
        use LeaveReason::{Idle, Left, Lost, Stalled};
        let known = |wire: &_| stay.name == format!("{wire}");
        if !outcome.wires.keys().any(known) {
            return Err(format!("{} came from nowhere", stay.name));
        }
        if !matches!(stay.left, None | Some((_, Left | Idle | Stalled | Lost))) {
            return Err(format!("{} left for {:?}", stay.name, stay.left));
        }
    }
    for (address, wire) in &outcome.wires {
        let name = address.to_string();
        let came = guests.iter().filter(|stay| stay.name == name).count();
        if came > 1 || (came == 0 && !is_late(outcome, wire)) {
            return Err(format!("{name} came {came} times"));
        }
        if wire.dropped.is_none() {
            return Err(format!("{name} is connected after the end"));
        }
    }
    Ok(())
}

/// Whether a peer came as the server was told to go down.
fn is_late(outcome: &Outcome, wire: &State) -> bool {
    wire.came + TICK > outcome.shutdown
}

/// Who came too late is told nothing but that.
fn check_late(outcome: &Outcome, visited: &Visited, wire: &State) -> Result<(), String> {
    const ALL: &[u8] = b"* server is going down\n";
    match is_late(outcome, wire) && ALL.starts_with(&visited.heard) {
        true => Ok(()),
        false => Err(format!("never came, but was told something: {visited:?}")),
    }
}

/// One connection from all sides.
struct Seen<'a> {
    plan: &'a Plan,
    outcome: &'a Outcome,
    order: &'a Order<'a>,
    guest: &'a Guest,
    visit: &'a Visit,
    visited: &'a Visited,
    wire: &'a State,
    stay: &'a Stay<'a>,
    told: &'a Told,
}

impl Seen<'_> {
    fn reason(&self) -> Option<LeaveReason> {
        self.stay.left.map(|(_, reason)| reason)
    }

    /// The number before which its stream ends.
    fn end(&self) -> u64 {
        self.stay.left.map_or(self.order.end(), |(end, _)| end)
    }

    /// When the witness saw an event.
    fn time(&self, number: u64) -> Duration {
        let at = number - self.outcome.roster.position;
        self.outcome.times[usize::try_from(at).expect("it fits")]
    }

    /// When it left, or the server went down.
    fn left_at(&self) -> Duration {
        let left = self.stay.left.map(|(number, _)| self.time(number));
        left.unwrap_or(self.outcome.shutdown)
    }

    /// Nothing was done to its connection, by the network or itself.
    fn is_healthy(&self) -> bool {
        let breaks = matches!(
            self.visit.ending,
            Ending::Reset(_) | Ending::Vanish { .. } | Ending::HangUp(_)
        );
        self.guest.trouble.is_none() && !breaks
    }

    fn ran_out_of_grace(&self) -> bool {
        let end = self.outcome.shutdown + self.plan.grace;
        self.wire.dropped.is_some_and(|dropped| dropped >= end)
    }

    fn was_cut(&self) -> bool {
        self.ran_out_of_grace() || self.wire.stuck_at_last() >= self.plan.stall
    }

    /// Stalled peers, idle peers.
    fn check_limits(&self) -> Result<(), String> {
        let (wire, stall) = (self.wire, self.plan.stall);
        if wire.longest > stall + TURN {
            return Err(format!("took nothing for {:?} of {stall:?}", wire.longest));
        }
        if self.reason() == Some(LeaveReason::Stalled) {
            let stuck = wire.stuck_at_last();
            if stuck < stall {
                return Err(format!("stuck for {stuck:?} only"));
            }
            if self.is_healthy() && !matches!(self.visit.reading, Reading::Pauses { .. }) {
                return Err("it has read all the time".into());
            }
        }
        let left_at = self.left_at();
        // At the very moment that it left, lines may have come before that or after.
        let before = |(at, position): &&(Duration, u64)| *at <= left_at && *position <= self.end();
        let last_line = wire.lines.iter().rfind(before);
        let silent = left_at - last_line.map_or(wire.came, |(at, _)| *at);
        match self.plan.idle {
            Some(idle) if silent > idle + TURN + BEAT => Err(format!("it was idle for {silent:?}")),
            Some(idle) if silent >= idle => Ok(()),
            _ if self.reason() == Some(LeaveReason::Idle) => {
                Err(format!("it was idle for {silent:?} only"))
            }
            _ => Ok(()),
        }
    }

    /// What it said was published once, in its order, soon, and whole; all if it ended in order.
    fn check_said(&self, tally: &mut Tally) -> Result<(), String> {
        let Visited { said, half, .. } = self.visited;
        let left = self.reason() == Some(LeaveReason::Left);
        let mut expected = said
            .iter()
            .map(|line| &line.text)
            .chain(half.iter().filter(|_| left));
        for number in &self.stay.said {
            let event = self.order.event(*number).expect("it said that");
            match expected.next() {
                Some(text) if event.text() == text => {}
                other => return Err(format!("{event:?} was published for {other:?}")),
            }
        }
        if left && let Some(text) = expected.next() {
            return Err(format!("{text:?} was not published"));
        }
        if half.is_some() {
            let kind = match left {
                true => "lines finished by the end of the stream",
                false => "lines never finished",
            };
            tally.count(kind, 1);
        }
        if self.guest.trouble.is_some() {
            return Ok(());
        }
        for (line, number) in said.iter().zip(&self.stay.said) {
            let took = self.time(*number).saturating_sub(line.at);
            if took > self.prompt(line) {
                return Err(format!("{line:?} was published after {took:?}"));
            }
            tally.count("published soon", 1);
        }
        // Who is there all the time is heard all the time.
        let unheard = said.get(self.stay.said.len());
        let by = unheard.map(|line| line.at + self.prompt(line));
        if self.is_healthy() && by.is_some_and(|by| by < self.left_at()) {
            return Err(format!("{unheard:?} was never published"));
        }
        Ok(())
    }

    /// How long at most it takes to publish a line. Slow members hold up each piece read for the
    /// hub's patience at most, stalled ones nothing.
    fn prompt(&self, line: &Line) -> Duration {
        let patience = self.plan.patience + Duration::from_millis(1);
        self.plan.latency.1 + TURN + BEAT + line.pieces * patience
    }

    /// What it asked for was answered, once.
    fn check_answers(&self) -> Result<(), String> {
        let (told, visited) = (self.told, self.visited);
        let count = |start: &str| {
            let notices = told.notices.iter();
            notices.filter(|notice| notice.starts_with(start)).count()
        };
        let unknown = count("unknown command /what");
        let too_long = count("line refused: longer than ");
        let names = count("name refused: ") + count("you are ");
        if unknown + too_long + names < told.notices.len() {
            return Err(format!("some of {:?} is no answer", told.notices));
        }
        let answers = (told.rosters, unknown, too_long);
        let asked = (visited.who, visited.unknown, visited.too_long);
        let complete =
            self.reason() == Some(LeaveReason::Left) && visited.end == End::Eof && !self.was_cut();
        let fits = match complete {
            true => answers == asked,
            false => answers.0 <= asked.0 && answers.1 <= asked.1 && answers.2 <= asked.2,
        };
        match fits {
            true => Ok(()),
            false => Err(format!("asked {asked:?}, was answered {answers:?}")),
        }
    }

    /// Who reads to the end gets everything, and is told why it ends.
    fn check_end(&self, tally: &mut Tally) -> Result<(), String> {
        let (told, visited) = (self.told, self.visited);
        match self.reason() {
            Some(LeaveReason::Left) => tally.count("left", 1),
            Some(LeaveReason::Idle) => tally.count("idle", 1),
            Some(LeaveReason::Stalled) => tally.count("stalled", 1),
            Some(_) => tally.count("lost", 1),
            None if self.ran_out_of_grace() => tally.count("out of grace", 1),
            None => {}
        }
        let orderly = !matches!(
            self.reason(),
            Some(LeaveReason::Stalled | LeaveReason::Lost)
        );
        if !orderly || self.was_cut() {
            return Ok(());
        }
        if visited.end != End::Eof {
            let eager = matches!(self.visit.reading, Reading::Eager);
            return match self.is_healthy() && eager {
                true => Err(format!("it was there, but the end was {:?}", visited.end)),
                false => Ok(()),
            };
        }
        let end = self.end();
        if !told.whole || told.next != end {
            return Err(format!("its stream ended at {} of {end}", told.next));
        }
        let quits = matches!(self.visit.ending, Ending::Quit);
        let last = match self.reason() {
            None => "server is going down",
            Some(LeaveReason::Idle) => "idle for ",
            _ if quits => "goodbye",
            _ => "",
        };
        let fits = match &told.last_words {
            Some(words) => !last.is_empty() && words.starts_with(last),
            None => last.is_empty(),
        };
        if !fits {
            return Err(format!("its last words were {:?}", told.last_words));
        }
        if self.reason().is_none() {
            tally.count("told that the server goes down", 1);
        }
        Ok(())
    }
}
