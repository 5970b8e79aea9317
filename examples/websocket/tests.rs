//! The transport keeps the rules: `chat_core::testkit` plays with it from a browser's end.

use super::{MAX_MESSAGE, READ_BUFFER, WebSocketTransport};
use async_trait::async_trait;
use axum::extract::State;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;
use axum::{Router, routing::get};
use chat_core::testkit::{self, Check, Remote};
use futures_util::{SinkExt, StreamExt};
use std::io;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Little, so that buffers are full early.
const NARROW: u32 = 4096;

/// A browser.
struct Browser {
    /// None when it has broken the connection.
    socket: Option<WebSocketStream<TcpStream>>,
    /// Whether the hub's end has closed it.
    closed: bool,
}

impl Browser {
    async fn connect(listener: std::net::SocketAddr) -> io::Result<Self> {
        let stream = TcpSocket::new_v4()?;
        stream.set_recv_buffer_size(NARROW)?;
        let stream = stream.connect(listener).await?;
        stream.set_nodelay(true)?;
        let connected = client_async(format!("ws://{listener}/"), stream).await;
        let (socket, _) = connected.map_err(io::Error::other)?;
        Ok(Self {
            socket: Some(socket),
            closed: false,
        })
    }

    fn socket(&mut self) -> io::Result<&mut WebSocketStream<TcpStream>> {
        let gone = io::ErrorKind::NotConnected;
        self.socket.as_mut().ok_or_else(|| gone.into())
    }
}

#[async_trait]
impl Remote for Browser {
    async fn send(&mut self, text: &str) -> io::Result<()> {
        let sent = self.socket()?.send(Message::text(text)).await;
        sent.map_err(io::Error::other)
    }

    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        if self.closed {
            return Ok(None);
        }
        let message = self.socket()?.next().await;
        match message.transpose().map_err(io::Error::other)? {
            Some(Message::Close(_)) | None => {
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

    /// Who has closed a WebSocket says that it is not interested any more.
    fn half_closes(&self) -> bool {
        false
    }

    async fn reset(&mut self) -> io::Result<()> {
        self.socket = None;
        Ok(())
    }
}

type Sockets = mpsc::Sender<WebSocketTransport>;

async fn accept(State(sockets): State<Sockets>, upgrade: WebSocketUpgrade) -> Response {
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .read_buffer_size(READ_BUFFER)
        .on_upgrade(async move |socket| {
            let _ = sockets.send(WebSocketTransport(socket)).await;
        })
}

#[tokio::test]
async fn a_web_socket_keeps_the_rules_of_a_transport() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let (accepted, mut sockets) = mpsc::channel(1);
    let app = Router::new().route("/", get(accept)).with_state(accepted);
    tokio::spawn(async { axum::serve(listener, app).await });
    let report = testkit::check(async || {
        let browser = Browser::connect(address).await?;
        let socket = sockets.recv().await;
        Ok((socket.ok_or(io::ErrorKind::NotConnected)?, browser))
    });
    let report = report.await;
    report.assert_passed_but(&[Check::PartsOfLines, Check::HalfClose]);
    Ok(())
}
