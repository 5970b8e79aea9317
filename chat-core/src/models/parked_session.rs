//! Sessions that are parked while their peer has everything, and what takes them back.

use super::session::{End, Wire, check_session, converse, lines};
use super::{DISPATCHER_POLLS, block_on, join, poll_and_drop};
use crate::hub::Hub;
use crate::hub::member::Member;
use crate::session::{self, Naming, SessionConfig, Shutdown};
use crate::types::errors::JoinError;
use crate::types::event::{Delivery, Event, EventKind, LeaveReason, RemovalReason};
use crate::types::name::Name;
use loom::thread::spawn;
use std::sync::Arc;

const GREETING: &str = "You are alice\nHere now: bob\n";

/// What another member does while the session of `alice` runs.
struct Other {
    bob: Member,
    wire: Arc<Wire>,
    shutdown: Option<Shutdown>,
}

impl Other {
    fn hub(&self) -> &Hub {
        self.bob.hub()
    }

    fn publish(&self, text: &str) {
        self.bob.publish(text).unwrap();
    }

    /// Waits until the peer has this line, and ends its input.
    fn hang_up_after(&self, line: &str) {
        self.wire.wait_for(line);
        self.wire.change(|wire| wire.ended = true);
    }
}

/// Runs a session whose peer has room, and the other member from the greeting on. Checks that the
/// peer was given exactly the events during its membership, apart from notices.
fn check_parked(
    ends: LeaveReason,
    others: impl Fn(&Other) + Copy + Send + Sync + 'static,
    check: impl Fn(&str) + Send + Sync + 'static,
) {
    check_with(false, ends, others, check);
}

fn check_with(
    shuts_down: bool,
    ends: LeaveReason,
    others: impl Fn(&Other) + Copy + Send + Sync + 'static,
    check: impl Fn(&str) + Send + Sync + 'static,
) {
    check_session(move |hub, wire| {
        wire.change(|wire| wire.room = true);
        let shutdown = shuts_down.then(Shutdown::new);
        let other = Other {
            bob: join(&hub, "bob"),
            wire: wire.clone(),
            shutdown: shutdown.clone(),
        };
        let acting = spawn(move || {
            other.wire.wait_for(GREETING);
            others(&other);
            other.bob
        });
        let (ended, given) = converse(&hub, &wire, Naming::Given, shutdown);
        assert_eq!(ended, Ok::<_, JoinError>(ends));
        let mut bob = acting.join().unwrap();
        let all = lines(&mut bob);
        let arrived = all.iter().position(|line| line == "alice has arrived");
        let left = all.iter().position(|line| line == "alice has left");
        let during = &all[arrived.unwrap() + 1..left.unwrap_or(all.len())];
        let received = given.strip_prefix(GREETING).unwrap().lines();
        let events: Vec<_> = received.filter(|line| !line.starts_with("* ")).collect();
        assert_eq!(events, during);
        check(&given);
    });
}

mod delivery {
    use super::*;

    fn publish_and_hang_up(other: &Other) {
        other.publish("one");
        other.publish("two");
        other.hang_up_after("bob: two\n");
    }

    #[test]
    fn reach_a_parked_peer() {
        check_parked(LeaveReason::Left, publish_and_hang_up, |_| {});
    }

    #[test]
    fn reach_peer_without_room() {
        let others = |other: &Other| {
            other.wire.change(|wire| wire.accepts = Some(6));
            other.publish("one");
            other.publish("two");
            let wire = &other.wire;
            wire.wait_until(|wire| !wire.room || wire.given.contains("two"));
            wire.change(|wire| wire.room = true);
            other.hang_up_after("bob: two\n");
        };
        check_parked(LeaveReason::Left, others, |_| {});
    }

    #[test]
    fn reach_peer_without_attempts() {
        let others = |other: &Other| {
            other.wire.change(|wire| wire.is_unsupported = true);
            publish_and_hang_up(other);
        };
        check_parked(LeaveReason::Left, others, |_| {});
    }

    /// The runtime of the dispatcher shuts down.
    fn reach_peer_without_dispatcher(polls: usize) {
        DISPATCHER_POLLS.set(Some(polls));
        check_parked(LeaveReason::Left, publish_and_hang_up, |_| {});
    }

    #[test]
    fn reach_peer_after_no_poll() {
        reach_peer_without_dispatcher(0);
    }

    #[test]
    fn reach_peer_after_two_polls() {
        reach_peer_without_dispatcher(2);
    }
}

mod mail {
    use super::*;

    #[test]
    fn comes_between_the_lines() {
        let others = |other: &Other| {
            let alice = other.hub().find(&"alice".parse().unwrap()).unwrap();
            other.publish("one");
            other.hub().notify(alice, "mail").unwrap();
            other.publish("two");
            other.hang_up_after("bob: two\n");
        };
        check_parked(LeaveReason::Left, others, |given| {
            assert!(given.contains("bob: one\n* mail\nbob: two\n"), "{given}");
        });
    }

    #[test]
    fn lets_the_session_park_again() {
        let others = |other: &Other| {
            let alice = other.hub().find(&"alice".parse().unwrap()).unwrap();
            other.hub().notify(alice, "mail").unwrap();
            other.wire.wait_for("* mail\n");
            other.publish("one");
            other.hang_up_after("bob: one\n");
        };
        check_parked(LeaveReason::Left, others, |given| {
            assert!(given.contains("* mail\nbob: one\n"), "{given}");
        });
    }
}

mod end {
    use super::*;

    #[test]
    fn reaches_a_removed_peer() {
        let others = |other: &Other| {
            let alice = other.hub().find(&"alice".parse().unwrap()).unwrap();
            other.publish("one");
            other.hub().remove(alice, RemovalReason::Kicked).unwrap();
            other.publish("two");
        };
        check_parked(LeaveReason::Kicked, others, |given| {
            assert!(given.contains("bob: one\n"), "{given}");
        });
    }

    #[test]
    fn reaches_peer_of_closed_hub() {
        let others = |other: &Other| {
            other.publish("one");
            other.hub().close();
        };
        check_parked(LeaveReason::Closed, others, |given| {
            let end = "bob: one\n* server is going down\n";
            assert!(given.ends_with(end), "{given}");
        });
    }

    /// The session takes its half back, and the hub stays open.
    #[test]
    fn reaches_peer_at_shutdown() {
        let others = |other: &Other| {
            other.publish("one");
            other.shutdown.as_ref().unwrap().trigger();
            other.publish("two");
        };
        check_with(true, LeaveReason::Closed, others, |given| {
            assert!(given.ends_with("* server is going down\n"), "{given}");
        });
    }
}

mod dropped {
    use super::*;

    /// The session is dropped after so many polls, also while the dispatcher delivers.
    fn leaves_and_disconnects(polls: usize) {
        check_session(move |hub, wire| {
            wire.change(|wire| wire.room = true);
            let bob = join(&hub, "bob");
            let talker = spawn(move || {
                bob.publish("one").unwrap();
                bob
            });
            let name = Name::assigned("alice").unwrap();
            let config = SessionConfig::default();
            poll_and_drop(session::run(&hub, name, End(wire.clone()), &config), polls);
            let mut bob = talker.join().unwrap();
            wire.wait_until(|wire| wire.drops == 2);
            // The half that delivered was dropped, and its membership is next.
            let left = |event: &Event| event.kind() == EventKind::Left(LeaveReason::Left);
            while !matches!(block_on(bob.recv()), Some(Delivery::Event(event)) if left(&event)) {}
            let rest = lines(&mut bob);
            assert!(rest.iter().all(|line| line == "bob: one"), "{rest:?}");
        });
    }

    #[test]
    fn leaves_after_one_poll() {
        leaves_and_disconnects(1);
    }

    #[test]
    fn leaves_after_two_polls() {
        leaves_and_disconnects(2);
    }
}
