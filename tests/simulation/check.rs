//! The checks of a scenario: compares its outcome with the plan and with the promises of the
//! server.

use super::coverage::Coverage;
use super::net::State;
use super::peer::{ConnectionRecord, End, Line};
use super::plan::{ConnectionPlan, Ending, HostPlan, Plan, Reading};
use super::server::{MEMBER_INTERVAL, Outcome, TICK};
use chat_core::LeaveReason;
use chat_tests::history::stream::{Membership, Order, StreamSummary};
use std::time::Duration;

/// The maximal delay with which a host observes an event; hosts run in turns.
const HOST_DELAY: Duration = Duration::from_millis(3 * TICK.as_millis() as u64);

/// Checks an outcome.
///
/// # Errors
///
/// If a promise is broken; the message names it and the peer.
pub(crate) fn check(plan: &Plan, outcome: &Outcome) -> Result<Coverage, String> {
    let checked = outcome.history.check()?;
    let mut order = Order::of(&outcome.observer, &outcome.roster)?;
    let mut coverage = Coverage::default();
    for done in &outcome.interventions {
        let parked = u64::from(done.parked);
        match &done.text {
            Some(text) => {
                order.add_mail(done.to, text, done.position..=done.position)?;
                coverage.count("mail while parked", parked);
            }
            None => coverage.count("kicked while parked", parked),
        }
    }
    coverage.count("events", checked.events as u64);
    check_server(plan, outcome, &order)?;
    for record in &outcome.records {
        let name = record.address.to_string();
        let Some(state) = outcome.connections.get(&record.address) else {
            return Err(format!("{name} connected, but was never accepted"));
        };
        let Some(membership) = order.membership(&name) else {
            check_late(outcome, record, state)?;
            continue;
        };
        let stream = order.follow(&name, &record.received)?;
        let host = &plan.hosts[record.host];
        let check = ConnectionCheck {
            plan,
            outcome,
            order: &order,
            host,
            connection: &host.connections[record.connection],
            record,
            state,
            membership,
            stream: &stream,
        };
        let checked = [
            check.check_limits(),
            check.check_published(&mut coverage),
            check.check_answers(),
            check.check_end(&mut coverage),
            check.check_attempts(&mut coverage),
        ];
        let checked: Result<(), String> = checked.into_iter().collect();
        let (role, left) = (host.role, membership.left);
        checked.map_err(|broken| format!("{name}, {role:?}, departure {left:?}: {broken}"))?;
        coverage.count("connections", 1);
        coverage.count("lines delivered", stream.delivered);
        coverage.count("gaps reported", stream.gaps);
        coverage.count("mail delivered", stream.mail as u64);
        coverage.count("rosters at their position", stream.rosters);
        coverage.count(
            "streams that end within a line",
            u64::from(!stream.ends_with_line),
        );
    }
    Ok(coverage)
}

/// Checks the hub and the server as a whole.
fn check_server(plan: &Plan, outcome: &Outcome, order: &Order<'_>) -> Result<(), String> {
    let took = outcome.returned - outcome.shutdown;
    if took > plan.grace + HOST_DELAY {
        return Err(format!("the shutdown took {took:?} of {:?}", plan.grace));
    }
    let members = outcome.hub.stats().members;
    if members > 0 || !outcome.hub.is_closed() {
        return Err(format!("{members} members after the end"));
    }
    if plan.drain.is_none() && !outcome.last_peers.is_empty() {
        let peers = &outcome.last_peers;
        return Err(format!("{peers:?} have disconnected, but not left"));
    }
    // The first two are the members in the process of the server.
    let peers = &order.memberships()[2..];
    for membership in peers {
        use LeaveReason::{Idle, Kicked, Left, Lost, Stalled};
        let known = |address: &_| membership.name == format!("{address}");
        if !outcome.connections.keys().any(known) {
            return Err(format!("{} has no connection", membership.name));
        }
        if !matches!(
            membership.left,
            None | Some((_, Left | Idle | Stalled | Lost | Kicked))
        ) {
            let Membership { name, left, .. } = membership;
            return Err(format!("{name} left for {left:?}"));
        }
    }
    for (address, state) in &outcome.connections {
        let name = address.to_string();
        let joined = peers.iter().filter(|peer| peer.name == name).count();
        if joined > 1 || (joined == 0 && !is_late(outcome, state)) {
            return Err(format!("{name} joined {joined} times"));
        }
        if state.dropped.is_none() {
            return Err(format!("{name} is connected after the shutdown"));
        }
    }
    Ok(())
}

/// Whether a peer connected at the time of the shutdown signal.
fn is_late(outcome: &Outcome, state: &State) -> bool {
    state.accepted + TICK > outcome.shutdown
}

/// A peer that connected too late receives the shutdown notice only.
fn check_late(outcome: &Outcome, record: &ConnectionRecord, state: &State) -> Result<(), String> {
    const ALL: &[u8] = b"* server is going down\n";
    match is_late(outcome, state) && ALL.starts_with(&record.received) {
        true => Ok(()),
        false => Err(format!("never joined, but received bytes: {record:?}")),
    }
}

/// The check of one connection.
struct ConnectionCheck<'a> {
    plan: &'a Plan,
    outcome: &'a Outcome,
    order: &'a Order<'a>,
    host: &'a HostPlan,
    connection: &'a ConnectionPlan,
    record: &'a ConnectionRecord,
    state: &'a State,
    membership: &'a Membership<'a>,
    stream: &'a StreamSummary,
}

impl ConnectionCheck<'_> {
    fn reason(&self) -> Option<LeaveReason> {
        self.membership.left.map(|(_, reason)| reason)
    }

    /// The number before which the stream ends.
    fn end(&self) -> u64 {
        self.membership
            .left
            .map_or(self.order.end(), |(end, _)| end)
    }

    /// The time at which the observer read an event.
    fn time(&self, number: u64) -> Duration {
        let at = number - self.outcome.roster.position.number;
        self.outcome.times[usize::try_from(at).expect("the index fits into usize")]
    }

    /// The time of the departure, or else of the shutdown.
    fn left_at(&self) -> Duration {
        let left = self.membership.left.map(|(number, _)| self.time(number));
        left.unwrap_or(self.outcome.shutdown)
    }

    /// Whether neither the network nor the peer has broken the connection.
    fn is_healthy(&self) -> bool {
        let breaks = matches!(
            self.connection.ending,
            Ending::Reset(_) | Ending::Vanish { .. } | Ending::Close(_)
        );
        self.host.fault.is_none() && !breaks
    }

    fn exceeded_grace(&self) -> bool {
        let end = self.outcome.shutdown + self.plan.grace;
        self.state.dropped.is_some_and(|dropped| dropped >= end)
    }

    fn was_disconnected(&self) -> bool {
        self.exceeded_grace() || self.state.blocked_at_drop() >= self.plan.stall
    }

    /// Checks the stall timeout and the idle timeout.
    fn check_limits(&self) -> Result<(), String> {
        let (state, stall) = (self.state, self.plan.stall);
        if state.longest > stall + HOST_DELAY {
            return Err(format!("blocked for {:?} of {stall:?}", state.longest));
        }
        if self.reason() == Some(LeaveReason::Stalled) {
            let blocked = state.blocked_at_drop();
            if blocked < stall {
                return Err(format!("blocked for {blocked:?} only"));
            }
            if self.is_healthy() && !matches!(self.connection.reading, Reading::Pauses { .. }) {
                return Err("stalled, but it has always read".into());
            }
        }
        let left_at = self.left_at();
        // A line at the time of the departure counts only if it came before it in the order.
        let before = |(at, position): &&(Duration, u64)| *at <= left_at && *position <= self.end();
        let last_line = state.lines.iter().rfind(before);
        let silent = left_at - last_line.map_or(state.accepted, |(at, _)| *at);
        match self.plan.idle {
            Some(idle) if silent > idle + HOST_DELAY + MEMBER_INTERVAL => {
                Err(format!("idle for {silent:?}"))
            }
            Some(idle) if silent >= idle => Ok(()),
            _ if self.reason() == Some(LeaveReason::Idle) => {
                Err(format!("idle for {silent:?} only"))
            }
            _ => Ok(()),
        }
    }

    /// Checks that lines were published once, whole, in order and in time, and all of them after an
    /// orderly end.
    fn check_published(&self, coverage: &mut Coverage) -> Result<(), String> {
        let ConnectionRecord { sent, partial, .. } = self.record;
        let left = self.reason() == Some(LeaveReason::Left);
        let mut expected = sent
            .iter()
            .map(|line| &line.text)
            .chain(partial.iter().filter(|_| left));
        for number in &self.membership.published {
            let event = self
                .order
                .event(*number)
                .expect("the event is in the order");
            match expected.next() {
                Some(text) if event.text() == text => {}
                other => return Err(format!("{event:?} was published for {other:?}")),
            }
        }
        if left && let Some(text) = expected.next() {
            return Err(format!("{text:?} was not published"));
        }
        if partial.is_some() {
            let kind = match left {
                true => "lines completed by the end of the stream",
                false => "lines never completed",
            };
            coverage.count(kind, 1);
        }
        if self.host.fault.is_some() {
            return Ok(());
        }
        for (line, number) in sent.iter().zip(&self.membership.published) {
            let took = self.time(*number).saturating_sub(line.at);
            if took > self.publish_limit(line) {
                return Err(format!("{line:?} was published after {took:?}"));
            }
            coverage.count("published in time", 1);
        }
        // Over a healthy connection, every line is published.
        let missing = sent.get(self.membership.published.len());
        let due = missing.map(|line| line.at + self.publish_limit(line));
        if self.is_healthy() && due.is_some_and(|due| due < self.left_at()) {
            return Err(format!("{missing:?} was never published"));
        }
        Ok(())
    }

    /// The maximal time to publish a line. Each read is delayed by the patience of the hub at most,
    /// and stalled members cause no delay.
    fn publish_limit(&self, line: &Line) -> Duration {
        let patience = self.plan.patience + Duration::from_millis(1);
        self.plan.latency.1 + HOST_DELAY + MEMBER_INTERVAL + line.reads * patience
    }

    /// Checks that each command was answered once.
    fn check_answers(&self) -> Result<(), String> {
        let (stream, record) = (self.stream, self.record);
        let count = |start: &str| {
            let notices = stream.notices.iter();
            notices.filter(|notice| notice.starts_with(start)).count()
        };
        let unknown = count("unknown command /what");
        let too_long = count("line refused: longer than ");
        let names = count("name refused: ") + count("you are ");
        if unknown + too_long + names < stream.notices.len() {
            return Err(format!(
                "{:?} has a notice that is no answer",
                stream.notices
            ));
        }
        let answers = (stream.rosters, unknown, too_long);
        let asked = (record.who, record.unknown, record.too_long);
        let complete = self.reason() == Some(LeaveReason::Left)
            && record.end == End::Eof
            && !self.was_disconnected();
        let fits = match complete {
            true => answers == asked,
            false => answers.0 <= asked.0 && answers.1 <= asked.1 && answers.2 <= asked.2,
        };
        match fits {
            true => Ok(()),
            false => Err(format!("commands {asked:?}, answers {answers:?}")),
        }
    }

    /// Checks that a peer that reads to the end has everything and the notice of the reason.
    fn check_end(&self, coverage: &mut Coverage) -> Result<(), String> {
        let (stream, record) = (self.stream, self.record);
        match self.reason() {
            Some(LeaveReason::Left) => coverage.count("left", 1),
            Some(LeaveReason::Idle) => coverage.count("idle", 1),
            Some(LeaveReason::Stalled) => coverage.count("stalled", 1),
            Some(LeaveReason::Kicked) => coverage.count("kicked", 1),
            Some(_) => coverage.count("lost", 1),
            None if self.exceeded_grace() => coverage.count("grace exceeded", 1),
            None => {}
        }
        let orderly = !matches!(
            self.reason(),
            Some(LeaveReason::Stalled | LeaveReason::Lost)
        );
        if !orderly || self.was_disconnected() {
            return Ok(());
        }
        if record.end != End::Eof {
            let eager = matches!(self.connection.reading, Reading::Eager);
            return match self.is_healthy() && eager {
                true => Err(format!(
                    "it was connected, but its end was {:?}",
                    record.end
                )),
                false => Ok(()),
            };
        }
        let end = self.end();
        if !stream.ends_with_line || stream.next != end {
            return Err(format!("its stream ended at {} of {end}", stream.next));
        }
        let sent = self.membership.mail();
        if stream.mail != sent {
            return Err(format!("{} of {sent} texts for it alone", stream.mail));
        }
        let quits = matches!(self.connection.ending, Ending::Quit);
        let last = match self.reason() {
            None => "server is going down",
            Some(LeaveReason::Idle) => "idle for ",
            Some(LeaveReason::Kicked) => "you were sent away, goodbye",
            _ if quits => "goodbye",
            _ => "",
        };
        let fits = match &stream.final_notice {
            Some(notice) => !last.is_empty() && notice.starts_with(last),
            None => last.is_empty(),
        };
        if !fits {
            return Err(format!("its final notice was {:?}", stream.final_notice));
        }
        if self.reason().is_none() {
            coverage.count("notified of the shutdown", 1);
        }
        Ok(())
    }

    /// Checks that a session whose attempts are masked makes no second one, and counts those of the
    /// others.
    fn check_attempts(&self, coverage: &mut Coverage) -> Result<(), String> {
        let attempts = &self.state.attempts;
        let counts = attempts.counts();
        if attempts.are_masked() != self.host.masked || counts.unsupported > 1 {
            return Err(format!("{counts:?} with a masked transport"));
        }
        coverage.count("complete attempts", counts.complete);
        coverage.count("partial attempts", counts.partial);
        coverage.count("attempts that end within a line", counts.within_line);
        coverage.count("masked attempts", counts.unsupported);
        let lost = self.reason() == Some(LeaveReason::Lost) && attempts.keeps_up();
        coverage.count("lost while parked", u64::from(lost));
        let parked = u64::from(self.state.parked_at_shutdown);
        coverage.count("parked at the shutdown", parked);
        Ok(())
    }
}
