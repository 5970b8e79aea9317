//! A member, and what it has to hold against the model each time it reads.

use crate::KEPT;
use crate::reference::{Guest, Model};
use chat_core::{Batch, Delivery, Member, MemberId, TryRecvError};
use chat_tests::history::Record;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::Wake;

/// How many bytes of lines a batch has at most, unless it is one event.
const BATCH: usize = 64 * 1024;

/// Somebody who came.
pub(crate) struct Seat {
    pub(crate) id: MemberId,
    /// Until it is dropped.
    pub(crate) member: Option<Member>,
    pub(crate) record: Record,
    /// The number of the next event it is to be given.
    pub(crate) next: u64,
    pub(crate) ended: bool,
    /// Whether its stream has nothing and is to wake it when that changes.
    pub(crate) waits: bool,
    pub(crate) woken: Arc<Woken>,
}

/// A waker that remembers whether it was used.
#[derive(Default)]
pub(crate) struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

impl Seat {
    pub(crate) fn new(member: Member) -> Self {
        Self {
            id: member.id(),
            record: Record::of(&member),
            next: member.position(),
            member: Some(member),
            ended: false,
            waits: false,
            woken: Arc::default(),
        }
    }

    /// It was given this; the oldest event that the hub holds has number `oldest`.
    pub(crate) fn take(&mut self, model: &Model, guest: &Guest, oldest: u64, item: &Delivery) {
        let end = guest.end(model);
        match item {
            Delivery::Event(event) => {
                let number = event.seq();
                assert_eq!(number, self.next, "exact suffix: no hole and no overlap");
                assert!(
                    number < end,
                    "exact suffix: {number} came after the end {end}"
                );
                let known = model.event(number);
                assert_eq!(
                    (event.kind(), event.sender(), event.text(), event.line()),
                    (known.kind, known.sender, &*known.text, &*known.line()),
                    "total order: {number} means the same to all"
                );
                self.next += 1;
            }
            Delivery::Gap { missed } => {
                assert!(*missed > 0, "exact gaps: there is none of nothing");
                assert_eq!(
                    self.next.checked_add(*missed),
                    Some(oldest.min(end)),
                    "exact gaps: up to the oldest that there still is, from {}",
                    self.next
                );
                assert!(
                    model.position() - self.next > KEPT,
                    "who is that near loses nothing"
                );
                self.next += missed;
            }
            Delivery::Closed(reason) => {
                assert!(!self.ended, "drain: there is one end");
                assert_eq!(
                    guest.until,
                    Some((self.next, *reason)),
                    "drain: the end comes after all that came before it, with its reason"
                );
                self.ended = true;
            }
        }
        self.record.push(item.clone());
    }

    /// Its stream was polled in vain.
    pub(crate) fn wait(&mut self) {
        self.waits = !self.ended;
        self.woken.0.store(false, SeqCst);
    }

    pub(crate) fn check_wakeup(&self, model: &Model, guest: &Guest) {
        let news = guest.until.is_some() || self.next < model.position();
        let lost = self.waits && news && !self.woken.0.load(SeqCst);
        let id = self.id;
        assert!(!lost, "no lost wake-up: {id:?} waits, and has something");
    }

    /// It was given nothing, for this reason.
    pub(crate) fn check_nothing(&self, model: &Model, guest: &Guest, why: Option<TryRecvError>) {
        match guest.until {
            Some(_) => assert_eq!(
                (why, self.ended),
                (Some(TryRecvError::Ended), true),
                "drain: the end is told, and there is nothing after it"
            ),
            None => assert_eq!(
                (why, self.next),
                (Some(TryRecvError::Empty), model.position()),
                "exact suffix: nothing is kept back"
            ),
        }
    }

    /// It was given these together.
    pub(crate) fn check_batch(
        &self,
        model: &Model,
        guest: &Guest,
        items: &[Delivery],
        batch: &Batch,
    ) {
        let lines = items.iter().map(|item| match item {
            Delivery::Event(event) => event.line().len() + 1,
            _ => 0,
        });
        let (bytes, end) = (batch.lines().len(), guest.end(model));
        assert_eq!(bytes, lines.sum());
        let events = items
            .iter()
            .filter(|item| matches!(item, Delivery::Event(_)));
        assert!(bytes <= BATCH || events.count() == 1, "{bytes} in a batch");
        if self.next == end {
            let reason = guest.until.map(|(_, reason)| reason);
            assert_eq!(batch.closed(), reason, "drain: the end comes with the last");
        } else {
            let more = bytes + model.event(self.next).line().len() + 1;
            assert!(
                more > BATCH,
                "a batch has all that there is, not {bytes} bytes"
            );
        }
    }
}
