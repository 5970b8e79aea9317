//! Flow control: whoever publishes much may wait, a little, for members that make progress. The
//! clock is paused, so waiting for nothing takes no time at all.

use chat_core::session::SessionConfig;
use chat_core::transport::IoTransport;
use chat_core::{Hub, HubConfig, Member};
use chat_tests::memory::{all_idle, join, spawn};
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

/// One who publishes lines of one length and reads them at once.
struct Writer {
    member: Member,
    text: String,
    /// How many such lines the log holds.
    room: u64,
}

impl Writer {
    fn new(hub: &Hub, text_len: usize) -> Self {
        let text = "x".repeat(text_len);
        let like_it = hub_with(PATIENCE);
        let other = join(&like_it, "writer");
        for _ in 0..LOG / 8 {
            other.publish(&text).expect("it is here");
        }
        Self {
            member: join(hub, "writer"),
            text,
            room: like_it.stats().events,
        }
    }

    fn publish(&mut self, count: u64) {
        for _ in 0..count {
            self.member.publish(&self.text).expect("it is here");
            while self.member.try_recv().is_ok() {}
        }
    }

    /// Publishes until the slow one has so many percent of the log before it.
    fn leave_behind(&mut self, slow: &Member, percent: u64) {
        let behind = self.member.position() - slow.position();
        self.publish((self.room * percent / 100) - behind);
    }
}

fn read(member: &mut Member, count: u64) {
    for _ in 0..count {
        member.try_recv().expect("it is far behind");
    }
}

/// How long one call takes.
async fn pace(hub: &Hub) -> Duration {
    let start = Instant::now();
    hub.pace().await;
    start.elapsed()
}

/// Waits until patience is over, to the resolution of tokio's clock.
async fn assert_waits(hub: &Hub) {
    let waited = pace(hub).await;
    let patience = PATIENCE..=PATIENCE + Duration::from_millis(1);
    assert!(patience.contains(&waited), "{waited:?}");
}

async fn assert_does_not_wait(hub: &Hub) {
    assert_eq!(pace(hub).await, Duration::ZERO);
}

/// Lines with which the log's ring is full first, and such with which its index is.
const TEXT_LENS: [usize; 2] = [100, 0];

#[tokio::test(start_paused = true)]
async fn nobody_is_waited_for_unless_it_is_about_to_be_overrun() {
    for text_len in TEXT_LENS {
        let hub = hub_with(PATIENCE);
        assert_does_not_wait(&hub).await;
        let mut slow = join(&hub, "slow");
        let mut writer = Writer::new(&hub, text_len);
        for percent in [10, 50, 65] {
            writer.leave_behind(&slow, percent);
            assert_does_not_wait(&hub).await;
        }
        // Also when the log has been full for long.
        for _ in 0..50 {
            read(&mut slow, writer.room / 10);
            writer.leave_behind(&slow, 65);
            assert_does_not_wait(&hub).await;
        }
        writer.leave_behind(&slow, 80);
        assert_waits(&hub).await;
    }
}

#[tokio::test(start_paused = true)]
async fn who_makes_no_progress_is_waited_for_once() {
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
        // A line is no progress to speak of, 6 % of the log is.
        read(&mut slow, 1);
        assert_does_not_wait(&hub).await;
        read(&mut slow, writer.room * 6 / 100);
        assert_waits(&hub).await;
        assert_does_not_wait(&hub).await;
        // To be overrun is no progress.
        writer.publish(2 * writer.room);
        assert_eq!(hub.stats().overrun, 1);
        assert_does_not_wait(&hub).await;
        read(&mut slow, 1);
        assert_does_not_wait(&hub).await;
    }
}

#[tokio::test(start_paused = true)]
async fn without_patience_nobody_is_waited_for() {
    let hub = hub_with(Duration::ZERO);
    let slow = join(&hub, "slow");
    let mut writer = Writer::new(&hub, 100);
    writer.leave_behind(&slow, 90);
    assert_does_not_wait(&hub).await;
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_over_as_soon_as_the_slow_one_is_out_of_danger() {
    let hub = hub_with(PATIENCE);
    let mut slow = join(&hub, "slow");
    let mut writer = Writer::new(&hub, 100);
    writer.leave_behind(&slow, 90);
    let some = writer.room / 20;
    let reading = tokio::spawn(async move {
        for _ in 0..4 {
            sleep(Duration::from_millis(1)).await;
            read(&mut slow, some);
        }
        slow
    });
    // 90, 85, 80, 75, 70 % behind, and danger is beyond 75 %, rounded to a 64th.
    let waited = pace(&hub).await;
    let expected = Duration::from_millis(3)..=Duration::from_millis(4);
    assert!(expected.contains(&waited), "{waited:?}");
    let slow = reading.await.unwrap();
    // It was not given up on: it has its credit for the next time.
    writer.leave_behind(&slow, 85);
    assert_waits(&hub).await;
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_over_as_soon_as_the_slow_one_is_gone() {
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
async fn all_who_wait_are_woken_and_a_wait_that_is_dropped_changes_nothing() {
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
    read(&mut slow, writer.room / 2);
    for wait in waits {
        wait.await.unwrap();
    }
    assert_eq!(start.elapsed(), Duration::from_millis(2));
}

/// A connection that takes nothing, and has had enough when it was tried too often.
struct Stuck(usize);

impl AsyncWrite for Stuck {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.0 += 1;
        match self.0 {
            // Under a paused clock, a session that spins would do so forever.
            20_000 => resume_unwind(Box::new("it spins")),
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
async fn a_session_that_waits_for_itself_does_not_spin() {
    let mut config = HubConfig::default();
    (config.log_bytes, config.max_text) = (0, 64);
    let hub = Hub::new(config);
    let (receiver, mut sender) = tokio::io::simplex(1024);
    let transport = IoTransport::from_halves(receiver, Stuck(0));
    let session = spawn(&hub, "mem:1", transport, &SessionConfig::default());
    for number in 0..1_000 {
        if session.is_finished() {
            break;
        }
        let line = format!("{number}\n");
        sender.write_all(line.as_bytes()).await.unwrap();
        all_idle().await;
    }
    assert!(!session.is_finished(), "it span");
    // At the end it may be waiting, though not for long.
    while hub.stats().published < 1_000 {
        all_idle().await;
    }
}
