//! Waits for all readers, while these read, leave and join on several threads.

use chat_core::{Batch, Hub, HubConfig, Member, ReadByAllError};
use chat_tests::memory::{DEADLINE, join};
use chat_tests::within;
use tokio::task::{JoinSet, yield_now};

const EVENTS: u64 = 12_000;

async fn read(mut member: Member) {
    let mut batch = Batch::default();
    while member.recv_many(&mut batch).await > 0 {}
}

/// Joins, and leaves with unread events.
async fn join_and_leave(hub: Hub, name: String) {
    while let Ok(mut member) = hub.join(name.parse().expect("the name is valid")) {
        yield_now().await;
        let _ = member.try_recv();
        yield_now().await;
    }
}

/// Waits again and again; returns how many waits succeeded.
async fn wait(hub: Hub, ahead: u64) -> u64 {
    for successes in 0.. {
        let number = hub.position().number + ahead;
        match hub.read_by_all(number).await {
            Ok(()) | Err(ReadByAllError::Missed { .. }) => {}
            Err(ended) => {
                assert_eq!(ended, ReadByAllError::Closed);
                assert!(hub.is_closed());
                return successes;
            }
        }
        // Later events do not matter: a reader that is past the number stays so.
        let slowest = hub.slowest(usize::MAX);
        let head = hub.position().number;
        for reader in slowest {
            assert!(head - reader.behind >= number, "{reader:?} of {head}");
        }
        if hub.is_closed() {
            return successes + 1;
        }
        yield_now().await;
    }
    unreachable!("the hub is closed before")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ends_when_all_have_read() {
    for log_bytes in [0, 8 << 20] {
        let mut config = HubConfig::default();
        (config.log_bytes, config.max_text) = (log_bytes, 64);
        let hub = Hub::new(config);
        let mut readers = JoinSet::new();
        for n in 0..4 {
            readers.spawn(read(join(&hub, &format!("reader{n}"))));
            readers.spawn(join_and_leave(hub.clone(), format!("guest{n}")));
        }
        let mut waits = JoinSet::new();
        for ahead in [0, 1, 100] {
            waits.spawn(wait(hub.clone(), ahead));
        }
        let publisher = join(&hub, "publisher").into_publisher();
        while hub.position().number < EVENTS {
            publisher.publish("hi").expect("the hub is open");
            yield_now().await;
        }
        hub.close();
        let successes = within(DEADLINE, "reading", waits.join_all()).await;
        assert!(successes.iter().sum::<u64>() > 0);
        within(DEADLINE, "closing", readers.join_all()).await;
    }
}
