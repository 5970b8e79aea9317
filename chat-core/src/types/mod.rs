//! The vocabulary of the crate: plain data that every layer uses and that depends on none.

pub(crate) mod config;
pub(crate) mod direct;
pub(crate) mod errors;
pub(crate) mod event;
pub(crate) mod ids;
pub(crate) mod name;
pub(crate) mod position;
#[cfg(feature = "serde")]
mod serde;
pub(crate) mod stats;
pub(crate) mod text;
pub(crate) mod time;
