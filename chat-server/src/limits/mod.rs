//! Limits by origin.

pub(crate) mod origins;
