//! Queues whose memory follows their content, in segments of fixed size.

use std::collections::VecDeque;
use std::mem;

/// The first segment begins with this many bytes and doubles, so that an idle hub is small.
const FIRST_BYTES: usize = 256;

/// How many segments a queue can take beyond its content: two that are partly used, and a spare one.
pub(super) const SLACK: usize = 3;

/// How many bytes a segment takes in the tables of segments, which grow by an eighth. Twice, because
/// the table of each kind keeps its greatest size, and they do not all have that at once.
pub(super) const TABLE_BYTES: usize = 2 * 28;

/// The memory of one segment.
pub(super) trait Segment: Default {
    const ELEMENT_BYTES: usize;

    fn capacity(&self) -> usize;
    fn reserve_exact(&mut self, more: usize);
    fn len(&self) -> usize;
    fn clear(&mut self);
}

impl<T> Segment for Vec<T> {
    const ELEMENT_BYTES: usize = size_of::<T>();

    fn capacity(&self) -> usize {
        self.capacity()
    }

    fn reserve_exact(&mut self, more: usize) {
        self.reserve_exact(more);
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn clear(&mut self) {
        self.clear();
    }
}

impl Segment for String {
    const ELEMENT_BYTES: usize = 1;

    fn capacity(&self) -> usize {
        self.capacity()
    }

    fn reserve_exact(&mut self, more: usize) {
        self.reserve_exact(more);
    }

    fn len(&self) -> usize {
        self.len()
    }

    fn clear(&mut self) {
        self.clear();
    }
}

/// The segments of a queue.
///
/// Nothing is allocated before it is needed, and nothing is moved but the first segment while it
/// doubles. One emptied segment is kept for the next that is needed, so a queue of constant length
/// allocates nothing. A queue takes less than [`SLACK`] segments more than its content.
#[derive(Debug)]
pub(super) struct Segments<S> {
    held: VecDeque<S>,
    /// The number of the first one that is held, counted from the first ever.
    first: u64,
    spare: S,
    /// A segment has two to the power of this many places.
    bits: u32,
}

impl<S: Segment> Segments<S> {
    /// For segments of at most so many bytes.
    pub(super) fn new(segment_bytes: usize) -> Self {
        let places = (segment_bytes / S::ELEMENT_BYTES).max(1);
        Self {
            held: VecDeque::new(),
            first: 0,
            spare: S::default(),
            bits: places.ilog2(),
        }
    }

    /// How many places a segment has.
    pub(super) fn size(&self) -> usize {
        1 << self.bits
    }

    /// The index of the segment that has this place, and which of its places that is.
    pub(super) fn place(&self, offset: u64) -> (usize, usize) {
        let index = (offset >> self.bits) - self.first;
        (index as usize, offset as usize & (self.size() - 1))
    }

    pub(super) fn get(&self, index: usize) -> &S {
        &self.held[index]
    }

    /// The segment with this index, which is the last one or a new one after it.
    pub(super) fn last(&mut self, index: usize) -> &mut S {
        if index == self.held.len() {
            self.add();
        }
        &mut self.held[index]
    }

    /// Makes room for `needed` elements in the last segment, which can have at most `whole`.
    #[cold]
    pub(super) fn reserve(&mut self, needed: usize, whole: usize) {
        let is_only = self.held.len() == 1;
        let segment = self.held.back_mut().expect("one was added");
        let capacity = match is_only {
            true => (2 * segment.capacity()).max(FIRST_BYTES / S::ELEMENT_BYTES),
            false => whole,
        };
        segment.reserve_exact(capacity.clamp(needed, whole) - segment.len());
    }

    /// The elements before `offset` are no longer needed.
    pub(super) fn evict_before(&mut self, offset: u64) {
        if offset >> self.bits > self.first {
            self.free_before(offset >> self.bits);
        }
    }

    #[cold]
    fn add(&mut self) {
        let len = self.held.len();
        if len == self.held.capacity() {
            self.held.reserve_exact(len / 8 + 1);
        }
        self.held.push_back(mem::take(&mut self.spare));
    }

    #[cold]
    fn free_before(&mut self, first: u64) {
        while self.first < first {
            self.first += 1;
            let mut segment = self.held.pop_front().expect("it was written");
            if self.spare.capacity() < segment.capacity() {
                segment.clear();
                self.spare = segment;
            }
        }
    }

    /// Bytes allocated for segments, and for the table of them.
    #[cfg(test)]
    pub(super) fn allocated(&self) -> (usize, usize) {
        let segments = self.held.iter().chain([&self.spare]);
        let elements: usize = segments.map(S::capacity).sum();
        let table = self.held.capacity() * size_of::<S>();
        (elements * S::ELEMENT_BYTES, table)
    }

    /// As if what is before `offset` had been written and evicted: whole segments.
    #[cfg(test)]
    pub(super) fn skip_to(&mut self, offset: u64) {
        self.first = offset >> self.bits;
    }
}

/// Elements that are written at one end and evicted at the other, found by the count of those ever
/// written before them.
#[derive(Debug)]
pub(crate) struct SegmentedQueue<T> {
    segments: Segments<Vec<T>>,
    /// The count of all elements ever written.
    written: u64,
}

impl<T: Copy> SegmentedQueue<T> {
    pub(crate) fn new(segment_bytes: usize) -> Self {
        Self {
            segments: Segments::new(segment_bytes),
            written: 0,
        }
    }

    /// The count of all elements ever written.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Writes an element after all that were written before.
    pub(crate) fn push(&mut self, element: T) {
        let (index, at) = self.segments.place(self.written);
        let segment = self.segments.last(index);
        if at == segment.capacity() {
            self.segments.reserve(at + 1, self.segments.size());
        }
        self.segments.last(index).push(element);
        self.written += 1;
    }

    /// Appends to `out` the `len` elements from `offset` on, which are still held.
    pub(crate) fn copy(&self, offset: u64, mut len: usize, out: &mut Vec<T>) {
        let (mut index, mut at) = self.segments.place(offset);
        while len > 0 {
            let segment = &self.segments.get(index)[at..];
            let now = &segment[..len.min(segment.len())];
            out.extend_from_slice(now);
            len -= now.len();
            (index, at) = (index + 1, 0);
        }
    }

    /// The element at `offset`, which is still held.
    pub(crate) fn get(&self, offset: u64) -> T {
        let (index, at) = self.segments.place(offset);
        self.segments.get(index)[at]
    }

    /// The elements before `offset` are no longer needed.
    pub(crate) fn evict_before(&mut self, offset: u64) {
        self.segments.evict_before(offset);
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> (usize, usize) {
        self.segments.allocated()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn queue_holds_what_is_not_evicted(
            segment in prop_oneof![1usize..40, 1000usize..5000],
            steps in prop::collection::vec((0usize..300, 0usize..300), 1..60),
        ) {
            let mut queue = SegmentedQueue::new(segment);
            let (mut all, mut tail): (Vec<u8>, usize) = (Vec::new(), 0);
            for (more, less) in steps {
                for _ in 0..more {
                    let element = (all.len() % 251) as u8;
                    queue.push(element);
                    all.push(element);
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
                let most = all.len() - tail + SLACK * queue.segments.size();
                prop_assert!(queue.allocated().0 <= most);
            }
        }
    }

    mod memory {
        use super::*;

        fn push(queue: &mut SegmentedQueue<u8>, count: usize) {
            (0..count).for_each(|_| queue.push(0));
        }

        #[test]
        fn grows_with_content() {
            let mut queue = SegmentedQueue::<u8>::new(64 * 1024);
            assert_eq!(queue.allocated().0, 0);
            push(&mut queue, 10);
            assert_eq!(queue.allocated().0, FIRST_BYTES);
            let mut written = 10;
            while written < 300_000 {
                push(&mut queue, 1000);
                written += 1000;
                let most = (2 * written).max(FIRST_BYTES).min(written + 64 * 1024);
                assert!(queue.allocated().0 <= most, "after {written}");
            }
        }

        #[test]
        fn reuses_the_emptied_segment() {
            let mut queue = SegmentedQueue::<u8>::new(1024);
            for n in 1..100 {
                push(&mut queue, 1024);
                queue.evict_before(1024 * (n - 1));
                assert!(queue.allocated().0 <= 3 * 1024);
            }
            queue.evict_before(queue.written());
            assert_eq!(queue.allocated().0, 1024, "one is kept");
        }
    }
}
