//! Flow control: `Hub::pace` waits up to the patience for members that make progress. The clock is
//! paused, so a call that does not wait takes no time at all.

use chat_core::session::SessionConfig;
use chat_core::transport::IoTransport;
use chat_core::{Hub, HubConfig, Member};
use chat_tests::memory::{join, run_until_idle, spawn};
use std::io;
use std::panic::resume_unwind;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::time::{Instant, sleep};

const PATIENCE: Duration = Duration::from_millis(5);
const LOG: usize = 256 * 1024;

fn hub_with(patience: Duration) -> Hub {
    let mut config = HubConfig::default();
    config.log_bytes = LOG;
    config.patience = patience;
    Hub::new(config)
}

/// A member that publishes lines of one length and reads them at once.
struct Writer {
    member: Member,
    text: String,
    /// How many of these lines the log holds.
    capacity: u64,
}

impl Writer {
    fn new(hub: &Hub, text_len: usize) -> Self {
        let text = "x".repeat(text_len);
        let similar = hub_with(PATIENCE);
        let other = join(&similar, "writer");
        for _ in 0..LOG / 8 {
            other.publish(&text).expect("the writer is a member");
        }
        Self {
            member: join(hub, "writer"),
            text,
            capacity: similar.stats().events,
        }
    }

    fn publish(&mut self, count: u64) {
        for _ in 0..count {
            self.member
                .publish(&self.text)
                .expect("the writer is a member");
            while self.member.try_recv().is_ok() {}
        }
    }

    /// Publishes until the slow member is behind by this percentage of the log.
    fn leave_behind(&mut self, slow: &Member, percent: u64) {
        let behind = self.member.position().number - slow.position().number;
        self.publish((self.capacity * percent / 100) - behind);
    }
}

fn read(member: &mut Member, count: u64) {
    for _ in 0..count {
        member.try_recv().expect("the member is far behind");
    }
}

/// The duration of one call.
async fn pace(hub: &Hub) -> Duration {
    let start = Instant::now();
    hub.pace().await;
    start.elapsed()
}

/// Asserts that the call waits for the full patience, to the resolution of tokio's clock.
async fn assert_waits(hub: &Hub) {
    let waited = pace(hub).await;
    let patience = PATIENCE..=PATIENCE + Duration::from_millis(1);
    assert!(patience.contains(&waited), "{waited:?}");
}

async fn assert_does_not_wait(hub: &Hub) {
    assert_eq!(pace(hub).await, Duration::ZERO);
}

/// Texts with which the ring of the log fills up first, and texts with which its index does.
const TEXT_LENS: [usize; 2] = [100, 0];

mod wait {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn needs_a_member_near_overrun() {
        for text_len in TEXT_LENS {
            let hub = hub_with(PATIENCE);
            assert_does_not_wait(&hub).await;
            let mut slow = join(&hub, "slow");
            let mut writer = Writer::new(&hub, text_len);
            for percent in [10, 50, 65] {
                writer.leave_behind(&slow, percent);
                assert_does_not_wait(&hub).await;
            }
            // The same after many rounds on a full log.
            for _ in 0..50 {
                read(&mut slow, writer.capacity / 10);
                writer.leave_behind(&slow, 65);
                assert_does_not_wait(&hub).await;
            }
            writer.leave_behind(&slow, 80);
            assert_waits(&hub).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn needs_progress_since_the_last() {
        for text_len in TEXT_LENS {
            let hub = hub_with(PATIENCE);
            let mut slow = join(&hub, "slow");
            let mut writer = Writer::new(&hub, text_len);
            writer.leave_behind(&slow, 90);
            assert_waits(&hub).await;
            for _ in 0..10 {
                assert_does_not_wait(&hub).await;
                writer.publish(1);
            }
            // One line does not count as progress, 6 % of the log does: a 128th of the ring, of
            // which the shortest lines take a fifth.
            read(&mut slow, 1);
            assert_does_not_wait(&hub).await;
            read(&mut slow, writer.capacity * 6 / 100);
            assert_waits(&hub).await;
            assert_does_not_wait(&hub).await;
            // An overrun is no progress.
            writer.publish(2 * writer.capacity);
            assert_eq!(hub.stats().overrun, 1);
            assert_does_not_wait(&hub).await;
            read(&mut slow, 1);
            assert_does_not_wait(&hub).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn is_off_without_patience() {
        let hub = hub_with(Duration::ZERO);
        let slow = join(&hub, "slow");
        let mut writer = Writer::new(&hub, 100);
        writer.leave_behind(&slow, 90);
        assert_does_not_wait(&hub).await;
    }

    #[tokio::test(start_paused = true)]
    async fn ends_when_the_member_recovers() {
        let hub = hub_with(PATIENCE);
        let mut slow = join(&hub, "slow");
        let mut writer = Writer::new(&hub, 100);
        writer.leave_behind(&slow, 90);
        let some = writer.capacity / 20;
        let reading = tokio::spawn(async move {
            for _ in 0..4 {
                sleep(Duration::from_millis(1)).await;
                read(&mut slow, some);
            }
            slow
        });
        // Behind by 90, 85, 80, 75, 70 %. The limit is 75 %, rounded to a 128th of the log.
        let waited = pace(&hub).await;
        let expected = Duration::from_millis(3)..=Duration::from_millis(4);
        assert!(expected.contains(&waited), "{waited:?}");
        let slow = reading.await.unwrap();
        // The wait ended early, so the member earns another one.
        writer.leave_behind(&slow, 85);
        assert_waits(&hub).await;
    }

    #[tokio::test(start_paused = true)]
    async fn ends_when_the_member_leaves() {
        let hub = hub_with(PATIENCE);
        let slow = join(&hub, "slow");
        let mut writer = Writer::new(&hub, 100);
        writer.leave_behind(&slow, 90);
        tokio::spawn(async move {
            sleep(Duration::from_millis(1)).await;
            drop(slow);
        });
        assert_eq!(pace(&hub).await, Duration::from_millis(1));
    }

    #[tokio::test(start_paused = true)]
    async fn wakes_all_and_survives_a_drop() {
        let hub = hub_with(PATIENCE);
        let mut slow = join(&hub, "slow");
        let mut writer = Writer::new(&hub, 100);
        writer.leave_behind(&slow, 90);
        let dropped = tokio::time::timeout(Duration::from_millis(1), hub.pace()).await;
        assert!(dropped.is_err());
        let start = Instant::now();
        let waits: Vec<_> = (0..3)
            .map(|_| {
                let hub = hub.clone();
                tokio::spawn(async move { hub.pace().await })
            })
            .collect();
        sleep(Duration::from_millis(2)).await;
        assert!(waits.iter().all(|wait| !wait.is_finished()));
        read(&mut slow, writer.capacity / 2);
        for wait in waits {
            wait.await.unwrap();
        }
        assert_eq!(start.elapsed(), Duration::from_millis(2));
    }
}

mod given_up {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn wait_ends_for_all() {
        let hub = hub_with(PATIENCE);
        let slow = join(&hub, "slow");
        let mut writer = Writer::new(&hub, 100);
        writer.leave_behind(&slow, 90);
        let start = Instant::now();
        let early = tokio::spawn({
            let hub = hub.clone();
            async move { hub.pace().await }
        });
        sleep(Duration::from_millis(3)).await;
        // The slow member was waited for long enough when the patience of the first has ended.
        hub.pace().await;
        let patience = PATIENCE..=PATIENCE + Duration::from_millis(1);
        assert!(patience.contains(&start.elapsed()), "{:?}", start.elapsed());
        early.await.unwrap();
    }
}

mod publisher {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn is_no_slow_reader() {
        let hub = hub_with(PATIENCE);
        let publisher = join(&hub, "publisher").into_publisher();
        let slow = join(&hub, "slow");
        let mut writer = Writer::new(&hub, 100);
        writer.leave_behind(&slow, 90);
        let stats = hub.stats();
        assert!(stats.behind > 0 && stats.readers == 2, "{stats:?}");
        // A wait for a member ends when that becomes a publisher.
        let converted = tokio::spawn(async move {
            sleep(Duration::from_millis(1)).await;
            slow.into_publisher()
        });
        assert_eq!(pace(&hub).await, Duration::from_millis(1));
        let slow = converted.await.unwrap();
        writer.publish(3 * writer.capacity);
        let stats = hub.stats();
        assert_eq!((stats.overrun, stats.readers), (0, 1));
        assert!(stats.behind <= LOG as u64 / 128, "{stats:?}");
        assert_eq!((stats.members, hub.slowest(9).len()), (3, 1));
        assert_does_not_wait(&hub).await;
        assert!(publisher.publish("x").is_ok() && slow.publish("x").is_ok());
    }

    #[test]
    fn leaves_with_its_last_clone() {
        let hub = hub_with(PATIENCE);
        let publisher = join(&hub, "publisher").into_publisher();
        let clone = publisher.clone();
        drop(publisher);
        assert!(clone.publish("x").is_ok());
        assert_eq!(clone.name().as_ref(), hub.roster(1).names.first());
        drop(clone);
        assert_eq!(hub.stats().members, 0);
    }
}

mod session {
    use super::*;

    /// A writer that never takes a byte and panics after too many attempts.
    struct BlockedWriter(usize);

    impl AsyncWrite for BlockedWriter {
        fn poll_write(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            _: &[u8],
        ) -> Poll<io::Result<usize>> {
            self.0 += 1;
            match self.0 {
                // Under a paused clock, a session that spins would never return.
                20_000 => resume_unwind(Box::new("the session spins")),
                _ => Poll::Pending,
            }
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn does_not_spin_on_own_lag() {
        let mut config = HubConfig::default();
        (config.log_bytes, config.max_text) = (0, 64);
        let hub = Hub::new(config);
        let (receiver, mut sender) = tokio::io::simplex(1024);
        let transport = IoTransport::from_halves(receiver, BlockedWriter(0));
        let session = spawn(&hub, "mem:1", transport, &SessionConfig::default());
        for number in 0..1_000 {
            if session.is_finished() {
                break;
            }
            let line = format!("{number}\n");
            sender.write_all(line.as_bytes()).await.unwrap();
            run_until_idle().await;
        }
        assert!(!session.is_finished(), "the session has spun");
        // The session may still wait for its patience at the end.
        while hub.stats().published < 1_000 {
            run_until_idle().await;
        }
    }
}
