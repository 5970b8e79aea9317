//! Which readers are about to be overrun, in O(1): cursors counted by zone of the log.
//!
//! The log is 128 zones long. A cursor counts in the zone that it reads from, and has credit if it
//! got there by reading. Waiting for the cursors nearest to the tail uses up their credit, and a
//! cursor earns a new one only when it moves on to another zone. So a session waits once for a
//! reader that makes no progress, and again for a reader that moved on by a zone.

use std::ops::Range;

/// Zones in the length of a log.
///
/// So many that short lines, which fill the index long before the ring, still cover a dozen.
const PER_LOG: u64 = 128;
/// A log can touch 129 zones, so two live zones never share a slot.
const SLOTS: usize = 256;

#[derive(Clone, Copy, Debug, Default)]
struct Zone {
    /// The zone that the slot stands for.
    number: u64,
    /// The wait that last used up the credits of cursors in it.
    used_up: u64,
    /// Cursors in it.
    cursors: u32,
    /// Those of them with credit that entered after `used_up`.
    credited: u32,
}

impl Zone {
    /// Whether a cursor that is counted here at `place` still has its credit.
    fn honours(&self, place: Place) -> bool {
        place.credit > self.used_up
    }
}

#[derive(Debug)]
pub(crate) struct LagTracker {
    /// As many as were needed yet: a hub that has published little has one.
    slots: Vec<Zone>,
    zone_bytes: u64,
    /// Counts the waits. Shows which credits an entry predates.
    waits: u64,
    /// Cursors in all.
    cursors: usize,
}

/// Where a cursor is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    zone: u64,
    /// One more than the count of waits when it entered, 0 without credit.
    credit: u64,
}

impl Place {
    const OVERRUN: Self = Self {
        zone: OVERRUN,
        credit: 0,
    };
}

impl LagTracker {
    pub(crate) fn new(log_capacity: usize) -> Self {
        Self {
            slots: Vec::new(),
            zone_bytes: (log_capacity as u64).div_ceil(PER_LOG),
            waits: 0,
            cursors: 0,
        }
    }

    /// Counts a new cursor at this offset.
    pub(crate) fn enter(&mut self, offset: u64) -> Place {
        self.cursors += 1;
        self.count_in(offset / self.zone_bytes, true)
    }

    /// Counts a new cursor whose next event was evicted.
    pub(crate) fn enter_overrun(&mut self) -> Place {
        self.cursors += 1;
        Place::OVERRUN
    }

    /// The cursor no longer exists.
    pub(crate) fn leave(&mut self, mut place: Place) {
        self.end(&mut place);
    }

    /// The cursor reads no more, unless what it read last is put back.
    pub(crate) fn end(&mut self, place: &mut Place) {
        if place.zone == ENDED {
            return;
        }
        self.cursors -= 1;
        self.count_out(*place);
        *place = Place {
            zone: ENDED,
            credit: 0,
        };
    }

    /// The cursor has moved to this offset, by `reading` or because it was overrun.
    pub(crate) fn advance(&mut self, place: &mut Place, offset: u64, reading: bool) {
        // Nearly always it is in the same zone, and a multiplication shows that sooner than a division.
        let start = place.zone.wrapping_mul(self.zone_bytes);
        if offset.wrapping_sub(start) >= self.zone_bytes {
            self.change_zone(place, offset, reading);
        }
    }

    /// The cursor's next event was evicted while it was on its way to the reader.
    pub(crate) fn overrun(&mut self, place: &mut Place) {
        self.count_out(*place);
        *place = Place::OVERRUN;
    }

    #[cold]
    fn change_zone(&mut self, place: &mut Place, offset: u64, reading: bool) {
        self.count_out(*place);
        *place = self.count_in(offset / self.zone_bytes, reading);
    }

    /// The cursor is back at this offset, as what it read could not be passed on; `before` is
    /// where it was counted before it read. Its credit is what it was then, unless it has moved.
    /// Without an offset its next event was evicted, so it is overrun.
    pub(crate) fn put_back(&mut self, place: &mut Place, before: Place, offset: Option<u64>) {
        self.cursors += usize::from(place.zone == ENDED);
        self.count_out(*place);
        let Some(offset) = offset else {
            *place = Place::OVERRUN;
            return;
        };
        let zone = offset / self.zone_bytes;
        if zone != before.zone {
            *place = self.count_in(zone, true);
            return;
        }
        if let Some(slot) = self.live_mut(zone) {
            slot.cursors += 1;
            slot.credited += u32::from(slot.honours(before));
        }
        *place = before;
    }

    /// Whether a cursor with credit is between these offsets.
    pub(crate) fn has_credit(&self, range: Range<u64>) -> bool {
        self.numbers(range)
            .any(|zone| self.live(zone).is_some_and(|slot| slot.credited > 0))
    }

    /// Uses up the credit of every cursor between these offsets.
    pub(crate) fn use_up(&mut self, range: Range<u64>) {
        self.waits += 1;
        let waits = self.waits;
        for zone in self.numbers(range) {
            if let Some(slot) = self.live_mut(zone) {
                slot.credited = 0;
                slot.used_up = waits;
            }
        }
    }

    /// The offset where the zone of the hindmost cursor begins, of those not yet overrun, and
    /// how many cursors have been overrun.
    pub(crate) fn hindmost(&self, tail_offset: u64, head_offset: u64) -> (Option<u64>, usize) {
        let (tail, head) = (tail_offset / self.zone_bytes, head_offset / self.zone_bytes);
        let zones = || {
            (tail..=head)
                .filter_map(|zone| self.live(zone))
                .filter(|slot| slot.cursors > 0)
        };
        let first = zones()
            .next()
            .map(|slot| (slot.number * self.zone_bytes).max(tail_offset));
        let held: usize = zones().map(|slot| slot.cursors as usize).sum();
        (first, self.cursors - held)
    }

    /// The zones that these offsets touch.
    fn numbers(&self, range: Range<u64>) -> Range<u64> {
        range.start / self.zone_bytes..range.end.div_ceil(self.zone_bytes)
    }

    fn live(&self, zone: u64) -> Option<&Zone> {
        let slot = self.slots.get(zone as usize % SLOTS)?;
        (slot.number == zone).then_some(slot)
    }

    fn live_mut(&mut self, zone: u64) -> Option<&mut Zone> {
        let slot = self.slots.get_mut(zone as usize % SLOTS)?;
        (slot.number == zone).then_some(slot)
    }

    fn count_in(&mut self, zone: u64, credit: bool) -> Place {
        let at = zone as usize % SLOTS;
        if at >= self.slots.len() {
            self.slots.resize(at + 1, Zone::default());
        }
        let slot = &mut self.slots[at];
        if slot.number != zone {
            *slot = Zone {
                number: zone,
                ..Zone::default()
            };
        }
        slot.cursors += 1;
        if credit {
            slot.credited += 1;
        }
        Place {
            zone,
            credit: if credit { self.waits + 1 } else { 0 },
        }
    }

    fn count_out(&mut self, place: Place) {
        // The slot may stand for a later zone by now: then its cursors were overrun.
        if let Some(slot) = self.live_mut(place.zone) {
            let credited = u32::from(slot.honours(place));
            slot.cursors -= 1;
            slot.credited -= credited;
        }
    }
}

/// Zones that are never live.
const OVERRUN: u64 = u64::MAX;
const ENDED: u64 = u64::MAX - 1;

#[cfg(test)]
mod tests {
    use super::*;

    /// Zones of 100 bytes.
    const LOG: usize = 12_800;
    const TAIL: u64 = 10_000;
    const HEAD: u64 = TAIL + LOG as u64;
    const DANGER: Range<u64> = TAIL..TAIL + 1_600;

    #[test]
    fn credit_counts_within_the_range() {
        let mut lag = LagTracker::new(LOG);
        let mut place = lag.enter(TAIL - 100);
        for (offset, counts) in [
            (TAIL, true),
            (TAIL + 1_599, true),
            (TAIL + 1_600, false),
            (HEAD, false),
        ] {
            lag.advance(&mut place, offset, true);
            assert_eq!(lag.has_credit(DANGER), counts, "at {offset}");
        }
        assert!(!lag.has_credit(TAIL..TAIL), "no cursor is in danger");
    }

    #[test]
    fn credit_is_earned_by_progress() {
        let mut lag = LagTracker::new(LOG);
        let mut place = lag.enter(TAIL + 150);
        assert!(lag.has_credit(DANGER));
        lag.use_up(DANGER);
        assert!(!lag.has_credit(DANGER), "it was waited for");
        lag.advance(&mut place, TAIL + 199, true);
        assert!(!lag.has_credit(DANGER), "it has hardly moved");
        lag.advance(&mut place, TAIL + 200, true);
        assert!(lag.has_credit(DANGER), "it has made progress");
        lag.leave(place);
        assert!(!lag.has_credit(DANGER));
    }

    #[test]
    fn overrun_earns_no_credit() {
        let mut lag = LagTracker::new(LOG);
        let mut place = lag.enter(TAIL - 100);
        lag.advance(&mut place, TAIL, false);
        assert!(!lag.has_credit(DANGER));
        lag.advance(&mut place, TAIL + 100, true);
        assert!(lag.has_credit(DANGER));
    }

    #[test]
    fn put_back_restores_credit() {
        let mut lag = LagTracker::new(LOG);
        let before = lag.enter(TAIL + 150);
        let mut place = before;
        lag.advance(&mut place, TAIL + 5_000, true);
        assert!(!lag.has_credit(DANGER));
        lag.put_back(&mut place, before, Some(TAIL + 160));
        assert!(lag.has_credit(DANGER), "as before");
        let before = place;
        lag.use_up(DANGER);
        lag.advance(&mut place, TAIL + 5_000, true);
        lag.put_back(&mut place, before, Some(TAIL + 170));
        assert!(!lag.has_credit(DANGER), "it was waited for");
        lag.put_back(&mut place, before, Some(TAIL + 250));
        assert!(lag.has_credit(DANGER), "that is progress");
        lag.leave(place);
        assert_eq!(lag.hindmost(TAIL, HEAD), (None, 0));
    }

    #[test]
    fn reused_slots_count_correctly() {
        let mut lag = LagTracker::new(LOG);
        let (old, mut slow) = (lag.enter(50), lag.enter(60));
        let lap = 100 * SLOTS as u64;
        let fresh = lag.enter(50 + lap);
        assert_eq!(lag.hindmost(lap, lap + 12_800), (Some(lap), 2));
        lag.leave(old);
        lag.advance(&mut slow, lap + 300, false);
        assert_eq!(lag.hindmost(lap, lap + 12_800), (Some(lap), 0));
        lag.leave(fresh);
        assert_eq!(lag.hindmost(lap, lap + 12_800), (Some(lap + 300), 0));
        let mut other = lag.enter(lap + 600);
        lag.put_back(&mut other, old, None);
        assert_eq!(
            lag.hindmost(lap, lap + 12_800).1,
            1,
            "overrun while it tried"
        );
        lag.leave(other);
        lag.leave(slow);
        assert_eq!(lag.hindmost(lap, lap + 12_800), (None, 0));
    }
}
