//! The operations, performed on the hub under test.

use crate::System;
use crate::ops::{self, Op, ReadMethod, text, texts};
use crate::reference::{Model, Outcome, sanitized};
use crate::slot::{Handle, Mail, Slot};
use chat_core::{
    Batch, Delivery, JoinOptions, Joined, LeaveError, LeaveReason, MemberId, PublishError, Removal,
    RemovalReason, RenameError, SendError, Timestamp, TryRecvError,
};
use chat_tests::history::owned_items;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::task::{Context, Poll, Waker};

/// The most bytes that one text in a mailbox costs beyond its text and the name of its sender.
const MAIL_OVERHEAD: usize = 64;

impl System {
    /// `model` is the model after the operation.
    pub(crate) fn perform(&mut self, model: &Model, op: &Op) -> Outcome {
        match op {
            Op::Join { name, limit, begin } => {
                let mut options = JoinOptions::new(ops::name(name));
                options.roster = *limit;
                options.start = begin.start(self.hub.position());
                let joined = self.hub.join_with(options.clone());
                Outcome::Joined(joined.map(|joined| self.add_joined(model, &options, joined)))
            }
            Op::Subscribe { begin } => {
                let start = begin.start(self.hub.position());
                let subscriber = self.hub.subscribe(start);
                let (from, _) = self.expected_start(start, false);
                assert_eq!(subscriber.position().number, from, "{start:?}");
                self.slots.push(Slot::new(Handle::Subscriber(subscriber)));
                Outcome::Done
            }
            Op::Leave {
                index,
                reason,
                farewell,
            } => Outcome::Left(self.leave(*index, *reason, *farewell)),
            Op::Drop { index, panics } => {
                let slot = &mut self.slots[*index];
                slot.waiting = false;
                let handle = slot.handle.take();
                if *panics {
                    let panicked = catch_unwind(AssertUnwindSafe(|| {
                        let _owned = handle;
                        // A panic without a report in the output of the test.
                        resume_unwind(Box::new("on purpose"));
                    }));
                    panicked.expect_err("the closure panics");
                }
                Outcome::Done
            }
            Op::IntoPublisher { index } => {
                let slot = &mut self.slots[*index];
                slot.waiting = false;
                let Some(Handle::Member(member)) = slot.handle.take() else {
                    unreachable!("only members that read become publishers");
                };
                slot.handle = Some(Handle::Publisher(member.into_publisher()));
                Outcome::Done
            }
            Op::Publish { index, .. } | Op::PublishBurst { index, .. } => {
                let texts = texts(op, self.hub.stats().published);
                let texts: Vec<_> = texts.iter().map(String::as_str).collect();
                Outcome::Published(match (texts.as_slice(), &self.slots[*index].handle) {
                    ([text], Some(Handle::Member(member))) => one(member.publish(text)),
                    ([text], Some(Handle::Publisher(publisher))) => one(publisher.publish(text)),
                    ([text], _) => one(self.hub.publish(self.id(*index), text)),
                    (texts, _) => {
                        let published = self.hub.publish_many(self.id(*index), texts);
                        published.map_err(|error| (error.published, error.reason))
                    }
                })
            }
            Op::Announce { length } => {
                Outcome::Published(one(self.hub.announce(&text(0, *length, true))))
            }
            Op::Rename { index, name } => {
                Outcome::Renamed(self.hub.rename(self.id(*index), ops::name(name)))
            }
            Op::Mute { index, muted } => {
                let until = match muted {
                    true => Timestamp::MAX,
                    // A mute until now has ended.
                    false => self.hub.now(),
                };
                Outcome::Muted(self.hub.mute(self.id(*index), until))
            }
            Op::Send { from, to, length } => {
                let text = text(model.sent, *length, true);
                Outcome::Sent(self.send(model, *from, *to, &text))
            }
            Op::Read {
                index,
                method,
                times,
            } => {
                for _ in 0..*times {
                    if !self.read(model, *index, *method) {
                        break;
                    }
                }
                Outcome::Done
            }
            Op::UseForeignIds => {
                self.use_foreign_ids();
                Outcome::Done
            }
            Op::Close => {
                self.hub.close();
                Outcome::Done
            }
        }
    }

    fn id(&self, index: usize) -> MemberId {
        self.slots[index].id.expect("the operation needs a member")
    }

    /// Adds a new member; returns the number at which its roster is true.
    fn add_joined(&mut self, model: &Model, options: &JoinOptions, joined: Joined) -> u64 {
        let Joined {
            member,
            roster,
            resumed,
            ..
        } = joined;
        assert_eq!(roster, self.hub.roster(options.roster), "atomic join");
        let announced = model.members[self.slots.len()].announced;
        assert_eq!(
            (member.position().number, resumed),
            self.expected_start(options.start, announced),
            "{:?}",
            options.start
        );
        self.slots.push(Slot::new(Handle::Member(member)));
        roster.position.number
    }

    fn leave(
        &mut self,
        index: usize,
        reason: LeaveReason,
        farewell: Option<usize>,
    ) -> Result<u64, LeaveError> {
        let id = self.id(index);
        let reason = match reason {
            LeaveReason::Left => return self.hub.leave(id),
            LeaveReason::Kicked => RemovalReason::Kicked,
            _ => RemovalReason::Lost,
        };
        let mut removal = Removal::from(reason);
        removal.text = farewell.map(|length| text(0, length, true));
        // It is cut to the longest text at a character, and left out if nothing remains.
        let mut mail = removal.text.clone().unwrap_or_default();
        while mail.len() > self.hub.config().max_text {
            mail.pop();
        }
        let mail = Some(sanitized(&mail)).filter(|text| !text.is_empty());
        let end = self.hub.remove(id, removal)?;
        // Also if the mailbox is full.
        self.slots[index].mail.extend(mail.map(|text| Mail {
            after: end,
            sender: None,
            text,
        }));
        Ok(end)
    }

    /// Sends a text; a full mailbox counts as success.
    fn send(
        &mut self,
        model: &Model,
        from: Option<usize>,
        to: usize,
        text: &str,
    ) -> Result<(), SendError> {
        let sent = match from {
            Some(from) => self.hub.send(self.id(from), self.id(to), text),
            None => self.hub.notify(self.id(to), text),
        };
        let sender = from.map(|from| {
            let name = model.members[from].name;
            (self.id(from), name.unwrap_or_default())
        });
        let mail = Mail {
            after: model.position(),
            sender,
            text: sanitized(text),
        };
        let waiting = &mut self.slots[to].mail;
        let limit = model.settings.mailbox_bytes;
        let bytes: usize = waiting.iter().chain([&mail]).map(Mail::bytes).sum();
        match sent {
            Ok(()) => {
                assert!(
                    bytes <= limit,
                    "mail: {bytes} bytes in a mailbox of {limit}"
                );
                waiting.push_back(mail);
            }
            Err(SendError::Full) => {
                let most = bytes + (waiting.len() + 1) * MAIL_OVERHEAD;
                assert!(most > limit, "mail: {most} bytes do not fill {limit}");
                return Ok(());
            }
            Err(_) => {}
        }
        sent
    }

    /// No operation accepts the id of another hub, and none of them changes either hub.
    fn use_foreign_ids(&self) {
        let Handle::Member(foreigner) = &self.foreigner else {
            unreachable!("the foreigner is a member");
        };
        let mut ids = vec![(&self.hub, self.foreign_id)];
        let own = self.slots.iter().filter_map(|slot| slot.id);
        ids.extend(own.map(|id| (foreigner.hub(), id)));
        for (hub, id) in ids {
            let before = (hub.stats(), hub.roster(usize::MAX), hub.now());
            assert_eq!(hub.publish(id, "x"), Err(PublishError::NotHere));
            let many = hub.publish_many(id, &["x", "y"]).map_err(|e| e.reason);
            assert_eq!(many, Err(PublishError::NotHere));
            let name = ops::name("127.0.0.1:80");
            assert_eq!(hub.rename(id, name), Err(RenameError::NotHere));
            assert_eq!(hub.mute(id, Timestamp::MAX), Err(LeaveError::NotHere));
            assert_eq!(hub.notify(id, "x"), Err(SendError::RecipientNotHere));
            assert_eq!(hub.send(id, id, "x"), Err(SendError::SenderNotHere));
            assert_eq!(hub.leave(id), Err(LeaveError::NotHere));
            let removed = hub.remove(id, RemovalReason::Kicked);
            assert_eq!(removed, Err(LeaveError::NotHere));
            assert_eq!(hub.name(id), None);
            assert_eq!(
                (hub.stats(), hub.roster(usize::MAX)),
                (before.0, before.1),
                "foreign ids change nothing"
            );
        }
    }

    /// Reads once; returns whether there was an item.
    pub(crate) fn read(&mut self, model: &Model, index: usize, method: ReadMethod) -> bool {
        let ids: Vec<_> = self.slots.iter().map(|slot| slot.id).collect();
        let (slot, expected) = (&mut self.slots[index], &model.members[index]);
        let (handle, batch) = (slot.handle.as_mut(), &mut self.batch);
        let reader = handle.expect("a reader has its handle");
        let waker = Waker::from(slot.waker.clone());
        let received = match method {
            ReadMethod::TryOne => reader.try_recv().map(|item| vec![item]),
            ReadMethod::One => ready_item(reader.recv()).map(|item| vec![item]),
            ReadMethod::Stream => {
                let polled = reader.poll_next(&mut Context::from_waker(&waker));
                ready_item(polled).map(|item| vec![item])
            }
            ReadMethod::TryMany => reader
                .try_recv_many(batch)
                .map(|items| items_of(batch, items)),
            ReadMethod::Many => {
                let items = reader.recv_many(batch).map(|n| (n > 0).then_some(n));
                ready_item(items).map(|items| items_of(batch, items))
            }
        };
        let many = matches!(method, ReadMethod::TryMany | ReadMethod::Many);
        let Ok(items) = received else {
            slot.check_no_item(model, expected, received.err());
            if method == ReadMethod::TryMany || (many && slot.ended) {
                assert!(batch.is_empty(), "the batch was cleared");
            }
            // A dropped poll of another method removes the waker of the stream.
            match method {
                ReadMethod::Stream => slot.start_wait(),
                ReadMethod::One | ReadMethod::Many => slot.waiting = false,
                ReadMethod::TryOne | ReadMethod::TryMany => {}
            }
            return false;
        };
        slot.waiting = false;
        let oldest = model.position() - self.hub.stats().events;
        for item in &items {
            if let Delivery::Gap { missed } = item {
                self.gaps = (self.gaps.0 + 1, self.gaps.1.saturating_add(*missed));
            }
            slot.check_item(model, expected, oldest, &ids, item);
        }
        assert_eq!(
            slot.reader().map(Handle::position),
            Some(slot.next),
            "the reader has the position after its last item"
        );
        if many {
            slot.check_batch(model, expected, &items, batch);
        }
        true
    }
}

fn one(
    published: Result<u64, PublishError>,
) -> Result<std::ops::Range<u64>, (usize, PublishError)> {
    published
        .map(|number| number..number + 1)
        .map_err(|reason| (0, reason))
}

/// The items of a batch, whose number must be `items`.
fn items_of(batch: &Batch, items: usize) -> Vec<Delivery> {
    assert_eq!(
        batch.len(),
        items,
        "the batch has the returned number of items"
    );
    owned_items(batch).collect()
}

/// The result of a poll as the result of a `try_` method.
fn ready_item<T>(polled: Poll<Option<T>>) -> Result<T, TryRecvError> {
    match polled {
        Poll::Ready(Some(item)) => Ok(item),
        Poll::Ready(None) => Err(TryRecvError::Ended),
        Poll::Pending => Err(TryRecvError::Empty),
    }
}
