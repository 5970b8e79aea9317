//! Peers that exchange bytes over TCP to a server in this process, as `nc` would.
//!
//! Time is real here, and no test sleeps. A test knows that an event has happened once a peer has
//! received it, and that a text was not published once a peer receives the next one in its place.

use crate::within;
use chat_core::session::Naming;
use chat_core::{Hub, HubConfig};
use chat_server::{ServerConfig, TcpListeners, serve};
use std::fmt::{self, Display};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The deadline of every wait; the only duration on which a test depends.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A server in this process, on a port of its own.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Server {
    /// A server with the default configuration, but with more time for peers to close.
    pub async fn start() -> Self {
        Self::with(|_, _| {}).await
    }

    /// A server whose configuration `change` has adapted.
    pub async fn with(change: impl FnOnce(&mut HubConfig, &mut ServerConfig)) -> Self {
        let (mut hub, mut config) = (HubConfig::default(), ServerConfig::default());
        // A test on a busy machine may close late.
        config.session.linger = DEADLINE;
        change(&mut hub, &mut config);
        let listeners = TcpListeners::bind("127.0.0.1:0").await.expect("a port");
        let address = listeners.addresses()[0];
        let (shutdown, signal) = oneshot::channel();
        let serving = tokio::spawn(async move {
            let hub = Hub::new(hub);
            let shutdown = {
                let hub = hub.clone();
                async move {
                    signal.await.unwrap_or(());
                    // As the binary does.
                    hub.close();
                }
            };
            serve(listeners, hub, config, shutdown).await;
        });
        Self {
            address,
            shutdown,
            serving,
        }
    }

    /// A server that asks each peer for its name.
    pub async fn asking() -> Self {
        Self::with(|_, config| config.session.naming = Naming::Ask).await
    }

    /// The address to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new peer that has not read anything.
    pub async fn connect(&self) -> Peer {
        let stream = within(DEADLINE, "connect", TcpStream::connect(self.address)).await;
        Peer::new(stream.expect("the server accepts"))
    }

    /// A new peer that has read its greeting. `others` are all present peers, in the order of
    /// arrival; each of them has read the arrival.
    pub async fn newcomer(&self, others: &mut [&mut Peer]) -> Peer {
        let newcomer = self.connect().await;
        Self::read_greeting(newcomer, others).await
    }

    /// Like [`newcomer`](Self::newcomer), with a small receive buffer.
    pub async fn newcomer_with_small_buffer(&self, others: &mut [&mut Peer]) -> Peer {
        let socket = TcpSocket::new_v4().expect("a socket");
        let set = socket.set_recv_buffer_size(4096);
        set.expect("a socket option");
        let stream = within(DEADLINE, "connect", socket.connect(self.address)).await;
        let newcomer = Peer::new(stream.expect("the server accepts"));
        Self::read_greeting(newcomer, others).await
    }

    async fn read_greeting(mut newcomer: Peer, others: &mut [&mut Peer]) -> Peer {
        newcomer.expect_line(&format!("You are {newcomer}")).await;
        if !others.is_empty() {
            let names = Vec::from_iter(others.iter().map(|other| other.name()));
            let roster = format!("Here now: {}", names.join(", "));
            newcomer.expect_line(&roster).await;
        }
        for other in others {
            other.expect_line(&format!("{newcomer} has arrived")).await;
        }
        newcomer
    }

    /// The first peers of an empty server. Each has read the arrivals of the later ones.
    pub async fn peers<const N: usize>(&self) -> [Peer; N] {
        let mut peers = Vec::with_capacity(N);
        for _ in 0..N {
            let mut others = Vec::from_iter(&mut peers);
            let newcomer = self.newcomer(&mut others).await;
            peers.push(newcomer);
        }
        peers.try_into().expect("there are N peers")
    }

    /// Begins the shutdown; the future completes once the server has stopped.
    pub fn shut_down(self) -> impl Future<Output = ()> {
        self.shutdown.send(()).expect("the server runs");
        async {
            within(DEADLINE, "drain", self.serving)
                .await
                .expect("no panic")
        }
    }
}

/// A peer that sends and reads raw bytes. It is displayed as its name, at first its address.
#[derive(Debug)]
pub struct Peer {
    name: String,
    reader: OwnedReadHalf,
    /// `None` after a half-close.
    writer: Option<OwnedWriteHalf>,
    /// All received bytes; the first `read` of them have been returned.
    received: Vec<u8>,
    read: usize,
    ended: bool,
}

impl Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Peer {
    /// A peer on a connection that the test has made.
    pub fn new(stream: TcpStream) -> Self {
        let name = stream.local_addr().expect("connected").to_string();
        // Two writes are to arrive as two reads.
        stream.set_nodelay(true).expect("a socket option");
        let (reader, writer) = stream.into_split();
        Self {
            name,
            reader,
            writer: Some(writer),
            received: Vec::new(),
            read: 0,
            ended: false,
        }
    }

    /// The name that other members see.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Sets the name that the server uses from now on.
    pub fn set_name(&mut self, name: &str) {
        self.name = name.to_owned();
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let writer = self.writer.as_mut().expect("no half-close so far");
        let sent = within(DEADLINE, "send", writer.write_all(bytes.as_ref())).await;
        sent.expect("the server reads the input");
    }

    /// Publishes a text; this peer and `others` receive the line next.
    pub async fn publish(&mut self, text: &str, others: &mut [&mut Peer]) {
        self.send(format!("{text}\n")).await;
        let line = format!("{self}: {text}");
        self.expect_line(&line).await;
        for other in others {
            other.expect_line(&line).await;
        }
    }

    /// Publishes numbered lines of 1,000 bytes and returns them as received.
    pub async fn flood(&mut self, lines: usize) -> String {
        let text = "x".repeat(1000);
        let mut received = String::new();
        for first in (0..lines).step_by(50) {
            let batch = first..lines.min(first + 50);
            let count = batch.len();
            let input: String = batch.map(|n| format!("{n} {text}\n")).collect();
            self.send(input).await;
            received += &self.next_lines(count).await;
        }
        received
    }

    /// Takes another name; this peer and `others` receive the renaming next.
    pub async fn rename(&mut self, name: &str, others: &mut [&mut Peer]) {
        self.send(format!("/name {name}\n")).await;
        let line = format!("{self} is now {name}");
        self.expect_line(&line).await;
        for other in others {
            other.expect_line(&line).await;
        }
        self.set_name(name);
    }

    /// The next line without its ending; the end of the stream fails the test.
    pub async fn line(&mut self) -> String {
        match self.next_line().await {
            Some(line) => line,
            None => panic!("{self}: end of stream instead of a line; {}", self.so_far()),
        }
    }

    /// The next line, or `None` at the end of the stream, which must not be within a line.
    pub async fn next_line(&mut self) -> Option<String> {
        let mut looked_at = self.read;
        loop {
            let found = self.received[looked_at..].iter().position(|&b| b == b'\n');
            if let Some(length) = found {
                let line = self.received[self.read..looked_at + length].to_vec();
                self.read = looked_at + length + 1;
                return Some(String::from_utf8(line).expect("lines are UTF-8"));
            }
            looked_at = self.received.len();
            if !self.receive().await {
                assert_eq!(
                    self.read,
                    looked_at,
                    "partial line at the end; {}",
                    self.so_far()
                );
                return None;
            }
        }
    }

    /// The next `count` lines with their endings.
    pub async fn next_lines(&mut self, count: usize) -> String {
        let mut lines = String::new();
        for _ in 0..count {
            lines += &self.line().await;
            lines.push('\n');
        }
        lines
    }

    /// Asserts the next line.
    pub async fn expect_line(&mut self, expected: &str) {
        let line = self.line().await;
        assert_eq!(line, expected, "{self}; {}", self.so_far());
    }

    /// Asserts the next lines.
    pub async fn expect_lines(&mut self, expected: &[&str]) {
        for line in expected {
            self.expect_line(line).await;
        }
    }

    /// Asserts that the server has ended the stream and that nothing is unread.
    pub async fn expect_end(&mut self) {
        let rest = self.rest().await;
        assert_eq!(rest, "", "{self} received more before the end");
    }

    /// The unread rest of the stream, up to its end.
    pub async fn rest(&mut self) -> String {
        while self.receive().await {}
        let rest = self.received[self.read..].to_vec();
        self.read = self.received.len();
        String::from_utf8(rest).expect("lines are UTF-8")
    }

    /// The whole stream, up to its end.
    pub async fn whole_stream(&mut self) -> String {
        self.read = 0;
        self.rest().await
    }

    /// Shuts down the sending side and keeps the receiving side open, as `nc -N` does.
    pub fn half_close(&mut self) {
        assert!(self.writer.take().is_some(), "first half-close");
    }

    /// The sending side, for a separate task. Dropping it is a half-close.
    pub fn take_writer(&mut self) -> OwnedWriteHalf {
        self.writer.take().expect("no half-close so far")
    }

    /// Resets the connection.
    pub fn reset(self) {
        let writer = self.writer.expect("no half-close so far");
        let stream = self.reader.reunite(writer).expect("halves of one");
        stream.set_zero_linger().expect("a socket option");
    }

    /// Receives more of the stream; `false` at its end.
    async fn receive(&mut self) -> bool {
        if self.ended {
            return false;
        }
        let reading = self.reader.read_buf(&mut self.received);
        match tokio::time::timeout(DEADLINE, reading).await {
            Ok(Ok(bytes)) => self.ended = bytes == 0,
            Ok(Err(error)) => panic!("{self}: {error}; {}", self.so_far()),
            Err(_) => panic!("{self}: no bytes for {DEADLINE:?}; {}", self.so_far()),
        }
        !self.ended
    }

    fn so_far(&self) -> String {
        let from = self.received.len().saturating_sub(1000);
        let received = String::from_utf8_lossy(&self.received[from..]);
        format!("received so far: {received:?}")
    }
}
