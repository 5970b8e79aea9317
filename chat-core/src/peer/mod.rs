//! One peer as its session sees it, without I/O: its input, its output, its conversation.

pub(crate) mod config;
pub(crate) mod conversation;
pub(crate) mod feed;
pub(crate) mod inbox;
pub(crate) mod meter;
pub(crate) mod rate;
pub(crate) mod shared;
pub(crate) mod shared_limits;
pub(crate) mod shutdown;
