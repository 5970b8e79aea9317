//! What a transport can count on, and what it can do to others: nothing.

use async_trait::async_trait;
use chat_core::session::SessionConfig;
use chat_core::transport::{
    DeliverHalf, Feed, Inbox, IoTransport, ReceiveHalf, Received, Transport, memory,
};
use chat_core::{Event, EventKind, Hub, HubConfig, LeaveReason, MemberId};
use chat_tests::history::Record;
use chat_tests::memory::{CAPACITY, DEADLINE, Peer, join, spawn, timely};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio_stream::Stream;

fn hub() -> Hub {
    Hub::new(HubConfig::default())
}

/// What the next line of a channel is, which must come soon.
async fn heard(channel: &mut mpsc::Receiver<String>) -> String {
    let heard = timely(DEADLINE, "a delivery", channel.recv()).await;
    heard.expect("the session goes on")
}

/// A whole transport of messages: from here to the end of `To`, some 25 lines with the reason.
struct Channels(mpsc::Receiver<Vec<String>>, mpsc::Sender<String>);

impl Transport for Channels {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        (Box::new(From(self.0)), Box::new(To(self.1)))
    }
}
struct From(mpsc::Receiver<Vec<String>>);
#[async_trait]
impl ReceiveHalf for From {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        let Some(messages) = self.0.recv().await else {
            return Ok(Received::End);
        };
        messages.iter().for_each(|message| inbox.text(message));
        Ok(Received::More)
    }
}
struct To(mpsc::Sender<String>);
#[async_trait]
impl DeliverHalf for To {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        let room = self.0.reserve().await.map_err(io::Error::other)?;
        let lines = feed.take();
        if !lines.is_empty() {
            room.send(lines);
        }
        Ok(())
    }
    async fn close(&mut self, reason: LeaveReason) -> io::Result<()> {
        let end = format!("that is all: {reason}");
        self.0.send(end).await.map_err(io::Error::other)
    }
}

/// Both ends of [`Channels`].
fn channels() -> (Channels, mpsc::Sender<Vec<String>>, mpsc::Receiver<String>) {
    let ((say, said), (tell, told)) = (mpsc::channel(8), mpsc::channel(8));
    (Channels(said, tell), say, told)
}

#[tokio::test]
async fn a_transport_of_messages_is_a_peer_like_any_other() {
    let hub = hub();
    let (transport, say, mut told) = channels();
    let session = spawn(&hub, "fake:1", transport, &SessionConfig::default());
    assert_eq!(heard(&mut told).await, "You are fake:1\n");
    let messages = ["hi", "one\ntwo\n", "", "\x1b[2J"];
    say.send(messages.map(String::from).into()).await.unwrap();
    let expected = "fake:1: hi\nfake:1: one\nfake:1: two\nfake:1: \nfake:1: [2J\n";
    assert_eq!(heard(&mut told).await, expected);
    drop(say);
    assert_eq!(heard(&mut told).await, "that is all: left");
    let ended = timely(DEADLINE, "ending", session).await.unwrap();
    assert_eq!(ended, Ok(LeaveReason::Left));
    assert_eq!(told.recv().await, None, "the connection is gone");
    assert_eq!(hub.stats().members, 0);
}

#[tokio::test]
async fn peers_of_different_transports_share_a_hub() {
    let hub = hub();
    let (fake, say, mut told) = channels();
    let (in_memory, mut stream) = memory::pair(CAPACITY);
    let transports: [(&str, Box<dyn Transport>); 2] =
        [("fake:1", Box::new(fake)), ("mem:1", Box::new(in_memory))];
    for (name, transport) in transports {
        spawn(&hub, name, transport, &SessionConfig::default());
        while hub.roster(9).names.iter().all(|here| here.as_str() != name) {
            yield_now().await;
        }
    }
    say.send(vec!["hi".into()]).await.unwrap();
    while hub.stats().published == 0 {
        yield_now().await;
    }
    stream.write_all(b"hello\n").await.unwrap();
    stream.shutdown().await.unwrap();
    let mut in_memory = String::new();
    let reading = stream.read_to_string(&mut in_memory);
    timely(DEADLINE, "reading", reading).await.unwrap();
    let mut in_messages = String::new();
    while !in_messages.ends_with("has left\n") {
        in_messages += &heard(&mut told).await;
    }
    let talk = "fake:1: hi\nmem:1: hello\n";
    assert_eq!(
        in_memory,
        format!("You are mem:1\nHere now: fake:1\n{talk}")
    );
    assert_eq!(
        in_messages,
        format!("You are fake:1\nmem:1 has arrived\n{talk}mem:1 has left\n")
    );
}

/// A reader or writer that fails.
struct Broken;

impl AsyncRead for Broken {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
    }
}

impl AsyncWrite for Broken {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, _: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Asserts that a session over this transport is lost, and that others see that.
async fn assert_lost(transport: impl Transport) {
    let hub = hub();
    let mut other = join(&hub, "other");
    let session = spawn(&hub, "mem:1", transport, &SessionConfig::default());
    let ended = timely(DEADLINE, "ending", session).await;
    assert_eq!(ended.expect("it does not panic"), Ok(LeaveReason::Lost));
    let mut record = Record::of(&other);
    record.catch_up(&mut other);
    assert_eq!(record.lines(), ["mem:1 has arrived", "mem:1 has left"]);
    let left = record.events().last().map(Event::kind);
    assert_eq!(left, Some(EventKind::Left(LeaveReason::Lost)));
}

#[tokio::test]
async fn an_error_in_reading_is_the_end_and_others_see_it() {
    assert_lost(IoTransport::from_halves(Broken, tokio::io::sink())).await;
}

#[tokio::test(start_paused = true)]
async fn an_error_in_writing_is_the_end_and_others_see_it() {
    // The other direction is open and silent, and is listened to for a moment.
    let (silent, _end) = tokio::io::simplex(1);
    assert_lost(IoTransport::from_halves(silent, Broken)).await;
}

#[tokio::test]
async fn a_peer_that_hangs_up_is_lost_when_something_is_to_be_delivered() {
    let hub = hub();
    let other = join(&hub, "other");
    let mut peer = Peer::connect(&hub, "mem:1");
    peer.until("Here now: other").await;
    let ended = tokio::spawn(peer.hang_up());
    other.publish("hi").unwrap();
    let ended = timely(DEADLINE, "ending", ended).await.unwrap();
    // Its input has ended too, and which of the two is seen first is open.
    assert!(matches!(ended, LeaveReason::Lost | LeaveReason::Left));
    assert_eq!(hub.stats().members, 1);
}

/// Interrupts whoever wakes it.
struct Interrupter(Hub, MemberId);

impl Wake for Interrupter {
    fn wake(self: Arc<Self>) {
        let _ = self.0.publish(self.1, "excuse me");
    }
}

#[tokio::test]
async fn lines_that_are_received_together_stand_together() {
    let hub = hub();
    let (fake, say, mut told) = channels();
    spawn(&hub, "fake:1", fake, &SessionConfig::default());
    tokio::spawn(async move { while told.recv().await.is_some() {} });
    let mut peer = Peer::connect(&hub, "mem:1");
    while hub.stats().members < 2 {
        yield_now().await;
    }
    let mut observer = join(&hub, "observer");
    let mut waiting = join(&hub, "waiting");
    let interrupter = Waker::from(Arc::new(Interrupter(hub.clone(), waiting.id())));
    let mut record = Record::of(&observer);
    let lines: Vec<_> = (0..500).map(|line| line.to_string()).collect();
    for sender in ["fake:1", "mem:1"] {
        while waiting.try_recv().is_ok() {}
        let mut cx = Context::from_waker(&interrupter);
        assert!(pin!(&mut waiting).poll_next(&mut cx).is_pending());
        record.catch_up(&mut observer);
        let before = record.lines().len();
        match sender {
            "fake:1" => say.send(lines.clone()).await.unwrap(),
            _ => peer.send(&(lines.join("\n") + "\n")).await,
        }
        let published = hub.stats().published + lines.len() as u64 + 1;
        while hub.stats().published < published {
            yield_now().await;
        }
        record.catch_up(&mut observer);
        let mut expected: Vec<_> = lines.iter().map(|l| format!("{sender}: {l}")).collect();
        expected.push("waiting: excuse me".into());
        let heard = &record.lines()[before..];
        let heard: Vec<_> = heard
            .iter()
            .filter(|line| !line.ends_with("arrived"))
            .collect();
        assert_eq!(heard, expected.iter().collect::<Vec<_>>());
    }
}

/// Delivers all, and then never gets the end of it through.
struct NeverCloses;

#[async_trait]
impl DeliverHalf for NeverCloses {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        drop(feed.take());
        Ok(())
    }
    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        std::future::pending().await
    }
}

/// A transport of any two halves.
struct Halves<R, D>(R, D);

impl<R: ReceiveHalf + 'static, D: DeliverHalf + 'static> Transport for Halves<R, D> {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        (Box::new(self.0), Box::new(self.1))
    }
}

#[tokio::test(start_paused = true)]
async fn a_transport_that_never_gets_to_close_cannot_hold_its_session() {
    let hub = hub();
    let (say, said) = mpsc::channel(1);
    let transport = Halves(From(said), NeverCloses);
    let session = spawn(&hub, "fake:1", transport, &SessionConfig::default());
    say.send(vec!["/quit".into()]).await.unwrap();
    // The longest of all limits is five minutes.
    let day = Duration::from_secs(86_400);
    let ended = timely(day, "ending", session).await.unwrap();
    assert_eq!(ended, Ok(LeaveReason::Left));
}
