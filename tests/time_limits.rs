//! Idle, name and stall timeouts, and the linger time after an end. The clock is paused: it
//! advances when no task can run, so hours cost nothing and every time is exact.

use chat_core::session::SessionConfig;
use chat_core::transport::IoTransport;
use chat_core::{EventKind, Hub, LeaveReason, Member};
use chat_tests::history::Record;
use chat_tests::memory::{CAPACITY, Peer, asking, hub, join, run_until_idle, spawn};
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, advance, sleep};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// A configuration without an idle timeout.
fn without_idle_timeout() -> SessionConfig {
    let mut config = SessionConfig::default();
    config.idle_timeout = None;
    config
}

/// A peer that has read its greeting and waits up to a day for each line.
async fn greeted(hub: &Hub, config: &SessionConfig) -> Peer {
    let mut peer = Peer::connect_with(hub, "mem:1", config, CAPACITY).with_deadline(DAY);
    peer.expect_line("You are mem:1").await;
    peer
}

/// Asserts how much time has passed, to the resolution of tokio's clock.
fn assert_elapsed(since: Instant, expected: Duration) {
    let elapsed = since.elapsed();
    let late = elapsed.checked_sub(expected);
    assert!(
        late.is_some_and(|late| late <= Duration::from_millis(2)),
        "{elapsed:?} instead of {expected:?}"
    );
}

/// Line and reason of the last event that the member can read, which must be a departure.
fn last_departure(member: &mut Member) -> (String, LeaveReason) {
    let mut record = Record::of(member);
    record.catch_up(member);
    let last = record
        .events()
        .last()
        .expect("the member has an event to read");
    match last.kind() {
        EventKind::Left(reason) => (last.line().into(), reason),
        _ => panic!("{last}"),
    }
}

/// A peer that reads nothing, over a full connection, with more lines to deliver.
async fn stalled(hub: &Hub, publisher: &Member, config: &SessionConfig) -> Peer {
    let peer = Peer::connect_with(hub, "mem:1", config, 16).with_deadline(DAY);
    run_until_idle().await;
    let published = publisher.publish(&"x".repeat(1000));
    published.expect("the publisher is a member");
    peer
}

mod idle {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn peer_is_disconnected_and_announced() {
        let hub = hub();
        let mut other = join(&hub, "other");
        let start = Instant::now();
        let mut peer = Peer::connect(&hub, "mem:1").with_deadline(DAY);
        peer.expect_line("You are mem:1").await;
        peer.expect_line("Here now: other").await;
        peer.expect_line("* idle for 5m, goodbye").await;
        assert_elapsed(start, 5 * MINUTE);
        assert_eq!(peer.next_line().await, None);
        let left = ("mem:1 has left".into(), LeaveReason::Idle);
        assert_eq!(last_departure(&mut other), left);
        assert_eq!(peer.ended().await, LeaveReason::Idle);
    }

    #[tokio::test(start_paused = true)]
    async fn whole_line_restarts_the_timeout() {
        for line in ["hi", "", "/who", "/nonsense", "/name *", &"x".repeat(5000)] {
            let hub = hub();
            let mut peer = greeted(&hub, &SessionConfig::default()).await;
            for _ in 0..3 {
                sleep(5 * MINUTE - SECOND).await;
                assert_eq!(hub.stats().members, 1, "before {line:?}");
                peer.send_line(line).await;
                run_until_idle().await;
            }
            let sent = Instant::now();
            peer.lines_until("* idle for 5m, goodbye").await;
            assert_elapsed(sent, 5 * MINUTE - Duration::from_millis(1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn partial_line_does_not_restart_it() {
        let hub = hub();
        let other = join(&hub, "other");
        let start = Instant::now();
        let mut peer = greeted(&hub, &SessionConfig::default()).await;
        for _ in 0..9 {
            sleep(30 * SECOND).await;
            other.publish("are you there?").unwrap();
            peer.send("half a line ").await;
        }
        peer.lines_until("* idle for 5m, goodbye").await;
        assert_elapsed(start, 5 * MINUTE);
    }

    #[tokio::test(start_paused = true)]
    async fn timeout_can_be_off() {
        let hub = hub();
        let peer = greeted(&hub, &without_idle_timeout()).await;
        sleep(400 * DAY).await;
        assert!(!peer.has_ended());
        assert_eq!(hub.stats().members, 1);
    }
}

mod classic {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn peer_may_stay_idle() {
        let hub = hub();
        let mut classic = without_idle_timeout();
        classic.classic = true;
        let mut peer = greeted(&hub, &classic).await;
        sleep(400 * DAY).await;
        peer.send_line("still here").await;
        peer.expect_line("mem:1: still here").await;
    }

    #[tokio::test(start_paused = true)]
    async fn idle_timeout_sends_no_notice() {
        let hub = hub();
        let mut classic = SessionConfig::default();
        classic.classic = true;
        let start = Instant::now();
        let mut peer = greeted(&hub, &classic).await;
        assert_eq!(peer.next_line().await, None);
        assert_elapsed(start, 5 * MINUTE);
        assert_eq!(peer.ended().await, LeaveReason::Idle);
    }
}

mod name {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn timeout_leaves_no_trace() {
        let hub = hub();
        let mut other = join(&hub, "other");
        let start = Instant::now();
        let mut peer = Peer::connect_with(&hub, "mem:1", &asking(), CAPACITY).with_deadline(DAY);
        peer.expect_line("* what is your name? (Enter for mem:1)")
            .await;
        // Neither a refused name nor a message of another member is an answer.
        for _ in 0..5 {
            sleep(10 * SECOND).await;
            peer.send_line("no name").await;
            other.publish("hm").unwrap();
            peer.expect_line("* name refused: a name cannot contain white space")
                .await;
            peer.expect_line("* what is your name? (Enter for mem:1)")
                .await;
        }
        peer.expect_line("* no name for 1m, goodbye").await;
        assert_elapsed(start, MINUTE);
        assert_eq!(peer.next_line().await, None);
        assert_eq!(peer.ended().await, LeaveReason::Nameless);
        let mut record = Record::of(&other);
        record.catch_up(&mut other);
        assert_eq!(record.lines(), ["other: hm"; 5]);
        assert_eq!(hub.roster(9).total, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn answer_ends_the_timeout() {
        let hub = hub();
        let mut peer = Peer::connect_with(&hub, "mem:1", &asking(), CAPACITY).with_deadline(DAY);
        sleep(MINUTE - SECOND).await;
        peer.send_line("ann").await;
        peer.lines_until("You are ann").await;
        let joined = Instant::now();
        peer.expect_line("* idle for 5m, goodbye").await;
        assert_elapsed(joined, 5 * MINUTE);
    }
}

mod stall {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn blocked_peer_is_disconnected() {
        let hub = hub();
        let mut publisher = join(&hub, "publisher");
        let start = Instant::now();
        let peer = stalled(&hub, &publisher, &SessionConfig::default()).await;
        // New messages do not extend the timeout.
        for _ in 0..29 {
            sleep(SECOND).await;
            publisher.publish("and more").unwrap();
            assert!(!peer.has_ended());
        }
        assert_eq!(peer.ended().await, LeaveReason::Stalled);
        assert_elapsed(start, 30 * SECOND);
        let left = ("mem:1 has left".into(), LeaveReason::Stalled);
        assert_eq!(last_departure(&mut publisher), left);
    }

    #[tokio::test(start_paused = true)]
    async fn single_bytes_restart_the_timeout() {
        let hub = hub();
        let publisher = join(&hub, "publisher");
        let mut peer = stalled(&hub, &publisher, &without_idle_timeout()).await;
        for taken in 0..100 {
            sleep(29 * SECOND).await;
            assert!(!peer.has_ended(), "after {taken} bytes");
            assert_eq!(peer.receive(1).await, 1);
        }
        let last = Instant::now();
        assert_eq!(peer.ended().await, LeaveReason::Stalled);
        assert_elapsed(last, 30 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn caught_up_peer_never_stalls() {
        let hub = hub();
        let publisher = join(&hub, "publisher");
        let mut peer = greeted(&hub, &without_idle_timeout()).await;
        peer.expect_line("Here now: publisher").await;
        sleep(DAY).await;
        publisher.publish("hi").unwrap();
        peer.expect_line("publisher: hi").await;
        // The peer has taken everything, so nothing is blocked.
        sleep(DAY).await;
        assert!(!peer.has_ended());
    }

    #[tokio::test(start_paused = true)]
    async fn applies_after_the_idle_timeout() {
        let hub = hub();
        let publisher = join(&hub, "publisher");
        let mut config = SessionConfig::default();
        config.idle_timeout = Some(10 * SECOND);
        let start = Instant::now();
        let peer = stalled(&hub, &publisher, &config).await;
        sleep(11 * SECOND).await;
        assert_eq!(hub.stats().members, 1, "the peer has left the hub");
        // The first reason counts.
        assert_eq!(peer.ended().await, LeaveReason::Idle);
        assert_elapsed(start, 30 * SECOND);
    }
}

mod close {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn notice_wins_over_idle() {
        let hub = hub();
        let publisher = join(&hub, "publisher");
        let mut config = SessionConfig::default();
        config.idle_timeout = Some(10 * SECOND);
        let mut peer = stalled(&hub, &publisher, &config).await;
        hub.close();
        sleep(11 * SECOND).await;
        let last = peer.rest().await.pop();
        assert_eq!(last.as_deref(), Some("* server is going down"));
        assert_eq!(peer.ended().await, LeaveReason::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn notice_reaches_unnamed_peers() {
        for input in ["", "/quit\n", "GET / HTTP/1.1\n"] {
            let hub = hub();
            let mut config = asking();
            config.name_timeout = 10 * SECOND;
            // The connection holds a part of the question only.
            let mut peer = Peer::connect_with(&hub, "mem:1", &config, 8).with_deadline(DAY);
            run_until_idle().await;
            hub.close();
            peer.send(input).await;
            sleep(11 * SECOND).await;
            let rest = peer.rest().await;
            assert_eq!(rest[1..], ["* server is going down"], "{input:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn notice_wins_over_commands() {
        for command in ["/who", "/quit", "/name ann"] {
            let hub = hub();
            let publisher = join(&hub, "publisher");
            let mut peer = stalled(&hub, &publisher, &SessionConfig::default()).await;
            hub.close();
            peer.send_line(command).await;
            let rest = peer.rest().await;
            let notices = rest.iter().filter(|line| line.starts_with('*'));
            assert_eq!(notices.collect::<Vec<_>>(), ["* server is going down"]);
        }
    }
}

mod linger {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lasts_two_seconds() {
        let hub = hub();
        let mut peer = greeted(&hub, &SessionConfig::default()).await;
        peer.send_line("/quit").await;
        let quit = Instant::now();
        assert_eq!(peer.rest().await, ["* goodbye"]);
        assert!(!peer.has_ended(), "the session discards further input");
        assert_eq!(peer.ended().await, LeaveReason::Left);
        assert_elapsed(quit, 2 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn ends_when_the_peer_closes() {
        let hub = hub();
        let mut peer = greeted(&hub, &SessionConfig::default()).await;
        let start = Instant::now();
        peer.half_close().await;
        assert_eq!(peer.rest().await, [""; 0]);
        assert_eq!(peer.ended().await, LeaveReason::Left);
        assert_elapsed(start, Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn is_not_extended_by_input() {
        let hub = hub();
        let mut peer = greeted(&hub, &SessionConfig::default()).await;
        peer.send_line("/quit").await;
        let quit = Instant::now();
        assert_eq!(peer.rest().await, ["* goodbye"]);
        while !peer.has_ended() {
            peer.send_line("and another thing").await;
            sleep(Duration::from_millis(10)).await;
            assert!(quit.elapsed() < 3 * SECOND, "the session is held open");
        }
        assert_eq!(peer.ended().await, LeaveReason::Left);
        assert_eq!(
            hub.stats().published,
            0,
            "the discarded input was published"
        );
    }

    /// A reader that always has input.
    struct EndlessReader;

    impl AsyncRead for EndlessReader {
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
    async fn ends_under_permanent_input() {
        let hub = hub();
        let transport = IoTransport::from_halves(EndlessReader, tokio::io::sink());
        let session = spawn(&hub, "mem:1", transport, &SessionConfig::default());
        while hub.stats().published == 0 {
            tokio::task::yield_now().await;
        }
        hub.close();
        // The runtime is never idle, so the test advances the clock itself.
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(!session.is_finished());
        advance(2 * SECOND).await;
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        assert!(session.is_finished(), "the session is held open");
        assert_eq!(session.await.unwrap(), Ok(LeaveReason::Closed));
    }
}
