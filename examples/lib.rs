//! The examples are the files beside this one; run them by `cargo run --example NAME`.
