//! The checks of `chat_core::testkit` fail for transports that break their rules: each check has at
//! least one transport with a flaw, and gives the reason.

mod attempt;
mod deliver;
mod receive;

use chat_core::testkit::{self, Check, Outcome, Stream, Suite};
use chat_core::transport::{DeliverHalf, ReceiveHalf, Transport};
use deliver::FlawedDeliverer;
use receive::FlawedReceiver;
use std::collections::HashSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;
use tokio::io::DuplexStream;
use tokio::sync::Mutex;

/// Bytes that a connection holds in each direction.
const CAPACITY: usize = 256;

/// The defect of a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flaw {
    None,
    // Of the receiving half.
    WaitsForMoreInput,
    DropsEmptyLines,
    DecodesEachPiece,
    TruncatesLongLines,
    ReversesLines,
    DropsAllButFirstLine,
    MergesLines,
    TreatsPiecesAsLines,
    ReadsAhead,
    PollsWithoutInput,
    ReportsEndAsError,
    IgnoresEndOfInput,
    ReportsErrorAsEnd,
    // Of the delivering half.
    DelaysLastLine,
    SplitsCharacters,
    DropsUnwrittenBytes,
    RepeatsWrittenBytes,
    TruncatesBatches,
    StopsDeliveringAtEnd,
    TakesAllInOneCall,
    LocksBothHalves,
    QueuesWithoutBound,
    DropsNotices,
    DropsLinesWhenFull,
    PollsWhenFull,
    AbortsWritesOnClose,
    IgnoresClose,
    LeaksConnection,
    // Of attempts to deliver.
    Unsupported,
    BuffersAttempts,
    DelaysLastLineOfAttempts,
    ClaimsWholeAttempts,
    UnderstatesAttempts,
    OverstatesAttempts,
    FlushesOnlyWithLines,
    QueuesAttempts,
    BlocksWhenFull,
    IgnoresErrorsOfAttempts,
    RetriesAfterErrors,
}

/// A transport over a stream in memory, with a flaw.
struct FlawedTransport {
    flaw: Flaw,
    stream: DuplexStream,
    /// Whether the peer has reset the connection, which a stream in memory cannot express.
    is_reset: Arc<AtomicBool>,
}

/// State that some flaws share between the halves.
#[derive(Clone)]
struct Shared {
    flaw: Flaw,
    is_reset: Arc<AtomicBool>,
    input_ended: Arc<AtomicBool>,
    lock: Arc<Mutex<()>>,
}

impl Transport for FlawedTransport {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        let shared = Shared {
            flaw: self.flaw,
            is_reset: self.is_reset,
            input_ended: Arc::default(),
            lock: Arc::default(),
        };
        let (reader, writer) = tokio::io::split(self.stream);
        (
            Box::new(FlawedReceiver::new(shared.clone(), reader)),
            Box::new(FlawedDeliverer::new(shared, writer)),
        )
    }
}

async fn connect(flaw: Flaw) -> io::Result<(FlawedTransport, Stream<DuplexStream>)> {
    let (stream, peer) = tokio::io::duplex(CAPACITY);
    let is_reset = Arc::new(AtomicBool::new(false));
    let peer = Stream::new(peer).with_reset({
        let is_reset = is_reset.clone();
        move |peer| {
            is_reset.store(true, SeqCst);
            drop(peer);
        }
    });
    let transport = FlawedTransport {
        flaw,
        stream,
        is_reset,
    };
    Ok((transport, peer))
}

/// A flaw, the check that it must fail, and a part of the evidence.
const FLAWS: [(Flaw, Check, &str); 43] = [
    (
        Flaw::WaitsForMoreInput,
        Check::PingPong,
        "the other members to receive \"testkit:1: pong 0\"",
    ),
    (
        Flaw::DelaysLastLine,
        Check::PingPong,
        "without `try_deliver`: waited 10s for the peer to receive",
    ),
    (
        Flaw::BuffersAttempts,
        Check::PingPong,
        "waited 10s for the peer to receive",
    ),
    (
        Flaw::DropsEmptyLines,
        Check::EmptyLines,
        "instead of \"testkit:1: \"",
    ),
    (
        Flaw::DecodesEachPiece,
        Check::Utf8Text,
        "instead of \"testkit:1: #é",
    ),
    (Flaw::SplitsCharacters, Check::Utf8Text, "the peer received"),
    (
        Flaw::TruncatesLongLines,
        Check::OverlongLines,
        "the other members received \"testkit:1: xxx",
    ),
    (
        Flaw::ReversesLines,
        Check::Burst,
        "the other members received \"testkit:1: line",
    ),
    (
        Flaw::DropsAllButFirstLine,
        Check::Burst,
        "the other members received \"testkit:1: line",
    ),
    (
        Flaw::MergesLines,
        Check::MessageBoundaries,
        "the other members received \"testkit:1: 0 1",
    ),
    (
        Flaw::TreatsPiecesAsLines,
        Check::PartialLines,
        "the other members received \"testkit:1: b\"",
    ),
    (
        Flaw::DropsUnwrittenBytes,
        Check::ShortWrites,
        "the peer received invalid UTF-8",
    ),
    (
        Flaw::RepeatsWrittenBytes,
        Check::ShortWrites,
        "the peer received invalid UTF-8",
    ),
    (Flaw::TruncatesBatches, Check::Burst, "the peer"),
    (
        Flaw::TakesAllInOneCall,
        Check::OneTakePerCall,
        "one call of `deliver` took",
    ),
    (
        Flaw::BuffersAttempts,
        Check::CompleteAttempts,
        "all attempts were complete, but waited",
    ),
    (
        Flaw::DelaysLastLineOfAttempts,
        Check::CompleteAttempts,
        "all attempts were complete, but waited",
    ),
    (
        Flaw::ClaimsWholeAttempts,
        Check::PartialAttempts,
        "instead of \"observer: ",
    ),
    (
        Flaw::UnderstatesAttempts,
        Check::PartialAttempts,
        "instead of \"observer: ",
    ),
    (
        Flaw::OverstatesAttempts,
        Check::PartialAttempts,
        "instead of \"observer: ",
    ),
    (
        Flaw::FlushesOnlyWithLines,
        Check::PartialAttempts,
        "the peer to receive the rest of",
    ),
    (
        Flaw::QueuesAttempts,
        Check::PartialAttempts,
        "bytes were taken while the peer read nothing",
    ),
    (
        Flaw::LocksBothHalves,
        Check::IndependentHalves,
        "the other members to receive",
    ),
    (
        Flaw::QueuesWithoutBound,
        Check::Gap,
        "bytes were taken while the peer read nothing",
    ),
    (
        Flaw::QueuesWithoutBound,
        Check::StallTimeout,
        "bytes were taken while the peer read nothing",
    ),
    (Flaw::DropsNotices, Check::Gap, "or a gap"),
    (
        Flaw::DropsLinesWhenFull,
        Check::StallTimeout,
        "bytes were taken while the peer read nothing",
    ),
    (
        Flaw::DropsLinesWhenFull,
        Check::ShortWrites,
        "the peer to receive the rest of",
    ),
    (
        Flaw::LeaksConnection,
        Check::StallTimeout,
        "the connection to close",
    ),
    (
        Flaw::BlocksWhenFull,
        Check::NoBlocking,
        "`try_deliver` had not returned",
    ),
    (
        Flaw::ReadsAhead,
        Check::NoReadAhead,
        "bytes were received while the session did not call `receive`",
    ),
    (
        Flaw::PollsWithoutInput,
        Check::NoBusyPolling,
        "were polled 500000 times",
    ),
    (
        Flaw::PollsWhenFull,
        Check::NoBusyPolling,
        "were polled 500000 times",
    ),
    (
        Flaw::ReportsEndAsError,
        Check::EndOfInput,
        "that was lost, not one that left",
    ),
    (
        Flaw::StopsDeliveringAtEnd,
        Check::HalfClose,
        "the stream ended within a line, before \"observer: ",
    ),
    (
        Flaw::IgnoresEndOfInput,
        Check::HalfClose,
        "the other members to receive \"testkit:1 has left\"",
    ),
    (
        Flaw::IgnoresEndOfInput,
        Check::Disconnect,
        "the session of a peer that has disconnected to end",
    ),
    (
        Flaw::IgnoresErrorsOfAttempts,
        Check::FailedAttempts,
        "the session of a peer that has disconnected to end",
    ),
    (
        Flaw::RetriesAfterErrors,
        Check::FailedAttempts,
        "were polled 500000 times",
    ),
    (
        Flaw::ReportsErrorAsEnd,
        Check::Reset,
        "that left, not one that was lost",
    ),
    (
        Flaw::IgnoresClose,
        Check::Quit,
        "the peer to receive the end of the stream",
    ),
    (
        Flaw::AbortsWritesOnClose,
        Check::HubClose,
        "the peer to receive the rest of",
    ),
    (
        Flaw::LeaksConnection,
        Check::SessionDrop,
        "the connection to close",
    ),
];

mod transport {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn without_flaw_passes() {
        let report = testkit::check(async || connect(Flaw::None).await).await;
        report.assert_passed_but(&[]);
        assert_eq!(report.not_applicable(), [], "{report}");
    }

    #[tokio::test(start_paused = true)]
    async fn without_attempts_passes() {
        let report = testkit::check(async || connect(Flaw::Unsupported).await).await;
        report.assert_passed_but(&[]);
        let attempts = [
            Check::CompleteAttempts,
            Check::PartialAttempts,
            Check::NoBlocking,
            Check::FailedAttempts,
        ];
        assert_eq!(report.not_applicable(), attempts, "{report}");
    }

    #[tokio::test(start_paused = true)]
    async fn with_flaw_fails_for_it() {
        let mut wrong = String::new();
        for (flaw, check, evidence) in FLAWS {
            let mut suite = Suite::default().only(&[check]);
            if flaw == Flaw::BlocksWhenFull {
                // It blocks for so long in real time.
                suite = suite.deadline(Duration::from_secs(1));
            }
            let report = suite.check(async || connect(flaw).await).await;
            match report.outcomes() {
                [(_, Outcome::Failed(found))] if found.contains(evidence) => {}
                _ => wrong += &format!("{flaw:?}: {evidence:?} is not in the evidence:\n{report}"),
            }
        }
        assert!(wrong.is_empty(), "\n{wrong}");
    }
}

mod check {
    use super::*;

    #[test]
    fn always_has_a_flaw() {
        let checked: HashSet<_> = FLAWS.iter().map(|(_, check, _)| *check).collect();
        let unchecked = Check::ALL.iter().filter(|check| !checked.contains(check));
        assert_eq!(unchecked.collect::<Vec<_>>(), [&Check::PingPong; 0]);
    }
}
