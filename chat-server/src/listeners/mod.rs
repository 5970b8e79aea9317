//! Sources of peers.

mod options;
mod tcp;
mod transport;

pub use options::TcpOptions;
pub use tcp::{BindError, TcpListeners};
pub use transport::TcpTransport;

use chat_core::Name;
use chat_core::transport::Transport;
use std::future::Future;
use std::io;
use std::net::IpAddr;

/// A peer that has connected.
#[derive(Debug)]
#[non_exhaustive]
pub struct Incoming<T> {
    /// The connection.
    pub transport: T,
    /// The peer's name until it chooses another.
    pub name: Name,
    /// The peer's address, to which the limits of an origin apply. `None`, as in
    /// [`new`](Self::new), is a peer of this machine. Those limits do not apply to such a peer, nor
    /// to a loopback address.
    pub address: Option<IpAddr>,
}

impl<T> Incoming<T> {
    /// A peer of this machine, or one that is trusted like one.
    pub fn new(transport: T, name: Name) -> Self {
        Self {
            transport,
            name,
            address: None,
        }
    }

    /// The same peer with another transport, such as a boxed one or one with TLS around it.
    pub fn map<U>(self, transport: impl FnOnce(T) -> U) -> Incoming<U> {
        Incoming {
            transport: transport(self.transport),
            name: self.name,
            address: self.address,
        }
    }

    /// The same peer, connected from this address.
    pub fn from(self, address: IpAddr) -> Self {
        Self {
            address: Some(address),
            ..self
        }
    }
}

/// A source of peers: TCP, a network of your own, or several of them in one, with connections of
/// type `Box<dyn Transport>`. The server counts, limits and drains the peers of one listener
/// together.
pub trait Listener: Send {
    /// The type of a connection.
    type Transport: Transport;

    /// Waits for the next peer. An implementation must not wait for the peer itself: no handshakes.
    ///
    /// # Errors
    ///
    /// The server retries after an error: at once if the error concerns one connection
    /// (`ConnectionAborted`, `ConnectionReset`, `ConnectionRefused`, `InvalidData`), otherwise after a
    /// pause.
    ///
    /// # Cancel safety
    ///
    /// An implementation must be cancel safe: dropping the future must not lose a peer.
    fn accept(&mut self) -> impl Future<Output = io::Result<Incoming<Self::Transport>>> + Send;
}
