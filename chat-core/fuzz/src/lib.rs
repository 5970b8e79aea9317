//! What must hold in `chat-core` for whatever a fuzzer makes up: a function for each target.
//!
//! Apart from the targets, so that `cargo test` can put the kept corpus through the same functions,
//! without libFuzzer.

pub mod commands;
pub mod decoder;
pub mod event_line;
mod input;
pub mod names;
mod protocol;
pub mod sanitize;

/// What a target does with the data that the fuzzer makes up; it panics if a promise is broken.
pub type Check = fn(&[u8]);

/// The targets by their names, which the folders of their corpora have, too.
pub const TARGETS: [(&str, Check); 5] = [
    ("commands", commands::check),
    ("decoder", decoder::check),
    ("event_line", event_line::check),
    ("names", names::check),
    ("sanitize", sanitize::check),
];
