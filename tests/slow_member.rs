//! What a slow member misses, what it is told of that, and that nobody else pays for it.

use chat_core::session::SessionConfig;
use chat_core::{Batch, Delivery, Hub, HubConfig, Member, Name, TryRecvError};
use chat_tests::history::Record;
use chat_tests::memory::{Peer, Transcript, all_idle, join};
use std::time::Duration;
use tokio::task::yield_now;

/// The smallest log there can be for texts of up to so many bytes.
fn smallest(max_text: usize) -> HubConfig {
    let mut config = HubConfig::default();
    config.log_bytes = 0;
    config.max_text = max_text;
    config
}

/// Publishes texts that differ, `count` of them.
fn publish(writer: &Member, count: u64) {
    let first = writer.hub().stats().published;
    for n in first..first + count {
        let text = format!("{n} {}", "x".repeat(n as usize % 40));
        writer.publish(&text).expect("it is here");
    }
}

/// How many lines the writer says between two times that a slow one reads: fewer than the log
/// holds, as many, more, and many times more.
const BURSTS: [u64; 12] = [3, 0, 40, 100, 1, 150, 2000, 90, 5, 120, 700, 60];

/// Asserts that what a slow member was given and missed is all there was, and some of each.
fn assert_adds_up(record: &Record, hub: &Hub) {
    assert_eq!(record.check(), Ok(()));
    assert_eq!(record.next(), hub.stats().position);
    assert!(record.given() > 0 && record.missed() > 0);
    let stats = hub.stats();
    assert_eq!(stats.gaps, record.gaps() as u64);
    assert_eq!(stats.missed, record.missed());
}

#[test]
fn read_one_by_one_the_given_and_the_missed_add_up() {
    let hub = Hub::new(smallest(64));
    let mut slow = join(&hub, "slow");
    let mut record = Record::of(&slow);
    let writer = join(&hub, "writer");
    for burst in BURSTS {
        publish(&writer, burst);
        // It stops in the middle of what there is, too.
        for _ in 0..burst / 2 {
            match slow.try_recv() {
                Ok(delivery) => record.push(delivery),
                Err(_) => break,
            }
        }
    }
    assert_eq!(record.catch_up(&mut slow), TryRecvError::Empty);
    assert_adds_up(&record, &hub);
}

#[tokio::test]
async fn awaited_one_by_one_the_given_and_the_missed_add_up() {
    let hub = Hub::new(smallest(64));
    let mut slow = join(&hub, "slow");
    let mut record = Record::of(&slow);
    let writer = join(&hub, "writer");
    let reading = tokio::spawn(async move {
        while let Some(delivery) = slow.recv().await {
            record.push(delivery);
            if record.next().is_multiple_of(7) {
                yield_now().await;
            }
        }
        record
    });
    for burst in BURSTS {
        publish(&writer, burst);
        yield_now().await;
    }
    hub.close();
    assert_adds_up(&reading.await.unwrap(), &hub);
}

#[tokio::test]
async fn read_many_at_a_time_the_given_and_the_missed_add_up() {
    let hub = Hub::new(smallest(64));
    let mut slow = join(&hub, "slow");
    let mut record = Record::of(&slow);
    let writer = join(&hub, "writer");
    let mut batch = Batch::default();
    for burst in BURSTS {
        publish(&writer, burst);
        let items = slow.recv_many(&mut batch);
        if burst > 0 {
            assert_eq!(items.await, batch.len());
            record.push_batch(&batch);
        }
    }
    assert_eq!(
        record.catch_up_in_batches(&mut slow, &mut batch),
        TryRecvError::Empty
    );
    assert_adds_up(&record, &hub);
}

#[tokio::test(start_paused = true)]
async fn whatever_a_connection_takes_at_a_time_every_line_is_whole_and_gaps_add_up() {
    for capacity in [1, 7, 64, 1000] {
        let hub = Hub::new(smallest(64));
        let config = SessionConfig::default();
        let mut peer = Peer::connect_with(&hub, "mem:1", &config, capacity);
        all_idle().await;
        let writer = join(&hub, "writer");
        peer.expect("You are mem:1").await;
        peer.expect("writer has arrived").await;
        let mut seen = Transcript::default();
        let mut partly = 0;
        for (at, burst) in BURSTS.into_iter().cycle().take(100).enumerate() {
            let first = seen.said();
            for n in first..first + burst as usize {
                seen.say(&writer, &format!("{n} {}", "é".repeat(n * 7 % 30)));
            }
            // The session gets some of it going, then the log runs over what it is in.
            all_idle().await;
            partly += usize::from(peer.has_part_of_a_line());
            for _ in 0..at % 40 {
                if seen.untold() > 20 {
                    peer.listen(at % 11 + 1).await;
                }
            }
            while let Some(line) = peer.heard_line() {
                seen.hear(&line);
            }
        }
        hub.close();
        let mut rest = peer.rest().await;
        assert_eq!(rest.pop().unwrap(), "* server is going down");
        rest.iter().for_each(|line| seen.hear(line));
        assert_eq!(seen.untold(), 0);
        let stats = hub.stats();
        assert_eq!(stats.missed, seen.skipped());
        assert_eq!(stats.gaps, seen.gaps());
        assert!(seen.gaps() > 10, "{} gaps", seen.gaps());
        assert!(partly > 10, "stopped within a line {partly} times");
    }
}

#[tokio::test(start_paused = true)]
async fn who_reads_nothing_and_talks_on_makes_nothing_grow() {
    let mut config = smallest(64);
    config.patience = Duration::ZERO;
    let hub = Hub::new(config);
    let mut config = SessionConfig::default();
    config.stall_timeout = Duration::from_secs(86_400);
    let mut peer = Peer::connect_with(&hub, "mem:1", &config, 16);
    for number in 0..1_000 {
        peer.say(&format!("{number}")).await;
        all_idle().await;
    }
    peer.finish().await;
    let rest = peer.rest().await;
    let bytes: usize = rest.iter().map(|line| line.len() + 1).sum();
    let gaps: Vec<_> = rest.iter().filter(|line| line.starts_with("* ")).collect();
    // What it was in the middle of, what the log holds, and what it missed in between.
    assert!(
        gaps.len() <= 2 && bytes < 6_000,
        "{} gaps in {bytes} bytes",
        gaps.len()
    );
    let number = |gap: &&String| {
        gap["* ".len()..]
            .split(' ')
            .next()
            .unwrap()
            .parse::<usize>()
    };
    let missed: usize = gaps.iter().map(|gap| number(gap).unwrap()).sum();
    assert_eq!(missed + rest.len() - gaps.len(), 1 + 1_000);
}

#[test]
fn publishing_to_a_thousand_stalled_members_gives_the_same_numbers_and_needs_no_runtime() {
    let publish_all = |stalled: usize| {
        let hub = Hub::new(smallest(64));
        let members: Vec<_> = (0..stalled).map(|n| join(&hub, &format!("s{n}"))).collect();
        let writer = join(&hub, "writer");
        let first = writer.position();
        let mut numbers = Vec::new();
        for n in 0..5_000 {
            numbers.push(writer.publish(&format!("line {n}")).unwrap() - first);
            let many = ["a", "b", "c"];
            let range = hub.publish_many(writer.id(), &many).unwrap();
            numbers.extend(range.map(|number| number - first));
        }
        assert_eq!(hub.stats().members, stalled + 1);
        drop(members);
        numbers
    };
    let alone = publish_all(0);
    assert_eq!(alone, (0..20_000).collect::<Vec<_>>());
    assert_eq!(publish_all(1_000), alone);
}

#[tokio::test]
async fn publishing_to_stalled_sessions_does_not_wait_for_one() {
    let hub = Hub::new(smallest(64));
    let config = SessionConfig::default();
    let peers: Vec<_> = (0..1_000)
        .map(|n| Peer::connect_with(&hub, &format!("mem:{n}"), &config, 1))
        .collect();
    while hub.stats().members < peers.len() {
        yield_now().await;
    }
    let writer = join(&hub, "writer");
    // No await: only this task runs.
    publish(&writer, 10_000);
    yield_now().await;
    publish(&writer, 10_000);
    assert_eq!(hub.stats().published, 20_000);
    assert!(peers.iter().all(|peer| !peer.is_over()));
}

#[test]
fn what_the_hub_holds_does_not_grow_with_slowness() {
    let mut config = HubConfig::default();
    config.log_bytes = 64 * 1024;
    let hub = Hub::new(config.clone());
    let mut slow: Vec<_> = (0..1_000).map(|n| join(&hub, &format!("s{n}"))).collect();
    let writer = join(&hub, "writer");
    for _ in 0..100 {
        publish(&writer, 200);
        let stats = hub.stats();
        assert!(stats.bytes <= config.log_bytes as u64);
        assert!(stats.events <= stats.bytes);
        assert!(stats.behind <= stats.bytes);
    }
    let full = hub.stats();
    assert!(full.bytes > config.log_bytes as u64 / 2, "it is used, too");
    assert_eq!(full.overrun, 1_001, "the writer reads nothing either");
    assert_eq!(full.behind, full.bytes);
    for member in &mut slow {
        assert!(matches!(member.try_recv(), Ok(Delivery::Gap { .. })));
    }
    let told = hub.stats();
    assert_eq!((told.bytes, told.events), (full.bytes, full.events));
}

#[test]
fn the_smallest_log_holds_eight_lines_of_the_greatest_length() {
    for max_text in [0, 64, 4096, 1 << 20] {
        let hub = Hub::new(smallest(max_text));
        // The longest name, of letters that are four bytes each.
        let name = |first| Name::assigned(&format!("{first}:{}", "\u{20000}".repeat(62))).unwrap();
        let member = hub.join(name('a')).unwrap();
        let text = "x".repeat(max_text);
        for _ in 0..8 {
            member.publish(&text).unwrap();
        }
        assert!(hub.stats().events >= 8, "texts: {:?}", hub.stats());
        for first in "bcdefghi".chars() {
            hub.rename(member.id(), name(first)).unwrap();
        }
        assert!(hub.stats().events >= 8, "renamings: {:?}", hub.stats());
    }
}

#[test]
fn stats_tell_gaps_missed_behind_and_overrun() {
    let hub = Hub::new(smallest(64));
    let mut slow = join(&hub, "slow");
    let mut quick = join(&hub, "quick");
    let quiet = hub.stats();
    assert_eq!((quiet.members, quiet.published, quiet.position), (2, 0, 2));
    assert_eq!((quiet.gaps, quiet.missed, quiet.overrun), (0, 0, 0));
    let mut quick_record = Record::of(&quick);
    let mut slow_record = Record::of(&slow);
    while hub.stats().overrun == 0 {
        publish(&quick, 1);
        quick_record.catch_up(&mut quick);
    }
    // The slow one has just lost its first, and knows nothing of it.
    let lost = hub.stats();
    let missed = lost.position - lost.events - slow.position();
    assert_eq!((lost.overrun, lost.gaps, lost.missed), (1, 0, 0));
    assert_eq!(lost.behind, lost.bytes);
    slow_record.catch_up(&mut slow);
    let told = hub.stats();
    assert_eq!((told.overrun, told.gaps), (0, 1));
    assert_eq!((told.missed, slow_record.missed()), (missed, missed));
    assert!(told.behind <= told.bytes.div_ceil(32), "{told:?}");
    assert_adds_up(&slow_record, &hub);
    // A few lines behind is a few lines behind, up to a 64th of the log.
    publish(&quick, 10);
    let behind = hub.stats().behind;
    let lines = 10 * ("quick: 100 ".len() as u64 + 40);
    assert!((1..=lines + told.bytes / 32).contains(&behind), "{behind}");
    drop(slow);
    quick_record.catch_up(&mut quick);
    assert!(hub.stats().behind <= told.bytes.div_ceil(32));
}
