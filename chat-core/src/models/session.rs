//! A session, whose task is woken by the hub, by its peer's lines and by its peer's room.

use super::{block_on, check, hub, join, paused_runtime};
use crate::hub::Hub;
use crate::hub::member::Member;
use crate::session::{self, Naming, SessionConfig, Shutdown};
use crate::transport::{Attempt, DeliverHalf, Feed, Inbox, ReceiveHalf, Received, Transport};
use crate::types::errors::JoinError;
use crate::types::event::{Delivery, LeaveReason};
use crate::types::name::Name;
use async_trait::async_trait;
use loom::sync::{Condvar, Mutex};
use loom::thread::spawn;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::{io, iter, mem};

/// A connection: one end is the session's, the other the scene's.
#[derive(Default)]
pub(super) struct Wire {
    state: Mutex<WireState>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct WireState {
    /// The lines that the peer has sent, and whether these are all.
    pub(super) sent: VecDeque<&'static str>,
    pub(super) ended: bool,
    receiving: Option<Waker>,
    /// The output that it has, whether it accepts more, and whether that was all.
    pub(super) given: String,
    pub(super) room: bool,
    /// How many bytes it accepts at the next attempt, if not all; then it has no room.
    pub(super) accepts: Option<usize>,
    pub(super) is_unsupported: bool,
    closed: bool,
    delivering: Option<Waker>,
    /// How many halves of the session's end were dropped.
    pub(super) drops: usize,
}

impl Wire {
    /// Applies an action of the peer, and wakes the half that waits for it.
    pub(super) fn change(&self, change: impl FnOnce(&mut WireState)) {
        let wakers = {
            let mut state = self.state.lock().unwrap();
            change(&mut state);
            let receiving = match state.ended || !state.sent.is_empty() {
                true => state.receiving.take(),
                false => None,
            };
            let delivering = match state.room {
                true => state.delivering.take(),
                false => None,
            };
            [receiving, delivering]
        };
        self.changed.notify_all();
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Waits for what the session does.
    pub(super) fn wait_until(&self, done: impl Fn(&WireState) -> bool) {
        let mut state = self.state.lock().unwrap();
        while !done(&state) {
            state = self.changed.wait(state).unwrap();
        }
    }

    /// Waits until the peer was given this.
    pub(super) fn wait_for(&self, lines: &str) {
        self.wait_until(|wire| wire.given.contains(lines));
    }
}

pub(super) struct End(pub(super) Arc<Wire>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.change(|wire| wire.drops += 1);
    }
}

impl Transport for End {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        (Box::new(Self(self.0.clone())), self)
    }
}

#[async_trait]
impl ReceiveHalf for End {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        let line = poll_fn(|cx| {
            let mut wire = self.0.state.lock().unwrap();
            match wire.sent.pop_front() {
                Some(line) => Poll::Ready(Some(line)),
                None if wire.ended => Poll::Ready(None),
                None => {
                    wire.receiving = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        });
        let Some(line) = line.await else {
            return Ok(Received::End);
        };
        inbox.text(line);
        Ok(Received::More)
    }
}

#[async_trait]
impl DeliverHalf for End {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        poll_fn(|cx| {
            let mut wire = self.0.state.lock().unwrap();
            match wire.room {
                true => Poll::Ready(()),
                false => {
                    wire.delivering = Some(cx.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await;
        let text = feed.take();
        self.0.change(|wire| wire.given += &text);
        Ok(())
    }

    fn try_deliver(&mut self, lines: &[u8]) -> io::Result<Attempt> {
        let mut attempt = Attempt::Complete;
        self.0.change(|wire| {
            let accepts = match wire.room {
                true => wire.accepts.take().unwrap_or(usize::MAX),
                false => 0,
            };
            if wire.is_unsupported {
                attempt = Attempt::Unsupported;
            } else if accepts < lines.len() {
                wire.given += str::from_utf8(&lines[..accepts]).unwrap();
                wire.room = false;
                attempt = Attempt::Partial(accepts);
            } else {
                wire.given += str::from_utf8(lines).unwrap();
            }
        });
        Ok(attempt)
    }

    /// The peer then ends, too.
    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        self.0
            .change(|wire| (wire.closed, wire.ended) = (true, true));
        Ok(())
    }
}

/// Runs scenes of a session of `alice`, with a clock that stands still.
///
/// With the thread of a dispatcher and the locks of a session, a third preemption would take minutes.
pub(super) fn check_session(scene: impl Fn(Hub, Arc<Wire>) + Sync + Send + 'static) {
    let clock = paused_runtime();
    let _guard = clock.enter();
    check(2, move || scene(hub(), Arc::default()));
}

/// Runs the session to its end. Returns its result, and the output of its peer.
pub(super) fn converse(
    hub: &Hub,
    wire: &Arc<Wire>,
    naming: Naming,
    shutdown: Option<Shutdown>,
) -> (Result<LeaveReason, JoinError>, String) {
    let config = SessionConfig {
        naming,
        shutdown,
        ..SessionConfig::default()
    };
    let name = Name::assigned("alice").unwrap();
    let ended = block_on(session::run(hub, name, End(wire.clone()), &config));
    let mut wire = wire.state.lock().unwrap();
    assert!(wire.closed, "the peer has the end");
    (ended, mem::take(&mut wire.given))
}

/// The lines that a member has not read.
pub(super) fn lines(member: &mut Member) -> Vec<String> {
    let line = |delivery: Delivery| match delivery {
        Delivery::Event(event) => Some(event.line().into()),
        _ => None,
    };
    iter::from_fn(|| member.try_recv().ok())
        .filter_map(line)
        .collect()
}

#[test]
fn receives_lines_of_peer_and_hub() {
    check_session(|hub, wire| {
        let mut bob = join(&hub, "bob");
        let talker = spawn({
            let (hub, id) = (hub.clone(), bob.id());
            move || hub.publish(id, "yo").unwrap()
        });
        let peer = spawn({
            let wire = wire.clone();
            move || {
                wire.change(|wire| wire.room = true);
                wire.change(|wire| wire.sent.push_back("hi"));
                wire.change(|wire| wire.ended = true);
            }
        });
        let (ended, given) = converse(&hub, &wire, Naming::Given, None);
        talker.join().unwrap();
        peer.join().unwrap();
        assert_eq!(ended, Ok(LeaveReason::Left));
        // It was given exactly the events during its membership.
        let all = lines(&mut bob);
        let at = |line: &str| all.iter().position(|other| other == line).unwrap();
        let mut expected = "You are alice\nHere now: bob\n".to_owned();
        for line in &all[at("alice has arrived") + 1..at("alice has left")] {
            expected += &format!("{line}\n");
        }
        assert_eq!(given, expected);
        assert!(given.contains("alice: hi\n"));
    });
}

/// The peer sends nothing, and ends when its session does.
fn receives_closing(naming: Naming) {
    check_session(move |hub, wire| {
        let closing = spawn({
            let hub = hub.clone();
            move || hub.close()
        });
        let peer = spawn({
            let wire = wire.clone();
            move || wire.change(|wire| wire.room = true)
        });
        let (ended, given) = converse(&hub, &wire, naming, None);
        closing.join().unwrap();
        peer.join().unwrap();
        assert!(matches!(
            ended,
            Ok(LeaveReason::Closed) | Err(JoinError::Closed)
        ));
        assert!(given.ends_with("* server is going down\n"), "{given}");
    });
}

mod closing {
    use super::*;

    #[test]
    fn reaches_session_of_member() {
        receives_closing(Naming::Given);
    }

    #[test]
    fn reaches_session_without_name() {
        receives_closing(Naming::Ask);
    }
}
