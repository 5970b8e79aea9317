//! The parts of the binary.

pub(crate) mod args;
pub(crate) mod logging;
pub(crate) mod signals;
pub(crate) mod startup;
