//! What the two halves of a session share: the peer's notices, its membership, its pulse.

use crate::hub::Hub;
use crate::hub::member::Member;
use crate::protocol::lines as notices;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard};
use crate::types::event::LeaveReason;
use crate::types::ids::MemberId;
use std::collections::VecDeque;
use std::mem;
use std::sync::atomic::{Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, PoisonError};
use std::task::{Wake, Waker};
use tokio::time::Instant;

/// Notices that wait for a peer take no more than this; what does not fit is counted.
const NOTICE_BYTES: usize = 16 * 1024;

/// As a waker, it tells the session that its receiving half or its timer has something to do:
/// a wake-up from the hub, of which there are many more, then need not touch those.
///
/// In this order, as what each delivery looks at is to be on one cache line.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Desk {
    /// Whether there is something new in the papers for the delivering half.
    post: AtomicBool,
    /// Whether the receiving half or the timer was woken.
    rung: AtomicBool,
    /// Whether something is being delivered.
    delivering: AtomicBool,
    /// Bytes that the peer has taken, in all.
    taken: AtomicU64,
    /// The halves run in one task, so this is hardly ever contended.
    papers: Mutex<Papers>,
}

#[derive(Debug)]
pub(crate) struct Papers {
    /// `None` if there are none, as is nearly always.
    notices: Option<Box<Notices>>,
    /// The membership, on its way from the half that joined to the half that reads.
    pub(crate) member: Option<Box<Member>>,
    pub(crate) id: Option<MemberId>,
    /// Why it ended, once it has.
    pub(crate) ended: Option<LeaveReason>,
    /// The last words, if the reason does not say them.
    pub(crate) goodbye: Option<Box<str>>,
    /// When the member last sent a line, or joined; before that, when the peer came.
    pub(crate) last_line: Instant,
    waker: Waker,
}

/// What is to be said to one peer alone, in its place among the events.
#[derive(Debug, Default)]
pub(crate) struct Notices {
    /// The rest of a line that the peer has taken a part of: before all else.
    rest: Vec<u8>,
    queue: VecDeque<Notice>,
    /// Bytes in the queue.
    bytes: usize,
    /// Notices that did not fit, after all that did.
    skipped: u64,
}

#[derive(Debug)]
struct Notice {
    /// It comes after all events before this number.
    after: u64,
    lines: String,
}

impl Notices {
    /// Queues whole lines, after all events before number `after`, or counts them as skipped.
    pub(crate) fn push(&mut self, lines: String, after: u64) {
        if self.bytes + lines.len() > NOTICE_BYTES {
            self.skipped += 1;
        } else {
            self.push_always(lines, after);
        }
    }

    /// Queues whole lines even if there are many already: the first words and the last.
    pub(crate) fn push_always(&mut self, lines: String, after: u64) {
        if self.skipped > 0 {
            let skipped = mem::take(&mut self.skipped);
            self.enqueue(notices::notices_skipped(skipped), after);
        }
        if !lines.is_empty() {
            self.enqueue(lines, after);
        }
    }

    fn enqueue(&mut self, lines: String, after: u64) {
        // Roster and position are asked for one after the other, the queue is in order.
        let after = self
            .queue
            .back()
            .map_or(after, |last| after.max(last.after));
        self.bytes += lines.len();
        self.queue.push_back(Notice { after, lines });
    }

    fn is_empty(&self) -> bool {
        self.rest.is_empty() && self.queue.is_empty() && self.skipped == 0
    }

    /// Copies to `out` what comes before event number `position`, and gives the number of the
    /// event before which the next notice comes, or the greatest number.
    pub(crate) fn copy_due(&mut self, position: u64, out: &mut Vec<u8>) -> u64 {
        if self.skipped > 0 && self.queue.is_empty() {
            self.push_always(String::new(), position);
        }
        out.extend_from_slice(&self.rest);
        for notice in &self.queue {
            if notice.after > position {
                return notice.after;
            }
            out.extend_from_slice(notice.lines.as_bytes());
        }
        u64::MAX
    }

    /// The peer has taken so many of the bytes that were copied.
    fn take(&mut self, mut bytes: usize) {
        if bytes < self.rest.len() {
            self.rest.drain(..bytes);
            return;
        }
        bytes -= mem::take(&mut self.rest).len();
        while bytes > 0 {
            let notice = self
                .queue
                .pop_front()
                .expect("no more is taken than was copied");
            self.bytes -= notice.lines.len();
            if bytes < notice.lines.len() {
                self.rest = notice.lines.as_bytes()[bytes..].into();
            }
            bytes = bytes.saturating_sub(notice.lines.len());
        }
    }

    /// The peer has taken a part of a line, of which this is the rest.
    pub(crate) fn finish_with(&mut self, rest: &[u8]) {
        debug_assert!(self.rest.is_empty(), "one line at a time is taken in part");
        self.rest = rest.into();
    }
}

impl Papers {
    /// What is to be said to this peer alone, to add to it.
    pub(crate) fn notices(&mut self) -> &mut Notices {
        self.notices.get_or_insert_default()
    }

    pub(crate) fn has_notices(&self) -> bool {
        self.notices.as_ref().is_some_and(|all| !all.is_empty())
    }

    /// The peer has taken so many bytes of its notices. Says whether there are more.
    pub(crate) fn take_notices(&mut self, bytes: usize) -> bool {
        self.notices().take(bytes);
        let more = self.has_notices();
        if !more {
            // An idle peer holds no memory for them.
            self.notices = None;
        }
        more
    }
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self {
            papers: Mutex::new(Papers {
                notices: None,
                member: None,
                id: None,
                ended: None,
                goodbye: None,
                last_line: Instant::now(),
                waker: Waker::noop().clone(),
            }),
            post: AtomicBool::new(false),
            rung: AtomicBool::new(true),
            delivering: AtomicBool::new(false),
            taken: AtomicU64::new(0),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Papers> {
        self.papers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the papers. The half that delivers sees it when it is next polled, which it is
    /// whenever the other one was, or the timer.
    pub(crate) fn hand_over<T>(&self, change: impl FnOnce(&mut Papers) -> T) -> T {
        let result = change(&mut self.lock());
        self.post.store(true, SeqCst);
        result
    }

    pub(crate) fn has_post(&self) -> bool {
        self.post.load(SeqCst)
    }

    /// The papers, for the half that delivers, which then knows what is in them.
    pub(crate) fn look_through(&self) -> MutexGuard<'_, Papers> {
        self.post.store(false, SeqCst);
        self.lock()
    }

    /// Remembers the session's task, for those who wake it.
    pub(crate) fn set_waker(&self, waker: Waker) {
        self.lock().waker = waker;
    }

    /// Forgets the session's task, so that nothing keeps it when it has ended.
    pub(crate) fn clear_waker(&self) {
        self.set_waker(Waker::noop().clone());
    }

    pub(crate) fn wake_task(&self) {
        let waker = self.lock().waker.clone();
        waker.wake();
    }

    /// Whether the receiving half or the timer was woken since this was last asked.
    pub(crate) fn answer(&self) -> bool {
        self.rung.swap(false, SeqCst)
    }

    /// Ends the membership, or what was to become one, and gives the reason that holds, which
    /// is the first one.
    pub(crate) fn leave(&self, hub: &Hub, reason: LeaveReason) -> LeaveReason {
        let (id, ended) = {
            let papers = self.lock();
            (papers.id, papers.ended)
        };
        let reason = ended.unwrap_or_else(|| match id.map(|id| (id, hub.leave(id, reason))) {
            // Somebody else was first.
            Some((id, Err(_))) => hub.shared.lock().left(id).unwrap_or(reason),
            // Who has no name yet is not in the hub, but it ends with it.
            None if hub.is_closed() => LeaveReason::Closed,
            _ => reason,
        });
        self.hand_over(|papers| *papers.ended.get_or_insert(reason))
    }

    /// [`leave`](Self::leave), with these as the last words, unless another reason holds: who is let
    /// go while the hub closes is told that.
    pub(crate) fn leave_saying(&self, hub: &Hub, reason: LeaveReason, goodbye: Option<String>) {
        if self.leave(hub, reason) == reason {
            self.lock().goodbye = goodbye.map(String::into_boxed_str);
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lock().ended.is_some()
    }

    /// Why it ended, once it has.
    pub(crate) fn reason(&self) -> LeaveReason {
        self.lock().ended.unwrap_or(LeaveReason::Left)
    }

    pub(crate) fn set_delivering(&self, delivering: bool) {
        self.delivering.store(delivering, Relaxed);
    }

    pub(crate) fn is_delivering(&self) -> bool {
        self.delivering.load(Relaxed)
    }

    pub(crate) fn add_taken(&self, bytes: usize) {
        self.taken.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }
}

impl Wake for Desk {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.rung.store(true, SeqCst);
        self.wake_task();
    }
}
