//! Where peers come from.

use chat_core::Name;
use chat_core::transport::{IoTransport, Transport};
use std::future::{Future, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::task::{Context, Poll};
use thiserror::Error;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};

/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: u32 = 4096;

/// The kernel takes no more than this ahead of what a peer can receive. Else it takes megabytes: that
/// is memory for a peer that never reads, and makes one that reads slowly look stalled, since the
/// socket is only writable again when a third of that is free.
#[cfg(target_os = "linux")]
const UNSENT_BYTES: u32 = 16 * 1024;

/// A source of peers: TCP, or a network of your own, or several in one whose connections are
/// `Box<dyn Transport>`. All that come from it are counted, attended and drained together.
pub trait Listener: Send {
    /// What its peers' connections are.
    type Transport: Transport;

    /// Waits for the next peer, and gives its connection and what it is called until it says
    /// otherwise. Must be cancel safe, and must not wait for the peer: no handshakes.
    ///
    /// An error is retried: at once if it is of one connection (`ConnectionAborted`,
    /// `ConnectionReset`, `ConnectionRefused`, `InvalidData`), else after a pause.
    fn accept(&mut self) -> impl Future<Output = io::Result<(Self::Transport, Name)>> + Send;
}

/// A peer's TCP connection.
pub type TcpTransport = IoTransport<OwnedReadHalf, OwnedWriteHalf>;

/// TCP sockets that listen, as one [`Listener`]. Connections get `TCP_NODELAY`: the hub
/// coalesces, so that Nagle's algorithm could only delay.
#[derive(Debug, Default)]
pub struct TcpListeners {
    sockets: Vec<TcpListener>,
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
            next: 0,
        }
    }
}

impl Listener for TcpListeners {
    type Transport = TcpTransport;

    async fn accept(&mut self) -> io::Result<(TcpTransport, Name)> {
        let (stream, address) = poll_fn(|cx| self.poll_accept(cx)).await?;
        stream.set_nodelay(true)?;
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT_BYTES)?;
        let (reader, writer) = stream.into_split();
        Ok((IoTransport::from_halves(reader, writer), address.into()))
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
