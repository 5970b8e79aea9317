//! The origin of a peer.

use std::fmt::{self, Display};
use std::net::{IpAddr, Ipv6Addr};

/// The prefix lengths of the IPv6 networks that count as one origin. A host has a /64 to itself, a
/// site often a /48.
const HOST: u8 = 64;
const SITE: u8 = 48;

/// The network of a peer on another machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Origin {
    address: IpAddr,
    /// Of an IPv6 network.
    prefix: Option<u8>,
}

impl Origin {
    /// The origin of a peer with this address; `None` for a peer of this machine.
    pub(crate) fn of(address: Option<IpAddr>) -> Option<Self> {
        // A socket that listens for both kinds reports IPv4 addresses as IPv6.
        let address = address?.to_canonical();
        match address {
            _ if address.is_loopback() => None,
            IpAddr::V4(_) => Some(Self {
                address,
                prefix: None,
            }),
            IpAddr::V6(address) => Some(Self::network(address, HOST)),
        }
    }

    /// The wider origin that contains this one, if there is one.
    pub(crate) fn wider(self) -> Option<Self> {
        match (self.address, self.prefix) {
            (IpAddr::V6(address), Some(HOST)) => Some(Self::network(address, SITE)),
            _ => None,
        }
    }

    fn network(address: Ipv6Addr, prefix: u8) -> Self {
        let mask = u128::MAX << (128 - prefix);
        Self {
            address: Ipv6Addr::from_bits(address.to_bits() & mask).into(),
            prefix: Some(prefix),
        }
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.prefix {
            Some(prefix) => write!(f, "{}/{prefix}", self.address),
            None => write!(f, "{}", self.address),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Option<Origin> {
        Origin::of(Some(text.parse().expect("an address")))
    }

    fn shown(text: &str) -> String {
        of(text).expect("another machine").to_string()
    }

    mod origin {
        use super::*;

        #[test]
        fn ipv4_address_is_one() {
            assert_eq!(shown("192.0.2.1"), "192.0.2.1");
            assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
            assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
            assert_eq!(of("192.0.2.1").and_then(Origin::wider), None);
        }

        #[test]
        fn ipv6_host_network_is_one() {
            assert_eq!(shown("2001:db8:1:2:3::4"), "2001:db8:1:2::/64");
            assert_eq!(of("2001:db8:1:2:3::4"), of("2001:db8:1:2:ffff::1"));
            assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        }

        #[test]
        fn ipv6_site_is_wider_one() {
            let wider = |text| of(text).and_then(Origin::wider).expect("a site");
            assert_eq!(wider("2001:db8:1:2::1").to_string(), "2001:db8:1::/48");
            assert_eq!(wider("2001:db8:1:2::1"), wider("2001:db8:1:3::1"));
            assert_ne!(wider("2001:db8:1:2::1"), wider("2001:db8:2:2::1"));
            assert_eq!(wider("2001:db8:1:2::1").wider(), None);
        }

        #[test]
        fn this_machine_has_none() {
            for address in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
                assert_eq!(of(address), None, "{address}");
            }
            assert_eq!(Origin::of(None), None);
        }
    }
}
