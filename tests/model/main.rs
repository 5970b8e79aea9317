//! Random operations on a hub and on a naive model of it, from one thread. After each operation the
//! test compares results, rosters and the items of each member. The logs are the smallest possible,
//! so overruns are frequent, and the numbers may run out.

mod ops;
mod reference;
mod slot;

use chat_core::{Batch, Delivery, Hub, HubConfig, LeaveReason, Name, RemovalReason, TryRecvError};
use chat_tests::history::{History, owned_items};
use chat_tests::memory::{hub_starting_at, join_with_limit};
use chat_tests::poll_once;
use ops::{NAMES, Op, ReadMethod, texts};
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use reference::{Model, Outcome};
use slot::MemberSlot;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};
use tokio_stream::Stream;

mod hub {
    use super::*;

    prop_state_machine! {
        #![proptest_config(Config::with_cases(80))]

        #[test]
        fn matches_the_model(sequential 1..250 => System);
    }
}

/// The number of lines that the smallest log always holds.
const KEPT: u64 = 8;

/// A hub with all members that ever joined.
struct System {
    hub: Hub,
    slots: Vec<MemberSlot>,
    /// The number of delivered gaps, and of the events that they cover.
    gaps: (u64, u64),
    batch: Batch,
    history: History,
}

impl StateMachineTest for System {
    type SystemUnderTest = Self;
    type Reference = Model;

    fn init_test(model: &Model) -> Self {
        let settings = &model.settings;
        let mut config = HubConfig::default();
        config.log_bytes = 0;
        config.max_text = settings.max_text;
        config.announce_up_to = settings.announce_up_to;
        Self {
            hub: hub_starting_at(config, settings.first),
            slots: Vec::new(),
            gaps: (0, 0),
            batch: Batch::default(),
            history: match settings.announce_up_to {
                None => History::new(),
                Some(_) => History::unannounced(),
            },
        }
    }

    fn apply(mut system: Self, model: &Model, op: Op) -> Self {
        let outcome = system.perform(model, &op);
        let promise = match op {
            Op::Join { .. } => "joining: a name is free only after the departure of its holder",
            Op::Leave { .. } => "leave once: only the first departure counts",
            Op::Publish { .. } | Op::PublishBurst { .. } => {
                "order, silence after leave: only a present member gets the next numbers"
            }
            Op::Rename { .. } => "renaming: the new name is free or the member's own",
            Op::Drop { .. } | Op::Read { .. } | Op::Close => "no result",
        };
        assert_eq!(outcome, model.outcome, "{promise}");
        if !model.closed {
            system.history.add_roster(system.hub.roster(usize::MAX));
        }
        system
    }

    fn check_invariants(system: &Self, model: &Model) {
        system.check_presence(model);
        system.check_stats(model);
        for (slot, expected) in system.slots.iter().zip(&model.members) {
            slot.check_wakeup(model, expected);
        }
    }

    /// Drain: after a close, each member receives the remainder and then the end, once.
    fn teardown(system: Self, model: Model) {
        let model = Model::apply(model, &Op::Close);
        let mut system = Self::apply(system, &model, Op::Close);
        Self::check_invariants(&system, &model);
        let methods = [
            ReadMethod::TryMany,
            ReadMethod::TryOne,
            ReadMethod::Stream,
            ReadMethod::One,
            ReadMethod::Many,
        ];
        for (index, method) in model.handles().into_iter().zip(methods.into_iter().cycle()) {
            while system.read(&model, index, method) {}
            let slot = &system.slots[index];
            assert!(slot.ended, "drain: the stream of {:?} ends", slot.id);
        }
        Self::check_invariants(&system, &model);
        for slot in system.slots {
            system.history.add(slot.record);
        }
        let checked = system.history.check();
        checked.expect("the common history keeps the promises");
    }
}

impl System {
    fn perform(&mut self, model: &Model, op: &Op) -> Outcome {
        match op {
            Op::Join { name, limit } => {
                let joined = join_with_limit(&self.hub, ops::name(name), *limit);
                let from = joined.map(|(member, roster)| {
                    let from = member.position().number;
                    assert_eq!(roster, self.hub.roster(*limit), "atomic join");
                    assert_eq!(
                        roster.position.number, from,
                        "atomic join: roster and stream have one position"
                    );
                    self.slots.push(MemberSlot::new(member));
                    from
                });
                Outcome::Joined(from)
            }
            Op::Leave { index, reason } => {
                let id = self.slots[*index].id;
                Outcome::Left(match reason {
                    LeaveReason::Left => self.hub.leave(id),
                    LeaveReason::Kicked => self.hub.remove(id, RemovalReason::Kicked),
                    _ => self.hub.remove(id, RemovalReason::Lost),
                })
            }
            Op::Drop { index, panics } => {
                let slot = &mut self.slots[*index];
                slot.waiting = false;
                let member = slot.member.take();
                if *panics {
                    let panicked = catch_unwind(AssertUnwindSafe(|| {
                        let _owned = member;
                        // A panic without a report in the output of the test.
                        resume_unwind(Box::new("on purpose"));
                    }));
                    panicked.expect_err("the closure panics");
                }
                Outcome::Done
            }
            Op::Publish { index, .. } | Op::PublishBurst { index, .. } => {
                let texts = texts(op, self.hub.stats().published);
                let texts: Vec<_> = texts.iter().map(String::as_str).collect();
                let id = self.slots[*index].id;
                Outcome::Published(match texts[..] {
                    [text] => self.hub.publish(id, text).map(|number| number..number + 1),
                    _ => self.hub.publish_many(id, &texts).map_err(|error| {
                        assert_eq!(error.published, 0, "no other thread interferes");
                        error.reason
                    }),
                })
            }
            Op::Rename { index, name } => {
                Outcome::Renamed(self.hub.rename(self.slots[*index].id, ops::name(name)))
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
            Op::Close => {
                self.hub.close();
                Outcome::Done
            }
        }
    }

    /// Reads once as a member; returns whether there was an item.
    fn read(&mut self, model: &Model, index: usize, method: ReadMethod) -> bool {
        let (slot, expected) = (&mut self.slots[index], &model.members[index]);
        let (member, batch) = (slot.member.as_mut(), &mut self.batch);
        let member = member.expect("a reading member has its handle");
        let waker = Waker::from(slot.waker.clone());
        let received = match method {
            ReadMethod::TryOne => member.try_recv().map(|item| vec![item]),
            ReadMethod::One => ready_item(poll_once(member.recv())).map(|item| vec![item]),
            ReadMethod::Stream => {
                let polled = Pin::new(member).poll_next(&mut Context::from_waker(&waker));
                ready_item(polled).map(|item| vec![item])
            }
            ReadMethod::TryMany => member
                .try_recv_many(batch)
                .map(|items| items_of(batch, items)),
            ReadMethod::Many => {
                let items = poll_once(member.recv_many(batch)).map(|n| (n > 0).then_some(n));
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
                self.gaps = (self.gaps.0 + 1, self.gaps.1 + missed);
            }
            slot.check_item(model, expected, oldest, item);
        }
        let position = slot.member.as_ref().map(|member| member.position().number);
        assert_eq!(
            position,
            Some(slot.next),
            "the member has the position after its last item"
        );
        if many {
            slot.check_batch(model, expected, &items, batch);
        }
        true
    }

    fn check_presence(&self, model: &Model) {
        let names = model.names();
        for limit in [usize::MAX, model.events.len() % 4] {
            let roster = self.hub.roster(limit);
            assert_eq!(
                (roster.position.number, roster.total),
                (model.position(), names.len()),
                "total order, silence after leave: only events have numbers"
            );
            let listed: Vec<_> = roster.names.iter().map(Name::as_str).collect();
            let first = &names[..names.len().min(limit)];
            assert_eq!(listed, first, "presence: in the order of arrival");
        }
        for (slot, expected) in self.slots.iter().zip(&model.members) {
            let name = self.hub.name(slot.id);
            let name = name.as_ref().map(Name::as_str);
            assert_eq!(name, expected.name, "presence: of {:?}", slot.id);
        }
        // Three names per step, because the comparison of names is slow.
        let names = NAMES.iter().cycle().skip(model.events.len() % NAMES.len());
        for (name, _) in names.take(3) {
            let found = self.hub.find(&ops::name(name));
            let holders = model.holders(name);
            let mut holders = holders.iter().map(|index| Some(self.slots[*index].id));
            assert!(
                (found.is_none() && holders.len() == 0) || holders.any(|id| id == found),
                "presence, leave once: {name} found {found:?}"
            );
        }
        let closed = (
            self.hub.is_closed(),
            poll_once(self.hub.closed()).is_ready(),
        );
        assert_eq!(closed, (model.closed, model.closed), "closing");
        assert_eq!(self.hub.position().number, model.position());
    }

    fn check_stats(&self, model: &Model) {
        let stats = self.hub.stats();
        assert_eq!(
            (stats.members, stats.published, stats.position.number),
            (model.present.len(), model.published, model.position())
        );
        assert_eq!(
            (stats.gaps, stats.missed),
            self.gaps,
            "exact gaps: the hub counts the delivered gaps"
        );
        let oldest = model.position() - stats.events;
        let (tail, head) = (model.offset(oldest), model.offset(model.position()));
        assert_eq!(stats.bytes, head - tail);
        assert!(
            stats.events >= KEPT.min(model.events.len() as u64),
            "the log holds the last lines"
        );
        let log = self.hub.config().log_bytes as u64;
        assert!(
            stats.bytes + 8 * stats.events <= log,
            "bounded memory: lines and index exceed {log} bytes"
        );
        // The hub counts cursors per zone, a 64th of the log.
        let zone = log / 64 + 1;
        let held = self.slots.iter().filter(|slot| slot.member.is_some());
        let cursors: Vec<_> = held.map(|slot| model.offset(slot.next)).collect();
        let lost = |by: u64| cursors.iter().filter(|at| **at + by < tail).count();
        assert!((lost(zone)..=lost(0)).contains(&stats.overrun), "{stats:?}");
        let slowest = cursors.iter().min().map_or(head, |at| tail.max(*at));
        let behind = match stats.overrun {
            0 => head - slowest..=(head - slowest + zone).min(stats.bytes),
            _ => stats.bytes..=stats.bytes,
        };
        assert!(behind.contains(&stats.behind), "{behind:?} in {stats:?}");
    }
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
