//! A ring whose memory grows with its content, in segments of fixed size.

/// Bytes of one segment. Allocating one takes a few microseconds, which is how long a writer may
/// hold the hub's lock for it; and allocators reuse blocks of this size.
const SEGMENT_BYTES: usize = 64 * 1024;

/// The first segment begins with this many bytes and doubles, so that an idle hub is small.
const FIRST_BYTES: usize = 256;

/// The last `capacity` of the elements ever written, found by the count of those before them.
///
/// Nothing is allocated before it is needed, nothing is moved but the first segment while it
/// doubles, and nothing is freed: a ring that was full once stays at its capacity.
#[derive(Debug)]
pub(crate) struct SegmentedRing<T> {
    /// Each is full, but perhaps the last. All have `SEGMENT` elements, the last of all has the rest.
    segments: Vec<Vec<T>>,
    capacity: usize,
}

impl<T: Copy> SegmentedRing<T> {
    const SEGMENT: usize = SEGMENT_BYTES / size_of::<T>();

    pub(crate) fn new(capacity: usize) -> Self {
        assert!(capacity > 0, "a ring holds at least one element");
        Self {
            segments: Vec::new(),
            capacity,
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Writes elements at `offset`, the count of all written before.
    ///
    /// Must hold: `offset` never skips an element and never goes back; at most `capacity` elements.
    pub(crate) fn write(&mut self, offset: u64, mut elements: &[T]) {
        debug_assert!(elements.len() <= self.capacity);
        let mut at = self.place(offset);
        while !elements.is_empty() {
            let (number, start) = (at / Self::SEGMENT, at % Self::SEGMENT);
            let whole = Self::SEGMENT.min(self.capacity - number * Self::SEGMENT);
            let (now, rest) = elements.split_at(elements.len().min(whole - start));
            if number == self.segments.len() {
                self.segments.push(Vec::new());
            }
            let segment = &mut self.segments[number];
            if start == segment.len() {
                reserve(segment, now.len(), whole, number == 0);
                segment.extend_from_slice(now);
            } else {
                segment[start..start + now.len()].copy_from_slice(now);
            }
            elements = rest;
            at = (at + now.len()) % self.capacity;
        }
    }

    /// Appends to `out` the `len` elements from `offset` on, which are still held.
    pub(crate) fn copy(&self, offset: u64, mut len: usize, out: &mut Vec<T>) {
        debug_assert!(len <= self.capacity);
        let mut at = self.place(offset);
        while len > 0 {
            let (number, start) = (at / Self::SEGMENT, at % Self::SEGMENT);
            let segment = &self.segments[number][start..];
            let now = &segment[..len.min(segment.len())];
            out.extend_from_slice(now);
            len -= now.len();
            at = (at + now.len()) % self.capacity;
        }
    }

    /// The element at `offset`, which is still held.
    pub(crate) fn get(&self, offset: u64) -> T {
        let at = self.place(offset);
        self.segments[at / Self::SEGMENT][at % Self::SEGMENT]
    }

    fn place(&self, offset: u64) -> usize {
        (offset % self.capacity as u64) as usize
    }
}

/// Makes room for `more` elements in a segment of at most `whole`.
fn reserve<T>(segment: &mut Vec<T>, more: usize, whole: usize, first: bool) {
    let needed = segment.len() + more;
    if needed <= segment.capacity() {
        return;
    }
    let capacity = match first {
        true => (2 * segment.capacity()).max(FIRST_BYTES / size_of::<T>()),
        false => whole,
    };
    segment.reserve_exact(capacity.clamp(needed, whole) - segment.len());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn holds_the_last_elements(
            capacity in prop_oneof![1usize..40, 65_000usize..70_000, 131_072usize..200_000],
            pieces in prop::collection::vec(0usize..30_000, 1..30),
        ) {
            let mut ring = SegmentedRing::new(capacity);
            let mut all: Vec<u8> = Vec::new();
            for piece in pieces {
                let start = all.len();
                all.extend((start..start + piece.min(capacity)).map(|n| (n % 251) as u8));
                ring.write(start as u64, &all[start..]);
                let held = all.len().min(capacity);
                let mut out = Vec::new();
                ring.copy((all.len() - held) as u64, held, &mut out);
                prop_assert_eq!(&out[..], &all[all.len() - held..]);
                if let Some(last) = all.last() {
                    prop_assert_eq!(ring.get(all.len() as u64 - 1), *last);
                }
            }
        }
    }

    mod memory {
        use super::*;

        fn allocated(ring: &SegmentedRing<u8>) -> usize {
            ring.segments.iter().map(Vec::capacity).sum()
        }

        #[test]
        fn grows_with_content() {
            let mut ring = SegmentedRing::<u8>::new(1 << 20);
            assert_eq!(allocated(&ring), 0);
            ring.write(0, &[1; 10]);
            assert_eq!(allocated(&ring), FIRST_BYTES);
            let mut written = 10;
            while written < 3 << 20 {
                ring.write(written as u64, &[2; 1000]);
                written += 1000;
                let most = (2 * written).max(FIRST_BYTES).min(written + SEGMENT_BYTES);
                assert!(allocated(&ring) <= most.min(1 << 20), "after {written}");
            }
            assert_eq!(allocated(&ring), 1 << 20);
        }
    }
}
