//! Who ends it, and with which exit code.

use std::sync::mpsc::Receiver;
use std::thread;
use std::time::Duration;

use crate::support::Server;

#[test]
fn when_the_server_goes_it_ends_while_stdin_stays_open() {
    let server = Server::new();
    let mut client = server.client(&[]);
    let mut peer = server.accept();
    client.types("hi\n");
    peer.hears("hi\n");
    peer.say("* idle for 5m, goodbye\n");
    peer.hang_up();
    client.end().cleanly_with("* idle for 5m, goodbye\n");
}

#[test]
fn when_the_server_goes_it_ends_though_a_write_is_stuck() {
    // That the write blocks cannot be seen, only that nothing moves any more: too early a guess
    // would prove less, and fail nothing.
    let stuck = |progress: &Receiver<()>| {
        while progress.recv_timeout(Duration::from_millis(300)).is_ok() {}
    };
    let server = Server::new();
    let mut client = server.client(&[]);
    let mut peer = server.accept();
    // The server reads nothing of this.
    let progress = client.floods();
    stuck(&progress);
    // What is said makes room for a little more.
    peer.say("* goodbye\n");
    client.shows("* goodbye\n");
    stuck(&progress);
    peer.hang_up();
    client.end().cleanly_with("* goodbye\n");
}

#[test]
fn the_goodbye_is_not_lost_when_sending_fails() {
    // Whether a write or a read notices first is chance.
    for _ in 0..10 {
        let server = Server::new();
        let mut client = server.client(&[]);
        let mut peer = server.accept();
        client.floods();
        peer.has_unread_input();
        peer.say("* goodbye\n");
        peer.hang_up();
        drop(peer);
        client.end().cleanly_with("* goodbye\n");
    }
}

#[test]
fn a_reset_exits_1() {
    let server = Server::new();
    let mut client = server.client(&[]);
    let mut peer = server.accept();
    peer.say("You are bob\n");
    client.shows("You are bob\n");
    client.types("hi\n");
    peer.has_unread_input();
    drop(peer);
    let complaint = format!("chat-client: lost the connection to {}: ", server.address());
    client.end().with(1, &complaint);
}

#[test]
fn a_reset_exits_1_even_if_a_write_finds_it_first() {
    for _ in 0..20 {
        let server = Server::new();
        let mut client = server.client(&[]);
        let peer = server.accept();
        client.floods();
        peer.has_unread_input();
        drop(peer);
        client.end().with(1, "chat-client: lost the connection to ");
    }
}

#[test]
fn a_quiet_server_is_left_after_a_while() {
    let server = Server::new();
    let mut client = server.client(&[]);
    let mut peer = server.accept();
    client.ends_input();
    assert_eq!(peer.rest(), "");
    peer.say("bob: bye\n");
    client.end().cleanly_with("bob: bye\n");
}

#[test]
fn a_given_limit_ends_it_though_the_server_talks_on() {
    let server = Server::new();
    let mut client = server.client(&["-q", "0.2"]);
    let mut peer = server.accept();
    client.types("hi\n");
    client.ends_input();
    peer.hears("hi\n");
    thread::spawn(move || while peer.try_say("bob: more\n").is_ok() {});
    let ended = client.end();
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
}

#[test]
fn a_given_limit_ends_send_only_too() {
    let server = Server::new();
    let mut client = server.client(&["--send-only", "-q", "0"]);
    let mut peer = server.accept();
    client.types("hi\n");
    client.ends_input();
    assert_eq!(peer.rest(), "hi\n");
    client.end().cleanly_with("");
}

#[test]
fn send_only_ends_when_the_server_does() {
    let server = Server::new();
    let mut client = server.client(&["--send-only"]);
    let mut peer = server.accept();
    client.types("hi\n");
    peer.hears("hi\n");
    peer.hang_up();
    client.end().cleanly_with("");
}

#[test]
#[cfg(unix)]
fn interrupting_exits_130() {
    let server = Server::new();
    let mut client = server.client(&[]);
    let mut peer = server.accept();
    peer.say("You are bob\n");
    client.shows("You are bob\n");
    client.signal("INT");
    let ended = client.end();
    // A code of its own: a program that the signal killed has none.
    assert_eq!((ended.code, &*ended.stderr), (Some(130), ""));
}
