//! What has no room waits where it costs nothing, and keeps nothing else waiting.

use super::super::stage::{AHEAD, Stage, Verdict, broken, show};
use crate::session::SessionConfig;
use crate::types::config::HubConfig;
use crate::types::event::LeaveReason;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::time::sleep;

/// For so long it is looked at what a connection does while there is nothing to do.
const WHILE: Duration = Duration::from_millis(100);

/// In which no connection is polled so often that does not spin.
const MANY_POLLS: u64 = 1000;

/// A small log, which a peer that is stuck loses lines from.
pub(super) fn small_log(hub: &mut HubConfig, _: &mut SessionConfig) {
    hub.log_bytes = 256 * 1024;
}

/// The same, and a peer that is stuck is cut.
pub(super) fn impatient(hub: &mut HubConfig, session: &mut SessionConfig) {
    small_log(hub, session);
    session.stall_timeout = Duration::from_millis(500);
}

/// The `n`th thing that is said to a peer that does not read.
fn text(n: u64) -> String {
    format!("{n} {}", "x".repeat((n * 37 % 4000) as usize))
}

/// Talks until the peer, which does not read, has lost some of it, or was cut; gives how many
/// things were said.
async fn overrun(stage: &mut Stage) -> Verdict<u64> {
    let mut said = 0;
    while stage.hub.stats().overrun == 0 && !stage.has_ended() {
        let taken = stage.notes.taken();
        if taken > AHEAD {
            return broken(format!(
                "{taken} bytes were taken while the peer read nothing"
            ));
        }
        for _ in 0..32 {
            stage.tell(&text(said))?;
            stage.skip_events();
            said += 1;
        }
        stage.settle().await;
        stage.check_deadline(|| "the peer reads nothing and still has room".into())?;
    }
    Ok(said)
}

/// The same, where nobody is to be cut.
async fn overrun_and_stay(stage: &mut Stage) -> Verdict<u64> {
    let said = overrun(stage).await?;
    match stage.has_ended() {
        true => broken("the session did not wait for a peer that reads nothing"),
        false => Ok(said),
    }
}

pub(super) async fn independent(stage: &mut Stage) -> Verdict {
    overrun_and_stay(stage).await?;
    for n in 0..10 {
        let text = format!("not read, but said {n}");
        stage.send(&format!("{text}\n")).await?;
        stage.all_hear_peer(&text).await?;
    }
    Ok(())
}

pub(super) async fn gap(stage: &mut Stage) -> Verdict {
    let said = overrun_and_stay(stage).await?;
    stage.tell("that was all")?;
    let (mut told, mut gaps) = (0, 0);
    while told <= said {
        let awaited = match told == said {
            true => "witness: that was all".into(),
            false => format!("witness: {}", text(told)),
        };
        let Some(line) = stage.peer_line(&awaited).await? else {
            return broken(format!("the end came instead of {}", show(&awaited)));
        };
        let skipped = line.strip_prefix("* ");
        let skipped = skipped.and_then(|line| line.strip_suffix(" messages skipped"));
        if let Some(skipped) = skipped.and_then(|number| number.parse::<u64>().ok()) {
            told += skipped;
            gaps += 1;
        } else if line == awaited {
            told += 1;
        } else {
            let (line, awaited) = (show(&line), show(&awaited));
            return broken(format!("the peer got {line} instead of {awaited} or a gap"));
        }
    }
    match (gaps, told - said) {
        (1.., 1) => Ok(()),
        (0, _) => broken("the peer was not told of the gap"),
        _ => broken(format!("of {said} lines the peer was told of {told}")),
    }
}

pub(super) async fn stalled(stage: &mut Stage) -> Verdict {
    overrun(stage).await?;
    stage.session_ends(&[LeaveReason::Stalled]).await?;
    stage.skip_events();
    stage.peer_is_cut_off().await
}

pub(super) async fn not_busy(stage: &mut Stage) -> Verdict {
    polls(stage, "nobody said anything").await?;
    overrun_and_stay(stage).await?;
    polls(stage, "the peer read nothing").await
}

/// Looks at how often the transport is polled for a while.
async fn polls(stage: &mut Stage, meanwhile: &str) -> Verdict {
    let before = stage.notes.polls();
    sleep(WHILE).await;
    let polls = stage.notes.polls() - before;
    match polls < MANY_POLLS {
        true => Ok(()),
        false => broken(format!(
            "polled {polls} times in {WHILE:?} in which {meanwhile}"
        )),
    }
}

pub(super) async fn not_ahead(stage: &mut Stage) -> Verdict {
    stage.notes.let_receive(false);
    let (stop, lines) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicU64::new(0)),
    );
    let mut remote = stage.take_remote()?;
    let flood = "on and on and on\n".repeat(256);
    let bytes = flood.len() as u64 / 256;
    let flooding = tokio::spawn({
        let (stop, lines) = (stop.clone(), lines.clone());
        async move {
            let mut sent = Ok(());
            while sent.is_ok() && !stop.load(Relaxed) && lines.load(Relaxed) * bytes < AHEAD {
                sent = remote.send(&flood).await;
                lines.fetch_add(256, Relaxed);
                // A connection that takes everything would not give others a turn.
                tokio::task::yield_now().await;
            }
            (remote, sent)
        }
    });
    // Until it is held up.
    let mut before = u64::MAX;
    while lines.load(Relaxed) != before {
        before = lines.load(Relaxed);
        sleep(WHILE).await;
        stage.check_deadline(|| "the peer floods, and the session asks for nothing".into())?;
    }
    let ahead = lines.load(Relaxed) * bytes;
    stop.store(true, Relaxed);
    stage.notes.let_receive(true);
    if ahead >= AHEAD {
        return broken(format!(
            "{ahead} bytes were received while the session asked for none"
        ));
    }
    let what = || "the peer floods, and the session asks for it again".into();
    let flooded = stage.deadline().meet(what, flooding).await?;
    let (remote, sent) = match flooded {
        Ok(flooded) => flooded,
        Err(error) => return broken(format!("the remote failed: {error}")),
    };
    stage.give_remote(remote);
    if let Err(error) = sent {
        return broken(format!("the connection of a flooding peer broke: {error}"));
    }
    let sent = lines.load(Relaxed);
    loop {
        let heard = stage.hub.stats().published;
        if heard == sent {
            return Ok(());
        }
        let what = format!("{heard} of {sent} lines of the flood were heard");
        if heard > sent {
            return broken(what);
        }
        sleep(Duration::from_millis(1)).await;
        stage.skip_events();
        stage.check_deadline(|| what)?;
    }
}
