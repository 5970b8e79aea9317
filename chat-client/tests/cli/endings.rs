//! Endings of a session that has lines to send or to wait for, and their exit codes.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use crate::support::Server;

#[test]
fn idle_timeout_exits_1() {
    let server = Server::new();
    let mut client = server.client(&[]);
    let mut peer = server.greet();
    client.input("hi\n");
    peer.expect("hi\n");
    peer.send("bob: hi\n* idle for 5m, goodbye\n");
    peer.hang_up();
    let ended = client.end();
    assert_eq!(
        ended.stdout,
        b"You are bob\nbob: hi\n* idle for 5m, goodbye\n"
    );
    let expected = format!(
        "chat-client: {} ended the session: idle for 5m, goodbye; stdin not read to its end\n",
        server.address()
    );
    ended.with_exactly(1, &expected);
}

#[test]
fn notice_after_last_line_exits_0() {
    let server = Server::new();
    let mut client = server.client(&["--send-only"]);
    client.input("hi\n");
    client.end_input();
    let mut peer = server.greet();
    assert_eq!(peer.rest(), "hi\n");
    peer.send("bob: hi\n* server is going down\n");
    peer.hang_up();
    client
        .end()
        .with_exactly(0, "chat-client: server is going down\n");
}

#[test]
fn recv_only_ends_with_server() {
    let server = Server::new();
    let client = server.client(&["--recv-only"]);
    let mut peer = server.greet();
    peer.send("* server is going down\n");
    peer.hang_up();
    client
        .end()
        .with_exactly(0, "chat-client: server is going down\n");
}

#[test]
fn foreign_server_may_close() {
    let server = Server::new();
    let client = server.client(&[]);
    let mut peer = server.accept();
    peer.send("* one\ntwo\n* three\n");
    peer.hang_up();
    client.end().cleanly_with("* one\ntwo\n* three\n");
}

#[test]
fn blocked_write_does_not_delay_end() {
    // A blocked write cannot be observed, only the lack of progress: a wrong guess weakens the
    // test and does not fail it.
    let blocked = |progress: &Receiver<()>| {
        while progress.recv_timeout(Duration::from_millis(300)).is_ok() {}
    };
    let server = Server::new();
    let mut client = server.client(&[]);
    let progress = client.flood();
    // The server reads nothing of it.
    let mut peer = server.greet();
    blocked(&progress);
    // The client's segments make room for a little more.
    peer.send("* goodbye\n");
    client.expect("You are bob\n* goodbye\n");
    blocked(&progress);
    peer.hang_up();
    let complaint = format!(
        "chat-client: {} ended the session: goodbye; ",
        server.address()
    );
    client.end().with(1, &complaint);
}

#[test]
fn goodbye_survives_failed_write() {
    // Chance decides whether a write or a read fails first.
    for _ in 0..10 {
        let server = Server::new();
        let mut client = server.client(&[]);
        client.flood();
        let mut peer = server.greet();
        peer.leave_input_unread();
        peer.send("* goodbye\n");
        client.expect("You are bob\n* goodbye\n");
        peer.hang_up();
        drop(peer);
        let ended = client.end();
        assert_eq!(ended.stdout, b"You are bob\n* goodbye\n");
        ended.with(1, "chat-client: ");
    }
}

#[test]
fn reset_exits_1() {
    let server = Server::new();
    let mut client = server.client(&[]);
    let peer = server.greet();
    client.expect("You are bob\n");
    client.input("hi\n");
    peer.leave_input_unread();
    drop(peer);
    let complaint = format!("chat-client: lost the connection to {}: ", server.address());
    client.end().with(1, &complaint);
}

#[test]
fn reset_of_writer_exits_1() {
    for _ in 0..20 {
        let server = Server::new();
        let mut client = server.client(&[]);
        let peer = server.greet();
        client.flood();
        peer.leave_input_unread();
        drop(peer);
        client.end().with(1, "chat-client: lost the connection to ");
    }
}

#[test]
fn closed_connection_exits_1() {
    let server = Server::new();
    let client = server.client(&[]);
    server.greet().hang_up();
    let complaint = format!("chat-client: {} closed the connection; ", server.address());
    client.end().with(1, &complaint);
}

#[test]
#[cfg(unix)]
fn interrupt_exits_130() {
    let server = Server::new();
    let mut client = server.client(&[]);
    let _peer = server.greet();
    client.expect("You are bob\n");
    client.signal("INT");
    let ended = client.end();
    // A process that a signal killed has no exit code.
    assert_eq!((ended.code, &*ended.stderr), (Some(130), ""));
}
