//! The feed of a transport: the same content for every write size, as bytes, as text or as a batch.

use async_trait::async_trait;
use chat_core::session::SessionConfig;
use chat_core::transport::{DeliverHalf, Feed, Inbox, ReceiveHalf, Received, Transport};
use chat_core::{Batch, Delivery, Hub, HubConfig, LeaveReason, Name, Removal, RemovalReason};
use chat_tests::memory::{DEADLINE, Transcript, join, run_until_idle, spawn};
use chat_tests::within;
use proptest::prelude::*;
use std::error::Error;
use std::io::{self, ErrorKind::WouldBlock};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::sleep;

fn hub(log_bytes: usize) -> Hub {
    let mut config = HubConfig::default();
    (config.log_bytes, config.max_text) = (log_bytes, 64);
    Hub::new(config)
}

/// A transport with a channel as its input and `D` as its delivering half.
struct FakeTransport<D>(mpsc::UnboundedReceiver<&'static str>, D);

impl<D: DeliverHalf + 'static> Transport for FakeTransport<D> {
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

const GREETING: &str = "You are fake:1\n";
const GOODBYE: &str = "* server is going down\n";

mod lend {
    use super::*;

    /// Takes the requested number of bytes at a time; after the last request, all bytes.
    pub(super) struct ByteWriter {
        pub(super) sizes: mpsc::UnboundedReceiver<usize>,
        pub(super) taken: mpsc::UnboundedSender<Vec<u8>>,
    }

    #[async_trait]
    impl DeliverHalf for ByteWriter {
        async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
            let size = self.sizes.recv().await.unwrap_or(usize::MAX);
            let taken = feed.lend(|bytes| match size {
                0 => Err(WouldBlock.into()),
                _ => {
                    let piece = &bytes[..size.min(bytes.len())];
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

    /// The steps of a test: for each line to publish, whether a notice to the peer follows it, then
    /// the sizes of the writes.
    pub(super) type Script = Vec<(Vec<bool>, Vec<usize>)>;

    /// Runs a script and returns the whole output; without `partial_writes`, every write takes all
    /// bytes.
    pub(super) fn play(
        hub: &Hub,
        script: &Script,
        partial_writes: bool,
        transcript: &mut Transcript,
    ) -> String {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        let runtime = runtime.expect("a runtime without I/O can be built");
        runtime.block_on(async {
            let (input, inputs) = mpsc::unbounded_channel();
            let (request, sizes) = mpsc::unbounded_channel();
            let (taken, mut all_taken) = mpsc::unbounded_channel();
            let fake = FakeTransport(inputs, ByteWriter { sizes, taken });
            let session = spawn(hub, "fake:1", fake, &SessionConfig::default());
            run_until_idle().await;
            let writer = join(hub, "writer");
            transcript.expect_line("writer has arrived");
            let peer = hub.find(&Name::assigned("fake:1").expect("the name is valid"));
            let peer = peer.expect("the session has joined");
            for (lines, sizes) in script {
                for notice in lines {
                    let n = transcript.expected();
                    transcript.publish(&writer, &format!("{n} {}", "é".repeat(n * 7 % 30)));
                    // The mailbox can be full.
                    let text = format!("after {n}");
                    if *notice && hub.notify(peer, &text).is_ok() {
                        transcript.expect_notice(&text);
                    }
                }
                for size in sizes {
                    let size = if partial_writes { *size } else { usize::MAX };
                    request.send(size).expect("the session goes on");
                }
                run_until_idle().await;
            }
            hub.close();
            drop(request);
            run_until_idle().await;
            drop(input);
            let ended = within(DEADLINE, "ending", session).await;
            assert_eq!(
                ended.expect("the session does not panic"),
                Ok(LeaveReason::Closed)
            );
            let mut bytes = Vec::new();
            while let Some(piece) = all_taken.recv().await {
                bytes.extend(piece);
            }
            String::from_utf8(bytes).expect("the output is UTF-8")
        })
    }

    #[tokio::test(start_paused = true)]
    async fn large_mailbox_is_lent_in_parts() {
        let mut config = HubConfig::default();
        config.mailbox_bytes = 4 << 20;
        let hub = Hub::new(config);
        let (_input, inputs) = mpsc::unbounded_channel();
        let (request, sizes) = mpsc::unbounded_channel();
        let (taken, mut all_taken) = mpsc::unbounded_channel();
        let fake = FakeTransport(inputs, ByteWriter { sizes, taken });
        spawn(&hub, "fake:1", fake, &SessionConfig::default());
        request.send(usize::MAX).unwrap();
        run_until_idle().await;
        let peer = hub.find(&Name::assigned("fake:1").unwrap()).unwrap();
        let mut expected = String::from(GREETING);
        for n in 0..1_000 {
            let text = format!("{n} {}", "x".repeat(1_000));
            hub.notify(peer, &text).unwrap();
            expected += &format!("* {text}\n");
            if n % 100 == 0 {
                hub.announce(&text).unwrap();
                expected += &format!("*** {text}\n");
            }
        }
        let mut output = Vec::new();
        for _ in 0..40 {
            request.send(usize::MAX).unwrap();
            run_until_idle().await;
            while let Ok(piece) = all_taken.try_recv() {
                assert!(piece.len() < 70_000, "{} bytes", piece.len());
                output.extend(piece);
            }
        }
        assert_eq!(output, expected.as_bytes());
    }

    /// Until the peer takes the notice of its gap, it has not been told of it.
    #[tokio::test(start_paused = true)]
    async fn refused_gap_counts_as_overrun() {
        let hub = hub(0);
        let (_input, inputs) = mpsc::unbounded_channel();
        let (request, sizes) = mpsc::unbounded_channel();
        let (taken, mut all_taken) = mpsc::unbounded_channel();
        let fake = FakeTransport(inputs, ByteWriter { sizes, taken });
        spawn(&hub, "fake:1", fake, &SessionConfig::default());
        request.send(usize::MAX).unwrap();
        run_until_idle().await;
        for n in 0..1_000 {
            hub.announce(&n.to_string()).unwrap();
        }
        for _ in 0..2 {
            let stats = hub.stats();
            assert_eq!((stats.overrun, stats.gaps), (1, 0));
            request.send(0).unwrap();
            run_until_idle().await;
        }
        request.send(usize::MAX).unwrap();
        run_until_idle().await;
        let stats = hub.stats();
        assert_eq!((stats.overrun, stats.gaps), (0, 1));
        assert_eq!(all_taken.recv().await.unwrap(), GREETING.as_bytes());
        assert!(all_taken.recv().await.unwrap().ends_with(b"*** 999\n"));
    }

    fn scripts(most_lines: usize) -> impl Strategy<Value = Script> {
        let size = prop_oneof![
            2 => Just(0),
            3 => 1..4usize,
            3 => 1..200usize,
            1 => 1..5_000usize,
        ];
        let lines = prop::collection::vec(prop::bool::weighted(0.2), 0..most_lines);
        let step = (lines, prop::collection::vec(size, 0..12));
        prop::collection::vec(step, 1..12)
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            cases: 200,
            failure_persistence: None,
            ..Default::default()
        })]

        #[test]
        fn output_is_independent_of_write_size(
            script in scripts(40),
        ) {
            let mut transcript = Transcript::default();
            let piecemeal = play(&hub(8 << 20), &script, true, &mut transcript);
            let all = play(&hub(8 << 20), &script, false, &mut Transcript::default());
            prop_assert_eq!(&piecemeal, &all);
            let body = piecemeal.strip_prefix(GREETING).expect("the greeting is first");
            let body = body.strip_suffix(GOODBYE).expect("the notice is last");
            body.lines().for_each(|line| transcript.check_line(line));
            prop_assert_eq!(transcript.outstanding(), 0);
        }

        #[test]
        fn overrun_output_has_whole_lines(
            script in scripts(200),
        ) {
            let hub = hub(0);
            let mut transcript = Transcript::default();
            let output = play(&hub, &script, true, &mut transcript);
            let body = output.strip_suffix(GOODBYE).expect("the output ends with the notice");
            let mut lines = body.lines();
            prop_assert_eq!(lines.next(), Some("You are fake:1"));
            lines.for_each(|line| transcript.check_line(line));
            prop_assert_eq!(transcript.outstanding(), 0);
            prop_assert_eq!(hub.stats().missed, transcript.skipped());
        }
    }
}

mod cut {
    use super::lend::play;
    use super::*;

    /// Lines and notices that are lent together, cut at every byte, with and without more output
    /// before the rest is taken.
    #[test]
    fn output_is_whole_after_any_byte() {
        let lines = vec![true, false, true, true, false];
        let uncut = vec![(lines.clone(), vec![usize::MAX; 9])];
        let expected = play(&hub(8 << 20), &uncut, true, &mut Transcript::default());
        for cut in 0..expected.len() {
            for more in [vec![], vec![true, false]] {
                let script = vec![
                    (vec![], vec![usize::MAX]),
                    (lines.clone(), vec![cut, 1]),
                    (more, vec![0, 1, 2, 3, usize::MAX]),
                ];
                let mut transcript = Transcript::default();
                let output = play(&hub(8 << 20), &script, true, &mut transcript);
                let body = output
                    .strip_prefix(GREETING)
                    .expect("the greeting is first");
                let body = body.strip_suffix(GOODBYE).expect("the notice is last");
                body.lines().for_each(|line| transcript.check_line(line));
                assert_eq!(transcript.outstanding(), 0, "cut after {cut} bytes");
            }
        }
    }
}

mod removal {
    use super::lend::ByteWriter;
    use super::*;

    /// The output to a peer that takes these numbers of bytes and then everything: mail, a gap, mail
    /// that is due within it, lines, mail, and the last words.
    async fn output(
        sizes_of_writes: &[usize],
        size_of_rest: usize,
    ) -> Result<String, Box<dyn Error>> {
        let hub = hub(0);
        let (input, inputs) = mpsc::unbounded_channel();
        let (request, sizes) = mpsc::unbounded_channel();
        let (taken, mut all_taken) = mpsc::unbounded_channel();
        let fake = FakeTransport(inputs, ByteWriter { sizes, taken });
        let session = spawn(&hub, "fake:1", fake, &SessionConfig::default());
        request.send(usize::MAX)?;
        run_until_idle().await;
        let peer = hub.find(&Name::assigned("fake:1")?).ok_or("no member")?;
        hub.notify(peer, "first")?;
        hub.announce("one")?;
        hub.notify(peer, "second")?;
        for n in 0..600 {
            hub.announce(&n.to_string())?;
        }
        hub.notify(peer, "third")?;
        hub.announce("end")?;
        hub.notify(peer, "fourth")?;
        let mut removal = Removal::from(RemovalReason::Kicked);
        removal.text = Some("bye".into());
        hub.remove(peer, removal)?;
        for size in sizes_of_writes {
            request.send(*size)?;
            run_until_idle().await;
        }
        for _ in 0..10_000 {
            request.send(size_of_rest)?;
        }
        run_until_idle().await;
        drop(input);
        let ended = within(DEADLINE, "ending", session).await;
        assert_eq!(ended?, Ok(LeaveReason::Kicked));
        let mut bytes = Vec::new();
        while let Some(piece) = all_taken.recv().await {
            bytes.extend(piece);
        }
        Ok(String::from_utf8(bytes)?)
    }

    #[tokio::test(start_paused = true)]
    async fn output_is_whole_after_any_byte() {
        let expected = output(&[], usize::MAX).await.unwrap();
        let lines: Vec<_> = expected.lines().collect();
        let [greeting, first, gap, second, .., third, end, fourth, last] = lines[..] else {
            panic!("{expected}");
        };
        assert_eq!(greeting, "You are fake:1");
        assert!(gap.ends_with(" messages skipped"), "{gap}");
        assert_eq!([first, second, third], ["* first", "* second", "* third"]);
        assert_eq!([end, fourth], ["*** end", "* fourth"]);
        assert_eq!(last, "* you were sent away: bye, goodbye");
        for size in [1, 2, 3, 5, 64] {
            assert_eq!(
                output(&[], size).await.unwrap(),
                expected,
                "{size} bytes at a time"
            );
        }
        for cut in 0..expected.len() - GREETING.len() {
            assert_eq!(
                output(&[cut], usize::MAX).await.unwrap(),
                expected,
                "cut at {cut}"
            );
        }
    }
}

mod take {
    use super::*;

    /// Sends the text that it takes from the feed to a channel.
    /// A message that is too long for its raw length only.
    const BELLS: &str = match str::from_utf8(&[7; 1 << 20]) {
        Ok(text) => text,
        Err(_) => panic!("it is ASCII"),
    };

    struct TextWriter(mpsc::UnboundedSender<String>);

    #[async_trait]
    impl DeliverHalf for TextWriter {
        async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
            self.0.send(feed.take()).map_err(io::Error::other)
        }

        async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn message_counts_by_its_raw_length() {
        let hub = hub(0);
        let (input, inputs) = mpsc::unbounded_channel();
        let (texts, mut taken) = mpsc::unbounded_channel();
        let fake = FakeTransport(inputs, TextWriter(texts));
        spawn(&hub, "fake:1", fake, &SessionConfig::default());
        run_until_idle().await;
        assert_eq!(taken.try_recv().unwrap(), "You are fake:1\n");
        // Nothing is left of it when control characters are removed.
        input.send(BELLS).unwrap();
        run_until_idle().await;
        let refused = "* line refused: longer than 64 bytes\n";
        assert_eq!(taken.try_recv().unwrap(), refused);
        assert_eq!(hub.stats().published, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn returns_all_lines_as_text() {
        let hub = hub(0);
        let (input, inputs) = mpsc::unbounded_channel();
        let (texts, mut taken) = mpsc::unbounded_channel();
        spawn(
            &hub,
            "fake:1",
            FakeTransport(inputs, TextWriter(texts)),
            &SessionConfig::default(),
        );
        run_until_idle().await;
        assert_eq!(taken.try_recv().unwrap(), "You are fake:1\n");
        let writer = join(&hub, "writer");
        hub.publish_many(writer.id(), &["one", "two"]).unwrap();
        run_until_idle().await;
        let expected = "writer has arrived\nwriter: one\nwriter: two\n";
        assert_eq!(taken.try_recv().unwrap(), expected);
        let lines = 1_000;
        for _ in 0..lines {
            writer.publish("on and on").unwrap();
        }
        input.send("/nonsense").unwrap();
        run_until_idle().await;
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
        // The notice answers a command that was sent after the last event.
        assert!(all.ends_with("on and on\n* unknown command /nonsense, /help lists them\n"));
    }
}

mod take_batch {
    use super::*;

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
}
