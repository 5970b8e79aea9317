//! The hub held against a naive model of it, by random operations, as far as one thread can see
//! its promises: what it answers, who is here, and what each member is given. The logs are the
//! smallest there can be, so members are overrun all the time, and the numbers may run out.

mod ops;
mod reference;
mod seat;

use chat_core::{Batch, Delivery, Hub, HubConfig, Member, Name, TryRecvError};
use chat_tests::history::{History, owned};
use ops::{NAMES, Op, Way, texts};
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use reference::{Model, Outcome};
use seat::Seat;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use tokio_stream::Stream;

prop_state_machine! {
    #![proptest_config(Config::with_cases(80))]

    #[test]
    fn the_hub_keeps_its_promises_whatever_one_thread_does_with_it(sequential 1..250 => System);
}

/// How many lines the smallest log holds at least.
const KEPT: u64 = 8;

/// A hub with all who ever came.
struct System {
    hub: Hub,
    seats: Vec<Seat>,
    /// The gaps that members were told of, and the events in them.
    told: (u64, u64),
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
            hub: Hub::starting_at(config, settings.first),
            seats: Vec::new(),
            told: (0, 0),
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
            Op::Join { .. } => "joining: a name is free only after the leaving of who had it",
            Op::Leave { .. } => "leave once: of all ways to leave the first counts, and no other",
            Op::Say { .. } | Op::Flood { .. } => {
                "order, silence after leave: who is here gets the next numbers, nobody else any"
            }
            Op::Rename { .. } => "renaming: to what is free, or is its own",
            Op::Drop { .. } | Op::Read { .. } | Op::Close => "nothing that could fail",
        };
        assert_eq!(outcome, model.outcome, "{promise}");
        if !model.closed {
            system.history.add_roster(system.hub.roster(usize::MAX));
        }
        system
    }

    fn check_invariants(system: &Self, model: &Model) {
        system.check_who_is_here(model);
        system.check_stats(model);
        for (seat, guest) in system.seats.iter().zip(&model.guests) {
            seat.check_wakeup(model, guest);
        }
    }

    /// Drain: whatever came before, after closing everybody gets the rest and the end once.
    fn teardown(system: Self, model: Model) {
        let model = Model::apply(model, &Op::Close);
        let mut system = Self::apply(system, &model, Op::Close);
        Self::check_invariants(&system, &model);
        let ways = [Way::TryMany, Way::TryOne, Way::Stream, Way::One, Way::Many];
        for (who, way) in model.handles().into_iter().zip(ways.into_iter().cycle()) {
            while system.read(&model, who, way) {}
            let seat = &system.seats[who];
            assert!(seat.ended, "drain: the stream of {:?} ends", seat.id);
        }
        Self::check_invariants(&system, &model);
        for seat in system.seats {
            system.history.add(seat.record);
        }
        let checked = system.history.check();
        checked.expect("what all were given together is in order");
    }
}

impl System {
    fn perform(&mut self, model: &Model, op: &Op) -> Outcome {
        match op {
            Op::Join { name, limit } => {
                let joined = self.hub.join_with_roster(ops::name(name), *limit);
                let from = joined.map(|(member, roster)| {
                    let from = member.position();
                    assert_eq!(roster, self.hub.roster(*limit), "atomic join");
                    assert_eq!(roster.position, from, "atomic join: roster and stream fit");
                    self.seats.push(Seat::new(member));
                    from
                });
                Outcome::Joined(from)
            }
            Op::Leave { who, reason } => {
                Outcome::Left(self.hub.leave(self.seats[*who].id, *reason))
            }
            Op::Drop { who, panics } => {
                let seat = &mut self.seats[*who];
                seat.waits = false;
                let member = seat.member.take();
                if *panics {
                    let panicked = catch_unwind(AssertUnwindSafe(|| {
                        let _owned = member;
                        // As a panic, but without its report among the test's.
                        resume_unwind(Box::new("on purpose"));
                    }));
                    panicked.expect_err("it panics");
                }
                Outcome::Done
            }
            Op::Say { who, .. } | Op::Flood { who, .. } => {
                let texts = texts(op, self.hub.stats().published);
                let texts: Vec<_> = texts.iter().map(String::as_str).collect();
                let id = self.seats[*who].id;
                Outcome::Published(match texts[..] {
                    [text] => self.hub.publish(id, text).map(|number| number..number + 1),
                    _ => self.hub.publish_many(id, &texts),
                })
            }
            Op::Rename { who, name } => {
                Outcome::Renamed(self.hub.rename(self.seats[*who].id, ops::name(name)))
            }
            Op::Read { who, way, times } => {
                for _ in 0..*times {
                    if !self.read(model, *who, *way) {
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

    /// Lets a member read once; gives whether there was something.
    fn read(&mut self, model: &Model, who: usize, way: Way) -> bool {
        let (seat, guest) = (&mut self.seats[who], &model.guests[who]);
        let (member, batch) = (seat.member.as_mut(), &mut self.batch);
        let member = member.expect("who reads has its handle");
        let waker = Waker::from(seat.woken.clone());
        let given = match way {
            Way::TryOne => member.try_recv().map(|item| vec![item]),
            Way::One => now(poll_once(member.recv())).map(|item| vec![item]),
            Way::Stream => {
                let polled = Pin::new(member).poll_next(&mut Context::from_waker(&waker));
                now(polled).map(|item| vec![item])
            }
            Way::TryMany => member.try_recv_many(batch).map(|items| taken(batch, items)),
            Way::Many => {
                let items = poll_once(member.recv_many(batch)).map(|n| (n > 0).then_some(n));
                now(items).map(|items| taken(batch, items))
            }
        };
        let many = matches!(way, Way::TryMany | Way::Many);
        let Ok(items) = given else {
            seat.check_nothing(model, guest, given.err());
            if way == Way::TryMany || (many && seat.ended) {
                assert!(batch.is_empty(), "what it had before is gone");
            }
            // Who polls in another way and drops that waits no longer.
            match way {
                Way::Stream => seat.wait(),
                Way::One | Way::Many => seat.waits = false,
                Way::TryOne | Way::TryMany => {}
            }
            return false;
        };
        seat.waits = false;
        let oldest = model.position() - self.hub.stats().events;
        for item in &items {
            if let Delivery::Gap { missed } = item {
                self.told = (self.told.0 + 1, self.told.1 + missed);
            }
            seat.take(model, guest, oldest, item);
        }
        let position = seat.member.as_ref().map(Member::position);
        assert_eq!(position, Some(seat.next), "it knows where it is");
        if many {
            seat.check_batch(model, guest, &items, batch);
        }
        true
    }

    fn check_who_is_here(&self, model: &Model) {
        let names = model.names();
        for limit in [usize::MAX, model.events.len() % 4] {
            let roster = self.hub.roster(limit);
            assert_eq!(
                (roster.position, roster.total),
                (model.position(), names.len()),
                "total order, silence after leave: only what happened has a number"
            );
            let given: Vec<_> = roster.names.iter().map(Name::as_str).collect();
            let expected = &names[..names.len().min(limit)];
            assert_eq!(given, expected, "presence: in the order of arrival");
        }
        for (seat, guest) in self.seats.iter().zip(&model.guests) {
            let name = self.hub.name(seat.id);
            let name = name.as_ref().map(Name::as_str);
            assert_eq!(name, guest.name, "presence: of {:?}", seat.id);
        }
        // A few at a time: what a name counts as takes a while to find out.
        let names = NAMES.iter().cycle().skip(model.events.len() % NAMES.len());
        for (name, _) in names.take(3) {
            let found = self.hub.find(&ops::name(name));
            let holders = model.holders(name);
            let mut holders = holders.iter().map(|who| Some(self.seats[*who].id));
            assert!(
                (found.is_none() && holders.len() == 0) || holders.any(|id| id == found),
                "presence, leave once: {name} is found as {found:?}"
            );
        }
        let closed = (
            self.hub.is_closed(),
            poll_once(self.hub.closed()).is_ready(),
        );
        assert_eq!(closed, (model.closed, model.closed), "closing");
        assert_eq!(self.hub.position(), model.position());
    }

    fn check_stats(&self, model: &Model) {
        let stats = self.hub.stats();
        assert_eq!(
            (stats.members, stats.published, stats.position),
            (model.here.len(), model.published, model.position())
        );
        assert_eq!(
            (stats.gaps, stats.missed),
            self.told,
            "exact gaps: what members were told is what the hub counts"
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
            "bounded memory: lines and index are more than {log}"
        );
        // Cursors are counted by zones of the log.
        let zone = log / 64 + 1;
        let held = self.seats.iter().filter(|seat| seat.member.is_some());
        let cursors: Vec<_> = held.map(|seat| model.offset(seat.next)).collect();
        let lost = |by: u64| cursors.iter().filter(|at| **at + by < tail).count();
        assert!((lost(zone)..=lost(0)).contains(&stats.overrun), "{stats:?}");
        let hindmost = cursors.iter().min().map_or(head, |at| tail.max(*at));
        let behind = match stats.overrun {
            0 => head - hindmost..=(head - hindmost + zone).min(stats.bytes),
            _ => stats.bytes..=stats.bytes,
        };
        assert!(behind.contains(&stats.behind), "{behind:?} in {stats:?}");
    }
}

/// What a read comes to if it is not waited for.
fn poll_once<F: Future>(future: F) -> Poll<F::Output> {
    pin!(future).poll(&mut Context::from_waker(Waker::noop()))
}

/// What is in the batch, which has so many items.
fn taken(batch: &Batch, items: usize) -> Vec<Delivery> {
    assert_eq!(batch.len(), items, "a batch has what it is said to have");
    owned(batch).collect()
}

fn now<T>(polled: Poll<Option<T>>) -> Result<T, TryRecvError> {
    match polled {
        Poll::Ready(Some(item)) => Ok(item),
        Poll::Ready(None) => Err(TryRecvError::Ended),
        Poll::Pending => Err(TryRecvError::Empty),
    }
}
