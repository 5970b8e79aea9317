//! The server as a program: flags, streams, signals, limits and hostile peers.

mod flags;
mod hostile;
mod limits;
mod logging;
mod signals;
#[allow(dead_code, reason = "`chaos` uses the rest")]
mod support;
