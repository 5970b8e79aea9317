//! The program as a user meets it: its streams, its messages, its exit codes.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]

mod ends;
mod names;
mod streams;
mod support;
#[cfg(unix)]
mod terminal;
mod usage;
