//! Every end is an orderly one, if it can be, and is told.

use super::super::stage::{Stage, Stop, Verdict};
use crate::session::SessionConfig;
use crate::types::config::HubConfig;
use crate::types::event::LeaveReason;
use std::time::Duration;
use tokio::time::sleep;

/// A peer that is only seen to be gone by delivering to it is listened to for a while.
pub(super) fn short_linger(_: &mut HubConfig, session: &mut SessionConfig) {
    session.linger = Duration::from_millis(100);
}

pub(super) async fn end(stage: &mut Stage) -> Verdict {
    let texts: Vec<_> = (0..100).map(|n| format!("before the end {n}")).collect();
    stage.send(&(texts.join("\n") + "\n")).await?;
    stage.finish().await?;
    for text in &texts {
        stage.all_hear_peer(text).await?;
    }
    stage.all_see_it_leave(&[LeaveReason::Left]).await?;
    stage.peer_is_cut_off().await?;
    stage.session_ends(&[LeaveReason::Left]).await
}

pub(super) async fn half_close(stage: &mut Stage) -> Verdict {
    if !stage.remote()?.half_closes() {
        return Err(Stop::Cannot("the remote says that it does not".into()));
    }
    let texts: Vec<_> = (0..500)
        .map(|n| format!("{n} {}", "x".repeat(100)))
        .collect();
    stage.tell_all(&texts)?;
    stage.skip_events();
    stage.send("last words\n").await?;
    stage.finish().await?;
    stage.all_hear_peer("last words").await?;
    stage.all_see_it_leave(&[LeaveReason::Left]).await?;
    for text in &texts {
        stage.peer_hears_witness(text).await?;
    }
    stage.peer_hears_itself("last words").await?;
    stage.peer_hears_end().await?;
    stage.session_ends(&[LeaveReason::Left]).await
}

pub(super) async fn hang_up(stage: &mut Stage) -> Verdict {
    stage.send("hello\n").await?;
    stage.all_hear_peer("hello").await?;
    // There is something that it does not read.
    stage.tell("and good bye")?;
    drop(stage.take_remote()?);
    // What notices it only when it writes is given something to write.
    while !stage.has_ended() {
        stage.tell("is anybody there?")?;
        sleep(Duration::from_millis(10)).await;
        stage.check_deadline(|| "the peer is gone and the session goes on".into())?;
    }
    // Which of the two halves is the first to see it is open.
    let either = [LeaveReason::Lost, LeaveReason::Left];
    stage.session_ends(&either).await?;
    stage.all_see_it_leave(&either).await
}

pub(super) async fn reset(stage: &mut Stage) -> Verdict {
    stage.send("hello\n").await?;
    stage.all_hear_peer("hello").await?;
    stage.peer_hears_itself("hello").await?;
    stage.reset().await?;
    stage.session_ends(&[LeaveReason::Lost]).await?;
    stage.all_see_it_leave(&[LeaveReason::Lost]).await
}

pub(super) async fn quit(stage: &mut Stage) -> Verdict {
    stage.send("last words\n/quit\ntoo late\n").await?;
    stage.all_hear_peer("last words").await?;
    stage.all_see_it_leave(&[LeaveReason::Left]).await?;
    stage.peer_hears_itself("last words").await?;
    stage.peer_hears("* goodbye").await?;
    stage.peer_hears_end().await?;
    stage.finish_last().await?;
    stage.session_ends(&[LeaveReason::Left]).await
}

pub(super) async fn hub_closes(stage: &mut Stage) -> Verdict {
    let texts: Vec<_> = (0..2000)
        .map(|n| format!("{n} {}", "x".repeat(n % 500)))
        .collect();
    stage.tell_all(&texts)?;
    // So that a part is on its way.
    stage.settle().await;
    stage.hub.close();
    for text in &texts {
        stage.peer_hears_witness(text).await?;
    }
    stage.peer_hears("* server is going down").await?;
    stage.peer_hears_end().await?;
    stage.finish_last().await?;
    stage.session_ends(&[LeaveReason::Closed]).await
}

pub(super) async fn dropped(stage: &mut Stage) -> Verdict {
    stage.send("hello\n").await?;
    stage.all_hear_peer("hello").await?;
    stage.drop_session();
    stage.all_see_it_leave(&[LeaveReason::Left]).await?;
    stage.peer_is_cut_off().await
}
