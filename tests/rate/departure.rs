use super::*;
use async_trait::async_trait;
use chat_core::transport::{DeliverHalf, Inbox, ReceiveHalf, Received, Transport};
use chat_core::{LeaveReason, RemovalReason, Start};
use chat_tests::TextWriter;
use chat_tests::memory::Ended;
use std::io;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

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

/// A transport that calls its receiver once, and sends each taken text to a channel.
struct OneCall<F> {
    receive: Option<F>,
    taken: mpsc::UnboundedSender<String>,
}

impl<F> Transport for OneCall<F>
where
    F: FnOnce(&mut Inbox<'_>) -> io::Result<Received> + Send + 'static,
{
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        let writer = TextWriter(self.taken.clone());
        (self, Box::new(writer))
    }
}

#[async_trait]
impl<F> ReceiveHalf for OneCall<F>
where
    F: FnOnce(&mut Inbox<'_>) -> io::Result<Received> + Send,
{
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        match self.receive.take() {
            Some(receive) => receive(inbox),
            None => std::future::pending().await,
        }
    }
}

/// Starts a session whose transport receives this, and returns it with the delivered texts.
fn receive_once<F>(hub: &Hub, receive: F) -> (JoinHandle<Ended>, mpsc::UnboundedReceiver<String>)
where
    F: FnOnce(&mut Inbox<'_>) -> io::Result<Received> + Send + 'static,
{
    let (taken, delivered) = mpsc::unbounded_channel();
    let receive = Some(receive);
    let transport = OneCall { receive, taken };
    (spawn(hub, "mem:1", transport, &limited()), delivered)
}

fn connection_lost() -> io::Result<Received> {
    Err(io::ErrorKind::ConnectionReset.into())
}

#[tokio::test(start_paused = true)]
async fn delays_messages_before_the_end() {
    let hub = Hub::new(HubConfig::default());
    let mut observer = join(&hub, "observer");
    let start = Instant::now();
    let (session, _delivered) = receive_once(&hub, |inbox| {
        numbered(0..100).iter().for_each(|line| inbox.text(line));
        Ok(Received::End)
    });
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

/// Asserts that the first 100 numbers are published at the rate and before the departure.
async fn assert_delayed(hub: &Hub, session: JoinHandle<Ended>, reason: LeaveReason) {
    let mut observer = hub.subscribe(Start::Last(0));
    let start = Instant::now();
    let mut times = Vec::new();
    for number in 0..100 {
        let line = loop {
            match observer.recv().await {
                Some(Delivery::Event(event)) if event.kind() == EventKind::Message => break event,
                Some(Delivery::Event(event)) if event.kind() == EventKind::Arrived => {}
                other => panic!("{other:?} instead of {number}"),
            }
        };
        assert_eq!(line.text(), number.to_string());
        times.push(start.elapsed());
    }
    for (late, time) in times[20..].iter().enumerate() {
        let earned = SECOND / 5 * (late as u32 + 1);
        assert!(*time >= earned, "{late} lines after the burst: {time:?}");
    }
    let ended = session.await.expect("the session does not panic");
    assert_eq!(ended, Ok(reason));
}

mod failure {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn delays_lines_received_before() {
        let hub = Hub::new(HubConfig::default());
        let (session, _delivered) = receive_once(&hub, |inbox| {
            let lines: String = (0..100).map(|line| format!("{line}\n")).collect();
            inbox.bytes(lines.as_bytes());
            inbox.bytes(b"unfinished");
            connection_lost()
        });
        assert_delayed(&hub, session, LeaveReason::Lost).await;
        assert_eq!(hub.stats().published, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn delays_messages_received_before() {
        let hub = Hub::new(HubConfig::default());
        let (session, _delivered) = receive_once(&hub, |inbox| {
            numbered(0..100).iter().for_each(|line| inbox.text(line));
            connection_lost()
        });
        assert_delayed(&hub, session, LeaveReason::Lost).await;
        assert_eq!(hub.stats().published, 100);
    }

    #[tokio::test(start_paused = true)]
    async fn of_both_halves_bounds_delay() {
        let hub = Hub::new(HubConfig::default());
        let (session, delivered) = receive_once(&hub, |inbox| {
            numbered(0..100).iter().for_each(|line| inbox.text(line));
            connection_lost()
        });
        drop(delivered);
        let ended = session.await.expect("the session does not panic");
        assert_eq!(ended, Ok(LeaveReason::Lost));
        // The burst, and the lines of two seconds.
        assert!((29..=30).contains(&hub.stats().published));
    }
}

mod disconnect {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn follows_delayed_lines() {
        let hub = Hub::new(HubConfig::default());
        let (session, mut delivered) = receive_once(&hub, |inbox| {
            numbered(0..100).iter().for_each(|line| inbox.text(line));
            inbox.disconnect("broken frame");
            inbox.text("late");
            inbox.disconnect("second");
            Ok(Received::More)
        });
        assert_delayed(&hub, session, LeaveReason::Misbehaved).await;
        assert_eq!(hub.stats().published, 100);
        let mut output = String::new();
        while let Some(text) = delivered.recv().await {
            output += &text;
        }
        let end = "mem:1: 99\n* broken frame, goodbye\n";
        assert!(output.ends_with(end), "{output}");
    }
}
