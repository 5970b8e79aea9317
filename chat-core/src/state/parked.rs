//! Reading for parked readers, many at a time; see [`dispatch`](crate::hub::dispatch).

use super::State;
use super::read::Cursor;
use crate::log::Run;

/// What a parked reader needs now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Due {
    /// It has read everything.
    Nothing,
    /// Lines of the log, and nothing else.
    Lines,
    /// Something that its owner has to see to: mail, a gap, or the end.
    Owner,
}

impl State {
    pub(crate) fn due(&self, cursor: &mut Cursor) -> Due {
        if self.is_closed() || (cursor.attention != self.attention && !self.is_undisturbed(cursor))
        {
            return Due::Owner;
        }
        cursor.attention = self.attention;
        match cursor.seq {
            seq if seq < self.log.held().start => Due::Owner,
            seq if seq < self.log.head() => Due::Lines,
            _ => Due::Nothing,
        }
    }

    /// Whether the member that reads, if it is one, is still here and has no mail.
    fn is_undisturbed(&self, cursor: &Cursor) -> bool {
        cursor.member().is_none_or(|id| {
            let no_mail = |id| self.mail(id).is_none_or(|mail| mail.is_empty());
            self.members.get(id).is_some() && no_mail(id)
        })
    }

    /// Appends the lines from number `from` on to `out`, as many as fit into `max_bytes`, at least
    /// one if there is one. `from` is in the log or its head.
    pub(crate) fn read_run(&self, from: u64, max_bytes: usize, out: &mut Vec<u8>) -> Run {
        self.log.read(from, self.log.head(), max_bytes, out)
    }

    /// Where the line of a number within the run, or at its end, begins in the run's bytes.
    pub(crate) fn offset_in(&self, run: &Run, number: u64) -> usize {
        (self.log.start_of(number) - run.start) as usize
    }

    /// The cursor's reader was given all lines before number `to`, which may be evicted by now.
    pub(crate) fn advance(&mut self, cursor: &mut Cursor, to: u64) {
        cursor.seq = to;
        self.barrier_reached |= self.cursors.advance(cursor.key, to);
        match to >= self.log.held().start {
            true => {
                let offset = self.log.start_of(to);
                self.lag.advance(&mut cursor.place, offset, true);
            }
            false => self.lag.overrun(&mut cursor.place),
        }
    }
}
