//! Bringing a crowd together.

use crate::linux::crowd::Crowd;
use crate::linux::wire::Kind;
use std::io;
use std::time::{Duration, Instant};

/// How many connections are being opened at a time.
const IN_FLIGHT: usize = 64;

/// A probe is repeated when nobody has heard anything for this long.
const PROBE_AGAIN: Duration = Duration::from_millis(300);

/// Why a crowd could not be brought together.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CrowdError {
    #[error("{ready} of {total} were in the room when time was up")]
    NotReady { ready: usize, total: usize },
    #[error("{failed} of {total} connections failed")]
    Failed { failed: usize, total: usize },
    #[error("{heard} of {members} had heard the probe when time was up")]
    NotHeard { heard: usize, members: usize },
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Crowd {
    /// Connects everyone, and waits until a probe has reached every member. Says how long it took.
    pub(crate) fn gather(&mut self, limit: Duration) -> Result<Duration, CrowdError> {
        let start = Instant::now();
        let total = self.visitors().start;
        let mut next = 0;
        while self.ready + self.failed < total {
            while next < total && next - self.ready - self.failed < IN_FLIGHT {
                self.open(next)?;
                next += 1;
            }
            self.pump(Duration::from_millis(100))?;
            if start.elapsed() > limit {
                let ready = self.ready;
                return Err(CrowdError::NotReady { ready, total });
            }
        }
        if self.failed > 0 {
            let failed = self.failed;
            return Err(CrowdError::Failed { failed, total });
        }
        self.confirm(limit.saturating_sub(start.elapsed()))?;
        Ok(start.elapsed())
    }

    /// Waits until a probe that is sent now has reached every member.
    pub(crate) fn confirm(&mut self, limit: Duration) -> Result<(), CrowdError> {
        let start = Instant::now();
        loop {
            self.probe += 1;
            self.heard_probe = 0;
            self.say(0, Kind::Probe, self.probe);
            self.flush(self.place_of(0));
            let members = self.present();
            let mut lines = self.lines;
            let mut quiet_since = Instant::now();
            while self.heard_probe < members && quiet_since.elapsed() < PROBE_AGAIN {
                self.pump(Duration::from_millis(20))?;
                if self.lines != lines {
                    lines = self.lines;
                    quiet_since = Instant::now();
                }
                if start.elapsed() > limit {
                    let heard = self.heard_probe;
                    return Err(CrowdError::NotHeard { heard, members });
                }
            }
            if self.heard_probe >= members {
                return Ok(());
            }
        }
    }

    /// Opens connections wherever visitors could be and are not.
    pub(crate) fn open_visitors(&mut self) -> io::Result<()> {
        for place in self.visitors() {
            if !self.peers[place].is_open() {
                self.open(place)?;
            }
        }
        Ok(())
    }
}
