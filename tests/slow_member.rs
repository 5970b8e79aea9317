//! Slow members: exact gaps, bounded memory, and publishers that do not wait.

use chat_core::session::SessionConfig;
use chat_core::{Batch, Delivery, Hub, HubConfig, Member, Name, TryRecvError};
use chat_tests::history::Record;
use chat_tests::memory::{Peer, Transcript, join, run_until_idle};
use std::time::Duration;
use tokio::task::yield_now;

/// The smallest log for texts of up to `max_text` bytes.
fn smallest(max_text: usize) -> HubConfig {
    let mut config = HubConfig::default();
    config.log_bytes = 0;
    config.max_text = max_text;
    config
}

/// Publishes `count` distinct texts.
fn publish(writer: &Member, count: u64) {
    let first = writer.hub().stats().published;
    for n in first..first + count {
        let text = format!("{n} {}", "x".repeat(n as usize % 40));
        writer.publish(&text).expect("the writer is a member");
    }
}

/// How many lines are published between two reads of a slow member: fewer than the log holds, as
/// many, more, and many times more.
const BURSTS: [u64; 12] = [3, 0, 40, 100, 1, 150, 2000, 90, 5, 120, 700, 60];

/// Asserts that the events delivered to a slow member and those missed add up to all events, and
/// that there are some of each.
fn assert_adds_up(record: &Record, hub: &Hub) {
    assert_eq!(record.check(), Ok(()));
    assert_eq!(record.next(), hub.stats().position.number);
    assert!(record.delivered() > 0 && record.missed() > 0);
    let stats = hub.stats();
    assert_eq!(stats.gaps, record.gaps() as u64);
    assert_eq!(stats.missed, record.missed());
}

mod delivered_and_missed {
    use super::*;

    #[test]
    fn add_up_with_try_recv() {
        let hub = Hub::new(smallest(64));
        let mut slow = join(&hub, "slow");
        let mut record = Record::of(&slow);
        let writer = join(&hub, "writer");
        for burst in BURSTS {
            publish(&writer, burst);
            // Some of the reads stop before the last available event.
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
    async fn add_up_with_recv() {
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
    async fn add_up_with_recv_many() {
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
    async fn add_up_for_any_write_size() {
        for capacity in [1, 7, 64, 1000] {
            let hub = Hub::new(smallest(64));
            let config = SessionConfig::default();
            let mut peer = Peer::connect_with(&hub, "mem:1", &config, capacity);
            run_until_idle().await;
            let writer = join(&hub, "writer");
            peer.expect_line("You are mem:1").await;
            peer.expect_line("writer has arrived").await;
            let mut transcript = Transcript::default();
            let mut partly = 0;
            for (at, burst) in BURSTS.into_iter().cycle().take(100).enumerate() {
                let first = transcript.expected();
                for n in first..first + burst as usize {
                    transcript.publish(&writer, &format!("{n} {}", "é".repeat(n * 7 % 30)));
                }
                // The session writes a part, then the log overruns the line that it is writing.
                run_until_idle().await;
                partly += usize::from(peer.has_partial_line());
                for _ in 0..at % 40 {
                    if transcript.outstanding() > 20 {
                        peer.receive(at % 11 + 1).await;
                    }
                }
                while let Some(line) = peer.buffered_line() {
                    transcript.check_line(&line);
                }
            }
            hub.close();
            let mut rest = peer.rest().await;
            assert_eq!(rest.pop().unwrap(), "* server is going down");
            rest.iter().for_each(|line| transcript.check_line(line));
            assert_eq!(transcript.outstanding(), 0);
            let stats = hub.stats();
            assert_eq!(stats.missed, transcript.skipped());
            assert_eq!(stats.gaps, transcript.gaps());
            assert!(transcript.gaps() > 10, "{} gaps", transcript.gaps());
            assert!(partly > 10, "stopped within a line only {partly} times");
        }
    }
}

mod memory {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn is_bounded_for_unread_output() {
        let mut config = smallest(64);
        config.patience = Duration::ZERO;
        let hub = Hub::new(config);
        let mut config = SessionConfig::default();
        config.stall_timeout = Duration::from_secs(86_400);
        let mut peer = Peer::connect_with(&hub, "mem:1", &config, 16);
        for number in 0..1_000 {
            peer.send_line(&format!("{number}")).await;
            run_until_idle().await;
        }
        peer.half_close().await;
        let rest = peer.rest().await;
        let bytes: usize = rest.iter().map(|line| line.len() + 1).sum();
        let gaps: Vec<_> = rest.iter().filter(|line| line.starts_with("* ")).collect();
        // The peer receives the rest of one line, gap notices and the content of the log.
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
    fn is_independent_of_slow_members() {
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
        assert!(
            full.bytes > config.log_bytes as u64 / 2,
            "the log is at least half full"
        );
        assert_eq!(full.overrun, 1_001, "the writer does not read either");
        assert_eq!(full.behind, full.bytes);
        for member in &mut slow {
            assert!(matches!(member.try_recv(), Ok(Delivery::Gap { .. })));
        }
        let reported = hub.stats();
        assert_eq!((reported.bytes, reported.events), (full.bytes, full.events));
    }

    #[test]
    fn smallest_log_holds_eight_lines() {
        for max_text in [0, 64, 4096, 1 << 20] {
            let hub = Hub::new(smallest(max_text));
            // The longest name, of letters with four bytes each.
            let name =
                |first| Name::assigned(&format!("{first}:{}", "\u{20000}".repeat(62))).unwrap();
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
}

mod publish {
    use super::*;

    #[test]
    fn numbers_ignore_stalled_members() {
        let publish_all = |stalled: usize| {
            let hub = Hub::new(smallest(64));
            let members: Vec<_> = (0..stalled).map(|n| join(&hub, &format!("s{n}"))).collect();
            let writer = join(&hub, "writer");
            let first = writer.position().number;
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
    async fn does_not_wait_for_stalled_sessions() {
        let hub = Hub::new(smallest(64));
        let config = SessionConfig::default();
        let peers: Vec<_> = (0..1_000)
            .map(|n| Peer::connect_with(&hub, &format!("mem:{n}"), &config, 1))
            .collect();
        while hub.stats().members < peers.len() {
            yield_now().await;
        }
        let writer = join(&hub, "writer");
        // There is no await, so only this task runs.
        publish(&writer, 10_000);
        yield_now().await;
        publish(&writer, 10_000);
        assert_eq!(hub.stats().published, 20_000);
        assert!(peers.iter().all(|peer| !peer.has_ended()));
    }
}

mod stats {
    use super::*;

    #[test]
    fn report_gaps_lag_and_overrun() {
        let hub = Hub::new(smallest(64));
        let mut slow = join(&hub, "slow");
        let mut quick = join(&hub, "quick");
        let initial = hub.stats();
        assert_eq!(
            (initial.members, initial.published, initial.position.number),
            (2, 0, 2)
        );
        assert_eq!((initial.gaps, initial.missed, initial.overrun), (0, 0, 0));
        let mut quick_record = Record::of(&quick);
        let mut slow_record = Record::of(&slow);
        while hub.stats().overrun == 0 {
            publish(&quick, 1);
            quick_record.catch_up(&mut quick);
        }
        // The slow member has just lost its first event and has not read the gap.
        let lost = hub.stats();
        let missed = lost.position.number - lost.events - slow.position().number;
        assert_eq!((lost.overrun, lost.gaps, lost.missed), (1, 0, 0));
        assert_eq!(lost.behind, lost.bytes);
        slow_record.catch_up(&mut slow);
        let reported = hub.stats();
        assert_eq!((reported.overrun, reported.gaps), (0, 1));
        assert_eq!((reported.missed, slow_record.missed()), (missed, missed));
        assert!(
            reported.behind <= reported.bytes.div_ceil(32),
            "{reported:?}"
        );
        assert_adds_up(&slow_record, &hub);
        // The lag is exact up to a 128th of the log.
        publish(&quick, 10);
        let behind = hub.stats().behind;
        let lines = 10 * ("quick: 100 ".len() as u64 + 40);
        assert!(
            (1..=lines + reported.bytes / 32).contains(&behind),
            "{behind}"
        );
        drop(slow);
        quick_record.catch_up(&mut quick);
        assert!(hub.stats().behind <= reported.bytes.div_ceil(32));
    }
}
