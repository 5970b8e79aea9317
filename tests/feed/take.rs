use super::*;
use chat_tests::TextWriter;

/// A message that is too long for its raw length only.
const BELLS: &str = match str::from_utf8(&[7; 1 << 20]) {
    Ok(text) => text,
    Err(_) => panic!("it is ASCII"),
};

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
