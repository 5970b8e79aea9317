//! Connecting, and waiting until all members receive.

use crate::linux::generator::{Generator, GeneratorError};
use crate::linux::wire::Kind;
use std::io;
use std::time::{Duration, Instant};

/// Connections that are opened concurrently.
const IN_FLIGHT: usize = 64;

/// A probe is repeated after this long without any line.
const PROBE_AGAIN: Duration = Duration::from_millis(300);

impl Generator {
    /// Connects all members and publishers, and waits until a probe has reached every member.
    /// Returns how long that took.
    pub(crate) fn connect_all(&mut self, limit: Duration) -> Result<Duration, GeneratorError> {
        let start = Instant::now();
        let total = self.visitors().start;
        let mut next = 0;
        while self.ready + self.failed < total {
            while next < total && next - self.ready - self.failed < IN_FLIGHT {
                self.open(next)?;
                next += 1;
            }
            self.poll(Duration::from_millis(100))?;
            if start.elapsed() > limit {
                let ready = self.ready;
                return Err(GeneratorError::NotReady { ready, total });
            }
        }
        if self.failed > 0 {
            let failed = self.failed;
            return Err(GeneratorError::Failed { failed, total });
        }
        self.await_probe(limit.saturating_sub(start.elapsed()))?;
        Ok(start.elapsed())
    }

    /// Publishes a probe, and waits until it has reached every member.
    pub(crate) fn await_probe(&mut self, limit: Duration) -> Result<(), GeneratorError> {
        let start = Instant::now();
        loop {
            self.probe += 1;
            self.probe_receipts = 0;
            self.queue_payload(0, Kind::Probe, self.probe);
            self.flush(self.slot_of(0));
            let members = self.joined_members();
            let mut lines = self.lines;
            let mut quiet_since = Instant::now();
            while self.probe_receipts < members && quiet_since.elapsed() < PROBE_AGAIN {
                self.poll(Duration::from_millis(20))?;
                if self.lines != lines {
                    lines = self.lines;
                    quiet_since = Instant::now();
                }
                if start.elapsed() > limit {
                    let received = self.probe_receipts;
                    return Err(GeneratorError::NotReceived { received, members });
                }
            }
            if self.probe_receipts >= members {
                return Ok(());
            }
        }
    }

    /// Opens a connection in each vacant slot of a visitor.
    pub(crate) fn open_visitors(&mut self) -> io::Result<()> {
        for slot in self.visitors() {
            if !self.connections[slot].is_open() {
                self.open(slot)?;
            }
        }
        Ok(())
    }
}
