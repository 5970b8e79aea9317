//! The server as a program: its flags, its streams, its signals and its limits.

mod ends;
mod fire;
mod flags;
mod limits;
mod logging;
#[allow(dead_code, reason = "`chaos` uses the rest")]
mod support;
