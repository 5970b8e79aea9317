//! The random operations of the model test.

use crate::reference::Model;
use chat_core::{LeaveReason, Name};
use proptest::prelude::*;
use proptest::sample::select;
use proptest::strategy::Union;

/// Names with marks: names that share a mark are equal to the hub.
pub(crate) const NAMES: [(&str, &str); 11] = [
    ("ann", "a"),
    ("ANN", "a"),
    ("\u{410}nn", "a"), // Cyrillic А
    ("bob", "b"),
    ("Bob", "b"),
    // `Ivan` equals `ivan` in another case and looks like `lvan`, which differ from each other.
    ("ivan", "i"),
    ("lvan", "l"),
    ("Ivan", "il"),
    ("zoë", "z"),
    ("[::1]:80", "8"),
    ("127.0.0.1:80", "9"),
];

/// The maximal number of member handles at a time.
const HANDLES: usize = 7;

/// Whether the hub treats both names as equal.
pub(crate) fn clash(one: &str, other: &str) -> bool {
    let marks = |name| NAMES.iter().find(|known| known.0 == name);
    let (one, other) = (marks(one), marks(other));
    let (one, other) = one.zip(other).expect("both names are in the table");
    one.1.contains(|mark| other.1.contains(mark))
}

/// The name for an entry of the table.
pub(crate) fn name(name: &str) -> Name {
    Name::assigned(name).expect("the names of the table are valid")
}

/// The operations on a hub. Members have indices in the order of arrival.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Join {
        name: &'static str,
        /// How many names of the roster are requested.
        limit: usize,
    },
    Leave {
        index: usize,
        reason: LeaveReason,
    },
    /// Drops the handle, during a panic or not.
    Drop {
        index: usize,
        panics: bool,
    },
    /// Publishes texts of these lengths, with or without characters that the hub removes.
    Publish {
        index: usize,
        lengths: Vec<usize>,
        dirty: bool,
    },
    /// Publishes `count` texts of one length.
    PublishBurst {
        index: usize,
        count: usize,
        length: usize,
    },
    Rename {
        index: usize,
        name: &'static str,
    },
    Read {
        index: usize,
        method: ReadMethod,
        times: usize,
    },
    Close,
}

/// How a member reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReadMethod {
    TryOne,
    TryMany,
    /// One poll of the stream; without an item, the member waits.
    Stream,
    /// One poll of a read that is then dropped.
    One,
    Many,
}

/// The texts of an operation as passed to the hub; the first one is message number `first`.
pub(crate) fn texts(op: &Op, first: u64) -> Vec<String> {
    let (lengths, removed) = match op {
        Op::Publish { lengths, dirty, .. } => {
            (lengths.clone(), if *dirty { "\n\u{202e}" } else { "" })
        }
        Op::PublishBurst { count, length, .. } => (vec![*length; *count], ""),
        _ => (Vec::new(), ""),
    };
    let text = |(number, length): (u64, &usize)| {
        let mut text = number.to_string();
        text.truncate(*length);
        let rest = length - text.len();
        text + removed + &"é".repeat(rest / 2) + &".".repeat(rest % 2)
    };
    (first..).zip(&lengths).map(text).collect()
}

/// The operations that are possible next.
pub(crate) fn ops(model: &Model) -> BoxedStrategy<Op> {
    let handles = model.handles();
    let all = Vec::from_iter(0..model.members.len());
    let mut ops = Vec::new();
    if handles.len() < HANDLES {
        let limit = prop_oneof![Just(usize::MAX), 0..4usize];
        let join = |(name, limit)| Op::Join { name, limit };
        ops.push((60, (names(), limit).prop_map(join).boxed()));
    }
    if !all.is_empty() {
        let max = model.settings.max_text;
        // Mostly present members, sometimes departed ones.
        let index = || match model.present.is_empty() {
            true => select(all.clone()).boxed(),
            false => {
                prop_oneof![9 => select(model.present.clone()), 1 => select(all.clone())].boxed()
            }
        };
        let reason = select(vec![
            LeaveReason::Left,
            LeaveReason::Kicked,
            LeaveReason::Lost,
        ]);
        let leave = |(index, reason)| Op::Leave { index, reason };
        ops.push((20, (index(), reason).prop_map(leave).boxed()));

        // Some of these texts are too long.
        let lengths = prop::collection::vec(0..=max + max / 10 + 1, 0..5);
        let publish = |(index, lengths, dirty)| Op::Publish {
            index,
            lengths,
            dirty,
        };
        let dirty = prop::bool::weighted(0.2);
        ops.push((80, (index(), lengths, dirty).prop_map(publish).boxed()));

        // Up to several times the capacity of the log.
        let count = 1..if max > 1_000 { 30 } else { 300usize };
        let burst = |(index, count, length)| Op::PublishBurst {
            index,
            count,
            length,
        };
        ops.push((30, (index(), count, 0..=max).prop_map(burst).boxed()));

        let rename = |(index, name)| Op::Rename { index, name };
        ops.push((40, (index(), names()).prop_map(rename).boxed()));
        ops.push((1, Just(Op::Close).boxed()));
    }
    if !handles.is_empty() {
        use ReadMethod::{Many, One, Stream, TryMany, TryOne};
        let method = select(vec![TryOne, TryMany, Stream, Stream, One, Many]);
        let times = prop_oneof![4 => 1..4usize, 3 => 1..60usize, 2 => Just(usize::MAX)];
        let read = |(index, method, times)| Op::Read {
            index,
            method,
            times,
        };
        let reads = (select(handles.clone()), method, times).prop_map(read);
        ops.push((120, reads.boxed()));

        let drop = |(index, panics)| Op::Drop { index, panics };
        let drops = (select(handles), any::<bool>()).prop_map(drop);
        ops.push((20, drops.boxed()));
    }
    Union::new_weighted(ops).boxed()
}

fn names() -> impl Strategy<Value = &'static str> {
    select(&NAMES[..]).prop_map(|(name, _)| name)
}
