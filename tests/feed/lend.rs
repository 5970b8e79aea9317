use super::*;
use proptest::prelude::*;
use std::io::ErrorKind::WouldBlock;

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
    paused_runtime().block_on(async {
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
