//! The line protocol: bytes to lines, and the lines that the server itself writes.

pub(crate) mod decoder;
pub(crate) mod foreign;
pub(crate) mod lines;
