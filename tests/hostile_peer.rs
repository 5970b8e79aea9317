//! Input and timing of a hostile peer: memory stays bounded, and other members are unaffected.

use async_trait::async_trait;
use chat_core::session::{Naming, SessionConfig};
use chat_core::transport::{
    DeliverHalf, Feed, Inbox, IoTransport, ReceiveHalf, Received, Transport,
};
use chat_core::{Delivery, Hub, HubConfig, LeaveReason, RemovalReason};
use chat_tests::history::Record;
use chat_tests::memory::{CAPACITY, Peer, asking, hub, join, run_until_idle, spawn};
use std::io;
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::time::{advance, sleep};

const SECOND: Duration = Duration::from_secs(1);

/// The digits of a line as one number.
fn number(line: &str) -> usize {
    let digits: String = line.chars().filter(char::is_ascii_digit).collect();
    digits.parse().expect("the line has a number")
}

mod notices {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn are_bounded_and_counted_unread() {
        for naming in [Naming::Given, Naming::Ask] {
            let hub = hub();
            let mut config = SessionConfig::default();
            config.naming = naming;
            let mut peer = Peer::connect_with(&hub, "mem:1", &config, 4096);
            let sent = 100_000;
            for _ in 0..sent / 1000 {
                peer.send(&"/nonsense\n".repeat(1000)).await;
            }
            run_until_idle().await;
            peer.half_close().await;
            let received = peer.rest().await;
            let answers = received
                .iter()
                .filter(|line| line.contains("unknown command"));
            let skipped = received
                .iter()
                .filter(|line| line.ends_with("notices skipped"));
            let skipped: usize = skipped.map(|line| number(line)).sum();
            assert_eq!(answers.count() + skipped, sent, "{naming:?}");
            let bytes: usize = received.iter().map(|line| line.len() + 1).sum();
            assert!(bytes < 64 * 1024, "{bytes} bytes were buffered, {naming:?}");
        }
    }
}

mod unnamed_peer {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn cannot_join_after_its_timeout() {
        let hub = hub();
        let peer = Peer::connect_with(&hub, "mem:1", &asking(), CAPACITY);
        let mut peer = peer.with_deadline(3600 * SECOND);
        peer.lines_until("* no name for 1m, goodbye").await;
        peer.send_line("ghost").await;
        peer.send_line("I am here").await;
        assert_eq!(peer.ended().await, LeaveReason::Nameless);
        assert_eq!(hub.position().number, 0, "no arrival and no message");
    }
}

mod suspended_process {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn does_not_stall_a_reading_peer() {
        let hub = hub();
        let publisher = join(&hub, "publisher");
        let mut peer = Peer::connect_with(&hub, "mem:1", &SessionConfig::default(), 16);
        run_until_idle().await;
        publisher.publish(&"x".repeat(1000)).unwrap();
        // The peer reads, and the deadline passes before the session runs again.
        sleep(20 * SECOND).await;
        peer.receive(16).await;
        advance(20 * SECOND).await;
        run_until_idle().await;
        assert!(!peer.has_ended());
        peer.lines_until(&format!("publisher: {}", "x".repeat(1000)))
            .await;
    }
}

mod broken_connection {
    use super::*;

    /// A connection with unread input whose writer reports that the peer has disconnected.
    struct BrokenConnection(Option<String>);

    impl Transport for BrokenConnection {
        fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
            (self, Box::new(BrokenWriter))
        }
    }

    #[async_trait]
    impl ReceiveHalf for BrokenConnection {
        async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
            // The delay lets the delivering half fail first.
            sleep(SECOND).await;
            let Some(input) = self.0.take() else {
                return Ok(Received::End);
            };
            inbox.bytes(input.as_bytes());
            Ok(Received::More)
        }
    }

    struct BrokenWriter;

    #[async_trait]
    impl DeliverHalf for BrokenWriter {
        async fn deliver(&mut self, _: &mut Feed) -> io::Result<()> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
            unreachable!("`deliver` has failed before")
        }
    }

    #[tokio::test(start_paused = true)]
    async fn leaves_earlier_input_published() {
        let hub = hub();
        let mut other = join(&hub, "other");
        let mut record = Record::of(&other);
        let broken = BrokenConnection(Some("one\ntwo\nthree".into()));
        let session = spawn(&hub, "mem:1", broken, &SessionConfig::default());
        assert!(session.await.unwrap().is_ok());
        record.catch_up(&mut other);
        let lines: Vec<_> = record.events().map(ToString::to_string).collect();
        let expected = [
            "mem:1 has arrived",
            "mem:1: one",
            "mem:1: two",
            "mem:1: three",
            "mem:1 has left",
        ];
        assert_eq!(lines, expected);
    }
}

mod removed_member {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn may_read_its_end_late() {
        let mut config = HubConfig::default();
        config.log_bytes = 0;
        config.announce_up_to = Some(0);
        let hub = Hub::new(config);
        let mut removed = join(&hub, "removed");
        hub.remove(removed.id(), RemovalReason::Kicked).unwrap();
        let writer = join(&hub, "writer");
        for _ in 0..10_000 {
            writer.publish("the log moves on").unwrap();
        }
        assert_eq!(
            removed.try_recv(),
            Ok(Delivery::Closed(LeaveReason::Kicked))
        );
    }
}

mod limits {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn maximum_values_do_not_overflow() {
        let mut config = SessionConfig::default();
        config.idle_timeout = Some(Duration::MAX);
        config.stall_timeout = Duration::MAX;
        config.name_timeout = Duration::MAX;
        config.linger = Duration::MAX;
        let mut hub_config = HubConfig::default();
        hub_config.max_text = usize::MAX;
        hub_config.patience = Duration::MAX;
        let hub = Hub::new(hub_config);
        let (near, mut far) = tokio::io::duplex(64);
        let session = spawn(&hub, "mem:1", IoTransport::new(near), &config);
        far.write_all(b"hi\n/quit\n").await.unwrap();
        sleep(1_000_000 * SECOND).await;
        drop(far);
        assert_eq!(session.await.unwrap(), Ok(LeaveReason::Left));
        assert_eq!(hub.stats().published, 1);
    }
}
