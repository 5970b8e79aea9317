//! Where peers come from.

use crate::options::TcpOptions;
use chat_core::Name;
use chat_core::transport::{IoTransport, Transport};
use std::future::{Future, poll_fn};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll};
use thiserror::Error;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};

/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: u32 = 4096;

/// Somebody who has connected.
#[derive(Debug)]
#[non_exhaustive]
pub struct Incoming<T> {
    /// The connection.
    pub transport: T,
    /// What the peer is called until it says otherwise.
    pub name: Name,
    /// Where it comes from, for the limits that are set for those from elsewhere. `None`, at first,
    /// is for peers of this machine, to whom they do not apply; nor do they to loopback addresses.
    pub address: Option<IpAddr>,
}

impl<T> Incoming<T> {
    /// A peer of this machine, or one that is trusted like those.
    pub fn new(transport: T, name: Name) -> Self {
        Self {
            transport,
            name,
            address: None,
        }
    }

    /// The same peer by another transport, such as one in a box or with TLS around it.
    pub fn map<U>(self, transport: impl FnOnce(T) -> U) -> Incoming<U> {
        Incoming {
            transport: transport(self.transport),
            name: self.name,
            address: self.address,
        }
    }

    /// The same, but from this address.
    pub fn from(self, address: IpAddr) -> Self {
        Self {
            address: Some(address),
            ..self
        }
    }
}

/// A source of peers: TCP, or a network of your own, or several in one whose connections are
/// `Box<dyn Transport>`. All that come from it are counted, attended and drained together.
pub trait Listener: Send {
    /// What its peers' connections are.
    type Transport: Transport;

    /// Waits for the next peer. Must be cancel safe, and must not wait for the peer: no handshakes.
    ///
    /// An error is retried: at once if it is of one connection (`ConnectionAborted`,
    /// `ConnectionReset`, `ConnectionRefused`, `InvalidData`), else after a pause.
    fn accept(&mut self) -> impl Future<Output = io::Result<Incoming<Self::Transport>>> + Send;
}

/// A peer's TCP connection.
pub type TcpTransport = IoTransport<OwnedReadHalf, OwnedWriteHalf>;

/// TCP sockets that listen, as one [`Listener`]. Connections get `TCP_NODELAY`, and what
/// [`set_options`](Self::set_options) says.
#[derive(Debug, Default)]
pub struct TcpListeners {
    sockets: Vec<TcpListener>,
    options: TcpOptions,
    /// Where to look first, so that a busy socket does not keep the others waiting.
    next: usize,
}

/// Why nothing listens at an address.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {reason}")]
pub struct BindError {
    /// The address as it was asked for, or the one of several that was the trouble.
    pub address: String,
    /// What the system says.
    reason: io::Error,
}

impl TcpListeners {
    /// Listens at an address such as `localhost:8000`, `0.0.0.0:8000` or `[::1]:0`: at all
    /// addresses of the name. Port 0 lets the system choose.
    ///
    /// # Errors
    ///
    /// [`BindError`] if one of the addresses is taken or forbidden; one that this machine does
    /// not have, as `::1` without IPv6, is left out if there is another.
    pub async fn bind(address: &str) -> Result<Self, BindError> {
        let mut listeners = Self::default();
        listeners.add(address).await?;
        Ok(listeners)
    }

    /// Listens at one more address.
    ///
    /// # Errors
    ///
    /// As [`bind`](Self::bind); the other addresses are not affected.
    pub async fn add(&mut self, address: &str) -> Result<(), BindError> {
        let failed = |address: &dyn ToString, reason| BindError {
            address: address.to_string(),
            reason,
        };
        let found = lookup_host(address).await;
        let mut sockets = Vec::new();
        let mut absent = None;
        for address in found.map_err(|error| failed(&address, error))? {
            match listen(address) {
                Ok(socket) => sockets.push(socket),
                Err(error) if is_absent(&error) => absent = Some(failed(&address, error)),
                Err(error) => return Err(failed(&address, error)),
            }
        }
        match absent {
            Some(error) if sockets.is_empty() => Err(error),
            _ if sockets.is_empty() => Err(failed(&address, io::ErrorKind::NotFound.into())),
            _ => {
                self.sockets.append(&mut sockets);
                Ok(())
            }
        }
    }

    /// Sets what the system is asked to do for connections that are accepted from now on.
    pub fn set_options(&mut self, options: TcpOptions) {
        self.options = options;
    }

    /// Where it really listens.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let sockets = self.sockets.iter();
        sockets
            .filter_map(|socket| socket.local_addr().ok())
            .collect()
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<(TcpStream, SocketAddr)>> {
        for _ in 0..self.sockets.len() {
            let at = self.next % self.sockets.len();
            self.next = at + 1;
            if let Poll::Ready(accepted) = self.sockets[at].poll_accept(cx) {
                return Poll::Ready(accepted);
            }
        }
        Poll::Pending
    }
}

impl From<TcpListener> for TcpListeners {
    fn from(socket: TcpListener) -> Self {
        Self {
            sockets: vec![socket],
            ..Self::default()
        }
    }
}

impl Listener for TcpListeners {
    type Transport = TcpTransport;

    async fn accept(&mut self) -> io::Result<Incoming<TcpTransport>> {
        let (stream, address) = poll_fn(|cx| self.poll_accept(cx)).await?;
        self.options.apply(&stream)?;
        let (reader, writer) = stream.into_split();
        let transport = IoTransport::from_halves(reader, writer);
        Ok(Incoming::new(transport, address.into()).from(address.ip()))
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // So that a restart need not wait until the last connections are forgotten.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Whether this machine has no such address, or no such kind of address.
fn is_absent(error: &io::Error) -> bool {
    // EAFNOSUPPORT has no kind of its own.
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}
