//! The log beside a model of it.

use super::*;
use crate::types::config::HubConfig;
use crate::types::name::Name;
use proptest::prelude::*;

/// An event as the model keeps it.
struct Kept {
    kind: EventKind,
    member: Option<SlotId>,
    time: Timestamp,
    line: String,
}

/// Every event ever appended.
struct Model {
    first: u64,
    events: Vec<Kept>,
}

impl Model {
    fn events(&self, numbers: Range<u64>) -> &[Kept] {
        let at = |number| (number - self.first) as usize;
        &self.events[at(numbers.start)..at(numbers.end)]
    }

    fn bytes(&self, numbers: Range<u64>) -> usize {
        self.events(numbers)
            .iter()
            .map(|kept| kept.line.len())
            .sum()
    }

    /// How many runs of events of one member there are.
    fn members(&self, numbers: Range<u64>) -> usize {
        let events = self.events(numbers);
        events.chunk_by(|a, b| a.member == b.member).count()
    }

    fn lines(&self, numbers: Range<u64>) -> String {
        self.events(numbers)
            .iter()
            .map(|kept| &*kept.line)
            .collect()
    }
}

fn kinds() -> impl Strategy<Value = EventKind> {
    prop_oneof![
        4 => Just(EventKind::Message),
        1 => Just(EventKind::Arrived),
        1 => Just(EventKind::Renamed),
        1 => Just(EventKind::Announcement),
    ]
}

/// Milliseconds since the event before: seldom so many that 16 bits do not hold them.
fn pauses() -> impl Strategy<Value = u64> {
    prop_oneof![10 => 0u64..5, 1 => 0u64..200_000]
}

fn member(name: &str) -> Option<SlotId> {
    (!name.is_empty()).then_some(SlotId {
        index: name.len() as u32,
        generation: 7,
    })
}

proptest! {
    #[test]
    fn agrees_with_the_model(
        segment in prop_oneof![8usize..64, Just(1024usize)],
        limit in OVERHEAD + 64..500,
        // Far from the limit, and so near that it is met.
        first in prop_oneof![Just(0u64), u64::MAX - 40..=u64::MAX],
        ops in prop::collection::vec(
            (kinds(), "[a-zß😀]{1,4}", "[a-z€]{0,7}", 1usize..60, pauses()),
            1..80,
        ),
    ) {
        let mut log = Log::with_parts(segment, limit, first);
        let mut model = Model { first, events: Vec::new() };
        let mut cursor = first;
        let (mut given, mut missed) = (0, 0);
        let mut index = IndexCopy::default();
        let mut time = Timestamp::from_millis(1_000_000);
        for (kind, name, text, max, pause) in ops {
            let text = if kind == EventKind::Arrived { String::new() } else { text };
            let name = if kind == EventKind::Announcement { String::new() } else { name };
            time = time + std::time::Duration::from_millis(pause);
            let next = first.checked_add(model.events.len() as u64 + 1);
            let number = log.append(kind, member(&name), time, &name, &text);
            prop_assert_eq!(number, next.map(|n| n - 1));
            if number.is_some() {
                let line = format!("{name}{}{text}\n", kind.phrase());
                model.events.push(Kept { kind, member: member(&name), time, line });
            }
            // The log holds a suffix within the budget.
            let held = log.held();
            prop_assert_eq!(held.end, first + model.events.len() as u64);
            let used = |events: Range<u64>| {
                model.bytes(events.clone())
                    + (events.end - events.start) as usize * ENTRY
                    + model.members(events) * MEMBER
                    + log.bases.len() * BASE
            };
            prop_assert_eq!(log.used(), used(held.clone()));
            prop_assert!(log.used() <= limit);
            // It could not be longer by one event, for whose member or time it needs a span at most.
            if held.start > first && number.is_some() {
                let more = used(held.start - 1..held.end);
                prop_assert!(more + BASE > limit);
            }
            for number in held.clone() {
                let kept = &model.events(number..number + 1)[0];
                prop_assert_eq!(log.time(number), kept.time);
                prop_assert_eq!(log.member(number), kept.member);
            }
            // A reader that now and then reads: what it is given and its gaps tile the log.
            if max % 3 == 0 {
                if cursor < held.start {
                    missed += held.start - cursor;
                    cursor = held.start;
                }
                let mut out = Vec::new();
                let run = log.read(cursor, held.end, max, &mut out);
                let to = run.to;
                prop_assert_eq!((run.end - run.start) as usize, out.len());
                let expected = model.lines(cursor..to);
                prop_assert_eq!(String::from_utf8(out).unwrap(), &*expected);
                prop_assert!(to - cursor <= 1 || expected.len() <= max);
                prop_assert!(to > cursor || cursor == held.end);
                if to < held.end {
                    prop_assert!(model.bytes(cursor..to + 1) > max, "it would have fitted");
                }
                index.clear();
                log.read_index(cursor..to, &mut index);
                prop_assert_eq!(index.entries.len() as u64, to - cursor);
                let (mut member, mut base) = (index.member, index.base);
                let (mut members, mut bases) = (index.members().iter(), index.bases().iter());
                let (mut next_member, mut next_base) = (members.next(), bases.next());
                let mut start = run.start as u32;
                for (number, entry) in (cursor..to).zip(&index.entries) {
                    if let Some(span) = next_member.filter(|span| span.first(cursor) == number) {
                        (member, next_member) = (span.value, members.next());
                    }
                    if let Some(span) = next_base.filter(|span| span.first(cursor) == number) {
                        (base, next_base) = (span.value, bases.next());
                    }
                    let kept = &model.events(number..number + 1)[0];
                    prop_assert_eq!(entry.kind(), kept.kind);
                    prop_assert_eq!(member.get(), kept.member);
                    prop_assert_eq!(entry.len(start), kept.line.len());
                    prop_assert_eq!(entry.time(base), kept.time);
                    start = entry.end();
                }
                prop_assert!(next_member.is_none() && next_base.is_none());
                given += to - cursor;
                cursor = to;
            }
        }
        prop_assert_eq!(given + missed, cursor - first);
    }
}

fn append(log: &mut Log, text: &str) {
    log.append(EventKind::Message, None, Timestamp::default(), "a", text);
}

mod budget {
    use super::*;

    /// Bytes that the log has allocated.
    fn allocated(log: &Log) -> usize {
        let parts = [
            log.lines.allocated(),
            log.index.allocated(),
            log.members.allocated(),
            log.bases.allocated(),
        ];
        parts.map(|(segments, table)| segments + table).iter().sum()
    }

    /// Short lines of one member, of many, and long ones; times far apart.
    const MIXES: [(usize, u32, u64); 4] = [(1, 1, 0), (1, 9, 0), (1000, 9, 1), (10, 2, 100_000)];

    fn fill(log: &mut Log, (text, members, pause): (usize, u32, u64)) {
        let text = "x".repeat(text);
        let until = log.head_offset() + 2 * log.capacity() as u64;
        while log.head_offset() < until {
            let index = log.head() as u32 % members;
            let generation = 0;
            let member = Some(SlotId { index, generation });
            let time = Timestamp::from_millis(log.head() * pause);
            log.append(EventKind::Message, member, time, "a", &text);
        }
    }

    #[test]
    fn covers_everything_allocated() {
        for bytes in [32 << 10, 200_000, 1 << 20] {
            let mut log = Log::new(bytes, 0);
            for mix in MIXES.into_iter().chain(MIXES) {
                fill(&mut log, mix);
                let allocated = allocated(&log);
                assert!(allocated <= bytes, "{allocated} of {bytes}, {mix:?}");
            }
        }
    }

    #[test]
    fn holds_eight_longest_lines() {
        for max_text in [0, 40, 4096, 1 << 20] {
            let mut config = HubConfig::default();
            (config.log_bytes, config.max_text) = (0, max_text);
            let log = Log::new(config.within_bounds().log_bytes, 0);
            let longest = max_text + 2 * 4 * Name::MAX_ASSIGNED_CHARS + 9;
            assert!(8 * (longest + OVERHEAD) <= log.limit, "{max_text}");
        }
    }

    #[test]
    fn holds_lines_for_their_cost() {
        // A line of 32 bytes and one of 64, of one member and of members in turn.
        for (text, members, cost) in [(28, 1, 40), (28, 9, 52), (60, 1, 72), (60, 9, 84)] {
            let mut log = Log::new(2 << 20, 0);
            fill(&mut log, (text, members, 0));
            let held = log.held();
            let events = (held.end - held.start) as usize;
            assert!(events * cost * 100 > 96 * (2 << 20), "{events} of {cost}");
        }
    }
}

mod endangered {
    use super::*;

    #[test]
    fn is_quarter_of_full_log() {
        for text in ["", &"x".repeat(100)] {
            let mut log = Log::new(100_000, 0);
            append(&mut log, text);
            assert!(log.endangered() <= log.tail_offset(), "there is room");
            while log.tail_offset() == 0 {
                append(&mut log, text);
            }
            let held = (log.head_offset() - log.tail_offset()) as f64;
            let endangered = log.endangered() as f64 - log.tail_offset() as f64;
            assert!(
                (0.2..0.3).contains(&(endangered / held)),
                "{endangered} of {held}"
            );
        }
    }
}

mod offsets {
    use super::*;

    #[test]
    fn differ_past_four_gib() {
        let mut log = Log::with_parts(16, OVERHEAD + 64, 0);
        // As if so many bytes had been written: whole segments, and the low bits wrap soon.
        log.tail_offset = (1 << 32) - 64;
        log.head_offset = log.tail_offset;
        log.lines.skip_to(log.head_offset);
        for n in 0..20 {
            append(&mut log, &n.to_string());
        }
        let held = log.held();
        let mut out = Vec::new();
        assert_eq!(log.read(held.start, held.end, 1000, &mut out).to, 20);
        assert!(out.ends_with(b"a: 18\na: 19\n"));
        assert_eq!(out.len() as u64, log.head_offset - log.tail_offset);
    }
}
