//! Direct messages and notices that wait for one member, each in its place among the events.

use crate::protocol::lines;
use crate::types::direct::Direct;
use std::collections::VecDeque;

/// The bytes that an item costs beyond its text.
const ITEM_BYTES: usize = 32;

/// Direct messages and notices for one member, each after all events before a certain number.
#[derive(Debug, Default)]
pub(crate) struct Mailbox {
    queue: VecDeque<Mail>,
    /// Bytes of the queue.
    bytes: usize,
    /// Notices that found no room, after all that did.
    skipped: u64,
}

/// One text.
#[derive(Debug)]
pub(crate) struct Mail {
    /// It comes after all events before this number.
    after: u64,
    pub(crate) direct: Direct,
    /// The explanation of a removal, which a session puts into its last line.
    pub(crate) is_farewell: bool,
}

impl Mailbox {
    /// Adds a direct message, unless it would take more than `limit` bytes for all.
    pub(crate) fn push(&mut self, direct: Direct, after: u64, limit: usize) -> Result<(), Full> {
        if self.bytes + cost(&direct) > limit {
            return Err(Full);
        }
        self.report_skipped(after);
        self.enqueue(direct, after, false);
        Ok(())
    }

    /// Adds a notice of a session. One that finds no room is counted, and the count is delivered.
    pub(crate) fn push_or_count(&mut self, direct: Direct, after: u64, limit: usize) {
        if self.push(direct, after, limit).is_err() {
            self.skipped += 1;
            if self.queue.is_empty() {
                // No item comes before the count, and perhaps none after it.
                self.report_skipped(after);
            }
        }
    }

    /// Adds the explanation of a removal, also if there is no room.
    pub(crate) fn push_farewell(&mut self, text: &str, after: u64) {
        self.report_skipped(after);
        self.enqueue(Direct::notice(text), after, true);
    }

    /// The items that come before event number `position`.
    pub(crate) fn due(&self, position: u64) -> impl Iterator<Item = &Mail> {
        let is_due = move |mail: &&Mail| mail.after <= position;
        self.queue.iter().take_while(is_due)
    }

    /// The number of the event before which the first item comes that is not due at `position`, or
    /// the greatest number.
    pub(crate) fn next_after(&self, position: u64) -> u64 {
        let later = self.queue.iter().find(|mail| mail.after > position);
        later.map_or(u64::MAX, |mail| mail.after)
    }

    /// Removes the first item, if it is due at `position`.
    pub(crate) fn take_due(&mut self, position: u64) -> Option<Mail> {
        if self.queue.front()?.after > position {
            return None;
        }
        let mail = self.queue.pop_front()?;
        self.bytes -= cost(&mail.direct);
        if self.queue.is_empty() {
            // So that the count of skipped notices is delivered although nothing comes after it.
            self.report_skipped(mail.after);
        }
        Some(mail)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    fn report_skipped(&mut self, after: u64) {
        if self.skipped > 0 {
            let text = lines::notices_skipped(std::mem::take(&mut self.skipped));
            self.enqueue(Direct::notice(text), after, false);
        }
    }

    fn enqueue(&mut self, direct: Direct, after: u64, is_farewell: bool) {
        // The position that a session asked for can be older than the last item's.
        let after = self
            .queue
            .back()
            .map_or(after, |last| after.max(last.after));
        self.bytes += cost(&direct);
        self.queue.push_back(Mail {
            after,
            direct,
            is_farewell,
        });
    }
}

/// The mailbox has no room.
#[derive(Debug)]
pub(crate) struct Full;

fn cost(direct: &Direct) -> usize {
    let name = direct.sender().map_or(0, |name| name.as_str().len());
    ITEM_BYTES + name + direct.text().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(mailbox: &mut Mailbox, position: u64) -> Vec<String> {
        std::iter::from_fn(|| mailbox.take_due(position))
            .map(|mail| mail.direct.to_string())
            .collect()
    }

    mod due {
        use super::*;

        #[test]
        fn follows_the_position() {
            let mut mailbox = Mailbox::default();
            for (text, after) in [("a", 3), ("b", 2), ("c", 7)] {
                mailbox.push(Direct::notice(text), after, 1000).unwrap();
            }
            assert_eq!(texts(&mut mailbox, 2), [""; 0]);
            assert_eq!(mailbox.next_after(2), 3);
            assert_eq!(mailbox.due(3).count(), 2, "`b` does not overtake `a`");
            assert_eq!(texts(&mut mailbox, 3), ["a", "b"]);
            assert_eq!(mailbox.next_after(3), 7);
            assert_eq!(texts(&mut mailbox, 7), ["c"]);
            assert_eq!(mailbox.next_after(7), u64::MAX);
            assert_eq!(mailbox.bytes, 0);
        }
    }

    mod limit {
        use super::*;

        #[test]
        fn refuses_messages_and_counts_notices() {
            let mut mailbox = Mailbox::default();
            let limit = 2 * (ITEM_BYTES + 1);
            for _ in 0..2 {
                mailbox.push(Direct::notice("a"), 0, limit).unwrap();
            }
            mailbox.push(Direct::notice("b"), 0, limit).unwrap_err();
            for _ in 0..3 {
                mailbox.push_or_count(Direct::notice("c"), 0, limit);
            }
            assert_eq!(texts(&mut mailbox, 0), ["a", "a", "3 notices skipped"]);
            assert!(mailbox.is_empty());
            mailbox.push_farewell("bye", 0);
            assert_eq!(texts(&mut mailbox, 0), ["bye"]);
        }

        #[test]
        fn count_precedes_later_notices() {
            let mut mailbox = Mailbox::default();
            let limit = ITEM_BYTES + 1;
            for text in ["a", "b"] {
                mailbox.push_or_count(Direct::notice(text), 0, limit);
            }
            mailbox.push_farewell("bye", 0);
            assert_eq!(texts(&mut mailbox, 0), ["a", "1 notices skipped", "bye"]);
        }
    }
}
