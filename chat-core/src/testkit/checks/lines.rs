//! Lines arrive in both directions: unchanged, in order, once.

use super::super::fixture::{CheckResult, Fixture, fail};
use std::time::Duration;
use tokio::time::sleep;

/// Lines of a burst.
const BURST: usize = 10_000;

/// The most bytes that a remote is given to send in one call.
const SEND_BYTES: usize = 8 * 1024;

/// The longest text in bytes that the hub accepts.
const MAX_TEXT: usize = 4096;

pub(super) async fn ping_pong(fixture: &mut Fixture) -> CheckResult {
    for turn in 0..20 {
        let text = format!("ping {turn}");
        fixture.publish(&text)?;
        fixture.expect_observer_message(&text).await?;
        fixture.skip_events();
        let text = format!("pong {turn}");
        fixture.send(&format!("{text}\n")).await?;
        fixture.expect_message(&text).await?;
        fixture.expect_own_message(&text).await?;
    }
    Ok(())
}

pub(super) async fn empty_lines(fixture: &mut Fixture) -> CheckResult {
    let texts = ["", "one between", "", ""].map(String::from);
    exchange(fixture, &texts).await
}

pub(super) async fn utf8_text(fixture: &mut Fixture) -> CheckResult {
    let mut texts = vec![" spaces around ".into(), "\ttabs\taround\t".into()];
    // Characters of one to four bytes, each of which is at the edge of a buffer at some time.
    for (at, character) in ["x", "é", "☃", "𝄞"].into_iter().enumerate() {
        let begin = "#".repeat(at);
        let filling = character.repeat((MAX_TEXT - at) / character.len());
        texts.push(begin + &filling);
        texts.push(format!(
            "{}{character}",
            "-".repeat(MAX_TEXT - character.len())
        ));
    }
    exchange(fixture, &texts).await
}

pub(super) async fn overlong_lines(fixture: &mut Fixture) -> CheckResult {
    for len in [MAX_TEXT + 1, MAX_TEXT + 2, SEND_BYTES - 1] {
        fixture.send(&format!("{}\n", "x".repeat(len))).await?;
        let next = format!("after {len} bytes");
        fixture.send(&format!("{next}\n")).await?;
        fixture.expect_message(&next).await?;
        let refusal = format!("* line refused: longer than {MAX_TEXT} bytes");
        fixture.expect_line(&refusal).await?;
        fixture.expect_own_message(&next).await?;
    }
    Ok(())
}

pub(super) async fn burst(fixture: &mut Fixture) -> CheckResult {
    let texts: Vec<_> = (0..BURST).map(|n| format!("line {n} of {BURST}")).collect();
    exchange(fixture, &texts).await
}

pub(super) async fn message_boundaries(fixture: &mut Fixture) -> CheckResult {
    let texts: Vec<_> = (0..1000).map(|n| n.to_string()).collect();
    for text in &texts {
        fixture.send(&format!("{text}\n")).await?;
    }
    expect_from_peer(fixture, &texts).await
}

pub(super) async fn partial_lines(fixture: &mut Fixture) -> CheckResult {
    let texts = ["byte by byte", "é, ☃ and 𝄞", "", "the end"];
    let lines = texts.join("\n") + "\n";
    for byte in lines.as_bytes() {
        fixture.send_part(&[*byte]).await?;
        // Without it the bytes would arrive together.
        sleep(Duration::from_millis(1)).await;
    }
    expect_from_peer(fixture, &texts).await?;
    for part in ["one and ha", "lf\nand an", "other\n"] {
        fixture.send_part(part.as_bytes()).await?;
        sleep(Duration::from_millis(1)).await;
    }
    expect_from_peer(fixture, &["one and half", "and another"]).await
}

pub(super) async fn short_writes(fixture: &mut Fixture) -> CheckResult {
    drain_backlog(fixture).await
}

pub(super) async fn one_take_per_call(fixture: &mut Fixture) -> CheckResult {
    drain_backlog(fixture).await?;
    match fixture.probe.max_takes() {
        0 | 1 => Ok(()),
        takes => fail(format!(
            "one call of `deliver` took from its feed {takes} times, each after it had waited"
        )),
    }
}

/// The peer reads a backlog that is larger than one write.
async fn drain_backlog(fixture: &mut Fixture) -> CheckResult {
    let text = |n: usize| format!("{n} {}", "é".repeat(n * 7 % 211));
    let texts: Vec<_> = (0..2000).map(text).collect();
    fixture.publish_all(&texts)?;
    fixture.settle().await;
    expect_from_observer(fixture, &texts).await
}

/// The peer sends these texts, as many in one call as may be. Then the observer publishes them.
async fn exchange(fixture: &mut Fixture, texts: &[String]) -> CheckResult {
    let mut together = String::new();
    for text in texts {
        if together.len() + text.len() >= SEND_BYTES {
            fixture.send(&std::mem::take(&mut together)).await?;
        }
        together += text;
        together.push('\n');
    }
    fixture.send(&together).await?;
    expect_from_peer(fixture, texts).await?;
    fixture.publish_all(texts)?;
    expect_from_observer(fixture, texts).await
}

/// The observer and the peer receive these messages of the peer.
async fn expect_from_peer(fixture: &mut Fixture, texts: &[impl AsRef<str>]) -> CheckResult {
    for text in texts {
        fixture.expect_message(text.as_ref()).await?;
    }
    for text in texts {
        fixture.expect_own_message(text.as_ref()).await?;
    }
    Ok(())
}

async fn expect_from_observer(fixture: &mut Fixture, texts: &[String]) -> CheckResult {
    for text in texts {
        fixture.expect_observer_message(text).await?;
    }
    Ok(())
}
