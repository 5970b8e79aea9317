//! The shutdown of sessions whose hub stays open, while they begin and end.

use super::session::{check_session, converse};
use super::{block_on, check};
use crate::peer::shutdown::{Registration, Shutdown};
use crate::session::Naming;
use crate::types::errors::JoinError;
use crate::types::event::LeaveReason;
use loom::thread::spawn;
use std::future::poll_fn;
use std::task::{Poll, Waker};

/// Waits as a session does, which registers one waker for its whole life.
fn wait_for(shutdown: &Shutdown) {
    let mut registration = None;
    block_on(poll_fn(|cx| {
        let registration =
            registration.get_or_insert_with(|| Registration::new(shutdown.clone(), cx.waker()));
        match registration.is_triggered() {
            true => Poll::Ready(()),
            false => Poll::Pending,
        }
    }));
}

#[test]
fn wakes_session_beside_ending_one() {
    check(3, || {
        let shutdown = Shutdown::new();
        let trigger = spawn({
            let shutdown = shutdown.clone();
            move || shutdown.trigger()
        });
        let ends = spawn({
            let shutdown = shutdown.clone();
            move || drop(Registration::new(shutdown, Waker::noop()))
        });
        wait_for(&shutdown);
        trigger.join().unwrap();
        ends.join().unwrap();
    });
}

#[test]
fn wakes_two_sessions() {
    check(3, || {
        let shutdown = Shutdown::new();
        let trigger = spawn({
            let shutdown = shutdown.clone();
            move || shutdown.trigger()
        });
        let other = spawn({
            let shutdown = shutdown.clone();
            move || wait_for(&shutdown)
        });
        wait_for(&shutdown);
        trigger.join().unwrap();
        other.join().unwrap();
    });
}

/// The peer sends nothing, and ends when its session does.
fn ends_silent_session(naming: Naming) {
    check_session(move |hub, wire| {
        let shutdown = Shutdown::new();
        let trigger = spawn({
            let shutdown = shutdown.clone();
            move || shutdown.trigger()
        });
        let peer = spawn({
            let wire = wire.clone();
            move || wire.change(|wire| wire.room = true)
        });
        let (ended, given) = converse(&hub, &wire, naming, Some(shutdown));
        trigger.join().unwrap();
        peer.join().unwrap();
        assert!(matches!(
            ended,
            Ok(LeaveReason::Closed) | Err(JoinError::Closed)
        ));
        assert!(given.ends_with("* server is going down\n"), "{given}");
        assert!(!hub.is_closed());
    });
}

#[test]
fn ends_session_of_member() {
    ends_silent_session(Naming::Given);
}

#[test]
fn ends_session_without_name() {
    ends_silent_session(Naming::Ask);
}

#[test]
fn meets_session_that_ends() {
    check_session(|hub, wire| {
        let shutdown = Shutdown::new();
        let trigger = spawn({
            let shutdown = shutdown.clone();
            move || shutdown.trigger()
        });
        let peer = spawn({
            let wire = wire.clone();
            move || {
                wire.change(|wire| wire.room = true);
                wire.change(|wire| wire.sent.push_back("/quit"));
            }
        });
        let (ended, given) = converse(&hub, &wire, Naming::Given, Some(shutdown));
        trigger.join().unwrap();
        peer.join().unwrap();
        let last = match ended {
            Ok(LeaveReason::Left) => "* goodbye\n",
            Ok(LeaveReason::Closed) | Err(JoinError::Closed) => "* server is going down\n",
            other => panic!("{other:?}"),
        };
        assert!(given.ends_with(last), "{given}");
    });
}
