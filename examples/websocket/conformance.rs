//! The transport, checked by `chat_core::testkit` from a browser's end.

use super::*;
use chat_core::testkit::{self, Check, Remote};
use tokio::net::{TcpSocket, TcpStream};

/// Small, so that buffers are full early.
const RECEIVE_BUFFER: u32 = 4096;

/// The browser's end.
struct Browser {
    /// `None` after a reset.
    socket: Option<WebSocketStream<TcpStream>>,
    /// Whether the hub's end has closed it.
    closed: bool,
}

impl Browser {
    async fn connect(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        let stream = socket.connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self {
            socket: Some(upgrade(stream).await?),
            closed: false,
        })
    }

    fn socket(&mut self) -> io::Result<&mut WebSocketStream<TcpStream>> {
        let socket = self.socket.as_mut();
        socket.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

#[async_trait]
impl Remote for Browser {
    async fn send(&mut self, text: &str) -> io::Result<()> {
        let sent = self.socket()?.send(Frame::text(text)).await;
        sent.map_err(io::Error::other)
    }

    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.closed {
            return Ok(None);
        }
        let message = self.socket()?.next().await;
        match message.transpose().map_err(io::Error::other)? {
            Some(Frame::Close(_)) | None => {
                self.closed = true;
                Ok(None)
            }
            Some(message) => Ok(Some(message.into_data().into())),
        }
    }

    async fn finish(&mut self) -> io::Result<()> {
        // Answers if the hub's end was first.
        let closed = SinkExt::close(self.socket()?).await;
        closed.map_err(io::Error::other)
    }

    /// After a closing handshake, neither end sends anything.
    fn half_closes(&self) -> bool {
        false
    }

    async fn reset(&mut self) -> io::Result<()> {
        self.socket = None;
        Ok(())
    }
}

#[tokio::test]
async fn passes_all_checks() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let mut joined = spawn_server(listener);
    let report = testkit::check(async || {
        let browser = Browser::connect(address).await?;
        let peer = joined.recv().await.ok_or(io::ErrorKind::NotConnected)?;
        Ok((peer.transport, browser))
    });
    let report = report.await;
    report.assert_passed_but(&[Check::PartialLines, Check::HalfClose]);
    assert_eq!(report.not_applicable(), [], "{report}");
    Ok(())
}
