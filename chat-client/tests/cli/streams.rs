//! Stdin and stdout as pipes and files.

use std::fs::File;
use std::io::{self, BufRead, BufReader, PipeReader};
use std::thread;

use crate::support::{Client, Server, in_time};

/// Reads one line as `head -1` would, then closes the pipe.
fn head(reader: PipeReader) -> String {
    in_time("a first line", move || {
        let mut line = String::new();
        BufReader::new(reader).read_line(&mut line).unwrap();
        line
    })
}

#[test]
fn both_directions_are_independent() {
    let server = Server::new();
    let mut client = server.client(&["--commands"]);
    let mut peer = server.accept();
    // Each side waits for the other, with no end of stream in sight.
    client.input("hi\n");
    peer.expect("hi\n");
    peer.send("You are bob\n");
    client.expect("You are bob\n");
    // An unfinished line is shown at once.
    peer.send("name? ");
    client.expect("You are bob\nname? ");
    client.input("/quit\n");
    peer.expect("/quit\n");
    peer.send("\nbob: hi\n* goodbye\n");
    peer.hang_up();
    client
        .end()
        .cleanly_with("You are bob\nname? \nbob: hi\n* goodbye\n");
}

#[test]
fn pipe_gets_bytes_unchanged() {
    let server = Server::new();
    let client = server.client(&["--recv-only"]);
    let mut peer = server.accept();
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend("\u{1b}[2J\r\n\u{202e}\u{9b}€".as_bytes());
    bytes.extend(b" ".repeat(1000));
    bytes.extend(b"\xe2\x82");
    peer.send(&bytes);
    peer.hang_up();
    let ended = client.end();
    assert_eq!((ended.code, ended.stdout), (Some(0), bytes));
}

#[test]
fn stdin_waits_for_greeting() {
    let server = Server::new();
    let mut client = server.client(&[]);
    client.input("one\nunfinished");
    client.end_input();
    let mut peer = server.accept();
    peer.send("You are bob\n");
    client.expect("You are bob\n");
    // The server reads to the end of its input before it answers.
    assert_eq!(peer.rest(), "one\nunfinished");
    peer.send("bob: one\n");
    client.expect("You are bob\nbob: one\n");
    peer.send("bob: unfinished\n");
    peer.hang_up();
    client
        .end()
        .cleanly_with("You are bob\nbob: one\nbob: unfinished\n");
}

#[test]
fn silent_server_gets_stdin_anyway() {
    let server = Server::new();
    let mut client = server.client(&[]);
    client.input("one\n/two\n");
    client.end_input();
    let mut peer = server.accept();
    assert_eq!(peer.rest(), "one\n//two\n");
    peer.hang_up();
    client.end().cleanly_with("");
}

#[test]
fn closed_stdout_ends_quiet_session() {
    for args in [&[][..], &["--recv-only"]] {
        let server = Server::new();
        let (reader, writer) = io::pipe().unwrap();
        let mut command = server.command(args);
        command.stdout(writer);
        let client = Client::start(command);
        let _peer = server.greet();
        assert_eq!(head(reader), "You are bob\n");
        client.end().cleanly_with("");
    }
}

#[test]
fn closed_stdout_ends_blocked_write() {
    let server = Server::new();
    let (reader, writer) = io::pipe().unwrap();
    let mut command = server.command(&[]);
    command.stdout(writer);
    let client = Client::start(command);
    let mut peer = server.accept();
    thread::spawn(move || while peer.try_send("more\n".repeat(10_000)).is_ok() {});
    assert_eq!(head(reader), "more\n");
    client.end().cleanly_with("");
}

#[test]
fn closed_stdout_loses_no_input() {
    let server = Server::new();
    let (reader, writer) = io::pipe().unwrap();
    let mut command = server.command(&[]);
    command.stdout(writer);
    let mut client = Client::start(command);
    client.input("hi\n");
    client.end_input();
    let mut peer = server.greet();
    assert_eq!(head(reader), "You are bob\n");
    assert_eq!(peer.rest(), "hi\n");
    peer.send("bob: hi\n");
    peer.hang_up();
    client.end().cleanly_with("");
}

#[test]
fn closed_stdout_outlasts_silence() {
    let server = Server::new();
    let (reader, writer) = io::pipe().unwrap();
    let mut command = server.command(&[]);
    command.stdout(writer);
    let mut client = Client::start(command);
    client.input("hi\n");
    client.end_input();
    drop(reader);
    let mut peer = server.accept();
    assert_eq!(peer.rest(), "hi\n");
    peer.hang_up();
    client.end().cleanly_with("");
}

#[test]
fn send_only_discards_output() {
    let server = Server::new();
    let mut client = server.client(&["--send-only"]);
    let mut peer = server.greet();
    client.input("hi\n");
    peer.expect("hi\n");
    // More than all buffers hold: the write ends only if the client reads.
    peer.send("carol: more\n".repeat(5_000_000));
    client.end_input();
    assert_eq!(peer.rest(), "");
    peer.send("bob: hi\n");
    peer.hang_up();
    client.end().cleanly_with("");
}

#[test]
fn recv_only_ignores_stdin() {
    let server = Server::new();
    let mut client = server.client(&["--recv-only"]);
    client.input("hi\n");
    client.end_input();
    let mut peer = server.greet();
    client.expect("You are bob\n");
    peer.send("carol: hi\n");
    client.expect("You are bob\ncarol: hi\n");
    peer.hang_up();
    client.end().cleanly_with("You are bob\ncarol: hi\n");
    assert_eq!(peer.rest(), "");
}

#[test]
#[cfg(unix)]
fn unreadable_stdin_exits_1() {
    let server = Server::new();
    let mut command = server.command(&[]);
    command.stdin(File::open("/").unwrap());
    let client = Client::start(command);
    let _peer = server.greet();
    client.end().with(1, "chat-client: cannot read stdin: ");
}

#[test]
#[cfg(target_os = "linux")]
fn full_disk_exits_1() {
    let server = Server::new();
    let mut command = server.command(&[]);
    command.stdout(File::options().write(true).open("/dev/full").unwrap());
    let client = Client::start(command);
    let _peer = server.greet();
    client
        .end()
        .with(1, "chat-client: cannot write to stdout: ");
}

/// `2>&1`: both streams share a pipe, and the last line has no end.
#[test]
#[cfg(unix)]
fn shared_pipe_breaks_unfinished_line() {
    let server = Server::new();
    let (reader, writer) = io::pipe().unwrap();
    let mut command = server.command(&[]);
    command.stdout(writer.try_clone().unwrap()).stderr(writer);
    let client = Client::start(command);
    let mut peer = server.greet();
    peer.send("carol: half a li");
    peer.hang_up();
    assert_eq!(client.end().code, Some(1));
    let output = io::read_to_string(reader).unwrap();
    let expected = format!(
        "You are bob\ncarol: half a li\nchat-client: {} closed the connection; \
         stdin not read to its end\n",
        server.address()
    );
    assert_eq!(output, expected);
}
