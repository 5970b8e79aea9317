//! The end of a peer's input: everything said before it arrives, also at the peer itself.

use chat_tests::wire::{Peer, Server};

/// Everything that was said between the arrival and the leaving of a peer, as another hears it.
async fn heard_until_left(witness: &mut Peer, leaver: &Peer) -> String {
    let left = format!("{leaver} has left");
    let mut heard = String::new();
    loop {
        let line = witness.line().await;
        if line == left {
            return heard;
        }
        heard += &line;
        heard.push('\n');
    }
}

#[tokio::test]
async fn ones_own_last_line_comes_back_before_the_end() {
    let server = Server::start().await;
    let [mut a] = server.room().await;
    for input in ["one\ntwo\n", "one\ntwo", "one\r\ntwo\r"] {
        let mut b = server.newcomer(&mut [&mut a]).await;
        b.send(input).await;
        b.half_close();
        let said = format!("{b}: one\n{b}: two\n");
        assert_eq!(b.rest().await, said);
        assert_eq!(heard_until_left(&mut a, &b).await, said);
    }
}

#[tokio::test]
async fn input_that_has_ended_before_the_greeting_is_published() {
    let server = Server::start().await;
    let [mut a] = server.room().await;
    let mut b = server.connect().await;
    b.send("in a hurry").await;
    b.half_close();
    let expected = format!("You are {b}\nHere now: {a}\n{b}: in a hurry\n");
    assert_eq!(b.whole_stream().await, expected);
    for line in [" has arrived", ": in a hurry", " has left"] {
        a.expect_line(&format!("{b}{line}")).await;
    }
}

#[tokio::test]
async fn a_long_input_comes_back_whole() {
    let server = Server::start().await;
    let [mut a, mut b] = server.room().await;
    let lines = 20_000;
    let mut writer = b.take_writer();
    let input: String = (0..lines).map(|n| format!("line {n}\n")).collect();
    let writing = tokio::spawn(async move {
        tokio::io::AsyncWriteExt::write_all(&mut writer, input.as_bytes()).await
    });
    let said: String = (0..lines).map(|n| format!("{b}: line {n}\n")).collect();
    let (at_b, at_a) = tokio::join!(b.rest(), a.next_lines(lines + 1));
    writing.await.expect("no panic").expect("it is taken");
    assert!(
        at_b == said,
        "{} bytes instead of {}",
        at_b.len(),
        said.len()
    );
    let left = format!("{b} has left\n");
    assert!(at_a == said + &left, "{} bytes", at_a.len());
}

#[tokio::test]
async fn who_ends_far_behind_still_gets_all_up_to_its_leaving() {
    let server = Server::start().await;
    let [mut a] = server.room().await;
    let mut b = server.narrow_newcomer(&mut [&mut a]).await;
    // More than the system keeps for it, less than the log.
    let said = a.flood(6000).await;
    b.send("last words").await;
    b.half_close();
    a.expect_line(&format!("{b}: last words")).await;
    a.expect_line(&format!("{b} has left")).await;
    a.say("too late", &mut []).await;
    let heard = b.rest().await;
    let expected = format!("{said}{b}: last words\n");
    assert!(
        heard == expected,
        "{} of {} bytes",
        heard.len(),
        expected.len()
    );
}

#[tokio::test]
async fn who_has_ended_hears_nothing_said_after_its_leaving() {
    let server = Server::start().await;
    let [mut a, mut b] = server.room().await;
    b.half_close();
    a.expect_line(&format!("{b} has left")).await;
    // It has not read anything yet.
    for _ in 0..100 {
        a.say("without you", &mut []).await;
    }
    b.expect_end().await;
}

#[tokio::test]
async fn who_ends_while_others_talk_hears_all_up_to_its_leaving() {
    let server = Server::start().await;
    let [mut a, mut talker] = server.room().await;
    let mut writer = talker.take_writer();
    let talking = tokio::spawn(async move {
        // Until it is stopped.
        while tokio::io::AsyncWriteExt::write_all(&mut writer, b"bla\n")
            .await
            .is_ok()
        {
            tokio::task::yield_now().await;
        }
    });
    let hearing = tokio::spawn(async move { talker.rest().await.len() });
    for round in 0..20 {
        let mut b = server.connect().await;
        b.send(format!("round {round}")).await;
        b.half_close();
        let stream = b.whole_stream().await;
        let arrival = format!("{b} has arrived");
        while a.line().await != arrival {}
        let heard = heard_until_left(&mut a, &b).await;
        let rest = stream
            .strip_prefix(&format!("You are {b}\n"))
            .expect("the greeting");
        let (_, rest) = rest.split_once('\n').expect("the roster");
        assert_eq!(rest, heard);
        assert!(heard.contains(&format!("{b}: round {round}\n")));
    }
    talking.abort();
    assert!(hearing.await.expect("no panic") > 0);
}

#[tokio::test]
async fn who_breaks_off_leaves_once() {
    let server = Server::start().await;
    let [mut a] = server.room().await;
    for _ in 0..20 {
        let mut b = server.newcomer(&mut [&mut a]).await;
        b.say("hello", &mut [&mut a]).await;
        // It does not read these: the system resets the connection when it closes.
        a.say("one", &mut []).await;
        b.reset();
        let left = a.line().await;
        assert!(left.ends_with(" has left"), "{left:?}");
        a.say("once", &mut []).await;
    }
}

#[tokio::test]
async fn who_closes_with_unread_input_leaves_once() {
    let server = Server::start().await;
    let [mut a] = server.room().await;
    for _ in 0..20 {
        let mut b = server.newcomer(&mut [&mut a]).await;
        let left = format!("{b} has left");
        for _ in 0..50 {
            a.say("something to read", &mut []).await;
        }
        b.send("last words\nunfin").await;
        a.expect_line(&format!("{b}: last words")).await;
        drop(b);
        let mut heard = vec![a.line().await];
        while heard.last() != Some(&left) {
            // The end may overtake the reset, so this may count as a line.
            assert!(heard.len() < 2, "{heard:?}");
            heard.push(a.line().await);
        }
        a.say("once", &mut []).await;
    }
}
