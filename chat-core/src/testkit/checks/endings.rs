//! Every end is graceful if it can be, and its reason is known.

use super::super::fixture::{CheckError, CheckResult, Fixture};
use crate::session::SessionConfig;
use crate::types::config::HubConfig;
use crate::types::event::LeaveReason;
use std::time::Duration;
use tokio::time::sleep;

/// If only the delivering half notices that the peer has disconnected, the session waits for input
/// until the linger time is over.
pub(super) fn short_linger(_: &mut HubConfig, session: &mut SessionConfig) {
    session.linger = Duration::from_millis(100);
}

pub(super) async fn end_of_input(fixture: &mut Fixture) -> CheckResult {
    let texts: Vec<_> = (0..100).map(|n| format!("before the end {n}")).collect();
    fixture.send(&(texts.join("\n") + "\n")).await?;
    fixture.finish().await?;
    for text in &texts {
        fixture.expect_message(text).await?;
    }
    fixture.expect_departure(&[LeaveReason::Left]).await?;
    fixture.expect_disconnect().await?;
    fixture.expect_session_end(&[LeaveReason::Left]).await
}

pub(super) async fn half_close(fixture: &mut Fixture) -> CheckResult {
    if !fixture.remote()?.half_closes() {
        let capability = "the remote cannot half-close its connection".into();
        return Err(CheckError::Unsupported(capability));
    }
    let texts: Vec<_> = (0..500)
        .map(|n| format!("{n} {}", "x".repeat(100)))
        .collect();
    fixture.publish_all(&texts)?;
    fixture.skip_events();
    fixture.send("the last line\n").await?;
    fixture.finish().await?;
    fixture.expect_message("the last line").await?;
    fixture.expect_departure(&[LeaveReason::Left]).await?;
    for text in &texts {
        fixture.expect_observer_message(text).await?;
    }
    fixture.expect_own_message("the last line").await?;
    fixture.expect_end().await?;
    fixture.expect_session_end(&[LeaveReason::Left]).await
}

pub(super) async fn disconnect(fixture: &mut Fixture) -> CheckResult {
    fixture.send("hello\n").await?;
    fixture.expect_message("hello").await?;
    // The peer does not read this.
    fixture.publish("good bye")?;
    // Either half may be the first to notice it.
    expect_end_after_disconnect(fixture, &[LeaveReason::Lost, LeaveReason::Left]).await
}

/// The peer disconnects, and its session ends for one of these reasons.
pub(super) async fn expect_end_after_disconnect(
    fixture: &mut Fixture,
    reasons: &[LeaveReason],
) -> CheckResult {
    drop(fixture.take_remote()?);
    // A transport that notices it only when it writes is given something to write.
    while !fixture.has_ended() {
        fixture.publish("are you there?")?;
        sleep(Duration::from_millis(10)).await;
        let what = || "the session of a peer that has disconnected to end".into();
        fixture.deadline().check(what)?;
    }
    fixture.expect_session_end(reasons).await?;
    fixture.expect_departure(reasons).await
}

pub(super) async fn reset(fixture: &mut Fixture) -> CheckResult {
    fixture.send("hello\n").await?;
    fixture.expect_message("hello").await?;
    fixture.expect_own_message("hello").await?;
    fixture.reset().await?;
    fixture.expect_session_end(&[LeaveReason::Lost]).await?;
    fixture.expect_departure(&[LeaveReason::Lost]).await
}

pub(super) async fn quit(fixture: &mut Fixture) -> CheckResult {
    fixture.send("the last line\n/quit\ntoo late\n").await?;
    fixture.expect_message("the last line").await?;
    fixture.expect_departure(&[LeaveReason::Left]).await?;
    fixture.expect_own_message("the last line").await?;
    fixture.expect_line("* goodbye").await?;
    fixture.expect_end().await?;
    fixture.finish_after_close().await?;
    fixture.expect_session_end(&[LeaveReason::Left]).await
}

pub(super) async fn hub_close(fixture: &mut Fixture) -> CheckResult {
    let texts: Vec<_> = (0..2000)
        .map(|n| format!("{n} {}", "x".repeat(n % 500)))
        .collect();
    fixture.publish_all(&texts)?;
    // So that some of it is on its way.
    fixture.settle().await;
    fixture.hub.close();
    for text in &texts {
        fixture.expect_observer_message(text).await?;
    }
    fixture.expect_line("* server is going down").await?;
    fixture.expect_end().await?;
    fixture.finish_after_close().await?;
    fixture.expect_session_end(&[LeaveReason::Closed]).await
}

pub(super) async fn session_drop(fixture: &mut Fixture) -> CheckResult {
    fixture.send("hello\n").await?;
    fixture.expect_message("hello").await?;
    fixture.drop_session();
    fixture.expect_departure(&[LeaveReason::Left]).await?;
    fixture.expect_disconnect().await
}
