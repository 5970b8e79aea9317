//! The random operations of the model test.

use crate::reference::Model;
use chat_core::{LeaveReason, Name, Position, Start};
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

/// The operations on a hub. Members and subscribers have indices in the order of their arrival.
#[derive(Clone, Debug)]
pub(crate) enum Op {
    Join {
        name: &'static str,
        /// How many names of the roster are requested.
        limit: usize,
        begin: Begin,
    },
    Subscribe {
        begin: Begin,
    },
    Leave {
        index: usize,
        reason: LeaveReason,
        /// The length of the text for the member, if there is one.
        farewell: Option<usize>,
    },
    /// Drops the handle, during a panic or not.
    Drop {
        index: usize,
        panics: bool,
    },
    IntoPublisher {
        index: usize,
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
    Announce {
        length: usize,
    },
    Rename {
        index: usize,
        name: &'static str,
    },
    Mute {
        index: usize,
        muted: bool,
    },
    /// Sends a direct message, or a notice of the program.
    Send {
        from: Option<usize>,
        to: usize,
        length: usize,
    },
    Read {
        index: usize,
        method: ReadMethod,
        times: usize,
    },
    /// Uses ids of another hub.
    UseForeignIds,
    Close,
}

/// The start of a stream, relative to the position of the hub.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Begin {
    Now,
    Last(u64),
    /// At the position before the last so many events, or even earlier than the first event.
    Back(u64),
    /// At a position after the next event.
    Future(u64),
    OtherEpoch(u64),
}

impl Begin {
    pub(crate) fn start(self, position: Position) -> Start {
        let number = position.number;
        let at = |number| Start::At(Position { number, ..position });
        match self {
            Self::Now => Start::Now,
            Self::Last(events) => Start::Last(events),
            Self::Back(events) => at(number.saturating_sub(events)),
            Self::Future(events) => at(number.saturating_add(1 + events)),
            Self::OtherEpoch(events) => Start::At(Position {
                epoch: position.epoch + 1,
                number: number.saturating_sub(events),
            }),
        }
    }
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
    let (lengths, dirty) = match op {
        Op::Publish { lengths, dirty, .. } => (lengths.clone(), *dirty),
        Op::PublishBurst { count, length, .. } => (vec![*length; *count], false),
        _ => (Vec::new(), false),
    };
    let numbered = (first..).zip(lengths);
    numbered
        .map(|(number, length)| text(number, length, dirty))
        .collect()
}

/// A text of this length, which begins with its number. A dirty one has two more characters, which
/// the hub removes.
pub(crate) fn text(number: u64, length: usize, dirty: bool) -> String {
    let mut text = number.to_string();
    text.truncate(length);
    let rest = length - text.len();
    let removed = if dirty { "\n\u{202e}" } else { "" };
    text + removed + &"é".repeat(rest / 2) + &".".repeat(rest % 2)
}

/// The operations that are possible next.
pub(crate) fn ops(model: &Model) -> BoxedStrategy<Op> {
    let handles = model.handles();
    let all = model.ids();
    let max = model.settings.max_text;
    // Some of these are too long.
    let length = 0..=max + max / 10 + 1;
    let mut ops = Vec::new();
    if handles.len() < HANDLES {
        let limit = prop_oneof![Just(usize::MAX), 0..4usize];
        let join = |(name, limit, begin)| Op::Join { name, limit, begin };
        ops.push((60, (names(), limit, begins()).prop_map(join).boxed()));
        let subscribe = |begin| Op::Subscribe { begin };
        ops.push((20, begins().prop_map(subscribe).boxed()));
    }
    if !all.is_empty() {
        // Mostly present members, sometimes departed ones.
        let index = || match model.present.is_empty() {
            true => select(all.clone()).boxed(),
            false => {
                prop_oneof![9 => select(model.present.clone()), 1 => select(all.clone())].boxed()
            }
        };
        let farewell = prop::option::of(0..40usize);
        let reason = prop_oneof![
            Just((LeaveReason::Left, None)),
            farewell
                .clone()
                .prop_map(|text| (LeaveReason::Kicked, text)),
            farewell.prop_map(|text| (LeaveReason::Lost, text)),
        ];
        let leave = |(index, (reason, farewell))| Op::Leave {
            index,
            reason,
            farewell,
        };
        ops.push((20, (index(), reason).prop_map(leave).boxed()));

        let lengths = prop::collection::vec(length.clone(), 0..5);
        let publish = |(index, lengths, dirty)| Op::Publish {
            index,
            lengths,
            dirty,
        };
        let dirty = prop::bool::weighted(0.2);
        ops.push((80, (index(), lengths, dirty).prop_map(publish).boxed()));

        // Up to several times the capacity of the log, and several batches.
        let count = match max > 1_000 {
            true => (1..30usize).boxed(),
            false => prop_oneof![20 => 1..300usize, 1 => 1_000..3_000usize].boxed(),
        };
        let burst = |(index, count, length)| Op::PublishBurst {
            index,
            count,
            length,
        };
        ops.push((30, (index(), count, 0..=max).prop_map(burst).boxed()));

        let announce = length.clone().prop_map(|length| Op::Announce { length });
        ops.push((10, announce.boxed()));
        let rename = |(index, name)| Op::Rename { index, name };
        ops.push((40, (index(), names()).prop_map(rename).boxed()));
        let mute = |(index, muted)| Op::Mute { index, muted };
        let muted = prop::bool::weighted(0.3);
        ops.push((20, (index(), muted).prop_map(mute).boxed()));
        let send = |(from, to, length)| Op::Send { from, to, length };
        let from = prop::option::weighted(0.7, index());
        ops.push((60, (from, index(), length).prop_map(send).boxed()));
        ops.push((2, Just(Op::UseForeignIds).boxed()));
        ops.push((1, Just(Op::Close).boxed()));
    }
    let readers = model.readers();
    if !readers.is_empty() {
        use ReadMethod::{Many, One, Stream, TryMany, TryOne};
        let method = select(vec![TryOne, TryMany, Stream, Stream, One, Many]);
        let times = prop_oneof![4 => 1..4usize, 3 => 1..60usize, 2 => Just(usize::MAX)];
        let read = |(index, method, times)| Op::Read {
            index,
            method,
            times,
        };
        let reads = (select(readers.clone()), method, times).prop_map(read);
        ops.push((140, reads.boxed()));
    }
    let members: Vec<_> = readers.into_iter().filter(|at| all.contains(at)).collect();
    if !members.is_empty() {
        let publisher = |index| Op::IntoPublisher { index };
        ops.push((4, select(members).prop_map(publisher).boxed()));
    }
    if !handles.is_empty() {
        let drop = |(index, panics)| Op::Drop { index, panics };
        let drops = (select(handles), any::<bool>()).prop_map(drop);
        ops.push((20, drops.boxed()));
    }
    Union::new_weighted(ops).boxed()
}

fn begins() -> impl Strategy<Value = Begin> {
    let events = || prop_oneof![3 => 0..20u64, 2 => 0..400u64, 1 => Just(u64::MAX)];
    prop_oneof![
        4 => Just(Begin::Now),
        3 => events().prop_map(Begin::Last),
        3 => events().prop_map(Begin::Back),
        1 => (0..3u64).prop_map(Begin::Future),
        1 => (0..20u64).prop_map(Begin::OtherEpoch),
    ]
}

fn names() -> impl Strategy<Value = &'static str> {
    select(&NAMES[..]).prop_map(|(name, _)| name)
}
