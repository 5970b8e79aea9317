//! Many deliveries at a time, without an allocation for each.

use crate::log::{Entry, Packed};
use crate::state::{Amount, Cursor, Look, State};
use crate::types::event::{Delivery, EventRef, LeaveReason};
use crate::types::ids::MemberId;

/// What [`Member::recv_many`](crate::Member::recv_many) fills: a run of the log, copied once.
///
/// Keep one and use it again: its memory is then allocated once, for at most about 64 KiB of
/// lines and 8 bytes for each of them. Its items come in the order gap, events, closed.
///
/// ```
/// use chat_core::{Batch, Delivery, Hub, HubConfig};
///
/// let hub = Hub::new(HubConfig::default());
/// let mut alice = hub.join("alice".parse()?)?;
/// alice.publish("one")?;
/// alice.publish("two")?;
///
/// let mut batch = Batch::default();
/// assert_eq!(alice.try_recv_many(&mut batch)?, 2);
/// assert_eq!(batch.lines(), "alice: one\nalice: two\n");
/// for delivery in &batch {
///     let Delivery::Event(event) = delivery else { panic!("nothing is missing") };
///     assert_eq!(event.sender(), "alice");
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Batch {
    first: u64,
    missed: u64,
    lines: String,
    entries: Vec<Packed>,
    /// The low bits of the offset in the log where its lines begin.
    start: u32,
    closed: Option<LeaveReason>,
}

impl Batch {
    /// How many items it holds.
    pub fn len(&self) -> usize {
        usize::from(self.missed > 0) + self.entries.len() + usize::from(self.closed.is_some())
    }

    /// Whether it holds nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The lines of its events, each with `\n` at its end.
    pub fn lines(&self) -> &str {
        &self.lines
    }

    /// How many events were lost before its first one.
    pub fn missed(&self) -> u64 {
        self.missed
    }

    /// Why nothing will come after it, if nothing will.
    pub fn closed(&self) -> Option<LeaveReason> {
        self.closed
    }

    /// Its items.
    pub fn iter(&self) -> Iter<'_> {
        Iter {
            batch: self,
            missed: self.missed,
            next: 0,
            rest: &self.lines,
            start: self.start,
            closed: self.closed,
        }
    }

    /// Fills it with what the cursor has before it.
    pub(crate) fn fill(
        &mut self,
        state: &mut State,
        id: MemberId,
        cursor: &mut Cursor,
        amount: Amount,
    ) -> Look {
        let mut bytes = std::mem::take(&mut self.lines).into_bytes();
        bytes.clear();
        let look = state.look(id, cursor, amount, &mut bytes);
        self.first = look.events.start;
        self.missed = look.missed;
        self.entries.clear();
        self.start = state.read_index(look.events.clone(), &mut self.entries);
        self.closed = look.closed;
        self.lines = String::from_utf8(bytes).expect("the log holds whole lines of UTF-8");
        look
    }

    pub(crate) fn clear(&mut self) {
        self.missed = 0;
        self.lines.clear();
        self.entries.clear();
        self.closed = None;
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = Delivery<EventRef<'a>>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Iter<'a> {
        self.iter()
    }
}

/// The items of a [`Batch`].
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    batch: &'a Batch,
    missed: u64,
    next: usize,
    rest: &'a str,
    start: u32,
    closed: Option<LeaveReason>,
}

impl<'a> Iterator for Iter<'a> {
    type Item = Delivery<EventRef<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.missed > 0 {
            let missed = std::mem::take(&mut self.missed);
            return Some(Delivery::Gap { missed });
        }
        if let Some(&entry) = self.batch.entries.get(self.next) {
            let entry = Entry::unpack(entry);
            let len = entry.len(self.start);
            let (line, rest) = self.rest.split_at(len);
            self.start = entry.end();
            let event = EventRef {
                seq: self.batch.first + self.next as u64,
                kind: entry.kind,
                name_len: entry.name_len,
                line: &line[..len - 1],
            };
            self.next += 1;
            self.rest = rest;
            return Some(Delivery::Event(event));
        }
        self.closed.take().map(Delivery::Closed)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::from(self.missed > 0)
            + (self.batch.entries.len() - self.next)
            + usize::from(self.closed.is_some());
        (left, Some(left))
    }
}

impl ExactSizeIterator for Iter<'_> {}
