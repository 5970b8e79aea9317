//! Checks after each operation: the roster, names, figures and the lag of each reader.

use crate::ops::{self, NAMES};
use crate::reference::Model;
use crate::{KEPT, System};
use chat_core::{LeaveReason, Name, Resumed, Start};
use chat_tests::poll_once;

impl System {
    pub(crate) fn check_presence(&self, model: &Model) {
        let names = model.names();
        for limit in [usize::MAX, model.events.len() % 4] {
            let roster = self.hub.roster(limit);
            assert_eq!(
                (roster.position.number, roster.total),
                (model.position(), names.len()),
                "total order, silence after leave: only events have numbers"
            );
            let listed: Vec<_> = roster.names.iter().map(Name::as_str).collect();
            let first = &names[..names.len().min(limit)];
            assert_eq!(listed, first, "presence: in the order of arrival");
        }
        for (slot, expected) in self.slots.iter().zip(&model.members) {
            let Some(id) = slot.id else { continue };
            let name = self.hub.name(id);
            let name = name.as_ref().map(Name::as_str);
            assert_eq!(name, expected.name, "presence: of {id:?}");
        }
        // Three names per step, because the comparison of names is slow.
        let names = NAMES.iter().cycle().skip(model.events.len() % NAMES.len());
        for (name, _) in names.take(3) {
            let found = self.hub.find(&ops::name(name));
            let holders = model.holders(name);
            // The nearest of them: with exactly that name, in another case, or one that looks like it.
            let distance = |index: &usize| match model.members[*index].name {
                Some(held) if held == *name => 0,
                Some(held) if held.to_lowercase() == name.to_lowercase() => 1,
                _ => 2,
            };
            let nearest = holders.iter().min_by_key(|index| distance(index));
            let nearest = nearest.and_then(|index| self.slots[*index].id);
            assert_eq!(found, nearest, "presence, leave once: {name}");
        }
        let closed = (
            self.hub.is_closed(),
            poll_once(self.hub.closed()).is_ready(),
        );
        assert_eq!(closed, (model.closed, model.closed), "closing");
        assert_eq!(self.hub.position().number, model.position());
    }

    pub(crate) fn check_stats(&self, model: &Model) {
        let stats = self.hub.stats();
        assert_eq!(
            (stats.members, stats.published, stats.position.number),
            (model.present.len(), model.published, model.position())
        );
        assert_eq!(
            (stats.gaps, stats.missed),
            self.gaps,
            "exact gaps: the hub counts the delivered gaps"
        );
        let oldest = model.position() - stats.events;
        let (tail, head) = (model.offset(oldest), model.offset(model.position()));
        assert_eq!(stats.bytes, head - tail);
        assert!(
            stats.events >= KEPT.min(model.events.len() as u64),
            "the log holds the last lines"
        );
        let log = self.hub.config().log_bytes as u64;
        assert!(
            stats.bytes + 8 * stats.events <= log,
            "bounded memory: lines and index exceed {log} bytes"
        );
        assert_eq!(stats.readers, model.readers().len());
        self.check_lag(model);
    }

    fn check_lag(&self, model: &Model) {
        let stats = self.hub.stats();
        let oldest = model.position() - stats.events;
        let (tail, head) = (model.offset(oldest), model.offset(model.position()));
        // The hub counts cursors per zone, a 128th of the log.
        let zone = self.hub.config().log_bytes as u64 / 128 + 1;
        let first = model.settings.first;
        let (mut lost, mut surely_lost, mut slowest) = (0, 0, head);
        let mut lags = Vec::new();
        for (slot, expected) in self.slots.iter().zip(&model.members) {
            let Some(reader) = slot.reader() else {
                continue;
            };
            assert_eq!(
                reader.behind(),
                expected.end(model) - slot.next,
                "{:?} is behind by what it will still receive or miss",
                slot.id
            );
            // There is no event after that number for a reader to be behind of.
            if slot.ended || slot.next == u64::MAX {
                continue;
            }
            let name = expected.name.or(match expected.until {
                // Closing looks at no member.
                Some((_, LeaveReason::Closed)) if !expected.is_subscriber => {
                    Some(expected.last_name)
                }
                _ => None,
            });
            lags.push((model.position() - slot.next, slot.id.zip(name)));
            let at = match slot.next < first {
                true => None,
                false => Some(model.offset(slot.next)),
            };
            lost += usize::from(at.is_none_or(|at| at < tail));
            surely_lost += usize::from(at.is_none_or(|at| at + zone < tail));
            slowest = slowest.min(at.map_or(tail, |at| at.max(tail)));
        }
        assert!((surely_lost..=lost).contains(&stats.overrun), "{stats:?}");
        let behind = match stats.overrun {
            0 => head - slowest..=(head - slowest + zone).min(stats.bytes),
            _ => stats.bytes..=stats.bytes,
        };
        assert!(behind.contains(&stats.behind), "{behind:?} in {stats:?}");
        lags.sort();
        lags.reverse();
        let listed = self.hub.slowest(usize::MAX);
        let mut listed: Vec<_> = listed
            .iter()
            .map(|lag| {
                let member = lag.member.as_ref();
                (lag.behind, member.map(|(id, name)| (*id, name.as_str())))
            })
            .collect();
        assert!(listed.is_sorted_by(|one, next| one.0 >= next.0));
        listed.sort();
        listed.reverse();
        assert_eq!(listed, lags, "the lag of each reader");
        let count = model.events.len() % 4;
        let most: Vec<_> = self.hub.slowest(count).iter().map(|l| l.behind).collect();
        let expected: Vec<_> = lags.iter().take(count).map(|lag| lag.0).collect();
        assert_eq!(most, expected, "the slowest {count}");
    }

    /// The number at which a stream begins that was just made, and how it relates to its start.
    pub(crate) fn expected_start(&self, start: Start, own_arrival: bool) -> (u64, Resumed) {
        let stats = self.hub.stats();
        let (epoch, next) = (stats.position.epoch, stats.position.number);
        let oldest = next - stats.events;
        match start {
            Start::Last(events) => {
                let last = next - u64::from(own_arrival);
                let first = last.saturating_sub(events).max(oldest);
                (first, Resumed::Complete)
            }
            Start::At(at) if at.epoch != epoch => (next, Resumed::OtherEpoch),
            Start::At(at) if at.number > next => (next, Resumed::Future),
            Start::At(at) if at.number < oldest => (at.number, Resumed::Missed(oldest - at.number)),
            Start::At(at) => (at.number, Resumed::Complete),
            _ => (next, Resumed::Complete),
        }
    }
}
