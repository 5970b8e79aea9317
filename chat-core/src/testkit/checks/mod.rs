//! What each check plays.

mod endings;
mod lines;
mod stalls;

use super::check::Check;
use super::remote::Remote;
use super::report::Outcome;
use super::stage::{Stage, Stop, Verdict};
use crate::transport::Transport;
use std::time::Duration;

/// Plays a check with one connection.
pub(super) async fn play(
    check: Check,
    transport: Box<dyn Transport>,
    remote: Box<dyn Remote>,
    limit: Duration,
) -> Outcome {
    let change = match check {
        Check::Independent | Check::Gap | Check::NotBusy => stalls::small_log,
        Check::Stalled => stalls::impatient,
        Check::HangUp => endings::short_linger,
        _ => |_: &mut _, _: &mut _| {},
    };
    let mut stage = Stage::new(transport, remote, limit, change);
    let verdict = scenario(check, &mut stage).await;
    match stage.conclude(verdict).await {
        Ok(()) => Outcome::Passed,
        Err(Stop::Cannot(why)) => Outcome::Skipped(why),
        Err(Stop::Broken(seen)) => Outcome::Failed(seen),
    }
}

async fn scenario(check: Check, stage: &mut Stage) -> Verdict {
    stage.greet().await?;
    match check {
        Check::OneByOne => lines::one_by_one(stage).await,
        Check::EmptyLines => lines::empty_lines(stage).await,
        Check::AnyText => lines::any_text(stage).await,
        Check::TooLong => lines::too_long(stage).await,
        Check::ManyAtOnce => lines::many_at_once(stage).await,
        Check::ManySends => lines::many_sends(stage).await,
        Check::PartsOfLines => lines::parts_of_lines(stage).await,
        Check::ShortWrites => lines::short_writes(stage).await,
        Check::OnePiece => lines::one_piece(stage).await,
        Check::Independent => stalls::independent(stage).await,
        Check::Gap => stalls::gap(stage).await,
        Check::Stalled => stalls::stalled(stage).await,
        Check::NotAhead => stalls::not_ahead(stage).await,
        Check::NotBusy => stalls::not_busy(stage).await,
        Check::End => endings::end(stage).await,
        Check::HalfClose => endings::half_close(stage).await,
        Check::HangUp => endings::hang_up(stage).await,
        Check::Reset => endings::reset(stage).await,
        Check::Quit => endings::quit(stage).await,
        Check::HubCloses => endings::hub_closes(stage).await,
        Check::Dropped => endings::dropped(stage).await,
    }
}
