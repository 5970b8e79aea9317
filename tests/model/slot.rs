//! A member or subscriber of the hub under test, and the checks of each of its reads.

use crate::KEPT;
use crate::reference::{Model, ModelMember};
use chat_core::{
    Batch, Delivery, Direct, Member, MemberId, Publisher, Subscriber, Timestamp, TryRecvError,
};
use chat_tests::history::Record;
use chat_tests::poll_once;
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake};
use tokio_stream::Stream;

/// The maximal number of bytes of lines in a batch of more than one event.
const BATCH_BYTES: usize = 64 * 1024;

/// A handle that a program holds.
#[derive(Debug)]
pub(crate) enum Handle {
    Member(Member),
    Subscriber(Subscriber),
    Publisher(Publisher),
}

/// Does the same with a member or a subscriber.
macro_rules! with_reader {
    ($handle:expr, $reader:ident => $do:expr) => {
        match $handle {
            Handle::Member($reader) => $do,
            Handle::Subscriber($reader) => $do,
            Handle::Publisher(_) => unreachable!("a publisher does not read"),
        }
    };
}

impl Handle {
    pub(crate) fn position(&self) -> u64 {
        with_reader!(self, reader => reader.position()).number
    }

    pub(crate) fn behind(&self) -> u64 {
        with_reader!(self, reader => reader.behind())
    }

    pub(crate) fn try_recv(&mut self) -> Result<Delivery, TryRecvError> {
        with_reader!(self, reader => reader.try_recv())
    }

    pub(crate) fn try_recv_many(&mut self, batch: &mut Batch) -> Result<usize, TryRecvError> {
        with_reader!(self, reader => reader.try_recv_many(batch))
    }

    /// Polls a read once and drops it.
    pub(crate) fn recv(&mut self) -> Poll<Option<Delivery>> {
        with_reader!(self, reader => poll_once(reader.recv()))
    }

    /// Polls a read once and drops it.
    pub(crate) fn recv_many(&mut self, batch: &mut Batch) -> Poll<usize> {
        with_reader!(self, reader => poll_once(reader.recv_many(batch)))
    }

    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery>> {
        with_reader!(self, reader => Pin::new(reader).poll_next(cx))
    }
}

/// A text that waits for a member.
#[derive(Clone, Debug)]
pub(crate) struct Mail {
    /// It comes after all events before this number.
    pub(crate) after: u64,
    pub(crate) sender: Option<(MemberId, &'static str)>,
    pub(crate) text: String,
}

impl Mail {
    /// The bytes of the text and of the name that is kept with it.
    pub(crate) fn bytes(&self) -> usize {
        self.text.len() + self.sender.map_or(0, |(_, name)| name.len())
    }

    fn is(&self, direct: &Direct) -> bool {
        let sender = self.sender.unzip();
        let name = direct.sender().map(|name| name.as_str());
        (direct.sender_id(), name, direct.text()) == (sender.0, sender.1, &*self.text)
    }
}

/// A member that has joined at some time, or a subscriber.
pub(crate) struct Slot {
    /// The id of a member.
    pub(crate) id: Option<MemberId>,
    /// `None` once the handle is dropped.
    pub(crate) handle: Option<Handle>,
    pub(crate) record: Record,
    /// The number of the next event that it receives.
    pub(crate) next: u64,
    /// The mail that waits for this member.
    pub(crate) mail: VecDeque<Mail>,
    /// The time of the last event that it received.
    time: Timestamp,
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

impl Slot {
    pub(crate) fn new(handle: Handle) -> Self {
        let (id, record) = match &handle {
            Handle::Member(member) => (Some(member.id()), Record::of(member)),
            Handle::Subscriber(subscriber) => (None, Record::of_subscriber(subscriber)),
            Handle::Publisher(_) => unreachable!("a publisher was a member before"),
        };
        Self {
            id,
            record,
            next: handle.position(),
            handle: Some(handle),
            mail: VecDeque::new(),
            time: Timestamp::default(),
            ended: false,
            waiting: false,
            waker: Arc::default(),
        }
    }

    /// The handle, if it can still give an item.
    pub(crate) fn reader(&self) -> Option<&Handle> {
        let reads = |handle: &&Handle| !matches!(handle, Handle::Publisher(_));
        self.handle.as_ref().filter(reads)
    }

    /// Whether the next item is mail.
    fn has_due_mail(&self) -> bool {
        self.mail
            .front()
            .is_some_and(|mail| mail.after <= self.next)
    }

    /// Checks one item; `oldest` is the number of the oldest event in the log, and `ids` has the
    /// ids of all members.
    pub(crate) fn check_item(
        &mut self,
        model: &Model,
        expected: &ModelMember,
        oldest: u64,
        ids: &[Option<MemberId>],
        item: &Delivery,
    ) {
        let end = expected.end(model);
        if let Delivery::Direct(direct) = item {
            assert!(self.has_due_mail(), "mail: {direct:?} is early");
            let mail = self.mail.pop_front().expect("some is due");
            assert!(mail.is(direct), "mail: {direct:?} instead of {mail:?}");
            self.record.push(item.clone());
            return;
        }
        assert!(
            !self.has_due_mail(),
            "mail comes before later events: {:?}",
            self.mail
        );
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
                    (known.kind, known.subject, &*known.text, &*known.line()),
                    "total order: {number} means the same to all"
                );
                let member = known.member.and_then(|index| ids[index]);
                assert_eq!(event.member(), member, "the member of {event:?}");
                assert!(event.time() >= self.time, "times decrease at {event:?}");
                self.time = event.time();
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
                    model.position() - self.next > KEPT || self.next < model.settings.first,
                    "a reader within the guaranteed lines loses nothing"
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
                assert!(self.mail.is_empty(), "drain: the end follows all mail");
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
        let available =
            expected.until.is_some() || self.next < model.position() || !self.mail.is_empty();
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
                (reason, self.next, self.mail.len()),
                (Some(TryRecvError::Empty), model.position(), 0),
                "exact suffix: no event and no mail is withheld"
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
        if self.has_due_mail() {
            assert_eq!(batch.closed(), None, "drain: the end follows all mail");
        } else if self.next == end {
            let reason = expected.until.map(|(_, reason)| reason);
            assert_eq!(batch.closed(), reason, "drain: the last batch has the end");
        } else {
            let more = bytes + model.event(self.next).line().len() + 1;
            assert!(
                more > BATCH_BYTES,
                "a batch has all events up to the next mail, not {bytes} bytes"
            );
        }
    }
}
