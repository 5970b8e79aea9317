//! `-n`: stdin waits for the name.

use std::io;

use crate::support::{Client, Peer, Server};

const GREETING: &str = "You are 127.0.0.1:9\n";
const QUESTION: &str = "* what is your name? (Enter for 127.0.0.1:9)\n";
const ALICE: &[&str] = &["-n", "alice"];

/// `-n alice` with `hi` as stdin, up to the moment of the server's answer.
fn asked(opening: &str) -> (Server, Client, Peer) {
    let server = Server::new();
    let mut client = server.client(ALICE);
    client.input("hi\n");
    client.end_input();
    let mut peer = server.accept();
    peer.expect("/name alice\n");
    peer.send(opening);
    client.expect(opening);
    (server, client, peer)
}

#[test]
fn rename_releases_stdin() {
    let opening = "You are 127.0.0.1:9\nHere now: bob\n";
    let (_server, client, mut peer) = asked(opening);
    peer.send("127.0.0.1:9 is now alice\n");
    peer.expect("hi\n");
    assert_eq!(peer.rest(), "");
    peer.send("alice: hi\n");
    peer.hang_up();
    client
        .end()
        .cleanly_with(&format!("{opening}127.0.0.1:9 is now alice\nalice: hi\n"));
}

#[test]
fn question_is_answered() {
    let (_server, client, mut peer) = asked(QUESTION);
    peer.send("You are alice\n");
    assert_eq!(peer.rest(), "hi\n");
    peer.send("alice: hi\n");
    peer.hang_up();
    client
        .end()
        .cleanly_with(&format!("{QUESTION}You are alice\nalice: hi\n"));
}

#[test]
fn question_without_name_takes_default() {
    let server = Server::new();
    let mut client = server.client(&[]);
    client.input("hi\n");
    client.end_input();
    let mut peer = server.accept();
    peer.send(QUESTION);
    // Piped text is no name.
    peer.expect("\n");
    peer.send(GREETING);
    assert_eq!(peer.rest(), "hi\n");
    peer.send("127.0.0.1:9: hi\n");
    peer.hang_up();
    client
        .end()
        .cleanly_with(&format!("{QUESTION}{GREETING}127.0.0.1:9: hi\n"));
}

#[test]
fn refused_name_exits_3() {
    let (_server, client, mut peer) = asked(GREETING);
    // In pieces, and with a control character.
    peer.send("* name ref");
    peer.send("used: alice is \x1btaken\n");
    assert_eq!(peer.rest(), "");
    let ended = client.end();
    // The refusal is on stderr alone.
    assert_eq!(ended.stdout, GREETING.as_bytes());
    ended.with_exactly(
        3,
        "chat-client: name refused: alice is \\x1btaken; stdin not sent\n",
    );
}

#[test]
fn refused_name_ends_one_way_sessions() {
    for (args, rest) in [
        (&["-n", "alice", "--send-only"], "; stdin not sent"),
        (&["-n", "alice", "--recv-only"], ""),
    ] {
        let server = Server::new();
        let mut client = server.client(args);
        client.input("hi\n");
        let mut peer = server.accept();
        peer.expect("/name alice\n");
        peer.send("You are 127.0.0.1:9\n* name refused: taken\n");
        assert_eq!(peer.rest(), "");
        let expected = format!("chat-client: name refused: taken{rest}\n");
        client.end().with_exactly(3, &expected);
    }
}

#[test]
fn refused_name_needs_no_stderr() {
    let server = Server::new();
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut command = server.command(ALICE);
    command.stderr(writer);
    let client = Client::start(command);
    let mut peer = server.accept();
    peer.send("* name refused: taken\n");
    assert_eq!(client.end().code, Some(3));
}

#[test]
fn classic_server_gives_one_warning() {
    let (_server, client, mut peer) = asked(GREETING);
    peer.send("127.0.0.1:9: /name alice\n");
    assert_eq!(peer.rest(), "hi\n");
    peer.send("127.0.0.1:9: hi\n");
    peer.hang_up();
    client
        .end()
        .with(0, "chat-client: the server does not know /name");
}

#[test]
fn classic_server_must_echo() {
    let (_server, client, mut peer) = asked(GREETING);
    peer.send("127.0.0.1:9: /name alice\n");
    assert_eq!(peer.rest(), "hi\n");
    peer.hang_up();
    let ended = client.end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

#[test]
fn silent_server_gives_one_warning() {
    let server = Server::new();
    let mut client = server.client(ALICE);
    client.input("hi\n");
    let mut peer = server.accept();
    // An unfinished line is held back: it may become a refusal.
    peer.send("login: ");
    peer.expect("/name alice\n");
    peer.expect("hi\n");
    client.expect("login: ");
    peer.hang_up();
    client
        .end()
        .with(0, "chat-client: the server does not answer to /name");
}

#[test]
fn unanswered_name_exits_1() {
    let (server, client, mut peer) = asked(GREETING);
    peer.hang_up();
    let expected = format!(
        "chat-client: {} closed the connection before it answered to the name; stdin not sent\n",
        server.address()
    );
    client.end().with_exactly(1, &expected);
    assert_eq!(peer.rest(), "");
}

#[test]
fn unfinished_notice_is_reported() {
    let (server, client, mut peer) = asked("");
    peer.send("* server is full");
    peer.hang_up();
    let ended = client.end();
    assert_eq!(ended.stdout, b"* server is full");
    let complaint = format!(
        "chat-client: {} refused entry: server is full; ",
        server.address()
    );
    ended.with(3, &complaint);
}

#[test]
fn recv_only_takes_name() {
    let server = Server::new();
    let client = server.client(&["-n", "alice", "--recv-only"]);
    let mut peer = server.accept();
    peer.expect("/name alice\n");
    let lines = "You are 127.0.0.1:9\n127.0.0.1:9 is now alice\nbob: hi\n";
    peer.send(lines);
    peer.hang_up();
    client.end().cleanly_with(lines);
    assert_eq!(peer.rest(), "");
}
