//! What a peer has sent beyond its rate, and the time from which it may be taken in.

use super::rate::{Rate, RateUsage};
use tokio::time::Instant;

/// What one peer has used of its rate, and what it has sent beyond that.
#[derive(Debug)]
pub(crate) struct Meter {
    usage: RateUsage,
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
        Self {
            usage: RateUsage::new(rate),
            held: Vec::new(),
            texts: false,
        }
    }

    /// Counts bytes as taken, and a line if they end one.
    pub(crate) fn count(&mut self, bytes: usize, ends_line: bool) {
        self.usage.take(bytes, ends_line, Instant::now());
    }

    /// Until when the next line has to wait, if it has to.
    pub(crate) fn waits(&self) -> Option<Instant> {
        let now = Instant::now();
        self.usage.ready_at().filter(|at| *at > now)
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
