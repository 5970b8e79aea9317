//! Who heard what: the count of deliveries, and of those that did not come.

use crate::linux::crowd::Shape;
use crate::linux::wire::{HEADER, Header};
use hdrhistogram::Histogram;

/// How a member reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reader {
    Always,
    /// Not at all for a while, and then again.
    AtTimes,
    /// Nothing is expected to reach it.
    Never,
}

/// What was heard since [`begin`](Self::begin).
pub(crate) struct Tally {
    publishers: usize,
    payload: usize,
    /// For each publisher.
    sent: Vec<u32>,
    /// For each member, and each publisher within: the last that it heard.
    heard: Vec<u32>,
    readers: Vec<Reader>,
    /// Members that are here and read at least at times.
    active: usize,
    counting: bool,
    outstanding: i64,
    pub(crate) delivered: u64,
    /// Gaps of those who always read.
    pub(crate) lost: u64,
    /// Gaps of those who do not.
    pub(crate) lost_at_times: u64,
    pub(crate) duplicates: u64,
    pub(crate) disconnected: u64,
    /// When something last came, in ns of the generator's clock.
    pub(crate) last: u64,
    /// The longest time in which nothing came to anybody, in ns.
    pub(crate) longest_pause: u64,
    /// In ns.
    pub(crate) latency: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new(shape: Shape) -> Self {
        Self {
            publishers: shape.publishers,
            payload: shape.payload,
            sent: vec![0; shape.publishers],
            heard: vec![0; shape.members * shape.publishers],
            readers: vec![Reader::Always; shape.members],
            active: 0,
            counting: false,
            outstanding: 0,
            delivered: 0,
            lost: 0,
            lost_at_times: 0,
            duplicates: 0,
            disconnected: 0,
            last: 0,
            longest_pause: 0,
            latency: Histogram::new_with_bounds(1, 1 << 40, 2).expect("these are good bounds"),
        }
    }

    pub(crate) fn set_reader(&mut self, member: usize, reader: Reader) {
        self.readers[member] = reader;
    }

    /// Begins to measure, with so many members here.
    pub(crate) fn begin(&mut self, present: usize, now: u64) {
        let never = self
            .readers
            .iter()
            .filter(|&&reader| reader == Reader::Never);
        self.active = present - never.count();
        self.counting = true;
        self.last = now;
    }

    /// Deliveries that are still to come.
    pub(crate) fn outstanding(&self) -> i64 {
        self.outstanding
    }

    /// Members that are expected to hear what is sent.
    pub(crate) fn active(&self) -> usize {
        self.active
    }

    /// Whether most payloads are too short for a header.
    pub(crate) fn has_short_payloads(&self) -> bool {
        self.payload < HEADER
    }

    /// The size of payloads with a header.
    pub(crate) fn whole_payload(&self) -> usize {
        self.payload.max(HEADER)
    }

    /// The number of what the publisher says next, which everybody is to hear.
    pub(crate) fn next_sequence(&mut self, publisher: usize) -> u32 {
        self.outstanding += self.active as i64;
        self.sent[publisher] += 1;
        self.sent[publisher]
    }

    /// A whole payload came.
    #[inline]
    pub(crate) fn whole(&mut self, member: usize, header: &Header, now: u64) {
        if header.publisher >= self.publishers || self.readers[member] == Reader::Never {
            return;
        }
        let heard = &mut self.heard[member * self.publishers + header.publisher];
        if header.sequence <= *heard {
            self.duplicates += 1;
            return;
        }
        let missing = header.sequence - *heard - 1;
        *heard = header.sequence;
        if missing > 0 {
            self.outstanding -= i64::from(missing);
            match self.readers[member] {
                Reader::Always => self.lost += u64::from(missing),
                _ => self.lost_at_times += u64::from(missing),
            }
        }
        self.latency
            .saturating_record(now.saturating_sub(header.sent));
        self.delivery(now);
    }

    /// A short payload came. These are of a single publisher.
    #[inline]
    pub(crate) fn short(&mut self, member: usize, now: u64) {
        self.heard[member * self.publishers] += 1;
        self.delivery(now);
    }

    /// The member's connection ended.
    pub(crate) fn left(&mut self, member: usize) {
        self.disconnected += 1;
        if !self.counting || self.readers[member] == Reader::Never {
            return;
        }
        self.active -= 1;
        let heard = &self.heard[member * self.publishers..][..self.publishers];
        let missing = |(sent, heard): (&u32, &u32)| i64::from(*sent) - i64::from(*heard);
        self.outstanding -= self.sent.iter().zip(heard).map(missing).sum::<i64>();
    }

    #[inline]
    fn delivery(&mut self, now: u64) {
        self.outstanding -= 1;
        self.delivered += 1;
        if now > self.last {
            self.longest_pause = self.longest_pause.max(now - self.last);
            self.last = now;
        }
    }
}
