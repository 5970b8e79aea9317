//! Mail: texts of one member to another one alone.

use super::Record;
use chat_core::{Delivery, Member, MemberId};
use std::collections::BTreeMap;
use std::ops::Range;

/// The texts that one member sent to other members alone, in the order of its calls.
#[derive(Clone, Debug)]
pub struct Sent {
    from: MemberId,
    /// The number after the last event that the sender published.
    last: u64,
    texts: Vec<SentText>,
}

#[derive(Clone, Debug)]
struct SentText {
    to: MemberId,
    text: String,
    /// Lines that the sender published before and after the text are before and after these numbers.
    after: u64,
    before: u64,
}

/// The texts that one member received, by sender.
pub(super) type Received<'a> = BTreeMap<MemberId, Vec<ReceivedText<'a>>>;

/// A text that a member received.
pub(super) struct ReceivedText<'a> {
    text: &'a str,
    /// The number of the next event.
    place: u64,
    /// The same, without the gap directly before the text.
    place_before_gap: u64,
}

impl Sent {
    /// An empty list of a member that has not sent or published anything yet.
    pub fn of(member: &Member) -> Self {
        Self {
            from: member.id(),
            last: 0,
            texts: Vec::new(),
        }
    }

    /// Appends a text that the hub accepted.
    pub fn push(&mut self, to: MemberId, text: &str) {
        self.texts.push(SentText {
            to,
            text: text.into(),
            after: self.last,
            before: u64::MAX,
        });
    }

    /// Notes that the sender published texts under these numbers.
    pub fn published(&mut self, numbers: &Range<u64>) {
        self.last = numbers.end;
        let new = self.texts.iter_mut().rev();
        for text in new.take_while(|text| text.before == u64::MAX) {
            text.before = numbers.start;
        }
    }

    /// Checks the texts to the member of a record; returns how many it received.
    pub(super) fn check(&self, record: &Record, received: &Received<'_>) -> Result<usize, String> {
        let mut sent = self.texts.iter().filter(|text| Some(text.to) == record.id);
        let mut count = 0;
        for received in received.get(&self.from).into_iter().flatten() {
            let ReceivedText { text, place, .. } = received;
            let at = format!("{text:?} to {} before event {place}", record.member);
            let Some(sent) = sent.next() else {
                return Err(format!("{at} was not sent, or comes twice"));
            };
            if sent.text != *text {
                return Err(format!("{at}, but {:?} was sent before", sent.text));
            }
            if *place < sent.after || received.place_before_gap > sent.before {
                let (after, before) = (sent.after, sent.before);
                return Err(format!(
                    "{at}, but it was sent between {after} and {before}"
                ));
            }
            count += 1;
        }
        match sent.next() {
            Some(lost) if record.closed().is_some() => {
                Err(format!("{:?} to {} was lost", lost.text, record.member))
            }
            _ => Ok(count),
        }
    }
}

impl Record {
    pub(super) fn received_texts(&self) -> Received<'_> {
        let mut received = Received::new();
        let (mut place, mut place_before_gap) = (self.from, self.from);
        for item in &self.items {
            match item {
                Delivery::Event(_) => {
                    place += 1;
                    place_before_gap = place;
                }
                Delivery::Gap { missed } => place += missed,
                Delivery::Direct(direct) => {
                    let Some(sender) = direct.sender_id() else {
                        continue;
                    };
                    received.entry(sender).or_default().push(ReceivedText {
                        text: direct.text(),
                        place,
                        place_before_gap,
                    });
                }
                _ => {}
            }
        }
        received
    }
}
