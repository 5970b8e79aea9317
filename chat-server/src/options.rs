//! What the system does for a TCP connection.

use socket2::{SockRef, TcpKeepalive};
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;

/// A peer that gives no sign of life to a question gets six, ten seconds apart.
const BETWEEN_QUESTIONS: Duration = Duration::from_secs(10);
const QUESTIONS: u32 = 6;

/// What the system is asked to do for each connection of a [`TcpListeners`](crate::TcpListeners).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TcpOptions {
    /// A connection on which nothing has come for this long is asked whether its peer is still
    /// there, in whole seconds; default 60 s, `None` for never. Who is gone without a word is found
    /// so, a minute later: a plain `nc` cannot answer a question of ours.
    pub keepalive: Option<Duration>,

    /// A peer that confirms nothing of what was sent to it for this long is gone; default 30 s,
    /// `None` for what the system does, some 15 minutes. It counts as well against peers that are
    /// there and take nothing, so it should not be less than the session's `stall_timeout`.
    /// Linux only.
    pub user_timeout: Option<Duration>,

    /// The system takes no more than this ahead of what a peer can receive; default 16 KiB. Else it
    /// takes megabytes: that is memory for a peer that never reads, and makes one that reads
    /// slowly look stalled, since the socket is only writable again when a third of that is
    /// free. Linux only.
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
    pub(crate) fn apply(&self, stream: &TcpStream) -> io::Result<()> {
        let socket = SockRef::from(stream);
        // The hub coalesces, so that Nagle's algorithm could only delay.
        socket.set_tcp_nodelay(true)?;
        if let Some(after) = self.keepalive {
            let questions = TcpKeepalive::new()
                .with_time(after)
                .with_interval(BETWEEN_QUESTIONS)
                .with_retries(QUESTIONS);
            socket.set_tcp_keepalive(&questions)?;
        }
        #[cfg(target_os = "linux")]
        {
            socket.set_tcp_user_timeout(self.user_timeout)?;
            socket.set_tcp_notsent_lowat(self.unsent_bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// From outside not all of them can be seen, and what they do only in minutes.
    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn all_are_asked_for() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let peer = TcpStream::connect(listener.local_addr().unwrap());
        let _peer = peer.await.unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let options = TcpOptions {
            keepalive: Some(Duration::from_secs(7)),
            user_timeout: Some(Duration::from_secs(8)),
            unsent_bytes: 9000,
        };
        options.apply(&stream).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.tcp_nodelay().unwrap());
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(7));
        let between = socket.tcp_keepalive_interval().unwrap();
        assert_eq!(between, Duration::from_secs(10));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 6);
        assert_eq!(socket.tcp_user_timeout().unwrap(), options.user_timeout);
        assert_eq!(socket.tcp_notsent_lowat().unwrap(), 9000);
    }
}
