//! The scenario of each check.

mod attempts;
mod endings;
mod lines;
mod stalls;

use super::check::Check;
use super::fixture::{CheckError, CheckResult, Fixture};
use super::remote::Remote;
use super::report::Outcome;
use crate::transport::Transport;
use std::time::Duration;

/// Runs a check over one connection. With `masks_attempts`, the session is told that the transport
/// does not support `try_deliver`. Says also whether there were attempts.
pub(super) async fn run(
    check: Check,
    transport: Box<dyn Transport>,
    remote: Box<dyn Remote>,
    masks_attempts: bool,
    limit: Duration,
) -> (Outcome, bool) {
    let configure = match check {
        Check::IndependentHalves | Check::Gap | Check::NoBusyPolling => stalls::small_log,
        Check::StallTimeout => stalls::short_stall_timeout,
        Check::Disconnect | Check::FailedAttempts => endings::short_linger,
        _ => |_: &mut _, _: &mut _| {},
    };
    let mut fixture = Fixture::new(transport, remote, masks_attempts, limit, configure);
    let result = scenario(check, &mut fixture).await;
    let outcome = match fixture.conclude(result).await {
        Ok(()) => Outcome::Passed,
        Err(CheckError::Unsupported(capability)) => Outcome::Skipped(capability),
        Err(CheckError::NotApplicable(why)) => Outcome::NotApplicable(why),
        Err(CheckError::Failed(evidence)) => Outcome::Failed(evidence),
    };
    (outcome, fixture.probe.attempts() > 0)
}

async fn scenario(check: Check, fixture: &mut Fixture) -> CheckResult {
    fixture.expect_greeting().await?;
    match check {
        Check::PingPong => lines::ping_pong(fixture).await,
        Check::EmptyLines => lines::empty_lines(fixture).await,
        Check::Utf8Text => lines::utf8_text(fixture).await,
        Check::OverlongLines => lines::overlong_lines(fixture).await,
        Check::Burst => lines::burst(fixture).await,
        Check::MessageBoundaries => lines::message_boundaries(fixture).await,
        Check::PartialLines => lines::partial_lines(fixture).await,
        Check::ShortWrites => lines::short_writes(fixture).await,
        Check::OneTakePerCall => lines::one_take_per_call(fixture).await,
        Check::CompleteAttempts => attempts::complete_attempts(fixture).await,
        Check::PartialAttempts => attempts::partial_attempts(fixture).await,
        Check::IndependentHalves => stalls::independent_halves(fixture).await,
        Check::Gap => stalls::gap(fixture).await,
        Check::StallTimeout => stalls::stall_timeout(fixture).await,
        Check::NoBlocking => attempts::no_blocking(fixture).await,
        Check::NoReadAhead => stalls::no_read_ahead(fixture).await,
        Check::NoBusyPolling => stalls::no_busy_polling(fixture).await,
        Check::EndOfInput => endings::end_of_input(fixture).await,
        Check::HalfClose => endings::half_close(fixture).await,
        Check::Disconnect => endings::disconnect(fixture).await,
        Check::FailedAttempts => attempts::failed_attempts(fixture).await,
        Check::Reset => endings::reset(fixture).await,
        Check::Quit => endings::quit(fixture).await,
        Check::HubClose => endings::hub_close(fixture).await,
        Check::SessionDrop => endings::session_drop(fixture).await,
    }
}
