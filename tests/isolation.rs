//! A transport that fails ends its own session and no other.

use chat_core::session::{self, SessionConfig};
use chat_core::transport::{DeliverHalf, ReceiveHalf, Transport, memory};
use chat_core::{Hub, HubConfig, Name};
use chat_server::{Incoming, Listener, ServerConfig, serve};
use chat_tests::memory::CAPACITY;
use std::io;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::mpsc;

/// A transport that cannot be split.
struct Unsplittable;

impl Transport for Unsplittable {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        panic!("this transport cannot be split")
    }
}

type Connection = Incoming<Box<dyn Transport>>;

struct Connections(mpsc::UnboundedReceiver<Connection>);

impl Listener for Connections {
    type Transport = Box<dyn Transport>;

    async fn accept(&mut self) -> io::Result<Connection> {
        match self.0.recv().await {
            Some(connection) => Ok(connection),
            None => std::future::pending().await,
        }
    }
}

fn assigned(name: &str) -> Name {
    Name::assigned(name).expect("an address is a name")
}

mod split {
    use super::*;

    #[tokio::test]
    async fn panic_ends_its_own_session() {
        let hub = Hub::new(HubConfig::default());
        let config = SessionConfig::default();
        let name = assigned("mem:1");
        let session = session::run(&hub, name.clone(), Unsplittable, &config);
        let refusal = session::refuse(&hub, name, Unsplittable, "full", &config);
        let (session, refusal) = (tokio::spawn(session), tokio::spawn(refusal));
        assert!(session.await.expect_err("it panics").is_panic());
        assert!(refusal.await.expect_err("it panics").is_panic());
        assert_eq!(hub.stats().members, 0);
    }

    /// With up to 408 bytes, the task of a session takes 512. An idle peer costs not much more.
    #[test]
    fn deferral_keeps_future_small() {
        let hub = Hub::new(HubConfig::default());
        let config = SessionConfig::default();
        let session = session::run(&hub, assigned("mem:1"), Unsplittable, &config);
        assert!(size_of_val(&session) <= 408, "{}", size_of_val(&session));
    }

    /// Both as a peer and as one too many.
    #[tokio::test]
    async fn panic_leaves_server_running() {
        for max_peers in [0, 1] {
            let hub = Hub::new(HubConfig::default());
            let (connections, accepted) = mpsc::unbounded_channel();
            let mut config = ServerConfig::default();
            config.max_peers = max_peers;
            let never = std::future::pending();
            tokio::spawn(serve(Connections(accepted), hub.clone(), config, never));
            let connect = |transport| {
                let sent = connections.send(Incoming::new(transport, assigned("mem:1")));
                assert!(sent.is_ok(), "the server is running");
            };
            connect(Box::new(Unsplittable));
            tokio::task::yield_now().await;
            let (transport, peer) = memory::pair(CAPACITY);
            connect(Box::new(transport));
            let mut line = String::new();
            let read = BufReader::new(peer).read_line(&mut line).await;
            assert!(read.is_ok_and(|bytes| bytes > 0), "{max_peers}");
        }
    }
}
