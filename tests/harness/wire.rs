//! Peers that speak bytes over TCP to a server in this process, as `nc` would.
//!
//! Time is real here, so nothing sleeps: a test knows that something has happened because it has
//! heard of it, and that something was not published because the next thing said comes next.

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

/// What takes longer than this fails the test, which depends on no other measure of speed.
const DEADLINE: Duration = Duration::from_secs(20);

/// Gives what comes of it, which must be soon.
pub async fn in_time<T>(what: &str, work: impl Future<Output = T>) -> T {
    match tokio::time::timeout(DEADLINE, work).await {
        Ok(done) => done,
        Err(_) => panic!("{what}: not within {DEADLINE:?}"),
    }
}

/// A server in this process, on a port of its own.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<()>,
}

impl Server {
    /// One as it is by default, but with more time for peers to close.
    pub async fn start() -> Self {
        Self::with(|_, _| {}).await
    }

    /// One with settings of its own.
    pub async fn with(change: impl FnOnce(&mut HubConfig, &mut ServerConfig)) -> Self {
        let (mut hub, mut config) = (HubConfig::default(), ServerConfig::default());
        // A test that is slow, not to say stopped, is not to be mistaken for such a peer.
        config.session.linger = DEADLINE;
        change(&mut hub, &mut config);
        let listeners = TcpListeners::bind("127.0.0.1:0").await.expect("a port");
        let address = listeners.addresses()[0];
        let (shutdown, told) = oneshot::channel();
        let serving = tokio::spawn(async move {
            let hub = Hub::new(hub);
            let told = {
                let hub = hub.clone();
                async move {
                    told.await.unwrap_or(());
                    // As the binary does.
                    hub.close();
                }
            };
            serve(listeners, hub, config, told).await;
        });
        Self {
            address,
            shutdown,
            serving,
        }
    }

    /// The address to connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A new connection, of which nothing was read.
    pub async fn connect(&self) -> Peer {
        let stream = in_time("connect", TcpStream::connect(self.address)).await;
        Peer::new(stream.expect("the server accepts"))
    }

    /// A newcomer to a room where these are, in the order in which they came: it is greeted, and
    /// they hear of it.
    pub async fn newcomer(&self, others: &mut [&mut Peer]) -> Peer {
        let newcomer = self.connect().await;
        Self::greet(newcomer, others).await
    }

    /// A newcomer for whom its system keeps little.
    pub async fn narrow_newcomer(&self, others: &mut [&mut Peer]) -> Peer {
        let socket = TcpSocket::new_v4().expect("a socket");
        let narrow = socket.set_recv_buffer_size(4096);
        narrow.expect("a socket option");
        let stream = in_time("connect", socket.connect(self.address)).await;
        let newcomer = Peer::new(stream.expect("the server accepts"));
        Self::greet(newcomer, others).await
    }

    async fn greet(mut newcomer: Peer, others: &mut [&mut Peer]) -> Peer {
        newcomer.expect_line(&format!("You are {newcomer}")).await;
        if !others.is_empty() {
            let names = Vec::from_iter(others.iter().map(|other| other.name()));
            let here = format!("Here now: {}", names.join(", "));
            newcomer.expect_line(&here).await;
        }
        for other in others {
            other.expect_line(&format!("{newcomer} has arrived")).await;
        }
        newcomer
    }

    /// The first peers of an empty room. Each has heard of those who came after it.
    pub async fn room<const N: usize>(&self) -> [Peer; N] {
        let mut peers = Vec::with_capacity(N);
        for _ in 0..N {
            let mut others = Vec::from_iter(&mut peers);
            let newcomer = self.newcomer(&mut others).await;
            peers.push(newcomer);
        }
        peers.try_into().expect("one for each turn")
    }

    /// Begins the shutdown; gives what ends when the server has.
    pub fn shut_down(self) -> impl Future<Output = ()> {
        self.shutdown.send(()).expect("the server runs");
        async { in_time("drain", self.serving).await.expect("no panic") }
    }
}

/// A peer that speaks and reads raw bytes. It is shown as its name: its address at first.
#[derive(Debug)]
pub struct Peer {
    name: String,
    reader: OwnedReadHalf,
    /// None when it has said that it will send no more.
    writer: Option<OwnedWriteHalf>,
    /// Everything from the start, of which `read` bytes were given.
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
    /// A peer on a connection that a test has made for itself.
    pub fn new(stream: TcpStream) -> Self {
        let name = stream.local_addr().expect("connected").to_string();
        // What is written in two pieces is to arrive in two.
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

    /// What the others see it called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Notes that the server calls it so from now on.
    pub fn is_called(&mut self, name: &str) {
        self.name = name.to_owned();
    }

    /// Sends bytes.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let writer = self.writer.as_mut().expect("it has not ended its input");
        let sent = in_time("send", writer.write_all(bytes.as_ref())).await;
        sent.expect("the server takes what is sent");
    }

    /// Says one line, which these and itself hear.
    pub async fn say(&mut self, text: &str, others: &mut [&mut Peer]) {
        self.send(format!("{text}\n")).await;
        let line = format!("{self}: {text}");
        self.expect_line(&line).await;
        for other in others {
            other.expect_line(&line).await;
        }
    }

    /// Says so many lines of 1,000 bytes and a number, and hears them; gives what it heard.
    pub async fn flood(&mut self, lines: usize) -> String {
        let text = "x".repeat(1000);
        let mut heard = String::new();
        for first in (0..lines).step_by(50) {
            let batch = first..lines.min(first + 50);
            let count = batch.len();
            let input: String = batch.map(|n| format!("{n} {text}\n")).collect();
            self.send(input).await;
            heard += &self.next_lines(count).await;
        }
        heard
    }

    /// Takes another name, of which these and itself hear.
    pub async fn rename(&mut self, name: &str, others: &mut [&mut Peer]) {
        self.send(format!("/name {name}\n")).await;
        let line = format!("{self} is now {name}");
        self.expect_line(&line).await;
        for other in others {
            other.expect_line(&line).await;
        }
        self.is_called(name);
    }

    /// The next line, without its end; a stream that ends instead fails the test.
    pub async fn line(&mut self) -> String {
        match self.next_line().await {
            Some(line) => line,
            None => panic!("{self}: the end instead of a line; {}", self.so_far()),
        }
    }

    /// The next line, or the end of the stream, which must not cut a line.
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
                assert_eq!(self.read, looked_at, "half a line; {}", self.so_far());
                return None;
            }
        }
    }

    /// So many lines, with their ends.
    pub async fn next_lines(&mut self, count: usize) -> String {
        let mut lines = String::new();
        for _ in 0..count {
            lines += &self.line().await;
            lines.push('\n');
        }
        lines
    }

    /// The next line is this one.
    pub async fn expect_line(&mut self, expected: &str) {
        let line = self.line().await;
        assert_eq!(line, expected, "at {self}; {}", self.so_far());
    }

    /// The next lines are these.
    pub async fn expect_lines(&mut self, expected: &[&str]) {
        for line in expected {
            self.expect_line(line).await;
        }
    }

    /// There is nothing more: the server has ended the stream, in order.
    pub async fn expect_end(&mut self) {
        let rest = self.rest().await;
        assert_eq!(rest, "", "at {self}, instead of the end");
    }

    /// All that was not given yet, to the end of the stream.
    pub async fn rest(&mut self) -> String {
        while self.receive().await {}
        let rest = self.received[self.read..].to_vec();
        self.read = self.received.len();
        String::from_utf8(rest).expect("lines are UTF-8")
    }

    /// All that it was ever sent, to the end of the stream.
    pub async fn whole_stream(&mut self) -> String {
        self.read = 0;
        self.rest().await
    }

    /// Says that it will send no more, and goes on reading: `nc -N` at the end of its input.
    pub fn half_close(&mut self) {
        assert!(self.writer.take().is_some(), "half closed once");
    }

    /// Its sending side, for a task of its own; dropping that half closes.
    pub fn take_writer(&mut self) -> OwnedWriteHalf {
        self.writer.take().expect("it has not ended its input")
    }

    /// Is gone without a word: the server finds the connection reset.
    pub fn reset(self) {
        let writer = self.writer.expect("it has not ended its input");
        let stream = self.reader.reunite(writer).expect("halves of one");
        stream.set_zero_linger().expect("a socket option");
    }

    /// Takes in more of the stream; `false` at its end.
    async fn receive(&mut self) -> bool {
        if self.ended {
            return false;
        }
        let reading = self.reader.read_buf(&mut self.received);
        match tokio::time::timeout(DEADLINE, reading).await {
            Ok(Ok(bytes)) => self.ended = bytes == 0,
            Ok(Err(error)) => panic!("{self}: {error}; {}", self.so_far()),
            Err(_) => panic!("{self}: nothing for {DEADLINE:?}; {}", self.so_far()),
        }
        !self.ended
    }

    fn so_far(&self) -> String {
        let from = self.received.len().saturating_sub(1000);
        let received = String::from_utf8_lossy(&self.received[from..]);
        format!("received so far: {received:?}")
    }
}
