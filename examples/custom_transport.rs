//! Two transports of your own, with one peer each, in one hub.
//!
//! ```text
//! cargo run --example custom_transport
//! ```
//!
//! You will see what each of the two has heard: one is at a Unix socket, for which an adapter is
//! enough, the other at the end of two channels of messages, for which the trait is implemented
//! by hand. It ends by itself.

use async_trait::async_trait;
use chat_core::session::{self, SessionConfig};
use chat_core::transport::{
    DeliverHalf, Feed, Inbox, IoTransport, ReceiveHalf, Received, StreamTransport, Transport,
};
use chat_core::{Hub, HubConfig, LeaveReason, Name};
use chat_server::{Incoming, Listener, ServerConfig, serve};
use std::error::Error;
use std::io;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

// 1. Anything that is `AsyncRead + AsyncWrite`: no transport to write, only where peers come from.

struct UnixPeers {
    socket: UnixListener,
    accepted: u64,
}

impl Listener for UnixPeers {
    type Transport = StreamTransport<UnixStream>;

    async fn accept(&mut self) -> io::Result<Incoming<Self::Transport>> {
        let (stream, _) = self.socket.accept().await?;
        self.accepted += 1;
        let name = Name::assigned(&format!("unix:{}", self.accepted)).map_err(io::Error::other)?;
        Ok(Incoming::new(IoTransport::new(stream), name))
    }
}

// 2. Messages with ends of their own: a peer at the other end of two channels.

struct Channels {
    from_peer: mpsc::Receiver<String>,
    to_peer: mpsc::Sender<String>,
}

impl Transport for Channels {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        (
            Box::new(FromPeer(self.from_peer)),
            Box::new(ToPeer(Some(self.to_peer))),
        )
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
        // First the room, then the lines: what waits in the hub costs nothing.
        let room = sender.reserve().await.map_err(io::Error::other)?;
        let lines = feed.take();
        if !lines.is_empty() {
            room.send(lines);
        }
        Ok(())
    }

    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        // The peer sees the end of its channel, hangs up in turn, and the session is over.
        self.0 = None;
        Ok(())
    }
}

// The two in one hub.

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new(HubConfig::default());
    let folder = tempfile::tempdir()?; // removed at the end, with the socket in it
    let path = folder.path().join("chat");
    let listener = UnixPeers {
        socket: UnixListener::bind(&path)?,
        accepted: 0,
    };
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, hub.clone(), ServerConfig::default(), {
        let hub = hub.clone();
        async move {
            let _ = stopped.await;
            hub.close();
        }
    }));

    let mut unix = UnixPeer::connect(&path).await?;
    unix.hear("You are unix:1").await?;

    let (say, from_peer) = mpsc::channel(8);
    let (to_peer, heard) = mpsc::channel(8);
    let transport = Channels { from_peer, to_peer };
    let session = tokio::spawn(async move {
        let name = Name::assigned("channel:1").expect("a colon, but not at its end");
        session::run(&hub, name, transport, &SessionConfig::default()).await
    });
    let mut channel = ChannelPeer {
        heard,
        lines: String::new(),
    };
    channel.hear("You are channel:1").await?;
    channel.hear("Here now: unix:1").await?;
    unix.hear("channel:1 has arrived").await?;

    say.send("hello from a channel".into()).await?;
    unix.hear("channel:1: hello from a channel").await?;
    channel.hear("channel:1: hello from a channel").await?;

    unix.say("hello from a socket").await?;
    unix.hear("unix:1: hello from a socket").await?;
    channel.hear("unix:1: hello from a socket").await?;

    // Everybody is told, and hangs up.
    stop.send(()).expect("the server waits for it");
    unix.hear("* server is going down").await?;
    channel.hear("* server is going down").await?;
    assert_eq!(channel.heard.recv().await, None);
    drop((unix, say));
    assert_eq!(session.await??, LeaveReason::Closed);
    server.await?;
    Ok(())
}

struct UnixPeer(BufReader<UnixStream>);

impl UnixPeer {
    async fn connect(path: &std::path::Path) -> io::Result<Self> {
        Ok(Self(BufReader::new(UnixStream::connect(path).await?)))
    }

    async fn say(&mut self, line: &str) -> io::Result<()> {
        self.0.write_all(format!("{line}\n").as_bytes()).await
    }

    async fn hear(&mut self, expected: &str) -> io::Result<()> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        println!("unix    hears: {}", line.trim_end());
        assert_eq!(line.trim_end(), expected);
        Ok(())
    }
}

struct ChannelPeer {
    heard: mpsc::Receiver<String>,
    /// What is left of the last message, which may have had many lines.
    lines: String,
}

impl ChannelPeer {
    async fn hear(&mut self, expected: &str) -> Result<(), Box<dyn Error>> {
        if self.lines.is_empty() {
            self.lines = self.heard.recv().await.ok_or("the hub hung up")?;
        }
        let end = self.lines.find('\n').ok_or("lines are whole")?;
        let line: String = self.lines.drain(..=end).collect();
        println!("channel hears: {}", line.trim_end());
        assert_eq!(line.trim_end(), expected);
        Ok(())
    }
}
