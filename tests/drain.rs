//! Graceful shutdown: each peer receives the remaining lines, a notice and an orderly end of
//! stream.

use chat_tests::wire::{DEADLINE, Peer, Server};
use chat_tests::within;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Barrier;

const GOING_DOWN: &str = "* server is going down\n";

mod peers {
    use super::*;

    #[tokio::test]
    async fn receive_notice_and_end() {
        let server = Server::start().await;
        let [mut a, mut b] = server.peers().await;
        a.publish("before", &mut [&mut b]).await;
        let drained = server.shut_down();
        for mut peer in [a, b] {
            assert_eq!(peer.rest().await, GOING_DOWN);
        }
        drained.await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn receive_identical_lines() {
        let server = Server::with(|hub, _| hub.log_bytes = 256 << 20).await;
        let peers: [Peer; 5] = server.peers().await;
        let all_reading = Arc::new(Barrier::new(peers.len() + 1));
        let (mut writing, mut reading) = (Vec::new(), Vec::new());
        for mut peer in peers {
            let mut writer = peer.take_writer();
            writing.push(tokio::spawn(async move {
                loop {
                    writer.write_all(b"bla\n").await?;
                    tokio::task::yield_now().await;
                }
            }));
            let all_reading = all_reading.clone();
            reading.push(tokio::spawn(async move {
                peer.next_lines(1000).await;
                all_reading.wait().await;
                (peer.whole_stream().await, peer)
            }));
        }
        within(DEADLINE, "1,000 lines", all_reading.wait()).await;
        let drained = server.shut_down();

        let mut all = String::new();
        for reading in reading {
            let (stream, peer) = reading.await.expect("no panic");
            if all.is_empty() {
                assert!(stream.ends_with(GOING_DOWN));
                assert!(!stream.contains(" has left\n"));
                all = stream;
            } else {
                let arrival = format!("{peer} has arrived\n");
                let (_, since) = all
                    .split_once(&arrival)
                    .expect("the stream has its arrival");
                // Without the greeting: name and roster.
                let received = stream.splitn(3, '\n').last();
                assert!(received == Some(since), "{peer} received other lines");
            }
        }
        for publisher in writing {
            publisher.abort();
            let ended: Result<std::io::Result<()>, _> = publisher.await;
            assert!(ended.is_err(), "the server stopped reading: {ended:?}");
        }
        drained.await;
    }

    #[tokio::test]
    async fn keep_last_lines_despite_unread_input() {
        for _ in 0..20 {
            let server = Server::start().await;
            let [mut a] = server.peers().await;
            // In transit when the shutdown begins, so it is either published or ignored.
            a.send("x\n".repeat(5000)).await;
            let drained = server.shut_down();
            a.send("y\n".repeat(5000)).await;
            let rest = a.rest().await;
            assert!(rest.ends_with(GOING_DOWN), "{rest:?}");
            // The session discards input after the end.
            a.send("z\n").await;
            drop(a);
            drained.await;
        }
    }
}

mod slow_peer {
    use super::*;

    #[tokio::test]
    async fn receives_its_whole_backlog() {
        let server = Server::start().await;
        let [mut publisher] = server.peers().await;
        let mut slow = server
            .newcomer_with_small_buffer(&mut [&mut publisher])
            .await;
        // More than the socket buffers hold, less than the log holds.
        let published = publisher.flood(6000).await;
        let drained = server.shut_down();
        assert_eq!(publisher.rest().await, GOING_DOWN);
        drop(publisher);
        let received = slow.rest().await;
        assert!(
            received == published + GOING_DOWN,
            "{} bytes",
            received.len()
        );
        drop(slow);
        drained.await;
    }
}

mod stalled_peer {
    use super::*;

    #[tokio::test]
    async fn is_dropped_after_the_grace() {
        let server = Server::with(|_, config| {
            config.grace = Duration::from_millis(200);
            config.session.stall_timeout = Duration::from_secs(3600);
        })
        .await;
        let [mut publisher] = server.peers().await;
        let stalled = server
            .newcomer_with_small_buffer(&mut [&mut publisher])
            .await;
        publisher.flood(6000).await;
        let drained = server.shut_down();
        assert_eq!(publisher.rest().await, GOING_DOWN);
        drained.await;
        // Both connections are open until here: `stalled` does not read, `publisher` does not
        // close.
        drop((stalled, publisher));
    }
}

mod unnamed_peer {
    use super::*;

    #[tokio::test]
    async fn receives_the_notice() {
        let server = Server::asking().await;
        let mut peer = server.connect().await;
        let question = format!("* what is your name? (Enter for {peer})");
        peer.expect_line(&question).await;
        let drained = server.shut_down();
        assert_eq!(peer.rest().await, GOING_DOWN);
        drop(peer);
        drained.await;
    }
}

mod server {
    use super::*;

    #[tokio::test]
    async fn refuses_new_connections() {
        let server = Server::start().await;
        let address = server.address();
        let [mut a] = server.peers().await;
        let drained = server.shut_down();
        assert_eq!(a.rest().await, GOING_DOWN);
        // The shutdown is not complete: `a` has not closed.
        let refused = TcpStream::connect(address).await;
        let refused = refused.expect_err("the listener is closed").kind();
        assert_eq!(refused, std::io::ErrorKind::ConnectionRefused);
        drop(a);
        drained.await;
    }

    #[tokio::test]
    async fn stops_without_peers() {
        let server = Server::start().await;
        within(DEADLINE, "drain", server.shut_down()).await;
    }
}
