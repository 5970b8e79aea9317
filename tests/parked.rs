//! Sessions whose peers have everything: the hub delivers to them in the place of their tasks. All
//! promises of a session hold on either way.

use async_trait::async_trait;
use chat_core::session::SessionConfig;
use chat_core::transport::{Attempt, DeliverHalf, Feed, ReceiveHalf, Transport, memory};
use chat_core::{Delivery, EventKind, Hub, HubConfig, LeaveReason, Member, MemberId, Name};
use chat_core::{ReadByAllError, RemovalReason};
use chat_tests::memory::{CAPACITY, DEADLINE, Ended, hub, join, run_until_idle, spawn};
use chat_tests::{poll_once, within};
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::task::Poll;
use tokio::io::{AsyncBufReadExt, BufReader, DuplexStream};
use tokio::task::JoinHandle;

/// The result of the next attempts to deliver to a parked peer.
#[derive(Clone, Copy)]
enum Script {
    /// As the connection itself does it.
    Deliver,
    Panic,
    Fail,
    ClaimTooMuch,
    TakeNothing,
}

/// A connection whose attempts to deliver follow a script, and are counted.
struct Scripted<T> {
    inner: T,
    attempts: Arc<Attempts>,
}

struct Attempts {
    script: Mutex<Script>,
    count: AtomicUsize,
}

impl<T: Transport> Transport for Scripted<T> {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        let attempts = self.attempts;
        let (receiver, inner) = Box::new(self.inner).split();
        (receiver, Box::new(Scripted { inner, attempts }))
    }
}

#[async_trait]
impl DeliverHalf for Scripted<Box<dyn DeliverHalf>> {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        self.inner.deliver(feed).await
    }

    fn try_deliver(&mut self, lines: &[u8]) -> io::Result<Attempt> {
        self.attempts.count.fetch_add(1, SeqCst);
        let script = *self
            .attempts
            .script
            .lock()
            .expect("no panic under the lock");
        match script {
            Script::Deliver => self.inner.try_deliver(lines),
            // A panic without a report in the output of the test.
            Script::Panic => std::panic::resume_unwind(Box::new("on purpose")),
            Script::Fail => Err(io::ErrorKind::BrokenPipe.into()),
            Script::ClaimTooMuch => Ok(Attempt::Partial(lines.len() + 1)),
            Script::TakeNothing => Ok(Attempt::Partial(0)),
        }
    }

    async fn close(&mut self, reason: LeaveReason) -> io::Result<()> {
        self.inner.close(reason).await
    }
}

/// A peer whose session parks.
struct Peer {
    stream: BufReader<DuplexStream>,
    session: JoinHandle<Ended>,
    attempts: Arc<Attempts>,
    id: MemberId,
}

impl Peer {
    async fn connect(hub: &Hub, name: &str) -> Self {
        Self::connect_with(hub, name, CAPACITY).await
    }

    /// A peer that has read its greeting.
    async fn connect_with(hub: &Hub, name: &str, capacity: usize) -> Self {
        let (transport, stream) = memory::pair(capacity);
        let attempts = Arc::new(Attempts {
            script: Mutex::new(Script::Deliver),
            count: AtomicUsize::new(0),
        });
        let transport = Scripted {
            inner: transport,
            attempts: attempts.clone(),
        };
        let session = spawn(hub, name, transport, &SessionConfig::default());
        let mut stream = BufReader::new(stream);
        let mut line = String::new();
        let read = within(DEADLINE, "greeting", stream.read_line(&mut line)).await;
        read.expect("a connection in memory can be read");
        assert_eq!(line, format!("You are {name}\n"));
        let name = Name::assigned(name).expect("the names of the tests are valid");
        Self {
            stream,
            session,
            attempts,
            id: hub.find(&name).expect("it is a member"),
        }
    }

    fn set(&self, script: Script) {
        *self
            .attempts
            .script
            .lock()
            .expect("no panic under the lock") = script;
    }

    fn attempts(&self) -> usize {
        self.attempts.count.load(SeqCst)
    }

    /// The next line, without its end; empty at the end of the stream.
    async fn line(&mut self) -> String {
        let mut line = String::new();
        let read = within(DEADLINE, "reading", self.stream.read_line(&mut line)).await;
        read.expect("a connection in memory can be read");
        line.trim_end().to_owned()
    }

    /// The next line that is no list of members.
    async fn event(&mut self) -> String {
        loop {
            let line = self.line().await;
            if !line.starts_with("Here now: ") {
                return line;
            }
        }
    }

    async fn expect_line(&mut self, expected: &str) {
        assert_eq!(self.event().await, expected);
    }

    async fn ended(self) -> Result<Ended, tokio::task::JoinError> {
        within(DEADLINE, "ending", self.session).await
    }
}

/// A hub that announces no arrivals and departures.
fn silent_hub() -> Hub {
    let mut config = HubConfig::default();
    config.announce_up_to = Some(0);
    Hub::new(config)
}

/// The reason why a member has left.
fn departure(observer: &mut Member) -> Option<LeaveReason> {
    while let Ok(item) = observer.try_recv() {
        if let Delivery::Event(event) = item
            && let EventKind::Left(reason) = event.kind()
        {
            return Some(reason);
        }
    }
    None
}

mod attempt {
    use super::*;

    /// One of three parked peers fails. Returns the result of its session and the announced reason.
    async fn fails_alone(script: Script) -> (Result<Ended, tokio::task::JoinError>, LeaveReason) {
        let hub = hub();
        let mut observer = join(&hub, "observer");
        let mut peers = Vec::new();
        for name in ["mem:1", "mem:2", "mem:3"] {
            peers.push(Peer::connect(&hub, name).await);
        }
        run_until_idle().await;
        peers[1].set(script);
        let before = peers[1].attempts();
        hub.announce("hi").expect("the hub is open");
        run_until_idle().await;
        hub.announce("more").expect("the hub is open");
        run_until_idle().await;
        let failed = peers.remove(1);
        assert_eq!(failed.attempts(), before + 1, "no attempt follows");
        for (peer, arrivals) in peers.iter_mut().zip([2, 0]) {
            for _ in 0..arrivals {
                assert!(peer.event().await.ends_with(" has arrived"));
            }
            peer.expect_line("*** hi").await;
            let last = [peer.event().await, peer.event().await];
            assert!(last.contains(&"*** more".to_owned()), "{last:?}");
            assert!(last.contains(&"mem:2 has left".to_owned()), "{last:?}");
            assert!(!peer.session.is_finished());
        }
        let reason = departure(&mut observer).expect("it has left");
        // The other half of the session waits for the peer's end.
        let Peer {
            session, stream, ..
        } = failed;
        drop(stream);
        (within(DEADLINE, "ending", session).await, reason)
    }

    #[tokio::test(start_paused = true)]
    async fn panic_ends_its_own_session() {
        let (ended, reason) = fails_alone(Script::Panic).await;
        assert!(ended.expect_err("it panics").is_panic());
        assert_eq!(reason, LeaveReason::Panicked);
    }

    #[tokio::test(start_paused = true)]
    async fn claim_of_too_much_panics() {
        let (ended, reason) = fails_alone(Script::ClaimTooMuch).await;
        assert!(ended.expect_err("it panics").is_panic());
        assert_eq!(reason, LeaveReason::Panicked);
    }

    #[tokio::test(start_paused = true)]
    async fn error_ends_its_own_session() {
        let (ended, reason) = fails_alone(Script::Fail).await;
        assert_eq!(ended.unwrap(), Ok(LeaveReason::Lost));
        assert_eq!(reason, LeaveReason::Lost);
    }

    #[tokio::test(start_paused = true)]
    async fn without_room_is_followed_by_delivery() {
        let hub = silent_hub();
        let mut peer = Peer::connect(&hub, "mem:1").await;
        run_until_idle().await;
        peer.set(Script::TakeNothing);
        for (text, line) in [("one", "*** one"), ("two", "*** two")] {
            let before = peer.attempts();
            hub.announce(text).unwrap();
            peer.expect_line(line).await;
            assert_eq!(peer.attempts(), before + 1);
            run_until_idle().await;
        }
    }
}

mod mail {
    use super::*;

    /// Notices and events in turn, from another task; on the way both the hub and the session deliver.
    async fn keeps_its_place(rounds: usize) {
        let hub = silent_hub();
        let mut peer = Peer::connect(&hub, "mem:1").await;
        let (sender, to) = (hub.clone(), peer.id);
        tokio::spawn(async move {
            for round in 0..rounds {
                sender
                    .announce(&format!("{round} first"))
                    .expect("the hub is open");
                // Often enough, the session parks meanwhile.
                if round % 3 == 0 {
                    tokio::task::yield_now().await;
                }
                // A mailbox is bounded: the peer has to take what is there.
                while sender.notify(to, &format!("{round} mail")).is_err() {
                    tokio::task::yield_now().await;
                }
                if round % 5 == 0 {
                    tokio::task::yield_now().await;
                }
                sender
                    .announce(&format!("{round} last"))
                    .expect("the hub is open");
                if round % 7 == 0 {
                    let number = sender.position().number;
                    sender
                        .read_by_all(number)
                        .await
                        .expect("no event was evicted");
                }
            }
        });
        for round in 0..rounds {
            peer.expect_line(&format!("*** {round} first")).await;
            peer.expect_line(&format!("* {round} mail")).await;
            peer.expect_line(&format!("*** {round} last")).await;
        }
        assert!(peer.attempts() > 0, "it was parked");
    }

    #[tokio::test]
    async fn keeps_place_on_one_thread() {
        keeps_its_place(3_000).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn keeps_place_on_many_threads() {
        keeps_its_place(3_000).await;
    }
}

mod departure {
    use super::*;

    /// A removal that is announced is an event, the other one is not.
    #[tokio::test(start_paused = true)]
    async fn by_removal_reaches_the_peer() {
        for hub in [hub(), silent_hub()] {
            let mut peer = Peer::connect(&hub, "mem:1").await;
            let other = Peer::connect(&hub, "mem:2").await;
            run_until_idle().await;
            hub.announce("before").unwrap();
            hub.remove(peer.id, RemovalReason::Kicked).unwrap();
            hub.announce("after").unwrap();
            let mut lines = Vec::new();
            while let line = peer.event().await
                && !line.is_empty()
            {
                lines.push(line);
            }
            lines.retain(|line| line != "mem:2 has arrived");
            assert_eq!(lines.len(), 2, "{lines:?}");
            assert_eq!(lines[0], "*** before");
            assert!(lines[1].starts_with("* "), "{lines:?}");
            let Peer {
                session, stream, ..
            } = peer;
            drop(stream);
            let ended = within(DEADLINE, "ending", session).await;
            assert_eq!(ended.unwrap(), Ok(LeaveReason::Kicked));
            drop(other);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn by_drop_disconnects_the_peer() {
        let hub = hub();
        let mut observer = join(&hub, "observer");
        let mut peers = [
            Peer::connect(&hub, "mem:1").await,
            Peer::connect(&hub, "mem:2").await,
        ];
        run_until_idle().await;
        hub.announce("hi").unwrap();
        run_until_idle().await;
        assert!(peers.iter().all(|peer| peer.attempts() > 0), "both park");
        peers[0].session.abort();
        run_until_idle().await;
        assert_eq!(departure(&mut observer), Some(LeaveReason::Left));
        peers[0].expect_line("mem:2 has arrived").await;
        peers[0].expect_line("*** hi").await;
        peers[0].expect_line("").await;
        peers[1].expect_line("*** hi").await;
        peers[1].expect_line("mem:1 has left").await;
        let stats = hub.stats();
        assert_eq!((stats.members, stats.readers), (2, 2));
        // Its place is free.
        let mut next = Peer::connect(&hub, "mem:3").await;
        run_until_idle().await;
        let before = next.attempts();
        hub.announce("more").unwrap();
        next.expect_line("*** more").await;
        assert_eq!(next.attempts(), before + 1);
    }

    /// A panic of the session's other half, while the hub delivers to the peer.
    #[tokio::test(flavor = "multi_thread", worker_threads = 3)]
    async fn by_panic_has_its_reason() {
        for _ in 0..100 {
            let hub = hub();
            let mut observer = join(&hub, "observer");
            let (transport, _stream) = memory::pair(CAPACITY);
            let racing = Arc::new(Racing::default());
            let transport = PanicsWhileDelivering {
                inner: transport,
                racing: racing.clone(),
            };
            let session = spawn(&hub, "mem:1", transport, &SessionConfig::default());
            while !racing.is_delivering.load(SeqCst) {
                hub.announce("hi").unwrap();
                tokio::task::yield_now().await;
            }
            racing.receiving.notify_one();
            assert!(session.await.expect_err("it panics").is_panic());
            let reason = loop {
                if let Some(reason) = departure(&mut observer) {
                    break reason;
                }
                tokio::task::yield_now().await;
            };
            assert_eq!(reason, LeaveReason::Panicked);
        }
    }

    #[derive(Default)]
    struct Racing {
        is_delivering: std::sync::atomic::AtomicBool,
        has_panicked: std::sync::atomic::AtomicBool,
        receiving: tokio::sync::Notify,
    }

    /// Lets the delivery end when it is dropped, which is shortly before the session is.
    struct Unwinding<'a>(&'a Racing);

    impl Drop for Unwinding<'_> {
        fn drop(&mut self) {
            self.0.has_panicked.store(true, SeqCst);
        }
    }

    struct PanicsWhileDelivering<T> {
        inner: T,
        racing: Arc<Racing>,
    }

    struct Receiver(Arc<Racing>);

    impl<T: Transport> Transport for PanicsWhileDelivering<T> {
        fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
            let (_, inner) = Box::new(self.inner).split();
            let racing = self.racing;
            (
                Box::new(Receiver(racing.clone())),
                Box::new(PanicsWhileDelivering { inner, racing }),
            )
        }
    }

    #[async_trait]
    impl ReceiveHalf for Receiver {
        async fn receive(
            &mut self,
            _: &mut chat_core::transport::Inbox<'_>,
        ) -> io::Result<chat_core::transport::Received> {
            self.0.receiving.notified().await;
            let _unwinding = Unwinding(&self.0);
            std::panic::resume_unwind(Box::new("on purpose"))
        }
    }

    #[async_trait]
    impl DeliverHalf for PanicsWhileDelivering<Box<dyn DeliverHalf>> {
        async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
            self.inner.deliver(feed).await
        }

        fn try_deliver(&mut self, _: &[u8]) -> io::Result<Attempt> {
            self.racing.is_delivering.store(true, SeqCst);
            let started = std::time::Instant::now();
            while !self.racing.has_panicked.load(SeqCst) && started.elapsed() < DEADLINE {
                std::hint::spin_loop();
            }
            Ok(Attempt::Complete)
        }

        async fn close(&mut self, reason: LeaveReason) -> io::Result<()> {
            self.inner.close(reason).await
        }
    }
}

mod parked_member {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn is_waited_for_as_reader() {
        let hub = silent_hub();
        let mut peer = Peer::connect(&hub, "mem:1").await;
        run_until_idle().await;
        hub.announce("hi").unwrap();
        let number = hub.position().number;
        assert_eq!(poll_once(hub.read_by_all(number)), Poll::Pending);
        let slowest = hub.slowest(1).remove(0);
        assert_eq!(slowest.behind, 1);
        assert_eq!(slowest.member.map(|(id, _)| id), Some(peer.id));
        let read = within(DEADLINE, "reading", hub.read_by_all(number)).await;
        assert_eq!(read, Ok(()));
        assert_eq!(peer.attempts(), 1, "the hub delivered");
        assert_eq!(hub.slowest(1)[0].behind, 0);
        peer.expect_line("*** hi").await;
    }

    #[tokio::test(start_paused = true)]
    async fn counts_as_missing_after_eviction() {
        let mut config = HubConfig::default();
        (config.log_bytes, config.announce_up_to) = (0, Some(0));
        let hub = Hub::new(config);
        let mut peer = Peer::connect(&hub, "mem:1").await;
        run_until_idle().await;
        let published = 100_000;
        for number in 0..published {
            hub.announce(&number.to_string()).unwrap();
        }
        let evicted = published - hub.stats().events;
        let read = hub.read_by_all(hub.position().number);
        let read = within(DEADLINE, "reading", read);
        let gap = format!("* {evicted} messages skipped");
        let (read, ()) = tokio::join!(read, async {
            peer.expect_line(&gap).await;
            for number in evicted..published {
                peer.expect_line(&format!("*** {number}")).await;
            }
        });
        assert_eq!(read, Err(ReadByAllError::Missed { readers: 1 }));
        let stats = hub.stats();
        assert_eq!((stats.gaps, stats.missed), (1, evicted));
    }

    /// Publishes until the parked members would soon be overrun.
    fn crowd(hub: &Hub) {
        let text = "x".repeat(1000);
        while poll_once(hub.pace()).is_ready() {
            hub.announce(&text).expect("the hub is open");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn ends_the_wait_for_it() {
        let mut config = HubConfig::default();
        (config.log_bytes, config.announce_up_to) = (256 * 1024, Some(0));
        let hub = Hub::new(config);
        let peer = Peer::connect_with(&hub, "mem:1", 1 << 20).await;
        run_until_idle().await;
        crowd(&hub);
        let started = tokio::time::Instant::now();
        hub.pace().await;
        assert_eq!(started.elapsed(), std::time::Duration::ZERO);
        assert!(peer.attempts() > 0, "the hub delivered");
        let read = hub.read_by_all(hub.position().number);
        assert_eq!(within(DEADLINE, "reading", read).await, Ok(()));
        assert_eq!((hub.slowest(1)[0].behind, hub.stats().missed), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn is_no_reader_after_leaving() {
        let mut config = HubConfig::default();
        (config.log_bytes, config.announce_up_to) = (256 * 1024, Some(0));
        let hub = Hub::new(config);
        let peer = Peer::connect(&hub, "mem:1").await;
        run_until_idle().await;
        crowd(&hub);
        assert!(hub.stats().behind > 0);
        peer.session.abort();
        let ended = peer.ended().await;
        assert!(ended.expect_err("it was dropped").is_cancelled());
        let stats = hub.stats();
        assert_eq!((stats.members, stats.readers, stats.behind), (0, 0, 0));
        assert_eq!(poll_once(hub.pace()), Poll::Ready(()));
        let number = hub.position().number;
        assert_eq!(poll_once(hub.read_by_all(number)), Poll::Ready(Ok(())));
    }
}
