//! Memory that a thread lends to whichever peer it is serving, so that peers need none.

use std::cell::Cell;

/// How much a peer's input is read at a time. Expanded with the longest names, the shortest
/// lines in it stay well below a default log.
pub(crate) const READ_BYTES: usize = 16 * 1024;

thread_local! {
    static FOR_WRITING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static FOR_READING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Calls `with` with an empty buffer. Whoever asks while it is lent gets a fresh one.
pub(crate) fn lend_for_writing<T>(with: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut buffer = FOR_WRITING.take();
    buffer.clear();
    let result = with(&mut buffer);
    FOR_WRITING.set(buffer);
    result
}

/// Calls `with` with a buffer of some length.
pub(crate) fn lend_for_reading<T>(with: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut buffer = FOR_READING.take();
    buffer.resize(READ_BYTES, 0);
    let result = with(&mut buffer);
    FOR_READING.set(buffer);
    result
}
