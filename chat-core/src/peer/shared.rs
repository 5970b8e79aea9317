//! State shared by the two halves of a session.

use crate::hub::Hub;
use crate::hub::dispatch::Owner;
use crate::hub::member::Member;
use crate::protocol::lines;
use crate::sync::{AtomicBool, AtomicU64, Mutex, MutexGuard};
use crate::types::event::LeaveReason;
use crate::types::ids::MaybeSlot;
use std::fmt::Display;
use std::mem;
use std::sync::atomic::{Ordering::Relaxed, Ordering::SeqCst};
use std::sync::{Arc, PoisonError};
use std::task::{Wake, Waker};
use tokio::time::Instant;

/// Notices to a peer that is no member yet take no more memory than this; further ones are counted.
const OUTBOX_BYTES: usize = 16 * 1024;

/// State shared by the halves of a session. As a `Waker`, it sets `woken` before it wakes the task:
/// so a wake-up from the hub, by far the most frequent, need not poll the receiving half or the timer.
///
/// The fields that each delivery uses come first, on one cache line.
#[derive(Debug)]
#[repr(C)]
pub(crate) struct SessionShared {
    /// Whether the state has changed since the delivering half last looked.
    dirty: AtomicBool,
    /// Whether the receiving half or the timer was woken.
    woken: AtomicBool,
    /// Whether something is being delivered.
    delivering: AtomicBool,
    /// Bytes that the peer has taken, in all.
    taken: AtomicU64,
    /// The halves run in one task, so this is rarely contended.
    state: Mutex<SessionState>,
}

#[derive(Debug)]
pub(crate) struct SessionState {
    /// `None` if it is empty, as is nearly always so.
    own: Option<Box<Own>>,
    /// The membership, on its way from the half that joined to the half that reads.
    pub(crate) member: Option<Box<Member>>,
    slot: MaybeSlot,
    /// The reason of the end, once the session has ended.
    pub(crate) ended: Option<LeaveReason>,
    /// When the member last sent a line or joined; before it joins, when the peer connected.
    pub(crate) last_line: Instant,
    waker: Waker,
}

/// The session's own output.
#[derive(Debug, Default)]
struct Own {
    outbox: Outbox,
    /// Empty until the session ends.
    last_words: LastWords,
}

impl Own {
    fn is_empty(&self) -> bool {
        self.outbox.is_empty() && self.last_words == LastWords::default()
    }
}

/// How the last notice of a session is made.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct LastWords {
    /// The notice, if it is not the one that belongs to the reason.
    pub(crate) goodbye: Option<String>,
    /// The text of the removal that ended the membership.
    pub(crate) farewell: Option<String>,
}

/// Bytes for the peer that come before its mail and events: the rest of a line that it took a part
/// of, notices to a peer that is no member yet, the greeting, the last words.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    /// Notices that found no room.
    skipped: u64,
}

impl Outbox {
    /// Appends a notice, or counts it as skipped.
    pub(crate) fn push_notice(&mut self, text: impl Display) {
        if self.bytes.len() > OUTBOX_BYTES {
            self.skipped += 1;
        } else {
            self.push_last_notice(text);
        }
    }

    /// Appends a notice, also if there are many.
    pub(crate) fn push_last_notice(&mut self, text: impl Display) {
        self.report_skipped();
        lines::write_notice(text, &mut self.bytes);
    }

    /// Appends whole lines.
    pub(crate) fn push_lines(&mut self, lines: &str) {
        self.report_skipped();
        self.bytes.extend_from_slice(lines.as_bytes());
    }

    fn report_skipped(&mut self) {
        if self.skipped > 0 {
            let skipped = lines::notices_skipped(mem::take(&mut self.skipped));
            lines::write_notice(skipped, &mut self.bytes);
        }
    }

    /// The peer has taken a part of a line, of which this is the rest.
    pub(crate) fn push_rest(&mut self, rest: &[u8]) {
        debug_assert!(
            self.bytes.is_empty(),
            "what comes after the line is not taken"
        );
        self.bytes.extend_from_slice(rest);
    }

    pub(crate) fn bytes(&mut self) -> &[u8] {
        self.report_skipped();
        &self.bytes
    }

    fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.skipped == 0
    }
}

impl SessionState {
    /// The membership has begun.
    pub(crate) fn join(&mut self, member: Box<Member>) {
        self.slot = Some(member.id().slot).into();
        self.member = Some(member);
    }

    pub(crate) fn has_joined(&self) -> bool {
        self.slot.get().is_some()
    }

    pub(crate) fn last_words(&mut self) -> &mut LastWords {
        &mut self.own.get_or_insert_default().last_words
    }

    pub(crate) fn take_last_words(&mut self) -> LastWords {
        let own = self.own.as_mut();
        own.map_or_else(LastWords::default, |own| mem::take(&mut own.last_words))
    }

    /// Bytes for the peer alone, to append to.
    pub(crate) fn outbox(&mut self) -> &mut Outbox {
        &mut self.own.get_or_insert_default().outbox
    }

    pub(crate) fn has_output(&self) -> bool {
        let own = self.own.as_ref();
        own.is_some_and(|own| !own.outbox.is_empty())
    }

    /// The peer has taken so many bytes of its outbox. Says whether there are more.
    pub(crate) fn take_output(&mut self, bytes: usize) -> bool {
        self.outbox().bytes.drain(..bytes);
        let more = self.has_output();
        if self.own.as_ref().is_some_and(|own| own.is_empty()) {
            // An idle peer takes no memory for it.
            self.own = None;
        }
        more
    }
}

impl SessionShared {
    pub(crate) fn new() -> Self {
        Self {
            state: Mutex::new(SessionState {
                own: None,
                member: None,
                slot: None.into(),
                ended: None,
                last_line: Instant::now(),
                waker: Waker::noop().clone(),
            }),
            dirty: AtomicBool::new(false),
            woken: AtomicBool::new(true),
            delivering: AtomicBool::new(false),
            taken: AtomicU64::new(0),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, SessionState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state. The delivering half sees it when it is next polled, which is whenever the
    /// receiving half or the timer was polled.
    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut SessionState) -> T) -> T {
        let result = change(&mut self.lock());
        self.dirty.store(true, SeqCst);
        result
    }

    pub(crate) fn is_dirty(&self) -> bool {
        self.dirty.load(SeqCst)
    }

    /// Locks the state for the delivering half, which then has seen all changes.
    pub(crate) fn take_dirty(&self) -> MutexGuard<'_, SessionState> {
        self.dirty.store(false, SeqCst);
        self.lock()
    }

    /// Registers the waker of the session's task, if it is another one.
    pub(crate) fn register_task(&self, waker: &Waker) {
        if !self.lock().waker.will_wake(waker) {
            self.set_waker(waker.clone());
        }
    }

    fn set_waker(&self, waker: Waker) {
        let before = mem::replace(&mut self.lock().waker, waker);
        // Foreign code, so not under the lock.
        drop(before);
    }

    /// Drops the waker, so that nothing keeps the task of a session that has ended.
    pub(crate) fn clear_waker(&self) {
        self.set_waker(Waker::noop().clone());
    }

    pub(crate) fn wake_task(&self) {
        let waker = self.lock().waker.clone();
        waker.wake();
    }

    /// Whether the receiving half or the timer was woken since the last call.
    pub(crate) fn take_woken(&self) -> bool {
        self.woken.swap(false, SeqCst)
    }

    /// Ends the membership, or the session of a peer that is no member yet. Gives the reason that
    /// counts, which is the first one.
    pub(crate) fn leave(&self, hub: &Hub, reason: LeaveReason) -> LeaveReason {
        let (slot, ended) = {
            let state = self.lock();
            (state.slot.get(), state.ended)
        };
        let shared = &hub.shared;
        let leave = |slot| (slot, shared.leave(slot, reason, None));
        let reason = ended.unwrap_or_else(|| match slot.map(leave) {
            // The membership had ended before.
            Some((slot, Err(_))) => shared.lock().left(slot).unwrap_or(reason),
            // A peer without a name is not in the hub, but its session ends with it.
            None if hub.is_closed() => LeaveReason::Closed,
            _ => reason,
        });
        self.update(|state| *state.ended.get_or_insert(reason))
    }

    /// Like [`leave`](Self::leave), with this last notice, unless another reason counts: a peer that
    /// times out while the hub closes receives the notice that the hub closes.
    pub(crate) fn leave_with(&self, hub: &Hub, reason: LeaveReason, goodbye: Option<String>) {
        if self.leave(hub, reason) == reason {
            self.lock().last_words().goodbye = goodbye;
        }
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.lock().ended.is_some()
    }

    /// The reason of the end, once the session has ended.
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

impl Owner for SessionShared {
    fn wake(&self) {
        self.wake_task();
    }
}

impl Wake for SessionShared {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, SeqCst);
        self.wake_task();
    }
}
