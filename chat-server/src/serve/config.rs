//! How the server treats its peers.

use chat_core::session::{Quota, Rate, SessionConfig};
use std::num::NonZeroU32;
use std::time::Duration;

/// How the server treats its peers. Take the default and change what you need.
///
/// A peer's *origin* is its IPv4 address or its IPv6 network of 64 bits. The limits of an origin hold for
/// all its peers together and outlive their connections. An IPv6 network of 48 bits has four times the
/// limits of each origin in it. Peers of this machine have no origin: they come without an
/// [address](crate::Incoming::address) or from a loopback address.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// The configuration of each session.
    ///
    /// `rate`, `rename_rate` and `shared` apply to peers of this machine. `shutdown`, if it is set, is
    /// triggered when the server shuts down.
    pub session: SessionConfig,

    /// The most peers at a time, those included that have not joined yet; default 10,000. Further
    /// peers receive the notice that the server is full.
    pub max_peers: usize,

    /// The most peers at a time from one origin; default 64. Further peers receive a
    /// notice.
    pub max_peers_per_address: usize,

    /// How often an origin may connect; default 64 times at once, then once per second. `None` does
    /// not limit it. A peer that connects too early receives a notice that says how long to
    /// wait.
    pub connect_rate: Option<Quota>,

    /// How fast a peer with an origin may send; default 5 lines and 16 KiB per second, 20 lines at once.
    /// `None` does not limit it.
    pub rate: Option<Rate>,

    /// How often a peer with an origin may rename itself; default 3 times at once, then once per 10 s.
    /// `None` does not limit it.
    pub rename_rate: Option<Quota>,

    /// How many times `rate` and `rename_rate` all peers of an origin have together; default 8. So an
    /// office behind one address can chat, and reconnecting gains nothing.
    pub origin_share: NonZeroU32,

    /// The time that peers have, when the server shuts down, to receive what was published before;
    /// default 10 s.
    pub grace: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        const fn number(number: u32) -> NonZeroU32 {
            NonZeroU32::new(number).expect("it is not 0")
        }
        Self {
            session: SessionConfig::default(),
            max_peers: 10_000,
            max_peers_per_address: 64,
            connect_rate: Some(Quota::new(number(64), Duration::from_secs(1))),
            rate: Some(Rate::default()),
            rename_rate: Some(Quota::new(number(3), Duration::from_secs(10))),
            origin_share: number(8),
            grace: Duration::from_secs(10),
        }
    }
}
