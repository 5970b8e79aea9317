use super::lend::ByteWriter;
use super::*;
use chat_core::{Removal, RemovalReason};
use std::error::Error;

/// The output to a peer that takes these numbers of bytes and then everything: mail, a gap, mail
/// that is due within it, lines, mail, and the last words.
async fn output(sizes_of_writes: &[usize], size_of_rest: usize) -> Result<String, Box<dyn Error>> {
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
