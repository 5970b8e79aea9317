//! Socket options of TCP connections.

use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::time::Duration;

/// The range that Linux accepts; a value beyond it would fail for each connection.
const MAX_KEEPALIVE: Duration = Duration::from_secs(32_767);
const MAX_USER_TIMEOUT: Duration = Duration::from_millis(i32::MAX as u64);

/// A peer that does not answer a keepalive probe is sent six of them, ten seconds apart.
const PROBE_INTERVAL: Duration = Duration::from_secs(10);
const PROBES: u32 = 6;

/// Socket options for the connections of a [`TcpListeners`](crate::TcpListeners).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TcpOptions {
    /// Silence after which the system probes whether the peer is still there, in whole seconds from 1
    /// to 32,767; default 60 s, `None` for never. The connection of a peer that has vanished fails a minute
    /// later. The protocol has no ping of the server's that a plain `nc` could answer.
    pub keepalive: Option<Duration>,

    /// Time after which a connection fails if the peer acknowledges nothing of what was sent; default
    /// 30 s, `None` for the system's own limit, about 15 minutes. The time also counts against a peer that is
    /// there and takes nothing, so it should not be less than the session's `stall_timeout`. Linux
    /// only.
    pub user_timeout: Option<Duration>,

    /// Bytes that the system accepts ahead of what the peer can receive; default 16 KiB. Without this
    /// limit the system accepts megabytes. A peer that never reads then occupies that memory, and a peer that
    /// reads slowly looks stalled, because the socket becomes writable only when a third of
    /// it is free. Linux only.
    pub unsent_bytes: u32,
}

impl Default for TcpOptions {
    fn default() -> Self {
        Self {
            keepalive: Some(Duration::from_secs(60)),
            user_timeout: Some(Duration::from_secs(30)),
            unsent_bytes: 16 * 1024,
        }
    }
}

impl TcpOptions {
    /// Sets the options of a connection, or of a listening socket for its connections to inherit.
    pub(crate) fn apply<'s>(&self, socket: impl Into<SockRef<'s>>) -> io::Result<()> {
        let socket = socket.into();
        // The hub coalesces, so Nagle's algorithm would only add delay.
        socket.set_tcp_nodelay(true)?;
        match self.keepalive {
            Some(after) => {
                let probes = TcpKeepalive::new()
                    .with_time(after.clamp(Duration::from_secs(1), MAX_KEEPALIVE))
                    .with_interval(PROBE_INTERVAL)
                    .with_retries(PROBES);
                socket.set_tcp_keepalive(&probes)?;
            }
            None => socket.set_keepalive(false)?,
        }
        #[cfg(target_os = "linux")]
        {
            let user_timeout = self.user_timeout;
            // Zero would be the system's own limit.
            let user_timeout =
                user_timeout.map(|limit| limit.clamp(Duration::from_millis(1), MAX_USER_TIMEOUT));
            socket.set_tcp_user_timeout(user_timeout)?;
            socket.set_tcp_notsent_lowat(self.unsent_bytes)?;
        }
        Ok(())
    }
}
