//! The server's side of the simulated network, and the eyes beside it.

use chat_core::Member;
use chat_core::transport::{IoTransport, StreamTransport};
use chat_server::{Incoming, Listener};
use chat_tests::history::Record;
use std::collections::BTreeMap;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use turmoil::net::{TcpListener, TcpStream};

/// The time since the simulation began, as the host that is running sees it.
pub(crate) fn now() -> Duration {
    turmoil::sim_elapsed().expect("a host is running")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("nothing panics under this lock")
}

/// A member that is read whenever a session touches its connection, so often that it misses
/// nothing however small the log is, and that has nobody woken for it.
#[derive(Clone)]
pub(crate) struct Witness(Arc<Mutex<Seen>>);

struct Seen {
    member: Member,
    record: Record,
    times: Vec<Duration>,
}

impl Witness {
    pub(crate) fn new(member: Member) -> Self {
        Self(Arc::new(Mutex::new(Seen {
            record: Record::of(&member),
            member,
            times: Vec::new(),
        })))
    }

    /// Takes down what has happened since it last looked; gives the number of the next event.
    pub(crate) fn look(&self) -> u64 {
        let mut seen = lock(&self.0);
        let Seen {
            member,
            record,
            times,
        } = &mut *seen;
        let before = record.next();
        record.catch_up(member);
        let new = usize::try_from(record.next() - before).expect("it fits");
        times.extend(std::iter::repeat_n(now(), new));
        record.next()
    }

    /// What it saw, and when.
    pub(crate) fn recall(&self) -> (Record, Vec<Duration>) {
        let seen = lock(&self.0);
        (seen.record.clone(), seen.times.clone())
    }
}

/// All connections that were ever accepted, by the peer's address.
pub(crate) type Wires = Arc<Mutex<BTreeMap<SocketAddr, Arc<Wire>>>>;

/// A connection, as the server had it. It takes no more than a window ahead of what its peer has
/// read: turmoil's own take whatever they are given, whole, and so cannot stop within a line.
#[derive(Debug)]
pub(crate) struct Wire(Mutex<State>);

#[derive(Clone, Debug)]
pub(crate) struct State {
    window: usize,
    unread: usize,
    writer: Option<Waker>,
    /// When the connection came.
    pub(crate) came: Duration,
    /// When ends of lines came, and the number of the next event then.
    pub(crate) lines: Vec<(Duration, u64)>,
    /// Since when there was something to write and no room for a byte of it, if it is so.
    pub(crate) stuck: Option<Duration>,
    /// The longest that it was so.
    pub(crate) longest: Duration,
    /// When the server dropped it.
    pub(crate) dropped: Option<Duration>,
}

impl Wire {
    fn new(window: usize) -> Self {
        Self(Mutex::new(State {
            window,
            unread: 0,
            writer: None,
            came: now(),
            lines: Vec::new(),
            stuck: None,
            longest: Duration::ZERO,
            dropped: None,
        }))
    }

    pub(crate) fn state(&self) -> State {
        let mut state = lock(&self.0).clone();
        // It means nothing to anybody else, and looks different each time.
        state.writer = None;
        state
    }

    /// The peer has read so many bytes.
    pub(crate) fn took(&self, bytes: usize) {
        self.make_room(|state| state.unread -= bytes);
    }

    /// The peer's host knows the connection no more: whatever is written now is answered by a
    /// reset, also if there was no room before.
    pub(crate) fn forget(&self) {
        self.make_room(|state| state.window = usize::MAX);
    }

    fn make_room(&self, make: impl FnOnce(&mut State)) {
        let writer = {
            let mut state = lock(&self.0);
            make(&mut state);
            state.writer.take()
        };
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// How many bytes it takes now, at least one.
    fn poll_room(&self, cx: &Context<'_>) -> Poll<usize> {
        let mut state = lock(&self.0);
        match state.window - state.unread {
            0 => {
                state.stuck.get_or_insert_with(now);
                state.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            room => Poll::Ready(room),
        }
    }

    fn written(&self, bytes: usize) {
        let mut state = lock(&self.0);
        state.unread += bytes;
        if let Some(since) = state.stuck.take() {
            state.longest = state.longest.max(now() - since);
        }
    }

    fn heard(&self, bytes: &[u8], position: u64) {
        if bytes.contains(&b'\n') {
            lock(&self.0).lines.push((now(), position));
        }
    }
}

impl State {
    /// How long it had been stuck when the server dropped it.
    pub(crate) fn stuck_at_last(&self) -> Duration {
        let stuck = self.dropped.zip(self.stuck);
        stuck.map_or(Duration::ZERO, |(dropped, since)| dropped - since)
    }
}

/// Where the server's peers come from.
pub(crate) struct Door {
    listener: TcpListener,
    wires: Wires,
    witness: Witness,
    window: usize,
    piece: usize,
    /// Peers until accepting fails, of so many.
    until_error: usize,
    peers_per_error: usize,
    /// Set when the server is told to go down. If somebody came at that very moment, the server
    /// would look by chance at the one or the other first, and the seed not lead to the same.
    closing: Arc<AtomicBool>,
}

impl Door {
    pub(crate) async fn open(
        port: u16,
        plan: &super::plan::Plan,
        wires: Wires,
        witness: Witness,
        closing: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(("0.0.0.0", port)).await?,
            wires,
            witness,
            window: plan.window,
            piece: plan.piece,
            until_error: plan.peers_per_error,
            peers_per_error: plan.peers_per_error,
            closing,
        })
    }

    fn wire(&self, stream: TcpStream, address: SocketAddr) -> Stream {
        let wire = Arc::new(Wire::new(self.window));
        lock(&self.wires).insert(address, wire.clone());
        Stream {
            stream,
            wire,
            witness: self.witness.clone(),
            piece: vec![0; self.piece],
        }
    }
}

impl Listener for Door {
    type Transport = StreamTransport<Stream>;

    async fn accept(&mut self) -> io::Result<Incoming<Self::Transport>> {
        if self.closing.load(SeqCst) {
            return pending().await;
        }
        if self.until_error == 0 {
            self.until_error = self.peers_per_error;
            return Err(match self.peers_per_error % 2 {
                0 => io::ErrorKind::ConnectionAborted.into(),
                _ => io::Error::other("no descriptors"),
            });
        }
        let (stream, address) = self.listener.accept().await?;
        self.until_error -= 1;
        let transport = IoTransport::new(self.wire(stream, address));
        Ok(Incoming::new(transport, address.into()).from(address.ip()))
    }
}

/// The server's end of a connection.
pub(crate) struct Stream {
    stream: TcpStream,
    wire: Arc<Wire>,
    witness: Witness,
    piece: Vec<u8>,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let position = self.witness.look();
        let Self {
            stream,
            wire,
            piece,
            ..
        } = &mut *self;
        let len = piece.len().min(buffer.remaining());
        let mut piece = ReadBuf::new(&mut piece[..len]);
        ready!(Pin::new(stream).poll_read(cx, &mut piece))?;
        wire.heard(piece.filled(), position);
        buffer.put_slice(piece.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.witness.look();
        let room = ready!(self.wire.poll_room(cx)).min(bytes.len());
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes[..room]))?;
        self.wire.written(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        // A simulation that failed is dropped with all its hosts, and none is running.
        let Some(now) = turmoil::sim_elapsed() else {
            return;
        };
        let mut state = lock(&self.wire.0);
        state.dropped = Some(now);
        state.longest = state.longest.max(state.stuck_at_last());
    }
}
