//! The output of a peer as one stream: its notices, its mail, and the log from its cursor on.

use super::shared::{LastWords, SessionShared};
use crate::buffer;
use crate::hub::Hub;
use crate::hub::batch::Batch;
use crate::hub::dispatch::{Owner, ParkingPlace};
use crate::hub::member::Member;
use crate::hub::subscriber::BATCH_BYTES;
use crate::hub::wait_list::WaitKey;
use crate::protocol::lines;
use crate::state::State;
use crate::state::read::{Amount, Cursor, Progress, ReadOutcome};
use crate::types::event::LeaveReason;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll};

/// Everything that a peer is missing, in order, at any moment.
///
/// A transport takes from it what the peer can accept now: text that it owns, by
/// [`take`](Self::take) or [`take_batch`](Self::take_batch), or by lending the bytes to a write that
/// does not wait, by [`lend`](Self::lend). What it does not take stays in the hub's log and costs
/// nothing.
// The fields that each offer uses come first, as in `Half`, which it is a part of.
#[derive(Debug)]
#[repr(C)]
pub struct Feed {
    member: Option<Member>,
    hub: Hub,
    shared: Arc<SessionShared>,
    /// Whether notices, also of gaps, are left out.
    classic: bool,
    /// Whether the outbox has something.
    output: bool,
    /// Set with the last of it.
    ended: bool,
    /// The place of its waker among those that wait for the hub to close, before there is a member.
    key: Option<WaitKey>,
}

impl Feed {
    pub(crate) fn new(hub: Hub, shared: Arc<SessionShared>, classic: bool) -> Self {
        Self {
            hub,
            shared,
            classic,
            member: None,
            output: false,
            ended: false,
            key: None,
        }
    }

    /// Waits until there may be something to take. Gives `false` at the end.
    pub(crate) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        self.take_update();
        if self.output {
            return Poll::Ready(true);
        }
        if self.ended {
            return Poll::Ready(false);
        }
        let waits = match &mut self.member {
            Some(member) => member.reader().poll_idle(cx),
            None => self.hub.shared.poll_open(&mut self.key, cx),
        };
        if waits {
            return Poll::Pending;
        }
        if self.member.is_none() {
            self.finish(LeaveReason::Closed);
        }
        Poll::Ready(self.member.is_some() || self.output)
    }

    /// The hub's version at which there is nothing to take, as long as nothing happens but events.
    pub(crate) fn idle_at(&mut self) -> Option<u64> {
        self.take_update();
        match &mut self.member {
            Some(member) if !self.output && !self.ended => member.reader().idle_at(),
            _ => None,
        }
    }

    /// Where its session parks, if that runs in a runtime.
    pub(crate) fn parking_place(&self) -> Option<ParkingPlace> {
        let slot = self.member.as_ref()?.id().slot;
        self.hub.shared.dispatchers.place(slot.index)
    }

    /// The cursor, while there is nothing else to take.
    pub(crate) fn cursor_to_park(&mut self) -> &mut Cursor {
        let member = self.member.as_mut();
        member
            .expect("only a member has everything")
            .reader()
            .cursor_to_park()
    }

    pub(crate) fn owner(&self) -> Arc<dyn Owner> {
        self.shared.clone()
    }

    /// The peer has taken so many bytes.
    pub(crate) fn add_taken(&self, bytes: usize) {
        self.shared.add_taken(bytes);
    }

    /// The peer has taken so many bytes of these lines, but not all. Keeps the rest of a line of
    /// which it took a part, which may be evicted before it takes the rest. Returns the number of
    /// lines that it took something of.
    pub(crate) fn take_lines(&mut self, lines: &[u8], taken: usize) -> u64 {
        let whole = memchr::memchr_iter(b'\n', &lines[..taken]).count() as u64;
        if taken == 0 || lines[taken - 1] == b'\n' {
            return whole;
        }
        let end = memchr::memchr(b'\n', &lines[taken..]);
        let end = taken + end.expect("the log gives whole lines");
        self.keep_rest(&lines[taken..=end]);
        whole + 1
    }

    /// Lends what is to be delivered, whole lines except perhaps for the rest of one, to `write`,
    /// which does not wait and returns how many bytes it took. Returns what `write` returns.
    ///
    /// One call lends everything that the peer has not received yet, up to about 64 KiB. What
    /// `write` did not take comes again, unless it is evicted from the log meanwhile: then whole
    /// lines are missing, and the peer receives their number. `write` may take fewer bytes than the peer
    /// could accept.
    ///
    /// This returns 0 in two cases. If there is nothing to deliver, `write` is not called, and
    /// [`deliver`](crate::transport::DeliverHalf::deliver) should return. If `write` took nothing, it
    /// must have registered a waker, and `deliver` should wait for it and lend again.
    ///
    /// # Errors
    ///
    /// Those of `write`, which then has taken nothing.
    ///
    /// # Panics
    ///
    /// If `write` says that it took more than it was lent.
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

    /// Takes what is to be delivered as text: whole lines, each with `\n` at its end, up to about
    /// 64 KiB. Gaps, direct messages and the last words are notices in it, lines that begin with
    /// `* `.
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

    /// Takes what is to be delivered as items, for transports with a format of their own: fills the
    /// batch, up to about 64 KiB of lines, and returns the session's own lines that come before it,
    /// each with `\n` at its end: the greeting, notices to a peer that is no member yet, the last
    /// words. Everything else, gaps, direct messages and notices included, is an item of the batch.
    pub fn take_batch(&mut self, batch: &mut Batch) -> String {
        self.take_update();
        let mut own = Vec::new();
        self.copy_output(&mut own);
        self.take_output(own.len());
        batch.clear();
        if let Some(member) = &mut self.member {
            member.reader().take_many(batch);
        }
        // Each item counts: mail has no line, but a peer that takes it makes progress.
        let taken = own.len() + batch.lines().len() + batch.len();
        self.shared.add_taken(taken);
        if let Some(reason) = batch.closed() {
            self.finish(reason);
        }
        String::from_utf8_lossy(&own).into_owned()
    }

    /// Counts the bytes that were taken, while a call of the transport has the feed.
    #[cfg(feature = "testkit")]
    pub(crate) fn meter(&self) -> Arc<SessionShared> {
        self.shared.clone()
    }

    /// Takes what the other half of the session has handed over.
    fn take_update(&mut self) {
        if !self.shared.is_dirty() {
            return;
        }
        let mut state = self.shared.take_dirty();
        let ended = state.ended;
        self.output = state.has_output();
        if let Some(member) = state.member.take() {
            self.member = Some(*member);
        }
        drop(state);
        if let (None, Some(reason)) = (&self.member, ended) {
            self.finish(reason);
        }
    }

    fn copy_output(&self, out: &mut Vec<u8>) {
        if self.output {
            out.extend_from_slice(self.shared.lock().outbox().bytes());
        }
    }

    fn take_output(&mut self, bytes: usize) {
        if self.output {
            self.output = self.shared.lock().take_output(bytes);
        }
    }

    /// The peer has taken a part of a line, of which this is the rest.
    fn keep_rest(&mut self, rest: &[u8]) {
        self.shared.lock().outbox().push_rest(rest);
        self.output = true;
    }

    /// Puts what is to be delivered into `bytes`.
    fn gather(&mut self, bytes: &mut Vec<u8>) -> Gathered {
        self.take_update();
        self.copy_output(bytes);
        let output = bytes.len();
        let classic = self.classic;
        let mut mail = Vec::new();
        let read = self.member.as_mut().and_then(|member| {
            member.reader().with_state(|state, cursor| {
                let has_more_mail =
                    state.has_mail(cursor) && !copy_mail(state, cursor, classic, bytes, &mut mail);
                let before = bytes.len();
                if has_more_mail {
                    // It comes before the lines.
                    return ((None, before), Progress::More);
                }
                let lines = Amount::Bytes(BATCH_BYTES.saturating_sub(before));
                let outcome = state.read(cursor, lines, bytes);
                let progress = outcome.progress();
                ((Some(outcome), before), progress)
            })
        });
        let (outcome, mail_end) = read.unwrap_or((None, output));
        let mut gap = mail_end;
        let missed = outcome.as_ref().map_or(0, |outcome| outcome.missed);
        if missed > 0 && !classic {
            let notice = lines::skipped(missed);
            bytes.splice(gap..gap, notice.bytes());
            gap += notice.len();
        }
        Gathered {
            output,
            mail,
            mail_end,
            gap,
            outcome,
        }
    }

    /// Puts back what was not taken.
    fn settle(&mut self, bytes: &[u8], gathered: Gathered, taken: usize) {
        let Gathered {
            output,
            mail,
            mail_end,
            gap,
            outcome,
        } = gathered;
        self.shared.add_taken(taken);
        self.take_output(taken.min(output));
        if !mail.is_empty() {
            self.take_mail(bytes, output, &mail, taken);
        }
        let (Some(outcome), Some(member)) = (outcome, &mut self.member) else {
            return;
        };
        let first = outcome.events.start;
        if mail_end < gap && taken <= mail_end {
            // The gap is not delivered yet and may grow, so only its number is kept.
            member.reader().put_back(&outcome, first - outcome.missed);
            return;
        }
        let (lines, in_lines) = (&bytes[gap..], taken.saturating_sub(gap));
        if in_lines < lines.len() {
            let lines = self.take_lines(lines, in_lines);
            if let Some(member) = &mut self.member {
                member.reader().put_back(&outcome, first + lines);
            }
        }
        if (mail_end + 1..gap).contains(&taken) {
            self.keep_rest(&bytes[taken..gap]);
        }
        if in_lines == lines.len()
            && let Some(reason) = outcome.closed
        {
            self.finish(reason);
        }
    }

    /// Removes the mail of which the peer has taken something; `mail` has the ends of its items.
    fn take_mail(&mut self, bytes: &[u8], output: usize, mail: &[usize], taken: usize) {
        let Some(member) = &mut self.member else {
            return;
        };
        let id = member.id().slot;
        let mut start = output;
        let mut removed = Vec::new();
        let mut rest = None;
        member.reader().with_state(|state, cursor| {
            for &end in mail {
                // An item of no bytes is one that this peer is not shown.
                let shown = start < end;
                if shown && taken <= start {
                    break;
                }
                removed.extend(state.take_mail(id, u64::MAX));
                if shown && taken < end {
                    rest = Some(&bytes[taken..end]);
                    break;
                }
                start = end;
            }
            // If events were not taken, they are put back next.
            ((), state.progress(cursor))
        });
        let farewell = removed.into_iter().rev().find(|mail| mail.is_farewell);
        if let Some(farewell) = farewell {
            let text = farewell.direct.text().into();
            self.shared.lock().last_words().farewell = Some(text);
        }
        if let Some(rest) = rest {
            self.keep_rest(rest);
        }
    }

    /// The peer has taken everything that the log has for it; the last words remain.
    fn finish(&mut self, reason: LeaveReason) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let mut state = self.shared.lock();
        let reason = *state.ended.get_or_insert(reason);
        if !self.classic {
            let LastWords { goodbye, farewell } = state.take_last_words();
            let goodbye = goodbye.unwrap_or_else(|| lines::goodbye(reason, farewell.as_deref()));
            state.outbox().push_last_notice(goodbye);
        }
        self.output = state.has_output();
    }
}

/// Appends the mail that is due as notices, and where each item ends. Says whether that was all of
/// it, and not as much as is lent at a time.
fn copy_mail(
    state: &State,
    cursor: &Cursor,
    classic: bool,
    out: &mut Vec<u8>,
    ends: &mut Vec<usize>,
) -> bool {
    let mailbox = cursor.member().and_then(|id| state.mail(id));
    for mail in mailbox.into_iter().flat_map(|all| all.due(cursor.seq)) {
        if out.len() >= BATCH_BYTES {
            return false;
        }
        // The explanation of a removal is a part of the last words.
        if !classic && !mail.is_farewell {
            lines::write_notice(&mail.direct, out);
        }
        ends.push(out.len());
    }
    true
}

/// The bytes that are lent: the outbox up to `output`, mail up to `mail_end`, the notice of a gap up
/// to `gap`, then lines of the log.
struct Gathered {
    output: usize,
    /// Where each item of mail ends.
    mail: Vec<usize>,
    mail_end: usize,
    gap: usize,
    outcome: Option<ReadOutcome>,
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.hub.shared.forget_open(self.key.take());
        // A waker of the session that is kept for too long must not keep its membership.
        let member = self.shared.lock().member.take();
        drop(member);
    }
}
