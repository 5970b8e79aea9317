//! Stdin, stdout and stderr as a terminal.

use std::fs::File;
use std::io::{Read, Write};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Winsize, tcgetattr, tcsetattr, tcsetwinsize};

use crate::support::{Client, Server, in_time};

/// A pseudo-terminal of 80 columns: the side of its user, and the side of programs.
fn terminal() -> (Screen, File) {
    let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&user).unwrap();
    unlockpt(&user).unwrap();
    let name = ptsname(&user, Vec::new()).unwrap();
    let program = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    // Neither `\r\n` for `\n` nor an echo of typed text: the screen shows the client's own bytes.
    let mut attributes = tcgetattr(&program).unwrap();
    attributes.make_raw();
    tcsetattr(&program, OptionalActions::Now, &attributes).unwrap();
    let screen = Screen { user: user.into() };
    screen.resize(80);
    (screen, program.into())
}

/// The side of a terminal's user.
struct Screen {
    user: File,
}

impl Screen {
    fn resize(&self, columns: u16) {
        let size = Winsize {
            ws_row: 24,
            ws_col: columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&self.user, size).unwrap();
    }

    fn input(&mut self, text: &str) {
        self.user.write_all(text.as_bytes()).unwrap();
    }

    /// Waits until the screen shows `expected` after all that was expected before.
    #[track_caller]
    fn expect(&mut self, expected: &str) {
        let mut user = self.user.try_clone().unwrap();
        let length = expected.len();
        let shown = in_time("output on the terminal", move || {
            let mut bytes = vec![0; length];
            user.read_exact(&mut bytes).map(|()| bytes)
        });
        assert_eq!(String::from_utf8_lossy(&shown.unwrap()), expected);
    }
}

#[test]
fn control_characters_are_harmless() {
    let server = Server::new();
    let (mut screen, program) = terminal();
    let mut command = server.command(&["--recv-only"]);
    command.stdout(program);
    let client = Client::start(command);
    let mut peer = server.accept();
    peer.send("bob:\t\x1b[2J\u{9b}1m\u{202e}\r\n");
    // A character in two pieces; the client has read the first.
    peer.send(b"carol: \xe2\x82");
    screen.expect("bob:    \\x1b[2J\\x9b1m\\u{202e}\ncarol: ");
    peer.send(b"\xac, \xff\xe2");
    peer.hang_up();
    screen.expect("€, \u{fffd}\u{fffd}");
    client.end().cleanly_with("");
}

#[test]
fn continuation_row_is_indented() {
    let server = Server::new();
    let (mut screen, program) = terminal();
    let mut command = server.command(&["--recv-only"]);
    command.stdout(program);
    let client = Client::start(command);
    let mut peer = server.accept();
    let padding = " ".repeat(80 - "alice: ok".len());
    peer.send(format!("alice: ok{padding}bob: I resign\n"));
    screen.expect(&format!("alice: ok{padding}\n    bob: I resign\n"));
    // A new width holds for the next line.
    screen.resize(40);
    let padding = " ".repeat(40 - "alice: ok".len());
    peer.send(format!("alice: ok{padding}bob: I resign\n"));
    screen.expect(&format!("alice: ok{padding}\n    bob: I resign\n"));
    peer.hang_up();
    client.end().cleanly_with("");
}

#[test]
fn unknown_width_counts_as_80() {
    let server = Server::new();
    let (mut screen, program) = terminal();
    screen.resize(0);
    let mut command = server.command(&["--recv-only"]);
    command.stdout(program);
    let client = Client::start(command);
    let mut peer = server.accept();
    peer.send(format!("{}\n", "x".repeat(81)));
    screen.expect(&format!("{}\n    x\n", "x".repeat(80)));
    peer.hang_up();
    client.end().cleanly_with("");
}

#[test]
fn error_starts_on_own_line() {
    let server = Server::new();
    let (mut screen, program) = terminal();
    let mut command = server.command(&[]);
    command
        .stdout(program.try_clone().unwrap())
        .stderr(program.try_clone().unwrap());
    let mut client = Client::start(command);
    let mut peer = server.greet();
    screen.expect("You are bob\n");
    client.input("hi\n");
    peer.leave_input_unread();
    peer.send("carol: half a li");
    screen.expect("carol: half a li");
    drop(peer);
    screen.expect("\nchat-client: lost the connection to ");
    assert_eq!(client.end().code, Some(1));
}

#[test]
fn notice_is_shown_once() {
    let server = Server::new();
    let (mut screen, program) = terminal();
    let mut command = server.command(&[]);
    command
        .stdout(program.try_clone().unwrap())
        .stderr(program.try_clone().unwrap());
    let client = Client::start(command);
    let mut peer = server.greet();
    peer.send("* idle for 5m, goodbye\n");
    peer.hang_up();
    screen.expect(&format!(
        "You are bob\n* idle for 5m, goodbye\nchat-client: {} closed the connection; \
         stdin not read to its end\n",
        server.address()
    ));
    assert_eq!(client.end().code, Some(1));
}

#[test]
fn typed_commands_are_commands() {
    let server = Server::new();
    let (mut screen, program) = terminal();
    let mut command = server.command(&[]);
    command.stdin(program);
    let mut client = Client::start(command);
    // A typed line does not wait for the server.
    screen.input("/who\n");
    let mut peer = server.accept();
    peer.expect("/who\n");
    peer.send("You are bob\n* here now: bob\n");
    client.expect("You are bob\n* here now: bob\n");
    screen.input("/quit\n");
    peer.expect("/quit\n");
    peer.send("* goodbye\n");
    peer.hang_up();
    client
        .end()
        .cleanly_with("You are bob\n* here now: bob\n* goodbye\n");
}
