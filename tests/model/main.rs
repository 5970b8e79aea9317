//! Random operations on a hub and on a naive model of it, from one thread. After each operation the
//! test compares results, rosters and the items of each reader. The logs are the smallest possible,
//! so overruns are frequent, and the numbers may run out.

mod checks;
mod ops;
mod perform;
mod reference;
mod semantics;
mod slot;

use chat_core::{Batch, Hub, HubConfig, MemberId};
use chat_tests::history::History;
use chat_tests::memory::{hub_starting_at, join};
use ops::{Op, ReadMethod};
use proptest::test_runner::Config;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest, prop_state_machine};
use reference::Model;
use slot::{Handle, Slot};

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

/// A hub with all members that ever joined, and all subscribers.
struct System {
    hub: Hub,
    slots: Vec<Slot>,
    /// A member of another hub. The first member of `hub` has the same slot.
    foreigner: Handle,
    foreign_id: MemberId,
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
        config.mailbox_bytes = settings.mailbox_bytes;
        config.announce_up_to = settings.announce_up_to;
        let foreigner = join(&hub_starting_at(config.clone(), 0), "ann");
        Self {
            hub: hub_starting_at(config, settings.first),
            slots: Vec::new(),
            foreign_id: foreigner.id(),
            foreigner: Handle::Member(foreigner),
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
            Op::Publish { .. } | Op::PublishBurst { .. } | Op::Announce { .. } => {
                "order, silence after leave: only a present member gets the next numbers"
            }
            Op::Rename { .. } => "renaming: the new name is free or the member's own",
            Op::Mute { .. } => "muting: of a present member",
            Op::Send { .. } => "mail: from a present member that is not muted to a present one",
            _ => "no result",
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
        for (index, method) in model.readers().into_iter().zip(methods.into_iter().cycle()) {
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
