use super::*;
use chat_core::{Batch, Delivery};
use std::time::Duration;
use tokio::time::sleep;

/// Sends the batches and notices that it takes from the feed to a channel.
struct BatchWriter(mpsc::UnboundedSender<(Batch, String)>);

#[async_trait]
impl DeliverHalf for BatchWriter {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        let mut batch = Batch::default();
        let notices = feed.take_batch(&mut batch);
        self.0.send((batch, notices)).map_err(io::Error::other)
    }

    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn separates_notices_from_items() {
    let hub = hub(0);
    let (input, inputs) = mpsc::unbounded_channel();
    let (batches, mut taken) = mpsc::unbounded_channel();
    let fake = FakeTransport(inputs, BatchWriter(batches));
    spawn(&hub, "fake:1", fake, &SessionConfig::default());
    run_until_idle().await;
    let (greeting, notices) = taken.try_recv().unwrap();
    assert!(greeting.is_empty());
    assert_eq!(notices, "You are fake:1\n");
    let writer = join(&hub, "writer");
    let lines = 1_000;
    for _ in 0..lines {
        writer.publish("on and on").unwrap();
    }
    run_until_idle().await;
    let (batch, notices) = taken.try_recv().unwrap();
    assert_eq!(notices, "");
    let items: Vec<_> = batch.iter().collect();
    let missed = batch.missed();
    assert_eq!(items[0], Delivery::Gap { missed });
    assert_eq!(items.len() as u64 - 1 + missed, 1 + lines);
    input.send("/nonsense").unwrap();
    run_until_idle().await;
    let (batch, notices) = taken.try_recv().unwrap();
    assert_eq!(notices, "");
    let [direct] = batch.directs() else {
        panic!("{batch:?} has one notice");
    };
    assert_eq!(batch.len(), 1);
    assert_eq!(direct.sender(), None);
    assert_eq!(direct.text(), "unknown command /nonsense, /help lists them");
    hub.close();
    run_until_idle().await;
    let (batch, notices) = taken.try_recv().unwrap();
    assert_eq!(batch.closed(), Some(LeaveReason::Closed));
    assert_eq!(notices, "", "the final notice comes after the end");
    let (batch, notices) = taken.try_recv().unwrap();
    assert!(batch.is_empty());
    assert_eq!(notices, GOODBYE);
    assert!(
        taken.try_recv().is_err(),
        "nothing comes after the final notice"
    );
}

/// Takes a batch, which its peer accepts 20 s later.
struct SlowBatches(mpsc::UnboundedSender<usize>);

#[async_trait]
impl DeliverHalf for SlowBatches {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        let mut batch = Batch::default();
        feed.take_batch(&mut batch);
        sleep(Duration::from_secs(20)).await;
        self.0.send(batch.len()).map_err(io::Error::other)
    }

    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn mail_alone_is_progress() {
    let hub = hub(0);
    let (_input, inputs) = mpsc::unbounded_channel();
    let (items, mut taken) = mpsc::unbounded_channel();
    let mut config = SessionConfig::default();
    (config.stall_timeout, config.idle_timeout) = (Duration::from_secs(30), None);
    let fake = FakeTransport(inputs, SlowBatches(items));
    let _session = spawn(&hub, "fake:1", fake, &config);
    run_until_idle().await;
    let peer = Name::assigned("fake:1").expect("the name is valid");
    for _ in 0..20 {
        let peer = hub.find(&peer).expect("the peer takes its mail");
        hub.notify(peer, "psst").expect("there is room");
        sleep(Duration::from_secs(10)).await;
    }
    let mut all = 0;
    while let Ok(items) = taken.try_recv() {
        all += items;
    }
    assert!((17..=20).contains(&all), "{all}");
}
