//! The rate at which all peers of one origin may send together. The clock is paused.

use async_trait::async_trait;
use chat_core::session::{Quota, Rate, RateLimiter, SessionConfig, SharedLimits};
use chat_core::transport::{DeliverHalf, Inbox, ReceiveHalf, Received, Transport};
use chat_core::{Delivery, EventKind, Hub, HubConfig, LeaveReason, Member, Name, RemovalReason};
use chat_tests::memory::{CAPACITY, DiscardingWriter, Peer, join, run_until_idle, spawn};
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep, sleep_until};

const SECOND: Duration = Duration::from_secs(1);

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

/// A peer of an origin.
fn of_origin(limits: &Arc<SharedLimits>) -> SessionConfig {
    let mut config = SessionConfig::default();
    config.shared = Some(limits.clone());
    config.idle_timeout = None;
    config
}

/// An origin whose peers may send as fast together as one peer.
fn one_rate() -> Arc<SharedLimits> {
    Arc::new(SharedLimits::new(Some(Rate::default()), None))
}

fn numbered(lines: std::ops::Range<usize>) -> String {
    lines.map(|line| format!("{line}\n")).collect()
}

/// The messages that have come since the last call, by sender.
fn messages(member: &mut Member) -> BTreeMap<String, Vec<String>> {
    let mut texts: BTreeMap<String, Vec<String>> = BTreeMap::new();
    while let Ok(delivery) = member.try_recv() {
        if let Delivery::Event(event) = delivery
            && event.kind() == EventKind::Message
        {
            let of_sender = texts.entry(event.subject().into()).or_default();
            of_sender.push(event.text().into());
        }
    }
    texts
}

fn count(member: &mut Member) -> usize {
    messages(member).values().map(Vec::len).sum()
}

mod talking {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn peers_share_one_rate() {
        let hub = Hub::new(HubConfig::default());
        let mut watcher = join(&hub, "watcher");
        let (config, start) = (of_origin(&one_rate()), Instant::now());
        let mut peers = Vec::new();
        for name in ["mem:1", "mem:2", "mem:3", "mem:4"] {
            let mut peer = Peer::connect_with(&hub, name, &config, CAPACITY);
            peer.send(&numbered(0..50)).await;
            peers.push(peer);
        }
        let mut heard: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for second in 0..=36 {
            // A little later than on the second, when the next line is due.
            sleep_until(start + second * SECOND + SECOND / 100).await;
            for (sender, mut texts) in messages(&mut watcher) {
                heard.entry(sender).or_default().append(&mut texts);
            }
            let total: usize = heard.values().map(Vec::len).sum();
            assert_eq!(total, 20 + 5 * second as usize, "after {second} s");
        }
        let all: Vec<_> = (0..50).map(|line| line.to_string()).collect();
        assert!(heard.into_values().all(|texts| texts == all));
    }

    #[tokio::test(start_paused = true)]
    async fn own_rate_applies_as_well() {
        let hub = Hub::new(HubConfig::default());
        let mut watcher = join(&hub, "watcher");
        let office = Rate::default().times(number(8));
        let mut config = of_origin(&Arc::new(SharedLimits::new(Some(office), None)));
        config.rate = Some(Rate::default());
        let mut flood = Peer::connect_with(&hub, "mem:1", &config, CAPACITY);
        flood.send(&numbered(0..100)).await;
        for due in [20, 5, 5] {
            sleep(SECOND / 100).await;
            assert_eq!(count(&mut watcher), due);
            sleep(SECOND * 99 / 100).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_are_shared() {
        let hub = Hub::new(HubConfig::default());
        let mut watcher = join(&hub, "watcher");
        let mut rate = Rate::default();
        (rate.lines, rate.burst) = (number(1000), number(1000));
        let config = of_origin(&Arc::new(SharedLimits::new(Some(rate), None)));
        let kibibyte = format!("{}\n", "x".repeat(1023));
        let mut peers = Vec::new();
        for name in ["mem:1", "mem:2"] {
            let mut peer = Peer::connect_with(&hub, name, &config, 1 << 20);
            peer.send(&kibibyte.repeat(80)).await;
            peers.push(peer);
        }
        let mut heard = 0;
        for second in 1..=8 {
            sleep(SECOND).await;
            heard += count(&mut watcher);
            let due = 16 + 16 * second;
            assert!(
                (due - 2..=due + 2).contains(&heard),
                "{heard} in {second} s"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reconnecting_gives_no_new_burst() {
        let hub = Hub::new(HubConfig::default());
        let mut watcher = join(&hub, "watcher");
        let config = of_origin(&one_rate());
        for due in [20, 0, 0] {
            let mut peer = Peer::connect_with(&hub, "mem:1", &config, CAPACITY);
            peer.send(&numbered(0..20)).await;
            run_until_idle().await;
            assert_eq!(count(&mut watcher), due);
            // The waiting input is published in time, unless the peer is kicked.
            let name = Name::assigned("mem:1").expect("a name");
            let id = hub.find(&name).expect("a member");
            hub.remove(id, RemovalReason::Kicked).expect("a member");
            drop(peer);
            run_until_idle().await;
        }
    }

    /// What a peer has sent and nobody has read uses nothing up.
    #[tokio::test(start_paused = true)]
    async fn ended_sessions_give_back_reservations() {
        let hub = Hub::new(HubConfig::default());
        let mut watcher = join(&hub, "watcher");
        let network = one_rate();
        let address = SharedLimits::new(Some(Rate::default()), None).within(network.clone());
        let config = of_origin(&Arc::new(address));
        let mut flood = Peer::connect_with(&hub, "mem:1", &config, CAPACITY);
        flood.send(&numbered(0..20)).await;
        run_until_idle().await;
        assert_eq!(count(&mut watcher), 20);
        for _ in 0..100 {
            let mut peer = Peer::connect_with(&hub, "mem:2", &config, CAPACITY);
            peer.send("waits\n").await;
            run_until_idle().await;
            let name = Name::assigned("mem:2").expect("a name");
            hub.remove(hub.find(&name).expect("a member"), RemovalReason::Kicked)
                .expect("a member");
            drop(peer);
        }
        // Until the sessions have stopped lingering.
        sleep(3 * SECOND).await;
        let mut honest = Peer::connect_with(&hub, "mem:3", &of_origin(&network), CAPACITY);
        honest.send("hi\n").await;
        run_until_idle().await;
        assert_eq!(count(&mut watcher), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn wider_origin_limits_both() {
        let hub = Hub::new(HubConfig::default());
        let mut watcher = join(&hub, "watcher");
        let (network, start) = (one_rate(), Instant::now());
        let mut peers = Vec::new();
        for name in ["mem:1", "mem:2"] {
            let address = SharedLimits::new(Some(Rate::default()), None).within(network.clone());
            let config = of_origin(&Arc::new(address));
            let mut peer = Peer::connect_with(&hub, name, &config, CAPACITY);
            peer.send(&numbered(0..100)).await;
            peers.push(peer);
        }
        let mut heard = 0;
        for second in 0..=20 {
            sleep_until(start + second * SECOND + SECOND / 100).await;
            heard += count(&mut watcher);
            assert_eq!(heard, 20 + 5 * second as usize, "after {second} s");
        }
    }

    /// An honest peer beside nine that flood waits for one line of each of them.
    #[tokio::test(start_paused = true)]
    async fn waiting_peers_take_turns() {
        let hub = Hub::new(HubConfig::default());
        let mut watcher = join(&hub, "watcher");
        let config = of_origin(&one_rate());
        let mut floods = Vec::new();
        for name in 0..9 {
            let name = format!("flood:{name}");
            let mut peer = Peer::connect_with(&hub, &name, &config, CAPACITY);
            peer.send(&numbered(0..1000)).await;
            floods.push(peer);
        }
        let mut honest = Peer::connect_with(&hub, "honest:1", &config, CAPACITY);
        sleep(10 * SECOND).await;
        messages(&mut watcher);
        for line in 0..5 {
            honest.send_line(&line.to_string()).await;
            sleep(SECOND * 10 / 5 + SECOND / 100).await;
            let heard = messages(&mut watcher);
            assert!(heard.contains_key("honest:1"), "{heard:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_peer_is_not_read() {
        let hub = Hub::new(HubConfig::default());
        let config = of_origin(&one_rate());
        let mut first = Peer::connect_with(&hub, "mem:1", &config, CAPACITY);
        first.send(&numbered(0..1000)).await;
        run_until_idle().await;
        let mut peer = Peer::connect_with(&hub, "mem:2", &config, 64);
        // The capacity of the connection, and of one read.
        let lines = "\n".repeat(64 + 1024 + 64);
        let sent = tokio::time::timeout(SECOND / 5, peer.send(&lines)).await;
        assert!(sent.is_err(), "it was read");
    }

    /// Each call brings a line in pieces, of which the first are not held back for their end.
    struct Pieces(u32);

    impl Transport for Pieces {
        fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
            (self, Box::new(DiscardingWriter))
        }
    }

    #[async_trait]
    impl ReceiveHalf for Pieces {
        async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
            for piece in ["li", "ne ", "and", " line\n"] {
                inbox.bytes(piece.as_bytes());
            }
            self.0 -= 1;
            Ok(match self.0 {
                0 => Received::End,
                _ => Received::More,
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pieces_count_as_one_line() {
        let hub = Hub::new(HubConfig::default());
        let mut watcher = join(&hub, "watcher");
        let start = Instant::now();
        let session = spawn(&hub, "mem:1", Pieces(70), &of_origin(&one_rate()));
        for second in 0..10 {
            sleep_until(start + second * SECOND + SECOND / 100).await;
            let due = if second == 0 { 20 } else { 5 };
            let heard = messages(&mut watcher).remove("mem:1");
            assert_eq!(heard, Some(vec!["line and line".into(); due]), "{second}");
        }
        assert_eq!(session.await.expect("no panic"), Ok(LeaveReason::Left));
        assert_eq!(count(&mut watcher), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn limits_are_unused_again_later() {
        let hub = Hub::new(HubConfig::default());
        let limits = one_rate();
        assert!(limits.is_unused(Instant::now()));
        let mut peer = Peer::connect_with(&hub, "mem:1", &of_origin(&limits), CAPACITY);
        peer.send(&numbered(0..5)).await;
        run_until_idle().await;
        assert!(!limits.is_unused(Instant::now()));
        sleep(SECOND - SECOND / 100).await;
        assert!(!limits.is_unused(Instant::now()));
        sleep(SECOND / 100).await;
        assert!(limits.is_unused(Instant::now()));
    }
}

mod limiter {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn burst_then_one_per_period() {
        let mut connects = RateLimiter::new(Quota::new(number(64), SECOND));
        let start = Instant::now();
        for _ in 0..64 {
            assert_eq!(connects.try_take(start), Ok(()));
        }
        assert_eq!(connects.try_take(start), Err(SECOND));
        assert_eq!(connects.try_take(start + SECOND / 4), Err(SECOND * 3 / 4));
        assert_eq!(connects.try_take(start + SECOND), Ok(()));
        assert_eq!(connects.try_take(start + SECOND), Err(SECOND));
        assert!(!connects.is_unused(start + 64 * SECOND));
        assert!(connects.is_unused(start + 65 * SECOND));
    }

    #[tokio::test(start_paused = true)]
    async fn endless_period_never_refills() {
        let mut limiter = RateLimiter::new(Quota::new(number(2), Duration::MAX));
        let now = Instant::now();
        assert_eq!([(); 2].map(|()| limiter.try_take(now)), [Ok(()); 2]);
        assert!(limiter.try_take(now + 1000 * 86_400 * SECOND).is_err());
    }

    proptest! {
        #[test]
        fn keeps_its_quota(
            burst in 1u32..20,
            period in 1u64..5000,
            pauses in prop::collection::vec(0u64..3000, 1..200),
        ) {
            let period = Duration::from_millis(period);
            let mut limiter = RateLimiter::new(Quota::new(number(burst), period));
            let (mut now, mut taken) = (Instant::now(), Vec::new());
            for pause in pauses {
                now += Duration::from_millis(pause);
                match limiter.try_take(now) {
                    Ok(()) => taken.push(now),
                    // Exactly then, and not before.
                    Err(wait) => {
                        let mut later = limiter.clone();
                        prop_assert!(later.try_take(now + wait - Duration::from_nanos(1)).is_err());
                        prop_assert!(later.try_take(now + wait).is_ok());
                    }
                }
            }
            for from in 0..taken.len() {
                for to in from..taken.len() {
                    let earned = (taken[to] - taken[from]).div_duration_f64(period);
                    prop_assert!((to - from + 1) as f64 <= f64::from(burst) + earned + 1e-6);
                }
            }
        }
    }
}
