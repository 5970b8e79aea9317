//! How often and with how many peers an origin may connect.

use crate::lab::{SECOND, Server, idle};
use chat_core::{Event, EventKind};
use tokio::time::{Instant, sleep_until};

const TOO_FAST: &str = "* too many connections from your address, wait 1s, goodbye";
const TOO_MANY: &str = "* too many from your address, goodbye";

mod connects {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn burst_outlives_connections() {
        let mut server = Server::start(|_| {});
        for _ in 0..64 {
            drop(server.join("192.0.2.1").await);
        }
        for _ in 0..3 {
            assert_eq!(server.connect("192.0.2.1").line().await, TOO_FAST);
        }
        drop(server.join("192.0.2.2").await);
    }

    #[tokio::test(start_paused = true)]
    async fn rate_is_one_per_second() {
        let mut server = Server::start(|_| {});
        let start = Instant::now();
        for _ in 0..64 {
            drop(server.join("192.0.2.1").await);
        }
        for second in 1..=5 {
            sleep_until(start + second * SECOND + SECOND / 4).await;
            drop(server.join("192.0.2.1").await);
            assert_eq!(server.connect("192.0.2.1").line().await, TOO_FAST);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn quiet_origin_regains_its_burst() {
        let mut server = Server::start(|_| {});
        for _ in 0..2 {
            for _ in 0..64 {
                drop(server.join("192.0.2.1").await);
            }
            assert_eq!(server.connect("192.0.2.1").line().await, TOO_FAST);
            tokio::time::sleep(65 * SECOND).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn flood_announces_what_limits_allow() {
        let mut server = Server::start(|_| {});
        let mut witness = server.witness();
        for _ in 0..10 {
            for _ in 0..300 {
                drop(server.connect("192.0.2.1"));
                tokio::task::yield_now().await;
            }
            tokio::time::sleep(SECOND).await;
        }
        let events = witness.events().await;
        let is_arrival = |event: &&Event| event.kind() == EventKind::Arrived;
        let arrivals = events.iter().filter(is_arrival).count();
        // The burst, and one in each of ten seconds.
        assert!((64..=64 + 11).contains(&arrivals), "{arrivals}");
        assert_eq!(events.len(), 2 * arrivals, "each has a departure");
    }

    #[tokio::test(start_paused = true)]
    async fn loopback_is_exempt() {
        let mut server = Server::start(|_| {});
        for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            for _ in 0..100 {
                drop(server.join(address).await);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn unlimited_if_configured() {
        let mut server = Server::start(|config| config.connect_rate = None);
        for _ in 0..200 {
            drop(server.join("192.0.2.1").await);
        }
    }
}

mod peers {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn are_limited_per_origin() {
        let mut server = Server::start(|config| config.max_peers_per_address = 3);
        let mut inside = Vec::new();
        for _ in 0..3 {
            inside.push(server.join("192.0.2.1").await);
        }
        for same in ["192.0.2.1", "::ffff:192.0.2.1"] {
            assert_eq!(server.connect(same).line().await, TOO_MANY);
        }
        drop(inside.pop());
        idle().await;
        inside.push(server.join("192.0.2.1").await);
        for same in ["2001:db8::1", "2001:db8::2", "2001:db8::3"] {
            inside.push(server.join(same).await);
        }
        let same = "2001:db8::ffff:4";
        assert_eq!(server.connect(same).line().await, TOO_MANY);
        assert_eq!(server.hub().stats().members, 6);
    }
}
