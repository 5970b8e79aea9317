//! Listening TCP sockets.

use super::{Incoming, Listener, TcpOptions, TcpTransport};
use socket2::SockRef;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::task::{Context, Poll};
use thiserror::Error;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};

/// Connections that may wait to be accepted; the system may allow fewer.
const BACKLOG: u32 = 4096;

/// Listening TCP sockets as one [`Listener`]. Connections have `TCP_NODELAY` and the options of
/// [`set_options`](Self::set_options).
#[derive(Debug, Default)]
pub struct TcpListeners {
    sockets: Vec<ListeningSocket>,
    options: TcpOptions,
    /// The socket to poll first, so that a busy socket does not delay the others.
    next: usize,
}

/// The server cannot listen at an address.
#[derive(Debug, Error)]
#[error("cannot listen on {address}: {reason}")]
pub struct BindError {
    /// The address as given, or the one of a host's addresses that failed.
    pub address: String,
    /// The system's error.
    reason: io::Error,
}

impl TcpListeners {
    /// Listens at an address such as `localhost:8000`, `0.0.0.0:8000` or `[::1]:0`. A host name
    /// stands for all of its addresses. With port 0 the system chooses a port.
    ///
    /// # Errors
    ///
    /// [`BindError`] if one of the addresses is in use or forbidden. An address that this machine
    /// does not have, such as `::1` without IPv6, is skipped if the host has another.
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
            match ListeningSocket::bind(address, &self.options) {
                Ok(socket) => sockets.push(socket),
                Err(error) if is_absent(&error) => absent = Some(failed(&address, error)),
                Err(error) => return Err(failed(&address, error)),
            }
        }
        match absent {
            Some(error) if sockets.is_empty() => Err(error),
            _ if sockets.is_empty() => Err(failed(&address, ErrorKind::NotFound.into())),
            _ => {
                self.sockets.append(&mut sockets);
                Ok(())
            }
        }
    }

    /// Sets the options of all connections that are accepted from now on.
    pub fn set_options(&mut self, options: TcpOptions) {
        self.options = options;
        for socket in &mut self.sockets {
            socket.set_options(&self.options);
        }
    }

    /// The addresses of the sockets, with their real ports.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let sockets = self.sockets.iter();
        sockets
            .filter_map(|socket| socket.listener.local_addr().ok())
            .collect()
    }

    /// Accepts a connection that has the options.
    async fn accept_stream(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        let accepted = poll_fn(|cx| self.poll_accept(cx)).await?;
        let Accepted {
            stream,
            address,
            has_options,
        } = accepted;
        if !has_options {
            let applied = self.options.apply(&stream);
            // The error concerns this connection: other systems report a reset one so.
            applied.map_err(|error| io::Error::new(ErrorKind::ConnectionAborted, error))?;
        }
        Ok((stream, address))
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
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
    fn from(listener: TcpListener) -> Self {
        let mut listeners = Self::default();
        let mut socket = ListeningSocket {
            listener,
            inheritance: Inheritance::None,
        };
        socket.set_options(&listeners.options);
        listeners.sockets.push(socket);
        listeners
    }
}

impl Listener for TcpListeners {
    type Transport = TcpTransport;

    async fn accept(&mut self) -> io::Result<Incoming<TcpTransport>> {
        let (stream, address) = self.accept_stream().await?;
        Ok(Incoming::new(stream.into(), address.into()).from(address.ip()))
    }
}

/// A connection that was accepted.
#[derive(Debug)]
struct Accepted {
    stream: TcpStream,
    address: SocketAddr,
    /// Whether it inherited the options of the listening socket.
    has_options: bool,
}

#[derive(Debug)]
struct ListeningSocket {
    listener: TcpListener,
    inheritance: Inheritance,
}

/// Which connections inherit the current options from the listening socket, which saves seven system
/// calls per connection on Linux. A connection inherits the options that the listening socket had
/// when the connection was established, which may be long before it is accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Inheritance {
    /// None: the system does not pass options on, or the listening socket refused them.
    None,
    /// Those that are established from now on; others may still wait in the backlog.
    AfterBacklog,
    /// All that are accepted from now on.
    All,
}

impl ListeningSocket {
    fn bind(address: SocketAddr, options: &TcpOptions) -> io::Result<Self> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // A restart need not wait until the system has forgotten the last connections.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        // Before `listen`, so there is no connection yet that could have other options.
        let inheritance = match has_taken(&socket, options) {
            true => Inheritance::All,
            false => Inheritance::None,
        };
        let listener = socket.listen(BACKLOG)?;
        Ok(Self {
            listener,
            inheritance,
        })
    }

    fn set_options(&mut self, options: &TcpOptions) {
        self.inheritance = match has_taken(&self.listener, options) {
            true => Inheritance::AfterBacklog,
            false => Inheritance::None,
        };
    }

    fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Accepted>> {
        let accepted = match self.listener.poll_accept(cx) {
            Poll::Pending if self.inheritance == Inheritance::AfterBacklog => {
                // The runtime may not know of the backlog yet, the system does.
                match self.accept_now() {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {
                        self.inheritance = Inheritance::All;
                        return Poll::Pending;
                    }
                    accepted => accepted,
                }
            }
            Poll::Pending => return Poll::Pending,
            Poll::Ready(accepted) => accepted,
        };
        let (stream, address) = accepted?;
        Poll::Ready(Ok(Accepted {
            stream,
            address,
            has_options: self.inheritance == Inheritance::All,
        }))
    }

    /// Accepts a connection from the backlog without asking the runtime.
    fn accept_now(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (socket, address) = SockRef::from(&self.listener).accept()?;
        socket.set_nonblocking(true)?;
        let address = address.as_socket().ok_or(ErrorKind::InvalidData)?;
        Ok((TcpStream::from_std(socket.into())?, address))
    }
}

/// Gives the listening socket these options. Whether connections inherit them.
fn has_taken<'s>(socket: impl Into<SockRef<'s>>, options: &TcpOptions) -> bool {
    cfg!(target_os = "linux") && options.apply(socket).is_ok()
}

/// Whether this machine does not have the address, or addresses of its kind.
fn is_absent(error: &io::Error) -> bool {
    // EAFNOSUPPORT has no `ErrorKind`.
    const EAFNOSUPPORT: i32 = 97;
    error.kind() == ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(EAFNOSUPPORT)
}

#[cfg(test)]
mod tests;
