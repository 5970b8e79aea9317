//! Waiting reads: every waiting member is woken, a stream delivers its remainder after a departure
//! or a close, and dropping a wait loses nothing.

use chat_core::{
    Batch, Delivery, Hub, HubConfig, LeaveReason, Member, RemovalReason, TryRecvError,
};
use chat_tests::history::{History, ReadMethod, Record};
use chat_tests::memory::{CAPACITY, DEADLINE, Peer, asking, hub, join};
use chat_tests::{poll_once, within};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use tokio::sync::mpsc;
use tokio::task::{JoinSet, yield_now};
use tokio_stream::{Stream, StreamExt};

/// Reads to the end with one of the read methods, then asserts that each method reports the end.
async fn read(mut member: Member, method: usize) -> Record {
    let mut record = Record::of(&member);
    let mut batch = Batch::default();
    let method = ReadMethod::nth(method);
    record.read_to_end_with(method, &mut member).await;
    assert_eq!(member.recv().await, None);
    assert_eq!(member.next().await, None);
    assert_eq!(member.recv_many(&mut batch).await, 0);
    record
}

mod wake_up {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn reaches_all_waiting_members() {
        let hub = hub();
        let writer = join(&hub, "writer");
        let (received, mut all_received) = mpsc::channel(100);
        let mut readers = JoinSet::new();
        for number in 0..50 {
            let mut member = join(&hub, &format!("reader{number}"));
            let received = received.clone();
            readers.spawn(async move {
                let mut last = 0;
                while let Some(delivery) = member.recv().await {
                    let Delivery::Event(event) = delivery else {
                        continue;
                    };
                    if let Ok(number) = event.text().parse::<u32>() {
                        last = number;
                        received.send(number).await.unwrap();
                    }
                }
                last
            });
        }
        // Each line is published once all members have received the previous one, so many wait
        // again.
        for line in 1..=300 {
            writer.publish(&line.to_string()).unwrap();
            for _ in 0..50 {
                let number = within(DEADLINE, "a wake-up", all_received.recv()).await;
                assert_eq!(number, Some(line));
            }
        }
        hub.close();
        let ends = within(DEADLINE, "closing", readers.join_all()).await;
        assert_eq!(ends, [300; 50]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn follows_close() {
        for round in 0..20 {
            let hub = hub();
            let mut readers = JoinSet::new();
            for number in 0..40 {
                readers.spawn(read(join(&hub, &format!("reader{number}")), number));
            }
            for _ in 0..round {
                yield_now().await;
            }
            hub.close();
            let mut history = History::new();
            for record in within(DEADLINE, "closing", readers.join_all()).await {
                assert_eq!(record.closed(), Some(LeaveReason::Closed));
                history.add(record);
            }
            history.check().unwrap();
        }
    }

    #[tokio::test]
    async fn follows_unannounced_removal() {
        for announce_up_to in [None, Some(0)] {
            let mut config = HubConfig::default();
            config.announce_up_to = announce_up_to;
            let hub = Hub::new(config);
            let members: Vec<_> = (0..40).map(|n| join(&hub, &format!("member{n}"))).collect();
            let ids: Vec<_> = members.iter().map(Member::id).collect();
            let waits = members.into_iter().enumerate();
            let waits: Vec<_> = waits.map(|(n, m)| tokio::spawn(read(m, n))).collect();
            for (id, wait) in ids.into_iter().zip(waits) {
                // This member waits now, with all remaining members.
                yield_now().await;
                hub.remove(id, RemovalReason::Kicked).unwrap();
                let record = within(DEADLINE, "removal", wait).await.unwrap();
                assert_eq!(record.closed(), Some(LeaveReason::Kicked));
                assert_eq!(record.check(), Ok(()));
            }
        }
    }
}

mod stream {
    use super::*;

    #[tokio::test]
    async fn drains_once_after_close() {
        for (log_bytes, overrun) in [(8 << 20, false), (0, true)] {
            let mut config = HubConfig::default();
            config.log_bytes = log_bytes;
            let hub = Hub::new(config);
            let fast = tokio::spawn(read(join(&hub, "fast"), 0));
            let slow: Vec<_> = (0..3).map(|n| join(&hub, &format!("slow{n}"))).collect();
            let removed = join(&hub, "removed");
            for line in 0..10_000 {
                slow[0].publish(&line.to_string()).unwrap();
                if line % 10 == 0 {
                    yield_now().await;
                }
                if line == 5_000 {
                    hub.remove(removed.id(), RemovalReason::Kicked).unwrap();
                }
            }
            hub.close();
            hub.close();
            let mut history = History::new();
            for (method, member) in slow.into_iter().enumerate() {
                let record = read(member, method).await;
                assert_eq!(record.closed(), Some(LeaveReason::Closed));
                assert_eq!(record.missed() > 0, overrun);
                assert_eq!(record.next(), hub.stats().position.number);
                history.add(record);
            }
            let fast = fast.await.unwrap();
            assert_eq!(fast.missed(), 0);
            history.add(fast);
            // A member that left before the close keeps its own reason.
            let removed = read(removed, 0).await;
            assert_eq!(removed.closed(), Some(LeaveReason::Kicked));
            history.add(removed);
            history.check().unwrap();
        }
    }

    #[test]
    fn ends_after_its_departure() {
        let hub = hub();
        let mut ann = join(&hub, "ann");
        ann.publish("one").unwrap();
        let bob = join(&hub, "bob");
        let end = hub.remove(ann.id(), RemovalReason::Kicked).unwrap();
        bob.publish("after the removal").unwrap();
        let mut record = Record::of(&ann);
        assert_eq!(record.catch_up(&mut ann), TryRecvError::Ended);
        record.check().unwrap();
        assert_eq!(record.lines(), ["ann: one", "bob has arrived"]);
        assert_eq!(record.closed(), Some(LeaveReason::Kicked));
        assert_eq!(record.next(), end);
    }
}

mod departed_member {
    use super::*;

    #[test]
    fn reads_end_after_log_moved_on() {
        let mut config = HubConfig::default();
        (config.log_bytes, config.announce_up_to) = (0, Some(0));
        let hub = Hub::new(config);
        let mut ann = join(&hub, "ann");
        let bob = join(&hub, "bob");
        assert_eq!(hub.remove(ann.id(), RemovalReason::Kicked), Ok(0));
        for _ in 0..10_000 {
            bob.publish("hi").unwrap();
        }
        assert_eq!(ann.try_recv(), Ok(Delivery::Closed(LeaveReason::Kicked)));
        assert_eq!(ann.try_recv(), Err(TryRecvError::Ended));
    }

    #[test]
    fn reads_exact_gap_before_end() {
        let mut config = HubConfig::default();
        config.log_bytes = 0;
        let hub = Hub::new(config);
        let mut ann = join(&hub, "ann");
        let bob = join(&hub, "bob");
        bob.publish("hi").unwrap();
        hub.remove(ann.id(), RemovalReason::Kicked).unwrap();
        for _ in 0..10_000 {
            bob.publish("hi").unwrap();
        }
        let closed = Delivery::Closed(LeaveReason::Kicked);
        assert_eq!(ann.try_recv(), Ok(Delivery::Gap { missed: 2 }));
        assert_eq!(ann.try_recv(), Ok(closed));
        assert_eq!(ann.try_recv(), Err(TryRecvError::Ended));
    }
}

mod session {
    use super::*;

    #[tokio::test]
    async fn ends_on_close_while_unnamed() {
        let hub = hub();
        let mut peer = Peer::connect_with(&hub, "mem:1", &asking(), CAPACITY);
        peer.expect_line("* what is your name? (Enter for mem:1)")
            .await;
        hub.close();
        peer.expect_line("* server is going down").await;
        assert_eq!(peer.next_line().await, None);
        peer.half_close().await;
        assert_eq!(peer.ended().await, LeaveReason::Closed);
    }
}

mod dropped_wait {
    use super::*;

    /// A waker without an effect, whose reference count shows how often it is registered.
    struct IdleWaker;

    impl Wake for IdleWaker {
        fn wake(self: Arc<Self>) {}
    }

    #[tokio::test]
    async fn loses_and_repeats_nothing() {
        let hub = hub();
        let mut member = join(&hub, "member");
        let mut record = Record::of(&member);
        let mut batch = Batch::default();
        for round in 0..1_000u64 {
            // Every method is polled without an item.
            assert!(poll_once(member.recv()).is_pending());
            assert!(poll_once(member.next()).is_pending());
            assert!(poll_once(member.recv_many(&mut batch)).is_pending());
            for line in 0..round % 4 {
                member.publish(&format!("{round}.{line}")).unwrap();
            }
            // Never polled.
            drop(member.recv());
            drop(member.recv_many(&mut batch));
            for line in 0..round % 4 {
                if (round + line) % 3 == 0 {
                    record.push(member.recv().await.unwrap());
                } else if let Poll::Ready(item) = poll_once(member.recv()) {
                    record.push(item.unwrap());
                }
            }
        }
        record.check().unwrap();
        assert_eq!(record.missed(), 0);
        assert_eq!(record.delivered(), hub.stats().published);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn is_safe_in_a_select_loop() {
        let hub = hub();
        let mut member = join(&hub, "member");
        let mut record = Record::of(&member);
        let writer = join(&hub, "writer");
        let (ticks, mut tick) = mpsc::channel(1);
        let writing = tokio::spawn(async move {
            for line in 0..5_000 {
                writer.publish(&line.to_string()).unwrap();
                if line % 3 == 0 {
                    ticks.send(()).await.unwrap();
                }
            }
            writer.hub().close();
        });
        let mut batch = Batch::default();
        let mut ended = false;
        while !ended {
            tokio::select! {
                Some(()) = tick.recv() => {}
                delivery = member.recv() => match delivery {
                    Some(delivery) => record.push(delivery),
                    None => ended = true,
                },
            }
            tokio::select! {
                Some(()) = tick.recv() => {}
                items = member.recv_many(&mut batch) => match items {
                    0 => ended = true,
                    _ => record.push_batch(&batch),
                },
            }
        }
        writing.await.unwrap();
        record.check().unwrap();
        assert_eq!(record.closed(), Some(LeaveReason::Closed));
        assert_eq!(record.delivered(), 1 + 5_000);
    }

    #[test]
    fn unregisters_the_waker() {
        // An announced departure wakes all waiting members, an unannounced one none.
        for announce_up_to in [None, Some(0)] {
            let mut config = HubConfig::default();
            config.announce_up_to = announce_up_to;
            let hub = Hub::new(config);
            let handle = Arc::new(IdleWaker);
            let waker = Waker::from(handle.clone());
            let unregistered = Arc::strong_count(&handle);
            for number in 0..100 {
                let mut member = join(&hub, &format!("member{number}"));
                let mut cx = Context::from_waker(&waker);
                for _ in 0..3 {
                    assert!(pin!(&mut member).poll_next(&mut cx).is_pending());
                }
                assert_eq!(
                    Arc::strong_count(&handle),
                    unregistered + 1,
                    "one registration"
                );
                drop(member);
                assert_eq!(Arc::strong_count(&handle), unregistered);
            }
        }
    }
}
