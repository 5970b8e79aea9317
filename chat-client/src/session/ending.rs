//! The end of a session: its result, and the reason of a failure.

use std::io;
use std::time::Instant;

use super::{End, INPUT_END, Input, Session};
use crate::error::{Cause, Failure, Left, Lines};
use crate::threads::Event;

impl Session<'_> {
    /// The result of a session after its end.
    pub(super) fn conclude(&mut self, end: End) -> Result<(), Failure> {
        let before = self.confirmations.refused();
        let mut refusals = Vec::new();
        self.confirmations
            .finish(self.outgoing.count(), &mut refusals);
        self.show_held()?;
        self.finish_output()?;
        self.report(before, &refusals);
        let cause = match end {
            End::Closed => self.closed(),
            End::Lost(reason) => Some(self.lost(reason)),
            End::Stalled => self.linger.stall_limit().map(|time| Cause::Stalled {
                target: self.target.clone(),
                time,
            }),
            End::Left => {
                let is_lost = self.unconfirmed() > 0 || self.outgoing.has_unsent();
                is_lost.then(|| Cause::GaveUp {
                    target: self.target.clone(),
                })
            }
        };
        let refused = self.confirmations.refused() > 0;
        let cause = cause.or_else(|| refused.then_some(Cause::LinesRefused));
        cause.map_or(Ok(()), |cause| Err(self.failure(cause)))
    }

    /// The reason why an orderly end of the server's side is a failure, if it is one.
    fn closed(&mut self) -> Option<Cause> {
        if let Some(reason) = self.outgoing.lost() {
            return Some(self.lost(reason));
        }
        if self.opening.is_some() {
            self.wait_for_input();
        }
        let target = self.target.clone();
        let notice = self.confirmations.notice().map(str::to_owned);
        let seen = self.output.shows_notices();
        let is_greeted = self.confirmations.is_greeted();
        if !is_greeted && !self.confirmations.is_foreign() && notice.is_some() {
            let notice = notice.filter(|_| !seen);
            return Some(Cause::EntryRefused { target, notice });
        }
        if let Some((opening, _)) = &self.opening
            && opening.wants_name()
        {
            return Some(Cause::Unanswered { target });
        }
        let goodbye = self.confirmations.goodbye().map(str::to_owned);
        let has_quit = self.outgoing.quits() && goodbye.is_some();
        let is_requested = has_quit || self.input == Input::None || self.outgoing.has_ended();
        let is_lost = match is_greeted {
            // The server leaves a member that has ended its input, after all that it sent.
            true if is_requested && goodbye.is_none() => {
                self.unconfirmed() > self.confirmations.skipped()
            }
            true => !is_requested || self.unconfirmed() > 0,
            // Nothing can be confirmed, but the client knows what it has not sent.
            false => self.outgoing.has_unsent(),
        };
        if is_lost {
            let notice = notice.filter(|_| !seen);
            return Some(Cause::Ended { target, notice });
        }
        if let Some(goodbye) = goodbye.filter(|_| !has_quit && !seen) {
            self.warn(&goodbye);
        }
        None
    }

    /// Finds out whether stdin holds anything, when the server has closed before it was sent.
    fn wait_for_input(&mut self) {
        let deadline = Instant::now() + INPUT_END;
        while self.input == Input::Stream
            && !self.has_begun
            && let Some(event) = self.next_before(Some(deadline))
        {
            self.has_begun = matches!(event, Event::InputBegun);
        }
    }

    fn lost(&self, reason: io::Error) -> Cause {
        Cause::Lost {
            target: self.target.clone(),
            reason,
        }
    }

    /// The number of lines that were sent and not answered. A server of another kind answers none.
    fn unconfirmed(&self) -> u64 {
        if self.confirmations.is_foreign() {
            0
        } else {
            self.confirmations.missing(self.outgoing.count())
        }
    }

    pub(super) fn failure(&self, cause: Cause) -> Failure {
        // Missing lines are the cause, unless messages were skipped.
        let unconfirmed = match cause {
            Cause::LinesRefused => 0,
            _ => self.unconfirmed(),
        };
        let left = match cause {
            Cause::Input(_) | Cause::LinesRefused => Left::Nothing,
            _ if self.input != Input::Stream || self.outgoing.has_ended() => Left::Nothing,
            _ if self.opening.is_some() => Left::All,
            _ => Left::Rest,
        };
        Failure {
            cause,
            lines: Lines {
                sent: self.outgoing.count().total(),
                unconfirmed,
                refused: self.confirmations.refused(),
                left,
            },
        }
    }
}
