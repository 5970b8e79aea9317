//! It goes on when there are too many peers, or too few descriptors.

use crate::support::{Peer, Server, command_after, wait_until};
use std::time::Instant;

#[test]
fn peers_above_the_limit_are_told_and_those_in_the_room_are_fine() {
    let server = Server::start(&["--max-peers", "2"]);
    let mut a = server.newcomer(&mut []);
    let mut b = server.newcomer(&mut [&mut a]);
    for _ in 0..100 {
        let mut late = server.connect();
        late.half_close();
        assert_eq!(late.rest(), "* the server is full, goodbye\n");
    }
    a.say("nobody came, nobody left", &mut [&mut b]);
    b.half_close();
    a.hears(&format!("{b} has left"));
    drop(b);
    // The server knows that its connection is gone a little later than that it has left.
    let next = once_there_is_a_place(&server);
    a.hears(&format!("{next} has arrived"));
}

/// A peer that is let in when another has gone.
fn once_there_is_a_place(server: &Server) -> Peer {
    let mut come = None;
    wait_until("there is a place", || {
        let mut next = server.connect();
        let greeting = next.line();
        if greeting == format!("You are {next}") {
            come = Some(next);
        } else {
            assert_eq!(greeting, "* the server is full, goodbye");
        }
        come.is_some()
    });
    come.expect("it was waited for")
}

#[test]
fn no_more_peers_are_let_in_than_there_are_descriptors_for() {
    let args = ["--listen", "127.0.0.1:0", "--max-peers", "50"];
    let mut server = Server::run(command_after("ulimit -n 40;", &args)).listening();
    server.logs("--max-peers is 20");
    let mut peers = Vec::from_iter((0..20).map(|_| server.connect()));
    for peer in &mut peers {
        assert_eq!(peer.line(), format!("You are {peer}"));
    }
    let mut late = server.connect();
    late.half_close();
    assert_eq!(late.rest(), "* the server is full, goodbye\n");
    assert!(!server.logged().contains("cannot accept"));
}

#[test]
fn the_system_is_asked_to_find_those_who_are_gone() {
    // The connection on its side, as `ss` shows it, has a keepalive timer only if it was asked for.
    for (value, expected) in [(None, Some(60)), (Some("9s"), Some(9)), (Some("off"), None)] {
        let server = match value {
            Some(value) => Server::start(&["--keepalive", value]),
            None => Server::start(&[]),
        };
        let peer = server.newcomer(&mut []);
        let within = keepalive(&server, &peer);
        let fits = match (within, expected) {
            // What is left of it; the machine can be slow.
            (Some(within), Some(most)) => within <= most && within + 8 > most,
            _ => within == expected,
        };
        assert!(fits, "{value:?}: {within:?} of {expected:?} seconds");
    }
}

/// In how many seconds the server's end of its connection to `peer` asks whether that is still there:
/// the timer of kind 2 in Linux's list of connections.
fn keepalive(server: &Server, peer: &Peer) -> Option<u64> {
    // Both ends, as an older connection to another server may have come from the same port.
    let peer = peer.stream().local_addr().expect("it is connected");
    let ends = [server.address(), peer].map(|end| format!(":{:04X}", end.port()));
    let is_it = |line: &&str| {
        let fields = line.split_whitespace().skip(1);
        fields.zip(&ends).all(|(field, end)| field.ends_with(end))
    };
    loop {
        let connections = std::fs::read_to_string("/proc/net/tcp").expect("Linux tells");
        let line = connections.lines().find(is_it).expect("it is there");
        let timer = line.split_whitespace().nth(5).expect("a timer");
        // Until the greeting is confirmed the timer is for sending it again.
        let (kind, left) = timer.split_once(':').expect("a kind and a time");
        if kind != "01" {
            let left = u64::from_str_radix(left, 16).expect("in hundredths");
            return (kind == "02").then_some(left.div_ceil(100));
        }
    }
}

#[test]
fn without_descriptors_it_waits_and_recovers() {
    let args = ["--listen", "127.0.0.1:0", "--announce-up-to", "0"];
    let mut server = Server::run(command_after("ulimit -n 40;", &args)).listening();
    let mut peers = Vec::from_iter((0..60).map(|_| server.connect()));
    server.logs("cannot accept");
    let since = Instant::now();
    let waiting = peers.split_off(20);
    for peer in &mut peers {
        assert_eq!(peer.line(), format!("You are {peer}"));
    }
    peers[0].send("/name first\n");
    // The others in the room are as fast as ever.
    for round in 0..200 {
        peers[19].send(format!("round {round}\n"));
        while !peers[19].line().ends_with(&format!(": round {round}")) {}
    }
    assert!(server.is_running());
    // The last but one that doubles: the pauses grow.
    server.logs("pause=640ms");
    // 10 ms, doubling up to 1 s: 7 pauses in the first second, then one in each.
    let refused = server.logged().matches("cannot accept").count();
    let most = 8 + since.elapsed().as_secs();
    assert!(
        refused as u64 <= most,
        "{refused} of {most}:\n{}",
        server.logged()
    );
    // The others are told as soon as there is a descriptor for each.
    for mut peer in waiting {
        assert_eq!(peer.line(), "* the server is full, goodbye");
    }
    drop(peers);
    once_there_is_a_place(&server);
}
