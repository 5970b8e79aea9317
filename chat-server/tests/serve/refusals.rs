//! Notices to peers that cannot join.

use crate::lab::{SECOND, Server, idle};
use tokio::time::sleep;

const FULL: &str = "* the server is full, goodbye";

fn full() -> Server {
    Server::start(|config| config.max_peers = 0)
}

mod slots {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn flood_leaves_slots_for_others() {
        let mut server = full();
        // None of them closes, so each keeps its slot for the time that a session lingers.
        let mut flood = Vec::new();
        for _ in 0..10 {
            flood.extend((0..80).map(|_| server.connect("192.0.2.1")));
            idle().await;
            for host in 2..7 {
                let mut newcomer = server.connect(&format!("192.0.2.{host}"));
                assert_eq!(newcomer.line().await, FULL, "{host}");
            }
            sleep(SECOND).await;
        }
        let mut told = 0;
        for peer in &mut flood {
            match peer.line().await.as_str() {
                "" => {}
                line => {
                    assert_eq!(line, FULL);
                    told += 1;
                }
            }
        }
        // Four at a time, for two seconds each.
        assert!((4..=4 * 6).contains(&told), "{told}");
    }

    #[tokio::test(start_paused = true)]
    async fn site_has_four_networks_worth() {
        let mut server = full();
        let mut told = 0;
        let mut peers = Vec::new();
        for network in 0..20 {
            for _ in 0..4 {
                peers.push(server.connect(&format!("2001:db8:0:{network}::1")));
            }
        }
        for peer in &mut peers {
            told += usize::from(peer.line().await == FULL);
        }
        assert_eq!(told, 16);
        assert_eq!(server.connect("2001:db8:1::1").line().await, FULL);
    }

    #[tokio::test(start_paused = true)]
    async fn loopback_has_a_larger_share() {
        let mut server = full();
        let mut local = Vec::from_iter((0..80).map(|_| server.connect("127.0.0.1")));
        idle().await;
        assert_eq!(server.connect("192.0.2.1").line().await, FULL);
        let mut told = 0;
        for peer in &mut local {
            told += usize::from(peer.line().await == FULL);
        }
        assert_eq!(told, 48);
    }

    #[tokio::test(start_paused = true)]
    async fn slots_are_freed() {
        let mut server = full();
        for _ in 0..500 {
            let mut peer = server.connect("192.0.2.1");
            assert_eq!(peer.line().await, FULL);
            drop(peer);
            idle().await;
        }
    }
}
