//! The transports that come with the hub keep the rules: `chat_core::testkit` over each of them.

use async_trait::async_trait;
use chat_core::LeaveReason;
use chat_core::testkit::{self, Check, Outcome, Remote, Stream, Suite};
use chat_core::transport::{
    DeliverHalf, Feed, Inbox, IoTransport, ReceiveHalf, Received, Transport, memory,
};
use chat_server::TcpTransport;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::pipe;
use tokio::net::{TcpListener, TcpSocket, TcpStream, UnixStream};
use tokio::sync::mpsc;

/// Little, so that buffers are full early.
const NARROW: u32 = 4096;

/// Both ends of a TCP connection, of which the hub's is made as the server makes it.
async fn tcp(listener: &TcpListener) -> io::Result<(TcpTransport, Stream<TcpStream>)> {
    let socket = TcpSocket::new_v4()?;
    socket.set_recv_buffer_size(NARROW)?;
    let peer = socket.connect(listener.local_addr()?).await?;
    peer.set_nodelay(true)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket2::SockRef::from(&stream).set_tcp_notsent_lowat(16 * 1024)?;
    let (reader, writer) = stream.into_split();
    let peer = Stream::new(peer).with_reset(|peer| drop(peer.set_zero_linger()));
    Ok((IoTransport::from_halves(reader, writer), peer))
}

#[tokio::test]
async fn tcp_with_one_thread() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let report = testkit::check(async || tcp(&listener).await).await;
    report.assert_passed_but(&[]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tcp_with_two_threads() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let report = testkit::check(async || tcp(&listener).await).await;
    report.assert_passed_but(&[]);
}

#[tokio::test]
async fn a_unix_socket_by_the_adapter() {
    let connect = async || {
        let (stream, peer) = UnixStream::pair()?;
        Ok((IoTransport::new(stream), Stream::new(peer)))
    };
    // To the system, a peer that is gone has ended in order.
    testkit::check(connect)
        .await
        .assert_passed_but(&[Check::Reset]);
}

#[tokio::test(start_paused = true)]
async fn memory_of_any_capacity() {
    for capacity in [64, 64 * 1024] {
        let report = testkit::check(async || {
            let (transport, peer) = memory::pair(capacity);
            Ok((transport, Stream::new(peer)))
        });
        report.await.assert_passed_but(&[Check::Reset]);
    }
}

/// A peer at the other ends of two pipes.
struct Pipes(pipe::Receiver, Option<pipe::Sender>);

#[async_trait]
impl Remote for Pipes {
    async fn send(&mut self, text: &str) -> io::Result<()> {
        self.send_part(text.as_bytes()).await
    }

    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut piece = vec![0; 1000];
        let read = self.0.read(&mut piece).await?;
        Ok((read > 0).then(|| piece[..read].into()))
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.1 = None;
        Ok(())
    }

    async fn send_part(&mut self, part: &[u8]) -> io::Result<()> {
        let pipe = self.1.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        pipe.write_all(part).await
    }
}

#[tokio::test]
async fn two_pipes_by_the_adapter() {
    let report = testkit::check(async || {
        let ((to_hub, from_peer), (to_peer, from_hub)) = (pipe::pipe()?, pipe::pipe()?);
        let transport = IoTransport::from_halves(from_peer, to_peer);
        Ok((transport, Pipes(from_hub, Some(to_hub))))
    });
    report.await.assert_passed_but(&[Check::Reset]);
}

/// The transport of messages that the docs of `chat_core::transport` show.
struct Channels(mpsc::Receiver<String>, mpsc::Sender<String>);

impl Transport for Channels {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        (Box::new(FromPeer(self.0)), Box::new(ToPeer(Some(self.1))))
    }
}

struct FromPeer(mpsc::Receiver<String>);
#[async_trait]
impl ReceiveHalf for FromPeer {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        let Some(line) = self.0.recv().await else {
            return Ok(Received::End);
        };
        inbox.text(&line);
        Ok(Received::More)
    }
}

struct ToPeer(Option<mpsc::Sender<String>>);
#[async_trait]
impl DeliverHalf for ToPeer {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        let sender = self.0.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        let room = sender.reserve().await.map_err(io::Error::other)?;
        let lines = feed.take();
        if !lines.is_empty() {
            room.send(lines);
        }
        Ok(())
    }

    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        self.0 = None;
        Ok(())
    }
}

/// The other end of [`Channels`].
struct Peer {
    say: Option<mpsc::Sender<String>>,
    hear: mpsc::Receiver<String>,
}

#[async_trait]
impl Remote for Peer {
    async fn send(&mut self, text: &str) -> io::Result<()> {
        let say = self.say.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        say.send(text.into()).await.map_err(io::Error::other)
    }

    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.hear.recv().await.map(String::into_bytes))
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.say = None;
        Ok(())
    }
}

async fn channels() -> io::Result<(Channels, Peer)> {
    let ((say, said), (tell, hear)) = (mpsc::channel(4), mpsc::channel(4));
    let say = Some(say);
    Ok((Channels(said, tell), Peer { say, hear }))
}

#[tokio::test(start_paused = true)]
async fn messages_by_hand() {
    let report = testkit::check(channels).await;
    report.assert_passed_but(&[Check::PartsOfLines, Check::Reset]);
}

#[tokio::test(start_paused = true)]
async fn one_transport_of_any_kind() {
    let report = testkit::check(async || {
        let (transport, peer) = channels().await?;
        Ok((Box::new(transport) as Box<dyn Transport>, peer))
    });
    let skipped = [Check::PartsOfLines, Check::Reset];
    report.await.assert_passed_but(&skipped);
}

#[tokio::test(start_paused = true)]
async fn each_check_can_be_played_alone() {
    for check in Check::ALL {
        let report = Suite::default().only(&[check]).check(channels).await;
        let [(played, outcome)] = report.outcomes() else {
            panic!("one was asked for:\n{report}");
        };
        assert_eq!(*played, check);
        let cannot = [Check::PartsOfLines, Check::Reset].contains(&check);
        assert_eq!(matches!(outcome, Outcome::Skipped(_)), cannot, "{report}");
        assert_eq!(*outcome == Outcome::Passed, !cannot, "{report}");
    }
}

#[tokio::test(start_paused = true)]
async fn who_cannot_connect_fails_every_check() {
    let connect = async || -> io::Result<(Channels, Peer)> { Err(io::Error::other("no cable")) };
    let report = testkit::check(connect).await;
    assert_eq!(report.failed(), Check::ALL);
    assert!(report.to_string().contains("no cable"), "{report}");
}

#[tokio::test(start_paused = true)]
async fn a_check_that_fails_ends_in_time() {
    let connect = async || {
        let (transport, _) = channels().await?;
        let (_, nobody) = channels().await?;
        // Of another connection, which is open and where nothing happens.
        let (tell, hear) = mpsc::channel(1);
        let peer = Peer {
            say: nobody.say,
            hear,
        };
        tokio::spawn(async move { tell.closed().await });
        Ok((transport, peer))
    };
    let suite = Suite::default().deadline(Duration::from_secs(3));
    let begin = tokio::time::Instant::now();
    let report = suite.only(&[Check::OneByOne]).check(connect).await;
    assert_eq!(report.failed(), [Check::OneByOne]);
    assert!(report.to_string().contains("You are testkit:1"), "{report}");
    assert!(
        begin.elapsed() < Duration::from_secs(4),
        "the clock is paused"
    );
}
