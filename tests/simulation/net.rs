//! The side of the server in the simulated network, and the observing member.

use super::plan::Plan;
use chat_core::transport::{IoTransport, StreamTransport};
use chat_core::{EventKind, Member, MemberId};
use chat_server::{Incoming, Listener};
use chat_tests::attempts::{Attempts, Counted};
use chat_tests::history::Record;
use std::collections::{BTreeMap, BTreeSet};
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

/// The simulated time of the running host.
pub(crate) fn now() -> Duration {
    turmoil::sim_elapsed().expect("a host is running")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no panic under this lock")
}

/// A member that is read whenever a session uses its connection: often enough to miss nothing with
/// the smallest log. It registers no waker.
#[derive(Clone)]
pub(crate) struct Observer(Arc<Mutex<ObserverState>>);

struct ObserverState {
    member: Member,
    record: Record,
    times: Vec<Duration>,
}

impl Observer {
    pub(crate) fn new(member: Member) -> Self {
        Self(Arc::new(Mutex::new(ObserverState {
            record: Record::of(&member),
            member,
            times: Vec::new(),
        })))
    }

    /// Records all new events and returns the number of the next one.
    pub(crate) fn catch_up(&self) -> u64 {
        let mut state = lock(&self.0);
        let ObserverState {
            member,
            record,
            times,
        } = &mut *state;
        let before = record.next();
        record.catch_up(member);
        let new = usize::try_from(record.next() - before).expect("the count fits into usize");
        times.extend(std::iter::repeat_n(now(), new));
        record.next()
    }

    /// The member that joined under this name.
    pub(crate) fn joined(&self, name: &str) -> Option<MemberId> {
        let state = lock(&self.0);
        let mut events = state.record.events();
        events
            .find(|event| event.kind() == EventKind::Arrived && event.subject() == name)
            .and_then(|event| event.member())
    }

    /// The record, and the time of each of its events.
    pub(crate) fn recorded(&self) -> (Record, Vec<Duration>) {
        let state = lock(&self.0);
        (state.record.clone(), state.times.clone())
    }
}

/// All connections ever accepted, by the address of the peer.
pub(crate) type Connections = Arc<Mutex<BTreeMap<SocketAddr, Arc<Connection>>>>;

/// The side of the server of a connection. It holds at most a window of unread bytes. A connection
/// of turmoil accepts every write as a whole, so it could not stop within a line.
#[derive(Debug)]
pub(crate) struct Connection(Mutex<State>);

#[derive(Clone, Debug)]
pub(crate) struct State {
    window: usize,
    unread: usize,
    writer: Option<Waker>,
    /// When the connection was accepted.
    pub(crate) accepted: Duration,
    /// When line endings arrived, and the number of the next event at that time.
    pub(crate) lines: Vec<(Duration, u64)>,
    /// Since when a write has been blocked, if one is.
    pub(crate) blocked: Option<Duration>,
    /// The longest time for which a write was blocked.
    pub(crate) longest: Duration,
    /// When the server dropped the connection.
    pub(crate) dropped: Option<Duration>,
    pub(crate) attempts: Arc<Attempts>,
    /// Whether its session was parked at the shutdown signal.
    pub(crate) parked_at_shutdown: bool,
}

impl Connection {
    fn new(window: usize, attempts: Arc<Attempts>) -> Self {
        Self(Mutex::new(State {
            window,
            unread: 0,
            writer: None,
            accepted: now(),
            lines: Vec::new(),
            blocked: None,
            longest: Duration::ZERO,
            dropped: None,
            attempts,
            parked_at_shutdown: false,
        }))
    }

    pub(crate) fn state(&self) -> State {
        let mut state = lock(&self.0).clone();
        // The `Debug` output of a waker differs between two runs.
        state.writer = None;
        state
    }

    /// Whether its session is parked.
    pub(crate) fn is_parked(&self) -> bool {
        lock(&self.0).attempts.keeps_up()
    }

    /// The server is about to shut down.
    pub(crate) fn note_shutdown(&self) {
        let mut state = lock(&self.0);
        state.parked_at_shutdown = state.dropped.is_none() && state.attempts.keeps_up();
    }

    /// The peer has read this many bytes.
    pub(crate) fn consumed(&self, bytes: usize) {
        self.change_capacity(|state| state.unread -= bytes);
    }

    /// Removes the limit: the host of the peer has dropped the connection, so each write, a blocked
    /// one included, is answered with a reset.
    pub(crate) fn remove_window(&self) {
        self.change_capacity(|state| state.window = usize::MAX);
    }

    fn change_capacity(&self, change: impl FnOnce(&mut State)) {
        let writer = {
            let mut state = lock(&self.0);
            change(&mut state);
            state.writer.take()
        };
        if let Some(writer) = writer {
            writer.wake();
        }
    }

    /// The number of bytes that it accepts now, at least one.
    fn poll_capacity(&self, cx: &Context<'_>) -> Poll<usize> {
        let mut state = lock(&self.0);
        match state.window - state.unread {
            0 => {
                state.blocked.get_or_insert_with(now);
                state.writer = Some(cx.waker().clone());
                Poll::Pending
            }
            capacity => Poll::Ready(capacity),
        }
    }

    fn written(&self, bytes: usize) {
        let mut state = lock(&self.0);
        state.unread += bytes;
        if let Some(since) = state.blocked.take() {
            state.longest = state.longest.max(now() - since);
        }
    }

    fn arrived(&self, bytes: &[u8], position: u64) {
        if bytes.contains(&b'\n') {
            lock(&self.0).lines.push((now(), position));
        }
    }
}

impl State {
    /// How long a write had been blocked when the server dropped the connection.
    pub(crate) fn blocked_at_drop(&self) -> Duration {
        let blocked = self.dropped.zip(self.blocked);
        blocked.map_or(Duration::ZERO, |(dropped, since)| dropped - since)
    }
}

/// The listener of the server.
pub(crate) struct SimulatedListener {
    listener: TcpListener,
    connections: Connections,
    observer: Observer,
    /// The hosts whose peers are delivered to by their sessions alone.
    masked: BTreeSet<String>,
    window: usize,
    read_size: usize,
    /// The number of peers left before the next accept error.
    until_error: usize,
    peers_per_error: usize,
    /// Set with the shutdown signal. With a peer connecting at the same time, the server would poll
    /// the two in random order, and two runs of a seed would differ.
    closing: Arc<AtomicBool>,
}

impl SimulatedListener {
    pub(crate) async fn bind(
        port: u16,
        plan: &Plan,
        connections: Connections,
        observer: Observer,
        closing: Arc<AtomicBool>,
    ) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(("0.0.0.0", port)).await?,
            connections,
            observer,
            masked: plan.masked_hosts(),
            window: plan.window,
            read_size: plan.read_size,
            until_error: plan.peers_per_error,
            peers_per_error: plan.peers_per_error,
            closing,
        })
    }

    fn transport(&self, stream: TcpStream, address: SocketAddr) -> SimulatedTransport {
        let host = turmoil::reverse_lookup(address.ip());
        let attempts = Attempts::new(host.is_some_and(|host| self.masked.contains(&host)));
        let connection = Arc::new(Connection::new(self.window, attempts.clone()));
        lock(&self.connections).insert(address, connection.clone());
        let stream = Stream {
            stream,
            connection,
            observer: self.observer.clone(),
            buffer: vec![0; self.read_size],
        };
        Counted::new(IoTransport::new(stream), attempts)
    }
}

type SimulatedTransport = Counted<StreamTransport<Stream>>;

impl Listener for SimulatedListener {
    type Transport = SimulatedTransport;

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
        let transport = self.transport(stream, address);
        Ok(Incoming::new(transport, address.into()).from(address.ip()))
    }
}

/// The stream of a connection on the side of the server.
pub(crate) struct Stream {
    stream: TcpStream,
    connection: Arc<Connection>,
    observer: Observer,
    buffer: Vec<u8>,
}

impl AsyncRead for Stream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        output: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let position = self.observer.catch_up();
        let Self {
            stream,
            connection,
            buffer,
            ..
        } = &mut *self;
        let len = buffer.len().min(output.remaining());
        let mut input = ReadBuf::new(&mut buffer[..len]);
        ready!(Pin::new(stream).poll_read(cx, &mut input))?;
        connection.arrived(input.filled(), position);
        output.put_slice(input.filled());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.observer.catch_up();
        let len = ready!(self.connection.poll_capacity(cx)).min(bytes.len());
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &bytes[..len]))?;
        self.connection.written(written);
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
        // A failed simulation is dropped while no host is running.
        let Some(now) = turmoil::sim_elapsed() else {
            return;
        };
        let mut state = lock(&self.connection.0);
        state.dropped = Some(now);
        state.longest = state.longest.max(state.blocked_at_drop());
    }
}
