//! Piped lines are text; typed ones, and those of `--commands`, may be commands.

use crate::support::Server;

#[test]
fn piped_slash_is_text() {
    let server = Server::new();
    let mut client = server.client(&["--send-only"]);
    client.input("/etc/passwd\nhi /who\n//x\n/");
    client.end_input();
    let mut peer = server.greet();
    assert_eq!(peer.rest(), "//etc/passwd\nhi /who\n///x\n//");
    peer.send("bob: /etc/passwd\nbob: hi /who\nbob: //x\nbob: /\n");
    peer.hang_up();
    client.end().cleanly_with("");
}

#[test]
fn piped_telnet_byte_ends_no_line() {
    let server = Server::new();
    let mut client = server.client(&["--send-only"]);
    client.input(b"\xff\nhi\n");
    client.end_input();
    let mut peer = server.greet();
    // To the server a single byte 255 begins a telnet command, which would swallow the line end.
    assert_eq!(peer.rest_of_bytes(), b"\xff\xff\nhi\n");
    peer.send("bob: \u{fffd}\nbob: hi\n");
    peer.hang_up();
    client.end().cleanly_with("");
}

#[test]
fn commands_flag_sends_commands() {
    let server = Server::new();
    let mut client = server.client(&["--commands"]);
    client.input("/who\n//x\n");
    client.end_input();
    let mut peer = server.greet();
    assert_eq!(peer.rest(), "/who\n//x\n");
    peer.send("* here now: bob\nbob: /x\n");
    peer.hang_up();
    client
        .end()
        .cleanly_with("You are bob\n* here now: bob\nbob: /x\n");
}

#[test]
fn commands_flag_holds_after_name() {
    let server = Server::new();
    let mut client = server.client(&["--commands", "--name", "alice"]);
    client.input("/who\n//x\n");
    client.end_input();
    let mut peer = server.greet();
    peer.expect("/name alice\n");
    peer.send("bob is now alice\n");
    assert_eq!(peer.rest(), "/who\n//x\n");
    peer.send("* here now: alice\nalice: /x\n");
    peer.hang_up();
    client
        .end()
        .cleanly_with("You are bob\nbob is now alice\n* here now: alice\nalice: /x\n");
}

#[test]
fn unknown_command_exits_3() {
    let server = Server::new();
    let mut client = server.client(&["--commands", "--send-only"]);
    client.input("/x\nhi\n");
    client.end_input();
    let mut peer = server.greet();
    assert_eq!(peer.rest(), "/x\nhi\n");
    peer.send("* unknown command /x, /help lists them\nbob: hi\n");
    peer.hang_up();
    client.end().with_exactly(
        3,
        "chat-client: unknown command /x, /help lists them\nchat-client: 1 of 2 lines refused\n",
    );
}

#[test]
fn unanswered_command_exits_1() {
    let server = Server::new();
    let mut client = server.client(&["--commands", "--send-only"]);
    client.input("/who\n");
    client.end_input();
    let mut peer = server.greet();
    assert_eq!(peer.rest(), "/who\n");
    peer.hang_up();
    let ended = client.end();
    assert!(
        ended.stderr.contains("1 of 1 line unconfirmed"),
        "{ended:?}"
    );
    assert_eq!(ended.code, Some(1));
}

#[test]
fn quit_exits_0() {
    let server = Server::new();
    let mut client = server.client(&["--commands"]);
    client.input("/quit\n");
    let mut peer = server.greet();
    peer.expect("/quit\n");
    peer.send("* goodbye\n");
    peer.hang_up();
    client.end().cleanly_with("You are bob\n* goodbye\n");
}

#[test]
fn lines_after_quit_are_lost() {
    let server = Server::new();
    let mut client = server.client(&["--commands", "--send-only"]);
    client.input("/quit\nhi\n");
    client.end_input();
    let mut peer = server.greet();
    assert_eq!(peer.rest(), "/quit\nhi\n");
    peer.send("* goodbye\n");
    peer.hang_up();
    let ended = client.end();
    assert!(
        ended.stderr.contains("1 of 2 lines unconfirmed"),
        "{ended:?}"
    );
    assert_eq!(ended.code, Some(1));
}

#[test]
fn foreign_server_gets_single_slash() {
    let server = Server::new();
    let mut client = server.client(&[]);
    client.input("/x\n");
    client.end_input();
    let mut peer = server.accept();
    peer.send("220 mail.example\n");
    assert_eq!(peer.rest(), "/x\n");
    peer.hang_up();
    client.end().cleanly_with("220 mail.example\n");
}
