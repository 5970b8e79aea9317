//! What the two halves of a session share: the peer's mail, its membership, its pulse.

use super::notices;
use crate::event::LeaveReason;
use crate::hub::Hub;
use crate::member::Member;
use crate::members::MemberId;
use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Wake, Waker};
use tokio::time::Instant;

/// Notices that wait for a peer take no more than this; what does not fit is counted.
const MAIL_BYTES: usize = 16 * 1024;

/// As a waker, it tells the session that its receiving half or its timer has something to do:
/// a wake-up from the hub, of which there are many more, then need not touch those.
#[derive(Debug)]
pub(crate) struct Desk {
    /// The halves run in one task, so this is hardly ever contended.
    papers: Mutex<Papers>,
    /// Whether there is something new in the papers for the delivering half.
    post: AtomicBool,
    /// Whether the receiving half or the timer was woken.
    rung: AtomicBool,
    /// Whether something is being delivered.
    delivering: AtomicBool,
    /// Bytes that the peer has taken, in all.
    taken: AtomicU64,
}

#[derive(Debug)]
pub(crate) struct Papers {
    /// What comes before all else: the rest of a line that was taken in part, the greeting.
    front: Vec<u8>,
    /// Notices, which come after what they follow in the log: all before event `after`.
    mail: Vec<u8>,
    pub(crate) after: u64,
    /// Notices that did not fit.
    skipped: u64,
    /// The membership, on its way from the half that joined to the half that reads.
    pub(crate) member: Option<Member>,
    pub(crate) id: Option<MemberId>,
    /// Why it ends, if that was before there was a membership, or where it broke.
    pub(crate) ended: Option<LeaveReason>,
    /// The last words, if the reason does not say them.
    pub(crate) goodbye: Option<String>,
    /// When the peer last sent a line; at first, when it came.
    pub(crate) last_line: Instant,
    waker: Waker,
}

impl Papers {
    /// Says something as soon as possible.
    pub(crate) fn say_first(&mut self, lines: &str) {
        self.front.extend_from_slice(lines.as_bytes());
    }

    /// Says something after all events before number `after`.
    pub(crate) fn say(&mut self, lines: &str, after: u64) {
        if self.front.len() + self.mail.len() + lines.len() > MAIL_BYTES {
            self.skipped += 1;
            return;
        }
        self.own_up();
        self.mail.extend_from_slice(lines.as_bytes());
        self.after = after;
    }

    pub(crate) fn has_front(&self) -> bool {
        !self.front.is_empty()
    }

    pub(crate) fn has_mail(&self) -> bool {
        !self.mail.is_empty()
    }

    pub(crate) fn take_front(&mut self) -> Vec<u8> {
        // Taken, not cleared: an idle peer holds no buffer.
        mem::take(&mut self.front)
    }

    pub(crate) fn take_mail(&mut self) -> Vec<u8> {
        self.own_up();
        mem::take(&mut self.mail)
    }

    pub(crate) fn put_back_front(&mut self, bytes: &[u8]) {
        self.front.splice(0..0, bytes.iter().copied());
    }

    pub(crate) fn put_back_mail(&mut self, bytes: &[u8]) {
        self.mail.splice(0..0, bytes.iter().copied());
    }

    /// Says how many notices did not fit, in their place.
    fn own_up(&mut self) {
        if self.skipped > 0 {
            let notice = notices::notices_skipped(mem::take(&mut self.skipped));
            self.mail.extend_from_slice(notice.as_bytes());
        }
    }
}

impl Desk {
    pub(crate) fn new() -> Self {
        Self {
            papers: Mutex::new(Papers {
                front: Vec::new(),
                mail: Vec::new(),
                after: 0,
                skipped: 0,
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

    /// Changes the papers and wakes the half that delivers.
    pub(crate) fn hand_over<T>(&self, change: impl FnOnce(&mut Papers) -> T) -> T {
        let (result, waker) = {
            let mut papers = self.lock();
            (change(&mut papers), papers.waker.clone())
        };
        self.post.store(true, SeqCst);
        waker.wake();
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
    pub(crate) fn set_waker(&self, cx: &Context<'_>) {
        let mut papers = self.lock();
        if !papers.waker.will_wake(cx.waker()) {
            papers.waker = cx.waker().clone();
        }
    }

    /// Forgets the session's task, so that nothing keeps it when it has ended.
    pub(crate) fn clear_waker(&self) {
        self.lock().waker = Waker::noop().clone();
    }

    /// Whether the receiving half or the timer was woken since this was last asked.
    pub(crate) fn answer(&self) -> bool {
        self.rung.swap(false, SeqCst)
    }

    /// Ends the membership, or what was to become one, and gives the reason that holds, which
    /// is the first one.
    pub(crate) fn leave(&self, hub: &Hub, reason: LeaveReason) -> LeaveReason {
        let (id, first) = self.hand_over(|papers| {
            let first = *papers.ended.get_or_insert(reason);
            (papers.id, first)
        });
        if let Some(id) = id {
            // Fails if somebody else was first; the feed learns of that by itself.
            let _ = hub.leave(id, first);
        }
        first
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
        let waker = self.lock().waker.clone();
        waker.wake();
    }
}
