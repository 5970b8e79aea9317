//! A server whose peers are connections in memory from addresses that a test chooses.

use chat_core::transport::memory::{self, MemoryTransport};
use chat_core::{Delivery, Event, EventKind, Hub, HubConfig, Member, Name};
use chat_server::{Drained, Incoming, Listener, ServerConfig, serve};
use std::future::pending;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Longer than anything takes while time is paused.
const DEADLINE: Duration = Duration::from_secs(100_000);

const CAPACITY: usize = 64 * 1024;

struct Connections(mpsc::UnboundedReceiver<Incoming<MemoryTransport>>);

impl Listener for Connections {
    type Transport = MemoryTransport;

    async fn accept(&mut self) -> io::Result<Incoming<MemoryTransport>> {
        match self.0.recv().await {
            Some(peer) => Ok(peer),
            None => pending().await,
        }
    }
}

/// A running server.
pub(crate) struct Server {
    connections: mpsc::UnboundedSender<Incoming<MemoryTransport>>,
    hub: Hub,
    shutdown: oneshot::Sender<()>,
    serving: JoinHandle<Drained>,
    connected: u32,
    name: &'static str,
}

impl Server {
    /// One on a hub of its own, configured by the test.
    pub(crate) fn start(change: impl FnOnce(&mut ServerConfig)) -> Self {
        Self::on(&Hub::new(HubConfig::default()), "peer", change)
    }

    /// One on a hub, whose peers are named so, with a number.
    pub(crate) fn on(
        hub: &Hub,
        name: &'static str,
        change: impl FnOnce(&mut ServerConfig),
    ) -> Self {
        let mut config = ServerConfig::default();
        change(&mut config);
        let (connections, accepted) = mpsc::unbounded_channel();
        let (shutdown, told) = oneshot::channel();
        let shut_down = async { told.await.unwrap_or(()) };
        let serving = serve(Connections(accepted), hub.clone(), config, shut_down);
        Self {
            connections,
            hub: hub.clone(),
            shutdown,
            serving: tokio::spawn(serving),
            connected: 0,
            name,
        }
    }

    pub(crate) fn hub(&self) -> &Hub {
        &self.hub
    }

    /// A member in the server's process.
    pub(crate) fn witness(&self) -> Witness {
        let name = "witness".parse().expect("a name");
        Witness(self.hub.join(name).expect("the name is free"))
    }

    /// A peer that connects from this address.
    pub(crate) fn connect(&mut self, address: &str) -> Peer {
        let (transport, stream) = memory::pair(CAPACITY);
        self.connected += 1;
        let name = format!("{}:{}", self.name, self.connected);
        let peer = Incoming::new(transport, Name::assigned(&name).expect("a name"));
        let address = address.parse().expect("an address");
        let sent = self.connections.send(peer.from(address));
        assert!(sent.is_ok(), "the server is running");
        let stream = BufReader::new(stream);
        Peer { name, stream }
    }

    /// A peer that connects from this address and joins.
    pub(crate) async fn join(&mut self, address: &str) -> Peer {
        let mut peer = self.connect(address);
        assert_eq!(peer.line().await, format!("You are {}", peer.name));
        peer
    }

    /// Starts the shutdown; the result is the server's.
    pub(crate) async fn shut_down(self) -> Drained {
        self.shutdown.send(()).expect("the server is running");
        self.serving.await.expect("the server does not panic")
    }
}

/// A peer's end of a connection.
pub(crate) struct Peer {
    pub(crate) name: String,
    stream: BufReader<DuplexStream>,
}

impl Peer {
    pub(crate) async fn send(&mut self, lines: &str) {
        let sent = self.stream.write_all(lines.as_bytes()).await;
        sent.expect("the connection is open");
    }

    /// The next line; empty at the end of the stream.
    pub(crate) async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = timeout(DEADLINE, self.stream.read_line(&mut line)).await;
        read.expect("a line").expect("the connection is in order");
        line.trim_end().into()
    }

    /// Everything up to the end of the stream.
    pub(crate) async fn rest(&mut self) -> String {
        let mut rest = String::new();
        let read = timeout(DEADLINE, self.stream.read_to_string(&mut rest)).await;
        read.expect("an end").expect("the connection is in order");
        rest
    }
}

/// A member that counts what it receives.
pub(crate) struct Witness(Member);

impl Witness {
    /// The events that have come, once all tasks are idle.
    pub(crate) async fn events(&mut self) -> Vec<Event> {
        idle().await;
        let mut events = Vec::new();
        while let Ok(delivery) = self.0.try_recv() {
            match delivery {
                Delivery::Event(event) => events.push(event),
                other => panic!("{other:?} instead of an event"),
            }
        }
        events
    }

    pub(crate) async fn count(&mut self, kind: EventKind) -> usize {
        let events = self.events().await;
        events.iter().filter(|event| event.kind() == kind).count()
    }
}

/// Waits until every other task waits for something: then the paused time goes on.
pub(crate) async fn idle() {
    sleep(Duration::from_millis(1)).await;
}
