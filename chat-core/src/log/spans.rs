//! Values that change seldom from one event to the next, stored once for each run of events.

use super::segments::SegmentedQueue;
use std::ops::Range;

/// A value of all events from a number on, up to the next span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Span<V> {
    /// The low bits of the number of its first event; enough, as the log holds fewer than 2^31.
    first: u32,
    pub(crate) value: V,
}

impl<V> Span<V> {
    /// The number of its first event, which is event number `from` or comes after it.
    pub(crate) fn first(&self, from: u64) -> u64 {
        from + u64::from(self.first.wrapping_sub(from as u32))
    }

    /// Whether it begins at an event that is held, or before it.
    fn begins_by(&self, number: u64) -> bool {
        (number as u32).wrapping_sub(self.first) as i32 >= 0
    }
}

/// The values of all events that the log holds.
#[derive(Debug)]
pub(crate) struct Spans<V> {
    spans: SegmentedQueue<Span<V>>,
    /// The count of the spans that were evicted.
    evicted: u64,
    /// The value of the newest event, and the number of the first event of its span.
    last: Option<V>,
    last_first: u64,
}

impl<V: Copy + PartialEq> Spans<V> {
    pub(crate) fn new(segment_bytes: usize) -> Self {
        Self {
            spans: SegmentedQueue::new(segment_bytes),
            evicted: 0,
            last: None,
            last_first: 0,
        }
    }

    /// The value of the newest event ever.
    pub(crate) fn last(&self) -> Option<V> {
        self.last
    }

    /// Events from this number on have this value.
    pub(crate) fn begin(&mut self, number: u64, value: V) {
        let first = number as u32;
        self.spans.push(Span { first, value });
        (self.last, self.last_first) = (Some(value), number);
    }

    /// How many there are. The last one is always held.
    pub(crate) fn len(&self) -> usize {
        (self.spans.written() - self.evicted) as usize
    }

    /// Events before this number are no longer held.
    pub(crate) fn evict_before(&mut self, number: u64) {
        while self.len() > 1 && self.spans.get(self.evicted + 1).begins_by(number) {
            self.evicted += 1;
            self.spans.evict_before(self.evicted);
        }
    }

    /// The value of all events from a number on, if they have the same.
    pub(crate) fn one_from(&self, number: u64) -> Option<V> {
        self.last.filter(|_| self.last_first <= number)
    }

    /// The value of an event that is held.
    pub(crate) fn value(&self, number: u64) -> V {
        let one = self.one_from(number);
        one.unwrap_or_else(|| self.spans.get(self.at(number)).value)
    }

    /// The value of the first of these events, of which there is at least one. Appends the spans that
    /// begin at the others.
    #[inline(never)]
    pub(crate) fn copy(&self, events: Range<u64>, others: &mut Vec<Span<V>>) -> V {
        let (first, last) = (self.at(events.start), self.at(events.end - 1));
        self.spans.copy(first + 1, (last - first) as usize, others);
        self.spans.get(first).value
    }

    /// The place of the span of an event that is held.
    fn at(&self, number: u64) -> u64 {
        // The first span may have begun long before the events that are held.
        let (mut before, mut after) = (self.evicted, self.spans.written());
        if self.last_first <= number {
            before = after - 1;
        }
        while after - before > 1 {
            let middle = before + (after - before) / 2;
            match self.spans.get(middle).begins_by(number) {
                true => before = middle,
                false => after = middle,
            }
        }
        before
    }

    #[cfg(test)]
    pub(super) fn allocated(&self) -> (usize, usize) {
        self.spans.allocated()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agree_with_one_value_per_event(
            // So near that the low bits wrap around.
            first in prop_oneof![Just(0u64), (1u64 << 32) - 30..1 << 32, u64::MAX - 200..u64::MAX - 190],
            values in prop::collection::vec(0u8..3, 1..150),
            held in 1usize..20,
            segment in 8usize..64,
        ) {
            let mut spans = Spans::new(segment);
            for (at, value) in values.iter().enumerate() {
                let number = first + at as u64;
                if spans.last() != Some(*value) {
                    spans.begin(number, *value);
                }
                let start = (at + 1).saturating_sub(held);
                spans.evict_before(first + start as u64);
                let kept = &values[start..=at];
                let runs = kept.chunk_by(|a, b| a == b).count();
                prop_assert_eq!(spans.len(), runs);
                for from in start..=at {
                    let events = first + from as u64..number + 1;
                    prop_assert_eq!(spans.value(events.start), values[from]);
                    let is_one = values[from..=at].iter().all(|value| *value == values[from]);
                    let one = Some(values[from]).filter(|_| is_one);
                    prop_assert_eq!(spans.one_from(events.start), one);
                    let mut others = Vec::new();
                    let mut value = spans.copy(events.clone(), &mut others);
                    let mut others = others.into_iter().peekable();
                    for event in events.clone() {
                        if let Some(next) = others.next_if(|next| next.first(events.start) == event) {
                            value = next.value;
                        }
                        prop_assert_eq!(value, values[(event - first) as usize]);
                    }
                    prop_assert!(others.next().is_none());
                }
            }
        }
    }

    mod first_span {
        use super::*;

        #[test]
        fn lasts_beyond_its_low_bits() {
            let mut spans = Spans::new(64);
            spans.begin(0, 'a');
            for held in [1 << 31, 1 << 32, 1 << 40] {
                spans.evict_before(held);
                assert_eq!(spans.value(held), 'a');
            }
            let held = (1 << 40) + 10;
            spans.begin(held, 'b');
            assert_eq!((spans.value(held - 1), spans.value(held)), ('a', 'b'));
            let mut others = Vec::new();
            assert_eq!(spans.copy(held - 5..held + 5, &mut others), 'a');
            assert_eq!(others.len(), 1);
            assert_eq!(others[0].first(held - 5), held);
            spans.evict_before(held);
            assert_eq!(spans.len(), 1);
        }
    }
}
