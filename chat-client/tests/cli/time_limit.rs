//! `-q`, and the limit without it.

use std::thread;

use crate::support::Server;

#[test]
fn silence_ends_session_by_default() {
    let server = Server::new();
    let mut client = server.client(&[]);
    let mut peer = server.greet();
    client.end_input();
    assert_eq!(peer.rest(), "");
    peer.send("carol: bye\n");
    client.end().cleanly_with("You are bob\ncarol: bye\n");
}

#[test]
fn talking_server_does_not_extend_it() {
    let server = Server::new();
    let mut client = server.client(&["-q", "2000ms"]);
    client.input("hi\n");
    client.end_input();
    let mut peer = server.greet();
    peer.expect("hi\n");
    peer.send("bob: hi\n");
    thread::spawn(move || while peer.try_send("carol: more\n").is_ok() {});
    let ended = client.end();
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
}

#[test]
fn off_waits_for_server() {
    let server = Server::new();
    let mut client = server.client(&["-q", "off"]);
    client.end_input();
    let mut peer = server.greet();
    assert_eq!(peer.rest(), "");
    peer.hang_up();
    client.end().cleanly_with("You are bob\n");
}

#[test]
fn blocked_sender_is_ended() {
    for args in [&["-q", "1"][..], &["-q", "0", "-n", "bob"]] {
        let server = Server::new();
        let mut client = server.client(args);
        client.flood();
        // Reads nothing of it.
        let _peer = server.greet();
        let complaint = format!("chat-client: {} has read nothing for 1s", server.address());
        client.end().with(1, &complaint);
    }
}
