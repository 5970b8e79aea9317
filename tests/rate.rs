//! How fast a peer may talk: what is beyond that is neither lost nor heard, but waits with its
//! sender.

use async_trait::async_trait;
use chat_core::session::{Rate, SessionConfig};
use chat_core::transport::{
    DeliverHalf, Feed, Inbox, IoTransport, ReceiveHalf, Received, Transport, memory,
};
use chat_core::{Delivery, EventKind, Hub, HubConfig, LeaveReason, Member};
use chat_server::{Incoming, Listener, ServerConfig, serve};
use chat_tests::memory::{CAPACITY, Peer, all_idle, join, spawn};
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

/// The messages that have come, and no others.
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

#[tokio::test(start_paused = true)]
async fn a_flood_is_heard_at_its_rate_and_none_of_it_is_lost() {
    let hub = Hub::new(HubConfig::default());
    let mut watcher = join(&hub, "watcher");
    let mut flood = Peer::connect_with(&hub, "mem:1", &limited(), CAPACITY);
    let start = Instant::now();
    let lines: String = (0..1000).map(|line| format!("{line}\n")).collect();
    flood.send(&lines).await;
    let mut heard = Vec::new();
    for second in 0..196 {
        // A little later than on the second, when the next line is due.
        sleep_until(start + second * SECOND + SECOND / 100).await;
        heard.append(&mut messages(&mut watcher));
        let due = 20 + 5 * second as usize;
        assert_eq!(heard, numbered(0..due), "after {second} s");
    }
    sleep(SECOND).await;
    heard.append(&mut messages(&mut watcher));
    assert_eq!(heard, numbered(0..1000));
}

#[tokio::test(start_paused = true)]
async fn what_is_beyond_the_rate_stays_with_its_sender() {
    let hub = Hub::new(HubConfig::default());
    let (transport, stream) = memory::pair(CAPACITY);
    spawn(&hub, "mem:1", transport, &limited());
    let (mut echo, mut stream) = tokio::io::split(stream);
    tokio::spawn(async move { tokio::io::copy(&mut echo, &mut tokio::io::sink()).await });
    let mut sent = 0;
    // As many empty lines as it will take in one minute, which is to be few.
    let flood = async {
        while stream.write_all(b"\n").await.is_ok() {
            sent += 1;
        }
    };
    let minute = tokio::time::timeout(60 * SECOND, flood).await;
    assert!(minute.is_err(), "the session goes on");
    let published = hub.stats().published;
    assert!((319..=320).contains(&published), "{published}");
    // What the connection holds, and what one read brings.
    assert!(
        sent <= published + CAPACITY as u64 + 1024,
        "{sent} taken, {published} published"
    );
}

#[tokio::test(start_paused = true)]
async fn long_lines_are_limited_by_their_bytes() {
    let hub = Hub::new(HubConfig::default());
    let mut watcher = join(&hub, "watcher");
    let mut config = limited();
    if let Some(rate) = &mut config.rate {
        rate.lines = NonZeroU32::new(1000).expect("not zero");
        rate.burst = rate.lines;
    }
    let mut flood = Peer::connect_with(&hub, "mem:1", &config, 1 << 20);
    flood
        .send(&format!("{}\n", "x".repeat(1023)).repeat(160))
        .await;
    let mut heard = 0;
    for second in 1..=9 {
        sleep(SECOND).await;
        heard += messages(&mut watcher).len();
        let due = 16 + 16 * second;
        assert!(
            (due - 2..=due + 1).contains(&heard),
            "{heard} KiB after {second} s"
        );
    }
    sleep(SECOND).await;
    assert_eq!(heard + messages(&mut watcher).len(), 160);
}

#[tokio::test(start_paused = true)]
async fn who_says_everything_and_goes_is_heard_to_the_end() {
    let hub = Hub::new(HubConfig::default());
    let mut watcher = join(&hub, "watcher");
    let mut flood = Peer::connect_with(&hub, "mem:1", &limited(), CAPACITY);
    let lines: String = (0..100).map(|line| format!("{line}\n")).collect();
    // The last line has no end but that of the input.
    flood.send(lines.trim_end()).await;
    flood.finish().await;
    assert_eq!(flood.ended().await, LeaveReason::Left);
    assert_eq!(messages(&mut watcher), numbered(0..100));
}

#[tokio::test(start_paused = true)]
async fn who_is_held_up_can_be_let_go_and_says_no_more() {
    let hub = Hub::new(HubConfig::default());
    let mut watcher = join(&hub, "watcher");
    let mut flood = Peer::connect_with(&hub, "mem:1", &limited(), CAPACITY);
    flood.send(&"again\n".repeat(500)).await;
    all_idle().await;
    let id = hub.find(
        &"mem:1"
            .parse()
            .or(chat_core::Name::assigned("mem:1"))
            .expect("a name"),
    );
    let id = id.expect("it is here");
    let before = messages(&mut watcher).len();
    assert_eq!(before, 20);
    hub.leave(id, LeaveReason::Kicked).expect("it is here");
    flood.finish().await;
    let heard = flood.rest().await;
    assert_eq!(
        heard.last().map(String::as_str),
        Some("* you were sent away, goodbye")
    );
    assert_eq!(flood.ended().await, LeaveReason::Kicked);
    assert_eq!(messages(&mut watcher).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn commands_and_refused_lines_count_as_lines() {
    let hub = Hub::new(HubConfig::default());
    let mut flood = Peer::connect_with(&hub, "mem:1", &limited(), CAPACITY);
    flood
        .send(&format!("/who\n{}\n", "x".repeat(5000)).repeat(10))
        .await;
    flood.send("late\n").await;
    let start = Instant::now();
    while flood.line().await != "mem:1: late" {}
    assert!(start.elapsed() >= SECOND / 5, "{:?}", start.elapsed());
}

/// All that a peer ever says, in one go, as some transports of messages give it.
struct Speech(Vec<String>);

impl Transport for Speech {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        (self, Box::new(Silence))
    }
}

#[async_trait]
impl ReceiveHalf for Speech {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        for message in self.0.drain(..) {
            inbox.text(&message);
        }
        Ok(Received::End)
    }
}

struct Silence;

#[async_trait]
impl DeliverHalf for Silence {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        feed.take();
        Ok(())
    }

    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn messages_that_come_at_once_with_the_end_wait_their_turn() {
    let hub = Hub::new(HubConfig::default());
    let mut watcher = join(&hub, "watcher");
    let speech = Speech(numbered(0..100));
    let start = Instant::now();
    let session = spawn(&hub, "mem:1", speech, &limited());
    sleep(SECOND / 100).await;
    assert_eq!(messages(&mut watcher), numbered(0..20));
    let ended = session.await.expect("it does not panic");
    assert_eq!(ended, Ok(LeaveReason::Left));
    assert_eq!(messages(&mut watcher), numbered(20..100));
    let (least, most) = (16 * SECOND, 17 * SECOND);
    assert!((least..most).contains(&start.elapsed()));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_stretch_of_time_has_more_lines_than_its_share(
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
            let mut watcher = join(&hub, "watcher");
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
            let hearing = async {
                let start = Instant::now();
                let mut times = Vec::new();
                while times.len() < total {
                    if let Some(Delivery::Event(event)) = watcher.recv().await
                        && event.kind() == EventKind::Message
                    {
                        times.push(start.elapsed());
                    }
                }
                times
            };
            tokio::join!(sending, hearing).1
        });
        for from in 0..times.len() {
            for to in from..times.len() {
                let time = times[to] - times[from] + Duration::from_millis(2);
                let share = f64::from(burst) + f64::from(lines) * time.as_secs_f64();
                prop_assert!((to - from + 1) as f64 <= share + 1e-6, "{} in {time:?}", to - from + 1);
            }
        }
    }
}

// The server, with peers that say they come from somewhere.

type Stream = IoTransport<tokio::io::ReadHalf<DuplexStream>, tokio::io::WriteHalf<DuplexStream>>;

struct Somewhere(mpsc::UnboundedReceiver<Incoming<Stream>>);

impl Listener for Somewhere {
    type Transport = Stream;

    async fn accept(&mut self) -> io::Result<Incoming<Stream>> {
        match self.0.recv().await {
            Some(peer) => Ok(peer),
            None => std::future::pending().await,
        }
    }
}

struct World {
    door: mpsc::UnboundedSender<Incoming<Stream>>,
    hub: Hub,
    came: u32,
}

impl World {
    fn new(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let (door, peers) = mpsc::unbounded_channel();
        let hub = Hub::new(HubConfig::default());
        let mut config = ServerConfig::default();
        change(&mut config);
        let listener = Somewhere(peers);
        tokio::spawn(serve(listener, hub.clone(), config, std::future::pending()));
        Self { door, hub, came: 0 }
    }

    /// Somebody comes from this address and gives the first line that it hears.
    async fn come(&mut self, address: &str) -> (BufReader<DuplexStream>, String) {
        let (near, far) = tokio::io::duplex(CAPACITY);
        self.came += 1;
        let name = chat_core::Name::assigned(&format!("peer:{}", self.came));
        let peer = Incoming::new(IoTransport::new(near), name.expect("a name"));
        let address: IpAddr = address.parse().expect("an address");
        let sent = self.door.send(peer.from(address));
        assert!(sent.is_ok(), "the server listens");
        let mut stream = BufReader::new(far);
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("a line");
        (stream, line)
    }
}

const TOO_MANY: &str = "* too many from your address, goodbye\n";

#[tokio::test(start_paused = true)]
async fn one_address_has_so_many_peers_and_no_more_until_one_goes() {
    let mut world = World::new(|config| config.max_peers_per_address = 3);
    let mut inside = Vec::new();
    for _ in 0..3 {
        let (stream, line) = world.come("192.0.2.1").await;
        assert!(line.starts_with("You are "), "{line}");
        inside.push(stream);
    }
    for same in ["192.0.2.1", "::ffff:192.0.2.1"] {
        assert_eq!(world.come(same).await.1, TOO_MANY);
    }
    let mut others = Vec::new();
    for other in ["192.0.2.2", "2001:db8::1", "2001:db8::2", "2001:db8::3"] {
        let (stream, line) = world.come(other).await;
        assert!(line.starts_with("You are "), "{other}: {line}");
        others.push(stream);
    }
    assert_eq!(world.come("2001:db8::ffff:4").await.1, TOO_MANY);
    drop(inside.pop());
    all_idle().await;
    let (_stream, line) = world.come("192.0.2.1").await;
    assert!(line.starts_with("You are "), "{line}");
    assert_eq!(world.hub.stats().members, 7);
}

#[tokio::test(start_paused = true)]
async fn this_machine_may_come_as_often_and_talk_as_fast_as_it_likes() {
    let mut world = World::new(|config| config.max_peers_per_address = 3);
    let mut inside = Vec::new();
    for count in 0..20 {
        let address = ["127.0.0.1", "::1", "127.8.9.1"][count % 3];
        let (mut stream, line) = world.come(address).await;
        assert!(line.starts_with("You are "), "{line}");
        stream
            .write_all("line\n".repeat(100).as_bytes())
            .await
            .expect("there is room");
        inside.push(stream);
    }
    all_idle().await;
    assert_eq!(world.hub.stats().published, 2000);
    let (mut far, _) = world.come("192.0.2.1").await;
    far.write_all("line\n".repeat(100).as_bytes())
        .await
        .expect("there is room");
    all_idle().await;
    assert_eq!(world.hub.stats().published, 2020);
}
