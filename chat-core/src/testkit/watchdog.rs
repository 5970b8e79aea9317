//! Calls that must not block, each on a thread of its own: one that blocks ends its check, not the
//! thread of the checks.

use crate::transport::{Attempt, DeliverHalf};
use std::io;
use std::panic::resume_unwind;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;
use tokio::runtime::Handle;

/// A half of a transport, and the result of its attempt.
type Attempted = (Box<dyn DeliverHalf>, io::Result<Attempt>);

/// Calls `try_deliver` and returns the half with the result. `None` if the call has not returned
/// within the limit, which is real time, as a blocked thread stops a paused clock. The half then
/// remains with its thread.
pub(super) fn try_deliver(
    half: Box<dyn DeliverHalf>,
    lines: &[u8],
    limit: Duration,
) -> Option<Attempted> {
    let lines = lines.to_vec();
    let runtime = Handle::try_current();
    let (sender, attempted) = sync_channel(1);
    let call = thread::spawn(move || {
        let _context = runtime.as_ref().map(Handle::enter);
        // Dropped within the context if it panics.
        let mut half = half;
        let attempt = half.try_deliver(&lines);
        // Fails after the limit.
        let _ = sender.send((half, attempt));
    });
    match attempted.recv_timeout(limit) {
        Ok(attempted) => Some(attempted),
        Err(RecvTimeoutError::Timeout) => None,
        Err(RecvTimeoutError::Disconnected) => {
            resume_unwind(call.join().expect_err("a call that returns has sent"))
        }
    }
}
