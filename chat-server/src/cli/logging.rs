//! The log, on stderr, written by a thread of its own: stderr can be a pipe that nobody reads, and
//! who waited for that would hold up every peer.

use std::collections::VecDeque;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;
use tracing_subscriber::EnvFilter;

/// How many lines may wait for who reads them. Others are lost, and counted in their place.
const LINES: usize = 1024;

/// How long the end of the program is held up for the last lines.
const LAST_LINES: Duration = Duration::from_secs(1);

/// Starts logging. When this is dropped, what was logged so far is written, if anybody reads it.
pub(crate) fn start() -> io::Result<Logging> {
    let log = Arc::new(Log::default());
    let writer = log.clone();
    let thread = thread::Builder::new().name("log".into());
    thread.spawn(move || writer.write_all())?;
    let filter = EnvFilter::builder()
        .with_default_directive(tracing::Level::INFO.into())
        .with_env_var("CHAT_LOG")
        .from_env_lossy();
    let queue = log.clone();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(move || Lines(queue.clone()))
        .with_ansi(io::stderr().is_terminal())
        .init();
    Ok(Logging(log))
}

pub(crate) struct Logging(Arc<Log>);

impl Drop for Logging {
    fn drop(&mut self) {
        let is_busy = |queue: &mut Queue| queue.writing || !queue.lines.is_empty();
        let all = self
            .0
            .changed
            .wait_timeout_while(self.0.lock(), LAST_LINES, is_busy);
        drop(all);
    }
}

#[derive(Default)]
struct Log {
    queue: Mutex<Queue>,
    /// A line has come, or all are written.
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    /// How many found no room since the last that did.
    lost: u64,
    /// A line was taken and may not be written yet.
    writing: bool,
}

impl Log {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut queue = self.lock();
        if queue.lines.len() >= LINES {
            queue.lost += 1;
            return;
        }
        queue.tell_lost();
        queue.lines.push_back(line.into());
        drop(queue);
        self.changed.notify_all();
    }

    /// Writes whatever comes, for as long as the process lives.
    fn write_all(&self) {
        let mut queue = self.lock();
        loop {
            if queue.lines.is_empty() {
                queue.tell_lost();
            }
            queue.writing = false;
            if let Some(line) = queue.lines.pop_front() {
                queue.writing = true;
                drop(queue);
                // Without anybody to tell it to there is nothing to do about an error.
                let _ = io::stderr().write_all(&line);
                queue = self.lock();
            } else {
                self.changed.notify_all();
                let changed = self.changed.wait(queue);
                queue = changed.unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}

impl Queue {
    fn tell_lost(&mut self) {
        if self.lost > 0 {
            let told = format!("{} lines of the log were lost here\n", self.lost);
            self.lines.push_back(told.into());
            self.lost = 0;
        }
    }
}

/// Takes an event, which the subscriber writes at once.
struct Lines(Arc<Log>);

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
