//! The log on stderr, and streams that are closed or not read.

use crate::support::{Lines, Peer, Server, command, command_after};
use rustix::process::Signal;
use serde_json::Value;
use std::io::PipeReader;
use std::net::TcpListener;
use std::process::Command;

/// The program on a free port, with a log level and without colours.
fn at_level(level: &str) -> Command {
    let mut command = command(&["--listen", "127.0.0.1:0"]);
    command.env("CHAT_LOG", level).env("NO_COLOR", "1");
    command
}

/// Ends a peer's input, and waits until the server has closed the connection.
fn leave(mut peer: Peer) {
    peer.half_close();
    peer.rest();
}

fn log_of(server: Server) -> String {
    server.signal(Signal::TERM);
    let ended = server.ended();
    assert_eq!(ended.code, Some(0));
    ended.stderr
}

mod info {
    use super::*;

    #[test]
    fn limits_are_those_in_effect() {
        let log = log_of(Server::start(&[
            "--log-bytes=1",
            "--patience=7ms",
            "--keepalive=off",
            "--send-ahead=8KiB",
        ]));
        for limit in [
            "log_bytes=59097",
            "patience=\"7ms\"",
            "keepalive=\"off\"",
            "send_ahead=8192",
        ] {
            assert!(log.contains(limit), "{limit}\n{log}");
        }
    }

    #[test]
    fn tells_a_servers_life() {
        let mut server = Server::start(&["--max-peers", "2"]);
        let address = server.address();
        let mut a = server.newcomer(&mut []);
        let b = server.newcomer(&mut [&mut a]);
        let mut late = server.connect();
        late.rest();
        drop(late);
        let (a_name, b_name) = (a.to_string(), b.to_string());
        a.send("/name alice\n");
        a.expect_line(&format!("{a} is now alice"));
        leave(b);
        a.expect_line(&format!("{b_name} has left"));
        server.wait_for_log("left");
        server.signal(Signal::TERM);
        a.rest();
        drop(a);
        let log = server.ended().stderr;
        let events = [
            format!("started version=\"0.1.0\" addresses=\"{address}\""),
            "limits max_peers=2 max_peers_per_address=\"64\"".into(),
            format!("joined peer=\"{a_name}\" name=\"{a_name}\""),
            format!("joined peer=\"{b_name}\" name=\"{b_name}\""),
            "reason=\"the server is full\"".into(),
            format!("renamed peer=\"{a_name}\" from=\"{a_name}\" to=\"alice\""),
            format!("left peer=\"{b_name}\" name=\"{b_name}\" reason=\"left\" seconds=0"),
            "received a signal signal=\"SIGTERM\"".into(),
            "shutting down peers=1".into(),
            format!("left peer=\"{a_name}\" name=\"alice\" reason=\"hub closed\""),
            "drained ended=1 cut=0".into(),
        ];
        let mut rest = log.as_str();
        for event in events {
            let (_, after) = rest
                .split_once(&event)
                .unwrap_or_else(|| panic!("{event}\n{log}"));
            rest = after;
        }
        assert_eq!(log.lines().count(), 11, "nothing else:\n{log}");
    }

    #[test]
    fn tells_why_peers_are_disconnected() {
        let server = Server::start(&["--idle-timeout", "200ms"]);
        server.connect().rest();
        let mut web = server.connect();
        web.send("GET / HTTP/1.1\r\n");
        web.rest();
        drop(web);
        let log = log_of(server);
        for reason in ["was idle", "misbehaved"] {
            let reason = format!("reason=\"{reason}\"");
            assert!(log.contains(&reason), "{reason}\n{log}");
        }
    }

    #[test]
    fn silent_peers_cause_no_lines() {
        let server = Server::start(&["--names", "ask"]);
        let before = "limits";
        for _ in 0..10 {
            leave(server.connect());
        }
        let log = log_of(server);
        let (_, after) = log.split_once(before).expect("the first lines");
        // The rest of that line, the signal, the shutdown and its end.
        assert_eq!(after.lines().count(), 4, "{log}");
    }

    #[test]
    fn refusals_are_summarized() {
        let server = Server::start(&["--max-peers", "1"]);
        let mut a = server.newcomer(&mut []);
        for _ in 0..100 {
            leave(server.connect());
        }
        a.half_close();
        a.rest();
        drop(a);
        let log = log_of(server);
        let refused = log.matches(" refused ").count();
        let summaries = log.lines().filter_map(|line| {
            let (line, _) = line.split_once(" more refusals of local peers in ")?;
            line.rsplit(' ').next()?.parse::<usize>().ok()
        });
        // On a slow machine they take more than one window.
        assert!(refused < 10, "{log}");
        assert_eq!(refused + summaries.sum::<usize>(), 100, "{log}");
    }

    #[test]
    fn joins_are_summarized() {
        const GUESTS: usize = 1200;
        let server = Server::start(&[]);
        for _ in 0..GUESTS {
            leave(server.connect());
        }
        let log = log_of(server);
        let joined = log.matches(" joined ").count();
        let summaries = log.lines().filter_map(|line| {
            let (line, _) = line.split_once(" more lines of \"joined\" in ")?;
            line.rsplit(' ').next()?.parse::<usize>().ok()
        });
        let lost = log.lines().filter_map(|line| {
            let (line, _) = line.split_once(" lines of the log were lost here")?;
            line.rsplit(' ').next()?.parse::<usize>().ok()
        });
        let lost = lost.sum::<usize>();
        let told = joined + summaries.sum::<usize>();
        assert!(
            joined < GUESTS && told + lost >= GUESTS && told <= GUESTS,
            "{told} {lost} {joined}"
        );
    }
}

mod json {
    use super::*;

    /// The lines as objects.
    fn objects(log: &str) -> Vec<Value> {
        let objects = log.lines().map(|line| {
            let object: Value = serde_json::from_str(line).expect(line);
            assert!(object.is_object(), "{line}");
            for field in ["timestamp", "level", "message", "target"] {
                assert!(object[field].is_string(), "{field} of {line}");
            }
            object
        });
        objects.collect()
    }

    #[test]
    fn each_line_is_an_object() {
        let server = Server::start(&["--log-format", "json"]);
        let mut a = server.newcomer(&mut []);
        a.send("/name al\"ice\n");
        a.expect_line(&format!("{a} is now al\"ice"));
        a.half_close();
        a.rest();
        let name = a.to_string();
        drop(a);
        let log = objects(&log_of(server));
        let with = |message: &str| {
            let event = log.iter().find(|event| event["message"] == message);
            event.unwrap_or_else(|| panic!("{message} in {log:?}"))
        };
        assert_eq!(with("joined")["peer"], name.as_str());
        assert_eq!(with("renamed")["to"], "al\"ice");
        assert_eq!(with("left")["reason"], "left");
        assert_eq!(with("left")["seconds"], 0);
    }

    #[test]
    fn failure_is_an_object() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("bound").to_string();
        let ended = Server::run(command(&["--listen", &address, "--log-format", "json"])).ended();
        assert_eq!(ended.code, Some(1));
        let log = objects(&ended.stderr);
        let message = log[0]["message"].as_str().expect("a message");
        assert!(message.starts_with(&format!("cannot listen on {address}: ")));
    }

    #[test]
    fn lost_lines_are_an_object() {
        let mut chatty = at_level("debug");
        chatty.args(["--log-format", "json"]);
        let (server, log) = unread(chatty);
        let mut log = Lines::of(log);
        server.signal(Signal::TERM);
        let log = objects(&log.all());
        assert_eq!(server.ended().code, Some(0));
        let lost = "lines of the log were lost here";
        let lost = log.iter().find(|event| event["message"] == lost);
        assert!(lost.expect("some were lost")["count"].as_u64() > Some(0));
    }
}

/// More guests than a pipe and the server have room for in the log.
const GUESTS: usize = 3_000;

/// A server that has had guests while its log was not read, and the pipe that has the log.
fn unread(mut chatty: Command) -> (Server, PipeReader) {
    let (log, stderr) = std::io::pipe().expect("a pipe");
    chatty.stderr(stderr);
    let server = Server::run(chatty).listening();
    for _ in 0..GUESTS {
        leave(server.connect());
    }
    (server, log)
}

mod streams {
    use super::*;

    #[test]
    fn closed_stderr_is_no_trouble() {
        for closed in ["2>&-", "2>/dev/full"] {
            let first = format!("exec {closed};");
            let flags = ["--listen", "127.0.0.1:0"];
            let mut chatty = command_after(&first, &flags);
            chatty.env("CHAT_LOG", "debug");
            let mut server = Server::run(chatty).listening();
            let mut a = server.newcomer(&mut []);
            a.publish("hello", &mut []);
            assert!(server.is_running());
            server.signal(Signal::TERM);
            assert_eq!(a.rest(), "* server is going down\n");
            drop(a);
            assert_eq!(server.ended().code, Some(0), "{closed}");
        }
    }

    #[test]
    fn unread_stderr_blocks_no_peer() {
        let (server, log) = unread(at_level("chat_core=debug"));
        let mut a = server.newcomer(&mut []);
        a.publish("hello", &mut []);
        server.signal(Signal::TERM);
        assert_eq!(a.rest(), "* server is going down\n");
        drop(a);
        let ended = server.ended();
        assert_eq!(ended.code, Some(0));
        assert_eq!(ended.stdout.lines().count(), 1, "{}", ended.stdout);
        drop(log);
    }

    #[test]
    fn lost_lines_are_counted_in_place() {
        // Only debug lines have no share of their own, and each guest has one.
        let mut chatty = at_level("chat_core=debug");
        chatty.args(["--names", "ask"]);
        let (server, log) = unread(chatty);
        let mut log = Lines::of(log);
        let lost = log.wait_for(" lines of the log were lost here");
        leave(server.connect());
        server.signal(Signal::TERM);
        let all = log.all();
        assert_eq!(server.ended().code, Some(0));
        let (before, after) = all.split_once(&lost).expect("the line is there");
        let told = |log: &str| log.matches("ended before joining").count();
        let (count, _) = lost.split_once(" lines").expect("a count");
        let count = count
            .rsplit(' ')
            .next()
            .and_then(|count| count.parse().ok());
        // The line of the last guest may come while the log is already read.
        let written = told(before) + told(after);
        assert_eq!(count, Some(GUESTS + 1 - written));
        assert!(told(after) > 0, "{after}");
    }

    #[test]
    fn closed_stdout_is_no_trouble() {
        for closed in [">&-", ">/dev/full"] {
            // Ports of this address are given to no one else, so it is still free afterwards.
            let free = TcpListener::bind("127.0.0.3:0").and_then(|free| free.local_addr());
            let address = free.expect("a port");
            let listen = ["--listen", &address.to_string()];
            let silent = command_after(&format!("exec {closed};"), &listen);
            let (server, mut a) = Server::run(silent).reached_at(address);
            a.expect_line(&format!("You are {a}"));
            a.publish("hello", &mut []);
            server.signal(Signal::TERM);
            assert_eq!(a.rest(), "* server is going down\n");
            drop(a);
            assert_eq!(server.ended().code, Some(0), "{closed}");
        }
    }
}

mod text {
    use super::*;

    #[test]
    fn strings_of_peers_are_escaped() {
        let server = Server::run(at_level("trace")).listening();
        let mut a = server.newcomer(&mut []);
        let hostile =
            b"\x1b[2J\r\x07\x08\xc2\x9b\xe2\x80\xae\xff\xfb\x01\n/\x1b[2J\n/name \x1b]0;x\x07\n";
        a.send(hostile);
        leave(a);
        let mut tls = server.connect();
        tls.send(b"\x16\x03\x01\x1b[2J\n");
        tls.rest();
        let mut web = server.connect();
        web.send(b"GET /\x1b[2J HTTP/1.1\r\n\x1b[2J\r\n");
        web.rest();
        drop((tls, web));
        let log = log_of(server);
        assert!(log.contains("misbehaved"), "{log}");
        let is_raw = |c: char| c.is_control() && c != '\n' || c == '\u{202e}';
        assert_eq!(log.find(is_raw), None, "{log:?}");
    }

    #[test]
    fn names_are_quoted() {
        let server = Server::start(&[]);
        let mut a = server.newcomer(&mut []);
        a.send("/name \"x\"\\\n");
        a.expect_line(&format!("{a} is now \"x\"\\"));
        leave(a);
        let log = log_of(server);
        assert!(log.contains(r#"name="\"x\"\\" reason"#), "{log}");
    }

    #[test]
    fn colours_are_for_terminals() {
        let log = log_of(Server::start(&[]));
        assert!(log.contains("shutting down"), "{log}");
        assert!(!log.contains('\x1b'), "{log:?}");
    }
}
