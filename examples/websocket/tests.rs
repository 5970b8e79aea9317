//! The transport; the batches that `receive` takes; the limits of HTTP connections; origins.

mod conformance;

use super::*;
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, duplex};
use tokio::task::yield_now;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::{Error, Message as Frame};
use tokio_tungstenite::{WebSocketStream, client_async};

const OWN_ORIGIN: &str = "http://localhost:8080";

type Connection = (DuplexStream, SocketAddr);

/// A listener for connections in memory.
struct Memory(mpsc::Receiver<Connection>);

impl axum::serve::Listener for Memory {
    type Io = DuplexStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> Connection {
        match self.0.recv().await {
            Some(connection) => connection,
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Err(io::ErrorKind::AddrNotAvailable.into())
    }
}

/// Serves HTTP; the channel gives the peers that join.
fn spawn_server(listener: impl axum::serve::Listener<Addr = SocketAddr>) -> mpsc::Receiver<Peer> {
    let (peers, joined) = mpsc::channel(MAX_JOINING);
    let origins = vec![OWN_ORIGIN.into()];
    tokio::spawn(serve_http(listener, Web { origins, peers }.router()));
    joined
}

/// Connects to a server in memory.
struct Connector(mpsc::Sender<Connection>);

impl Connector {
    fn new() -> (Self, mpsc::Receiver<Peer>) {
        let (connect, accepted) = mpsc::channel(1);
        (Self(connect), spawn_server(Memory(accepted)))
    }

    /// Connects from 192.0.2.`host`.
    async fn connect(&self, host: u8) -> DuplexStream {
        self.connect_with_capacity(host, 1024 * 1024).await
    }

    async fn connect_with_capacity(&self, host: u8, capacity: usize) -> DuplexStream {
        let (client, server) = duplex(capacity);
        let connection = (server, ([192, 0, 2, host], 4000).into());
        self.0.send(connection).await.expect("the server runs");
        client
    }
}

/// Longer than any limit: a test that waits for this time fails. Its clock is paused.
const LONG: Duration = Duration::from_secs(3600);

async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(stream: S) -> io::Result<WebSocketStream<S>> {
    let upgraded = client_async("ws://localhost/chat", stream).await;
    Ok(upgraded.map_err(io::Error::other)?.0)
}

mod receive {
    use super::*;
    use chat_core::session::{self, SessionConfig};
    use chat_core::{Delivery, EventKind};
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// A transport that counts the calls of `receive` that have returned.
    struct Counted(Box<dyn Transport>, Arc<AtomicUsize>);

    struct CountedReceiver(Box<dyn ReceiveHalf>, Arc<AtomicUsize>);

    impl Transport for Counted {
        fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
            let (receiver, deliverer) = self.0.split();
            (Box::new(CountedReceiver(receiver, self.1)), deliverer)
        }
    }

    #[async_trait]
    impl ReceiveHalf for CountedReceiver {
        async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
            let received = self.0.receive(inbox).await;
            self.1.fetch_add(1, Relaxed);
            received
        }
    }

    /// A client sends these messages, and disconnects without a closing handshake unless it is to
    /// `stay`. Then its session begins. Returns after how many calls of `receive` all messages were
    /// published.
    async fn calls_for(texts: &[String], stay: bool) -> usize {
        let (connector, mut joined) = Connector::new();
        let mut client = upgrade(connector.connect(1).await).await.unwrap();
        for text in texts {
            client.feed(Frame::text(text)).await.unwrap();
        }
        client.flush().await.unwrap();
        let client = stay.then_some(client);

        let hub = Hub::new(HubConfig::default());
        let mut observer = hub.join("observer".parse().unwrap()).unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let Incoming {
            transport, name, ..
        } = joined.recv().await.unwrap();
        let transport = Counted(transport, calls.clone());
        let session = session::run(&hub, name, transport, &SessionConfig::default());
        tokio::spawn(session);
        let mut rest = texts.iter();
        while !rest.as_slice().is_empty() {
            match timeout(LONG, observer.recv()).await.unwrap_or(None) {
                Some(Delivery::Event(event)) if event.kind() == EventKind::Message => {
                    assert_eq!(Some(event.text()), rest.next().map(String::as_str));
                }
                Some(Delivery::Event(event)) if event.kind() == EventKind::Arrived => {}
                other => panic!("{other:?} before {rest:?}"),
            }
        }
        drop(client);
        calls.load(Relaxed)
    }

    fn numbers(count: usize) -> Vec<String> {
        (0..count).map(|n| n.to_string()).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn takes_all_available_messages() {
        assert_eq!(calls_for(&numbers(200), true).await, 1);
    }

    #[tokio::test(start_paused = true)]
    async fn is_bounded_in_bytes() {
        // Each text is a quarter of what an inbox takes at a time when no rate is set.
        let texts: Vec<_> = (0..8).map(|n| n.to_string().repeat(4095)).collect();
        assert_eq!(calls_for(&texts, true).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn is_bounded_in_messages() {
        let texts = vec![String::new(); 2 * 16 * 1024];
        assert_eq!(calls_for(&texts, true).await, 2);
    }

    #[tokio::test(start_paused = true)]
    async fn keeps_messages_before_a_reset() {
        calls_for(&numbers(3), false).await;
    }
}

mod http {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::{Instant, sleep};

    /// Sends the first half of a request.
    async fn half_open(mut client: DuplexStream) -> DuplexStream {
        let sent = client.write_all(b"GET / HTTP/1.1\r\n").await;
        sent.expect("the server reads");
        client
    }

    /// The response for the page, up to the end of the connection.
    async fn page(client: DuplexStream) -> String {
        let mut client = half_open(client).await;
        // Fails if the server has closed the connection.
        let _ = client.write_all(b"Host: localhost\r\n\r\n").await;
        response(client).await
    }

    async fn response(mut client: DuplexStream) -> String {
        let mut response = String::new();
        let read = timeout(LONG, client.read_to_string(&mut response)).await;
        read.expect("the connection is closed")
            .expect("a connection in memory has no errors");
        response
    }

    #[tokio::test(start_paused = true)]
    async fn page_is_the_only_response() {
        let (connector, _joined) = Connector::new();
        let begin = Instant::now();
        let page = page(connector.connect(1).await).await;
        assert!(page.starts_with("HTTP/1.1 200 OK"), "{page}");
        assert!(page.ends_with("</html>\n"), "{page}");
        assert_eq!(begin.elapsed(), Duration::ZERO, "the clock is paused");
    }

    #[tokio::test(start_paused = true)]
    async fn half_open_connection_times_out() {
        let (connector, _joined) = Connector::new();
        let begin = Instant::now();
        let client = half_open(connector.connect(1).await).await;
        assert_eq!(response(client).await, "");
        assert_eq!(begin.elapsed(), HTTP_TIMEOUT, "the clock is paused");
    }

    #[tokio::test(start_paused = true)]
    async fn slow_request_times_out() {
        let (connector, _joined) = Connector::new();
        let begin = Instant::now();
        let mut client = half_open(connector.connect(1).await).await;
        while client.write_all(b"A: b\r\n").await.is_ok() {
            sleep(Duration::from_secs(1)).await;
            assert!(begin.elapsed() <= 2 * HTTP_TIMEOUT, "the clock is paused");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn unread_response_times_out() {
        let (connector, _joined) = Connector::new();
        let mut client = connector.connect_with_capacity(1, 64).await;
        let request = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        client.write_all(request).await.expect("the server reads");
        // The server reads no more, so this waits for the connection to be closed.
        let wrote = timeout(LONG, client.write_all(&[b'x'; 1024])).await;
        wrote.expect("the connection is closed").unwrap_err();
    }

    #[tokio::test(start_paused = true)]
    async fn connections_per_address_are_limited() {
        let (connector, _joined) = Connector::new();
        let begin = Instant::now();
        let mut clients = Vec::new();
        for _ in 0..MAX_HTTP_PER_ADDRESS {
            clients.push(half_open(connector.connect(1).await).await);
        }
        assert_eq!(page(connector.connect(1).await).await, "");
        assert_ne!(page(connector.connect(2).await).await, "");
        clients.pop();
        yield_now().await;
        assert_ne!(page(connector.connect(1).await).await, "");
        assert_eq!(begin.elapsed(), Duration::ZERO, "the clock is paused");
    }

    #[tokio::test(start_paused = true)]
    async fn connections_are_limited() {
        let (connector, _joined) = Connector::new();
        let begin = Instant::now();
        let mut clients = Vec::new();
        for n in 0..MAX_HTTP {
            let host = (n / MAX_HTTP_PER_ADDRESS) as u8;
            clients.push(half_open(connector.connect(host).await).await);
        }
        // It is accepted when the others have timed out.
        assert_ne!(page(connector.connect(255).await).await, "");
        assert_eq!(begin.elapsed(), HTTP_TIMEOUT, "the clock is paused");
    }

    #[tokio::test(start_paused = true)]
    async fn peers_are_not_counted() {
        let (connector, mut joined) = Connector::new();
        let mut peers = Vec::new();
        for _ in 0..2 * MAX_HTTP_PER_ADDRESS {
            let client = upgrade(connector.connect(1).await).await.unwrap();
            peers.push((client, joined.recv().await));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn upgrades_wait_for_the_server() {
        let (connector, mut joined) = Connector::new();
        let mut clients = Vec::new();
        for host in 0..MAX_JOINING as u8 {
            clients.push(upgrade(connector.connect(host).await).await.unwrap());
        }
        let upgraded = timeout(LONG, upgrade(connector.connect(254).await)).await;
        assert!(upgraded.expect("the connection is closed").is_err());
        joined.recv().await.expect("many have connected");
        upgrade(connector.connect(255).await).await.unwrap();
    }
}

mod origin {
    use super::*;
    use tokio_tungstenite::tungstenite::client::IntoClientRequest;

    /// The status that a page of this origin gets when it connects.
    async fn status(origin: &'static str) -> u16 {
        let (connector, _joined) = Connector::new();
        let mut request = "ws://localhost/chat".into_client_request().unwrap();
        let origin = origin.parse().expect("an origin is ASCII");
        request.headers_mut().insert(ORIGIN, origin);
        match client_async(request, connector.connect(1).await).await {
            Ok((_, response)) => response.status().as_u16(),
            Err(Error::Http(response)) => response.status().as_u16(),
            Err(error) => panic!("{error}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn own_page_is_accepted() {
        assert_eq!(status(OWN_ORIGIN).await, 101);
    }

    #[tokio::test(start_paused = true)]
    async fn foreign_page_is_refused() {
        for origin in ["http://localhost", "http://localhost:8080.example", "null"] {
            assert_eq!(status(origin).await, 403, "{origin}");
        }
    }
}
