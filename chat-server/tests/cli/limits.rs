//! It goes on when there are too many peers, or too few descriptors.

use crate::support::{Server, command_after};
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
fn without_descriptors_it_waits_and_recovers() {
    let args = ["--listen", "127.0.0.1:0", "--announce-up-to", "0"];
    let mut server = Server::run(command_after("ulimit -n 40;", &args)).listening();
    let mut peers = Vec::from_iter((0..60).map(|_| server.connect()));
    server.logs("cannot accept");
    let since = Instant::now();
    let mut waiting = peers.split_off(20);
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
    drop(peers);
    while !waiting.is_empty() {
        let mut peer = waiting.remove(0);
        assert_eq!(peer.line(), format!("You are {peer}"));
    }
    server.newcomer(&mut []);
}
