//! The shutdown of a server: its own peers, and those of other servers.

use crate::lab::{SECOND, Server, idle};
use chat_core::{Hub, HubConfig};
use chat_server::Drained;
use std::time::Duration;

const GOING_DOWN: &str = "* server is going down\n";

/// `Drained` cannot be written as a literal.
fn counts(drained: Drained) -> (usize, usize) {
    (drained.ended, drained.cut)
}

mod drain {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn hub_stays_open() {
        let server = Server::start(|_| {});
        let hub = server.hub().clone();
        assert_eq!(counts(server.shut_down().await), (0, 0));
        assert!(!hub.is_closed());
    }

    #[tokio::test(start_paused = true)]
    async fn other_servers_peers_stay() {
        let hub = Hub::new(HubConfig::default());
        let mut first = Server::on(&hub, "first", |_| {});
        let mut second = Server::on(&hub, "second", |_| {});
        let mut ends = first.join("127.0.0.1").await;
        let mut stays = second.join("127.0.0.1").await;
        assert_eq!(stays.line().await, "Here now: first:1");
        let draining = tokio::spawn(first.shut_down());
        assert!(ends.rest().await.ends_with(GOING_DOWN));
        drop(ends);
        assert_eq!(counts(draining.await.expect("no panic")), (1, 0));
        assert_eq!(stays.line().await, "first:1 has left");
        stays.send("still here\n").await;
        assert_eq!(stays.line().await, "second:1: still here");
        drop(second.join("127.0.0.1").await);
    }

    #[tokio::test(start_paused = true)]
    async fn closed_hub_announces_no_departure() {
        let mut server = Server::start(|_| {});
        let mut first = server.join("127.0.0.1").await;
        let mut second = server.join("127.0.0.1").await;
        assert_eq!(second.line().await, "Here now: peer:1");
        assert_eq!(first.line().await, "peer:2 has arrived");
        server.hub().close();
        let draining = tokio::spawn(server.shut_down());
        assert_eq!(first.rest().await, GOING_DOWN);
        assert_eq!(second.rest().await, GOING_DOWN);
        drop((first, second));
        assert_eq!(counts(draining.await.expect("no panic")), (2, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn stalled_peer_ends_within_grace() {
        let mut server = Server::start(|config| {
            config.grace = 3600 * SECOND;
            config.session.stall_timeout = 60 * SECOND;
        });
        let mut reads = server.join("127.0.0.1").await;
        let stalls = server.join("127.0.0.1").await;
        // More than its connection holds.
        let line = format!("{}\n", "x".repeat(1000));
        for _ in 0..200 {
            reads.send(&line).await;
            reads.line().await;
        }
        let draining = tokio::spawn(server.shut_down());
        assert!(reads.rest().await.ends_with(GOING_DOWN));
        drop(reads);
        assert_eq!(counts(draining.await.expect("no panic")), (2, 0));
        drop(stalls);
    }

    #[tokio::test(start_paused = true)]
    async fn grace_cuts_the_rest() {
        let mut server = Server::start(|config| {
            config.grace = SECOND;
            config.session.linger = 3600 * SECOND;
        });
        let keeps_open = server.join("127.0.0.1").await;
        let mut closes = server.join("127.0.0.1").await;
        let draining = tokio::spawn(server.shut_down());
        assert!(closes.rest().await.ends_with(GOING_DOWN));
        drop(closes);
        assert_eq!(counts(draining.await.expect("no panic")), (1, 1));
        drop(keeps_open);
    }

    #[tokio::test(start_paused = true)]
    async fn peers_gone_before_are_not_counted() {
        let mut server = Server::start(|config| config.grace = Duration::MAX);
        drop(server.join("127.0.0.1").await);
        idle().await;
        assert_eq!(counts(server.shut_down().await), (0, 0));
    }

    /// The server learns of the shutdown and of the peer's end at once, in either order.
    #[tokio::test(start_paused = true)]
    async fn peer_ended_meanwhile_is_not_counted() {
        for _ in 0..32 {
            let mut server = Server::start(|config| config.grace = Duration::MAX);
            drop(server.join("127.0.0.1").await);
            assert_eq!(counts(server.shut_down().await), (0, 0));
        }
    }
}
