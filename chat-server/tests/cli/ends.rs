//! Signals: the first drains, the second does not wait for it.

use crate::support::{Peer, Server};
use rustix::process::Signal;
use std::net::TcpStream;

const GOING_DOWN: &str = "* server is going down\n";

/// A room in which one peer takes nothing of what is on its way to it, more than the system
/// keeps.
fn with_a_stuck_peer(server: &Server) -> (Peer, Peer) {
    let mut stuck = server.newcomer(&mut []);
    let mut talker = server.newcomer(&mut [&mut stuck]);
    let text = "x".repeat(4000);
    for _ in 0..150 {
        talker.send(format!("{text}\n").repeat(50));
        for _ in 0..50 {
            talker.line();
        }
    }
    (stuck, talker)
}

#[test]
fn a_signal_drains_and_ends_with_0() {
    for signal in [Signal::TERM, Signal::INT] {
        let server = Server::start(&[]);
        let address = server.address();
        let mut a = server.newcomer(&mut []);
        let mut b = server.newcomer(&mut [&mut a]);
        a.say("before", &mut [&mut b]);
        server.signal(signal);
        assert_eq!(a.rest(), GOING_DOWN);
        assert_eq!(b.rest(), GOING_DOWN);
        assert!(TcpStream::connect(address).is_err(), "it listens no more");
        drop((a, b));
        assert_eq!(server.ended().code, Some(0), "{signal:?}");
    }
}

#[test]
fn a_signal_ends_it_with_nobody_there() {
    let server = Server::start(&[]);
    server.signal(Signal::TERM);
    assert_eq!(server.ended().code, Some(0));
}

#[test]
fn the_grace_ends_a_drain_that_a_peer_holds_up() {
    let server = Server::start(&["--grace", "200ms", "--stall-timeout", "1h"]);
    let (stuck, mut talker) = with_a_stuck_peer(&server);
    server.signal(Signal::TERM);
    assert_eq!(talker.rest(), GOING_DOWN);
    assert_eq!(server.ended().code, Some(0));
    drop(stuck);
}

#[test]
fn a_second_signal_ends_it_at_once() {
    for (first, second) in [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::TERM)] {
        let mut server = Server::start(&["--grace", "1h", "--stall-timeout", "1h"]);
        let (stuck, mut talker) = with_a_stuck_peer(&server);
        server.signal(first);
        server.logs("shutting down");
        assert_eq!(talker.rest(), GOING_DOWN);
        assert!(server.is_running());
        server.signal(second);
        assert_eq!(server.ended().code, Some(130));
        drop(stuck);
    }
}
