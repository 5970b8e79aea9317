//! The end of a peer's input: every line sent before it reaches all members, the sender included.

use chat_tests::wire::{Peer, Server};

/// The lines that a member receives until the departure of a peer, without the departure.
async fn lines_until_departure(observer: &mut Peer, departing: &Peer) -> String {
    let left = format!("{departing} has left");
    let mut received = String::new();
    loop {
        let line = observer.line().await;
        if line == left {
            return received;
        }
        received += &line;
        received.push('\n');
    }
}

mod last_line {
    use super::*;

    #[tokio::test]
    async fn returns_before_the_end() {
        let server = Server::start().await;
        let [mut a] = server.peers().await;
        for input in ["one\ntwo\n", "one\ntwo", "one\r\ntwo\r"] {
            let mut b = server.newcomer(&mut [&mut a]).await;
            b.send(input).await;
            b.half_close();
            let published = format!("{b}: one\n{b}: two\n");
            assert_eq!(b.rest().await, published);
            assert_eq!(lines_until_departure(&mut a, &b).await, published);
        }
    }

    #[tokio::test]
    async fn is_published_before_the_greeting() {
        let server = Server::start().await;
        let [mut a] = server.peers().await;
        let mut b = server.connect().await;
        b.send("in a hurry").await;
        b.half_close();
        let expected = format!("You are {b}\nHere now: {a}\n{b}: in a hurry\n");
        assert_eq!(b.whole_stream().await, expected);
        for line in [" has arrived", ": in a hurry", " has left"] {
            a.expect_line(&format!("{b}{line}")).await;
        }
    }
}

mod stream {
    use super::*;

    #[tokio::test]
    async fn returns_a_long_input_whole() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        let lines = 20_000;
        let mut writer = b.take_writer();
        let input: String = (0..lines).map(|n| format!("line {n}\n")).collect();
        let writing = tokio::spawn(async move {
            tokio::io::AsyncWriteExt::write_all(&mut writer, input.as_bytes()).await
        });
        let published: String = (0..lines).map(|n| format!("{b}: line {n}\n")).collect();
        let (at_b, at_a) = tokio::join!(b.rest(), a.next_lines(lines + 1));
        writing
            .await
            .expect("no panic")
            .expect("the server reads all input");
        assert!(
            at_b == published,
            "{} bytes instead of {}",
            at_b.len(),
            published.len()
        );
        let left = format!("{b} has left\n");
        assert!(at_a == published + &left, "{} bytes", at_a.len());
    }

    #[tokio::test]
    async fn delivers_a_large_backlog() {
        let server = Server::start().await;
        let [mut a] = server.peers().await;
        let mut b = server.newcomer_with_small_buffer(&mut [&mut a]).await;
        // More than the socket buffers hold, less than the log holds.
        let published = a.flood(6000).await;
        b.send("last words").await;
        b.half_close();
        a.expect_line(&format!("{b}: last words")).await;
        a.expect_line(&format!("{b} has left")).await;
        a.publish("after the departure", &mut []).await;
        let received = b.rest().await;
        let expected = format!("{published}{b}: last words\n");
        assert!(
            received == expected,
            "{} of {} bytes",
            received.len(),
            expected.len()
        );
    }

    #[tokio::test]
    async fn ends_at_the_departure() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        b.half_close();
        a.expect_line(&format!("{b} has left")).await;
        // The peer has not read anything yet.
        for _ in 0..100 {
            a.publish("after the departure", &mut []).await;
        }
        b.expect_end().await;
    }

    #[tokio::test]
    async fn is_complete_while_others_publish() {
        let server = Server::start().await;
        let [mut a, mut publisher] = server.peers().await;
        let mut writer = publisher.take_writer();
        let writing_task = tokio::spawn(async move {
            // The test aborts this task at the end.
            while tokio::io::AsyncWriteExt::write_all(&mut writer, b"bla\n")
                .await
                .is_ok()
            {
                tokio::task::yield_now().await;
            }
        });
        let reading = tokio::spawn(async move { publisher.rest().await.len() });
        for round in 0..20 {
            let mut b = server.connect().await;
            b.send(format!("round {round}")).await;
            b.half_close();
            let stream = b.whole_stream().await;
            let arrival = format!("{b} has arrived");
            while a.line().await != arrival {}
            let received = lines_until_departure(&mut a, &b).await;
            let rest = stream
                .strip_prefix(&format!("You are {b}\n"))
                .expect("the greeting");
            let (_, rest) = rest.split_once('\n').expect("the roster");
            assert_eq!(rest, received);
            assert!(received.contains(&format!("{b}: round {round}\n")));
        }
        writing_task.abort();
        assert!(reading.await.expect("no panic") > 0);
    }
}

mod connection {
    use super::*;

    #[tokio::test]
    async fn reset_announces_one_departure() {
        let server = Server::start().await;
        let [mut a] = server.peers().await;
        for _ in 0..20 {
            let mut b = server.newcomer(&mut [&mut a]).await;
            b.publish("hello", &mut [&mut a]).await;
            // The peer does not read this line, so closing resets the connection.
            a.publish("one", &mut []).await;
            b.reset();
            let left = a.line().await;
            assert!(left.ends_with(" has left"), "{left:?}");
            a.publish("one departure only", &mut []).await;
        }
    }

    #[tokio::test]
    async fn close_announces_one_departure() {
        let server = Server::start().await;
        let [mut a] = server.peers().await;
        for _ in 0..20 {
            let mut b = server.newcomer(&mut [&mut a]).await;
            let left = format!("{b} has left");
            for _ in 0..50 {
                a.publish("something to read", &mut []).await;
            }
            b.send("last words\nunfin").await;
            a.expect_line(&format!("{b}: last words")).await;
            drop(b);
            let mut received = vec![a.line().await];
            while received.last() != Some(&left) {
                // The end of the stream may be read before the reset, which completes the
                // unfinished line.
                assert!(received.len() < 2, "{received:?}");
                received.push(a.line().await);
            }
            a.publish("one departure only", &mut []).await;
        }
    }
}
