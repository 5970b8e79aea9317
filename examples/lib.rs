//! The examples are the files beside this one. Run one with `cargo run --example NAME`.
