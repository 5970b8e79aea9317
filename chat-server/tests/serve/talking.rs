//! How fast the peers of an origin may send and rename themselves.

use crate::lab::{SECOND, Server, idle};
use chat_core::EventKind;
use tokio::time::sleep;

/// The lines that an origin may send at once: eight times those of a peer.
const BURST: usize = 8 * 20;

mod lines {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn reconnecting_gains_nothing() {
        let mut server = Server::start(|_| {});
        let mut witness = server.witness();
        let mut messages = 0;
        for round in 0..60 {
            let mut peer = server.connect("192.0.2.1");
            peer.send(&"line\n".repeat(20)).await;
            idle().await;
            messages += witness.count(EventKind::Message).await;
            // The burst is used up, and no second has passed since.
            assert!(messages <= BURST + 40, "{messages} after {round} rounds");
        }
        assert!(messages >= BURST, "{messages}");
    }

    #[tokio::test(start_paused = true)]
    async fn eight_peers_have_their_full_rate() {
        let mut server = Server::start(|_| {});
        let mut witness = server.witness();
        let mut peers = Vec::new();
        for _ in 0..8 {
            peers.push(server.join("2001:db8::1").await);
        }
        for peer in &mut peers {
            peer.send(&"line\n".repeat(20)).await;
        }
        assert_eq!(witness.count(EventKind::Message).await, BURST);
        for _ in 0..10 {
            sleep(SECOND).await;
            for peer in &mut peers {
                peer.send(&"line\n".repeat(5)).await;
            }
            assert_eq!(witness.count(EventKind::Message).await, 8 * 5);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn site_has_four_networks_worth() {
        let mut server = Server::start(|_| {});
        let mut witness = server.witness();
        let mut peers = Vec::new();
        for network in 0..5 {
            for _ in 0..8 {
                let address = format!("2001:db8:0:{network}::1");
                peers.push(server.join(&address).await);
            }
        }
        for peer in &mut peers {
            peer.send(&"line\n".repeat(20)).await;
        }
        let messages = witness.count(EventKind::Message).await;
        assert_eq!(messages, 4 * BURST);
    }

    #[tokio::test(start_paused = true)]
    async fn loopback_is_exempt() {
        let mut server = Server::start(|_| {});
        let mut witness = server.witness();
        let mut local = server.join("127.0.0.1").await;
        local.send(&"line\n".repeat(1000)).await;
        assert_eq!(witness.count(EventKind::Message).await, 1000);
    }
}

mod renames {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn is_limited_per_peer() {
        let mut server = Server::start(|_| {});
        let mut witness = server.witness();
        let mut peer = server.join("192.0.2.1").await;
        for name in 0..5 {
            peer.send(&format!("/name n{name}\n")).await;
        }
        assert_eq!(witness.count(EventKind::Renamed).await, 3);
        let mut local = server.join("127.0.0.1").await;
        for name in 0..5 {
            local.send(&format!("/name m{name}\n")).await;
        }
        assert_eq!(witness.count(EventKind::Renamed).await, 5);
    }

    #[tokio::test(start_paused = true)]
    async fn reconnecting_gains_nothing() {
        let mut server = Server::start(|_| {});
        let mut witness = server.witness();
        for visit in 0..20 {
            let mut peer = server.join("192.0.2.1").await;
            for name in 0..3 {
                peer.send(&format!("/name n{visit}.{name}\n")).await;
            }
            idle().await;
        }
        let renames = witness.count(EventKind::Renamed).await;
        assert_eq!(renames, 8 * 3);
    }
}
