//! Publishing: the length of texts, and many texts in several batches.

use chat_core::{
    Batch, Hub, LeaveError, Member, PublishError, RemovalReason, SendError, Start, Subscriber,
    Timestamp,
};
use chat_tests::history::Record;
use chat_tests::memory::{DEADLINE, hub, join};
use std::pin::Pin;
use std::sync::{Arc, Mutex, mpsc};
use std::task::{Context, Wake, Waker};
use std::thread;
use tokio_stream::Stream;

/// The bounds of one batch.
const BATCH_BYTES: u64 = 64 * 1024;
const BATCH_TEXTS: u64 = 1024;

/// Calls a function when it is woken, on the thread that wakes it.
struct Calls<F>(F);

impl<F: Fn() + Send + Sync + 'static> Wake for Calls<F> {
    fn wake(self: Arc<Self>) {
        (self.0)();
    }
}

/// A subscriber that waits for the next event, and calls a function when it is woken.
fn on_next_event(hub: &Hub, call: impl Fn() + Send + Sync + 'static) -> Subscriber {
    let mut subscriber = hub.subscribe(Start::Now);
    let waker = Waker::from(Arc::new(Calls(call)));
    let polled = Pin::new(&mut subscriber).poll_next(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    subscriber
}

/// Texts for several batches.
fn texts() -> Vec<String> {
    (0..300).map(|n| format!("{n:01000}")).collect()
}

fn publish_many(
    member: &Member,
    texts: &[String],
) -> Result<std::ops::Range<u64>, (usize, PublishError)> {
    let texts: Vec<_> = texts.iter().map(String::as_str).collect();
    let published = member.hub().publish_many(member.id(), &texts);
    published.map_err(|error| (error.published, error.reason))
}

mod long_text {
    use super::*;

    #[test]
    fn refuses_the_batch() {
        let hub = hub();
        let ann = join(&hub, "ann");
        let long = "x".repeat(4097);
        let too_long = PublishError::TooLong {
            len: 4097,
            max: 4096,
        };
        let before = hub.stats();
        assert_eq!(ann.publish(&long), Err(too_long));
        let many = hub.publish_many(ann.id(), &["x", &long, "y"]).unwrap_err();
        assert_eq!((many.published, many.reason), (0, too_long));
        // In whichever batch it would be.
        let mut texts = texts();
        texts.push(long.clone());
        assert_eq!(publish_many(&ann, &texts), Err((0, too_long)));
        assert_eq!(hub.stats(), before);
        assert!(ann.publish(&long[1..]).is_ok());
    }

    #[test]
    fn is_measured_before_removals() {
        let hub = hub();
        let ann = join(&hub, "ann");
        let (len, max) = (1 << 20, 4096);
        let bells = "\u{7}".repeat(len);
        let before = hub.stats();
        let too_long = PublishError::TooLong { len, max };
        assert_eq!(ann.publish(&bells), Err(too_long));
        assert_eq!(hub.announce(&bells), Err(too_long));
        let many = hub.publish_many(ann.id(), &["x", &bells]).unwrap_err();
        assert_eq!((many.published, many.reason), (0, too_long));
        let too_long = SendError::TooLong { len, max };
        assert_eq!(hub.notify(ann.id(), &bells), Err(too_long));
        assert_eq!(hub.send(ann.id(), ann.id(), &bells), Err(too_long));
        assert_eq!(hub.stats(), before);
        assert!(ann.publish(&bells[..max]).is_ok(), "nothing of it remains");
    }
}

mod batches {
    use super::*;

    #[test]
    fn let_other_threads_in_between() {
        let hub = hub();
        let (ann, bob) = (join(&hub, "ann"), join(&hub, "bob"));
        let (wake, woken) = mpsc::channel();
        let (done, is_done) = mpsc::channel();
        let is_done = Mutex::new(is_done);
        // Woken once, after the first batch. The publisher continues when another thread has had the
        // lock.
        let _waits = on_next_event(&hub, move || {
            wake.send(()).expect("the other thread runs");
            let other = is_done.lock().expect("no thread panics");
            let other = other.recv_timeout(DEADLINE);
            other.expect("another thread gets the lock between two batches");
        });
        let other = {
            let hub = hub.clone();
            thread::spawn(move || {
                woken.recv().expect("the publisher runs");
                let published = hub.stats().published;
                let number = bob.publish("between").expect("it is a member");
                done.send(()).expect("the publisher runs");
                (published, number)
            })
        };
        let texts = texts();
        let numbers = publish_many(&ann, &texts).unwrap();
        let (published, between) = other.join().unwrap();
        let first = published;
        assert!(
            (1..300).contains(&first),
            "{first} texts in the first batch"
        );
        assert_eq!(
            between,
            numbers.start + first,
            "right after the first batch"
        );
        assert!(between < numbers.end - 1);
        // All texts are there, in order.
        let mut log = hub.subscribe(Start::Last(numbers.end - numbers.start));
        let mut record = Record::of_subscriber(&log);
        record.catch_up_with(|| log.try_recv());
        let by_ann = record.events().filter(|event| event.subject() == "ann");
        let received: Vec<_> = by_ann.map(|event| event.text().to_owned()).collect();
        assert_eq!(received, texts);
    }

    /// Registers itself again whenever it is woken, and notes the position.
    struct Observer {
        subscriber: Mutex<Subscriber>,
        positions: Mutex<Vec<u64>>,
    }

    impl Wake for Observer {
        fn wake(self: Arc<Self>) {
            let waker = Waker::from(self.clone());
            let mut subscriber = self.subscriber.lock().expect("no thread panics");
            let mut batch = Batch::default();
            while subscriber.try_recv_many(&mut batch).is_ok() {}
            let position = subscriber.position().number;
            self.positions
                .lock()
                .expect("no thread panics")
                .push(position);
            let mut cx = Context::from_waker(&waker);
            assert!(Pin::new(&mut *subscriber).poll_next(&mut cx).is_pending());
        }
    }

    #[test]
    fn are_bounded_in_bytes_and_texts() {
        let short = vec![String::new(); 5_000];
        for texts in [texts(), short] {
            let hub = hub();
            let ann = join(&hub, "ann");
            let observer = Arc::new(Observer {
                subscriber: Mutex::new(hub.subscribe(Start::Now)),
                positions: Mutex::default(),
            });
            observer.clone().wake();
            publish_many(&ann, &texts).unwrap();
            let positions = observer.positions.lock().unwrap();
            let len = texts[0].len() as u64;
            let steps: Vec<_> = positions.windows(2).map(|step| step[1] - step[0]).collect();
            assert_eq!(steps.iter().sum::<u64>(), texts.len() as u64);
            for step in &steps {
                assert!(*step <= BATCH_TEXTS && step * len <= BATCH_BYTES, "{step}");
            }
            let least = (texts.len() as u64).div_ceil(BATCH_TEXTS.min(BATCH_BYTES / len.max(1)));
            assert_eq!(steps.len() as u64, least, "no more batches than needed");
        }
    }

    #[test]
    fn end_with_the_membership() {
        type End = fn(&Member) -> PublishError;
        let ends: [End; 4] = [
            |member| {
                let removed = member.hub().remove(member.id(), RemovalReason::Kicked);
                removed.map(|_| PublishError::NotHere).expect("it is here")
            },
            |member| {
                let left: Result<u64, LeaveError> = member.hub().leave(member.id());
                left.map(|_| PublishError::NotHere).expect("it is here")
            },
            |member| {
                let until = Timestamp::MAX;
                let muted = member.hub().mute(member.id(), until);
                muted
                    .map(|()| PublishError::Muted { until })
                    .expect("it is here")
            },
            |member| {
                member.hub().close();
                PublishError::Closed
            },
        ];
        for end in ends {
            let hub = hub();
            let ann = Arc::new(join(&hub, "ann"));
            let expected = Arc::new(Mutex::new(None));
            let _waits = {
                let (ann, expected) = (ann.clone(), expected.clone());
                on_next_event(&hub, move || {
                    *expected.lock().expect("no thread panics") = Some(end(&ann));
                })
            };
            let (published, reason) = publish_many(&ann, &texts()).unwrap_err();
            assert_eq!(Some(reason), *expected.lock().unwrap());
            assert!((1..300).contains(&published), "{published} published");
            assert_eq!(hub.stats().published, published as u64);
        }
    }
}
