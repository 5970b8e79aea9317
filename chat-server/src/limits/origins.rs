//! How many peers there are from where.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use tokio::task::Id;

/// Counts the sessions of those from elsewhere. Who has an IPv6 address has a whole network of them,
/// so those are counted by their first 64 bits.
#[derive(Debug, Default)]
pub(crate) struct Origins {
    peers: HashMap<IpAddr, usize>,
    sessions: HashMap<Id, IpAddr>,
}

/// Where a peer comes from, if it is from elsewhere.
pub(crate) fn origin(address: Option<IpAddr>) -> Option<IpAddr> {
    // A socket that listens for both kinds gives IPv4 addresses as IPv6.
    let address = address?.to_canonical();
    if address.is_loopback() {
        return None;
    }
    Some(match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(address) => {
            let network = address.to_bits() >> 64 << 64;
            Ipv6Addr::from_bits(network).into()
        }
    })
}

impl Origins {
    pub(crate) fn count(&self, origin: IpAddr) -> usize {
        self.peers.get(&origin).copied().unwrap_or(0)
    }

    pub(crate) fn add(&mut self, session: Id, origin: IpAddr) {
        *self.peers.entry(origin).or_default() += 1;
        self.sessions.insert(session, origin);
    }

    /// A session has ended.
    pub(crate) fn remove(&mut self, session: Id) {
        let Some(origin) = self.sessions.remove(&session) else {
            return;
        };
        if let Some(count) = self.peers.get_mut(&origin) {
            *count -= 1;
            if *count == 0 {
                self.peers.remove(&origin);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_network_is_one_origin_and_this_machine_is_none() {
        let of = |text: &str| origin(Some(text.parse().expect("an address")));
        assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
        for here in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            assert_eq!(of(here), None, "{here}");
        }
        assert_eq!(origin(None), None);
    }
}
