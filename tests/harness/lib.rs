//! The test harness: peers that send bytes over TCP, peers in memory, a transport that
//! counts, and the history checker.

mod futures;
mod text_writer;

pub mod attempts;
pub mod history;
pub mod memory;
pub mod wire;

pub use futures::{paused_runtime, poll_once, within};
pub use text_writer::TextWriter;

/// Runs the code of the README as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;

/// The code in the README of `chat-core`.
#[cfg(doctest)]
#[doc = include_str!("../../chat-core/README.md")]
pub struct CoreReadme;

/// The code in the README of `chat-server`.
#[cfg(doctest)]
#[doc = include_str!("../../chat-server/README.md")]
pub struct ServerReadme;

/// A removal cannot claim that the hub is closed:
///
/// ```compile_fail,E0599
/// let reason = chat_core::RemovalReason::Closed;
/// ```
///
/// Only the hub reports that:
///
/// ```
/// let reason = chat_core::LeaveReason::Closed;
/// ```
#[cfg(doctest)]
pub struct RemovalReasons;
