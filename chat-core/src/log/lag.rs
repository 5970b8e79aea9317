//! Who is about to be overrun, in O(1): cursors counted per zone of the log.
//!
//! The log is 64 zones long. A cursor counts in the zone it reads from, with credit if it got
//! there by reading. Whoever waits for the cursors nearest to the tail uses their credit up,
//! and only moving on to another zone earns a new one: so a reader that stands still is waited
//! for once, and one that moves by a zone may be waited for again.
use std::ops::Range;

/// Zones in a log's length.
const PER_LOG: u64 = 64;
/// A log's length can touch 65 zones, so the slots of two live zones never meet.
const SLOTS: usize = 128;

#[derive(Clone, Copy, Debug, Default)]
struct Zone {
    /// Which zone the slot stands for.
    number: u64,
    /// Cursors in it.
    members: usize,
    /// Those of them with credit that entered after `used_up`.
    credited: usize,
    used_up: u64,
}

impl Zone {
    /// Whether a cursor that is counted here at `place` still has its credit.
    fn honours(&self, place: Place) -> bool {
        place.credit.is_some_and(|waits| waits >= self.used_up)
    }
}

#[derive(Debug)]
pub(crate) struct Zones {
    slots: [Zone; SLOTS],
    zone_bytes: u64,
    /// Counts the waits; tells which credits an entry predates.
    waits: u64,
    /// Cursors in all.
    members: usize,
}

/// Where a cursor is counted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    zone: u64,
    /// The count of waits when it entered, `None` without credit.
    credit: Option<u64>,
}

impl Zones {
    pub(crate) fn new(log_capacity: usize) -> Self {
        Self {
            slots: [Zone::default(); SLOTS],
            zone_bytes: (log_capacity as u64).div_ceil(PER_LOG),
            waits: 0,
            members: 0,
        }
    }

    /// Counts a new cursor at this offset.
    pub(crate) fn enter(&mut self, offset: u64) -> Place {
        self.members += 1;
        self.count_in(offset / self.zone_bytes, true)
    }

    /// The cursor is gone.
    pub(crate) fn leave(&mut self, place: Place) {
        self.members -= 1;
        self.count_out(place);
    }

    /// The cursor has moved to this offset, by `reading` or because it was overrun.
    pub(crate) fn advance(&mut self, place: &mut Place, offset: u64, reading: bool) {
        let zone = offset / self.zone_bytes;
        if zone != place.zone {
            self.count_out(*place);
            *place = self.count_in(zone, reading);
        }
    }

    /// The cursor is back at this offset, as what it read could not be passed on; `before` is
    /// where it was counted before it read. Its credit is what it was then, unless it has moved.
    /// Without an offset it was overrun meanwhile, and has not moved.
    pub(crate) fn put_back(&mut self, place: &mut Place, before: Place, offset: Option<u64>) {
        self.count_out(*place);
        let zone = offset.map_or(before.zone, |offset| offset / self.zone_bytes);
        if zone != before.zone {
            *place = self.count_in(zone, true);
            return;
        }
        let slot = &mut self.slots[zone as usize % SLOTS];
        if slot.number == zone {
            slot.members += 1;
            slot.credited += usize::from(slot.honours(before));
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
        for zone in self.numbers(range) {
            let slot = &mut self.slots[zone as usize % SLOTS];
            if slot.number == zone {
                slot.credited = 0;
                slot.used_up = self.waits;
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
                .filter(|slot| slot.members > 0)
        };
        let first = zones()
            .next()
            .map(|slot| (slot.number * self.zone_bytes).max(tail_offset));
        let here: usize = zones().map(|slot| slot.members).sum();
        (first, self.members - here)
    }

    /// The zones that these offsets touch.
    fn numbers(&self, range: Range<u64>) -> Range<u64> {
        range.start / self.zone_bytes..range.end.div_ceil(self.zone_bytes)
    }

    fn live(&self, zone: u64) -> Option<&Zone> {
        let slot = &self.slots[zone as usize % SLOTS];
        (slot.number == zone).then_some(slot)
    }

    fn count_in(&mut self, zone: u64, credit: bool) -> Place {
        let slot = &mut self.slots[zone as usize % SLOTS];
        if slot.number != zone {
            *slot = Zone {
                number: zone,
                ..Zone::default()
            };
        }
        slot.members += 1;
        if credit {
            slot.credited += 1;
        }
        Place {
            zone,
            credit: credit.then_some(self.waits),
        }
    }

    fn count_out(&mut self, place: Place) {
        let slot = &mut self.slots[place.zone as usize % SLOTS];
        // The slot may stand for a later zone by now: then its cursors were overrun.
        if slot.number == place.zone {
            slot.members -= 1;
            slot.credited -= usize::from(slot.honours(place));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A log of 6,400 bytes: zones of 100 bytes.
    const LOG: usize = 6_400;
    const TAIL: u64 = 10_000;
    const HEAD: u64 = TAIL + LOG as u64;
    const DANGER: Range<u64> = TAIL..TAIL + 1_600;

    #[test]
    fn only_a_cursor_in_the_range_counts() {
        let mut zones = Zones::new(LOG);
        let mut place = zones.enter(TAIL - 100);
        for (offset, counts) in [
            (TAIL, true),
            (TAIL + 1_599, true),
            (TAIL + 1_600, false),
            (HEAD, false),
        ] {
            zones.advance(&mut place, offset, true);
            assert_eq!(zones.has_credit(DANGER), counts, "at {offset}");
        }
        assert!(!zones.has_credit(TAIL..TAIL), "nobody is in danger");
    }

    #[test]
    fn credit_is_used_up_by_a_wait_and_earned_by_a_zone() {
        let mut zones = Zones::new(LOG);
        let mut place = zones.enter(TAIL + 150);
        assert!(zones.has_credit(DANGER));
        zones.use_up(DANGER);
        assert!(!zones.has_credit(DANGER), "it was waited for");
        zones.advance(&mut place, TAIL + 199, true);
        assert!(!zones.has_credit(DANGER), "it has hardly moved");
        zones.advance(&mut place, TAIL + 200, true);
        assert!(zones.has_credit(DANGER), "it has made progress");
        zones.leave(place);
        assert!(!zones.has_credit(DANGER));
    }

    #[test]
    fn being_overrun_earns_no_credit() {
        let mut zones = Zones::new(LOG);
        let mut place = zones.enter(TAIL - 100);
        zones.advance(&mut place, TAIL, false);
        assert!(!zones.has_credit(DANGER));
        zones.advance(&mut place, TAIL + 100, true);
        assert!(zones.has_credit(DANGER));
    }

    #[test]
    fn reading_what_cannot_be_passed_on_neither_earns_nor_costs_credit() {
        let mut zones = Zones::new(LOG);
        let before = zones.enter(TAIL + 150);
        let mut place = before;
        zones.advance(&mut place, TAIL + 5_000, true);
        assert!(!zones.has_credit(DANGER));
        zones.put_back(&mut place, before, Some(TAIL + 160));
        assert!(zones.has_credit(DANGER), "as before");
        let before = place;
        zones.use_up(DANGER);
        zones.advance(&mut place, TAIL + 5_000, true);
        zones.put_back(&mut place, before, Some(TAIL + 170));
        assert!(!zones.has_credit(DANGER), "it was waited for");
        zones.put_back(&mut place, before, Some(TAIL + 250));
        assert!(zones.has_credit(DANGER), "that is progress");
        zones.leave(place);
        assert_eq!(zones.hindmost(TAIL, HEAD), (None, 0));
    }

    #[test]
    fn counts_stay_right_when_a_slot_is_used_again() {
        let mut zones = Zones::new(LOG);
        let (old, mut slow) = (zones.enter(50), zones.enter(60));
        let lap = 100 * SLOTS as u64;
        let fresh = zones.enter(50 + lap);
        assert_eq!(zones.hindmost(lap, lap + 6_400), (Some(lap), 2));
        zones.leave(old);
        zones.advance(&mut slow, lap + 300, false);
        assert_eq!(zones.hindmost(lap, lap + 6_400), (Some(lap), 0));
        zones.leave(fresh);
        assert_eq!(zones.hindmost(lap, lap + 6_400), (Some(lap + 300), 0));
        let mut other = zones.enter(lap + 600);
        zones.put_back(&mut other, old, None);
        assert_eq!(
            zones.hindmost(lap, lap + 6_400).1,
            1,
            "overrun while it tried"
        );
        zones.leave(other);
        zones.leave(slow);
        assert_eq!(zones.hindmost(lap, lap + 6_400), (None, 0));
    }
}
