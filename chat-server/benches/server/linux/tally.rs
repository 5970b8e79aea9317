//! Counts deliveries, and deliveries that did not arrive.

use crate::linux::wire::{HEADER, Header};
use crate::linux::workload::Workload;
use hdrhistogram::Histogram;

/// How a member reads.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Reader {
    Always,
    /// Pauses, then reads again.
    Intermittent,
    /// Never reads, so no delivery is expected.
    Never,
}

/// What members have received since [`start`](Self::start).
pub(crate) struct Tally {
    publishers: usize,
    payload: usize,
    /// The last sequence sent, per publisher.
    sent: Vec<u32>,
    /// The last sequence received, per member and, within, per publisher.
    received: Vec<u32>,
    readers: Vec<Reader>,
    /// Connected members that read always or intermittently.
    active: usize,
    counting: bool,
    outstanding: i64,
    pub(crate) delivered: u64,
    /// Gaps of members that always read.
    pub(crate) lost: u64,
    /// Gaps of members that read intermittently.
    pub(crate) lost_by_intermittent: u64,
    pub(crate) duplicates: u64,
    pub(crate) disconnected: u64,
    /// The time of the last delivery, in ns of the generator's clock.
    pub(crate) last: u64,
    /// The longest time without a delivery to any member, in ns.
    pub(crate) longest_pause: u64,
    /// From creation of a payload to its receipt, in ns.
    pub(crate) latency: Histogram<u64>,
}

impl Tally {
    pub(crate) fn new(workload: Workload) -> Self {
        Self {
            publishers: workload.publishers,
            payload: workload.payload,
            sent: vec![0; workload.publishers],
            received: vec![0; workload.members * workload.publishers],
            readers: vec![Reader::Always; workload.members],
            active: 0,
            counting: false,
            outstanding: 0,
            delivered: 0,
            lost: 0,
            lost_by_intermittent: 0,
            duplicates: 0,
            disconnected: 0,
            last: 0,
            longest_pause: 0,
            latency: Histogram::new_with_bounds(1, 1 << 40, 2).expect("the bounds are valid"),
        }
    }

    pub(crate) fn set_reader(&mut self, member: usize, reader: Reader) {
        self.readers[member] = reader;
    }

    /// Starts to measure, with `joined` members.
    pub(crate) fn start(&mut self, joined: usize, now: u64) {
        let never = self
            .readers
            .iter()
            .filter(|&&reader| reader == Reader::Never);
        self.active = joined - never.count();
        self.counting = true;
        self.last = now;
    }

    /// Deliveries that have not arrived yet.
    pub(crate) fn outstanding(&self) -> i64 {
        self.outstanding
    }

    /// Members that are expected to receive.
    pub(crate) fn active(&self) -> usize {
        self.active
    }

    /// Whether most payloads are too short for a header.
    pub(crate) fn has_short_payloads(&self) -> bool {
        self.payload < HEADER
    }

    /// The size of payloads that have a header.
    pub(crate) fn full_payload_size(&self) -> usize {
        self.payload.max(HEADER)
    }

    /// The sequence of the next payload of the publisher; each active member is to receive it.
    pub(crate) fn next_sequence(&mut self, publisher: usize) -> u32 {
        self.outstanding += self.active as i64;
        self.sent[publisher] += 1;
        self.sent[publisher]
    }

    /// Records a payload with a header.
    #[inline]
    pub(crate) fn record_payload(&mut self, member: usize, header: &Header, now: u64) {
        if header.publisher >= self.publishers || self.readers[member] == Reader::Never {
            return;
        }
        let received = &mut self.received[member * self.publishers + header.publisher];
        if header.sequence <= *received {
            self.duplicates += 1;
            return;
        }
        let missing = header.sequence - *received - 1;
        *received = header.sequence;
        if missing > 0 {
            self.outstanding -= i64::from(missing);
            match self.readers[member] {
                Reader::Always => self.lost += u64::from(missing),
                _ => self.lost_by_intermittent += u64::from(missing),
            }
        }
        self.latency
            .saturating_record(now.saturating_sub(header.sent));
        self.delivery(now);
    }

    /// Records a short payload. Only scenarios with one publisher have these.
    #[inline]
    pub(crate) fn record_short(&mut self, member: usize, now: u64) {
        self.received[member * self.publishers] += 1;
        self.delivery(now);
    }

    /// Records that the connection of a member ended.
    pub(crate) fn member_disconnected(&mut self, member: usize) {
        self.disconnected += 1;
        if !self.counting || self.readers[member] == Reader::Never {
            return;
        }
        self.active -= 1;
        let received = &self.received[member * self.publishers..][..self.publishers];
        let missing = |(sent, received): (&u32, &u32)| i64::from(*sent) - i64::from(*received);
        self.outstanding -= self.sent.iter().zip(received).map(missing).sum::<i64>();
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
