//! The command line, and the ways to find the server.

use crate::support::{Client, Server, command};

fn run(args: &[&str]) -> (Option<i32>, String, String) {
    let ended = Client::start(command(args)).end();
    (
        ended.code,
        String::from_utf8(ended.stdout).unwrap(),
        ended.stderr,
    )
}

#[test]
fn bad_usage_exits_2() {
    for args in [
        &["--no-such-flag"][..],
        &["localhost:0"],
        &["8000"],
        &["localhost:8000", "8000"],
        &["localhost", "http"],
        &["--send-only", "--recv-only"],
        &["--commands", "--recv-only"],
        &["-q", "-1"],
        &["-q", "soon"],
        &["-q", ""],
    ] {
        let (code, stdout, stderr) = run(args);
        assert_eq!((code, &*stdout), (Some(2), ""), "{args:?}");
        assert!(stderr.starts_with("error: "), "{args:?}: {stderr}");
        assert!(stderr.contains("--help"), "{args:?}: {stderr}");
    }
}

#[test]
fn impossible_name_exits_2() {
    for name in ["", "a b", "a\nb", "a\tb", "a\u{1b}[2J"] {
        // Nothing listens on port 1: an attempt to connect would exit with 1.
        let (code, _, stderr) = run(&["-n", name, "127.0.0.1:1"]);
        assert_eq!(code, Some(2), "{name:?}: {stderr}");
        assert!(stderr.contains("a name has "), "{name:?}: {stderr}");
    }
}

#[test]
fn help_and_version_exit_0() {
    let (code, help, stderr) = run(&["--help"]);
    assert_eq!((code, &*stderr), (Some(0), ""));
    assert!(
        help.contains("Examples:") && help.contains("Exit codes:"),
        "{help}"
    );
    assert_eq!(run(&["-h"]), (Some(0), help, String::new()));
    let version = format!("chat-client {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["-V"]), (Some(0), version, String::new()));
}

#[test]
fn failed_connection_exits_1() {
    for (args, complaint) in [
        (
            &["127.0.0.1", "1"][..],
            "chat-client: cannot connect to 127.0.0.1:1: ",
        ),
        (&["::1", "1"], "chat-client: cannot connect to [::1]:1: "),
    ] {
        Client::start(command(args)).end().with(1, complaint);
    }
}

#[test]
fn address_forms_find_server() {
    let server = Server::new();
    let port = server.address().port().to_string();
    // `localhost` often has an IPv6 address first, on which nothing listens here.
    for args in [
        &["127.0.0.1", &port][..],
        &[&format!("127.0.0.1:{port}")],
        &["localhost", &port],
        &[&format!("localhost:{port}")],
    ] {
        let client = Client::start(command(args));
        let mut peer = server.accept();
        peer.send("found\n");
        peer.hang_up();
        client.end().cleanly_with("found\n");
    }
}

#[test]
fn ipv6_forms_find_server() {
    let Ok(server) = Server::on("[::1]:0") else {
        eprintln!("skipped: no IPv6 here");
        return;
    };
    let port = server.address().port().to_string();
    for args in [
        &["::1", &port][..],
        &["[::1]", &port],
        &[&format!("[::1]:{port}")],
    ] {
        let client = Client::start(command(args));
        let mut peer = server.accept();
        peer.send("found\n");
        peer.hang_up();
        client.end().cleanly_with("found\n");
    }
}
