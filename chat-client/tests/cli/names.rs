//! `-n`: nothing is said before the name is ours.

use std::io;

use crate::support::{Client, Server};

/// `-n alice` with `hi` already in stdin, up to the moment at which the server has to answer.
macro_rules! asked {
    ($args:expr, $greeting:expr) => {{
        let server = Server::new();
        let mut client = server.client($args);
        client.types("hi\n");
        client.ends_input();
        let mut peer = server.accept();
        peer.hears("/name alice\n");
        peer.say($greeting);
        client.shows($greeting);
        (server, client, peer)
    }};
}

const ALICE: &[&str] = &["-n", "alice"];

#[test]
fn after_a_yes_stdin_is_sent() {
    let (_server, client, mut peer) = asked!(ALICE, "You are 127.0.0.1:9\nHere now: bob\n");
    peer.say("127.0.0.1:9 is now alice\n");
    peer.hears("hi\n");
    assert_eq!(peer.rest(), "");
    peer.say("alice: hi\n");
    peer.hang_up();
    client
        .end()
        .cleanly_with("You are 127.0.0.1:9\nHere now: bob\n127.0.0.1:9 is now alice\nalice: hi\n");
}

#[test]
fn a_server_that_asks_for_names_is_understood() {
    let question = "* what is your name? (Enter for 127.0.0.1:9)\n";
    let (_server, client, mut peer) = asked!(ALICE, question);
    peer.say("You are alice\n");
    assert_eq!(peer.rest(), "hi\n");
    peer.hang_up();
    client
        .end()
        .cleanly_with(&format!("{question}You are alice\n"));
}

#[test]
fn after_a_no_nothing_is_sent_and_it_exits_3() {
    let (_server, client, mut peer) = asked!(ALICE, "You are 127.0.0.1:9\n");
    // In pieces, and with something that no terminal should obey.
    peer.say("* name ref");
    peer.say("used: alice is \x1btaken\n");
    assert_eq!(peer.rest(), "");
    let ended = client.end();
    // Shown once, and not where the lines of the hub go.
    assert_eq!(ended.stdout, b"You are 127.0.0.1:9\n");
    assert_eq!(
        ended.stderr,
        "chat-client: name refused: alice is \\x1btaken\n"
    );
    assert_eq!(ended.code, Some(3));
}

#[test]
fn a_no_is_told_to_who_only_sends_or_only_listens() {
    for args in [
        &["-n", "alice", "--send-only"],
        &["-n", "alice", "--recv-only"],
    ] {
        let server = Server::new();
        let mut client = server.client(args);
        client.types("hi\n");
        let mut peer = server.accept();
        peer.hears("/name alice\n");
        peer.say("You are 127.0.0.1:9\n* name refused: taken\n");
        assert_eq!(peer.rest(), "");
        client.end().with(3, "chat-client: name refused: taken\n");
    }
}

#[test]
fn a_no_is_an_exit_code_even_if_stderr_is_gone() {
    let server = Server::new();
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    let mut command = server.command(ALICE);
    command.stderr(writer);
    let client = Client::start(command);
    let mut peer = server.accept();
    peer.say("* name refused: taken\n");
    assert_eq!(client.end().code, Some(3));
}

#[test]
fn a_classic_server_is_warned_about_once() {
    let (_server, client, mut peer) = asked!(ALICE, "You are 127.0.0.1:9\n");
    peer.say("127.0.0.1:9: /name alice\n");
    assert_eq!(peer.rest(), "hi\n");
    peer.hang_up();
    client
        .end()
        .with(0, "chat-client: the server does not know /name");
}

#[test]
fn a_server_that_does_not_answer_is_not_waited_for_for_ever() {
    let server = Server::new();
    let mut client = server.client(ALICE);
    client.types("hi\n");
    let mut peer = server.accept();
    // Not a whole line, so it is held for as long as it may become a refusal.
    peer.say("login: ");
    peer.hears("/name alice\n");
    peer.hears("hi\n");
    client.shows("login: ");
    peer.hang_up();
    client
        .end()
        .with(0, "chat-client: the server does not answer to /name");
}

#[test]
fn a_server_that_goes_without_an_answer_is_trouble() {
    let (server, client, mut peer) = asked!(ALICE, "You are 127.0.0.1:9\n");
    peer.say("* server is full");
    peer.hang_up();
    let ended = client.end();
    assert_eq!(ended.stdout, b"You are 127.0.0.1:9\n* server is full");
    let complaint = format!(
        "chat-client: {} closed the connection before ",
        server.address()
    );
    ended.with(1, &complaint);
    assert_eq!(peer.rest(), "");
}

#[test]
fn who_only_listens_takes_a_name_too() {
    let server = Server::new();
    let client = server.client(&["-n", "alice", "--recv-only"]);
    let mut peer = server.accept();
    peer.hears("/name alice\n");
    let lines = "You are 127.0.0.1:9\n127.0.0.1:9 is now alice\nbob: hi\n";
    peer.say(lines);
    peer.hang_up();
    client.end().cleanly_with(lines);
    assert_eq!(peer.rest(), "");
}
