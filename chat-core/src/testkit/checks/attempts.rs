//! The optional `try_deliver`: the peer receives what an attempt says that it took.

use super::super::fixture::{CheckError, CheckResult, Fixture, fail};
use super::endings::expect_end_after_disconnect;
use super::stalls::{publish_more, text};
use crate::types::event::LeaveReason;
use std::time::Duration;
use tokio::time::sleep;

/// How often the connection is filled and emptied.
const ROUNDS: u64 = 3;

/// Texts that are published while the peer reads, one at a time.
const SINGLE_TEXTS: u64 = 32;

/// Texts that the peer reads between two of them.
const TEXTS_PER_SINGLE: u64 = 4;

pub(super) async fn complete_attempts(fixture: &mut Fixture) -> CheckResult {
    for size in [0, 1, 10, 100, 1000, 4000] {
        expect_attempt(fixture).await?;
        let texts = ["first", "second", "third"].map(|text| text.to_owned() + &"x".repeat(size));
        let before = incomplete(fixture);
        // Each of them by an attempt of its own, and then all of them together.
        for text in &texts {
            fixture.publish(text)?;
            fixture.settle().await;
        }
        fixture.publish_all(&texts)?;
        fixture.settle().await;
        fixture.skip_events();
        for text in texts.iter().chain(&texts) {
            expect_after_attempts(fixture, text, before).await?;
        }
    }
    match fixture.probe.complete() {
        0 => not_applicable("no attempt of `try_deliver` was complete"),
        _ => Ok(()),
    }
}

pub(super) async fn partial_attempts(fixture: &mut Fixture) -> CheckResult {
    let mut read = 0;
    for _ in 0..ROUNDS {
        expect_attempt(fixture).await?;
        let mut end = fill(fixture, read).await?;
        let last = end + SINGLE_TEXTS;
        while read < end {
            fixture.expect_observer_message(&text(read)).await?;
            read += 1;
            if read % TEXTS_PER_SINGLE == 0 && end < last {
                fixture.publish(&text(end))?;
                fixture.skip_events();
                end += 1;
            }
        }
    }
    Ok(())
}

pub(super) async fn no_blocking(fixture: &mut Fixture) -> CheckResult {
    expect_attempt(fixture).await?;
    fill(fixture, 0).await.map(drop)
}

pub(super) async fn failed_attempts(fixture: &mut Fixture) -> CheckResult {
    expect_attempt(fixture).await?;
    fixture.probe.hide_end();
    expect_end_after_disconnect(fixture, &[LeaveReason::Lost]).await
}

/// Publishes until the session has called `try_deliver`, as it does once the peer has everything.
async fn expect_attempt(fixture: &mut Fixture) -> CheckResult {
    let before = fixture.probe.attempts();
    loop {
        let incomplete = incomplete(fixture);
        fixture.publish("one line")?;
        expect_after_attempts(fixture, "one line", incomplete).await?;
        fixture.skip_events();
        if fixture.probe.attempts() > before {
            return Ok(());
        }
        if fixture.probe.is_unsupported() {
            return not_applicable("the transport does not implement `try_deliver`");
        }
        sleep(Duration::from_millis(1)).await;
        let what = || "the session to call `try_deliver`".into();
        fixture.deadline().check(what)?;
    }
}

/// How many calls there were that no complete attempt needs. It changes with each of them.
fn incomplete(fixture: &Fixture) -> u64 {
    let probe = &fixture.probe;
    probe.partial() + probe.deliveries()
}

/// The next line that the peer receives is this message of the observer. `before` is the number of
/// [`incomplete`] calls when it was published.
async fn expect_after_attempts(fixture: &mut Fixture, text: &str, before: u64) -> CheckResult {
    match fixture.expect_observer_message(text).await {
        Err(CheckError::Failed(evidence)) if incomplete(fixture) == before => {
            fail(format!("all attempts were complete, but {evidence}"))
        }
        received => received,
    }
}

/// Publishes the texts from `n` on to a peer that does not read, until an attempt is partial.
/// Returns the number of the next text.
async fn fill(fixture: &mut Fixture, mut n: u64) -> CheckResult<u64> {
    let before = fixture.probe.partial();
    // A transport may say at any time that it does not support this.
    while fixture.probe.partial() == before && !fixture.probe.is_unsupported() {
        n = publish_more(fixture, n).await?;
        if fixture.has_ended() {
            return fail("the session did not wait for a peer that reads nothing");
        }
        let what = || "an attempt that is not complete, of a peer that reads nothing".into();
        fixture.deadline().check(what)?;
    }
    Ok(n)
}

fn not_applicable<T>(why: &str) -> CheckResult<T> {
    Err(CheckError::NotApplicable(why.into()))
}
