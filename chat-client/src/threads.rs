//! The threads, each of which waits for one thing, and the channel in which they report it.
//!
//! There is no runtime: a read of stdin cannot be cancelled, and need not be. The process ends when
//! `main` returns, also while threads wait.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::sync::mpsc::{Receiver, SyncSender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::confirmations::Count;
use crate::input::{Encoder, Slash};

/// The bytes of one read.
const CHUNK: usize = 64 * 1024;
/// The error of a write that has reached the write timeout of its socket.
const WRITE_TIMEOUT: ErrorKind = if cfg!(windows) {
    ErrorKind::TimedOut
} else {
    ErrorKind::WouldBlock
};

/// Something that the session has to decide about.
#[derive(Debug)]
pub(crate) enum Event {
    Received(Vec<u8>),
    /// The server ended its side in good order.
    ServerClosed,
    ServerLost(io::Error),
    /// The first read of stdin has returned.
    InputBegun,
    /// All of stdin is sent.
    InputEnded,
    InputFailed(io::Error),
    /// The server has read nothing for this long.
    Stalled(Duration),
    /// The reader of stdout is gone.
    OutputClosed,
}

/// The way to the server.
#[derive(Debug)]
pub(crate) struct Outgoing {
    stream: Arc<TcpStream>,
    /// The error of a write. The system reports a lost connection once: if a write comes first, a
    /// read sees an orderly end.
    lost: Mutex<Option<io::Error>>,
    texts: AtomicU64,
    commands: AtomicU64,
    quits: AtomicBool,
    unsent: AtomicBool,
    ended: AtomicBool,
}

impl Outgoing {
    pub(crate) fn new(stream: Arc<TcpStream>) -> Self {
        Self {
            stream,
            lost: Mutex::new(None),
            texts: AtomicU64::new(0),
            commands: AtomicU64::new(0),
            quits: AtomicBool::new(false),
            unsent: AtomicBool::new(false),
            ended: AtomicBool::new(false),
        }
    }

    /// Sends a line of the client itself. If that fails, a read reports the reason.
    pub(crate) fn send(&self, line: &str) {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        self.write(line.as_bytes(), &mut lost, |_| {});
    }

    /// Sends bytes of stdin. Calls `on_stall` at each write timeout, with the time since the last
    /// progress. False if nothing more can be sent.
    fn send_input(&self, bytes: &[u8], on_stall: impl Fn(Duration)) -> bool {
        // Held while writing, so that `lost` misses neither an error nor the end of the write.
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let sent = self.write(bytes, &mut lost, on_stall);
        self.unsent.store(!sent, SeqCst);
        sent
    }

    fn write(
        &self,
        mut bytes: &[u8],
        lost: &mut Option<io::Error>,
        on_stall: impl Fn(Duration),
    ) -> bool {
        let mut progress = Instant::now();
        while !bytes.is_empty() {
            match (&*self.stream).write(bytes) {
                Ok(0) => return false,
                Ok(length) => {
                    bytes = &bytes[length..];
                    progress = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == WRITE_TIMEOUT => on_stall(progress.elapsed()),
                Err(error) => {
                    // The server has closed, which a read reports after the server's last lines.
                    if error.kind() != ErrorKind::BrokenPipe {
                        *lost = Some(error);
                    }
                    return false;
                }
            }
        }
        true
    }

    /// Ends sending, even a blocked write, and returns the error of a failed one.
    pub(crate) fn lost(&self) -> Option<io::Error> {
        // Fails only if the connection is gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
        self.lost
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// The number of lines of stdin that were sent, or are being sent.
    pub(crate) fn count(&self) -> Count {
        Count {
            texts: self.texts.load(SeqCst),
            commands: self.commands.load(SeqCst),
        }
    }

    /// Whether a line of stdin was `/quit`.
    pub(crate) fn quits(&self) -> bool {
        self.quits.load(SeqCst)
    }

    /// Whether bytes were read from stdin and are not sent. Exact after [`lost`](Self::lost).
    pub(crate) fn has_unsent(&self) -> bool {
        self.unsent.load(SeqCst)
    }

    /// Whether stdin has ended and all of it is sent.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(SeqCst)
    }

    /// Before the lines are written, so that no answer comes before its line is counted.
    fn add(&self, count: Count, quits: bool) {
        self.texts.fetch_add(count.texts, SeqCst);
        self.commands.fetch_add(count.commands, SeqCst);
        self.quits.store(quits, SeqCst);
    }

    /// Half-closes: the server sees the end of its input; receiving continues.
    fn finish(&self) {
        // Fails only if the connection is gone, which the reading side reports.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

/// Reads from the server until its end.
pub(crate) fn receive(stream: Arc<TcpStream>, events: SyncSender<Event>) {
    thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        loop {
            let (event, more) = match (&*stream).read(&mut buffer) {
                Ok(0) => (Event::ServerClosed, false),
                Ok(length) => (Event::Received(buffer[..length].to_vec()), true),
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => (Event::ServerLost(error), false),
            };
            if events.send(event).is_err() || !more {
                return;
            }
        }
    });
}

/// Sends stdin as it comes, then half-closes. The first bytes wait for `slash`.
pub(crate) fn send_stdin(
    outgoing: Arc<Outgoing>,
    slash: Receiver<Slash>,
    events: SyncSender<Event>,
) {
    thread::spawn(move || {
        let Some(event) = pump(&outgoing, &slash, &events) else {
            // A read reports the end of the connection, or the session has ended.
            return;
        };
        outgoing.finish();
        let _ = events.send(event);
    });
}

/// Returns the end of stdin, or none if nothing more can be sent.
fn pump(outgoing: &Outgoing, slash: &Receiver<Slash>, events: &SyncSender<Event>) -> Option<Event> {
    let mut buffer = vec![0; CHUNK];
    let mut wire = Vec::new();
    let mut stdin = io::stdin().lock();
    let mut encoder: Option<Encoder> = None;
    loop {
        let length = match stdin.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Some(Event::InputFailed(error)),
        };
        let encoder = match &mut encoder {
            Some(encoder) => encoder,
            None => {
                outgoing.unsent.store(length > 0, SeqCst);
                outgoing.ended.store(length == 0, SeqCst);
                events.send(Event::InputBegun).ok()?;
                encoder.insert(Encoder::new(slash.recv().ok()?))
            }
        };
        if length == 0 {
            outgoing.add(encoder.finish(), encoder.quits());
            // Before the half-close, after which the server may close at any moment.
            outgoing.ended.store(true, SeqCst);
            return Some(Event::InputEnded);
        }
        outgoing.unsent.store(true, SeqCst);
        wire.clear();
        let lines = encoder.encode(&buffer[..length], &mut wire);
        outgoing.add(lines, encoder.quits());
        // `try_send`, because `send` could wait for a session that waits for this thread.
        let on_stall = |time| drop(events.try_send(Event::Stalled(time)));
        if !outgoing.send_input(&wire, on_stall) {
            return None;
        }
    }
}

/// Reports the loss of stdout's reader, so that `chat-client | head -1` ends with `head` and not
/// with the next line, which may never come.
#[cfg(unix)]
pub(crate) fn watch_stdout(events: SyncSender<Event>) {
    use rustix::event::{PollFd, PollFlags, poll};

    thread::spawn(move || {
        let stdout = io::stdout();
        // Errors and hang-ups are reported without a request.
        let mut stdout = [PollFd::new(&stdout, PollFlags::empty())];
        loop {
            match poll(&mut stdout, None) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                // The next write fails instead.
                Err(_) => return,
            }
        }
        let _ = events.send(Event::OutputClosed);
    });
}

/// Elsewhere the next write fails.
#[cfg(not(unix))]
pub(crate) fn watch_stdout(_events: SyncSender<Event>) {}
