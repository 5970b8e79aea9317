//! The log on stderr, and the streams that are not there.

use crate::support::{Lines, Server, command, command_after};
use rustix::process::Signal;
use std::io::PipeReader;
use std::net::TcpListener;

#[test]
fn it_serves_without_anybody_to_read_what_it_prints() {
    for closed in ["2>&-", "2>/dev/full"] {
        let first = format!("exec {closed};");
        let args = ["--listen", "127.0.0.1:0"];
        let mut chatty = command_after(&first, &args);
        chatty.env("CHAT_LOG", "debug");
        let mut server = Server::run(chatty).listening();
        let mut a = server.newcomer(&mut []);
        a.say("hello", &mut []);
        assert!(server.is_running());
        server.signal(Signal::TERM);
        assert_eq!(a.rest(), "* server is going down\n");
        drop(a);
        assert_eq!(server.ended().code, Some(0), "{closed}");
    }
}

/// More guests than there is room for what is logged of them, in a pipe and in the server.
const GUESTS: usize = 3_000;

/// A server whose log nobody reads, after those were there, and the pipe that has its log.
fn unread() -> (Server, PipeReader) {
    let (log, stderr) = std::io::pipe().expect("a pipe");
    let mut chatty = command(&["--listen", "127.0.0.1:0"]);
    chatty.env("CHAT_LOG", "chat_core=debug").stderr(stderr);
    let server = Server::run(chatty).listening();
    for _ in 0..GUESTS {
        let mut guest = server.connect();
        guest.half_close();
        guest.rest();
    }
    (server, log)
}

#[test]
fn it_serves_while_nobody_reads_its_log() {
    let (server, log) = unread();
    let mut a = server.newcomer(&mut []);
    a.say("hello", &mut []);
    server.signal(Signal::TERM);
    assert_eq!(a.rest(), "* server is going down\n");
    drop(a);
    let ended = server.ended();
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
    drop(log);
}

#[test]
fn lines_of_the_log_that_were_lost_are_counted_in_their_place() {
    let (server, log) = unread();
    let mut log = Lines::of(log);
    let lost = log.wait_for(" lines of the log were lost here");
    let mut last = server.connect();
    last.half_close();
    last.rest();
    drop(last);
    server.signal(Signal::TERM);
    let all = log.all();
    assert_eq!(server.ended().code, Some(0));
    let (before, after) = all.split_once(&lost).expect("it was there");
    let told = |log: &str| log.matches("session ended").count();
    let lost = lost.split(' ').next().and_then(|count| count.parse().ok());
    assert_eq!(lost, Some(GUESTS - told(before)));
    assert_eq!(told(after), 1, "{after}");
}

#[test]
fn it_serves_when_stdout_is_gone() {
    for closed in [">&-", ">/dev/full"] {
        // On this address nobody else is given ports, so it is still free.
        let free = TcpListener::bind("127.0.0.3:0").and_then(|free| free.local_addr());
        let address = free.expect("a port");
        let listen = ["--listen", &address.to_string()];
        let silent = command_after(&format!("exec {closed};"), &listen);
        let (server, mut a) = Server::run(silent).reached_at(address);
        a.hears(&format!("You are {a}"));
        a.say("hello", &mut []);
        server.signal(Signal::TERM);
        assert_eq!(a.rest(), "* server is going down\n");
        drop(a);
        assert_eq!(server.ended().code, Some(0), "{closed}");
    }
}

#[test]
fn the_log_repeats_nothing_raw_of_what_peers_send() {
    let mut chatty = command(&["--listen", "127.0.0.1:0"]);
    // So that no colours are in the way.
    chatty.env("CHAT_LOG", "trace").env("NO_COLOR", "1");
    let server = Server::run(chatty).listening();
    let mut a = server.newcomer(&mut []);
    let hostile =
        b"\x1b[2J\r\x07\x08\xc2\x9b\xe2\x80\xae\xff\xfb\x01\n/\x1b[2J\n/name \x1b]0;x\x07\n";
    a.send(hostile);
    a.half_close();
    a.rest();
    let mut tls = server.connect();
    tls.send(b"\x16\x03\x01\x1b[2J\n");
    tls.rest();
    let mut web = server.connect();
    web.send(b"GET /\x1b[2J HTTP/1.1\r\n\x1b[2J\r\n");
    web.rest();
    drop((a, tls, web));
    server.signal(Signal::TERM);
    let ended = server.ended();
    assert!(ended.stderr.contains("misbehaved"), "{}", ended.stderr);
    let raw = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
    assert_eq!(ended.stderr.find(raw), None, "{:?}", ended.stderr);
}

#[test]
fn a_log_that_is_no_terminal_has_no_colours() {
    let server = Server::start(&[]);
    server.signal(Signal::TERM);
    let stderr = server.ended().stderr;
    assert!(stderr.contains("shutting down"), "{stderr}");
    assert!(!stderr.contains('\x1b'), "{stderr:?}");
}
