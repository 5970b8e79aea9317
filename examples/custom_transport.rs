//! Two custom transports, with one peer each, in one hub.
//!
//! ```text
//! cargo run --example custom_transport
//! ```
//!
//! One peer connects over a Unix socket, for which an adapter is enough. The other sends and
//! receives messages over two channels, for which the trait is implemented by hand. You will see
//! the lines that each of them receives. It ends by itself.

use async_trait::async_trait;
use chat_core::session::{self, SessionConfig};
use chat_core::transport::{
    DeliverHalf, Feed, Inbox, IoTransport, ReceiveHalf, Received, StreamTransport, Transport,
};
use chat_core::{Hub, HubConfig, LeaveReason, Name};
use chat_server::{Incoming, Listener, ServerConfig, serve};
use std::process::ExitCode;
use std::{error::Error, io, path::Path};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};

// 1. Anything that is `AsyncRead + AsyncWrite`: only the source of peers is to be written.

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

// 2. Whole messages: a peer at the other end of two channels.

/// The most messages that one call receives.
const MAX_BATCH: usize = 100;

struct MessageTransport {
    from_peer: mpsc::Receiver<String>,
    to_peer: mpsc::Sender<String>,
}

impl Transport for MessageTransport {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        (
            Box::new(MessageReceiver(self.from_peer)),
            Box::new(MessageDeliverer(Some(self.to_peer))),
        )
    }
}

struct MessageReceiver(mpsc::Receiver<String>);

#[async_trait]
impl ReceiveHalf for MessageReceiver {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        // The input of one call is published together, so the call takes all that is available.
        let mut lines = Vec::new();
        if self.0.recv_many(&mut lines, MAX_BATCH).await == 0 {
            return Ok(Received::End);
        }
        for line in &lines {
            inbox.text(line);
        }
        Ok(Received::More)
    }
}

struct MessageDeliverer(Option<mpsc::Sender<String>>);

#[async_trait]
impl DeliverHalf for MessageDeliverer {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        let sender = self.0.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        // First the permit, then the lines: until they are taken, they cost nothing.
        let permit = sender.reserve().await.map_err(io::Error::other)?;
        let lines = feed.take();
        if !lines.is_empty() {
            permit.send(lines);
        }
        Ok(())
    }

    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        // The peer sees the end of its channel and drops its own sender, which ends the session.
        self.0 = None;
        Ok(())
    }
}

// Both in one hub.

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("custom_transport: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let hub = Hub::new(HubConfig::default());
    let folder = tempfile::tempdir()?; // removed at the end, with the socket in it
    let path = folder.path().join("chat");
    let listener = UnixPeers {
        socket: UnixListener::bind(&path)?,
        accepted: 0,
    };
    let (shut_down, shutdown) = oneshot::channel::<()>();
    let server = tokio::spawn(serve(listener, hub.clone(), ServerConfig::default(), {
        let hub = hub.clone();
        async move {
            let _ = shutdown.await;
            hub.close();
        }
    }));

    let mut unix = UnixPeer::connect(&path).await?;
    unix.expect("You are unix:1").await?;

    let (to_hub, from_peer) = mpsc::channel(8);
    let (to_peer, from_hub) = mpsc::channel(8);
    let transport = MessageTransport { from_peer, to_peer };
    let session = tokio::spawn(async move {
        let name = Name::assigned("channel:1").expect("it is a valid assigned name");
        session::run(&hub, name, transport, &SessionConfig::default()).await
    });
    let mut channel = ChannelPeer {
        from_hub,
        lines: String::new(),
    };
    channel.expect("You are channel:1").await?;
    channel.expect("Here now: unix:1").await?;
    unix.expect("channel:1 has arrived").await?;

    to_hub.send("hello from a channel".into()).await?;
    unix.expect("channel:1: hello from a channel").await?;
    channel.expect("channel:1: hello from a channel").await?;

    unix.send("hello from a socket").await?;
    unix.expect("unix:1: hello from a socket").await?;
    channel.expect("unix:1: hello from a socket").await?;

    // Every peer receives a notice and the end of its stream, and disconnects.
    shut_down.send(()).expect("the server runs");
    unix.expect("* server is going down").await?;
    channel.expect("* server is going down").await?;
    assert_eq!(channel.from_hub.recv().await, None);
    drop((unix, to_hub));
    assert_eq!(session.await??, LeaveReason::Closed);
    server.await?;
    Ok(())
}

struct UnixPeer(BufReader<UnixStream>);

impl UnixPeer {
    async fn connect(path: &Path) -> io::Result<Self> {
        Ok(Self(BufReader::new(UnixStream::connect(path).await?)))
    }

    async fn send(&mut self, line: &str) -> io::Result<()> {
        self.0.write_all(format!("{line}\n").as_bytes()).await
    }

    async fn expect(&mut self, expected: &str) -> io::Result<()> {
        let mut line = String::new();
        self.0.read_line(&mut line).await?;
        println!("unix    receives: {}", line.trim_end());
        assert_eq!(line.trim_end(), expected);
        Ok(())
    }
}

struct ChannelPeer {
    from_hub: mpsc::Receiver<String>,
    /// The rest of the last message, which may have had several lines.
    lines: String,
}

impl ChannelPeer {
    async fn expect(&mut self, expected: &str) -> Result<(), Box<dyn Error>> {
        if self.lines.is_empty() {
            self.lines = self.from_hub.recv().await.ok_or("the hub disconnected")?;
        }
        let end = self.lines.find('\n').ok_or("a line without an end")?;
        let line: String = self.lines.drain(..=end).collect();
        println!("channel receives: {}", line.trim_end());
        assert_eq!(line.trim_end(), expected);
        Ok(())
    }
}

#[cfg(test)]
#[path = "custom_transport/tests.rs"]
mod tests;
