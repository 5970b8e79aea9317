//! Backpressure: a peer that reads nothing costs no memory and delays nothing else; input that the
//! session does not ask for is not read.

use super::super::fixture::{
    CheckResult, Fixture, MAX_BUFFERED, OBSERVER, fail, quote, wrong_line,
};
use crate::session::SessionConfig;
use crate::types::config::HubConfig;
use crate::types::event::LeaveReason;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::sleep;

/// How long the polls of a transport without work are counted.
const PERIOD: Duration = Duration::from_millis(100);

/// A transport that is polled more often in a [`PERIOD`] polls in a busy loop.
const MAX_POLLS: u64 = 1000;

/// Lines that the flooding peer sends in one call.
const FLOOD_LINES: u64 = 256;

/// A log from which a peer that is stuck soon loses lines.
pub(super) fn small_log(hub: &mut HubConfig, _: &mut SessionConfig) {
    hub.log_bytes = 256 * 1024;
}

/// The same, and a peer that is stuck is disconnected.
pub(super) fn short_stall_timeout(hub: &mut HubConfig, session: &mut SessionConfig) {
    small_log(hub, session);
    session.stall_timeout = Duration::from_millis(500);
}

/// The `n`th text that is published to a peer that does not read.
pub(super) fn text(n: u64) -> String {
    format!("{n} {}", "x".repeat((n * 37 % 4000) as usize))
}

/// Publishes until the peer, which does not read, has lost lines or its session has ended. Returns
/// the number of texts published.
async fn overrun(fixture: &mut Fixture) -> CheckResult<u64> {
    let mut published = 0;
    while fixture.hub.stats().overrun == 0 && !fixture.has_ended() {
        published = publish_more(fixture, published).await?;
        let what = || "the log to overrun a peer that reads nothing".into();
        fixture.deadline().check(what)?;
    }
    Ok(published)
}

/// Publishes the texts from `n` on that go together, to a peer that reads nothing, and waits until
/// the transport takes no more. Returns the number of the next text.
pub(super) async fn publish_more(fixture: &mut Fixture, n: u64) -> CheckResult<u64> {
    let taken = fixture.probe.taken();
    if taken > MAX_BUFFERED {
        return fail(format!(
            "{taken} bytes were taken while the peer read nothing"
        ));
    }
    let next = n + 32;
    for n in n..next {
        fixture.publish(&text(n))?;
        fixture.skip_events();
    }
    fixture.settle().await;
    Ok(next)
}

/// The same, where the session must not end.
async fn overrun_and_stay(fixture: &mut Fixture) -> CheckResult<u64> {
    let published = overrun(fixture).await?;
    match fixture.has_ended() {
        true => fail("the session did not wait for a peer that reads nothing"),
        false => Ok(published),
    }
}

pub(super) async fn independent_halves(fixture: &mut Fixture) -> CheckResult {
    overrun_and_stay(fixture).await?;
    for n in 0..10 {
        let text = format!("sent while reading nothing: {n}");
        fixture.send(&format!("{text}\n")).await?;
        fixture.expect_message(&text).await?;
    }
    Ok(())
}

pub(super) async fn gap(fixture: &mut Fixture) -> CheckResult {
    let published = overrun_and_stay(fixture).await?;
    fixture.publish("the last text")?;
    let (mut accounted, mut gaps) = (0, 0);
    while accounted <= published {
        let expected = match accounted == published {
            true => format!("{OBSERVER}: the last text"),
            false => format!("{OBSERVER}: {}", text(accounted)),
        };
        let quoted = quote(&expected);
        let Some(line) = fixture.receive_line(&quoted).await? else {
            return fail(format!("the stream ended instead of {quoted}"));
        };
        let skipped = line.strip_prefix("* ");
        let skipped = skipped.and_then(|line| line.strip_suffix(" messages skipped"));
        if let Some(skipped) = skipped.and_then(|number| number.parse::<u64>().ok()) {
            accounted += skipped;
            gaps += 1;
        } else if line == expected {
            accounted += 1;
        } else {
            return wrong_line(&line, &format!("{quoted} or a gap"));
        }
    }
    match (gaps, accounted - published) {
        (1.., 1) => Ok(()),
        (0, _) => fail("the peer received no notice of the gap"),
        _ => fail(format!(
            "lines and gaps account for {accounted} lines, but there were {}",
            published + 1
        )),
    }
}

pub(super) async fn stall_timeout(fixture: &mut Fixture) -> CheckResult {
    overrun(fixture).await?;
    fixture.expect_session_end(&[LeaveReason::Stalled]).await?;
    fixture.skip_events();
    fixture.expect_disconnect().await
}

pub(super) async fn no_busy_polling(fixture: &mut Fixture) -> CheckResult {
    count_polls(fixture, "nothing was sent").await?;
    overrun_and_stay(fixture).await?;
    count_polls(fixture, "the peer read nothing").await
}

async fn count_polls(fixture: &mut Fixture, situation: &str) -> CheckResult {
    let before = fixture.probe.polls();
    sleep(PERIOD).await;
    let polls = fixture.probe.polls() - before;
    match polls < MAX_POLLS {
        true => Ok(()),
        false => fail(format!(
            "polled {polls} times in {PERIOD:?} while {situation}"
        )),
    }
}

pub(super) async fn no_read_ahead(fixture: &mut Fixture) -> CheckResult {
    fixture.probe.allow_receive(false);
    let (stop, lines) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut remote = fixture.take_remote()?;
    let flood = "a line of a flood\n".repeat(FLOOD_LINES as usize);
    let line_bytes = flood.len() as u64 / FLOOD_LINES;
    let flooding = tokio::spawn({
        let (stop, lines) = (stop.clone(), lines.clone());
        async move {
            let mut sent = Ok(());
            while sent.is_ok()
                && !stop.load(Relaxed)
                && lines.load(Relaxed) * line_bytes < MAX_BUFFERED
            {
                sent = remote.send(&flood).await;
                lines.fetch_add(FLOOD_LINES, Relaxed);
                // A connection that accepts everything would starve the other tasks.
                tokio::task::yield_now().await;
            }
            (remote, sent)
        }
    });
    // Until the connection accepts no more.
    let mut before = u64::MAX;
    while lines.load(Relaxed) != before {
        before = lines.load(Relaxed);
        sleep(PERIOD).await;
        let what = || "the connection of a flooding peer to be full".into();
        fixture.deadline().check(what)?;
    }
    let buffered = lines.load(Relaxed) * line_bytes;
    stop.store(true, Relaxed);
    fixture.probe.allow_receive(true);
    if buffered >= MAX_BUFFERED {
        return fail(format!(
            "{buffered} bytes were received while the session did not call `receive`"
        ));
    }
    let what = || "the flooding peer to send, once the session receives again".into();
    let flooded = fixture.deadline().wait_for(what, flooding).await?;
    let (remote, sent) = match flooded {
        Ok(flooded) => flooded,
        Err(error) => return fail(format!("the remote failed: {error}")),
    };
    fixture.put_back_remote(remote);
    if let Err(error) = sent {
        return fail(format!("the connection of a flooding peer broke: {error}"));
    }
    let sent = lines.load(Relaxed);
    loop {
        let published = fixture.hub.stats().published;
        if published == sent {
            return Ok(());
        }
        if published > sent {
            return fail(format!("of {sent} lines, {published} were published"));
        }
        sleep(Duration::from_millis(1)).await;
        fixture.skip_events();
        let what = || format!("{sent} lines to be published, of which {published} were");
        fixture.deadline().check(what)?;
    }
}
