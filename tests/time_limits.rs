//! How long a peer may be silent, nameless, stuck, or slow to hang up. The clock is paused: it
//! moves when nobody can do anything else, so hours cost nothing and every time is exact.

use chat_core::session::{Naming, SessionConfig};
use chat_core::transport::IoTransport;
use chat_core::{EventKind, Hub, HubConfig, LeaveReason, Member};
use chat_tests::history::Record;
use chat_tests::memory::{CAPACITY, Peer, all_idle, join, spawn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, advance, sleep};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

fn hub() -> Hub {
    Hub::new(HubConfig::default())
}

/// Of peers that need not talk.
fn without_idle_timeout() -> SessionConfig {
    let mut config = SessionConfig::default();
    config.idle_timeout = None;
    config
}

fn asking() -> SessionConfig {
    let mut config = SessionConfig::default();
    config.naming = Naming::Ask;
    config
}

/// A peer that was greeted and may take a day for anything.
async fn greeted(hub: &Hub, config: &SessionConfig) -> Peer {
    let mut peer = Peer::connect_with(hub, "mem:1", config, CAPACITY).within(DAY);
    peer.expect("You are mem:1").await;
    peer
}

/// Asserts how much time went by, to the resolution of tokio's clock.
fn assert_elapsed(since: Instant, expected: Duration) {
    let elapsed = since.elapsed();
    let late = elapsed.checked_sub(expected);
    assert!(
        late.is_some_and(|late| late <= Duration::from_millis(2)),
        "{elapsed:?} instead of {expected:?}"
    );
}

/// The reason in the last event the member can read, which must be a leaving.
fn last_leaving(member: &mut Member) -> (String, LeaveReason) {
    let mut record = Record::of(member);
    record.catch_up(member);
    let last = record.events().last().expect("there is an event");
    match last.kind() {
        EventKind::Left(reason) => (last.line().into(), reason),
        _ => panic!("{last}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_peer_is_let_go_after_the_idle_timeout_and_others_see_it_leave() {
    let hub = hub();
    let mut other = join(&hub, "other");
    let start = Instant::now();
    let mut peer = Peer::connect(&hub, "mem:1").within(DAY);
    peer.expect("You are mem:1").await;
    peer.expect("Here now: other").await;
    peer.expect("* idle for 5m, goodbye").await;
    assert_elapsed(start, 5 * MINUTE);
    assert_eq!(peer.next_line().await, None);
    let left = ("mem:1 has left".into(), LeaveReason::Idle);
    assert_eq!(last_leaving(&mut other), left);
    assert_eq!(peer.ended().await, LeaveReason::Idle);
}

#[tokio::test(start_paused = true)]
async fn any_whole_line_just_before_the_idle_timeout_begins_it_anew() {
    for line in ["hi", "", "/who", "/nonsense", "/name *", &"x".repeat(5000)] {
        let hub = hub();
        let mut peer = greeted(&hub, &SessionConfig::default()).await;
        for _ in 0..3 {
            sleep(5 * MINUTE - SECOND).await;
            assert_eq!(hub.stats().members, 1, "before {line:?}");
            peer.say(line).await;
            all_idle().await;
        }
        let said = Instant::now();
        peer.until("* idle for 5m, goodbye").await;
        assert_elapsed(said, 5 * MINUTE - Duration::from_millis(1));
    }
}

#[tokio::test(start_paused = true)]
async fn what_others_say_and_half_a_line_do_not_make_a_peer_less_idle() {
    let hub = hub();
    let other = join(&hub, "other");
    let start = Instant::now();
    let mut peer = greeted(&hub, &SessionConfig::default()).await;
    for _ in 0..9 {
        sleep(30 * SECOND).await;
        other.publish("are you there?").unwrap();
        peer.send("half a line ").await;
    }
    peer.until("* idle for 5m, goodbye").await;
    assert_elapsed(start, 5 * MINUTE);
}

#[tokio::test(start_paused = true)]
async fn no_idle_timeout_is_never() {
    let hub = hub();
    let peer = greeted(&hub, &without_idle_timeout()).await;
    sleep(400 * DAY).await;
    assert!(!peer.is_over());
    assert_eq!(hub.stats().members, 1);
}

#[tokio::test(start_paused = true)]
async fn a_classic_peer_may_be_silent_forever() {
    let hub = hub();
    let mut classic = without_idle_timeout();
    classic.classic = true;
    let mut peer = greeted(&hub, &classic).await;
    sleep(400 * DAY).await;
    peer.say("still here").await;
    peer.expect("mem:1: still here").await;
}

#[tokio::test(start_paused = true)]
async fn a_classic_peer_with_an_idle_timeout_is_let_go_without_a_word() {
    let hub = hub();
    let mut classic = SessionConfig::default();
    classic.classic = true;
    let start = Instant::now();
    let mut peer = greeted(&hub, &classic).await;
    assert_eq!(peer.next_line().await, None);
    assert_elapsed(start, 5 * MINUTE);
    assert_eq!(peer.ended().await, LeaveReason::Idle);
}

#[tokio::test(start_paused = true)]
async fn who_gives_no_name_in_a_minute_is_let_go_and_was_never_here() {
    let hub = hub();
    let mut other = join(&hub, "other");
    let start = Instant::now();
    let mut peer = Peer::connect_with(&hub, "mem:1", &asking(), CAPACITY).within(DAY);
    peer.expect("* what is your name? (Enter for mem:1)").await;
    // Neither refused names nor what others say is an answer.
    for _ in 0..5 {
        sleep(10 * SECOND).await;
        peer.say("no name").await;
        other.publish("hm").unwrap();
        peer.expect("* name refused: a name cannot contain white space")
            .await;
        peer.expect("* what is your name? (Enter for mem:1)").await;
    }
    peer.expect("* no name for 1m, goodbye").await;
    assert_elapsed(start, MINUTE);
    assert_eq!(peer.next_line().await, None);
    assert_eq!(peer.ended().await, LeaveReason::Nameless);
    let mut record = Record::of(&other);
    record.catch_up(&mut other);
    assert_eq!(record.lines(), ["other: hm"; 5]);
    assert_eq!(hub.roster(9).total, 1);
}

#[tokio::test(start_paused = true)]
async fn the_time_for_a_name_is_over_when_it_is_given() {
    let hub = hub();
    let mut peer = Peer::connect_with(&hub, "mem:1", &asking(), CAPACITY).within(DAY);
    sleep(MINUTE - SECOND).await;
    peer.say("ann").await;
    peer.until("You are ann").await;
    let joined = Instant::now();
    peer.expect("* idle for 5m, goodbye").await;
    assert_elapsed(joined, 5 * MINUTE);
}

/// A peer that reads nothing, over a connection that is full, with more to come.
async fn stalled(hub: &Hub, talker: &Member, config: &SessionConfig) -> Peer {
    let peer = Peer::connect_with(hub, "mem:1", config, 16).within(DAY);
    all_idle().await;
    let said = talker.publish(&"x".repeat(1000));
    said.expect("it is here");
    peer
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_no_byte_for_the_stall_timeout_is_cut() {
    let hub = hub();
    let mut talker = join(&hub, "talker");
    let start = Instant::now();
    let peer = stalled(&hub, &talker, &SessionConfig::default()).await;
    // What comes meanwhile does not give it more time.
    for _ in 0..29 {
        sleep(SECOND).await;
        talker.publish("and more").unwrap();
        assert!(!peer.is_over());
    }
    assert_eq!(peer.ended().await, LeaveReason::Stalled);
    assert_elapsed(start, 30 * SECOND);
    let left = ("mem:1 has left".into(), LeaveReason::Stalled);
    assert_eq!(last_leaving(&mut talker), left);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_takes_a_byte_now_and_then_is_not_cut() {
    let hub = hub();
    let talker = join(&hub, "talker");
    let mut peer = stalled(&hub, &talker, &without_idle_timeout()).await;
    for taken in 0..100 {
        sleep(29 * SECOND).await;
        assert!(!peer.is_over(), "after {taken} bytes");
        assert_eq!(peer.listen(1).await, 1);
    }
    let last = Instant::now();
    assert_eq!(peer.ended().await, LeaveReason::Stalled);
    assert_elapsed(last, 30 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_peer_for_which_there_is_nothing_is_not_stalled() {
    let hub = hub();
    let talker = join(&hub, "talker");
    let mut peer = greeted(&hub, &without_idle_timeout()).await;
    peer.expect("Here now: talker").await;
    sleep(DAY).await;
    talker.publish("hi").unwrap();
    peer.expect("talker: hi").await;
    // It took all, if late: it has not been stuck since it took the last.
    sleep(DAY).await;
    assert!(!peer.is_over());
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_was_let_go_but_takes_nothing_is_cut_all_the_same() {
    let hub = hub();
    let talker = join(&hub, "talker");
    let mut config = SessionConfig::default();
    config.idle_timeout = Some(10 * SECOND);
    let start = Instant::now();
    let peer = stalled(&hub, &talker, &config).await;
    sleep(11 * SECOND).await;
    assert_eq!(hub.stats().members, 1, "it has left, for others");
    // Which of its reasons holds: the first.
    assert_eq!(peer.ended().await, LeaveReason::Idle);
    assert_elapsed(start, 30 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn who_is_silent_too_long_while_the_hub_closes_is_told_that_it_closes() {
    let hub = hub();
    let talker = join(&hub, "talker");
    let mut config = SessionConfig::default();
    config.idle_timeout = Some(10 * SECOND);
    let mut peer = stalled(&hub, &talker, &config).await;
    hub.close();
    sleep(11 * SECOND).await;
    let last = peer.rest().await.pop();
    assert_eq!(last.as_deref(), Some("* server is going down"));
    assert_eq!(peer.ended().await, LeaveReason::Closed);
}

#[tokio::test(start_paused = true)]
async fn who_has_no_name_yet_is_told_that_the_hub_closes_whatever_ends_first() {
    for says in ["", "/quit\n", "GET / HTTP/1.1\n"] {
        let hub = hub();
        let mut config = asking();
        config.name_timeout = 10 * SECOND;
        // It has room for a part of the question.
        let mut peer = Peer::connect_with(&hub, "mem:1", &config, 8).within(DAY);
        all_idle().await;
        hub.close();
        peer.send(says).await;
        sleep(11 * SECOND).await;
        let rest = peer.rest().await;
        assert_eq!(rest[1..], ["* server is going down"], "{says:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_something_while_the_hub_closes_is_told_that_it_closes() {
    for command in ["/who", "/quit", "/name ann"] {
        let hub = hub();
        let talker = join(&hub, "talker");
        let mut peer = stalled(&hub, &talker, &SessionConfig::default()).await;
        hub.close();
        peer.say(command).await;
        let rest = peer.rest().await;
        let notices = rest.iter().filter(|line| line.starts_with('*'));
        assert_eq!(notices.collect::<Vec<_>>(), ["* server is going down"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_lingers_two_seconds_for_a_peer_that_does_not_close() {
    let hub = hub();
    let mut peer = greeted(&hub, &SessionConfig::default()).await;
    peer.say("/quit").await;
    let quit = Instant::now();
    assert_eq!(peer.rest().await, ["* goodbye"]);
    assert!(!peer.is_over(), "it discards what may still come");
    assert_eq!(peer.ended().await, LeaveReason::Left);
    assert_elapsed(quit, 2 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_at_once_when_the_peer_closes_too() {
    let hub = hub();
    let mut peer = greeted(&hub, &SessionConfig::default()).await;
    let start = Instant::now();
    peer.finish().await;
    assert_eq!(peer.rest().await, [""; 0]);
    assert_eq!(peer.ended().await, LeaveReason::Left);
    assert_elapsed(start, Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_sends_on_cannot_hold_a_session_that_lingers() {
    let hub = hub();
    let mut peer = greeted(&hub, &SessionConfig::default()).await;
    peer.say("/quit").await;
    let quit = Instant::now();
    assert_eq!(peer.rest().await, ["* goodbye"]);
    while !peer.is_over() {
        peer.say("and another thing").await;
        sleep(Duration::from_millis(10)).await;
        assert!(quit.elapsed() < 3 * SECOND, "it is held");
    }
    assert_eq!(peer.ended().await, LeaveReason::Left);
    assert_eq!(hub.stats().published, 0, "and said nothing");
}

/// Input that never ends and never waits.
struct Flood;

impl AsyncRead for Flood {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        buffer.put_slice(b"and another thing\n");
        Poll::Ready(Ok(()))
    }
}

#[tokio::test(start_paused = true)]
async fn input_that_is_always_there_cannot_hold_a_session_that_lingers() {
    let hub = hub();
    let transport = IoTransport::from_halves(Flood, tokio::io::sink());
    let session = spawn(&hub, "mem:1", transport, &SessionConfig::default());
    while hub.stats().published == 0 {
        tokio::task::yield_now().await;
    }
    hub.close();
    // The runtime is never idle, so the clock has to be moved by hand.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(!session.is_finished());
    advance(2 * SECOND).await;
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert!(session.is_finished(), "it is held");
    assert_eq!(session.await.unwrap(), Ok(LeaveReason::Closed));
}
