//! Rate limits: input beyond the rate is not read, so it is delayed and never lost. The limit of
//! peers per address.

use async_trait::async_trait;
use chat_core::session::{Rate, SessionConfig};
use chat_core::transport::{
    DeliverHalf, Inbox, IoTransport, ReceiveHalf, Received, Transport, memory,
};
use chat_core::{Delivery, EventKind, Hub, HubConfig, LeaveReason, Member, RemovalReason};
use chat_server::{Incoming, Listener, ServerConfig, serve};
use chat_tests::memory::{CAPACITY, DiscardingWriter, Peer, join, run_until_idle, spawn};
use proptest::prelude::*;
use std::io;
use std::net::IpAddr;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until};

const SECOND: Duration = Duration::from_secs(1);

fn limited() -> SessionConfig {
    let mut config = SessionConfig::default();
    config.rate = Some(Rate::default());
    config
}

/// The texts of all messages that the member can read now.
fn messages(member: &mut Member) -> Vec<String> {
    let mut texts = Vec::new();
    while let Ok(Delivery::Event(event)) = member.try_recv() {
        if event.kind() == EventKind::Message {
            texts.push(event.text().into());
        }
    }
    texts
}

fn numbered(lines: std::ops::Range<usize>) -> Vec<String> {
    lines.map(|line| line.to_string()).collect()
}

mod limit {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn delays_without_loss() {
        let hub = Hub::new(HubConfig::default());
        let mut observer = join(&hub, "observer");
        let mut peer = Peer::connect_with(&hub, "mem:1", &limited(), CAPACITY);
        let start = Instant::now();
        let lines: String = (0..1000).map(|line| format!("{line}\n")).collect();
        peer.send(&lines).await;
        let mut received = Vec::new();
        for second in 0..196 {
            // Shortly after the full second, when the next line is due.
            sleep_until(start + second * SECOND + SECOND / 100).await;
            received.append(&mut messages(&mut observer));
            let due = 20 + 5 * second as usize;
            assert_eq!(received, numbered(0..due), "after {second} s");
        }
        sleep(SECOND).await;
        received.append(&mut messages(&mut observer));
        assert_eq!(received, numbered(0..1000));
    }

    #[tokio::test(start_paused = true)]
    async fn leaves_excess_with_the_sender() {
        let hub = Hub::new(HubConfig::default());
        let (transport, stream) = memory::pair(CAPACITY);
        spawn(&hub, "mem:1", transport, &limited());
        let (mut echo, mut stream) = tokio::io::split(stream);
        tokio::spawn(async move { tokio::io::copy(&mut echo, &mut tokio::io::sink()).await });
        let mut sent = 0;
        // Empty lines, as many as the session reads in one minute.
        let sending = async {
            while stream.write_all(b"\n").await.is_ok() {
                sent += 1;
            }
        };
        let minute = tokio::time::timeout(60 * SECOND, sending).await;
        assert!(minute.is_err(), "the session still runs");
        let published = hub.stats().published;
        assert!((319..=320).contains(&published), "{published}");
        // The capacity of the connection and the bytes of one read.
        assert!(
            sent <= published + CAPACITY as u64 + 1024,
            "{sent} bytes read, {published} lines published"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn applies_to_bytes() {
        let hub = Hub::new(HubConfig::default());
        let mut observer = join(&hub, "observer");
        let mut config = limited();
        if let Some(rate) = &mut config.rate {
            rate.lines = NonZeroU32::new(1000).expect("not zero");
            rate.burst = rate.lines;
        }
        let mut peer = Peer::connect_with(&hub, "mem:1", &config, 1 << 20);
        peer.send(&format!("{}\n", "x".repeat(1023)).repeat(160))
            .await;
        let mut received = 0;
        for second in 1..=9 {
            sleep(SECOND).await;
            received += messages(&mut observer).len();
            let due = 16 + 16 * second;
            assert!(
                (due - 2..=due + 1).contains(&received),
                "{received} KiB after {second} s"
            );
        }
        sleep(SECOND).await;
        assert_eq!(received + messages(&mut observer).len(), 160);
    }

    #[tokio::test(start_paused = true)]
    async fn counts_commands_and_refused_lines() {
        let hub = Hub::new(HubConfig::default());
        let mut peer = Peer::connect_with(&hub, "mem:1", &limited(), CAPACITY);
        peer.send(&format!("/who\n{}\n", "x".repeat(5000)).repeat(10))
            .await;
        peer.send("late\n").await;
        let start = Instant::now();
        while peer.line().await != "mem:1: late" {}
        assert!(start.elapsed() >= SECOND / 5, "{:?}", start.elapsed());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn holds_in_every_interval(
            lines in 1u32..20,
            burst in 1u32..40,
            sends in prop::collection::vec((0u64..3000, 1usize..40), 1..20),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .start_paused(true)
                .build()
                .expect("a runtime");
            let times = runtime.block_on(async {
                let hub = Hub::new(HubConfig::default());
                let mut observer = join(&hub, "observer");
                let mut config = SessionConfig::default();
                let mut rate = Rate::default();
                rate.lines = NonZeroU32::new(lines).expect("not zero");
                rate.burst = NonZeroU32::new(burst).expect("not zero");
                config.rate = Some(rate);
                config.idle_timeout = None;
                let mut peer = Peer::connect_with(&hub, "mem:1", &config, CAPACITY);
                let total: usize = sends.iter().map(|(_, count)| count).sum();
                let sending = async {
                    for (pause, count) in sends {
                        sleep(Duration::from_millis(pause)).await;
                        peer.send(&"line\n".repeat(count)).await;
                    }
                };
                let receiving = async {
                    let start = Instant::now();
                    let mut times = Vec::new();
                    while times.len() < total {
                        if let Some(Delivery::Event(event)) = observer.recv().await
                            && event.kind() == EventKind::Message
                        {
                            times.push(start.elapsed());
                        }
                    }
                    times
                };
                tokio::join!(sending, receiving).1
            });
            for from in 0..times.len() {
                for to in from..times.len() {
                    let time = times[to] - times[from] + Duration::from_millis(2);
                    let share = f64::from(burst) + f64::from(lines) * time.as_secs_f64();
                    let count = to - from + 1;
                    prop_assert!(count as f64 <= share + 1e-6, "{count} in {time:?}");
                }
            }
        }
    }
}

mod departure {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn publishes_all_earlier_lines() {
        let hub = Hub::new(HubConfig::default());
        let mut observer = join(&hub, "observer");
        let mut peer = Peer::connect_with(&hub, "mem:1", &limited(), CAPACITY);
        let lines: String = (0..100).map(|line| format!("{line}\n")).collect();
        // The last line ends with the input.
        peer.send(lines.trim_end()).await;
        peer.half_close().await;
        assert_eq!(peer.ended().await, LeaveReason::Left);
        assert_eq!(messages(&mut observer), numbered(0..100));
    }

    /// A transport that returns all messages and the end of the input in one call.
    struct MessagesAtOnce(Vec<String>);

    impl Transport for MessagesAtOnce {
        fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
            (self, Box::new(DiscardingWriter))
        }
    }

    #[async_trait]
    impl ReceiveHalf for MessagesAtOnce {
        async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
            for message in self.0.drain(..) {
                inbox.text(&message);
            }
            Ok(Received::End)
        }
    }

    #[tokio::test(start_paused = true)]
    async fn delays_messages_before_the_end() {
        let hub = Hub::new(HubConfig::default());
        let mut observer = join(&hub, "observer");
        let transport = MessagesAtOnce(numbered(0..100));
        let start = Instant::now();
        let session = spawn(&hub, "mem:1", transport, &limited());
        sleep(SECOND / 100).await;
        assert_eq!(messages(&mut observer), numbered(0..20));
        let ended = session.await.expect("the session does not panic");
        assert_eq!(ended, Ok(LeaveReason::Left));
        assert_eq!(messages(&mut observer), numbered(20..100));
        let (least, most) = (16 * SECOND, 17 * SECOND);
        assert!((least..most).contains(&start.elapsed()));
    }

    #[tokio::test(start_paused = true)]
    async fn discards_delayed_input_on_removal() {
        let hub = Hub::new(HubConfig::default());
        let mut observer = join(&hub, "observer");
        let mut peer = Peer::connect_with(&hub, "mem:1", &limited(), CAPACITY);
        peer.send(&"again\n".repeat(500)).await;
        run_until_idle().await;
        let id = hub.find(
            &"mem:1"
                .parse()
                .or(chat_core::Name::assigned("mem:1"))
                .expect("a name"),
        );
        let id = id.expect("the peer is a member");
        let before = messages(&mut observer).len();
        assert_eq!(before, 20);
        hub.remove(id, RemovalReason::Kicked)
            .expect("the peer is a member");
        peer.half_close().await;
        let received = peer.rest().await;
        assert_eq!(
            received.last().map(String::as_str),
            Some("* you were sent away, goodbye")
        );
        assert_eq!(peer.ended().await, LeaveReason::Kicked);
        assert_eq!(messages(&mut observer).len(), 0);
    }
}

mod origin {
    use super::*;

    type Stream =
        IoTransport<tokio::io::ReadHalf<DuplexStream>, tokio::io::WriteHalf<DuplexStream>>;

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
}
