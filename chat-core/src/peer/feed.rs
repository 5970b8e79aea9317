//! What a transport delivers: the peer's notices and its cursor in the log, as one stream.

use super::shared::Desk;
use crate::buffer;
use crate::hub::Hub;
use crate::hub::batch::Batch;
use crate::hub::member::{BATCH_BYTES, Member};
use crate::hub::wait_list::Ticket;
use crate::protocol::lines as notices;
use crate::state::{Amount, Look};
use crate::types::event::LeaveReason;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

/// What is to be delivered to a peer: everything it is missing, in order, at any moment.
///
/// A transport takes from it what the peer can accept now: text it owns, by [`take`](Self::take)
/// or [`take_batch`](Self::take_batch), or by lending the bytes to a write that does not wait,
/// by [`lend`](Self::lend). What it does not take stays in the hub's log and costs nothing.
#[derive(Debug)]
pub struct Feed {
    hub: Hub,
    desk: Arc<Desk>,
    /// Whether notices, also of gaps, are left out.
    classic: bool,
    member: Option<Member>,
    /// Whether there are notices on the desk.
    notices: bool,
    /// Set with the last of it.
    ended: bool,
    /// Its place among those who wait for the hub to close, before there is a member.
    ticket: Option<Ticket>,
}

impl Feed {
    pub(crate) fn new(hub: Hub, desk: Arc<Desk>, classic: bool) -> Self {
        Self {
            hub,
            desk,
            classic,
            member: None,
            notices: false,
            ended: false,
            ticket: None,
        }
    }

    /// Waits until there may be something to take; gives `false` at the end.
    pub(crate) async fn ready(&mut self) -> bool {
        poll_fn(|cx| self.poll_ready(cx)).await
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.read_post();
        if self.notices {
            return Poll::Ready(true);
        }
        if self.ended {
            return Poll::Ready(false);
        }
        let waits = match &mut self.member {
            Some(member) => member.poll_idle(cx),
            None => self.hub.shared.poll_open(&mut self.ticket, cx),
        };
        if waits {
            return Poll::Pending;
        }
        if self.member.is_none() {
            self.finish(LeaveReason::Closed);
        }
        Poll::Ready(self.member.is_some() || self.notices)
    }

    /// Lends what is to be delivered, whole lines but perhaps for the rest of one, to `write`,
    /// which does not wait and says how many bytes it took; gives what that says.
    ///
    /// One call lends everything the peer is missing, up to about 64 KiB. What was not taken
    /// comes again, unless it falls off the log meanwhile: then whole lines go, and the peer is
    /// told how many. If there is nothing, `write` is not called, and this gives 0.
    ///
    /// # Errors
    ///
    /// Those of `write`, which then has taken nothing.
    pub fn lend(&mut self, write: impl FnOnce(&[u8]) -> io::Result<usize>) -> io::Result<usize> {
        buffer::lend_for_writing(|bytes| {
            let gathered = self.gather(bytes);
            let written = match bytes.is_empty() {
                true => Ok(0),
                false => write(bytes),
            };
            let taken = *written.as_ref().unwrap_or(&0);
            assert!(
                taken <= bytes.len(),
                "a write takes no more than it was lent"
            );
            self.settle(bytes, gathered, taken);
            written
        })
    }

    /// Takes what is to be delivered as text: whole lines, each with `\n` at its end, up to
    /// about 64 KiB. Gaps and the last words are in it as notices, lines that begin with `* `.
    ///
    /// It is empty if there is nothing after all, which is not worth a message.
    pub fn take(&mut self) -> String {
        let mut text = String::new();
        let taken = self.lend(|bytes| {
            // Only a peer that is also lent to can have part of a line, and of a character.
            text = String::from_utf8_lossy(bytes).into_owned();
            Ok(bytes.len())
        });
        taken.expect("the write above does not fail");
        text
    }

    /// Takes what is to be delivered as items, for transports with a form of their own: fills
    /// the batch, up to about 64 KiB of lines, and gives the notices to this peer alone that come
    /// before it, each a line with `\n` at its end. Gaps and the end are items of the batch.
    pub fn take_batch(&mut self, batch: &mut Batch) -> String {
        self.read_post();
        let mut notices = Vec::new();
        let before = self.copy_notices(&mut notices);
        self.take_notices(notices.len());
        batch.clear();
        if let Some(member) = &mut self.member {
            member.take_many(batch, before);
        }
        self.desk.add_taken(notices.len() + batch.lines().len());
        if let Some(reason) = batch.closed() {
            self.finish(reason);
        }
        String::from_utf8_lossy(&notices).into_owned()
    }

    /// What says how many bytes were taken, while a call of the transport has the feed.
    #[cfg(feature = "testkit")]
    pub(crate) fn meter(&self) -> Arc<Desk> {
        self.desk.clone()
    }

    /// Takes in what the other half of the session has handed over.
    fn read_post(&mut self) {
        if !self.desk.has_post() {
            return;
        }
        let mut papers = self.desk.look_through();
        let ended = papers.ended;
        self.notices = papers.has_notices();
        if let Some(member) = papers.member.take() {
            self.member = Some(*member);
        }
        drop(papers);
        if let (None, Some(reason)) = (&self.member, ended) {
            self.finish(reason);
        }
    }

    /// Copies the notices that come now, and gives the number of the event before which there
    /// are others.
    fn copy_notices(&self, out: &mut Vec<u8>) -> u64 {
        if !self.notices {
            return u64::MAX;
        }
        let position = match &self.member {
            Some(member) if !self.ended => member.position(),
            _ => u64::MAX,
        };
        self.desk.lock().notices().copy_due(position, out)
    }

    fn take_notices(&mut self, bytes: usize) {
        if self.notices {
            self.notices = self.desk.lock().take_notices(bytes);
        }
    }

    /// Puts what is to be delivered into `bytes`.
    fn gather(&mut self, bytes: &mut Vec<u8>) -> Gathered {
        self.read_post();
        let before = self.copy_notices(bytes);
        let notices = bytes.len();
        let amount = Amount::Upto {
            bytes: BATCH_BYTES.saturating_sub(notices),
            before,
        };
        let look = self.member.as_mut().and_then(|member| {
            member.look(|state, id, cursor| (state.look(id, cursor, amount, bytes), ()))
        });
        let look = look.map(|(look, ())| look);
        let mut gap = notices;
        let missed = look.as_ref().map_or(0, |look| look.missed);
        if missed > 0 && !self.classic {
            let notice = notices::skipped(missed);
            bytes.splice(notices..notices, notice.bytes());
            gap += notice.len();
        }
        Gathered { notices, gap, look }
    }

    /// Puts back what was not taken.
    fn settle(&mut self, bytes: &[u8], gathered: Gathered, taken: usize) {
        let Gathered { notices, gap, look } = gathered;
        self.desk.add_taken(taken);
        self.take_notices(taken.min(notices));
        let (Some(look), Some(member)) = (look, &mut self.member) else {
            return;
        };
        if notices < gap && taken <= notices {
            // The gap is not told yet, and may grow: a number is all that is kept of it.
            member.put_back(&look, look.events.start - look.missed);
            return;
        }
        if (notices + 1..gap).contains(&taken) {
            self.desk.lock().notices().finish_with(&bytes[taken..gap]);
            self.notices = true;
        }
        let (lines, taken) = (&bytes[gap..], taken.saturating_sub(gap));
        if taken < lines.len() {
            let whole = memchr::memchr_iter(b'\n', &lines[..taken]).count() as u64;
            let cut = taken > 0 && lines[taken - 1] != b'\n';
            member.put_back(&look, look.events.start + whole + u64::from(cut));
            if cut {
                // The line may be gone from the log when the peer goes on with it.
                let end = memchr::memchr(b'\n', &lines[taken..]);
                let end = taken + end.expect("the log gives whole lines");
                self.desk.lock().notices().finish_with(&lines[taken..=end]);
                self.notices = true;
            }
        } else if let Some(reason) = look.closed {
            self.finish(reason);
        }
    }

    /// All that the log has for the peer was taken; the last words remain.
    fn finish(&mut self, reason: LeaveReason) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let mut papers = self.desk.lock();
        let reason = *papers.ended.get_or_insert(reason);
        if !self.classic {
            let own = papers.goodbye.take();
            let goodbye = own.map_or_else(|| notices::goodbye(reason).into(), String::from);
            papers.notices().push_always(goodbye, u64::MAX);
        }
        self.notices = papers.has_notices();
    }
}

/// What is lent: notices up to `notices`, that of a gap up to `gap`, then lines of the log.
struct Gathered {
    notices: usize,
    gap: usize,
    look: Option<Look>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.hub.shared.forget_open(self.ticket.take());
        // Whoever keeps a waker of the session for too long must not keep its membership.
        let member = self.desk.lock().member.take();
        drop(member);
    }
}
