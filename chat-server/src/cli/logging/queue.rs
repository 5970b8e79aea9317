//! Lines that wait to be written.

use super::format::LogFormat;
use super::throttle::Throttle;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};

/// How many lines may wait. Further ones are dropped, and counted in their place.
const LINES: usize = 1024;

/// The writer is woken for new lines, so any time does.
const LONG: Duration = Duration::from_secs(3600);

pub(super) struct Queue {
    format: LogFormat,
    state: Mutex<State>,
    /// A line was added, or all lines are written.
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: VecDeque<Vec<u8>>,
    /// Lines dropped since the last one that was added.
    lost: u64,
    /// Whether a line was taken that may not be written yet.
    writing: bool,
}

impl Queue {
    pub(super) fn new(format: LogFormat) -> Self {
        Self {
            format,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, line: &[u8]) {
        let mut state = self.lock();
        if state.lines.len() >= LINES {
            state.lost += 1;
            return;
        }
        state.report_lost(self.format);
        state.lines.push_back(line.into());
        drop(state);
        self.changed.notify_all();
    }

    /// Writes lines for as long as the process lives, and asks the throttle for its summaries.
    pub(super) fn write_all(&self, throttle: &Throttle) {
        loop {
            // Adds lines, so it needs the lock itself.
            throttle.summarize(Instant::now(), false);
            let mut state = self.lock();
            if state.lines.is_empty() {
                state.report_lost(self.format);
            }
            state.writing = false;
            if let Some(line) = state.lines.pop_front() {
                state.writing = true;
                drop(state);
                // There is no place left to report an error to.
                let _ = io::stderr().write_all(&line);
                continue;
            }
            self.changed.notify_all();
            let wait = throttle.next_summary(Instant::now());
            drop(self.changed.wait_timeout(state, wait.unwrap_or(LONG)));
        }
    }

    /// Waits until everything is written, but no longer than this.
    pub(super) fn wait_until_written(&self, most: Duration) {
        let is_busy = |state: &mut State| state.writing || !state.lines.is_empty();
        let waited = self.changed.wait_timeout_while(self.lock(), most, is_busy);
        drop(waited);
    }
}

impl State {
    /// Adds a line for those that were dropped.
    fn report_lost(&mut self, format: LogFormat) {
        let lost = std::mem::take(&mut self.lost);
        if lost == 0 {
            return;
        }
        let mut now = String::new();
        let _ = SystemTime.format_time(&mut Writer::new(&mut now));
        // As the subscriber would format it, which cannot be asked from here.
        let line = match format {
            LogFormat::Text => {
                format!("{now}  WARN chat_server: {lost} lines of the log were lost here\n")
            }
            LogFormat::Json => format!(
                "{{\"timestamp\":\"{now}\",\"level\":\"WARN\",\"message\":\"lines of the log were lost here\",\
                 \"count\":{lost},\"target\":\"chat_server\"}}\n"
            ),
        };
        self.lines.push_back(line.into());
    }
}

/// Takes one event, which the subscriber writes at once.
pub(super) struct Line(pub(super) Arc<Queue>);

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
