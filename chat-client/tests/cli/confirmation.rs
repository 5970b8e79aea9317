//! A line of stdin is confirmed when it comes back or is refused.

use crate::support::{Client, Peer, Server};

const FULL: &str = "* the server is full, goodbye\n";

/// `count` numbered lines of text.
fn lines(count: usize) -> String {
    (1..=count).map(|number| format!("{number}\n")).collect()
}

/// The same as the server sends them back to `bob`.
fn echoes(count: usize) -> String {
    (1..=count)
        .map(|number| format!("bob: {number}\n"))
        .collect()
}

/// A client whose whole stdin is `input`, greeted as `bob`, after the server has read all of it.
fn sent(args: &[&str], input: &str) -> (Server, Client, Peer) {
    let server = Server::new();
    let mut client = server.client(args);
    client.input(input);
    client.end_input();
    let mut peer = server.greet();
    assert_eq!(peer.rest(), input);
    (server, client, peer)
}

#[test]
fn echoed_lines_exit_0() {
    let (_server, client, mut peer) = sent(&[], &lines(60));
    peer.send(echoes(60));
    peer.hang_up();
    client
        .end()
        .cleanly_with(&format!("You are bob\n{}", echoes(60)));
}

#[test]
fn full_server_exits_3() {
    for args in [&["--send-only"][..], &["-n", "alice", "--send-only"]] {
        let server = Server::new();
        let mut client = server.client(args);
        client.input("x\n");
        client.end_input();
        let mut peer = server.accept();
        if args.len() > 1 {
            peer.expect("/name alice\n");
        }
        peer.send(FULL);
        peer.hang_up();
        assert_eq!(peer.rest(), "", "{args:?}");
        let expected = format!(
            "chat-client: {} refused entry: the server is full, goodbye; stdin not sent\n",
            server.address()
        );
        client.end().with_exactly(3, &expected);
    }
}

#[test]
fn full_server_shows_notice_on_stdout() {
    let server = Server::new();
    let client = server.client(&["--recv-only"]);
    let mut peer = server.accept();
    peer.send(FULL);
    peer.hang_up();
    let ended = client.end();
    assert_eq!(ended.stdout, FULL.as_bytes());
    let complaint = format!("chat-client: {} refused entry: ", server.address());
    ended.with(3, &complaint);
}

#[test]
fn reset_counts_unconfirmed_lines() {
    let server = Server::new();
    let mut client = server.client(&[]);
    client.input(lines(60));
    client.end_input();
    let mut peer = server.greet();
    peer.leave_input_unread();
    peer.send(echoes(24));
    client.expect(&format!("You are bob\n{}", echoes(24)));
    drop(peer);
    let ended = client.end();
    assert!(
        ended.stderr.contains("; 36 of 60 lines unconfirmed"),
        "{ended:?}"
    );
    let complaint = format!("chat-client: lost the connection to {}: ", server.address());
    ended.with(1, &complaint);
}

#[test]
fn dead_server_counts_unconfirmed_lines() {
    // The kernel closes the sockets of a killed process in good order if it had read everything.
    let (server, client, mut peer) = sent(&["--send-only"], &lines(60));
    peer.send(echoes(24));
    peer.hang_up();
    let expected = format!(
        "chat-client: {} closed the connection; 36 of 60 lines unconfirmed\n",
        server.address()
    );
    client.end().with_exactly(1, &expected);
}

#[test]
fn shutdown_counts_unconfirmed_lines() {
    let (server, client, mut peer) = sent(&["--send-only"], "one\n");
    peer.send("* server is going down\n");
    peer.hang_up();
    let expected = format!(
        "chat-client: {} ended the session: server is going down; 1 of 1 line unconfirmed\n",
        server.address()
    );
    client.end().with_exactly(1, &expected);
}

#[test]
fn time_limit_counts_unconfirmed_lines() {
    let (server, client, mut peer) = sent(&["-q", "2", "--send-only"], &lines(60));
    peer.send(echoes(33));
    let expected = format!(
        "chat-client: gave up waiting for {}; 27 of 60 lines unconfirmed\n",
        server.address()
    );
    client.end().with_exactly(1, &expected);
}

#[test]
fn confirmed_lines_pass_time_limit() {
    let (_server, client, mut peer) = sent(&["-q", "2", "--send-only"], &lines(3));
    peer.send(echoes(3));
    client.end().cleanly_with("");
}

#[test]
fn refused_line_exits_3_with_reason() {
    let (_server, client, mut peer) = sent(&["--send-only"], &lines(3));
    peer.send("bob: 1\n* line refused: longer than 4096 bytes\nbob: 3\n");
    peer.hang_up();
    client.end().with_exactly(
        3,
        "chat-client: line refused: longer than 4096 bytes\nchat-client: 1 of 3 lines refused\n",
    );
}

#[test]
fn lost_line_outranks_refused_line() {
    let (server, client, mut peer) = sent(&["--send-only"], &lines(3));
    peer.send("bob: 1\n* line refused: longer than 4096 bytes\n");
    peer.hang_up();
    let expected = format!(
        "chat-client: line refused: longer than 4096 bytes\nchat-client: {} closed the connection; \
         1 of 3 lines unconfirmed; 1 of 3 lines refused\n",
        server.address()
    );
    client.end().with_exactly(1, &expected);
}

#[test]
fn repeated_refusals_are_counted() {
    let (_server, client, mut peer) = sent(&["--send-only"], &lines(100));
    peer.send("* line refused: longer than 4096 bytes\n".repeat(100));
    peer.hang_up();
    let reasons = "chat-client: line refused: longer than 4096 bytes\n".repeat(5);
    let expected = format!(
        "{reasons}chat-client: further refusals are only counted\nchat-client: 100 of 100 lines \
         refused\n"
    );
    client.end().with_exactly(3, &expected);
}

#[test]
fn skipped_notices_count_as_refusals() {
    let (_server, client, mut peer) = sent(&["--send-only"], &lines(3));
    peer.send("bob: 1\n* 2 notices skipped\n");
    peer.hang_up();
    client
        .end()
        .with_exactly(3, "chat-client: 2 of 3 lines refused\n");
}

#[test]
fn skipped_messages_may_be_own_lines() {
    let (_server, client, mut peer) = sent(&["--send-only"], &lines(60));
    peer.send("* 59 messages skipped\nbob: 60\n");
    peer.hang_up();
    client.end().cleanly_with("");
}

#[test]
fn skipped_messages_need_orderly_end() {
    let (_server, client, mut peer) = sent(&["--send-only"], &lines(60));
    peer.send("* 59 messages skipped\n* server is going down\n");
    peer.hang_up();
    let ended = client.end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("60 of 60 lines unconfirmed"),
        "{ended:?}"
    );
}

#[test]
fn skipped_messages_cover_no_more() {
    let (_server, client, mut peer) = sent(&["--send-only"], &lines(60));
    peer.send("* 58 messages skipped\nbob: 60\n");
    peer.hang_up();
    let ended = client.end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(
        ended.stderr.contains("59 of 60 lines unconfirmed"),
        "{ended:?}"
    );
}

#[test]
fn lines_of_others_confirm_nothing() {
    let (_server, client, mut peer) = sent(&["--send-only"], "hi\n");
    peer.send("bobby: hi\ncarol: bob: hi\nbo: hi\nbob has left\n* bob tells you: hi\n");
    peer.hang_up();
    let ended = client.end();
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

#[test]
fn rename_is_followed() {
    let (_server, client, mut peer) = sent(&["--commands", "--send-only"], "/name eve\nhi\n");
    peer.send("bob is now eve\neve: hi\n");
    peer.hang_up();
    client.end().cleanly_with("");
}

#[test]
fn cleaned_text_confirms_its_line() {
    let (_server, client, mut peer) = sent(&["--send-only"], "\x1b[2Jhi\n\n");
    peer.send("bob: [2Jhi\nbob: \n");
    peer.hang_up();
    client.end().cleanly_with("");
}

#[test]
fn unfinished_line_counts() {
    let (_server, client, mut peer) = sent(&["--send-only"], "one\ntwo");
    peer.send("bob: one\n");
    peer.hang_up();
    let ended = client.end();
    assert!(
        ended.stderr.contains("1 of 2 lines unconfirmed"),
        "{ended:?}"
    );
    assert_eq!(ended.code, Some(1));
}

#[test]
fn empty_stdin_exits_0() {
    for input in ["", "\r"] {
        let (_server, client, peer) = sent(&[], input);
        peer.hang_up();
        client.end().cleanly_with("You are bob\n");
    }
}

#[test]
fn foreign_server_need_not_confirm() {
    let server = Server::new();
    let mut client = server.client(&["-q", "0"]);
    client.input("hi\n");
    client.end_input();
    let mut peer = server.accept();
    peer.send("<announce> 127.0.0.1 is connected as <user5>.\n");
    assert_eq!(peer.rest(), "hi\n");
    let ended = client.end();
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
}

#[test]
fn silent_server_confirms_nothing() {
    let server = Server::new();
    let mut client = server.client(&["-q", "0"]);
    client.input("hi\n");
    client.end_input();
    let _peer = server.accept();
    let expected = format!(
        "chat-client: gave up waiting for {}; 1 of 1 line unconfirmed\n",
        server.address()
    );
    client.end().with_exactly(1, &expected);
}

#[test]
fn closed_server_without_greeting_exits_1() {
    let server = Server::new();
    let mut client = server.client(&[]);
    client.input("hi\n");
    client.end_input();
    server.accept().hang_up();
    let expected = format!(
        "chat-client: {} closed the connection; stdin not sent\n",
        server.address()
    );
    client.end().with_exactly(1, &expected);
}
