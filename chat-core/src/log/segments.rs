//! A queue whose memory follows its content, in segments of fixed size.

use std::collections::VecDeque;
use std::mem;

/// The first segment begins with this many bytes and doubles, so that an idle hub is small.
const FIRST_BYTES: usize = 256;

/// Elements that are written at one end and evicted at the other, found by the count of those ever
/// written before them.
///
/// Nothing is allocated before it is needed, and nothing is moved but the first segment while it
/// doubles. One emptied segment is kept for the next that is needed, so a queue of constant length
/// allocates nothing. A queue takes less than [`SLACK`] segments more than its content.
#[derive(Debug)]
pub(crate) struct SegmentedQueue<T> {
    /// Each is full, but perhaps the last.
    segments: VecDeque<Vec<T>>,
    /// The number of the first of them, counted from the first ever.
    first: u64,
    spare: Vec<T>,
    /// A segment has two to the power of this many elements.
    bits: u32,
    /// The count of all elements ever written.
    written: u64,
}

/// How many segments a queue can take beyond its content: two that are partly used, and a spare one.
pub(super) const SLACK: usize = 3;

/// How many bytes a segment takes in the tables of segments, which grow by an eighth. Twice, because
/// the table of each kind keeps its greatest size, and they do not all have that at once.
pub(super) const TABLE_BYTES: usize = 2 * 27;

impl<T: Copy> SegmentedQueue<T> {
    /// A queue with segments of at most so many bytes.
    pub(crate) fn new(segment_bytes: usize) -> Self {
        let elements = (segment_bytes / size_of::<T>()).max(1);
        Self {
            segments: VecDeque::new(),
            first: 0,
            spare: Vec::new(),
            bits: elements.ilog2(),
            written: 0,
        }
    }

    /// The count of all elements ever written.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Writes elements after all that were written before.
    pub(crate) fn write(&mut self, mut elements: &[T]) {
        while !elements.is_empty() {
            let (segment, room) = self.last(elements.len());
            let (now, rest) = elements.split_at(elements.len().min(room));
            segment.extend_from_slice(now);
            self.written += now.len() as u64;
            elements = rest;
        }
    }

    /// Writes one element.
    pub(crate) fn push(&mut self, element: T) {
        self.last(1).0.push(element);
        self.written += 1;
    }

    /// Appends to `out` the `len` elements from `offset` on, which are still held.
    pub(crate) fn copy(&self, offset: u64, mut len: usize, out: &mut Vec<T>) {
        let (mut number, mut at) = self.place(offset);
        while len > 0 {
            let segment = &self.segments[number][at..];
            let now = &segment[..len.min(segment.len())];
            out.extend_from_slice(now);
            len -= now.len();
            (number, at) = (number + 1, 0);
        }
    }

    /// The element at `offset`, which is still held.
    pub(crate) fn get(&self, offset: u64) -> T {
        let (number, at) = self.place(offset);
        self.segments[number][at]
    }

    /// The elements before `offset` are no longer needed.
    pub(crate) fn evict_before(&mut self, offset: u64) {
        if offset >> self.bits > self.first {
            self.free_before(offset >> self.bits);
        }
    }

    /// The segment that is written to, and how many of `more` elements fit into it.
    fn last(&mut self, more: usize) -> (&mut Vec<T>, usize) {
        let whole = 1 << self.bits;
        let at = self.written as usize & (whole - 1);
        if at == 0 {
            self.add_segment();
        }
        let is_only = self.segments.len() == 1;
        let segment = self.segments.back_mut().expect("one was added");
        let more = more.min(whole - at);
        if at + more > segment.capacity() {
            reserve(segment, at + more, whole, is_only);
        }
        (segment, more)
    }

    #[cold]
    fn add_segment(&mut self) {
        let len = self.segments.len();
        if len == self.segments.capacity() {
            self.segments.reserve_exact(len / 8 + 1);
        }
        self.segments.push_back(mem::take(&mut self.spare));
    }

    #[cold]
    fn free_before(&mut self, first: u64) {
        while self.first < first {
            self.first += 1;
            let mut segment = self.segments.pop_front().expect("it was written");
            if self.spare.capacity() < segment.capacity() {
                segment.clear();
                self.spare = segment;
            }
        }
    }

    /// The segment of the element at `offset`, and its place there.
    fn place(&self, offset: u64) -> (usize, usize) {
        let number = (offset >> self.bits) - self.first;
        (number as usize, offset as usize & ((1 << self.bits) - 1))
    }

    /// A queue as if so many elements had been written and evicted: whole segments.
    #[cfg(test)]
    pub(super) fn with_written(segment_bytes: usize, written: u64) -> Self {
        let empty = Self::new(segment_bytes);
        let first = written >> empty.bits;
        Self {
            first,
            written,
            ..empty
        }
    }

    /// Bytes allocated for segments, and for the table of them.
    #[cfg(test)]
    pub(super) fn allocated(&self) -> (usize, usize) {
        let segments = self.segments.iter().chain([&self.spare]);
        let elements: usize = segments.map(Vec::capacity).sum();
        let table = self.segments.capacity() * size_of::<Vec<T>>();
        (elements * size_of::<T>(), table)
    }
}

/// Makes room for `needed` elements in a segment of at most `whole`.
#[cold]
fn reserve<T>(segment: &mut Vec<T>, needed: usize, whole: usize, is_only: bool) {
    let capacity = match is_only {
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
        fn holds_what_is_not_evicted(
            segment in prop_oneof![1usize..40, 1000usize..5000],
            steps in prop::collection::vec((0usize..3000, 0usize..3000), 1..60),
        ) {
            let mut queue = SegmentedQueue::new(segment);
            let (mut all, mut tail): (Vec<u8>, usize) = (Vec::new(), 0);
            for (more, less) in steps {
                let start = all.len();
                all.extend((start..start + more).map(|n| (n % 251) as u8));
                match more {
                    1 => queue.push(all[start]),
                    _ => queue.write(&all[start..]),
                }
                prop_assert_eq!(queue.written(), all.len() as u64);
                tail = all.len().min(tail + less);
                queue.evict_before(tail as u64);
                let mut out = Vec::new();
                queue.copy(tail as u64, all.len() - tail, &mut out);
                prop_assert_eq!(&out[..], &all[tail..]);
                for at in [tail, all.len().saturating_sub(1)] {
                    if (tail..all.len()).contains(&at) {
                        prop_assert_eq!(queue.get(at as u64), all[at]);
                    }
                }
                let most = all.len() - tail + SLACK * segment.next_power_of_two();
                prop_assert!(queue.allocated().0 <= most.max(FIRST_BYTES));
            }
        }
    }

    mod memory {
        use super::*;

        #[test]
        fn grows_with_content() {
            let mut queue = SegmentedQueue::<u8>::new(64 * 1024);
            assert_eq!(queue.allocated().0, 0);
            queue.write(&[1; 10]);
            assert_eq!(queue.allocated().0, FIRST_BYTES);
            let mut written = 10;
            while written < 1 << 20 {
                queue.write(&[2; 1000]);
                written += 1000;
                let most = (2 * written).max(FIRST_BYTES).min(written + 64 * 1024);
                assert!(queue.allocated().0 <= most, "after {written}");
            }
        }

        #[test]
        fn reuses_the_emptied_segment() {
            let mut queue = SegmentedQueue::<u8>::new(1024);
            for n in 1..100 {
                queue.write(&[n; 1024]);
                queue.evict_before(1024 * (u64::from(n) - 1));
                assert!(queue.allocated().0 <= 3 * 1024);
            }
            queue.evict_before(queue.written());
            assert_eq!(queue.allocated().0, 1024, "one is kept");
        }
    }
}
