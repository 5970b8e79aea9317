//! The library's `serve` with peers in memory, from any address, while time is paused.

mod connecting;
mod lab;
mod log;
mod names;
mod refusals;
mod shutdown;
mod talking;
