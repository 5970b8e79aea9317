//! The parts of the binary.

pub(crate) mod args;
pub(crate) mod logging;
