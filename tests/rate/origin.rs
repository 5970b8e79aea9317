use super::*;
use chat_core::transport::IoTransport;
use chat_server::{Incoming, Listener, ServerConfig, serve};
use std::io;
use std::net::IpAddr;
use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream};
use tokio::sync::mpsc;

type Stream = IoTransport<tokio::io::ReadHalf<DuplexStream>, tokio::io::WriteHalf<DuplexStream>>;

/// A listener whose peers and their addresses come from a channel.
struct ChannelListener(mpsc::UnboundedReceiver<Incoming<Stream>>);

impl Listener for ChannelListener {
    type Transport = Stream;

    async fn accept(&mut self) -> io::Result<Incoming<Stream>> {
        match self.0.recv().await {
            Some(peer) => Ok(peer),
            None => std::future::pending().await,
        }
    }
}

/// A server behind a [`ChannelListener`].
struct TestServer {
    peers: mpsc::UnboundedSender<Incoming<Stream>>,
    hub: Hub,
    connections: u32,
}

impl TestServer {
    fn new(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let (peers, incoming) = mpsc::unbounded_channel();
        let hub = Hub::new(HubConfig::default());
        let mut config = ServerConfig::default();
        change(&mut config);
        let listener = ChannelListener(incoming);
        tokio::spawn(serve(listener, hub.clone(), config, std::future::pending()));
        Self {
            peers,
            hub,
            connections: 0,
        }
    }

    /// Connects a peer from this address and reads its first line.
    async fn connect(&mut self, address: &str) -> (BufReader<DuplexStream>, String) {
        let (near, far) = tokio::io::duplex(CAPACITY);
        self.connections += 1;
        let name = chat_core::Name::assigned(&format!("peer:{}", self.connections));
        let peer = Incoming::new(IoTransport::new(near), name.expect("a name"));
        let address: IpAddr = address.parse().expect("an address");
        let sent = self.peers.send(peer.from(address));
        assert!(sent.is_ok(), "the server listens");
        let mut stream = BufReader::new(far);
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("a line");
        (stream, line)
    }
}

const TOO_MANY: &str = "* too many from your address, goodbye\n";

#[tokio::test(start_paused = true)]
async fn limits_concurrent_peers() {
    let mut server = TestServer::new(|config| config.max_peers_per_address = 3);
    let mut connected = Vec::new();
    for _ in 0..3 {
        let (stream, line) = server.connect("192.0.2.1").await;
        assert!(line.starts_with("You are "), "{line}");
        connected.push(stream);
    }
    for same in ["192.0.2.1", "::ffff:192.0.2.1"] {
        assert_eq!(server.connect(same).await.1, TOO_MANY);
    }
    let mut others = Vec::new();
    for other in ["192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8::3"] {
        let (stream, line) = server.connect(other).await;
        assert!(line.starts_with("You are "), "{other}: {line}");
        others.push(stream);
    }
    assert_eq!(server.connect("2001:db8::ffff:4").await.1, TOO_MANY);
    drop(connected.pop());
    run_until_idle().await;
    let (_stream, line) = server.connect("192.0.2.1").await;
    assert!(line.starts_with("You are "), "{line}");
    assert_eq!(server.hub.stats().members, 7);
}

#[tokio::test(start_paused = true)]
async fn exempts_loopback() {
    let mut server = TestServer::new(|config| config.max_peers_per_address = 3);
    let mut connected = Vec::new();
    for count in 0..20 {
        let address = ["127.0.0.1", "::1", "127.8.9.1"][count % 3];
        let (mut stream, line) = server.connect(address).await;
        assert!(line.starts_with("You are "), "{line}");
        stream
            .write_all("line\n".repeat(100).as_bytes())
            .await
            .expect("the connection has capacity");
        connected.push(stream);
    }
    run_until_idle().await;
    assert_eq!(server.hub.stats().published, 2000);
    let (mut far, _) = server.connect("192.0.2.1").await;
    far.write_all("line\n".repeat(100).as_bytes())
        .await
        .expect("the connection has capacity");
    run_until_idle().await;
    assert_eq!(server.hub.stats().published, 2020);
}
