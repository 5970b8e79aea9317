//! The first signal drains, the second one ends the process at once.

use crate::support::{Peer, Server};
use rustix::process::Signal;
use std::net::TcpStream;

const GOING_DOWN: &str = "* server is going down\n";

/// Two peers, the first of which does not read more than the system accepts for it.
fn with_stalled_peer(server: &Server) -> (Peer, Peer) {
    let mut stalled = server.newcomer(&mut []);
    let mut talker = server.newcomer(&mut [&mut stalled]);
    let text = "x".repeat(4000);
    for _ in 0..150 {
        talker.send(format!("{text}\n").repeat(50));
        for _ in 0..50 {
            talker.line();
        }
    }
    (stalled, talker)
}

mod first_signal {
    use super::*;

    #[test]
    fn drains_and_exits_with_0() {
        for signal in [Signal::TERM, Signal::INT] {
            let server = Server::start(&[]);
            let address = server.address();
            let mut a = server.newcomer(&mut []);
            let mut b = server.newcomer(&mut [&mut a]);
            a.publish("before", &mut [&mut b]);
            server.signal(signal);
            // No departure is announced.
            assert_eq!(a.rest(), GOING_DOWN);
            assert_eq!(b.rest(), GOING_DOWN);
            assert!(TcpStream::connect(address).is_err(), "nothing listens");
            drop((a, b));
            assert_eq!(server.ended().code, Some(0), "{signal:?}");
        }
    }

    #[test]
    fn ends_empty_room() {
        let server = Server::start(&[]);
        server.signal(Signal::TERM);
        assert_eq!(server.ended().code, Some(0));
    }

    #[test]
    fn waits_no_longer_than_grace() {
        let server = Server::start(&["--grace", "200ms", "--stall-timeout", "off"]);
        let (stalled, mut talker) = with_stalled_peer(&server);
        server.signal(Signal::TERM);
        assert_eq!(talker.rest(), GOING_DOWN);
        let ended = server.ended();
        assert_eq!(ended.code, Some(0));
        let warning = "the grace is over, disconnecting the rest";
        assert!(ended.stderr.contains(warning), "{}", ended.stderr);
        drop(stalled);
    }
}

mod second_signal {
    use super::*;

    #[test]
    fn ends_at_once() {
        for (first, second) in [(Signal::TERM, Signal::TERM), (Signal::INT, Signal::TERM)] {
            let mut server = Server::start(&["--grace", "off", "--stall-timeout", "off"]);
            let (stalled, mut talker) = with_stalled_peer(&server);
            server.signal(first);
            server.wait_for_log("shutting down");
            assert_eq!(talker.rest(), GOING_DOWN);
            assert!(server.is_running());
            server.signal(second);
            assert_eq!(server.ended().code, Some(130));
            drop(stalled);
        }
    }
}
