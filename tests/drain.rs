//! The shutdown: everybody gets what was said before, is told, and sees an orderly end.

use chat_core::session::Naming;
use chat_tests::wire::{Peer, Server, in_time};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Barrier;

const GOING_DOWN: &str = "* server is going down\n";

#[tokio::test]
async fn everybody_is_told_and_sees_the_end() {
    let server = Server::start().await;
    let [mut a, mut b] = server.room().await;
    a.say("before", &mut [&mut b]).await;
    let drained = server.shut_down();
    for mut peer in [a, b] {
        assert_eq!(peer.rest().await, GOING_DOWN);
    }
    drained.await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_talk_get_the_same_lines_up_to_the_end() {
    let server = Server::with(|hub, _| hub.log_bytes = 256 << 20).await;
    let peers: [Peer; 5] = server.room().await;
    let in_full_swing = Arc::new(Barrier::new(peers.len() + 1));
    let (mut talking, mut hearing) = (Vec::new(), Vec::new());
    for mut peer in peers {
        let mut writer = peer.take_writer();
        talking.push(tokio::spawn(async move {
            loop {
                writer.write_all(b"bla\n").await?;
                tokio::task::yield_now().await;
            }
        }));
        let in_full_swing = in_full_swing.clone();
        hearing.push(tokio::spawn(async move {
            peer.next_lines(1000).await;
            in_full_swing.wait().await;
            (peer.whole_stream().await, peer)
        }));
    }
    in_time("1,000 lines", in_full_swing.wait()).await;
    let drained = server.shut_down();

    let mut all = String::new();
    for hearing in hearing {
        let (stream, peer) = hearing.await.expect("no panic");
        if all.is_empty() {
            assert!(stream.ends_with(GOING_DOWN));
            assert!(!stream.contains(" has left\n"));
            all = stream;
        } else {
            let arrival = format!("{peer} has arrived\n");
            let (_, since) = all.split_once(&arrival).expect("it has arrived");
            // After the name and the roster.
            let heard = stream.splitn(3, '\n').last();
            assert!(heard == Some(since), "{peer} was given something else");
        }
    }
    for talker in talking {
        talker.abort();
        let ended: Result<std::io::Result<()>, _> = talker.await;
        assert!(ended.is_err(), "the server reads to the end: {ended:?}");
    }
    drained.await;
}

#[tokio::test]
async fn who_is_behind_gets_all_of_it() {
    let server = Server::start().await;
    let [mut talker] = server.room().await;
    let mut slow = server.narrow_newcomer(&mut [&mut talker]).await;
    // More than the system keeps for it, less than the log.
    let said = talker.flood(6000).await;
    let drained = server.shut_down();
    assert_eq!(talker.rest().await, GOING_DOWN);
    drop(talker);
    let heard = slow.rest().await;
    assert!(heard == said + GOING_DOWN, "{} bytes", heard.len());
    drop(slow);
    drained.await;
}

#[tokio::test]
async fn who_does_not_read_holds_nobody_up_for_longer_than_the_grace() {
    let server = Server::with(|_, config| {
        config.grace = Duration::from_millis(200);
        config.session.stall_timeout = Duration::from_secs(3600);
    })
    .await;
    let [mut talker] = server.room().await;
    let stuck = server.narrow_newcomer(&mut [&mut talker]).await;
    talker.flood(6000).await;
    let drained = server.shut_down();
    assert_eq!(talker.rest().await, GOING_DOWN);
    drained.await;
    // These were open all the time, the one as a peer that does not read, the other as one
    // that does not close.
    drop((stuck, talker));
}

#[tokio::test]
async fn nobody_gets_in_any_more() {
    let server = Server::start().await;
    let address = server.address();
    let [mut a] = server.room().await;
    let drained = server.shut_down();
    assert_eq!(a.rest().await, GOING_DOWN);
    // The drain goes on: this one has not closed.
    let refused = TcpStream::connect(address).await;
    let refused = refused.expect_err("nobody listens").kind();
    assert_eq!(refused, std::io::ErrorKind::ConnectionRefused);
    drop(a);
    drained.await;
}

#[tokio::test]
async fn who_has_not_answered_yet_is_told_too() {
    let server = Server::with(|_, config| config.session.naming = Naming::Ask).await;
    let mut peer = server.connect().await;
    let question = format!("* what is your name? (Enter for {peer})");
    peer.expect_line(&question).await;
    let drained = server.shut_down();
    assert_eq!(peer.rest().await, GOING_DOWN);
    drop(peer);
    drained.await;
}

#[tokio::test]
async fn unread_input_does_not_destroy_the_last_lines() {
    for _ in 0..20 {
        let server = Server::start().await;
        let [mut a] = server.room().await;
        // On its way when the shutdown begins; it is published or it is ignored.
        a.send("x\n".repeat(5000)).await;
        let drained = server.shut_down();
        a.send("y\n".repeat(5000)).await;
        let rest = a.rest().await;
        assert!(rest.ends_with(GOING_DOWN), "{rest:?}");
        // After the end it goes on, to no avail.
        a.send("z\n").await;
        drop(a);
        drained.await;
    }
}

#[tokio::test]
async fn an_empty_server_ends_at_once() {
    let server = Server::start().await;
    in_time("drain", server.shut_down()).await;
}
