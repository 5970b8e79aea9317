//! The exact start of members and subscribers, and streams that continue where
//! another one ended.

use chat_core::{
    Delivery, Hub, HubConfig, JoinOptions, LeaveReason, Position, Resumed, Start, Subscriber,
    TryRecvError,
};
use chat_tests::history::Record;
use chat_tests::memory::{hub, hub_starting_at, join};
use proptest::prelude::*;

fn join_at(hub: &Hub, name: &str, start: Start) -> chat_core::Joined {
    let mut options = JoinOptions::new(name.parse().expect("the name is valid"));
    options.start = start;
    hub.join_with(options).expect("the name is free")
}

/// The items that a subscriber has now: its lines, and how many events its gaps cover.
fn read(subscriber: &mut Subscriber) -> (Vec<String>, u64) {
    let mut record = Record::of_subscriber(subscriber);
    record.catch_up_with(|| subscriber.try_recv());
    assert_eq!(record.check(), Ok(()));
    let lines = record.lines().iter().map(ToString::to_string).collect();
    (lines, record.missed())
}

fn announce(hub: &Hub, count: u64) {
    let first = hub.position().number;
    for n in first..first + count {
        hub.announce(&format!("{n} {}", "x".repeat(n as usize % 50)))
            .expect("the hub is open");
    }
}

/// A hub with the smallest log.
fn small_hub() -> Hub {
    let mut config = HubConfig::default();
    (config.log_bytes, config.max_text) = (0, 64);
    Hub::new(config)
}

mod last {
    use super::*;

    #[test]
    fn gives_the_last_events() {
        let hub = hub();
        announce(&hub, 5);
        for (last, first) in [(0, 5), (1, 4), (5, 0), (6, 0), (u64::MAX, 0)] {
            let mut subscriber = hub.subscribe(Start::Last(last));
            assert_eq!(subscriber.position().number, first, "the last {last}");
            let (lines, missed) = read(&mut subscriber);
            assert_eq!((lines.len() as u64, missed), (5 - first, 0));
        }
        assert_eq!(hub.subscribe(Start::Now).position().number, 5);
    }

    #[test]
    fn precedes_the_own_arrival() {
        let hub = hub();
        announce(&hub, 3);
        let mut ann = join_at(&hub, "ann", Start::Last(2));
        assert_eq!(ann.resumed, Resumed::Complete);
        assert_eq!(ann.roster.position.number, 4);
        let mut record = Record::of(&ann.member);
        record.catch_up(&mut ann.member);
        let numbers: Vec<_> = record.events().map(|event| event.seq()).collect();
        assert_eq!(numbers, [1, 2, 3]);
        assert_eq!(record.lines()[2], "ann has arrived");
        let bob = join_at(&hub, "bob", Start::Now);
        assert_eq!(bob.member.position(), bob.roster.position);
    }

    #[test]
    fn is_all_without_an_own_arrival() {
        let mut config = HubConfig::default();
        config.announce_up_to = Some(0);
        let hub = Hub::new(config);
        announce(&hub, 3);
        let ann = join_at(&hub, "ann", Start::Last(2));
        assert_eq!(ann.member.position().number, 1);
        assert_eq!(ann.member.behind(), 2);
    }

    #[test]
    fn is_what_the_log_holds() {
        let hub = small_hub();
        announce(&hub, 5_000);
        let held = hub.stats().events;
        let mut subscriber = hub.subscribe(Start::Last(5_000));
        assert_eq!(subscriber.position().number, 5_000 - held);
        let (lines, missed) = read(&mut subscriber);
        assert_eq!((lines.len() as u64, missed), (held, 0));
    }
}

mod at {
    use super::*;

    #[test]
    fn reports_other_positions() {
        // Five events, then the own arrival of a new member, whose number is 5.
        for (number, begins, resumed) in [
            (0, 0, Resumed::Complete),
            (4, 4, Resumed::Complete),
            (5, 5, Resumed::Complete),
            (6, 6, Resumed::Complete),
            (7, 6, Resumed::Future),
            (u64::MAX, 6, Resumed::Future),
        ] {
            let hub = hub();
            announce(&hub, 5);
            let epoch = hub.position().epoch;
            let start = Start::At(Position { epoch, number });
            let subscriber = hub.subscribe(start);
            assert_eq!(subscriber.position().number, begins.min(5), "{number}");
            let joined = join_at(&hub, "ann", start);
            assert_eq!(
                joined.member.position(),
                Position {
                    epoch,
                    number: begins
                }
            );
            assert_eq!(joined.resumed, resumed, "{number}");
            let epoch = epoch.wrapping_add(1);
            let joined = join_at(&hub, "bob", Start::At(Position { epoch, number }));
            assert_eq!(joined.resumed, Resumed::OtherEpoch);
            assert_eq!(joined.member.position(), hub.position());
        }
    }

    #[test]
    fn reports_evicted_events() {
        let hub = small_hub();
        let start = Start::At(hub.position());
        announce(&hub, 5_000);
        let mut joined = join_at(&hub, "ann", start);
        let evicted = hub.position().number - hub.stats().events;
        assert_eq!(joined.resumed, Resumed::Missed(evicted));
        assert_eq!(joined.member.position().number, 0);
        assert_eq!(hub.stats().overrun, 1, "it has not been told yet");
        assert_eq!(hub.stats().missed, 0);
        // The gap grows until it is delivered.
        announce(&hub, 10);
        let missed = hub.position().number - hub.stats().events;
        assert!(missed > evicted);
        assert_eq!(joined.member.try_recv(), Ok(Delivery::Gap { missed }));
        assert_eq!(joined.member.position().number, missed);
        let stats = hub.stats();
        assert_eq!((stats.overrun, stats.missed), (0, missed));
    }

    #[test]
    fn continues_an_earlier_life() {
        let old = hub();
        announce(&old, 7);
        let held = old.position();
        let mut config = HubConfig::default();
        config.first = Some(Position {
            number: held.number + 3,
            ..held
        });
        let new = Hub::new(config);
        assert_eq!(new.position().number, 10);
        let mut subscriber = new.subscribe(Start::At(held));
        announce(&new, 1);
        assert_eq!(subscriber.try_recv(), Ok(Delivery::Gap { missed: 3 }));
        assert!(matches!(subscriber.try_recv(), Ok(Delivery::Event(e)) if e.seq() == 10));
        // Without that, a hub has an epoch of its own.
        assert_ne!(hub().position().epoch, hub().position().epoch);
    }

    #[test]
    fn reads_a_closed_hub() {
        let hub = hub();
        announce(&hub, 3);
        hub.close();
        let number = 1;
        let at = Start::At(Position {
            number,
            ..hub.position()
        });
        for (start, events) in [(at, 2), (Start::Last(1), 1), (Start::Now, 0)] {
            let mut subscriber = hub.subscribe(start);
            for _ in 0..events {
                assert!(matches!(subscriber.try_recv(), Ok(Delivery::Event(_))));
            }
            let closed = Delivery::Closed(LeaveReason::Closed);
            assert_eq!(subscriber.try_recv(), Ok(closed));
            assert_eq!(subscriber.try_recv(), Err(TryRecvError::Ended));
        }
    }
}

mod cut {
    use super::*;

    /// Reads at most `count` items.
    fn read_some(record: &mut Record, subscriber: &mut Subscriber, count: usize) {
        for _ in 0..count {
            match subscriber.try_recv() {
                Ok(item) => record.push(item),
                Err(_) => break,
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 200,
            failure_persistence: None,
            ..Default::default()
        })]

        /// Streams that each begin where the one before was given up tile the order: nothing is
        /// lost but what a gap counts, and nothing comes twice.
        #[test]
        fn streams_tile_the_order(
            small in any::<bool>(),
            first in prop_oneof![Just(0u64), 1..1_000u64],
            steps in prop::collection::vec((0u64..200, 0usize..150, 0u64..200), 1..12),
        ) {
            let mut config = HubConfig::default();
            config.max_text = 64;
            if small {
                config.log_bytes = 0;
            }
            let hub = hub_starting_at(config, first);
            let mut witness = hub.subscribe(Start::Now);
            let mut whole = Record::of_subscriber(&witness);
            let mut position = hub.position();
            let mut parts = Record::of_subscriber(&witness);
            for (before, reads, after) in steps {
                for count in [before, after] {
                    // The witness misses nothing.
                    for _ in 0..count {
                        announce(&hub, 1);
                        whole.catch_up_with(|| witness.try_recv());
                    }
                    if count == before {
                        let mut subscriber = hub.subscribe(Start::At(position));
                        prop_assert_eq!(subscriber.position(), position);
                        read_some(&mut parts, &mut subscriber, reads);
                        position = subscriber.position();
                    }
                }
            }
            let ann = join_at(&hub, "ann", Start::At(position));
            let missed = hub.position().number - hub.stats().events;
            let missed = missed.saturating_sub(position.number);
            prop_assert_eq!(ann.resumed, match missed {
                0 => Resumed::Complete,
                missed => Resumed::Missed(missed),
            });
            let mut ann = ann.member;
            parts.catch_up(&mut ann);
            whole.catch_up_with(|| witness.try_recv());
            prop_assert_eq!(parts.check(), Ok(()));
            prop_assert_eq!(parts.next(), hub.position().number);
            prop_assert_eq!(small || parts.missed() == 0, true);
            let known: Vec<_> = whole.events().collect();
            for event in parts.events() {
                prop_assert_eq!(event, known[(event.seq() - first) as usize]);
            }
            drop(join(&hub, "bob"));
        }
    }
}
