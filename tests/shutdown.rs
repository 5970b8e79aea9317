//! The shutdown of sessions whose hub stays open. The clock is paused.

use chat_core::session::{self, Naming, SessionConfig, Shutdown};
use chat_core::transport::memory;
use chat_core::{
    Delivery, EventKind, Hub, HubConfig, JoinError, LeaveReason, Member, Name, RemovalReason,
};
use chat_tests::memory::{CAPACITY, Peer, join, run_until_idle, spawn};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::time::Instant;

const GOING_DOWN: &str = "* server is going down";

fn with(shutdown: &Shutdown) -> SessionConfig {
    let mut config = SessionConfig::default();
    config.shutdown = Some(shutdown.clone());
    config
}

fn departures(member: &mut Member) -> Vec<(String, LeaveReason)> {
    let mut departures = Vec::new();
    while let Ok(delivery) = member.try_recv() {
        if let Delivery::Event(event) = delivery
            && let EventKind::Left(reason) = event.kind()
        {
            departures.push((event.line().into(), reason));
        }
    }
    departures
}

mod member {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn leaves_with_last_words() {
        let hub = Hub::new(HubConfig::default());
        let mut other = join(&hub, "other");
        let shutdown = Shutdown::new();
        let mut peers = Vec::new();
        for name in ["mem:1", "mem:2"] {
            let mut peer = Peer::connect_with(&hub, name, &with(&shutdown), CAPACITY);
            peer.lines_until(&format!("You are {name}")).await;
            peers.push(peer);
        }
        run_until_idle().await;
        assert!(!shutdown.is_triggered());
        let start = Instant::now();
        shutdown.trigger();
        assert!(shutdown.is_triggered());
        for mut peer in peers {
            assert_eq!(peer.rest().await.pop().as_deref(), Some(GOING_DOWN));
            peer.half_close().await;
            assert_eq!(peer.ended().await, LeaveReason::Closed);
        }
        assert!(start.elapsed() < Duration::from_millis(10), "it was woken");
        let mut left = departures(&mut other);
        left.sort_by(|a, b| a.0.cmp(&b.0));
        let closed = |line: &str| (line.to_owned(), LeaveReason::Closed);
        let expected = [closed("mem:1 has left"), closed("mem:2 has left")];
        assert_eq!(left, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn without_it_stays() {
        let hub = Hub::new(HubConfig::default());
        let shutdown = Shutdown::new();
        let ends = Peer::connect_with(&hub, "mem:1", &with(&shutdown), CAPACITY);
        let other = Shutdown::new();
        let mut stays = [
            Peer::connect(&hub, "mem:2"),
            Peer::connect_with(&hub, "mem:3", &with(&other), CAPACITY),
        ];
        run_until_idle().await;
        shutdown.trigger();
        assert_eq!(ends.ended().await, LeaveReason::Closed);
        assert!(!hub.is_closed());
        for peer in &mut stays {
            peer.send_line("still here").await;
            let line = loop {
                let line = peer.line().await;
                if line.ends_with("still here") {
                    break line;
                }
            };
            assert!(line.starts_with("mem:"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn receives_what_came_before() {
        let hub = Hub::new(HubConfig::default());
        let talker = join(&hub, "talker");
        let shutdown = Shutdown::new();
        let mut peer = Peer::connect_with(&hub, "mem:1", &with(&shutdown), 16);
        run_until_idle().await;
        let texts: Vec<_> = (0..100).map(|text| text.to_string()).collect();
        for text in &texts {
            talker.publish(text).expect("a member");
        }
        // While its peer accepts no byte.
        run_until_idle().await;
        shutdown.trigger();
        run_until_idle().await;
        talker.publish("late").expect("a member");
        let heard = peer.rest().await;
        let mut expected = vec!["You are mem:1".to_owned(), "Here now: talker".to_owned()];
        expected.extend(texts.iter().map(|text| format!("talker: {text}")));
        expected.push(GOING_DOWN.into());
        assert_eq!(heard, expected);
        assert_eq!(peer.ended().await, LeaveReason::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn input_after_it_is_discarded() {
        let hub = Hub::new(HubConfig::default());
        let shutdown = Shutdown::new();
        let mut peer = Peer::connect_with(&hub, "mem:1", &with(&shutdown), CAPACITY);
        peer.send_line("last").await;
        run_until_idle().await;
        shutdown.trigger();
        peer.send_line("late").await;
        let heard = peer.rest().await;
        assert_eq!(heard, ["You are mem:1", "mem:1: last", GOING_DOWN]);
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_earlier_reason() {
        let hub = Hub::new(HubConfig::default());
        let shutdown = Shutdown::new();
        let mut peer = Peer::connect_with(&hub, "mem:1", &with(&shutdown), CAPACITY);
        run_until_idle().await;
        let name = Name::assigned("mem:1").expect("a name");
        let id = hub.find(&name).expect("a member");
        hub.remove(id, RemovalReason::Kicked).expect("a member");
        shutdown.trigger();
        let last = peer.rest().await.pop();
        assert_eq!(last.as_deref(), Some("* you were sent away, goodbye"));
        assert_eq!(peer.ended().await, LeaveReason::Kicked);
    }
}

mod newcomer {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn without_name_receives_notice() {
        let hub = Hub::new(HubConfig::default());
        let mut other = join(&hub, "other");
        let shutdown = Shutdown::new();
        let mut config = with(&shutdown);
        config.naming = Naming::Ask;
        let mut peer = Peer::connect_with(&hub, "mem:1", &config, CAPACITY);
        peer.expect_line("* what is your name? (Enter for mem:1)")
            .await;
        shutdown.trigger();
        peer.send_line("late").await;
        assert_eq!(peer.rest().await, [GOING_DOWN]);
        assert_eq!(peer.ended().await, LeaveReason::Closed);
        assert!(other.try_recv().is_err(), "it never joined");
    }

    #[tokio::test(start_paused = true)]
    async fn after_it_does_not_join() {
        let hub = Hub::new(HubConfig::default());
        let mut other = join(&hub, "other");
        let shutdown = Shutdown::new();
        shutdown.trigger();
        shutdown.trigger();
        for naming in [Naming::Given, Naming::Ask] {
            let mut config = with(&shutdown);
            config.naming = naming;
            let (transport, mut peer) = memory::pair(CAPACITY);
            let session = spawn(&hub, "mem:1", transport, &config);
            let mut heard = String::new();
            peer.read_to_string(&mut heard).await.expect("text");
            assert_eq!(heard, format!("{GOING_DOWN}\n"));
            let ended = session.await.expect("no panic");
            assert_eq!(ended, Err(JoinError::Closed));
        }
        assert!(other.try_recv().is_err(), "no peer joined");
    }

    #[tokio::test(start_paused = true)]
    async fn refused_keeps_its_notice() {
        for before in [true, false] {
            let hub = Hub::new(HubConfig::default());
            let shutdown = Shutdown::new();
            let (transport, mut peer) = memory::pair(4);
            let name = Name::assigned("mem:1").expect("a name");
            let config = with(&shutdown);
            let refusal = session::refuse(&hub, name, transport, "the server is full", &config);
            if before {
                shutdown.trigger();
            }
            let refusal = tokio::spawn(refusal);
            run_until_idle().await;
            shutdown.trigger();
            let mut heard = String::new();
            peer.read_to_string(&mut heard).await.expect("text");
            assert_eq!(heard, "* the server is full, goodbye\n");
            refusal.await.expect("no panic");
        }
    }
}
