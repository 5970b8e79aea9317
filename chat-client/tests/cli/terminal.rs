//! On a terminal: shown, not obeyed.

use std::fs::File;
use std::io::Read;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::{Client, Server, in_time};

/// A pseudo-terminal: the side that shows, and the side that a program writes to.
fn terminal() -> (File, File) {
    let shown = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&shown).unwrap();
    unlockpt(&shown).unwrap();
    let name = ptsname(&shown, Vec::new()).unwrap();
    let written = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (shown.into(), written.into())
}

#[test]
fn what_the_server_sends_is_made_harmless() {
    let server = Server::new();
    let (mut shown, written) = terminal();
    let mut command = server.command(&[]);
    command.stdout(written);
    let client = Client::start(command);
    let mut peer = server.accept();
    peer.say("bob:\t\x1b[2J\u{9b}1m\u{202e}\r\n");
    // A character in two pieces, the first of which is shown to have arrived.
    peer.say(b"carol: \xe2\x82");
    let (mut shown, first) = in_time("the first line", move || {
        let mut first = Vec::new();
        while !first.ends_with(b"carol: ") {
            let mut byte = [0];
            shown.read_exact(&mut byte).unwrap();
            first.extend(byte);
        }
        (shown, first)
    });
    // The terminal itself makes `\r\n` of a newline.
    let expected = "bob:\t\\x1b[2J\\x9b1m\\u{202e}\r\ncarol: ";
    assert_eq!(String::from_utf8_lossy(&first), expected);
    peer.say(b"\xac, \xff\xe2");
    peer.hang_up();
    let expected = "€, \u{fffd}\u{fffd}";
    let rest = in_time("the rest", move || {
        let mut rest = vec![0; expected.len()];
        shown.read_exact(&mut rest).map(|()| rest)
    });
    assert_eq!(String::from_utf8_lossy(&rest.unwrap()), expected);
    client.end().cleanly_with("");
}
