//! What the tests share: peers that speak bytes over TCP, peers in memory, and the checker of
//! what a member was given.

pub mod history;
pub mod memory;
pub mod wire;

/// The README's code, run as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
pub struct Readme;
