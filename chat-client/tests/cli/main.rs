//! The program as a user runs it: streams, messages and exit codes.

#![allow(clippy::unwrap_used, reason = "a failure here fails the test")]

mod chat_server;
mod confirmation;
mod endings;
mod naming;
mod slashes;
mod streams;
mod support;
#[cfg(unix)]
mod terminal;
mod time_limit;
mod usage;
