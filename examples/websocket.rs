//! Browsers and TCP peers in one hub: a transport over axum's WebSocket, and a page that speaks it.
//!
//! ```text
//! cargo run --example websocket           http://127.0.0.1:8080 in a browser, or two
//! nc localhost 8000                       in another terminal
//! ```
//!
//! You will see in each what is typed in the others. Ctrl-C ends it in order, for both kinds. To
//! let a phone in, give the address that it can reach, and the one for TCP if that is to change:
//!
//! ```text
//! cargo run --example websocket -- 192.0.2.1:8080 localhost:8000
//! ```

use async_trait::async_trait;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{ConnectInfo, State};
use axum::http::{HeaderMap, StatusCode, header::ORIGIN};
use axum::response::{Html, IntoResponse, Response};
use axum::serve::ListenerExt;
use axum::{Router, routing::get};
use chat_core::transport::{DeliverHalf, Feed, Inbox, ReceiveHalf, Received, Transport};
use chat_core::{Hub, HubConfig, LeaveReason, Name};
use chat_server::{Incoming, Listener, ServerConfig, TcpListeners, serve};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use std::net::SocketAddr;
use std::{env, error::Error, io, sync::Arc};
use tokio::{net::TcpListener, sync::mpsc};

/// As much as a TCP peer may send without ending its line. The hub refuses long lines itself.
const MAX_MESSAGE: usize = 64 * 1024;

/// Chat is short, and axum would hold 128 KiB for each peer.
const READ_BUFFER: usize = 4 * 1024;

// The transport: a text message is one or more lines, in both directions.

struct WebSocketTransport(WebSocket);

impl Transport for WebSocketTransport {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        let (sink, stream) = self.0.split();
        (Box::new(Receiving(stream)), Box::new(Delivering(sink)))
    }
}

struct Receiving(SplitStream<WebSocket>);

#[async_trait]
impl ReceiveHalf for Receiving {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        match self.0.next().await.transpose().map_err(io::Error::other)? {
            Some(Message::Text(text)) => inbox.text(&text),
            // As over TCP: what is no UTF-8 is shown as such.
            Some(Message::Binary(bytes)) => inbox.text(&String::from_utf8_lossy(&bytes)),
            // The library has answered; a ping is not a line, so it keeps nobody from idling out.
            Some(Message::Ping(_) | Message::Pong(_)) => {}
            Some(Message::Close(_)) | None => return Ok(Received::End),
        }
        Ok(Received::More)
    }
}

struct Delivering(SplitSink<WebSocket, Message>);

#[async_trait]
impl DeliverHalf for Delivering {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        // Nothing is taken before the last message is gone, so a browser that does not read holds
        // one batch here, and its place in the log.
        self.0.flush().await.map_err(io::Error::other)?;
        let lines = feed.take();
        if lines.is_empty() {
            return Ok(());
        }
        let sent = self.0.send(Message::Text(lines.into())).await;
        sent.map_err(io::Error::other)
    }

    async fn close(&mut self, reason: LeaveReason) -> io::Result<()> {
        let close = CloseFrame {
            code: match reason {
                LeaveReason::Closed => close_code::AWAY,
                LeaveReason::Misbehaved => close_code::POLICY,
                _ => close_code::NORMAL,
            },
            reason: "".into(),
        };
        let sent = self.0.send(Message::Close(Some(close))).await;
        sent.map_err(io::Error::other)
    }
}

// The doors: one listener for both kinds, so that one server counts, attends and drains them all.

type Peer = Incoming<Box<dyn Transport>>;

struct Doors {
    tcp: TcpListeners,
    web: mpsc::Receiver<Peer>,
}

impl Listener for Doors {
    type Transport = Box<dyn Transport>;

    async fn accept(&mut self) -> io::Result<Peer> {
        tokio::select! {
            Some(peer) = self.web.recv() => Ok(peer),
            accepted = self.tcp.accept() => {
                Ok(accepted?.map(|transport| Box::new(transport) as Box<dyn Transport>))
            }
        }
    }
}

struct Web {
    /// Where our own page comes from.
    origins: Vec<String>,
    peers: mpsc::Sender<Peer>,
}

async fn join(
    State(web): State<Arc<Web>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    // Any page in the world can make its reader's browser connect to this machine, but cannot
    // hide where it comes from. The list, rather than the Host header, is what to compare with:
    // by DNS rebinding, both can be a stranger's. Who sends no origin is no browser.
    let stranger = headers
        .get(ORIGIN)
        .is_some_and(|origin| !web.origins.iter().any(|ours| origin == ours));
    if stranger {
        return (StatusCode::FORBIDDEN, "not from this page\n").into_response();
    }
    let Ok(name) = Name::assigned(&format!("web:{address}")) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .read_buffer_size(READ_BUFFER)
        .on_upgrade(async move |socket| {
            // Fails when the server is going down; then the connection is dropped.
            let transport: Box<dyn Transport> = Box::new(WebSocketTransport(socket));
            let peer = Incoming::new(transport, name).from(address.ip());
            let _ = web.peers.send(peer).await;
        })
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut args = env::args().skip(1);
    let http_at = args.next().unwrap_or("127.0.0.1:8080".into());
    let tcp_at = args.next().unwrap_or("localhost:8000".into());

    let tcp = TcpListeners::bind(&tcp_at).await?;
    let http = TcpListener::bind(http_at).await?;
    let address = http.local_addr()?;
    println!("http://{address}");
    for address in tcp.addresses() {
        println!("listening on {address}");
    }

    let mut origins = vec![format!("http://{address}")];
    if address.ip().is_loopback() {
        origins.push(format!("http://localhost:{}", address.port()));
    }
    let (peers, web) = mpsc::channel(64);
    let app = Router::new()
        .route("/", get(async || Html(include_str!("websocket.html"))))
        .route("/chat", get(join))
        .with_state(Arc::new(Web { origins, peers }))
        .into_make_service_with_connect_info::<SocketAddr>();
    // Batches are whole already: waiting for more to send could only delay them.
    let http = http.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });

    let hub = Hub::new(HubConfig::default());
    let shutdown = {
        let hub = hub.clone();
        async move {
            if let Err(error) = tokio::signal::ctrl_c().await {
                eprintln!("cannot wait for Ctrl-C: {error}");
            }
            // All leave at once, so no departure is announced.
            hub.close();
        }
    };
    tokio::select! {
        // Ends when the last peer has got everything, whichever door it came by.
        _ = serve(Doors { tcp, web }, hub, ServerConfig::default(), shutdown) => Ok(()),
        served = async { axum::serve(http, app).await } => Ok(served?),
    }
}

#[cfg(test)]
#[path = "websocket/tests.rs"]
mod tests;
