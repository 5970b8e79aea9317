//! Too many peers, and too few descriptors.

use crate::support::{Peer, Server, command_after, wait_until};
use std::time::Instant;

const FULL: &str = "* the server is full, goodbye";

/// A peer that is admitted when another one has gone.
fn once_there_is_a_place(server: &Server) -> Peer {
    let mut admitted = None;
    wait_until("there is a place", || {
        let mut next = server.connect();
        let greeting = next.line();
        if greeting == format!("You are {next}") {
            admitted = Some(next);
        } else {
            assert_eq!(greeting, FULL);
        }
        admitted.is_some()
    });
    admitted.expect("the wait is over")
}

mod max_peers {
    use super::*;

    #[test]
    fn further_peers_are_told() {
        let server = Server::start(&["--max-peers", "2"]);
        let mut a = server.newcomer(&mut []);
        let mut b = server.newcomer(&mut [&mut a]);
        for _ in 0..100 {
            let mut late = server.connect();
            late.half_close();
            assert_eq!(late.rest(), format!("{FULL}\n"));
        }
        a.publish("no arrival, no departure", &mut [&mut b]);
        b.half_close();
        a.expect_line(&format!("{b} has left"));
        drop(b);
        // The server finds the end of the connection a little later than the departure.
        let next = once_there_is_a_place(&server);
        a.expect_line(&format!("{next} has arrived"));
    }

    #[test]
    fn leaves_descriptors_for_refusals() {
        let flags = ["--listen", "127.0.0.1:0", "--max-peers", "50"];
        let mut server = Server::run(command_after("ulimit -n 40;", &flags)).listening();
        server.wait_for_log("--max-peers is 20");
        let mut peers = Vec::from_iter((0..20).map(|_| server.connect()));
        for peer in &mut peers {
            assert_eq!(peer.line(), format!("You are {peer}"));
        }
        let mut late = server.connect();
        late.half_close();
        assert_eq!(late.rest(), format!("{FULL}\n"));
        assert!(!server.logged().contains("cannot accept"));
    }
}

mod keepalive {
    use super::*;

    #[test]
    fn timer_is_as_configured() {
        for (value, expected) in [(None, Some(60)), (Some("9s"), Some(9)), (Some("off"), None)] {
            let server = match value {
                Some(value) => Server::start(&["--keepalive", value]),
                None => Server::start(&[]),
            };
            let peer = server.newcomer(&mut []);
            let within = timer(&server, &peer);
            let fits = match (within, expected) {
                // The rest of the time; the machine may be slow.
                (Some(within), Some(most)) => within <= most && within + 8 > most,
                _ => within == expected,
            };
            assert!(fits, "{value:?}: {within:?} of {expected:?} seconds");
        }
    }

    /// The time until the server's end of the connection sends a keepalive probe: the timer of kind
    /// 2 in Linux's list of connections.
    fn timer(server: &Server, peer: &Peer) -> Option<u64> {
        // Both ends, because an older connection to another server may have the same port.
        let peer = peer.stream().local_addr().expect("connected");
        let ends = [server.address(), peer].map(|end| format!(":{:04X}", end.port()));
        let is_it = |line: &&str| {
            let fields = line.split_whitespace().skip(1);
            fields.zip(&ends).all(|(field, end)| field.ends_with(end))
        };
        loop {
            let connections = std::fs::read_to_string("/proc/net/tcp").expect("Linux");
            let line = connections.lines().find(is_it).expect("the connection");
            let timer = line.split_whitespace().nth(5).expect("a timer");
            // Until the greeting is acknowledged, the timer is for sending it again.
            let (kind, left) = timer.split_once(':').expect("a kind and a time");
            if kind != "01" {
                let left = u64::from_str_radix(left, 16).expect("in hundredths");
                return (kind == "02").then_some(left.div_ceil(100));
            }
        }
    }
}

mod descriptors {
    use super::*;

    #[test]
    fn server_waits_and_recovers() {
        let flags = ["--listen", "127.0.0.1:0", "--announce-up-to", "0"];
        let mut server = Server::run(command_after("ulimit -n 40;", &flags)).listening();
        let mut peers = Vec::from_iter((0..60).map(|_| server.connect()));
        server.wait_for_log("cannot accept");
        let since = Instant::now();
        let waiting = peers.split_off(20);
        for peer in &mut peers {
            assert_eq!(peer.line(), format!("You are {peer}"));
        }
        peers[0].send("/name first\n");
        // The members do not wait.
        for round in 0..200 {
            peers[19].send(format!("round {round}\n"));
            while !peers[19].line().ends_with(&format!(": round {round}")) {}
        }
        assert!(server.is_running());
        // The last pause but one that doubles.
        server.wait_for_log("pause=640ms");
        // 10 ms, doubling up to 1 s: 7 pauses in the first second, then one in each.
        let errors = server.logged().matches("cannot accept").count();
        let most = 8 + since.elapsed().as_secs();
        assert!(
            errors as u64 <= most,
            "{errors} of {most}:\n{}",
            server.logged()
        );
        // The others receive the notice as soon as there is a descriptor for each.
        for mut peer in waiting {
            assert_eq!(peer.line(), FULL);
        }
        drop(peers);
        once_there_is_a_place(&server);
    }
}
