//! The shard and its dispatcher, polled by hand, and dispatchers in real runtimes.

use super::dispatcher::Dispatcher;
use super::dispatcher::READERS_PER_TURN;
use super::shard::Parking;
use super::*;
use crate::hub::Hub;
use crate::hub::member::Member;
use crate::types::config::HubConfig;
use crate::types::event::{Delivery, RemovalReason};
use shard::Taken;
use std::pin::Pin;
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex as StdMutex, Weak};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Counts its wake-ups.
#[derive(Default)]
struct Count {
    wakes: AtomicUsize,
    woken: Notify,
}

impl Count {
    fn wakes(&self) -> usize {
        self.wakes.load(SeqCst)
    }
}

impl Owner for Count {
    fn wake(&self) {
        self.wakes.fetch_add(1, SeqCst);
        self.woken.notify_one();
    }
}

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        Owner::wake(&*self);
    }
}

/// The offers to all readers, in order.
type Offers = Arc<StdMutex<Vec<(usize, String)>>>;

struct Reader {
    member: Member,
    owner: Arc<Count>,
    number: usize,
    offers: Offers,
    then: Box<dyn FnMut() -> Offered + Send>,
}

impl ParkedReader for Reader {
    fn cursor(&mut self) -> &mut Cursor {
        self.member.reader().cursor_to_park()
    }

    fn prepare(&mut self) {}

    fn offer(&mut self, lines: &[u8]) -> Offered {
        let lines = String::from_utf8(lines.into()).unwrap();
        self.offers.lock().unwrap().push((self.number, lines));
        (self.then)()
    }

    fn owner(&self) -> Arc<dyn Owner> {
        self.owner.clone()
    }
}

fn taken_back(reader: Box<dyn ParkedReader>) -> Box<Reader> {
    let reader: Box<dyn Any> = reader;
    reader.downcast().unwrap()
}

/// A hub without announcements of arrivals, so that all events are the test's.
fn hub(log_bytes: usize) -> Hub {
    let config = HubConfig {
        log_bytes,
        announce_up_to: Some(0),
        ..HubConfig::default()
    };
    Hub::new(config)
}

/// Readers of one shard, with a dispatcher that the test polls.
struct Scene {
    hub: Hub,
    shard: Arc<Shard>,
    run: Pin<Box<dyn Future<Output = ()>>>,
    waker: Arc<Count>,
    offers: Offers,
    owners: Vec<Arc<Count>>,
}

impl Scene {
    fn new(log_bytes: usize, readers: usize) -> Self {
        let (hub, shard) = (hub(log_bytes), Arc::new(Shard::default()));
        let mut scene = Self {
            run: Box::pin(Dispatcher::new(&hub, shard.clone()).run()),
            hub,
            shard,
            waker: Arc::default(),
            offers: Offers::default(),
            owners: Vec::new(),
        };
        for _ in 0..readers {
            scene.park(|| Offered::All);
        }
        assert_eq!(scene.turns(), 1, "there is nothing to deliver");
        scene
    }

    /// A reader that has read everything.
    fn reader(&self, then: impl FnMut() -> Offered + Send + 'static) -> Box<Reader> {
        let number = self.owners.len();
        let name = format!("reader{number}").parse().unwrap();
        let mut member = self.hub.join(name).unwrap();
        while member.try_recv().is_ok() {}
        Box::new(Reader {
            member,
            owner: Arc::default(),
            number,
            offers: self.offers.clone(),
            then: Box::new(then),
        })
    }

    fn park(&mut self, then: impl FnMut() -> Offered + Send + 'static) {
        let reader = self.reader(then);
        let at = self.owners.len();
        self.owners.push(reader.owner.clone());
        assert!(matches!(
            self.shard.park(at, reader),
            Parking::Parked { .. }
        ));
    }

    fn poll(&mut self) -> Poll<()> {
        let waker = Waker::from(self.waker.clone());
        self.run.as_mut().poll(&mut Context::from_waker(&waker))
    }

    /// Polls the dispatcher until it waits. Returns the number of polls.
    fn turns(&mut self) -> usize {
        let mut turns = 0;
        loop {
            let wakes = self.waker.wakes();
            turns += 1;
            assert_eq!(self.poll(), Poll::Pending);
            if self.waker.wakes() == wakes {
                return turns;
            }
            assert!(turns < 1_000, "the dispatcher never waits");
        }
    }

    fn announce(&self, text: &str) {
        self.hub.announce(text).unwrap();
    }

    fn take_offers(&self) -> Vec<(usize, String)> {
        std::mem::take(&mut *self.offers.lock().unwrap())
    }

    /// What each reader was offered since the last call.
    fn received(&self) -> Vec<String> {
        let mut received = vec![String::new(); self.owners.len()];
        for (number, lines) in self.take_offers() {
            received[number] += &lines;
        }
        received
    }

    fn returned(&self) -> usize {
        self.owners.iter().map(|owner| owner.wakes()).sum()
    }
}

const MANY: usize = 3 * READERS_PER_TURN + 8;

mod turn {
    use super::*;

    #[test]
    fn serves_a_bounded_number_of_readers() {
        let mut scene = Scene::new(1 << 20, MANY);
        scene.announce("one");
        assert_eq!(scene.poll(), Poll::Pending);
        assert_eq!(scene.offers.lock().unwrap().len(), READERS_PER_TURN);
        assert_eq!(scene.turns(), 3);
        let offers = scene.take_offers();
        let expected: Vec<_> = (0..MANY).map(|n| (n, "*** one\n".to_owned())).collect();
        assert_eq!(offers, expected);
        scene.announce("two");
        assert_eq!(scene.turns(), 4);
        assert_eq!(scene.received(), vec!["*** two\n"; MANY]);
        assert_eq!(scene.returned(), 0);
    }

    #[test]
    fn ends_early_after_slow_offers() {
        let mut scene = Scene::new(1 << 20, 0);
        for number in 0..READERS_PER_TURN {
            scene.park(move || {
                let started = Instant::now();
                while number == 2 && started.elapsed() < Duration::from_millis(3) {}
                Offered::All
            });
        }
        scene.announce("one");
        assert_eq!(scene.poll(), Poll::Pending);
        let offers = scene.offers.lock().unwrap().len();
        assert!((3..READERS_PER_TURN).contains(&offers), "{offers}");
        scene.turns();
        let expected = vec!["*** one\n"; READERS_PER_TURN];
        assert_eq!(scene.received(), expected);
    }

    #[test]
    fn serves_readers_at_different_numbers() {
        let mut scene = Scene::new(1 << 20, 1);
        for text in ["one", "two", "three"] {
            scene.announce(text);
            scene.park(|| Offered::All);
        }
        assert_eq!(scene.turns(), 1);
        let all = ["*** one\n", "*** two\n", "*** three\n"];
        for (number, received) in scene.received().into_iter().enumerate() {
            assert_eq!(received, all[number..].concat());
        }
    }

    #[test]
    fn yields_while_hub_changes() {
        let mut scene = Scene::new(1 << 20, 0);
        let (hub, offers) = (scene.hub.clone(), scene.offers.clone());
        scene.park(move || {
            if offers.lock().unwrap().len() < 500 {
                hub.announce("another").unwrap();
            }
            Offered::All
        });
        scene.announce("first");
        assert_eq!(scene.poll(), Poll::Pending);
        assert_eq!(scene.offers.lock().unwrap().len(), 1);
        scene.turns();
        assert_eq!(scene.offers.lock().unwrap().len(), 500);
    }
}

mod round {
    use super::*;

    #[test]
    fn begins_again_after_a_change() {
        let mut scene = Scene::new(1 << 20, MANY);
        scene.announce("one");
        for _ in 0..2 {
            assert_eq!(scene.poll(), Poll::Pending);
        }
        scene.announce("two");
        scene.turns();
        let offers = scene.take_offers();
        // The readers that were served before the change, each once for each line.
        assert_eq!(offers.len(), MANY + 2 * READERS_PER_TURN);
        let mut received = vec![String::new(); MANY];
        for (number, lines) in offers {
            received[number] += &lines;
        }
        assert_eq!(received, vec!["*** one\n*** two\n"; MANY]);
    }

    #[test]
    fn includes_readers_parked_meanwhile() {
        let mut scene = Scene::new(1 << 20, MANY);
        scene.announce("one");
        assert_eq!(scene.poll(), Poll::Pending);
        scene.park(|| Offered::All);
        scene.announce("two");
        scene.turns();
        let received = scene.received();
        assert_eq!(received[..MANY], vec!["*** one\n*** two\n"; MANY]);
        assert_eq!(received[MANY], "*** two\n");
    }

    #[test]
    fn divides_long_runs() {
        let mut scene = Scene::new(1 << 20, 3);
        let text = "x".repeat(1000);
        let mut expected = String::new();
        for number in 0..200 {
            let text = format!("{number} {text}");
            expected += &format!("*** {text}\n");
            scene.announce(&text);
        }
        scene.turns();
        let offers = scene.take_offers();
        assert!(offers.iter().all(|(_, lines)| lines.len() <= 64 * 1024));
        assert!(offers.len() >= 3 * 4, "{}", offers.len());
        for number in 0..3 {
            let own = offers.iter().filter(|(at, _)| *at == number);
            let received: String = own.map(|(_, lines)| lines.as_str()).collect();
            assert!(received == expected);
        }
        assert_eq!(scene.returned(), 0);
    }

    /// A reader that is behind does not keep its lines from one at the front.
    #[test]
    fn reaches_reader_beyond_a_run() {
        let mut scene = Scene::new(1 << 20, 1);
        let text = "x".repeat(1000);
        for _ in 0..200 {
            scene.announce(&text);
        }
        scene.park(|| Offered::All);
        scene.announce("last");
        assert_eq!(scene.poll(), Poll::Pending);
        assert_eq!(scene.poll(), Poll::Pending);
        let received = scene.received();
        assert!(received[0].lines().count() < 201);
        assert_eq!(received[1], "*** last\n");
        scene.turns();
        let received = scene.received();
        assert!(received[0].ends_with("*** last\n"));
        assert_eq!(received[1], "");
    }

    #[test]
    fn is_over_when_all_were_served() {
        let mut scene = Scene::new(1 << 20, MANY);
        scene.announce("one");
        scene.turns();
        scene.take_offers();
        for _ in 0..3 {
            assert_eq!(scene.turns(), 1);
        }
        assert_eq!(scene.take_offers(), []);
    }

    #[test]
    fn is_over_after_the_close() {
        let mut scene = Scene::new(1 << 20, MANY);
        scene.announce("one");
        scene.hub.close();
        assert!(scene.turns() <= 5);
        assert_eq!(scene.take_offers(), [], "the owner delivers the end");
        assert!(scene.owners.iter().all(|owner| owner.wakes() == 1));
        for at in 0..MANY {
            let reader = scene.shard.take_returned(at).unwrap();
            let mut member = taken_back(reader).member;
            assert!(matches!(member.try_recv(), Ok(Delivery::Event(_))));
            assert!(matches!(member.try_recv(), Ok(Delivery::Closed(_))));
        }
        assert_eq!(scene.turns(), 1);
    }
}

mod reader {
    use super::*;

    #[test]
    fn returns_with_what_was_not_taken() {
        let mut scene = Scene::new(1 << 20, 0);
        scene.park(|| Offered::Some(2));
        scene.park(|| Offered::Some(0));
        scene.park(|| Offered::All);
        for text in ["one", "two", "three"] {
            scene.announce(text);
        }
        scene.turns();
        assert_eq!(scene.returned(), 2);
        for (at, next) in [(0, 2), (1, 0)] {
            assert_eq!(scene.owners[at].wakes(), 1);
            let reader = taken_back(scene.shard.take_returned(at).unwrap());
            assert_eq!(reader.member.position().number, next);
        }
        assert!(scene.shard.take_returned(2).is_none());
    }

    #[test]
    fn returns_with_an_exact_gap() {
        let mut scene = Scene::new(0, 2);
        let published = 100_000;
        for number in 0..published {
            scene.announce(&number.to_string());
        }
        let evicted = published - scene.hub.stats().events;
        assert!(evicted > 0);
        scene.turns();
        assert_eq!(scene.take_offers(), []);
        assert_eq!(scene.returned(), 2);
        let mut reader = taken_back(scene.shard.take_returned(1).unwrap());
        let gap = reader.member.try_recv().unwrap();
        assert_eq!(gap, Delivery::Gap { missed: evicted });
        let mut rest = 0;
        while reader.member.try_recv().is_ok() {
            rest += 1;
        }
        assert_eq!(evicted + rest, published);
    }

    /// Evicted while it is delivered: it was given, so it is no gap.
    #[test]
    fn misses_nothing_that_it_took() {
        let mut scene = Scene::new(0, 0);
        let hub = scene.hub.clone();
        let mut evicts = true;
        scene.park(move || {
            if std::mem::take(&mut evicts) {
                for number in 0..100_000 {
                    hub.announce(&number.to_string()).unwrap();
                }
            }
            Offered::All
        });
        scene.announce("first");
        scene.turns();
        assert_eq!(scene.received(), ["*** first\n"]);
        let published = scene.hub.position().number;
        let evicted = published - scene.hub.stats().events;
        let mut reader = taken_back(scene.shard.take_returned(0).unwrap());
        let gap = reader.member.try_recv().unwrap();
        assert_eq!(
            gap,
            Delivery::Gap {
                missed: evicted - 1
            }
        );
    }

    #[test]
    fn returns_when_its_member_is_removed() {
        let mut scene = Scene::new(1 << 20, 0);
        let reader = scene.reader(|| Offered::All);
        let id = reader.member.id();
        scene.owners.push(reader.owner.clone());
        scene.shard.park(0, reader);
        scene.announce("one");
        scene.hub.remove(id, RemovalReason::Kicked).unwrap();
        scene.announce("two");
        scene.turns();
        assert_eq!(scene.take_offers(), []);
        assert_eq!(scene.returned(), 1);
    }

    #[test]
    fn counts_in_lag_while_parked() {
        let mut scene = Scene::new(1 << 20, 2);
        for _ in 0..200 {
            scene.announce(&"x".repeat(1000));
        }
        let behind = |scene: &Scene| -> Vec<_> {
            let slowest = scene.hub.slowest(2);
            slowest.iter().map(|lag| lag.behind).collect()
        };
        assert_eq!(behind(&scene), [200, 200]);
        // A number of bytes, to within a zone of the log.
        assert!(scene.hub.stats().behind > 100_000);
        scene.turns();
        assert_eq!(behind(&scene), [0, 0]);
        assert!(scene.hub.stats().behind < 10_000);
        for at in 0..2 {
            scene.shard.abandon(at);
        }
        assert_eq!(
            (scene.hub.stats().readers, scene.hub.stats().members),
            (0, 0)
        );
    }
}

mod place {
    use super::*;

    /// A reader that the dispatcher has taken out, and its place.
    fn taken_out() -> (Scene, Vec<Taken>) {
        let scene = Scene::new(1 << 20, 1);
        let mut readers = Vec::new();
        let looked_at = scene.shard.take_out(0, 9, usize::MAX, &mut readers);
        assert_eq!((looked_at.looked, looked_at.all, readers.len()), (1, 1, 1));
        (scene, readers)
    }

    #[test]
    fn returns_reader_recalled_meanwhile() {
        let (scene, mut readers) = taken_out();
        for _ in 0..2 {
            assert!(scene.shard.recall(0).is_none());
        }
        assert!(scene.shard.take_returned(0).is_none());
        scene.shard.put_back(&mut readers);
        assert_eq!(scene.returned(), 1);
        assert!(scene.shard.recall(0).is_some());
        assert!(scene.shard.recall(0).is_none());
    }

    #[test]
    fn returns_reader_with_mail_meanwhile() {
        let (scene, mut readers) = taken_out();
        scene.shard.return_to_owner(0);
        scene.shard.put_back(&mut readers);
        assert_eq!(scene.returned(), 1);
        scene.shard.return_to_owner(0);
        assert_eq!(scene.returned(), 1, "it is returned already");
        assert!(scene.shard.take_returned(0).is_some());
    }

    #[test]
    fn is_free_without_abandoned_reader() {
        let (mut scene, mut readers) = taken_out();
        scene.shard.abandon(0);
        assert!(scene.shard.recall(0).is_none());
        scene.shard.return_to_owner(0);
        let next = scene.reader(|| Offered::All);
        let Parking::Refused(next) = scene.shard.park(0, next) else {
            panic!("the dispatcher has the reader of the place");
        };
        assert_eq!(scene.hub.stats().members, 2);
        scene.shard.put_back(&mut readers);
        assert_eq!(scene.hub.stats().members, 1);
        assert_eq!(scene.returned(), 0);
        let parked = scene.shard.park(0, next);
        assert!(matches!(parked, Parking::Parked { start: false }));
        scene.announce("one");
        scene.turns();
        assert_eq!(scene.take_offers().len(), 1);
    }

    #[test]
    fn refuses_readers_without_dispatcher() {
        let mut scene = Scene::new(1 << 20, MANY);
        scene.run = Box::pin(std::future::pending());
        assert!(scene.owners.iter().all(|owner| owner.wakes() == 1));
        let reader = taken_back(scene.shard.take_returned(0).unwrap());
        assert!(matches!(scene.shard.park(0, reader), Parking::Refused(_)));
        assert!(scene.shard.recall(1).is_some());
    }
}

mod dispatcher {
    use super::*;

    #[test]
    fn ends_with_its_hub() {
        let mut scene = Scene::new(1 << 20, MANY);
        for at in 0..MANY {
            scene.shard.abandon(at);
        }
        let shard = Arc::downgrade(&scene.shard);
        let shared = Arc::downgrade(&scene.hub.shared);
        let wakes = scene.waker.wakes();
        scene.hub = hub(0);
        assert_eq!(scene.waker.wakes(), wakes + 1);
        assert_eq!(scene.poll(), Poll::Ready(()));
        scene.shard = Arc::default();
        scene.run = Box::pin(std::future::pending());
        assert!(shared.upgrade().is_none() && shard.upgrade().is_none());
        assert_eq!(Arc::strong_count(&scene.waker), 1);
    }
}

mod runtime {
    use super::*;
    use tokio::runtime::{Builder, Runtime};

    fn runtimes() -> [Runtime; 2] {
        let mut builder = Builder::new_multi_thread();
        [(); 2].map(|()| builder.worker_threads(2).build().unwrap())
    }

    /// Parks a reader from within the runtime.
    fn park(scene: &mut Scene, runtime: &Runtime) -> (ParkingPlace, Arc<Count>) {
        let reader = scene.reader(|| Offered::All);
        let owner = reader.owner.clone();
        scene.owners.push(owner.clone());
        let _guard = runtime.enter();
        let slot = reader.member.id().slot.index;
        let place = scene.hub.shared.dispatchers.place(slot).unwrap();
        assert!(place.park(&scene.hub, reader).is_ok());
        (place, owner)
    }

    /// Waits until the readers have read everything.
    fn wait(scene: &Scene, runtime: &Runtime) {
        let number = scene.hub.position().number;
        runtime.block_on(scene.hub.read_by_all(number)).unwrap();
    }

    #[test]
    fn has_dispatchers_of_its_own() {
        let [one, two] = runtimes();
        let mut scene = Scene::new(1 << 20, 0);
        let places: Vec<_> = (0..8)
            .map(|n| park(&mut scene, if n % 2 == 0 { &one } else { &two }))
            .collect();
        scene.announce("one");
        wait(&scene, &one);
        assert_eq!(scene.received(), vec!["*** one\n"; 8]);
        // A shutdown returns the readers of its runtime alone.
        drop(one);
        for (n, (place, owner)) in places.iter().enumerate() {
            assert_eq!(owner.wakes(), usize::from(n % 2 == 0));
            if let Some(reader) = place.take_returned() {
                assert!(place.park(&scene.hub, reader).is_err());
            }
        }
        scene.announce("two");
        wait(&scene, &two);
        let received = scene.received();
        assert_eq!(received.concat(), "*** two\n".repeat(4));
        // Mail finds a reader in either.
        for (n, (place, owner)) in places.iter().enumerate().filter(|(n, _)| n % 2 == 1) {
            scene.hub.shared.dispatchers.return_to_owner(n as u32);
            two.block_on(owner.woken.notified());
            assert!(place.recall().is_some());
        }
    }

    #[test]
    fn keeps_nothing_of_a_hub() {
        let [one, _two] = runtimes();
        let mut scene = Scene::new(1 << 20, 0);
        let (place, _) = park(&mut scene, &one);
        let shared = Arc::downgrade(&scene.hub.shared);
        let shard: Weak<Shard> = Arc::downgrade(&place.shard);
        place.abandon();
        drop((place, scene));
        assert!(shared.upgrade().is_none());
        // Each task of a dispatcher holds its shard.
        one.block_on(async {
            while shard.upgrade().is_some() {
                tokio::task::yield_now().await;
            }
        });
    }

    #[test]
    fn is_forgotten_after_its_shutdown() {
        let mut scene = Scene::new(1 << 20, 0);
        for _ in 0..5 {
            let [one, two] = runtimes();
            for runtime in [&one, &two] {
                let (place, _) = park(&mut scene, runtime);
                place.abandon();
            }
        }
        assert!(scene.hub.shared.dispatchers.lock().len() <= 3);
    }

    #[test]
    fn is_needed_to_park() {
        let scene = Scene::new(1 << 20, 0);
        assert!(scene.hub.shared.dispatchers.place(0).is_none());
    }
}
