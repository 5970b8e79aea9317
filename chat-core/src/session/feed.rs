//! What a transport delivers: the peer's notices and its cursor in the log, as one stream.

use super::desk::Desk;
use super::notices;
use crate::batch::Batch;
use crate::bell::Ticket;
use crate::buffer;
use crate::event::LeaveReason;
use crate::hub::Hub;
use crate::member::{BATCH_BYTES, Member};
use crate::state::{Amount, Cursor, Look, State};
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
    /// Whether there is mail on the desk.
    mail: bool,
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
            mail: false,
            ended: false,
            ticket: None,
        }
    }

    /// Waits until there may be something to take; gives `false` at the end.
    pub(crate) async fn ready(&mut self) -> bool {
        // A peer that takes everything at once must not keep its thread for itself.
        tokio::task::coop::consume_budget().await;
        poll_fn(|cx| self.poll_ready(cx)).await
    }

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.read_post();
        if self.mail {
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
        Poll::Ready(self.member.is_some() || self.mail)
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
    /// the batch, up to about 64 KiB of lines, and gives the notices to this peer alone, each a
    /// line with `\n` at its end, which belong behind it. Gaps and the end are items of the batch.
    pub fn take_batch(&mut self, batch: &mut Batch) -> String {
        self.read_post();
        batch.clear();
        if let Some(member) = &mut self.member {
            member.take_many(batch);
        }
        if let Some(reason) = batch.closed() {
            self.finish(reason);
        }
        let mut notices = Vec::new();
        if std::mem::take(&mut self.mail) {
            let mut papers = self.desk.lock();
            notices = papers.take_front();
            notices.append(&mut papers.take_mail());
        }
        self.desk.add_taken(notices.len() + batch.lines().len());
        String::from_utf8_lossy(&notices).into_owned()
    }

    /// Takes in what the other half of the session has handed over.
    fn read_post(&mut self) {
        if !self.desk.has_post() {
            return;
        }
        let mut papers = self.desk.look_through();
        let ended = papers.ended;
        self.mail = papers.has_front() || papers.has_mail();
        if let Some(member) = papers.member.take() {
            self.member = Some(member);
        }
        drop(papers);
        if let (None, Some(reason)) = (&self.member, ended) {
            self.finish(reason);
        }
    }

    /// Puts what is to be delivered into `bytes`.
    fn gather(&mut self, bytes: &mut Vec<u8>) -> Gathered {
        self.read_post();
        let mut before = u64::MAX;
        if std::mem::take(&mut self.mail) {
            let mut papers = self.desk.lock();
            bytes.append(&mut papers.take_front());
            if papers.has_mail() {
                before = papers.after;
            }
        }
        let mut front = bytes.len();
        let amount = Amount::Upto {
            bytes: BATCH_BYTES.saturating_sub(front),
            before,
        };
        let look = self.member.as_mut().and_then(|member| {
            let look = |state: &mut State, id, cursor: &mut Cursor| {
                let look = state.look(id, cursor, amount, bytes);
                let notices = look.events.end >= before || look.closed.is_some();
                (look, notices)
            };
            member.look(look)
        });
        let missed = look.as_ref().map_or(0, |(look, _)| look.missed);
        if missed > 0 && !self.classic {
            let notice = notices::skipped(missed);
            bytes.splice(front..front, notice.bytes());
            front += notice.len();
        }
        let log = bytes.len();
        if before < u64::MAX {
            match &look {
                Some((_, false)) => self.mail = true,
                _ => bytes.append(&mut self.desk.lock().take_mail()),
            }
        }
        Gathered {
            front,
            log,
            look: look.map(|(look, _)| look),
        }
    }

    /// Puts back what was not taken.
    fn settle(&mut self, bytes: &[u8], gathered: Gathered, taken: usize) {
        let Gathered { front, log, look } = gathered;
        self.desk.add_taken(taken);
        if taken < bytes.len() {
            let mut papers = self.desk.lock();
            match taken {
                _ if taken > log => papers.put_back_front(&bytes[taken..]),
                _ => papers.put_back_mail(&bytes[log..]),
            }
            if taken < front {
                papers.put_back_front(&bytes[taken..front]);
            }
            self.mail = papers.has_front() || papers.has_mail();
        }
        let (Some(look), Some(member)) = (look, &mut self.member) else {
            return;
        };
        if taken >= log {
            if let Some(reason) = look.closed {
                self.finish(reason);
            }
            return;
        }
        let lines = &bytes[front..log];
        let taken = taken.saturating_sub(front);
        let whole = memchr::memchr_iter(b'\n', &lines[..taken]).count() as u64;
        let cut = taken > 0 && lines[taken - 1] != b'\n';
        member.put_back(&look, look.events.start + whole + u64::from(cut));
        if cut {
            // The line may be gone from the log when the peer goes on with it.
            let end = memchr::memchr(b'\n', &lines[taken..]).expect("the log gives whole lines");
            self.desk.lock().put_back_front(&lines[taken..=taken + end]);
            self.mail = true;
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
            let goodbye = own.as_deref().unwrap_or(notices::goodbye(reason));
            papers.say_first(goodbye);
        }
        self.mail = papers.has_front() || papers.has_mail();
    }
}

/// What is lent: up to `front` what comes first, up to `log` lines of the log, then notices.
struct Gathered {
    front: usize,
    log: usize,
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
