//! Browsers and TCP peers in one hub: a transport over axum's WebSocket, and a page that uses it.
//!
//! ```text
//! cargo run --example websocket           http://127.0.0.1:8080 in a browser, or two
//! nc localhost 8000                       in another terminal
//! ```
//!
//! Each peer sees what the others type. Ctrl-C shuts both listeners down gracefully. To let a
//! phone in, give an address that it can reach, and optionally one for TCP:
//!
//! ```text
//! cargo run --example websocket -- 192.0.2.1:8080 localhost:8000
//! ```

use async_trait::async_trait;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::extract::{ConnectInfo, State};
use axum::http::header::{CONNECTION, ORIGIN};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum::serve::ListenerExt;
use axum::{Extension, Router, routing::get};
use chat_core::transport::{Attempt, DeliverHalf, Feed, Inbox, ReceiveHalf, Received, Transport};
use chat_core::{Hub, HubConfig, LeaveReason, Name};
use chat_server::{Incoming, Listener, ServerConfig, TcpListeners, serve};
use futures_util::stream::{Peekable, SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::process::ExitCode;
use std::{env, error::Error, io, pin::Pin, sync::Arc, time::Duration};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;

/// Bytes: as much as a TCP peer may send without ending its line. The hub refuses long lines.
const MAX_MESSAGE: usize = 64 * 1024;

/// Bytes. Chat is short, and axum would allocate 128 KiB for each peer.
const READ_BUFFER: usize = 4 * 1024;

/// Bytes. hyper would buffer 400 KiB of a request for each connection.
const MAX_REQUEST: usize = 16 * 1024;

/// A connection that has not become a peer within this time is closed.
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// The most connections that are not peers yet. Further ones wait to be accepted.
const MAX_HTTP: usize = 256;

/// The same from one address. Further ones are closed.
const MAX_HTTP_PER_ADDRESS: usize = 16;

/// The most WebSockets that wait for the server to accept them. Further upgrades wait.
const MAX_JOINING: usize = 64;

/// With the connections above, fewer than the 1,024 descriptors that a process usually may have.
const MAX_PEERS: usize = 500;

// The transport: a text message is one or more lines, in both directions.

struct WebSocketTransport(WebSocket);

impl Transport for WebSocketTransport {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        let (sink, stream) = self.0.split();
        (
            Box::new(Receiver(stream.peekable())),
            Box::new(Deliverer(sink)),
        )
    }
}

struct Receiver(Peekable<SplitStream<WebSocket>>);

#[async_trait]
impl ReceiveHalf for Receiver {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        let mut messages = Pin::new(&mut self.0);
        let mut budget = inbox.capacity();
        loop {
            let message = messages.next().await.transpose();
            let bytes = match message.map_err(io::Error::other)? {
                Some(Message::Text(text)) => {
                    inbox.text(&text);
                    text.len()
                }
                // As over TCP, invalid UTF-8 is replaced.
                Some(Message::Binary(bytes)) => {
                    inbox.text(&String::from_utf8_lossy(&bytes));
                    bytes.len()
                }
                // The library answers pings, which do not reset the idle timeout.
                Some(Message::Ping(bytes) | Message::Pong(bytes)) => bytes.len(),
                Some(Message::Close(_)) | None => return Ok(Received::End),
            };
            budget = budget.saturating_sub(bytes + 1);
            if budget == 0 {
                return Ok(Received::More);
            }
            // One call takes every message that is available, as the session publishes what a call
            // receives together.
            if messages.as_mut().peek().now_or_never().flatten().is_none() {
                return Ok(Received::More);
            }
        }
    }
}

struct Deliverer(SplitSink<WebSocket, Message>);

#[async_trait]
impl DeliverHalf for Deliverer {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        // Nothing is taken before the last message is written: a browser that does not read costs
        // one batch here, and its cursor in the log.
        self.0.flush().await.map_err(io::Error::other)?;
        let lines = feed.take();
        if lines.is_empty() {
            return Ok(());
        }
        let sent = self.0.send(Message::Text(lines.into())).await;
        sent.map_err(io::Error::other)
    }

    fn try_deliver(&mut self, lines: &[u8]) -> io::Result<Attempt> {
        // As above, nothing is taken before the last message is written.
        if !poll_once(self.0.flush())? {
            return Ok(Attempt::Partial(0));
        }
        let message = Message::Text(String::from_utf8_lossy(lines).into_owned().into());
        if !poll_once(self.0.feed(message))? {
            return Ok(Attempt::Partial(0));
        }
        Ok(match poll_once(self.0.flush())? {
            true => Attempt::Complete,
            false => Attempt::Partial(lines.len()),
        })
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

/// Polls a future of the sink once. Returns whether it is done.
fn poll_once(done: impl Future<Output = Result<(), axum::Error>>) -> io::Result<bool> {
    let done = done.now_or_never().transpose();
    done.map(|done| done.is_some()).map_err(io::Error::other)
}

// The listener for both kinds of peers, so that one server counts and drains them all.

type Peer = Incoming<Box<dyn Transport>>;

struct Listeners {
    tcp: TcpListeners,
    web: mpsc::Receiver<Peer>,
}

impl Listener for Listeners {
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

// HTTP.

struct Web {
    /// The origins of our own page.
    origins: Vec<String>,
    peers: mpsc::Sender<Peer>,
}

impl Web {
    fn router(self) -> Router {
        Router::new()
            .route("/", get(page))
            .route("/chat", get(join))
            .with_state(Arc::new(self))
    }
}

async fn page() -> impl IntoResponse {
    // A browser opens another connection for the WebSocket.
    (
        [(CONNECTION, "close")],
        Html(include_str!("websocket.html")),
    )
}

async fn join(
    State(web): State<Arc<Web>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    // Any page can make its reader's browser connect to this machine, but cannot forge its origin.
    // The origin is compared with a list, not with the Host header: DNS rebinding can give both the
    // same foreign name. A client that sends no origin is not a browser.
    let is_foreign = headers
        .get(ORIGIN)
        .is_some_and(|origin| !web.origins.iter().any(|own| origin == own));
    if is_foreign {
        return (StatusCode::FORBIDDEN, "foreign origin\n").into_response();
    }
    let Ok(name) = Name::assigned(&format!("web:{address}")) else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    // Fails when the server is shutting down.
    let Ok(place) = web.peers.clone().reserve_owned().await else {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    upgrade
        .max_message_size(MAX_MESSAGE)
        .max_frame_size(MAX_MESSAGE)
        .read_buffer_size(READ_BUFFER)
        .on_upgrade(async move |socket| {
            let transport: Box<dyn Transport> = Box::new(WebSocketTransport(socket));
            place.send(Incoming::new(transport, name).from(address.ip()));
        })
}

/// Serves HTTP. A WebSocket outlives its HTTP connection.
async fn serve_http(mut listener: impl axum::serve::Listener<Addr = SocketAddr>, router: Router) {
    let places = Arc::new(Semaphore::new(MAX_HTTP));
    let mut addresses: HashMap<IpAddr, Arc<Semaphore>> = HashMap::new();
    loop {
        let place = places.clone().acquire_owned().await;
        let place = place.expect("the semaphore is never closed");
        let (stream, address) = listener.accept().await;
        addresses.retain(|_, places| places.available_permits() < MAX_HTTP_PER_ADDRESS);
        let own_places = addresses
            .entry(address.ip())
            .or_insert_with(|| Arc::new(Semaphore::new(MAX_HTTP_PER_ADDRESS)));
        let Ok(own_place) = own_places.clone().try_acquire_owned() else {
            continue;
        };
        let router = router.clone().layer(Extension(ConnectInfo(address)));
        tokio::spawn(async move {
            let _places = (place, own_place);
            let connection = http1::Builder::new()
                .max_buf_size(MAX_REQUEST)
                .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router))
                .with_upgrades();
            // A time limit for everything: the request, the response, and an idle connection.
            let _ = timeout(HTTP_TIMEOUT, connection).await;
        });
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let http = arguments.next().unwrap_or("127.0.0.1:8080".into());
    let tcp = arguments.next().unwrap_or("localhost:8000".into());
    if arguments.next().is_some() || !http.contains(':') || !tcp.contains(':') {
        eprintln!("usage: websocket [HTTP_ADDRESS:PORT [TCP_ADDRESS:PORT]]");
        return ExitCode::from(2);
    }
    match run(&http, &tcp).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("websocket: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(http: &str, tcp: &str) -> Result<(), Box<dyn Error>> {
    let tcp = TcpListeners::bind(tcp).await?;
    let bound = TcpListener::bind(http).await;
    let http = bound.map_err(|error| format!("cannot listen on {http}: {error}"))?;
    let address = http.local_addr()?;
    // Batches are complete: Nagle's algorithm could only delay them.
    let http = http.tap_io(|stream| drop(stream.set_nodelay(true)));
    println!("http://{address}");
    for address in tcp.addresses() {
        println!("listening on {address}");
    }

    let mut origins = vec![format!("http://{address}")];
    if address.ip().is_loopback() {
        origins.push(format!("http://localhost:{}", address.port()));
    }
    let (peers, web) = mpsc::channel(MAX_JOINING);
    tokio::spawn(serve_http(http, Web { origins, peers }.router()));

    let hub = Hub::new(HubConfig::default());
    let mut config = ServerConfig::default();
    config.max_peers = MAX_PEERS;
    let shutdown = {
        let hub = hub.clone();
        async move {
            if let Err(error) = tokio::signal::ctrl_c().await {
                eprintln!("cannot wait for Ctrl-C: {error}");
            }
            // All members leave at once, so no departure is announced.
            hub.close();
        }
    };
    serve(Listeners { tcp, web }, hub, config, shutdown).await;
    Ok(())
}

#[cfg(test)]
#[path = "websocket/tests.rs"]
mod tests;
