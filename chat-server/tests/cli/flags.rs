//! What it can be told, on the command line and by the environment.

use crate::support::{Peer, Server, command};
use std::net::TcpListener;

#[test]
fn help_names_every_flag_and_variable() {
    let ended = Server::run(command(&["--help"])).ended();
    assert_eq!(ended.code, Some(0));
    assert_eq!(ended.stderr, "");
    for flag in [
        "listen",
        "names",
        "classic",
        "idle-timeout",
        "stall-timeout",
        "max-line",
        "log-bytes",
        "announce-up-to",
        "patience",
        "max-peers",
        "max-peers-per-address",
        "rate",
        "rate-bytes",
        "name-timeout",
        "keepalive",
        "send-ahead",
        "threads",
        "grace",
    ] {
        let variable = flag.to_uppercase().replace('-', "_");
        for expected in [format!("--{flag}"), format!("CHAT_{variable}")] {
            assert!(ended.stdout.contains(&expected), "{expected}");
        }
    }
    for expected in ["--help", "--version", "CHAT_LOG="] {
        assert!(ended.stdout.contains(expected), "{expected}");
    }
}

#[test]
fn version_is_told() {
    let ended = Server::run(command(&["--version"])).ended();
    assert_eq!(ended.code, Some(0));
    assert!(
        ended.stdout.starts_with("chat-server 0."),
        "{}",
        ended.stdout
    );
}

#[test]
fn bad_usage_is_told_on_stderr_and_ends_with_2() {
    for args in [
        &["--nonsense"][..],
        &["extra"],
        &["--names", "nobody"],
        &["--idle-timeout", "soon"],
        &["--stall-timeout", "off"],
        &["--max-line", "0"],
        &["--max-line", "2000000"],
        &["--log-bytes", "much"],
        &["--max-peers", "-1"],
        &["--max-peers-per-address", "few"],
        &["--rate", "0"],
        &["--rate", "fast"],
        &["--rate-bytes", "0"],
        &["--name-timeout", "off"],
        &["--keepalive", "100ms"],
        &["--keepalive", "10h"],
        &["--send-ahead", "10"],
        &["--grace"],
        &["--classic", "--names", "ask"],
    ] {
        let ended = Server::run(command(args)).ended();
        assert_eq!(ended.code, Some(2), "{args:?}");
        assert!(
            ended.stderr.starts_with("error: "),
            "{args:?}: {}",
            ended.stderr
        );
        assert_eq!(ended.stdout, "", "{args:?}");
    }
}

#[test]
fn port_0_prints_the_real_address_of_each_listener() {
    let args = ["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"];
    let server = Server::run(command(&args)).listening();
    let first = server.address();
    let server = server.listening();
    let second = server.address();
    assert_eq!(
        [first.ip().to_string(), second.ip().to_string()],
        ["127.0.0.1", "127.0.0.2"]
    );
    assert!(first.port() != 0 && second.port() != 0);
    let mut a = Peer::connect(first);
    a.hears(&format!("You are {a}"));
    let b = Peer::connect(second);
    a.hears(&format!("{b} has arrived"));
}

#[test]
fn an_address_in_use_is_named_in_one_line_and_ends_with_1() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("bound").to_string();
    // The first is free: it must not say that it listens, either.
    let args = ["--listen", "127.0.0.1:0", "--listen", &address];
    let ended = Server::run(command(&args)).ended();
    assert_eq!(ended.code, Some(1));
    assert_eq!(ended.stdout, "");
    let expected = format!("chat-server: cannot listen on {address}: ");
    assert!(ended.stderr.starts_with(&expected), "{}", ended.stderr);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
}

#[test]
fn an_address_that_is_none_is_named_in_one_line_and_ends_with_1() {
    for address in ["127.0.0.1", "127.0.0.1:99999", "192.0.2.1:0"] {
        let ended = Server::run(command(&["--listen", address])).ended();
        assert_eq!(ended.code, Some(1), "{address}");
        assert!(ended.stderr.contains(address), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

#[test]
fn classic_is_the_book() {
    let server = Server::start(&["--classic"]);
    let mut a = server.connect();
    a.hears(&format!("You are {a}"));
    let mut b = server.connect();
    b.hears(&format!("You are {b}"));
    a.hears(&format!("{b} has arrived"));
    b.say("/who", &mut [&mut a]);
}

#[test]
fn names_are_asked_for() {
    let server = Server::start(&["--names", "ask"]);
    let mut a = server.connect();
    a.hears(&format!("* what is your name? (Enter for {a})"));
    a.send("alice\nhello\n");
    a.hears("You are alice");
    a.hears("alice: hello");
}

#[test]
fn who_says_nothing_is_let_go_unless_that_is_off() {
    let server = Server::start(&["--idle-timeout", "200ms"]);
    // The command line counts more than the environment.
    let mut patient = command(&["--listen", "127.0.0.1:0", "--idle-timeout", "off"]);
    patient.env("CHAT_IDLE_TIMEOUT", "100ms");
    let patient = Server::run(patient).listening();
    let mut quiet = patient.newcomer(&mut []);
    let mut idle = server.newcomer(&mut []);
    assert_eq!(idle.rest(), "* idle for 200ms, goodbye\n");
    quiet.say("still here", &mut []);
}

#[test]
fn the_other_limits_are_as_told() {
    let server = Server::start(&["--max-line", "5", "--announce-up-to", "0"]);
    let mut a = server.newcomer(&mut []);
    a.send("123456\n");
    a.hears("* line refused: longer than 5 bytes");
    let mut b = server.connect();
    b.hears(&format!("You are {b}"));
    a.say("12345", &mut []);
}

#[test]
fn the_environment_counts_and_the_command_line_counts_more() {
    let mut ask = command(&[]);
    ask.env("CHAT_LISTEN", "127.0.0.1:0")
        .env("CHAT_NAMES", "ask");
    let server = Server::run(ask).listening();
    let mut a = server.connect();
    a.hears(&format!("* what is your name? (Enter for {a})"));

    let mut given = command(&["--names", "address", "--max-line", "4"]);
    given
        .env("CHAT_LISTEN", "127.0.0.1:0,127.0.0.2:0")
        .env("CHAT_NAMES", "ask")
        .env("CHAT_MAX_LINE", "3")
        .env("CHAT_IDLE_TIMEOUT", "off")
        .env("CHAT_GRACE", "1s");
    let server = Server::run(given).listening();
    let mut a = server.newcomer(&mut []);
    a.say("four", &mut []);
    assert_eq!(server.listening().address().ip().to_string(), "127.0.0.2");

    let mut bad = command(&[]);
    bad.env("CHAT_MAX_PEERS", "many");
    assert_eq!(Server::run(bad).ended().code, Some(2));
}

#[test]
fn classic_can_be_switched_by_the_environment() {
    for (value, classic) in [("true", true), ("1", true), ("false", false), ("0", false)] {
        let mut switched = command(&["--listen", "127.0.0.1:0"]);
        switched.env("CHAT_CLASSIC", value);
        let server = Server::run(switched).listening();
        let mut a = server.newcomer(&mut []);
        a.send("/who\n");
        let answer = if classic {
            format!("{a}: /who")
        } else {
            format!("* here now: {a}")
        };
        assert_eq!(a.line(), answer, "CHAT_CLASSIC={value}");
    }
}
