//! The threads that wait, each for one thing, and the one channel in which they tell of it.
//!
//! Threads, and no runtime: a read of stdin cannot be cancelled, and need not be. Whatever these
//! threads still wait for, the process ends when `main` returns.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::SyncSender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// As much as one read or write takes.
const CHUNK: usize = 64 * 1024;

/// Something that the session has to decide about.
#[derive(Debug)]
pub(crate) enum Event {
    Received(Vec<u8>),
    /// The server ended its side in good order.
    ServerClosed,
    ServerLost(io::Error),
    /// Everything is sent that ever will be.
    InputEnded,
    InputFailed(io::Error),
    /// Whoever read stdout is gone.
    OutputClosed,
}

/// The way to the server.
#[derive(Debug)]
pub(crate) struct Outgoing {
    stream: Arc<TcpStream>,
    /// Why a write failed. The system reports a lost connection once: a writer that comes first
    /// leaves the reader with what looks like an orderly end.
    lost: Mutex<Option<io::Error>>,
}

impl Outgoing {
    pub(crate) fn new(stream: Arc<TcpStream>) -> Self {
        Self {
            stream,
            lost: Mutex::new(None),
        }
    }

    /// Sends all of `bytes`; false if there is no use in sending more.
    pub(crate) fn send(&self, bytes: &[u8]) -> bool {
        // Held while writing, so that `lost` never looks before a failed write told of it.
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*self.stream).write_all(bytes) {
            Ok(()) => true,
            Err(error) => {
                // Writing after the server closed is no loss; its last lines are still to be read.
                if error.kind() != ErrorKind::BrokenPipe {
                    *lost = Some(error);
                }
                false
            }
        }
    }

    /// Ends sending, even a write that is under way, and tells whether one found the
    /// connection lost.
    pub(crate) fn lost(&self) -> Option<io::Error> {
        // Fails only if the connection is gone already.
        let _ = self.stream.shutdown(Shutdown::Both);
        self.lost
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Tells the server that nothing more comes; receiving goes on.
    fn finish(&self) {
        // Fails only if the connection is gone, which the reading side reports.
        let _ = self.stream.shutdown(Shutdown::Write);
    }
}

/// Reads from the server until it ends.
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

/// Sends stdin as it comes, then half-closes.
pub(crate) fn send_stdin(outgoing: Arc<Outgoing>, events: SyncSender<Event>) {
    thread::spawn(move || {
        let mut buffer = vec![0; CHUNK];
        let mut stdin = io::stdin().lock();
        let event = loop {
            match stdin.read(&mut buffer) {
                Ok(0) => break Event::InputEnded,
                // Whether it was sent or not: what follows from a failure, the reader decides.
                Ok(length) if !outgoing.send(&buffer[..length]) => break Event::InputEnded,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => break Event::InputFailed(error),
            }
        };
        outgoing.finish();
        // The session may have ended before.
        let _ = events.send(event);
    });
}

/// Notices that the reader of stdout went, so that `chat-client | head -1` ends with `head` and
/// not with the next line, which in a quiet room may never come.
#[cfg(unix)]
pub(crate) fn watch_stdout(events: SyncSender<Event>) {
    use rustix::event::{PollFd, PollFlags, poll};

    thread::spawn(move || {
        let stdout = io::stdout();
        // Errors and hang-ups are reported whether they are asked for or not.
        let mut stdout = [PollFd::new(&stdout, PollFlags::empty())];
        loop {
            match poll(&mut stdout, None) {
                Ok(_) => break,
                Err(rustix::io::Errno::INTR) => {}
                // Then the next write finds out.
                Err(_) => return,
            }
        }
        let _ = events.send(Event::OutputClosed);
    });
}

/// Elsewhere the next write finds out.
#[cfg(not(unix))]
pub(crate) fn watch_stdout(_events: SyncSender<Event>) {}
