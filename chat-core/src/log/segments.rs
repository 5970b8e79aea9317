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
    /// The count of all elements ever written, and the place of the next one. Both, because a division
    /// for each look at an element costs more than the look.
    written: u64,
    next: usize,
}

impl<T: Copy> SegmentedRing<T> {
    const SEGMENT: usize = SEGMENT_BYTES / size_of::<T>();

    pub(crate) fn new(capacity: usize) -> Self {
        Self::with_written(capacity, 0)
    }

    /// A ring as if so many elements had been written, which are held no more.
    pub(super) fn with_written(capacity: usize, written: u64) -> Self {
        assert!(capacity > 0, "a ring holds at least one element");
        Self {
            segments: Vec::new(),
            capacity,
            written,
            next: 0,
        }
    }

    pub(crate) fn capacity(&self) -> usize {
        self.capacity
    }

    /// Writes elements after all that were written before, at most `capacity` of them.
    pub(crate) fn write(&mut self, mut elements: &[T]) {
        debug_assert!(elements.len() <= self.capacity);
        self.written += elements.len() as u64;
        let mut at = self.next;
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
            at = self.after(at, now.len());
        }
        self.next = at;
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
            at = self.after(at, now.len());
        }
    }

    /// The element at `offset`, which is still held.
    pub(crate) fn get(&self, offset: u64) -> T {
        let at = self.place(offset);
        self.segments[at / Self::SEGMENT][at % Self::SEGMENT]
    }

    /// The place of the element at `offset`, which is still held, or of the next one.
    fn place(&self, offset: u64) -> usize {
        let back = (self.written - offset) as usize;
        match self.next.checked_sub(back) {
            Some(place) => place,
            None => self.next + self.capacity - back,
        }
    }

    /// The place so many elements later, in the same segment or at the beginning of the next.
    fn after(&self, place: usize, elements: usize) -> usize {
        match place + elements {
            end if end == self.capacity => 0,
            end => end,
        }
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
                ring.write(&all[start..]);
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
            ring.write(&[1; 10]);
            assert_eq!(allocated(&ring), FIRST_BYTES);
            let mut written = 10;
            while written < 3 << 20 {
                ring.write(&[2; 1000]);
                written += 1000;
                let most = (2 * written).max(FIRST_BYTES).min(written + SEGMENT_BYTES);
                assert!(allocated(&ring) <= most.min(1 << 20), "after {written}");
            }
            assert_eq!(allocated(&ring), 1 << 20);
        }
    }
}
