//! A member of the hub under test, and the checks of each of its reads.

use crate::KEPT;
use crate::reference::{Model, ModelMember};
use chat_core::{Batch, Delivery, Member, MemberId, TryRecvError};
use chat_tests::history::Record;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Wake;

/// The maximal number of bytes of lines in a batch of more than one event.
const BATCH_BYTES: usize = 64 * 1024;

/// A member that has joined at some time.
pub(crate) struct MemberSlot {
    pub(crate) id: MemberId,
    /// `None` once the handle is dropped.
    pub(crate) member: Option<Member>,
    pub(crate) record: Record,
    /// The number of the next event that the member receives.
    pub(crate) next: u64,
    pub(crate) ended: bool,
    /// Whether the stream has no item and has registered the waker.
    pub(crate) waiting: bool,
    pub(crate) waker: Arc<FlagWaker>,
}

/// A waker that stores whether it was woken.
#[derive(Default)]
pub(crate) struct FlagWaker(AtomicBool);

impl Wake for FlagWaker {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

impl MemberSlot {
    pub(crate) fn new(member: Member) -> Self {
        Self {
            id: member.id(),
            record: Record::of(&member),
            next: member.position().number,
            member: Some(member),
            ended: false,
            waiting: false,
            waker: Arc::default(),
        }
    }

    /// Checks one item; `oldest` is the number of the oldest event in the log.
    pub(crate) fn check_item(
        &mut self,
        model: &Model,
        expected: &ModelMember,
        oldest: u64,
        item: &Delivery,
    ) {
        let end = expected.end(model);
        match item {
            Delivery::Event(event) => {
                let number = event.seq();
                assert_eq!(number, self.next, "exact suffix: no hole and no overlap");
                assert!(
                    number < end,
                    "exact suffix: number {number} after the end {end}"
                );
                let known = model.event(number);
                assert_eq!(
                    (event.kind(), event.subject(), event.text(), event.line()),
                    (known.kind, known.sender, &*known.text, &*known.line()),
                    "total order: {number} means the same to all"
                );
                self.next += 1;
            }
            Delivery::Gap { missed } => {
                assert!(*missed > 0, "exact gaps: no gap is empty");
                assert_eq!(
                    self.next.checked_add(*missed),
                    Some(oldest.min(end)),
                    "exact gaps: from {} up to the oldest event in the log",
                    self.next
                );
                assert!(
                    model.position() - self.next > KEPT,
                    "a member within the guaranteed lines loses nothing"
                );
                self.next += missed;
            }
            Delivery::Closed(reason) => {
                assert!(!self.ended, "drain: one end only");
                assert_eq!(
                    expected.until,
                    Some((self.next, *reason)),
                    "drain: the end follows all earlier events and has its reason"
                );
                self.ended = true;
            }
            other => panic!("{other:?} is unknown here"),
        }
        self.record.push(item.clone());
    }

    /// Records that the stream returned no item and registered the waker.
    pub(crate) fn start_wait(&mut self) {
        self.waiting = !self.ended;
        self.waker.0.store(false, SeqCst);
    }

    pub(crate) fn check_wakeup(&self, model: &Model, expected: &ModelMember) {
        let available = expected.until.is_some() || self.next < model.position();
        let lost = self.waiting && available && !self.waker.0.load(SeqCst);
        let id = self.id;
        assert!(
            !lost,
            "no lost wake-up: {id:?} still waits, but has an item"
        );
    }

    /// Checks a read that returned no item, for this reason.
    pub(crate) fn check_no_item(
        &self,
        model: &Model,
        expected: &ModelMember,
        reason: Option<TryRecvError>,
    ) {
        match expected.until {
            Some(_) => assert_eq!(
                (reason, self.ended),
                (Some(TryRecvError::Ended), true),
                "drain: no item follows the end"
            ),
            None => assert_eq!(
                (reason, self.next),
                (Some(TryRecvError::Empty), model.position()),
                "exact suffix: no event is withheld"
            ),
        }
    }

    /// Checks the items of one batch.
    pub(crate) fn check_batch(
        &self,
        model: &Model,
        expected: &ModelMember,
        items: &[Delivery],
        batch: &Batch,
    ) {
        let lines = items.iter().map(|item| match item {
            Delivery::Event(event) => event.line().len() + 1,
            _ => 0,
        });
        let (bytes, end) = (batch.lines().len(), expected.end(model));
        assert_eq!(bytes, lines.sum());
        let events = items
            .iter()
            .filter(|item| matches!(item, Delivery::Event(_)));
        assert!(
            bytes <= BATCH_BYTES || events.count() == 1,
            "{bytes} bytes in a batch"
        );
        if self.next == end {
            let reason = expected.until.map(|(_, reason)| reason);
            assert_eq!(batch.closed(), reason, "drain: the last batch has the end");
        } else {
            let more = bytes + model.event(self.next).line().len() + 1;
            assert!(
                more > BATCH_BYTES,
                "a batch has all available events, not {bytes} bytes"
            );
        }
    }
}
