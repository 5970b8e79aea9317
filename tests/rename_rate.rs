//! How often a peer, and all peers of one origin, may rename themselves. The clock is paused.

use chat_core::session::{Naming, Quota, SessionConfig, SharedLimits};
use chat_core::{Hub, HubConfig, LeaveReason};
use chat_tests::memory::{CAPACITY, Peer, join};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, advance};

const SECOND: Duration = Duration::from_secs(1);

fn number(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).expect("not zero")
}

/// A peer of an origin, without limits of its own.
fn of_origin(limits: &Arc<SharedLimits>) -> SessionConfig {
    let mut config = SessionConfig::default();
    config.shared = Some(limits.clone());
    config
}

fn quota() -> Quota {
    Quota::new(number(3), 10 * SECOND)
}

fn limited() -> SessionConfig {
    let mut config = SessionConfig::default();
    config.rename_rate = Some(quota());
    config
}

async fn greeted(hub: &Hub, name: &str, config: &SessionConfig) -> Peer {
    let mut peer = Peer::connect_with(hub, name, config, CAPACITY);
    peer.lines_until(&format!("You are {name}")).await;
    peer
}

/// Renames a peer that is alone.
async fn rename(peer: &mut Peer, from: &str, to: &str) {
    peer.send_line(&format!("/name {to}")).await;
    peer.lines_until(&format!("{from} is now {to}")).await;
}

async fn expect_wait(peer: &mut Peer, wait: &str) {
    peer.send_line("/name other").await;
    peer.lines_until(&format!("* renaming too fast, wait {wait}"))
        .await;
}

mod peer {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn fourth_rename_has_to_wait() {
        let hub = Hub::new(HubConfig::default());
        let mut peer = greeted(&hub, "mem:1", &limited()).await;
        for (from, to) in [("mem:1", "a"), ("a", "b"), ("b", "c")] {
            rename(&mut peer, from, to).await;
        }
        expect_wait(&mut peer, "10s").await;
        advance(SECOND * 7 / 2).await;
        expect_wait(&mut peer, "7s").await;
        peer.send_line("still c").await;
        peer.expect_line("c: still c").await;
        advance(SECOND * 13 / 2).await;
        rename(&mut peer, "c", "d").await;
        expect_wait(&mut peer, "10s").await;
    }

    #[tokio::test(start_paused = true)]
    async fn failed_rename_is_free() {
        let hub = Hub::new(HubConfig::default());
        let _taken = join(&hub, "taken");
        let network = Arc::new(SharedLimits::new(None, Some(quota())));
        let address = SharedLimits::new(None, Some(quota())).within(network.clone());
        let address = Arc::new(address);
        let mut config = limited();
        config.shared = Some(address.clone());
        let mut peer = greeted(&hub, "mem:1", &config).await;
        peer.expect_line("Here now: taken").await;
        for name in ["taken", "*", "taken", "taken", "taken"] {
            peer.send_line(&format!("/name {name}")).await;
            assert!(peer.line().await.starts_with("* name refused: "));
        }
        assert!(address.is_unused(Instant::now()) && network.is_unused(Instant::now()));
        for (from, to) in [("mem:1", "a"), ("a", "b"), ("b", "c")] {
            rename(&mut peer, from, to).await;
        }
        expect_wait(&mut peer, "10s").await;
    }

    #[tokio::test(start_paused = true)]
    async fn first_name_is_no_rename() {
        let hub = Hub::new(HubConfig::default());
        let mut config = limited();
        config.naming = Naming::Ask;
        let mut peer = Peer::connect_with(&hub, "mem:1", &config, CAPACITY);
        peer.expect_line("* what is your name? (Enter for mem:1)")
            .await;
        peer.send_line("/name start").await;
        peer.expect_line("You are start").await;
        for (from, to) in [("start", "a"), ("a", "b"), ("b", "c")] {
            rename(&mut peer, from, to).await;
        }
        expect_wait(&mut peer, "10s").await;
    }

    #[tokio::test(start_paused = true)]
    async fn is_not_limited_by_default() {
        let hub = Hub::new(HubConfig::default());
        let mut peer = greeted(&hub, "mem:1", &SessionConfig::default()).await;
        let mut name = "mem:1".to_owned();
        for number in 0..20 {
            let next = format!("name{number}");
            rename(&mut peer, &name, &next).await;
            name = next;
        }
    }
}

mod origin {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn peers_share_one_quota() {
        for wider in [false, true] {
            let hub = Hub::new(HubConfig::default());
            let limits = Arc::new(SharedLimits::new(None, Some(quota())));
            let config = || match wider {
                false => of_origin(&limits),
                true => of_origin(&Arc::new(
                    SharedLimits::new(None, None).within(limits.clone()),
                )),
            };
            let mut one = greeted(&hub, "mem:1", &config()).await;
            let mut two = greeted(&hub, "mem:2", &config()).await;
            rename(&mut one, "mem:1", "a").await;
            rename(&mut two, "mem:2", "b").await;
            rename(&mut one, "a", "c").await;
            expect_wait(&mut one, "10s").await;
            expect_wait(&mut two, "10s").await;
            assert_eq!(two.disconnect().await, LeaveReason::Left);
            let mut again = greeted(&hub, "mem:3", &config()).await;
            expect_wait(&mut again, "10s").await;
            assert!(!limits.is_unused(Instant::now()));
            advance(10 * SECOND).await;
            rename(&mut again, "mem:3", "d").await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn refusal_by_origin_is_free() {
        let hub = Hub::new(HubConfig::default());
        let mut config = limited();
        let scarce = Quota::new(number(1), SECOND);
        let network = Arc::new(SharedLimits::new(None, Some(quota())));
        let address = SharedLimits::new(None, Some(scarce)).within(network.clone());
        config.shared = Some(Arc::new(address));
        let mut peer = greeted(&hub, "mem:1", &config).await;
        rename(&mut peer, "mem:1", "a").await;
        for _ in 0..5 {
            expect_wait(&mut peer, "1s").await;
        }
        for (from, to) in [("a", "b"), ("b", "c")] {
            advance(SECOND).await;
            rename(&mut peer, from, to).await;
        }
        advance(SECOND).await;
        expect_wait(&mut peer, "7s").await;
        assert!(network.is_unused(Instant::now() + 27 * SECOND));
    }
}
