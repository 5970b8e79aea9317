//! `Hub::read_by_all`: waits for exactly the readers that have not read all events before a number.

use chat_core::{Delivery, Hub, HubConfig, Position, ReadByAllError, RemovalReason, Start};
use chat_tests::memory::{hub, join};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::task::{Context, Poll, Wake, Waker};

type Result = std::result::Result<(), ReadByAllError>;

#[derive(Default)]
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, SeqCst);
    }
}

/// A call of `read_by_all` that waits.
struct Wait {
    call: Pin<Box<dyn Future<Output = Result>>>,
    woken: Arc<Flag>,
}

impl Wait {
    fn new(hub: &Hub, number: u64) -> Self {
        let hub = hub.clone();
        let mut wait = Self {
            call: Box::pin(async move { hub.read_by_all(number).await }),
            woken: Arc::default(),
        };
        assert_eq!(wait.poll(), Poll::Pending);
        wait
    }

    fn poll(&mut self) -> Poll<Result> {
        let waker = Waker::from(self.woken.clone());
        self.call.as_mut().poll(&mut Context::from_waker(&waker))
    }

    fn assert_waits(&mut self) {
        // A wake-up too many is no defect.
        assert_eq!(self.poll(), Poll::Pending);
        self.woken.0.store(false, SeqCst);
    }

    fn assert_ends(&mut self, result: Result) {
        assert!(self.woken.0.load(SeqCst), "it was woken");
        assert_eq!(self.poll(), Poll::Ready(result));
    }
}

/// The number after the last of `count` new events.
fn publish(hub: &Hub, count: u64) -> u64 {
    for n in 0..count {
        hub.announce(&n.to_string()).expect("the hub is open");
    }
    hub.position().number
}

/// A hub with the smallest log.
fn small_hub() -> Hub {
    let mut config = HubConfig::default();
    (config.log_bytes, config.max_text) = (0, 64);
    Hub::new(config)
}

mod success {
    use super::*;

    #[test]
    fn follows_the_last_reader() {
        let hub = hub();
        let mut ann = join(&hub, "ann");
        let mut bob = join(&hub, "bob");
        let mut log = hub.subscribe(Start::Last(1));
        let number = publish(&hub, 3);
        let mut wait = Wait::new(&hub, number - 1);
        for _ in 0..3 {
            ann.try_recv().unwrap();
            wait.assert_waits();
        }
        let mut batch = chat_core::Batch::default();
        bob.try_recv_many(&mut batch).unwrap();
        wait.assert_waits();
        for _ in 0..2 {
            log.try_recv().unwrap();
            wait.assert_waits();
        }
        log.try_recv().unwrap();
        wait.assert_ends(Ok(()));
    }

    #[test]
    fn is_immediate_without_unread_events() {
        let hub = hub();
        let publisher = join(&hub, "ann").into_publisher();
        let number = publisher.publish("hi").unwrap() + 1;
        assert_eq!(
            chat_tests::poll_once(hub.read_by_all(number)),
            Poll::Ready(Ok(()))
        );
        let mut bob = join(&hub, "bob");
        let read = |number| chat_tests::poll_once(hub.read_by_all(number));
        assert_eq!(
            read(number + 1),
            Poll::Ready(Ok(())),
            "its stream begins after that"
        );
        publisher.publish("more").unwrap();
        assert_eq!(read(number + 1), Poll::Ready(Ok(())));
        assert_eq!(read(number + 2), Poll::Pending);
        bob.try_recv().unwrap();
        assert_eq!(read(number + 2), Poll::Ready(Ok(())));
        assert_eq!(
            read(number + 3),
            Poll::Pending,
            "the event is not published yet"
        );
    }

    #[test]
    fn waits_for_future_events() {
        let hub = hub();
        let mut ann = join(&hub, "ann");
        let number = hub.position().number;
        let mut wait = Wait::new(&hub, number + 2);
        publish(&hub, 1);
        ann.try_recv().unwrap();
        wait.assert_waits();
        publish(&hub, 1);
        ann.try_recv().unwrap();
        wait.assert_ends(Ok(()));
    }

    #[test]
    fn waits_for_earlier_starts() {
        let hub = hub();
        let mut ann = join(&hub, "ann");
        let number = publish(&hub, 2);
        let mut wait = Wait::new(&hub, number);
        let epoch = hub.position().epoch;
        let mut log = hub.subscribe(Start::At(Position { epoch, number: 0 }));
        while ann.try_recv().is_ok() {}
        wait.assert_waits();
        while log.try_recv().is_ok() {}
        wait.assert_ends(Ok(()));
    }
}

mod reader {
    use super::*;

    #[test]
    fn that_is_dropped_is_not_awaited() {
        let hub = hub();
        let (ann, bob) = (join(&hub, "ann"), join(&hub, "bob"));
        let log = hub.subscribe(Start::Last(1));
        let number = publish(&hub, 1);
        let mut wait = Wait::new(&hub, number);
        drop(ann);
        wait.assert_waits();
        drop(log);
        wait.assert_waits();
        let bob = bob.into_publisher();
        wait.assert_ends(Ok(()));
        drop(bob);
    }

    #[test]
    fn that_left_is_awaited_until_end() {
        let hub = hub();
        let mut ann = join(&hub, "ann");
        publish(&hub, 1);
        let end = hub.remove(ann.id(), RemovalReason::Kicked).unwrap();
        let number = publish(&hub, 3);
        let mut wait = Wait::new(&hub, number);
        assert!(matches!(ann.try_recv(), Ok(Delivery::Event(_))));
        assert_eq!(ann.position().number, end);
        wait.assert_waits();
        assert!(matches!(ann.try_recv(), Ok(Delivery::Closed(_))));
        // Its handle still exists.
        wait.assert_ends(Ok(()));
        assert_eq!(
            chat_tests::poll_once(hub.read_by_all(number)),
            Poll::Ready(Ok(()))
        );
        assert_eq!(hub.stats().readers, 1);
        assert_eq!((hub.slowest(9).len(), hub.stats().behind), (0, 0));
    }
}

mod overrun {
    use super::*;

    #[test]
    fn is_reported_once_per_reader() {
        let hub = small_hub();
        let (mut ann, mut bob) = (join(&hub, "ann"), join(&hub, "bob"));
        let mut cid = hub.subscribe(Start::Now);
        let number = hub.position().number + 10_000;
        let mut wait = Wait::new(&hub, number);
        for _ in 0..2 {
            publish(&hub, 5_000);
            for reader in [&mut ann, &mut bob] {
                assert!(matches!(reader.try_recv(), Ok(Delivery::Gap { .. })));
                while reader.try_recv().is_ok() {}
            }
        }
        wait.assert_waits();
        publish(&hub, 5_000);
        assert!(matches!(cid.try_recv(), Ok(Delivery::Gap { .. })));
        wait.assert_ends(Err(ReadByAllError::Missed { readers: 3 }));
    }

    #[test]
    fn after_the_number_does_not_count() {
        let hub = small_hub();
        let mut ann = join(&hub, "ann");
        let number = publish(&hub, 1);
        let mut wait = Wait::new(&hub, number);
        ann.try_recv().unwrap();
        publish(&hub, 10_000);
        assert!(matches!(ann.try_recv(), Ok(Delivery::Gap { .. })));
        wait.assert_ends(Ok(()));
    }

    #[test]
    fn of_dropped_reader_does_not_count() {
        let hub = small_hub();
        let (mut ann, mut bob) = (join(&hub, "ann"), join(&hub, "bob"));
        let mut wait = Wait::new(&hub, hub.position().number + 20_000);
        publish(&hub, 10_000);
        assert!(matches!(ann.try_recv(), Ok(Delivery::Gap { .. })));
        drop(ann);
        // A new reader can have the place of the dropped one.
        let mut cid = join(&hub, "cid");
        for _ in 0..1_000 {
            publish(&hub, 20);
            for reader in [&mut bob, &mut cid] {
                while reader.try_recv().is_ok() {}
            }
        }
        wait.assert_ends(Err(ReadByAllError::Missed { readers: 1 }));
    }
}

mod close {
    use super::*;

    #[test]
    fn ends_the_wait_for_future_events() {
        let hub = hub();
        let _ann = join(&hub, "ann");
        let mut wait = Wait::new(&hub, hub.position().number + 1);
        hub.close();
        wait.assert_ends(Err(ReadByAllError::Closed));
    }

    /// The result does not depend on how soon the readers are at their end.
    #[test]
    fn refuses_future_events_without_readers() {
        let hub = hub();
        let mut ann = join(&hub, "ann");
        let number = hub.position().number;
        let mut wait = Wait::new(&hub, number + 1);
        hub.close();
        while ann.try_recv().is_ok() {}
        wait.assert_ends(Err(ReadByAllError::Closed));
        for (number, result) in [(number, Ok(())), (u64::MAX, Err(ReadByAllError::Closed))] {
            let read = chat_tests::poll_once(hub.read_by_all(number));
            assert_eq!(read, Poll::Ready(result));
        }
    }

    #[test]
    fn leaves_the_remainder_to_be_read() {
        let hub = hub();
        let (mut ann, bob) = (join(&hub, "ann"), join(&hub, "bob"));
        let number = publish(&hub, 2);
        let mut wait = Wait::new(&hub, number);
        hub.close();
        wait.assert_waits();
        while ann.try_recv().is_ok() {}
        wait.assert_waits();
        drop(bob);
        wait.assert_ends(Ok(()));
    }
}
