//! Memory that a thread lends to the peer that it is serving, so that peers need none.

use std::cell::Cell;

/// How much of a peer's input is read at a time. The shortest lines in it, with the longest name
/// before each, stay well below the size of a default log.
pub(crate) const READ_BYTES: usize = 16 * 1024;

/// A thread keeps no more than this between two peers. One batch fits, with its notices; a longer
/// text does not, and its memory is given back.
const KEPT_BYTES: usize = 128 * 1024;

thread_local! {
    static FOR_WRITING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static FOR_READING: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Calls `with` with an empty buffer. A caller that asks while the buffer is lent gets a fresh one.
pub(crate) fn lend_for_writing<T>(with: impl FnOnce(&mut Vec<u8>) -> T) -> T {
    let mut buffer = FOR_WRITING.take();
    buffer.clear();
    let result = with(&mut buffer);
    if buffer.capacity() <= KEPT_BYTES {
        FOR_WRITING.set(buffer);
    }
    result
}

/// Calls `with` with a buffer of [`READ_BYTES`].
pub(crate) fn lend_for_reading<T>(with: impl FnOnce(&mut [u8]) -> T) -> T {
    let mut buffer = FOR_READING.take();
    buffer.resize(READ_BYTES, 0);
    let result = with(&mut buffer);
    FOR_READING.set(buffer);
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    mod lend_for_writing {
        use super::*;

        #[test]
        fn keeps_no_large_buffer() {
            lend_for_writing(|buffer| buffer.extend_from_slice(&[0; 64 * 1024]));
            let kept = lend_for_writing(|buffer| buffer.capacity());
            assert!(kept >= 64 * 1024, "{kept}");
            lend_for_writing(|buffer| buffer.extend_from_slice(&[0; 1 << 20]));
            let kept = lend_for_writing(|buffer| buffer.capacity());
            assert!(kept <= KEPT_BYTES, "{kept}");
        }
    }
}
