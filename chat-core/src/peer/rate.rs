//! How fast a peer may talk: what is beyond that waits, first here, then in its connection.

use std::num::NonZeroU32;
use std::time::Duration;
use tokio::time::Instant;

/// How fast a peer may talk before it is held up by not being read; see
/// [`SessionConfig::rate`](crate::session::SessionConfig::rate).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rate {
    /// Lines a second, commands and refused ones included; default 5.
    pub lines: NonZeroU32,
    /// Lines at once, after a silence; default 20.
    pub burst: NonZeroU32,
    /// Bytes a second, and at once after a silence; default 16 KiB.
    pub bytes: NonZeroU32,
}

impl Default for Rate {
    fn default() -> Self {
        Self {
            lines: const { NonZeroU32::new(5).expect("5 is not zero") },
            burst: const { NonZeroU32::new(20).expect("20 is not zero") },
            bytes: const { NonZeroU32::new(16 * 1024).expect("16,384 is not zero") },
        }
    }
}

/// What one peer has used of its rate, and what it has sent beyond that.
///
/// The generic cell rate algorithm (ITU-T I.371), for lines and for bytes: what is used up is a time
/// that lies ahead, so nothing has to be refilled.
#[derive(Debug)]
pub(crate) struct Meter {
    rate: Rate,
    /// When the lines, and the bytes, that were taken will have been earned.
    lines_earned: Instant,
    bytes_earned: Instant,
    /// Input that has to wait. Not more than a transport takes at a time.
    held: Vec<u8>,
    /// Whether it is messages, each with a line end, and not a byte stream.
    texts: bool,
}

impl Meter {
    /// So much of a byte stream is read at a time from a peer whose rate is limited, as what is
    /// beyond its rate must be held.
    pub(crate) const READ_BYTES: usize = 1024;

    pub(crate) fn new(rate: Rate) -> Self {
        let now = Instant::now();
        Self {
            rate,
            lines_earned: now,
            bytes_earned: now,
            held: Vec::new(),
            texts: false,
        }
    }

    /// Counts bytes as taken, and a line if they end one.
    pub(crate) fn count(&mut self, bytes: usize, ends_line: bool) {
        let now = Instant::now();
        if ends_line {
            let line = Duration::from_secs(1) / self.rate.lines.get();
            self.lines_earned = self.lines_earned.max(now) + line;
        }
        let bytes = Duration::from_secs_f64(bytes as f64 / f64::from(self.rate.bytes.get()));
        self.bytes_earned = self.bytes_earned.max(now) + bytes;
    }

    /// Until when the next line has to wait, if it has to.
    pub(crate) fn waits(&self) -> Option<Instant> {
        let now = Instant::now();
        // The last line of a burst is to find room for itself.
        let ahead = Duration::from_secs(1) * (self.rate.burst.get() - 1) / self.rate.lines.get();
        let lines = self.lines_earned.checked_sub(ahead);
        let bytes = self.bytes_earned.checked_sub(Duration::from_secs(1));
        lines.max(bytes).filter(|at| *at > now)
    }

    pub(crate) fn holds(&self) -> bool {
        !self.held.is_empty()
    }

    pub(crate) fn hold(&mut self, input: &[u8]) {
        self.held.extend_from_slice(input);
    }

    /// What was held, and whether it is messages.
    pub(crate) fn release(&mut self) -> (Vec<u8>, bool) {
        (std::mem::take(&mut self.held), self.texts)
    }

    pub(crate) fn keeps_texts(&mut self) {
        self.texts = true;
    }
}
