//! The kit for transports finds what is wrong: for each of its checks there is a transport that
//! breaks the rule, and fails it for that reason.

mod receiving;
mod sending;

use chat_core::testkit::{self, Check, Outcome, Stream, Suite};
use chat_core::transport::{DeliverHalf, ReceiveHalf, Transport};
use receiving::Receiving;
use sending::Sending;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tokio::io::DuplexStream;
use tokio::sync::Mutex;

/// Bytes that a connection holds in each direction.
const CAPACITY: usize = 256;

/// What is wrong with a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    Nothing,
    // Of the receiving half.
    WaitsForMore,
    LeavesOutEmptyLines,
    DecodesEachPiece,
    CutsLongLines,
    ReversesLines,
    LosesASecondLine,
    MergesLines,
    TakesAPieceForALine,
    ReadsAhead,
    SpinsWithoutInput,
    TakesTheEndForAnError,
    StopsSendingAtTheEnd,
    NeverSeesTheEnd,
    TakesAnErrorForTheEnd,
    // Of the sending half.
    HoldsTheLastLineBack,
    SplitsCharacters,
    ForgetsWhatDidNotFit,
    RepeatsWhatDidNotFit,
    GivesTheBeginOfABatch,
    TakesAllInOneCall,
    SendsUnderTheLockOfReceiving,
    TakesAhead,
    LeavesOutNotices,
    ThrowsAwayWhatHasNoRoom,
    SpinsWithoutRoom,
    DropsTheRestAtTheEnd,
    NeverTellsTheEnd,
    ForgetsToHangUp,
}

/// A transport over a stream in memory, with a flaw.
struct Flawed {
    flaw: Flaw,
    stream: DuplexStream,
    /// Whether the peer has broken the connection; the stream in memory cannot say so.
    broken: Arc<AtomicBool>,
}

/// What the halves share, for those flaws that need it.
#[derive(Clone)]
struct Shared {
    flaw: Flaw,
    broken: Arc<AtomicBool>,
    ended: Arc<AtomicBool>,
    lock: Arc<Mutex<()>>,
}

impl Transport for Flawed {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        let shared = Shared {
            flaw: self.flaw,
            broken: self.broken,
            ended: Arc::default(),
            lock: Arc::default(),
        };
        let (reader, writer) = tokio::io::split(self.stream);
        (
            Box::new(Receiving::new(shared.clone(), reader)),
            Box::new(Sending::new(shared, writer)),
        )
    }
}

async fn connect(flaw: Flaw) -> io::Result<(Flawed, Stream<DuplexStream>)> {
    let (stream, peer) = tokio::io::duplex(CAPACITY);
    let broken = Arc::new(AtomicBool::new(false));
    let breaks = broken.clone();
    let peer = Stream::new(peer).with_reset(move |peer| {
        breaks.store(true, SeqCst);
        drop(peer);
    });
    let transport = Flawed {
        flaw,
        stream,
        broken,
    };
    Ok((transport, peer))
}

/// What is wrong, the check that it must fail, and what is seen then.
const FLAWS: [(Flaw, Check, &str); 32] = [
    (
        Flaw::WaitsForMore,
        Check::OneByOne,
        "the others wait for \"testkit:1: the peer's turn 0\"",
    ),
    (
        Flaw::HoldsTheLastLineBack,
        Check::OneByOne,
        "the peer waits for",
    ),
    (
        Flaw::LeavesOutEmptyLines,
        Check::EmptyLines,
        "instead of \"testkit:1: \"",
    ),
    (
        Flaw::DecodesEachPiece,
        Check::AnyText,
        "instead of \"testkit:1: #é",
    ),
    (Flaw::SplitsCharacters, Check::AnyText, "the peer got"),
    (
        Flaw::CutsLongLines,
        Check::TooLong,
        "the others got \"testkit:1: xxx",
    ),
    (
        Flaw::ReversesLines,
        Check::ManyAtOnce,
        "the others got \"testkit:1: line",
    ),
    (
        Flaw::LosesASecondLine,
        Check::ManyAtOnce,
        "the others got \"testkit:1: line",
    ),
    (
        Flaw::MergesLines,
        Check::ManySends,
        "the others got \"testkit:1: 0 1",
    ),
    (
        Flaw::TakesAPieceForALine,
        Check::PartsOfLines,
        "the others got \"testkit:1: b\"",
    ),
    (
        Flaw::ForgetsWhatDidNotFit,
        Check::ShortWrites,
        "the peer got no UTF-8",
    ),
    (
        Flaw::RepeatsWhatDidNotFit,
        Check::ShortWrites,
        "the peer got no UTF-8",
    ),
    (Flaw::GivesTheBeginOfABatch, Check::ManyAtOnce, "the peer"),
    (
        Flaw::TakesAllInOneCall,
        Check::OnePiece,
        "one call of `deliver` took",
    ),
    (
        Flaw::SendsUnderTheLockOfReceiving,
        Check::Independent,
        "the others wait for",
    ),
    (
        Flaw::TakesAhead,
        Check::Gap,
        "bytes were taken while the peer read nothing",
    ),
    (
        Flaw::TakesAhead,
        Check::Stalled,
        "bytes were taken while the peer read nothing",
    ),
    (Flaw::LeavesOutNotices, Check::Gap, "or a gap"),
    (
        Flaw::ThrowsAwayWhatHasNoRoom,
        Check::Stalled,
        "bytes were taken while the peer read nothing",
    ),
    (
        Flaw::ThrowsAwayWhatHasNoRoom,
        Check::ShortWrites,
        "the peer waits for the rest of",
    ),
    (
        Flaw::ForgetsToHangUp,
        Check::Stalled,
        "the connection to be closed",
    ),
    (
        Flaw::ReadsAhead,
        Check::NotAhead,
        "bytes were received while the session asked for none",
    ),
    (
        Flaw::SpinsWithoutInput,
        Check::NotBusy,
        "were polled 500000 times",
    ),
    (
        Flaw::SpinsWithoutRoom,
        Check::NotBusy,
        "were polled 500000 times",
    ),
    (
        Flaw::TakesTheEndForAnError,
        Check::End,
        "that was lost, not one that left",
    ),
    (
        Flaw::StopsSendingAtTheEnd,
        Check::HalfClose,
        "instead of \"witness: ",
    ),
    (
        Flaw::NeverSeesTheEnd,
        Check::HalfClose,
        "the others wait for \"testkit:1 has left\"",
    ),
    (Flaw::NeverSeesTheEnd, Check::HangUp, "the session goes on"),
    (
        Flaw::TakesAnErrorForTheEnd,
        Check::Reset,
        "that left, not one that was lost",
    ),
    (
        Flaw::NeverTellsTheEnd,
        Check::Quit,
        "the peer waits for \"the end\"",
    ),
    (
        Flaw::DropsTheRestAtTheEnd,
        Check::HubCloses,
        "the peer waits for the rest of",
    ),
    (
        Flaw::ForgetsToHangUp,
        Check::Dropped,
        "the connection to be closed",
    ),
];

#[tokio::test(start_paused = true)]
async fn a_transport_without_a_flaw_passes() {
    let report = testkit::check(async || connect(Flaw::Nothing).await).await;
    report.assert_passed_but(&[]);
}

#[tokio::test(start_paused = true)]
async fn each_flaw_fails_the_check_that_is_for_it_and_that_says_why() {
    let mut wrong = String::new();
    for (flaw, check, why) in FLAWS {
        let suite = Suite::default().only(&[check]);
        let report = suite.check(async || connect(flaw).await).await;
        match report.outcomes() {
            [(_, Outcome::Failed(seen))] if seen.contains(why) => {}
            _ => wrong += &format!("{flaw:?} should be seen by {why:?}, but:\n{report}"),
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn each_check_has_a_flaw() {
    let found: HashSet<_> = FLAWS.iter().map(|(_, check, _)| check).collect();
    let blind: Vec<_> = Check::ALL
        .iter()
        .filter(|check| !found.contains(check))
        .collect();
    assert_eq!(blind, [&Check::OneByOne; 0]);
}
