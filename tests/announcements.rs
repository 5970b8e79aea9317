//! Announcements: the program's own lines, and which arrivals and departures are announced. The
//! clock is paused; the times of a hub follow it.

use chat_core::{EventKind, Hub, HubConfig, Member, Start, Subscriber};
use chat_tests::history::Record;
use chat_tests::memory::{Peer, join, rename};
use chat_tests::paused_runtime;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::time::advance;

fn hub(announce_up_to: Option<usize>, announce_rate: Option<u32>) -> Hub {
    let mut config = HubConfig::default();
    config.announce_up_to = announce_up_to;
    config.announce_rate = announce_rate.and_then(NonZeroU32::new);
    Hub::new(config)
}

/// The lines of all events that a subscriber can read now.
fn lines(log: &mut Subscriber) -> Vec<String> {
    let mut record = Record::of_subscriber(log);
    record.catch_up_with(|| log.try_recv());
    record.lines().iter().map(ToString::to_string).collect()
}

mod announcement {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn has_its_own_kind() {
        let hub = hub(None, None);
        let mut peer = Peer::greeted(&hub, "mem:1").await;
        let mut log = hub.subscribe(Start::Now);
        let number = hub.announce("back\u{7} at\n noon").unwrap();
        peer.expect_line("*** back at noon").await;
        let Ok(chat_core::Delivery::Event(event)) = log.try_recv() else {
            panic!("the event is available")
        };
        assert_eq!(event.kind(), EventKind::Announcement);
        let parts = (event.seq(), event.subject(), event.text(), event.member());
        assert_eq!(parts, (number, "", "back at noon", None));
        assert_eq!(hub.stats().published, 0, "it is no message");
        // No member can publish such a line.
        for name in ["*", "***", "*** a", "* a"] {
            assert!(name.parse::<chat_core::Name>().is_err());
            assert!(chat_core::Name::assigned(name).is_err());
        }
        peer.send_line("*** forged").await;
        peer.expect_line("mem:1: *** forged").await;
    }
}

mod limit_by_members {
    use super::*;

    #[test]
    fn applies_to_arrival_and_departure_alike() {
        let hub = hub(Some(2), None);
        let mut log = hub.subscribe(Start::Now);
        let [ann, bob, cid, dan] = ["ann", "bob", "cid", "dan"].map(|name| join(&hub, name));
        assert_eq!(lines(&mut log), ["ann has arrived", "bob has arrived"]);
        // With fewer members than the limit, the departure of an unannounced member is no news.
        drop(ann);
        drop(bob);
        drop(cid);
        assert_eq!(lines(&mut log), ["ann has left", "bob has left"]);
        let eve = join(&hub, "eve");
        assert_eq!(lines(&mut log), ["eve has arrived"]);
        // With more members than the limit, that of an announced member is.
        let _fay = join(&hub, "fay");
        drop(eve);
        assert_eq!(lines(&mut log), ["eve has left"]);
        drop(dan);
        assert_eq!(lines(&mut log), [""; 0]);
    }

    #[test]
    fn ends_with_a_rename() {
        let hub = hub(Some(0), None);
        let mut log = hub.subscribe(Start::Now);
        let [ann, bob] = ["ann", "bob"].map(|name| join(&hub, name));
        rename(&ann, "eve");
        drop(ann);
        drop(bob);
        assert_eq!(lines(&mut log), ["ann is now eve", "eve has left"]);
    }
}

mod limit_by_rate {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn admits_a_burst_of_one_second() {
        for rate in [1, 4, 10, 50] {
            let hub = hub(None, Some(rate));
            let mut log = hub.subscribe(Start::Now);
            let join_many = |count: u32| {
                let start = hub.stats().members as u32;
                (start..start + count)
                    .map(|n| join(&hub, &format!("member{n}")))
                    .collect::<Vec<_>>()
            };
            let _first = join_many(2 * rate);
            assert_eq!(lines(&mut log).len() as u32, rate, "a burst at {rate}/s");
            let mut later = Vec::new();
            for _ in 0..3 * rate {
                advance(Duration::from_secs(1) / rate).await;
                later.extend(join_many(3));
                assert_eq!(lines(&mut log).len(), 1, "one at a time at {rate}/s");
            }
            advance(Duration::from_secs(100)).await;
            let _last = join_many(2 * rate);
            assert_eq!(lines(&mut log).len() as u32, rate, "no larger burst later");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn announces_departures_of_announced_members() {
        let hub = hub(None, Some(2));
        let mut log = hub.subscribe(Start::Now);
        let members: Vec<_> = (0..4).map(|n| join(&hub, &format!("m{n}"))).collect();
        assert_eq!(lines(&mut log), ["m0 has arrived", "m1 has arrived"]);
        drop(members);
        // At once, beyond the rate, and no other.
        assert_eq!(lines(&mut log), ["m0 has left", "m1 has left"]);
        // Arrivals make up for them: 4 announcements at 2 per second.
        advance(Duration::from_millis(1400)).await;
        let early = join(&hub, "early");
        assert_eq!(lines(&mut log), [""; 0]);
        advance(Duration::from_millis(200)).await;
        let late = join(&hub, "late");
        assert_eq!(lines(&mut log), ["late has arrived"]);
        drop((early, late));
        assert_eq!(lines(&mut log), ["late has left"]);
    }

    /// The hub with its present members, and how many announcements it has made.
    struct Scene {
        hub: Hub,
        log: Subscriber,
        /// The members, with whether their arrival was announced.
        present: BTreeMap<u32, (Member, bool)>,
        joined: u32,
        announced: u64,
    }

    impl Scene {
        fn new(rate: u32) -> Self {
            let hub = hub(None, Some(rate));
            Self {
                log: hub.subscribe(Start::Now),
                hub,
                present: BTreeMap::new(),
                joined: 0,
                announced: 0,
            }
        }

        /// Returns whether the arrival was announced.
        fn join(&mut self) -> bool {
            let name = format!("m{}", self.joined);
            let member = join(&self.hub, &name);
            let lines = lines(&mut self.log);
            let announced = !lines.is_empty();
            let expected: Vec<_> = announced
                .then(|| format!("{name} has arrived"))
                .into_iter()
                .collect();
            assert_eq!(lines, expected);
            self.announced += u64::from(announced);
            self.present.insert(self.joined, (member, announced));
            self.joined += 1;
            announced
        }

        fn leave(&mut self, which: usize) {
            let keys: Vec<_> = self.present.keys().copied().collect();
            let Some(key) = keys.get(which % keys.len().max(1)) else {
                return;
            };
            let (member, announced) = self.present.remove(key).expect("it is present");
            drop(member);
            let expected: Vec<_> = announced
                .then(|| format!("m{key} has left"))
                .into_iter()
                .collect();
            assert_eq!(lines(&mut self.log), expected);
            self.announced += u64::from(announced);
        }

        fn check_roster(&self) {
            let roster = self.hub.roster(usize::MAX);
            let names: Vec<_> = self.present.keys().map(|n| format!("m{n}")).collect();
            let listed: Vec<_> = roster.names.iter().map(|name| name.as_str()).collect();
            assert_eq!(
                (listed, roster.total),
                (names.iter().map(String::as_str).collect(), names.len())
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 100,
            failure_persistence: None,
            ..Default::default()
        })]

        #[test]
        fn holds_in_the_long_run(
            rate in 1u32..40,
            steps in prop::collection::vec((0usize..30, 0usize..30, 0u64..400), 1..60),
        ) {
            paused_runtime().block_on(async {
                let mut scene = Scene::new(rate);
                let mut elapsed = 0;
                for (joins, leaves, millis) in steps {
                    for _ in 0..joins {
                        if scene.join() {
                            // Everything announced up to an arrival is within the rate.
                            let each = 1_000_000 / u64::from(rate);
                            let most = (1_000 + elapsed) * 1_000 / each;
                            assert!(scene.announced <= most, "{} of {most}", scene.announced);
                        }
                    }
                    for which in 0..leaves {
                        scene.leave(which * 7);
                    }
                    scene.check_roster();
                    advance(Duration::from_millis(millis)).await;
                    elapsed += millis;
                }
            });
        }
    }
}
