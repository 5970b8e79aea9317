//! Foreign wakers: one that panics does not keep others from being woken, and one that uses the hub
//! does not block it.

use chat_core::session;
use chat_core::transport::memory;
use chat_core::{Hub, HubConfig, Member, Name, RemovalReason, Start, Timestamp};
use chat_tests::memory::{DEADLINE, hub, join};
use std::panic::resume_unwind;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::task::{Context, Poll, Wake, Waker};
use std::thread;
use tokio::io::DuplexStream;
use tokio_stream::Stream;

/// One more than there are wait lists.
const MEMBERS: usize = 17;

/// Notes that it was woken, or panics.
struct TestWaker {
    panics: bool,
    woken: AtomicBool,
}

impl Wake for TestWaker {
    fn wake(self: Arc<Self>) {
        self.woken.store(true, SeqCst);
        if self.panics {
            // A panic without a report in the output of the test.
            resume_unwind(Box::new("on purpose"));
        }
    }
}

fn poll(stream: impl Stream, waker: &Waker) -> bool {
    pin!(stream)
        .poll_next(&mut Context::from_waker(waker))
        .is_ready()
}

mod panic {
    use super::*;

    /// Members that wait, with their wakers, of which one panics.
    fn waiting(hub: &Hub, panics: usize) -> Vec<(Member, Arc<TestWaker>)> {
        let members: Vec<_> = (0..MEMBERS).map(|n| join(hub, &format!("m{n}"))).collect();
        let wait = |(n, mut member): (usize, Member)| {
            let waker = Arc::new(TestWaker {
                panics: n == panics,
                woken: AtomicBool::new(false),
            });
            while member.try_recv().is_ok() {}
            assert!(!poll(&mut member, &Waker::from(waker.clone())));
            (member, waker)
        };
        members.into_iter().enumerate().map(wait).collect()
    }

    #[test]
    fn leaves_no_member_asleep() {
        type Change = fn(&Hub, &Member);
        let changes: [Change; 5] = [
            |_, member| {
                member.publish("hi").expect("a waker's panic is no error");
            },
            |hub, _| {
                hub.announce("hi").expect("a waker's panic is no error");
            },
            |hub, member| {
                let removed = hub.remove(member.id(), RemovalReason::Kicked);
                removed.expect("a waker's panic is no error");
            },
            |hub, _| drop(join(hub, "another")),
            |hub, _| hub.close(),
        ];
        for change in changes {
            for panics in 0..MEMBERS {
                let hub = hub();
                let members = waiting(&hub, panics);
                change(&hub, &members[0].0);
                for (n, (_, waker)) in members.iter().enumerate() {
                    assert!(waker.woken.load(SeqCst), "{n} sleeps, {panics} panics");
                }
                assert_eq!(hub.is_closed(), hub.announce("still works").is_err());
            }
        }
    }

    #[test]
    fn affects_no_sender_of_mail() {
        let hub = hub();
        let members = waiting(&hub, 3);
        let (to, waker) = &members[3];
        hub.send(members[0].0.id(), to.id(), "hi").unwrap();
        assert!(waker.woken.load(SeqCst));
        hub.mute(to.id(), Timestamp::MAX).unwrap();
    }

    #[test]
    fn leaves_no_other_wait_asleep() {
        let hub = hub();
        let member = join(&hub, "member");
        let mut calls: Vec<Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
        for _ in 0..3 {
            let closing = hub.clone();
            calls.push(Box::pin(async move { closing.closed().await }));
        }
        for _ in 0..3 {
            let (reading, number) = (hub.clone(), hub.position().number + 1);
            calls.push(Box::pin(async move {
                let _ = reading.read_by_all(number).await;
            }));
        }
        let wakers: Vec<_> = (0..calls.len())
            .map(|n| {
                Arc::new(TestWaker {
                    panics: n % 3 == 0,
                    woken: AtomicBool::new(false),
                })
            })
            .collect();
        let poll_all = |calls: &mut Vec<Pin<Box<dyn Future<Output = ()>>>>| {
            let polls = calls.iter_mut().zip(&wakers);
            let polls = polls.map(|(call, waker)| {
                let waker = Waker::from(waker.clone());
                call.as_mut().poll(&mut Context::from_waker(&waker))
            });
            polls.collect::<Vec<_>>()
        };
        assert_eq!(poll_all(&mut calls), [Poll::Pending; 6]);
        hub.close();
        assert!(wakers.iter().all(|waker| waker.woken.load(SeqCst)));
        assert_eq!(poll_all(&mut calls), [Poll::Ready(()); 6]);
        drop(member);
    }
}

mod use_of_the_hub {
    use super::*;

    /// Uses the hub when it is cloned for the last time and dropped, and when it is woken.
    struct BusyWaker {
        hub: Hub,
        uses: Arc<AtomicUsize>,
    }

    impl BusyWaker {
        fn waker(hub: &Hub, uses: &Arc<AtomicUsize>) -> Waker {
            Waker::from(Arc::new(Self {
                hub: hub.clone(),
                uses: uses.clone(),
            }))
        }

        fn use_hub(&self) {
            let member = self.hub.stats().members;
            let _ = self.hub.announce(&member.to_string());
            drop(self.hub.subscribe(Start::Now));
            self.uses.fetch_add(1, SeqCst);
        }
    }

    impl Wake for BusyWaker {
        fn wake(self: Arc<Self>) {
            self.use_hub();
        }
    }

    impl Drop for BusyWaker {
        fn drop(&mut self) {
            self.use_hub();
        }
    }

    /// Runs a scene, which must not block, on a thread of its own; its wakers must use the hub at
    /// least so often.
    fn run(expected: usize, scene: impl FnOnce(&dyn Fn() -> Waker, &Hub) + Send + 'static) {
        let (done, is_done) = mpsc::channel();
        thread::spawn(move || {
            let mut config = HubConfig::default();
            config.announce_up_to = Some(0);
            let hub = Hub::new(config);
            let uses = Arc::new(AtomicUsize::new(0));
            scene(&|| BusyWaker::waker(&hub, &uses), &hub);
            done.send(uses.load(SeqCst)).expect("the test waits");
        });
        let uses = is_done.recv_timeout(DEADLINE);
        let uses = uses.expect("the scene does not block");
        assert!(uses >= expected, "{uses} of {expected} uses");
    }

    #[test]
    fn is_safe_while_woken() {
        run(2, |waker, hub| {
            let mut member = join(hub, "member");
            assert!(!poll(&mut member, &waker()));
            hub.announce("hi").expect("the hub is open");
        });
        run(2, |waker, hub| {
            let mut member = join(hub, "member");
            assert!(!poll(&mut member, &waker()));
            hub.notify(member.id(), "hi").expect("it is a member");
        });
    }

    #[test]
    fn is_safe_while_replaced() {
        run(1, |waker, hub| {
            let mut member = join(hub, "member");
            assert!(!poll(&mut member, &waker()));
            assert!(!poll(&mut member, Waker::noop()));
        });
    }

    #[test]
    fn is_safe_while_dropped() {
        run(1, |waker, hub| {
            let mut member = join(hub, "member");
            assert!(!poll(&mut member, &waker()));
            drop(member);
        });
        run(1, |waker, hub| {
            let mut subscriber = hub.subscribe(Start::Now);
            assert!(!poll(&mut subscriber, &waker()));
            drop(subscriber);
        });
        run(1, |waker, hub| {
            let waker = waker();
            let mut closed = Box::pin(hub.closed());
            let polled = closed.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            drop(waker);
            drop(closed);
        });
        run(1, |waker, hub| {
            let member = join(hub, "member");
            let waker = waker();
            let mut read = Box::pin(hub.read_by_all(1));
            let polled = read.as_mut().poll(&mut Context::from_waker(&waker));
            assert!(polled.is_pending());
            drop(waker);
            drop(read);
            drop(member);
        });
    }

    #[test]
    fn is_safe_in_a_session() {
        run(2, |waker, hub| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime without I/O can be built");
            let _guard = runtime.enter();
            let (transport, stream) = memory::pair(1024);
            let name = Name::assigned("mem:1").expect("the name is valid");
            let mut session = Box::pin(session::run(hub, name, transport, &Default::default()));
            for _ in 0..2 {
                let waker = waker();
                let polled = session.as_mut().poll(&mut Context::from_waker(&waker));
                assert!(polled.is_pending());
            }
            drop(session);
            drop(stream);
        });
    }

    /// Owns the peer's end of a connection, so its last drop disconnects the peer.
    struct OwningWaker(#[expect(dead_code, reason = "dropped with the waker")] DuplexStream);

    impl Wake for OwningWaker {
        fn wake(self: Arc<Self>) {}
    }

    #[test]
    fn may_end_the_session() {
        run(0, |_, hub| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_time()
                .build()
                .expect("a runtime without I/O can be built");
            let _guard = runtime.enter();
            let (transport, stream) = memory::pair(1024);
            let name = Name::assigned("mem:1").expect("the name is valid");
            let mut session = Box::pin(session::run(hub, name, transport, &Default::default()));
            let mut poll = |waker: Waker| {
                let polled = session.as_mut().poll(&mut Context::from_waker(&waker));
                polled.is_ready()
            };
            assert!(!poll(Waker::from(Arc::new(OwningWaker(stream)))));
            // Then the session alone has the waker, and drops it when it gets another one.
            hub.announce("hi").expect("the hub is open");
            let ended = poll(Waker::noop().clone()) || poll(Waker::noop().clone());
            assert!(ended, "the peer is disconnected");
        });
    }
}
