//! Deadlines for futures that a test awaits.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

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
