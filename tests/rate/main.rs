//! Rate limits: input beyond the rate is not read, so it is delayed and never lost. The limit of
//! peers per address.

mod departure;
mod origin;

use chat_core::session::{Rate, SessionConfig};
use chat_core::transport::memory;
use chat_core::{Delivery, EventKind, Hub, HubConfig, Member};
use chat_tests::memory::{CAPACITY, Peer, join, run_until_idle, spawn};
use chat_tests::paused_runtime;
use proptest::prelude::*;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep, sleep_until};

const SECOND: Duration = Duration::from_secs(1);

fn limited() -> SessionConfig {
    let mut config = SessionConfig::default();
    config.rate = Some(Rate::default());
    config
}

/// The texts of all messages that the member can read now.
fn messages(member: &mut Member) -> Vec<String> {
    let mut texts = Vec::new();
    while let Ok(Delivery::Event(event)) = member.try_recv() {
        if event.kind() == EventKind::Message {
            texts.push(event.text().into());
        }
    }
    texts
}

fn numbered(lines: std::ops::Range<usize>) -> Vec<String> {
    lines.map(|line| line.to_string()).collect()
}

mod limit {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn delays_without_loss() {
        let hub = Hub::new(HubConfig::default());
        let mut observer = join(&hub, "observer");
        let mut peer = Peer::connect_with(&hub, "mem:1", &limited(), CAPACITY);
        let start = Instant::now();
        let lines: String = (0..1000).map(|line| format!("{line}\n")).collect();
        peer.send(&lines).await;
        let mut received = Vec::new();
        for second in 0..196 {
            // Shortly after the full second, when the next line is due.
            sleep_until(start + second * SECOND + SECOND / 100).await;
            received.append(&mut messages(&mut observer));
            let due = 20 + 5 * second as usize;
            assert_eq!(received, numbered(0..due), "after {second} s");
        }
        sleep(SECOND).await;
        received.append(&mut messages(&mut observer));
        assert_eq!(received, numbered(0..1000));
    }

    #[tokio::test(start_paused = true)]
    async fn leaves_excess_with_the_sender() {
        let hub = Hub::new(HubConfig::default());
        let (transport, stream) = memory::pair(CAPACITY);
        spawn(&hub, "mem:1", transport, &limited());
        let (mut echo, mut stream) = tokio::io::split(stream);
        tokio::spawn(async move { tokio::io::copy(&mut echo, &mut tokio::io::sink()).await });
        let mut sent = 0;
        // Empty lines, as many as the session reads in one minute.
        let sending = async {
            while stream.write_all(b"\n").await.is_ok() {
                sent += 1;
            }
        };
        let minute = tokio::time::timeout(60 * SECOND, sending).await;
        assert!(minute.is_err(), "the session still runs");
        let published = hub.stats().published;
        assert!((319..=320).contains(&published), "{published}");
        // The capacity of the connection and the bytes of one read.
        assert!(
            sent <= published + CAPACITY as u64 + 1024,
            "{sent} bytes read, {published} lines published"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn applies_to_bytes() {
        let hub = Hub::new(HubConfig::default());
        let mut observer = join(&hub, "observer");
        let mut config = limited();
        if let Some(rate) = &mut config.rate {
            rate.lines = NonZeroU32::new(1000).expect("not zero");
            rate.burst = rate.lines;
        }
        let mut peer = Peer::connect_with(&hub, "mem:1", &config, 1 << 20);
        peer.send(&format!("{}\n", "x".repeat(1023)).repeat(160))
            .await;
        let mut received = 0;
        for second in 1..=9 {
            sleep(SECOND).await;
            received += messages(&mut observer).len();
            let due = 16 + 16 * second;
            assert!(
                (due - 2..=due + 1).contains(&received),
                "{received} KiB after {second} s"
            );
        }
        sleep(SECOND).await;
        assert_eq!(received + messages(&mut observer).len(), 160);
    }

    #[tokio::test(start_paused = true)]
    async fn counts_commands_and_refused_lines() {
        let hub = Hub::new(HubConfig::default());
        let mut peer = Peer::connect_with(&hub, "mem:1", &limited(), CAPACITY);
        peer.send(&format!("/who\n{}\n", "x".repeat(5000)).repeat(10))
            .await;
        peer.send("late\n").await;
        let start = Instant::now();
        while peer.line().await != "mem:1: late" {}
        assert!(start.elapsed() >= SECOND / 5, "{:?}", start.elapsed());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn holds_in_every_interval(
            lines in 1u32..20,
            burst in 1u32..40,
            sends in prop::collection::vec((0u64..3000, 1usize..40), 1..20),
        ) {
            let times = paused_runtime().block_on(async {
                let hub = Hub::new(HubConfig::default());
                let mut observer = join(&hub, "observer");
                let mut config = SessionConfig::default();
                let mut rate = Rate::default();
                rate.lines = NonZeroU32::new(lines).expect("not zero");
                rate.burst = NonZeroU32::new(burst).expect("not zero");
                config.rate = Some(rate);
                config.idle_timeout = None;
                let mut peer = Peer::connect_with(&hub, "mem:1", &config, CAPACITY);
                let total: usize = sends.iter().map(|(_, count)| count).sum();
                let sending = async {
                    for (pause, count) in sends {
                        sleep(Duration::from_millis(pause)).await;
                        peer.send(&"line\n".repeat(count)).await;
                    }
                };
                let receiving = async {
                    let start = Instant::now();
                    let mut times = Vec::new();
                    while times.len() < total {
                        if let Some(Delivery::Event(event)) = observer.recv().await
                            && event.kind() == EventKind::Message
                        {
                            times.push(start.elapsed());
                        }
                    }
                    times
                };
                tokio::join!(sending, receiving).1
            });
            for from in 0..times.len() {
                for to in from..times.len() {
                    let time = times[to] - times[from] + Duration::from_millis(2);
                    let share = f64::from(burst) + f64::from(lines) * time.as_secs_f64();
                    let count = to - from + 1;
                    prop_assert!(count as f64 <= share + 1e-6, "{count} in {time:?}");
                }
            }
        }
    }
}
