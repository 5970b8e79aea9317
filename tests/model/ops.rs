//! What the model test does with a hub, at random.

use crate::reference::Model;
use chat_core::{LeaveReason, Name};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

/// Names, and what they count as: those that share a mark are one name to the hub.
pub(crate) const NAMES: [(&str, &str); 11] = [
    ("ann", "a"),
    ("ANN", "a"),
    ("\u{410}nn", "a"), // Cyrillic А
    ("bob", "b"),
    ("Bob", "b"),
    // In another case the one, alike the other, and these two are different.
    ("ivan", "i"),
    ("lvan", "l"),
    ("Ivan", "il"),
    ("zoë", "z"),
    ("[::1]:80", "8"),
    ("127.0.0.1:80", "9"),
];

/// The most handles of members at a time.
const HANDLES: usize = 7;

/// Whether the hub may not have both.
pub(crate) fn clash(one: &str, other: &str) -> bool {
    let marks = |name| NAMES.iter().find(|known| known.0 == name);
    let (one, other) = (marks(one), marks(other));
    let (one, other) = one.zip(other).expect("names of the table");
    one.1.contains(|mark| other.1.contains(mark))
}

/// A name of the table.
pub(crate) fn name(name: &str) -> Name {
    Name::assigned(name).expect("the table has names that are in order")
}

/// What can be done with a hub. Members are numbered as they came.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Join {
        name: &'static str,
        /// How many names of the roster are asked for.
        limit: usize,
    },
    Leave {
        who: usize,
        reason: LeaveReason,
    },
    /// Its handle is dropped, by a panic or as usual.
    Drop {
        who: usize,
        panics: bool,
    },
    /// Texts of these lengths, with or without characters that do not count.
    Say {
        who: usize,
        lengths: Vec<usize>,
        dirty: bool,
    },
    /// So many texts of one length.
    Flood {
        who: usize,
        lines: usize,
        length: usize,
    },
    Rename {
        who: usize,
        name: &'static str,
    },
    Read {
        who: usize,
        way: Way,
        times: usize,
    },
    Close,
}

/// How a member reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    TryOne,
    TryMany,
    /// The stream, polled once; if there is nothing, the member waits.
    Stream,
    /// A read that is dropped if there is nothing.
    One,
    Many,
}

/// The texts that an operation publishes, the first of which is message number `first`: as they
/// are given to the hub.
pub(crate) fn texts(op: &Op, first: u64) -> Vec<String> {
    let (lengths, dirt) = match op {
        Op::Say { lengths, dirty, .. } => (lengths.clone(), if *dirty { "\n\u{202e}" } else { "" }),
        Op::Flood { lines, length, .. } => (vec![*length; *lines], ""),
        _ => (Vec::new(), ""),
    };
    let text = |(number, length): (u64, &usize)| {
        let mut text = number.to_string();
        text.truncate(*length);
        let rest = length - text.len();
        text + dirt + &"é".repeat(rest / 2) + &".".repeat(rest % 2)
    };
    (first..).zip(&lengths).map(text).collect()
}

/// What may be done next.
pub(crate) fn ops(model: &Model) -> BoxedStrategy<Op> {
    let handles = model.handles();
    let everybody = Vec::from_iter(0..model.guests.len());
    let mut ops = Vec::new();
    if handles.len() < HANDLES {
        let limit = prop_oneof![Just(usize::MAX), 0..4usize];
        let join = |(name, limit)| Op::Join { name, limit };
        ops.push((60, (names(), limit).prop_map(join).boxed()));
    }
    if !everybody.is_empty() {
        let max = model.settings.max_text;
        // Mostly who is here; but there are also those that have left or are long gone.
        let who = || match model.here.is_empty() {
            true => select(everybody.clone()).boxed(),
            false => {
                prop_oneof![9 => select(model.here.clone()), 1 => select(everybody.clone())].boxed()
            }
        };
        let reason = select(vec![
            LeaveReason::Left,
            LeaveReason::Kicked,
            LeaveReason::Lost,
        ]);
        let leave = |(who, reason)| Op::Leave { who, reason };
        ops.push((20, (who(), reason).prop_map(leave).boxed()));

        // Sometimes one that is too long.
        let lengths = prop::collection::vec(0..=max + max / 10 + 1, 0..5);
        let say = |(who, lengths, dirty)| Op::Say {
            who,
            lengths,
            dirty,
        };
        let dirty = prop::bool::weighted(0.2);
        ops.push((80, (who(), lengths, dirty).prop_map(say).boxed()));

        // Up to several times what the log holds.
        let lines = 1..if max > 1_000 { 30 } else { 300usize };
        let flood = |(who, lines, length)| Op::Flood { who, lines, length };
        ops.push((30, (who(), lines, 0..=max).prop_map(flood).boxed()));

        let rename = |(who, name)| Op::Rename { who, name };
        ops.push((40, (who(), names()).prop_map(rename).boxed()));
        ops.push((1, Just(Op::Close).boxed()));
    }
    if !handles.is_empty() {
        use Way::{Many, One, Stream, TryMany, TryOne};
        let way = select(vec![TryOne, TryMany, Stream, Stream, One, Many]);
        let times = prop_oneof![4 => 1..4usize, 3 => 1..60usize, 2 => Just(usize::MAX)];
        let read = |(who, way, times)| Op::Read { who, way, times };
        let reads = (select(handles.clone()), way, times).prop_map(read);
        ops.push((120, reads.boxed()));

        let drop = |(who, panics)| Op::Drop { who, panics };
        let drops = (select(handles), any::<bool>()).prop_map(drop);
        ops.push((20, drops.boxed()));
    }
    Union::new_weighted(ops).boxed()
}

fn names() -> impl Strategy<Value = &'static str> {
    select(&NAMES[..]).prop_map(|(name, _)| name)
}
