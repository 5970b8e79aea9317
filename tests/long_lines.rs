//! The length limit of a line, 4,096 bytes: a longer line is refused as a whole, for every split
//! into two reads.

use chat_tests::wire::{Peer, Server};

const REFUSED: &str = "* line refused: longer than 4096 bytes";

fn text(length: usize) -> String {
    // No two parts are equal, so a published tail would be recognised.
    let digits = (0..).flat_map(|n: u32| format!("{n} ").into_bytes());
    String::from_utf8(digits.take(length).collect()).expect("ASCII")
}

/// Sends bytes in two parts. The session has read the first part before the second is sent.
async fn send_split(peer: &mut Peer, bytes: &[u8], split: usize, observer: &mut Peer) {
    let (first, second) = bytes.split_at(split);
    peer.send(first).await;
    observer.publish("first part read", &mut [peer]).await;
    peer.send(second).await;
}

/// Split positions near the limit and the end of a line of `length` bytes, its ending included.
fn splits(length: usize) -> impl Iterator<Item = usize> {
    let around = |at: usize| at.saturating_sub(2)..=at + 2;
    let all = [1, 2048]
        .into_iter()
        .chain(around(4096))
        .chain(around(length));
    all.filter(move |&split| split < length)
}

mod line {
    use super::*;

    #[tokio::test]
    async fn is_published_up_to_the_limit() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        for length in [4094, 4095, 4096] {
            let text = text(length);
            let published = format!("{b}: {text}");
            for end in ["\n", "\r\n"] {
                let line = format!("{text}{end}");
                for split in splits(line.len()) {
                    send_split(&mut b, line.as_bytes(), split, &mut a).await;
                    b.expect_line(&published).await;
                    a.expect_line(&published).await;
                }
            }
        }
    }

    #[tokio::test]
    async fn is_refused_whole_beyond_the_limit() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        for length in [4097, 4098, 4099, 8192, 20_000, 65_534] {
            let text = text(length);
            for end in ["\n", "\r\n"] {
                let line = format!("{text}{end}");
                for split in splits(line.len()) {
                    send_split(&mut b, line.as_bytes(), split, &mut a).await;
                    b.expect_line(REFUSED).await;
                    b.publish("the next line", &mut [&mut a]).await;
                }
            }
        }
    }

    #[tokio::test]
    async fn is_limited_in_bytes() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        b.publish(&"\u{e9}".repeat(2048), &mut [&mut a]).await;
        b.send("\u{e9}".repeat(2049) + "\n").await;
        b.expect_line(REFUSED).await;
        // Each invalid byte is published as U+FFFD, which takes three bytes.
        b.send([&[0xff; 2].repeat(1365)[..], b"x\n"].concat()).await;
        let line = format!("{b}: {}x", "\u{fffd}".repeat(1365));
        b.expect_line(&line).await;
        a.expect_line(&line).await;
        b.send([&[0xff; 2].repeat(1366)[..], b"\n"].concat()).await;
        b.expect_line(REFUSED).await;
        b.publish("no refused line was published", &mut [&mut a])
            .await;
    }

    #[tokio::test]
    async fn is_unaffected_by_refused_neighbours() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        b.send(format!("before\n{}\nafter\n", text(4097))).await;
        for line in [format!("{b}: before"), format!("{b}: after")] {
            a.expect_line(&line).await;
        }
        let mut received = [b.line().await, b.line().await, b.line().await];
        received.sort();
        let published = [format!("{b}: after"), format!("{b}: before")];
        assert_eq!(received, [REFUSED, &published[0], &published[1]]);
    }
}

mod endless_line {
    use super::*;

    #[tokio::test]
    async fn disconnects_its_sender() {
        let server = Server::start().await;
        let [mut a] = server.peers().await;
        for split in [1, 4096, 4097, 32_768, 65_535] {
            let mut b = server.newcomer(&mut [&mut a]).await;
            send_split(&mut b, &[b'x'; 65_536], split, &mut a).await;
            assert_eq!(b.rest().await, "* a line without end, goodbye\n");
            a.expect_line(&format!("{b} has left")).await;
            // The session discards input after the disconnect.
            b.send("\nsecond line\n").await;
            a.publish("no line of the disconnected peer", &mut []).await;
        }
    }

    #[tokio::test]
    async fn leaves_earlier_lines_published() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        b.send(format!("one\ntwo\n{}", text(65_536))).await;
        let goodbye = "* a line without end, goodbye";
        assert_eq!(b.rest().await, format!("{b}: one\n{b}: two\n{goodbye}\n"));
        for line in [": one", ": two", " has left"] {
            a.expect_line(&format!("{b}{line}")).await;
        }
    }
}

mod unfinished_line {
    use super::*;

    #[tokio::test]
    async fn counts_at_end_of_input() {
        let server = Server::start().await;
        let [mut a] = server.peers().await;
        let full = text(4096);
        for (sent, published) in [
            ("unfinished", Some("unfinished")),
            ("unfinished\r", Some("unfinished")),
            (&full, Some(&full)),
            (&format!("{full}\r"), Some(&full)),
            ("\r", None),
            ("", None),
        ] {
            let mut b = server.newcomer(&mut [&mut a]).await;
            b.send(sent).await;
            b.half_close();
            if let Some(text) = published {
                let line = format!("{b}: {text}");
                a.expect_line(&line).await;
                b.expect_line(&line).await;
            }
            b.expect_end().await;
            a.expect_line(&format!("{b} has left")).await;
        }
    }

    #[tokio::test]
    async fn is_refused_beyond_the_limit() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        b.send(text(4097)).await;
        b.half_close();
        assert_eq!(b.rest().await, format!("{REFUSED}\n"));
        a.expect_line(&format!("{b} has left")).await;
    }
}
