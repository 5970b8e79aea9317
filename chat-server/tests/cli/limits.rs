//! It goes on when there are too many peers, or too few descriptors.

use crate::support::{Peer, Server, command_after};
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
    loop {
        let mut next = server.connect();
        let greeting = next.line();
        if greeting == format!("You are {next}") {
            a.hears(&format!("{next} has arrived"));
            break;
        }
        assert_eq!(greeting, "* the server is full, goodbye");
    }
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
    for (flags, has) in [(&[][..], true), (&["--keepalive", "off"], false)] {
        let server = Server::start(flags);
        let peer = server.newcomer(&mut []);
        assert_eq!(has_keepalive(&server, &peer), has, "{flags:?}");
    }
}

/// Whether the server's end of its connection to `peer` has a keepalive timer: the timer of kind 2
/// in Linux's list of connections.
fn has_keepalive(server: &Server, peer: &Peer) -> bool {
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
        if !timer.starts_with("01:") {
            return timer.starts_with("02:");
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
    while server.connect().line() == "* the server is full, goodbye" {}
}
