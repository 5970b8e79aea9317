//! Transports: custom transports of messages, errors, adjacency of received lines, and the deadline
//! of `close`.

use async_trait::async_trait;
use chat_core::session::SessionConfig;
use chat_core::transport::{
    DeliverHalf, Feed, Inbox, IoTransport, ReceiveHalf, Received, Transport, memory,
};
use chat_core::{Event, EventKind, Hub, LeaveReason, MemberId};
use chat_tests::history::Record;
use chat_tests::memory::{CAPACITY, DEADLINE, Peer, hub, join, spawn};
use chat_tests::within;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio_stream::Stream;

/// The next text of a channel, within the deadline.
async fn next_text(channel: &mut mpsc::Receiver<String>) -> String {
    let text = within(DEADLINE, "a delivery", channel.recv()).await;
    text.expect("the session still runs")
}

/// A complete transport of messages: from here to the end of `To`, 25 lines with the reason.
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
        let permit = self.0.reserve().await.map_err(io::Error::other)?;
        let lines = feed.take();
        if !lines.is_empty() {
            permit.send(lines);
        }
        Ok(())
    }
    async fn close(&mut self, reason: LeaveReason) -> io::Result<()> {
        let end = format!("closed: {reason}");
        self.0.send(end).await.map_err(io::Error::other)
    }
}

/// Both ends of [`Channels`].
fn channels() -> (Channels, mpsc::Sender<Vec<String>>, mpsc::Receiver<String>) {
    let ((input, inputs), (outputs, output)) = (mpsc::channel(8), mpsc::channel(8));
    (Channels(inputs, outputs), input, output)
}

mod messages {
    use super::*;

    #[tokio::test]
    async fn behave_like_lines() {
        let hub = hub();
        let (transport, input, mut output) = channels();
        let session = spawn(&hub, "fake:1", transport, &SessionConfig::default());
        assert_eq!(next_text(&mut output).await, "You are fake:1\n");
        let messages = ["hi", "one\ntwo\n", "", "\x1b[2J"];
        input.send(messages.map(String::from).into()).await.unwrap();
        let expected = "fake:1: hi\nfake:1: one\nfake:1: two\nfake:1: \nfake:1: [2J\n";
        assert_eq!(next_text(&mut output).await, expected);
        drop(input);
        assert_eq!(next_text(&mut output).await, "closed: left");
        let ended = within(DEADLINE, "ending", session).await.unwrap();
        assert_eq!(ended, Ok(LeaveReason::Left));
        assert_eq!(output.recv().await, None, "the transport was dropped");
        assert_eq!(hub.stats().members, 0);
    }

    #[tokio::test]
    async fn share_a_hub_with_streams() {
        let hub = hub();
        let (fake, input, mut output) = channels();
        let (in_memory, mut stream) = memory::pair(CAPACITY);
        let transports: [(&str, Box<dyn Transport>); 2] =
            [("fake:1", Box::new(fake)), ("mem:1", Box::new(in_memory))];
        for (name, transport) in transports {
            spawn(&hub, name, transport, &SessionConfig::default());
            while hub.roster(9).names.iter().all(|here| here.as_str() != name) {
                yield_now().await;
            }
        }
        input.send(vec!["hi".into()]).await.unwrap();
        while hub.stats().published == 0 {
            yield_now().await;
        }
        stream.write_all(b"hello\n").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut in_memory = String::new();
        let reading = stream.read_to_string(&mut in_memory);
        within(DEADLINE, "reading", reading).await.unwrap();
        let mut in_messages = String::new();
        while !in_messages.ends_with("has left\n") {
            in_messages += &next_text(&mut output).await;
        }
        let messages = "fake:1: hi\nmem:1: hello\n";
        assert_eq!(
            in_memory,
            format!("You are mem:1\nHere now: fake:1\n{messages}")
        );
        assert_eq!(
            in_messages,
            format!("You are fake:1\nmem:1 has arrived\n{messages}mem:1 has left\n")
        );
    }
}

mod error {
    use super::*;

    /// A reader and writer that fails.
    struct FailingIo;

    impl AsyncRead for FailingIo {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()))
        }
    }

    impl AsyncWrite for FailingIo {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Asserts that a session over this transport ends as `Lost` and that its departure is
    /// announced.
    async fn assert_lost(transport: impl Transport) {
        let hub = hub();
        let mut other = join(&hub, "other");
        let session = spawn(&hub, "mem:1", transport, &SessionConfig::default());
        let ended = within(DEADLINE, "ending", session).await;
        assert_eq!(
            ended.expect("the session does not panic"),
            Ok(LeaveReason::Lost)
        );
        let mut record = Record::of(&other);
        record.catch_up(&mut other);
        assert_eq!(record.lines(), ["mem:1 has arrived", "mem:1 has left"]);
        let left = record.events().last().map(Event::kind);
        assert_eq!(left, Some(EventKind::Left(LeaveReason::Lost)));
    }

    #[tokio::test]
    async fn read_error_ends_the_session() {
        assert_lost(IoTransport::from_halves(FailingIo, tokio::io::sink())).await;
    }

    #[tokio::test(start_paused = true)]
    async fn write_error_ends_the_session() {
        // The other direction stays open without input, and the session reads it for a moment.
        let (silent, _end) = tokio::io::simplex(1);
        assert_lost(IoTransport::from_halves(silent, FailingIo)).await;
    }

    #[tokio::test]
    async fn disconnect_ends_the_next_delivery() {
        let hub = hub();
        let other = join(&hub, "other");
        let mut peer = Peer::connect(&hub, "mem:1");
        peer.lines_until("Here now: other").await;
        let ended = tokio::spawn(peer.disconnect());
        other.publish("hi").unwrap();
        let ended = within(DEADLINE, "ending", ended).await.unwrap();
        // The input has ended as well, and the order of the two is not defined.
        assert!(matches!(ended, LeaveReason::Lost | LeaveReason::Left));
        assert_eq!(hub.stats().members, 1);
    }
}

mod lines {
    use super::*;

    /// A waker that publishes a text.
    struct PublishingWaker(Hub, MemberId);

    impl Wake for PublishingWaker {
        fn wake(self: Arc<Self>) {
            let _ = self.0.publish(self.1, "interruption");
        }
    }

    #[tokio::test]
    async fn received_together_stay_adjacent() {
        let hub = hub();
        let (fake, input, mut output) = channels();
        spawn(&hub, "fake:1", fake, &SessionConfig::default());
        tokio::spawn(async move { while output.recv().await.is_some() {} });
        let mut peer = Peer::connect(&hub, "mem:1");
        while hub.stats().members < 2 {
            yield_now().await;
        }
        let mut observer = join(&hub, "observer");
        let mut waiting = join(&hub, "waiting");
        let waker = Waker::from(Arc::new(PublishingWaker(hub.clone(), waiting.id())));
        let mut record = Record::of(&observer);
        let lines: Vec<_> = (0..500).map(|line| line.to_string()).collect();
        for sender in ["fake:1", "mem:1"] {
            while waiting.try_recv().is_ok() {}
            let mut cx = Context::from_waker(&waker);
            assert!(pin!(&mut waiting).poll_next(&mut cx).is_pending());
            record.catch_up(&mut observer);
            let before = record.lines().len();
            match sender {
                "fake:1" => input.send(lines.clone()).await.unwrap(),
                _ => peer.send(&(lines.join("\n") + "\n")).await,
            }
            let published = hub.stats().published + lines.len() as u64 + 1;
            while hub.stats().published < published {
                yield_now().await;
            }
            record.catch_up(&mut observer);
            let mut expected: Vec<_> = lines.iter().map(|l| format!("{sender}: {l}")).collect();
            expected.push("waiting: interruption".into());
            let received = &record.lines()[before..];
            let received: Vec<_> = received
                .iter()
                .filter(|line| !line.ends_with("arrived"))
                .collect();
            assert_eq!(received, expected.iter().collect::<Vec<_>>());
        }
    }
}

mod close {
    use super::*;

    /// A delivering half whose `close` never returns.
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

    /// A transport made of two halves.
    struct Halves<R, D>(R, D);

    impl<R: ReceiveHalf + 'static, D: DeliverHalf + 'static> Transport for Halves<R, D> {
        fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
            (Box::new(self.0), Box::new(self.1))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn has_a_deadline() {
        let hub = hub();
        let (input, inputs) = mpsc::channel(1);
        let transport = Halves(From(inputs), NeverCloses);
        let session = spawn(&hub, "fake:1", transport, &SessionConfig::default());
        input.send(vec!["/quit".into()]).await.unwrap();
        // The longest timeout of the configuration is five minutes.
        let day = Duration::from_secs(86_400);
        let ended = within(day, "ending", session).await.unwrap();
        assert_eq!(ended, Ok(LeaveReason::Left));
    }
}
