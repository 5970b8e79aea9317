//! Checks for a [`Transport`] of your own: that it keeps the rules of the traits.
//!
//! Behind the feature `testkit`, for dev-dependencies. One call plays every [`Check`], each with
//! a connection of its own between the transport and a [`Remote`], the other end in your hands:
//!
//! ```
//! use chat_core::testkit::{self, Check, Stream};
//! use chat_core::transport::memory;
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() {
//! let report = testkit::check(async || {
//!     let (transport, peer) = memory::pair(256);
//!     Ok((transport, Stream::new(peer)))
//! })
//! .await;
//! // In memory, a connection that breaks looks like one that ends.
//! report.assert_passed_but(&[Check::Reset]);
//! # }
//! ```
//!
//! They find what is hard to see otherwise: what is lost or comes twice after a short write, who
//! waits for whom, what a peer still gets that has ended, what is cut off at the end. They see
//! the more of it the narrower the connection is: let its buffers hold some hundred bytes if you
//! can, or as little as the system allows. A real socket needs real time; in memory it can be
//! paused.
//!
//! It needs a runtime of tokio with a timer. All checks together take about two seconds, or less
//! than one if time is paused; one that fails can take up to [`Suite::deadline`]. A transport that
//! blocks its thread is beyond all help.

mod check;
mod checks;
mod remote;
mod report;
mod spy;
mod stage;

pub use check::Check;
pub use remote::{Remote, Stream};
pub use report::{Outcome, Report};

use crate::transport::Transport;
use std::io;
use std::time::Duration;
use tokio::time::timeout;

/// Plays every check with a connection that `connect` makes for it; see the [module](self).
///
/// Nothing of it fails or panics in the middle: what went wrong, also with `connect`, is in the
/// report.
pub async fn check<T: Transport, R: Remote>(
    connect: impl AsyncFnMut() -> io::Result<(T, R)>,
) -> Report {
    Suite::default().check(connect).await
}

/// The checks to play, and how.
///
/// ```
/// # use chat_core::testkit::{Check, Stream, Suite};
/// # use chat_core::transport::memory;
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let one = Suite::default().only(&[Check::HalfClose]);
/// let report = one.check(async || {
///     let (transport, peer) = memory::pair(256);
///     Ok((transport, Stream::new(peer)))
/// });
/// report.await.assert_passed_but(&[]);
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Suite {
    checks: Vec<Check>,
    deadline: Duration,
}

impl Default for Suite {
    fn default() -> Self {
        Self {
            checks: Check::ALL.into(),
            deadline: Duration::from_secs(10),
        }
    }
}

impl Suite {
    /// These checks and no others.
    #[must_use]
    pub fn only(mut self, checks: &[Check]) -> Self {
        self.checks = checks.into();
        self
    }

    /// How long one check may take; default 10 s. None that passes needs much of it, unless
    /// connections are slow.
    #[must_use]
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Plays them, as [`check`](check()) does all.
    pub async fn check<T: Transport, R: Remote>(
        &self,
        mut connect: impl AsyncFnMut() -> io::Result<(T, R)>,
    ) -> Report {
        let mut outcomes = Vec::new();
        for &check in &self.checks {
            let outcome = match timeout(self.deadline, connect()).await {
                Ok(Ok((transport, remote))) => {
                    let (transport, remote) = (Box::new(transport), Box::new(remote));
                    checks::play(check, transport, remote, self.deadline).await
                }
                Ok(Err(error)) => Outcome::Failed(format!("cannot connect: {error}")),
                Err(late) => Outcome::Failed(format!("cannot connect: {late}")),
            };
            outcomes.push((check, outcome));
        }
        Report { outcomes }
    }
}
