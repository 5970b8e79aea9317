//! What one peer can do to the hub, to others and to itself: nothing that it should not.

use async_trait::async_trait;
use chat_core::session::{Naming, SessionConfig};
use chat_core::transport::{
    DeliverHalf, Feed, Inbox, IoTransport, ReceiveHalf, Received, Transport,
};
use chat_core::{Delivery, Hub, HubConfig, LeaveReason};
use chat_tests::history::Record;
use chat_tests::memory::{CAPACITY, Peer, all_idle, join, spawn};
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::{advance, sleep};

const SECOND: Duration = Duration::from_secs(1);

fn hub() -> Hub {
    Hub::new(HubConfig::default())
}

fn asking() -> SessionConfig {
    let mut config = SessionConfig::default();
    config.naming = Naming::Ask;
    config
}

/// The number in a line, which has one.
fn number(line: &str) -> usize {
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("there is a number")
}

#[tokio::test(start_paused = true)]
async fn notices_for_a_peer_that_reads_none_are_bounded_and_those_left_out_are_counted() {
    for naming in [Naming::Given, Naming::Ask] {
        let hub = hub();
        let mut config = SessionConfig::default();
        config.naming = naming;
        let mut peer = Peer::connect_with(&hub, "mem:1", &config, 4096);
        let sent = 100_000;
        for _ in 0..sent / 1000 {
            peer.send(&"/nonsense\n".repeat(1000)).await;
        }
        all_idle().await;
        peer.finish().await;
        let heard = peer.rest().await;
        let answers = heard.iter().filter(|line| line.contains("unknown command"));
        let skipped = heard
            .iter()
            .filter(|line| line.ends_with("notices skipped"));
        let skipped: usize = skipped.map(|line| number(line)).sum();
        assert_eq!(answers.count() + skipped, sent, "{naming:?}");
        let bytes: usize = heard.iter().map(|line| line.len() + 1).sum();
        assert!(bytes < 64 * 1024, "{bytes} bytes were kept, {naming:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_was_let_go_without_a_name_cannot_join_any_more() {
    let hub = hub();
    let peer = Peer::connect_with(&hub, "mem:1", &asking(), CAPACITY);
    let mut peer = peer.within(3600 * SECOND);
    peer.until("* no name for 1m, goodbye").await;
    peer.say("ghost").await;
    peer.say("I am here").await;
    assert_eq!(peer.ended().await, LeaveReason::Nameless);
    assert_eq!(hub.position(), 0, "nobody came, nothing was said");
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_read_while_the_process_stood_still_is_not_cut() {
    let hub = hub();
    let talker = join(&hub, "talker");
    let mut peer = Peer::connect_with(&hub, "mem:1", &SessionConfig::default(), 16);
    all_idle().await;
    talker.publish(&"x".repeat(1000)).unwrap();
    // Stuck, and then both at once: it has read, and the time is over.
    sleep(20 * SECOND).await;
    peer.listen(16).await;
    advance(20 * SECOND).await;
    all_idle().await;
    assert!(!peer.is_over());
    peer.until(&format!("talker: {}", "x".repeat(1000))).await;
}

/// Input that was sent before the connection broke, and a writer that finds that it has.
struct Broken(Option<String>);

impl Transport for Broken {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        (self, Box::new(Gone))
    }
}

#[async_trait]
impl ReceiveHalf for Broken {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        // Not at once: the other half is the first to know.
        sleep(SECOND).await;
        let Some(input) = self.0.take() else {
            return Ok(Received::End);
        };
        inbox.bytes(input.as_bytes());
        Ok(Received::More)
    }
}

struct Gone;

#[async_trait]
impl DeliverHalf for Gone {
    async fn deliver(&mut self, _: &mut Feed) -> io::Result<()> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        unreachable!("it was broken before")
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_peer_sent_before_it_hung_up_is_heard() {
    let hub = hub();
    let mut other = join(&hub, "other");
    let mut record = Record::of(&other);
    let broken = Broken(Some("one\ntwo\nthree".into()));
    let session = spawn(&hub, "mem:1", broken, &SessionConfig::default());
    assert!(session.await.unwrap().is_ok());
    record.catch_up(&mut other);
    let heard: Vec<_> = record.events().map(ToString::to_string).collect();
    let expected = [
        "mem:1 has arrived",
        "mem:1: one",
        "mem:1: two",
        "mem:1: three",
        "mem:1 has left",
    ];
    assert_eq!(heard, expected);
}

#[tokio::test(start_paused = true)]
async fn one_who_was_sent_away_before_anything_happened_may_look_late() {
    let mut config = HubConfig::default();
    config.log_bytes = 0;
    config.announce_up_to = Some(0);
    let hub = Hub::new(config);
    let mut gone = join(&hub, "gone");
    hub.leave(gone.id(), LeaveReason::Kicked).unwrap();
    let writer = join(&hub, "writer");
    for _ in 0..10_000 {
        writer.publish("the log moves on").unwrap();
    }
    assert_eq!(gone.try_recv(), Ok(Delivery::Closed(LeaveReason::Kicked)));
}

#[tokio::test(start_paused = true)]
async fn limits_beyond_all_measure_are_no_limits() {
    let mut config = SessionConfig::default();
    config.idle_timeout = Some(Duration::MAX);
    config.stall_timeout = Duration::MAX;
    config.name_timeout = Duration::MAX;
    config.linger = Duration::MAX;
    let mut hub_config = HubConfig::default();
    hub_config.max_text = usize::MAX;
    hub_config.patience = Duration::MAX;
    let hub = Hub::new(hub_config);
    let (near, mut far) = tokio::io::duplex(64);
    let session = spawn(&hub, "mem:1", IoTransport::new(near), &config);
    far.write_all(b"hi\n/quit\n").await.unwrap();
    sleep(1_000_000 * SECOND).await;
    drop(far);
    assert_eq!(session.await.unwrap(), Ok(LeaveReason::Left));
    assert_eq!(hub.stats().published, 1);
}
