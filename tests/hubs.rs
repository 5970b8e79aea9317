//! The memory of hubs: an idle hub is small, memory grows with the content, and a dropped hub keeps
//! none. The allocator counts what the thread of a test allocates.

use allocation_counter::{AllocationInfo, measure};
use chat_core::{Hub, HubConfig};
use chat_tests::memory::{hub, join};

/// The largest piece of memory that a log allocates.
const SEGMENT: u64 = 64 * 1024;

/// Runs the closure once before the measurement, because the first hub of a thread has costs of its
/// own, such as the keys of hash tables.
fn measured(run: impl Fn()) -> AllocationInfo {
    run();
    measure(run)
}

/// Joins, publishes and reads.
fn use_briefly(hub: &Hub) {
    let mut member = join(hub, "member");
    for n in 0..20 {
        member.publish(&n.to_string()).expect("it is a member");
        member.try_recv().expect("it has published a text");
    }
    hub.notify(member.id(), "hello").expect("it is a member");
}

mod idle_hub {
    use super::*;

    #[test]
    fn takes_four_kib() {
        measured(|| drop(hub()));
        let mut held = None;
        let info = measure(|| held = Some(hub()));
        assert!((1..=4096).contains(&info.bytes_current), "{info:?}");
        assert!(info.bytes_max <= 4096, "{info:?}");
    }
}

mod dropped_hubs {
    use super::*;

    #[test]
    fn leave_nothing_behind() {
        for round in 0..10 {
            let info = measured(|| {
                let hubs: Vec<_> = (0..500).map(|_| hub()).collect();
                hubs.iter().take(50).for_each(use_briefly);
            });
            assert_eq!(
                (info.bytes_current, info.count_current),
                (0, 0),
                "after round {round}"
            );
            assert!(info.bytes_max <= 500 * 4096 + 50 * 4096, "{info:?}");
        }
    }
}

mod mail {
    use super::*;

    #[test]
    fn takes_memory_only_while_it_waits() {
        let mut config = HubConfig::default();
        config.mailbox_bytes = 200;
        let hub = Hub::new(config);
        let (mut ann, bob) = (join(&hub, "ann"), join(&hub, "bob"));
        let long = "x".repeat(300);
        let mut exchange = || {
            hub.send(bob.id(), ann.id(), &long).expect_err("it is full");
            let sent = (0..=200).take_while(|_| hub.send(bob.id(), ann.id(), "hi").is_ok());
            assert!((1..100).contains(&sent.count()));
            hub.send(bob.id(), ann.id(), &long).expect_err("it is full");
            while ann.try_recv().is_ok() {}
        };
        exchange();
        let info = measure(&mut exchange);
        assert_eq!(info.bytes_current, 0, "{info:?}");
        let info = measure(|| {
            hub.notify(ann.id(), &long).expect_err("it is full");
        });
        assert_eq!(
            info.bytes_current, 0,
            "a refused text leaves nothing: {info:?}"
        );
    }
}

mod growth {
    use super::*;

    #[test]
    fn follows_the_content() {
        const CONTENT: u64 = 20 << 20;
        const LINE: u64 = 100;
        let hub = hub();
        let member = join(&hub, "member");
        let text = "x".repeat(LINE as usize - "member: \n".len());
        let log = hub.config().log_bytes as u64;
        let mut allocated = 0;
        for n in 1..=CONTENT / LINE {
            let info = measure(|| {
                member.publish(&text).expect("it is a member");
            });
            allocated += info.bytes_current;
            // One segment of lines and one of the index at the most. A log in one piece would grow
            // by megabytes at a time.
            let most = 2 * SEGMENT + 4096;
            assert!(info.bytes_max <= most, "text {n}: {info:?}");
            // The log is the content and its index, which takes at most as much.
            let content = (2 * n * LINE + 4 * SEGMENT).min(log + 4096) as i64;
            assert!(allocated <= content, "text {n}: {allocated} bytes");
        }
        // Long lines fill the ring, and the index in part.
        let filled = log as i64 * 7 / 10..;
        assert!(filled.contains(&allocated), "{allocated} bytes of {log}");
    }

    #[test]
    fn is_bounded_for_many_texts() {
        let mut config = HubConfig::default();
        config.log_bytes = 256 << 10;
        let hub = Hub::new(config);
        let member = join(&hub, "member");
        let text = "x".repeat(992);
        let texts = vec![&*text; 5_000];
        let publish = || {
            let published = hub.publish_many(member.id(), &texts);
            published.expect("it is a member");
        };
        // The log is full after the first time. What remains is the copy of one batch of texts,
        // which grows by doubling, and not of all 5 MB.
        let info = measured(publish);
        assert!(info.bytes_max <= 3 * SEGMENT, "{info:?}");
        assert_eq!(info.bytes_current, 0, "{info:?}");
    }

    #[test]
    fn is_independent_of_members() {
        let mut config = HubConfig::default();
        config.log_bytes = 256 << 10;
        let hub = Hub::new(config);
        let writer = join(&hub, "writer");
        let slow: Vec<_> = (0..100).map(|n| join(&hub, &format!("slow{n}"))).collect();
        let publish = || {
            for _ in 0..10_000 {
                writer.publish("on and on").expect("it is a member");
            }
        };
        let info = measured(publish);
        assert_eq!(info.bytes_current, 0, "the log is full: {info:?}");
        drop(slow);
    }
}
