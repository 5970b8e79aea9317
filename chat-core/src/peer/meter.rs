//! The rate limit of one peer, and the input that waits because of it.

use super::config::SessionConfig;
use super::rate::RateUsage;
use super::shared_limits::SharedLimits;
use std::sync::Arc;
use std::{io, mem};
use tokio::time::Instant;

/// The use that one peer has made of its rate, and its input beyond that.
#[derive(Debug)]
pub(crate) struct Meter {
    own: Option<RateUsage>,
    shared: Option<Arc<SharedLimits>>,
    /// Kept once it was needed.
    held: Option<Box<Held>>,
}

/// Input that has to wait.
#[derive(Debug, Default)]
struct Held {
    /// Not more than a transport receives at a time. Empty if nothing waits.
    input: Vec<u8>,
    /// Whether it is messages, each with a line end, and not a byte stream.
    texts: bool,
    /// The share of the shared limits that is reserved for its first line.
    reserved: Option<Reserved>,
    /// The reason for which the peer is to be disconnected after this input.
    disconnect: Option<Box<str>>,
    /// The failure of the connection that ended this input.
    failure: Option<io::Error>,
}

#[derive(Clone, Copy, Debug)]
struct Reserved {
    from: Instant,
    bytes: usize,
    line: bool,
}

impl Meter {
    /// The size of one read from a peer whose rate is limited. It is small, because a session
    /// holds what is beyond the rate.
    pub(crate) const READ_BYTES: usize = 1024;

    /// The meter of a peer whose rate is limited, or `None`.
    pub(crate) fn new(config: &SessionConfig) -> Option<Box<Self>> {
        let own = config.rate.map(RateUsage::new);
        let shared = config.shared.clone().filter(|all| all.limits_talk());
        (own.is_some() || shared.is_some()).then(|| {
            Box::new(Self {
                own,
                shared,
                held: None,
            })
        })
    }

    /// Takes bytes, and a line if they end one. Returns `false` if they have to wait; then they
    /// must be held.
    pub(crate) fn admit(&mut self, bytes: usize, ends_line: bool) -> bool {
        let now = Instant::now();
        let earned = |at: Option<Instant>| at.is_none_or(|at| at <= now);
        if self.holds() || !earned(self.own_ready_at()) {
            return false;
        }
        if let Some(shared) = &self.shared {
            let reserved = self.held.as_mut().and_then(|held| held.reserved.take());
            let from = match reserved {
                Some(reserved) => {
                    // The input may have grown since.
                    let grown = bytes.saturating_sub(reserved.bytes);
                    shared.reserve(grown, ends_line && !reserved.line, now);
                    Some(reserved.from)
                }
                None => shared.reserve(bytes, ends_line, now),
            };
            if let Some(from) = from.filter(|from| *from > now) {
                self.held.get_or_insert_default().reserved = Some(Reserved {
                    from,
                    bytes,
                    line: ends_line,
                });
                return false;
            }
        }
        if let Some(own) = &mut self.own {
            own.take(bytes, ends_line, now);
        }
        true
    }

    /// The time before which nothing more is taken in, if that lies ahead.
    pub(crate) fn waits(&self) -> Option<Instant> {
        let held = self.held.as_ref();
        let reserved = held.and_then(|held| Some(held.reserved?.from));
        let now = Instant::now();
        reserved.max(self.own_ready_at()).filter(|at| *at > now)
    }

    fn own_ready_at(&self) -> Option<Instant> {
        self.own.as_ref().and_then(RateUsage::ready_at)
    }

    pub(crate) fn holds(&self) -> bool {
        self.held
            .as_ref()
            .is_some_and(|held| !held.input.is_empty())
    }

    pub(crate) fn hold(&mut self, input: &[u8], texts: bool) {
        let held = self.held.get_or_insert_default();
        held.input.extend_from_slice(input);
        held.texts = texts;
    }

    /// Adds to the input that is held that the peer is to be disconnected after it.
    pub(crate) fn disconnect(&mut self, why: &str) {
        self.held.get_or_insert_default().disconnect = Some(why.into());
    }

    /// Whether the peer is to be disconnected after the input that is held.
    pub(crate) fn disconnects(&self) -> bool {
        self.held
            .as_ref()
            .is_some_and(|held| held.disconnect.is_some())
    }

    /// Takes the reason for which the peer is to be disconnected, once no input is held.
    pub(crate) fn take_disconnect(&mut self) -> Option<Box<str>> {
        match self.holds() {
            true => None,
            false => self.held.as_mut()?.disconnect.take(),
        }
    }

    /// Adds to the input that is held that the connection failed after it.
    pub(crate) fn fail(&mut self, error: io::Error) {
        self.held.get_or_insert_default().failure = Some(error);
    }

    pub(crate) fn take_failure(&mut self) -> Option<io::Error> {
        self.held.as_mut()?.failure.take()
    }

    /// Takes out what is held, and whether it is messages.
    pub(crate) fn release(&mut self) -> (Vec<u8>, bool) {
        match &mut self.held {
            Some(held) => (mem::take(&mut held.input), held.texts),
            None => (Vec::new(), false),
        }
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        let reserved = self.held.as_mut().and_then(|held| held.reserved.take());
        if let (Some(Reserved { bytes, line, .. }), Some(shared)) = (reserved, &self.shared) {
            shared.give_back(bytes, line);
        }
    }
}
