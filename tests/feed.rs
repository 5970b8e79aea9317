//! What a transport gets out of its feed, whatever it takes at a time and in whichever form.

use async_trait::async_trait;
use chat_core::session::SessionConfig;
use chat_core::transport::{DeliverHalf, Feed, Inbox, ReceiveHalf, Received, Transport};
use chat_core::{Batch, Delivery, Hub, HubConfig, LeaveReason};
use chat_tests::memory::{DEADLINE, Transcript, all_idle, join, spawn, timely};
use proptest::prelude::*;
use std::io::{self, ErrorKind::WouldBlock};
use tokio::sync::mpsc;

fn hub(log_bytes: usize) -> Hub {
    let mut config = HubConfig::default();
    (config.log_bytes, config.max_text) = (log_bytes, 64);
    Hub::new(config)
}

/// A peer whose input is this channel and whose output is taken by `D`.
struct Fake<D>(mpsc::UnboundedReceiver<&'static str>, D);

impl<D: DeliverHalf + 'static> Transport for Fake<D> {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        (Box::new(Input(self.0)), Box::new(self.1))
    }
}

struct Input(mpsc::UnboundedReceiver<&'static str>);

#[async_trait]
impl ReceiveHalf for Input {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        match self.0.recv().await {
            Some(message) => {
                inbox.text(message);
                Ok(Received::More)
            }
            None => Ok(Received::End),
        }
    }
}

/// Takes as many bytes at a time as it is told; without orders, all there is.
struct Bytes {
    orders: mpsc::UnboundedReceiver<usize>,
    taken: mpsc::UnboundedSender<Vec<u8>>,
}

#[async_trait]
impl DeliverHalf for Bytes {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        let order = self.orders.recv().await.unwrap_or(usize::MAX);
        let taken = feed.lend(|bytes| match order {
            0 => Err(WouldBlock.into()),
            _ => {
                let piece = &bytes[..order.min(bytes.len())];
                self.taken.send(piece.into()).map_err(io::Error::other)?;
                Ok(piece.len())
            }
        });
        match taken {
            Err(error) if error.kind() != WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        Ok(())
    }
}

/// What happens to a peer: so many lines are said, then it takes so many bytes at a time.
type Script = Vec<(usize, Vec<usize>)>;

/// Plays a script, and gives what the peer got in all.
fn play(hub: &Hub, script: &Script, obeys: bool, said: &mut Transcript) -> String {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build();
    let runtime = runtime.expect("a runtime without I/O can be built");
    runtime.block_on(async {
        let (input, inputs) = mpsc::unbounded_channel();
        let (order, orders) = mpsc::unbounded_channel();
        let (taken, mut all_taken) = mpsc::unbounded_channel();
        let fake = Fake(inputs, Bytes { orders, taken });
        let session = spawn(hub, "fake:1", fake, &SessionConfig::default());
        all_idle().await;
        let writer = join(hub, "writer");
        said.expect("writer has arrived");
        for (lines, sizes) in script {
            for _ in 0..*lines {
                let n = said.said();
                said.say(&writer, &format!("{n} {}", "é".repeat(n * 7 % 30)));
            }
            for size in sizes {
                let size = if obeys { *size } else { usize::MAX };
                order.send(size).expect("the session goes on");
            }
            all_idle().await;
        }
        hub.close();
        drop(order);
        all_idle().await;
        drop(input);
        let ended = timely(DEADLINE, "ending", session).await;
        assert_eq!(ended.expect("it does not panic"), Ok(LeaveReason::Closed));
        let mut bytes = Vec::new();
        while let Some(piece) = all_taken.recv().await {
            bytes.extend(piece);
        }
        String::from_utf8(bytes).expect("what it gets is UTF-8")
    })
}

fn scripts(most_lines: usize) -> impl Strategy<Value = Script> {
    let size = prop_oneof![
        2 => Just(0),
        3 => 1..4usize,
        3 => 1..200usize,
        1 => 1..5_000usize,
    ];
    let step = (0..most_lines, prop::collection::vec(size, 0..12));
    prop::collection::vec(step, 1..12)
}

const GREETING: &str = "You are fake:1\n";
const GOODBYE: &str = "* server is going down\n";

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..Default::default() })]

    #[test]
    fn a_writer_that_takes_any_number_of_bytes_gets_what_one_gets_that_takes_all(
        script in scripts(40),
    ) {
        let mut said = Transcript::default();
        let piecemeal = play(&hub(8 << 20), &script, true, &mut said);
        let all = play(&hub(8 << 20), &script, false, &mut Transcript::default());
        prop_assert_eq!(&piecemeal, &all);
        prop_assert!(piecemeal.starts_with(GREETING) && piecemeal.ends_with(GOODBYE));
        for line in piecemeal[GREETING.len()..].lines().take(said.said()) {
            said.hear(line);
        }
        prop_assert_eq!(said.untold(), 0);
    }

    #[test]
    fn when_the_log_overruns_it_it_gets_whole_lines_and_gaps_that_add_up(
        script in scripts(200),
    ) {
        let hub = hub(0);
        let mut said = Transcript::default();
        let heard = play(&hub, &script, true, &mut said);
        let body = heard.strip_suffix(GOODBYE).expect("the end is the end");
        let mut lines = body.lines();
        prop_assert_eq!(lines.next(), Some("You are fake:1"));
        lines.for_each(|line| said.hear(line));
        prop_assert_eq!(said.untold(), 0);
        prop_assert_eq!(hub.stats().missed, said.skipped());
    }
}

/// Hands over what it takes from the feed as text.
struct Texts(mpsc::UnboundedSender<String>);

#[async_trait]
impl DeliverHalf for Texts {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        self.0.send(feed.take()).map_err(io::Error::other)
    }

    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn taken_as_text_it_is_all_there_is_now_in_whole_lines() {
    let hub = hub(0);
    let (input, inputs) = mpsc::unbounded_channel();
    let (texts, mut taken) = mpsc::unbounded_channel();
    spawn(
        &hub,
        "fake:1",
        Fake(inputs, Texts(texts)),
        &SessionConfig::default(),
    );
    all_idle().await;
    assert_eq!(taken.try_recv().unwrap(), "You are fake:1\n");
    let writer = join(&hub, "writer");
    hub.publish_many(writer.id(), &["one", "two"]).unwrap();
    all_idle().await;
    let expected = "writer has arrived\nwriter: one\nwriter: two\n";
    assert_eq!(taken.try_recv().unwrap(), expected);
    let lines = 1_000;
    for _ in 0..lines {
        writer.publish("on and on").unwrap();
    }
    input.send("/nonsense").unwrap();
    all_idle().await;
    let mut all = String::new();
    while let Ok(text) = taken.try_recv() {
        assert!(text.is_empty() || text.ends_with('\n'));
        all += &text;
    }
    let events = all
        .lines()
        .filter(|line| *line == "writer: on and on")
        .count();
    let skipped = format!("* {} messages skipped\n", lines - events);
    assert!(all.starts_with(&skipped), "{all}");
    // The notice answers what was said after all that.
    assert!(all.ends_with("on and on\n* unknown command /nonsense, /help lists them\n"));
}

/// Hands over what it takes from the feed as items.
struct Batches(mpsc::UnboundedSender<(Batch, String)>);

#[async_trait]
impl DeliverHalf for Batches {
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
async fn taken_as_a_batch_gaps_and_the_end_are_items_and_notices_stand_apart() {
    let hub = hub(0);
    let (input, inputs) = mpsc::unbounded_channel();
    let (batches, mut taken) = mpsc::unbounded_channel();
    let fake = Fake(inputs, Batches(batches));
    spawn(&hub, "fake:1", fake, &SessionConfig::default());
    all_idle().await;
    let (greeting, notices) = taken.try_recv().unwrap();
    assert!(greeting.is_empty());
    assert_eq!(notices, "You are fake:1\n");
    let writer = join(&hub, "writer");
    let lines = 1_000;
    for _ in 0..lines {
        writer.publish("on and on").unwrap();
    }
    all_idle().await;
    let (batch, notices) = taken.try_recv().unwrap();
    assert_eq!(notices, "");
    let items: Vec<_> = batch.iter().collect();
    let missed = batch.missed();
    assert_eq!(items[0], Delivery::Gap { missed });
    assert_eq!(items.len() as u64 - 1 + missed, 1 + lines);
    input.send("/nonsense").unwrap();
    all_idle().await;
    let (batch, notices) = taken.try_recv().unwrap();
    assert!(batch.is_empty());
    assert_eq!(notices, "* unknown command /nonsense, /help lists them\n");
    hub.close();
    all_idle().await;
    let (batch, notices) = taken.try_recv().unwrap();
    assert_eq!(batch.closed(), Some(LeaveReason::Closed));
    assert_eq!(notices, "", "the last words come after the end");
    let (batch, notices) = taken.try_recv().unwrap();
    assert!(batch.is_empty());
    assert_eq!(notices, GOODBYE);
    assert!(taken.try_recv().is_err(), "that was the end");
}
