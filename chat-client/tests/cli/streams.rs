//! What goes through, and when.

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
fn both_directions_go_at_once() {
    let server = Server::new();
    let mut client = server.client(&[]);
    let mut peer = server.accept();
    // Each waits for the other, with no end of stream in sight.
    client.types("hi\n");
    peer.hears("hi\n");
    peer.say("You are bob\n");
    client.shows("You are bob\n");
    // An unfinished line does not wait for its end.
    peer.say("name? ");
    client.shows("You are bob\nname? ");
    client.types("bob\n");
    peer.hears("bob\n");
    peer.hang_up();
    client.end().cleanly_with("You are bob\nname? ");
}

#[test]
fn a_pipe_gets_every_byte_as_it_came() {
    let server = Server::new();
    let client = server.client(&[]);
    let mut peer = server.accept();
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend("\u{1b}[2J\r\n\u{202e}\u{9b}€".as_bytes());
    bytes.extend(b"\xe2\x82");
    peer.say(&bytes);
    peer.hang_up();
    let ended = client.end();
    assert_eq!((ended.code, ended.stdout), (Some(0), bytes));
}

#[test]
fn after_the_end_of_stdin_the_remaining_lines_arrive() {
    let server = Server::new();
    let mut client = server.client(&[]);
    client.types("one\nunfinished");
    client.ends_input();
    let mut peer = server.accept();
    // The server learns of the end, and only then answers.
    assert_eq!(peer.rest(), "one\nunfinished");
    peer.say("bob: one\n");
    client.shows("bob: one\n");
    peer.say("bob: unfinished\n");
    peer.hang_up();
    client.end().cleanly_with("bob: one\nbob: unfinished\n");
}

#[test]
fn a_reader_that_went_ends_it_even_if_nothing_more_is_said() {
    let server = Server::new();
    let (reader, writer) = io::pipe().unwrap();
    let mut command = server.command(&[]);
    command.stdout(writer);
    let client = Client::start(command);
    let mut peer = server.accept();
    peer.say("You are bob\n");
    assert_eq!(head(reader), "You are bob\n");
    client.end().cleanly_with("");
}

#[test]
fn a_reader_that_went_ends_it_in_the_middle_of_a_write() {
    let server = Server::new();
    let (reader, writer) = io::pipe().unwrap();
    let mut command = server.command(&[]);
    command.stdout(writer);
    let client = Client::start(command);
    let mut peer = server.accept();
    thread::spawn(move || while peer.try_say("more\n".repeat(10_000)).is_ok() {});
    assert_eq!(head(reader), "more\n");
    client.end().cleanly_with("");
}

#[test]
fn send_only_prints_nothing_and_takes_everything() {
    let server = Server::new();
    let mut client = server.client(&["--send-only"]);
    let mut peer = server.accept();
    client.types("hi\n");
    peer.hears("hi\n");
    // More than all buffers hold: this would not return if nobody read it.
    peer.say("more\n".repeat(10_000_000));
    client.ends_input();
    assert_eq!(peer.rest(), "");
    peer.say("bob: hi\n");
    peer.hang_up();
    client.end().cleanly_with("");
}

#[test]
fn recv_only_leaves_stdin_alone() {
    let server = Server::new();
    let mut client = server.client(&["--recv-only"]);
    client.types("hi\n");
    client.ends_input();
    let mut peer = server.accept();
    peer.say("You are bob\n");
    client.shows("You are bob\n");
    peer.say("carol: hi\n");
    client.shows("You are bob\ncarol: hi\n");
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
    let _peer = server.accept();
    client.end().with(1, "chat-client: cannot read stdin: ");
}

#[test]
#[cfg(target_os = "linux")]
fn a_full_disk_exits_1() {
    let server = Server::new();
    let mut command = server.command(&[]);
    command.stdout(File::options().write(true).open("/dev/full").unwrap());
    let client = Client::start(command);
    let mut peer = server.accept();
    peer.say("You are bob\n");
    client
        .end()
        .with(1, "chat-client: cannot write to stdout: ");
}
