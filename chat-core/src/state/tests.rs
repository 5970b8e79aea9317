//! States that carry out the same commands at the same times are the same, although their hash
//! tables have different seeds.

use super::read::{Amount, Cursor};
use super::*;
use crate::log::index::IndexCopy;
use crate::types::position::Start;
use command::TextsBuffer;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::num::NonZeroU32;
use std::time::Duration;

const NAMES: [&str; 12] = [
    "ann",
    "ANN",
    "bob",
    "cid",
    "dan",
    "eve",
    "fay",
    "ivan",
    "lvan",
    "Ivan",
    "zoë",
    "127.0.0.1:80",
];

/// An operation on both states.
#[derive(Clone, Debug)]
enum Step {
    Join(&'static str),
    Publish(Index, Vec<String>),
    Announce(String),
    Rename(Index, &'static str),
    Mute(Index, u64),
    Send(Option<Index>, Index, String),
    /// A session's notice, after this share of the events.
    Notify(Index, String, u64),
    Leave(Index, Option<String>),
    /// The handle of a member is dropped.
    Release(Index),
    /// A member reads.
    Read(Index, Amount),
    Close,
}

fn steps() -> impl Strategy<Value = Step> {
    let name = || select(&NAMES[..]);
    let index = any::<Index>;
    let text = || "[a-z]{0,40}";
    let amount = prop_oneof![Just(Amount::One), (0usize..500).prop_map(Amount::Bytes)];
    prop_oneof![
        20 => name().prop_map(Step::Join),
        20 => (index(), prop::collection::vec(text(), 0..20)).prop_map(|(i, t)| Step::Publish(i, t)),
        3 => text().prop_map(Step::Announce),
        10 => (index(), name()).prop_map(|(i, n)| Step::Rename(i, n)),
        3 => (index(), 0u64..2_000).prop_map(|(i, until)| Step::Mute(i, until)),
        10 => (prop::option::of(index()), index(), text()).prop_map(|(f, t, x)| Step::Send(f, t, x)),
        5 => (index(), text(), 0u64..50).prop_map(|(i, t, back)| Step::Notify(i, t, back)),
        5 => (index(), prop::option::of(text())).prop_map(|(i, t)| Step::Leave(i, t)),
        5 => index().prop_map(Step::Release),
        20 => (index(), amount).prop_map(|(i, amount)| Step::Read(i, amount)),
        1 => Just(Step::Close),
    ]
}

/// A state with the members that ever joined, and the cursors of those whose handles exist.
struct Scene {
    state: State,
    members: Vec<(SlotId, Option<Cursor>)>,
}

impl Scene {
    fn new(config: &HubConfig, hub: HubId) -> Self {
        let first = Position {
            epoch: 7,
            number: 100,
        };
        Self {
            state: State::new(config, hub, first),
            members: Vec::new(),
        }
    }

    /// Performs a step and describes everything that it gives.
    fn perform(&mut self, time: Timestamp, step: &Step) -> String {
        let id = |index: &Index| match self.members.is_empty() {
            true => None,
            false => Some(self.members[index.index(self.members.len())].0),
        };
        let keyed = |name: &str| {
            let name = Name::assigned(name).expect("the names are valid");
            let keys = name.keys();
            (name, keys)
        };
        let mut texts = TextsBuffer::default();
        let command = match step {
            Step::Join(name) => {
                let (name, keys) = keyed(name);
                let joined = self.state.apply(time, Command::Join { name, keys });
                let described = format!("{joined:?}");
                if let Ok(outcome) = joined {
                    let id = outcome.joined();
                    let (cursor, _) = self.state.open(Start::Last(3), Some(id));
                    self.members.push((id, Some(cursor)));
                }
                return described;
            }
            Step::Notify(index, text, back) => {
                let Some(id) = id(index) else {
                    return String::new();
                };
                let after = self.state.position().number - back;
                self.state.notify(id, text, after);
                return String::new();
            }
            Step::Release(index) | Step::Read(index, _) if self.members.is_empty() => {
                return format!("{index:?}");
            }
            Step::Release(index) => {
                let at = index.index(self.members.len());
                let (id, cursor) = &mut self.members[at];
                let Some(cursor) = cursor.take() else {
                    return String::new();
                };
                self.state.close_cursor(&cursor);
                let mail = self.state.release(*id, LeaveReason::Panicked, time);
                return format!("{mail:?}");
            }
            Step::Read(index, amount) => {
                let at = index.index(self.members.len());
                let (id, Some(cursor)) = &mut self.members[at] else {
                    return String::new();
                };
                let mail = self.state.take_mail(*id, cursor.seq);
                let mut lines = Vec::new();
                let outcome = self.state.read(cursor, *amount, &mut lines);
                return format!("{mail:?} {outcome:?} {}", String::from_utf8_lossy(&lines));
            }
            Step::Publish(index, all) => {
                all.iter().for_each(|text| texts.push(text));
                id(index).map(|id| Command::Publish {
                    id,
                    texts: texts.texts(),
                })
            }
            Step::Announce(text) => Some(Command::Announce { text }),
            Step::Rename(index, name) => id(index).map(|id| {
                let (name, keys) = keyed(name);
                Command::Rename { id, name, keys }
            }),
            Step::Mute(index, millis) => id(index).map(|id| {
                let until = time + Duration::from_millis(*millis);
                Command::Mute { id, until }
            }),
            Step::Send(from, to, text) => id(to).map(|to| {
                let from = from.as_ref().and_then(id);
                Command::Send { from, to, text }
            }),
            Step::Leave(index, text) => id(index).map(|id| Command::Leave {
                id,
                reason: LeaveReason::Kicked,
                text: text.as_deref(),
            }),
            Step::Close => Some(Command::Close),
        };
        let outcome = command.map(|command| self.state.apply(time, command));
        format!("{outcome:?}")
    }

    /// Everything that can be seen of the state.
    fn describe(&self) -> String {
        let state = &self.state;
        let held = state.log.held();
        let mut lines = Vec::new();
        let mut from = held.start;
        while from < held.end {
            from = state.log.read(from, held.end, usize::MAX, &mut lines).to;
        }
        let mut index = IndexCopy::default();
        state.read_index(held.clone(), &mut index);
        let found = NAMES.map(|name| {
            let name = Name::assigned(name).expect("the names are valid");
            state.find(&name, &name.keys())
        });
        let members: Vec<_> = self
            .members
            .iter()
            .map(|(id, _)| (id, state.name(*id), state.left(*id), state.mail(*id)))
            .collect();
        format!(
            "{held:?} {index:?} {} {found:?} {members:?} {:?} {:?} {:?} {:?}",
            String::from_utf8_lossy(&lines),
            state.roster(usize::MAX),
            state.stats(),
            state.slowest(usize::MAX),
            state.announcements,
        )
    }
}

mod apply {
    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn is_deterministic(
            announce_up_to in prop::option::of(0usize..5),
            announce_rate in prop::option::of(1u32..20),
            mailbox_bytes in 0usize..400,
            steps in prop::collection::vec((steps(), 0u64..300), 1..150),
        ) {
            let mut config = HubConfig::default();
            (config.log_bytes, config.max_text) = (0, 40);
            config.mailbox_bytes = mailbox_bytes;
            config.announce_up_to = announce_up_to;
            config.announce_rate = announce_rate.and_then(NonZeroU32::new);
            let (config, hub) = (config.within_bounds(), HubId::unique());
            let mut scenes = [(); 2].map(|()| Scene::new(&config, hub));
            let mut time = Timestamp::from_millis(1_000_000);
            let last = steps.len() - 1;
            for (number, (step, pause)) in steps.into_iter().enumerate() {
                // Now and then the clock of the commands goes back.
                time = match pause {
                    250.. => Timestamp::from_millis(time.as_millis() - pause),
                    _ => time + Duration::from_millis(pause),
                };
                let [one, other] = scenes.each_mut().map(|scene| scene.perform(time, &step));
                prop_assert_eq!(one, other, "{:?}", step);
                // Not each time: a description is long.
                if number % 8 == 0 || number == last {
                    let [one, other] = scenes.each_ref().map(Scene::describe);
                    prop_assert_eq!(one, other, "after {:?}", step);
                }
            }
        }
    }
}
