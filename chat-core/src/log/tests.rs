//! The log beside a model of it.

use super::*;
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

const FAR: usize = 1000;

proptest! {
    #[test]
    fn agrees_with_the_model(
        ring in 24usize..90,
        entries in 1usize..9,
        bases in 1usize..4,
        // Far from the limit, and so near that it is met.
        first in prop_oneof![Just(0u64), u64::MAX - 40..=u64::MAX],
        ops in prop::collection::vec(
            (kinds(), "[a-z]{1,4}", "[a-z]{0,7}", 1usize..60, pauses()),
            1..80,
        ),
    ) {
        let mut log = Log::with_parts(ring, entries, bases, first);
        let mut model = Model { first, events: Vec::new() };
        let mut cursor = first;
        let (mut given, mut missed) = (0, 0);
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
            // The log holds a suffix within all three bounds.
            let held = log.held();
            prop_assert_eq!(held.end, first + model.events.len() as u64);
            prop_assert!(model.bytes(held.clone()) <= ring);
            prop_assert!((held.end - held.start) as usize <= entries);
            prop_assert!(log.times.len() <= bases);
            // It could not be longer by one event.
            if held.start > first && number.is_some() {
                let more = held.start - 1..held.end;
                prop_assert!(
                    model.bytes(more.clone()) > ring
                        || (more.end - more.start) as usize > entries
                        || log.times.len() == bases
                );
            }
            for number in held.clone() {
                prop_assert_eq!(log.time(number), model.events(number..number + 1)[0].time);
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
                let (mut entries, mut others) = (Vec::new(), Vec::new());
                let mut base = log.read_index(cursor..to, &mut entries, &mut others);
                let mut start = run.start as u32;
                let mut others = others.into_iter().peekable();
                for (number, entry) in (cursor..to).zip(entries) {
                    while let Some(next) = others.next_if(|next: &Base| next.first <= number) {
                        base = next;
                    }
                    let kept = &model.events(number..number + 1)[0];
                    prop_assert_eq!(entry.kind(), kept.kind);
                    prop_assert_eq!(entry.member(), kept.member);
                    prop_assert_eq!(entry.len(start), kept.line.len());
                    prop_assert_eq!(base.time(entry), kept.time);
                    start = entry.end();
                }
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

    #[test]
    fn covers_lines_index_and_times() {
        for bytes in [65_536, 1 << 20, 8 << 20] {
            let log = Log::new(bytes, 0);
            let index = log.index.capacity() * size_of::<Entry>();
            let times = log.most_bases * size_of::<Base>();
            assert_eq!(log.lines.capacity() + index + times, bytes);
            assert!(log.lines.capacity() * 10 >= bytes * 7);
            let of_entries = log.index.capacity() * size_of::<u16>();
            assert!((times + of_entries) * 20 <= bytes, "times take over 5 %");
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
        let mut log = Log::with_parts(64, 8, FAR, 0);
        // As if so many bytes had been written: a multiple of the ring, and the low bits wrap soon.
        log.tail_offset = (1 << 32) - 64;
        log.head_offset = log.tail_offset;
        log.lines = SegmentedRing::with_written(64, log.head_offset);
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
