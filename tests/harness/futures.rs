//! Polling and awaiting futures in a test.

use std::fmt::Display;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::task::coop::unconstrained;

/// Polls a future once and drops it.
pub fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    // Without `unconstrained`, tokio's task budget could return `Pending` for a ready item.
    pin!(unconstrained(future)).poll(&mut Context::from_waker(Waker::noop()))
}

/// Awaits a future.
///
/// # Panics
///
/// If the future takes longer than the deadline; `what` names it in the message.
pub async fn within<T>(
    deadline: Duration,
    what: impl Display,
    future: impl Future<Output = T>,
) -> T {
    match tokio::time::timeout(deadline, future).await {
        Ok(output) => output,
        Err(_) => panic!("{what} took longer than {deadline:?}"),
    }
}

/// A runtime whose clock is paused, for properties, which are no async functions.
///
/// # Panics
///
/// If it cannot be made.
pub fn paused_runtime() -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    runtime.expect("a runtime without I/O can be built")
}
