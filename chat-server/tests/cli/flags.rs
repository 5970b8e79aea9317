//! Flags and environment variables.

use crate::support::{Ended, Peer, Server, command};
use std::net::TcpListener;

/// The end of a program with these flags, which does not serve.
fn run(flags: &[&str]) -> Ended {
    Server::run(command(flags)).ended()
}

mod help {
    use super::*;

    #[test]
    fn lists_each_flag_and_variable() {
        let ended = run(&["--help"]);
        assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
        for flag in [
            "listen",
            "names",
            "classic",
            "idle-timeout",
            "stall-timeout",
            "max-line",
            "log-bytes",
            "announce-up-to",
            "announce-rate",
            "patience",
            "max-peers",
            "max-peers-per-address",
            "connect-interval",
            "rate",
            "rate-bytes",
            "rename-interval",
            "name-timeout",
            "keepalive",
            "send-ahead",
            "threads",
            "grace",
            "log-format",
        ] {
            let variable = flag.to_uppercase().replace('-', "_");
            for expected in [format!("--{flag}"), format!("CHAT_{variable}")] {
                assert!(ended.stdout.contains(&expected), "{expected}");
            }
        }
        for expected in ["--help", "--version", "--log-level", "[env: CHAT_LOG="] {
            assert!(ended.stdout.contains(expected), "{expected}");
        }
    }

    #[test]
    fn version_is_printed() {
        let ended = run(&["--version"]);
        assert_eq!(ended.code, Some(0));
        let version = concat!("chat-server ", env!("CARGO_PKG_VERSION"), "\n");
        assert_eq!(ended.stdout, version);
    }
}

mod bad_usage {
    use super::*;

    #[test]
    fn exits_with_2() {
        // The refusals of each value parser are tested there.
        for flags in [
            &["--nonsense"][..],
            &["extra"],
            &["--names", "nobody"],
            &["--idle-timeout", "0s"],
            &["--max-line", "2MiB"],
            &["--log-bytes", "16EiB"],
            &["--max-peers", "0"],
            &["--threads", "100000"],
            &["--grace"],
            &["--log-format", "xml"],
            &["--log-level", "inof"],
            &["--classic", "--names", "ask"],
        ] {
            let ended = run(&[&["--listen", "127.0.0.1:0"], flags].concat());
            assert_eq!(ended.code, Some(2), "{flags:?}");
            assert!(ended.stderr.starts_with("error: "), "{}", ended.stderr);
            assert_eq!(ended.stdout, "", "{flags:?}");
        }
    }

    #[test]
    fn listen_shows_the_form() {
        for address in ["nonsense", "8000", "localhost", "127.0.0.1:99999"] {
            let ended = run(&["--listen", address]);
            assert_eq!(ended.code, Some(2), "{address}");
            let form = "write HOST:PORT, such as localhost:8000";
            assert!(ended.stderr.contains(form), "{}", ended.stderr);
        }
    }
}

mod listen {
    use super::*;

    #[test]
    fn port_0_prints_real_addresses() {
        let flags = ["--listen", "127.0.0.1:0", "--listen", "127.0.0.2:0"];
        let server = Server::run(command(&flags)).listening();
        let first = server.address();
        let server = server.listening();
        let second = server.address();
        assert_eq!(
            [first.ip().to_string(), second.ip().to_string()],
            ["127.0.0.1", "127.0.0.2"]
        );
        assert!(first.port() != 0 && second.port() != 0);
        let mut a = Peer::connect(first);
        a.expect_line(&format!("You are {a}"));
        let b = Peer::connect(second);
        a.expect_line(&format!("{b} has arrived"));
    }

    #[test]
    fn address_in_use_exits_with_1() {
        let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = taken.local_addr().expect("bound").to_string();
        // The first address is free, but must not be printed either.
        let ended = run(&["--listen", "127.0.0.1:0", "--listen", &address]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""));
        let expected = format!("chat-server: cannot listen on {address}: ");
        assert!(ended.stderr.starts_with(&expected), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }

    #[test]
    fn foreign_address_exits_with_1() {
        let ended = run(&["--listen", "192.0.2.1:0"]);
        assert_eq!(ended.code, Some(1));
        assert!(ended.stderr.contains("192.0.2.1:0"), "{}", ended.stderr);
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    }
}

mod settings {
    use super::*;

    #[test]
    fn classic_is_the_book() {
        let server = Server::start(&["--classic"]);
        let mut a = server.connect();
        a.expect_line(&format!("You are {a}"));
        let mut b = server.connect();
        b.expect_line(&format!("You are {b}"));
        a.expect_line(&format!("{b} has arrived"));
        b.publish("/who", &mut [&mut a]);
    }

    #[test]
    fn names_ask_asks() {
        let server = Server::start(&["--names", "ask"]);
        let mut a = server.connect();
        a.expect_line(&format!("* what is your name? (Enter for {a})"));
        a.send("alice\nhello\n");
        a.expect_line("You are alice");
        a.expect_line("alice: hello");
    }

    #[test]
    fn idle_timeout_disconnects_unless_off() {
        let server = Server::start(&["--idle-timeout", "200ms"]);
        // A flag has precedence over its variable.
        let mut patient = command(&["--listen", "127.0.0.1:0", "--idle-timeout", "off"]);
        patient.env("CHAT_IDLE_TIMEOUT", "100ms");
        let patient = Server::run(patient).listening();
        let mut quiet = patient.newcomer(&mut []);
        let mut idle = server.newcomer(&mut []);
        assert_eq!(idle.rest(), "* idle for 200ms, goodbye\n");
        quiet.publish("still here", &mut []);
    }

    #[test]
    fn hub_has_its_limits() {
        let server = Server::start(&["--max-line", "5", "--announce-up-to", "0"]);
        let mut a = server.newcomer(&mut []);
        a.send("123456\n");
        a.expect_line("* line refused: longer than 5 bytes");
        let mut b = server.connect();
        b.expect_line(&format!("You are {b}"));
        a.publish("12345", &mut []);
    }
}

mod environment {
    use super::*;

    #[test]
    fn variables_are_read() {
        let mut ask = command(&[]);
        ask.env("CHAT_LISTEN", "127.0.0.1:0")
            .env("CHAT_NAMES", "ask");
        let server = Server::run(ask).listening();
        let mut a = server.connect();
        a.expect_line(&format!("* what is your name? (Enter for {a})"));

        let mut bad = command(&[]);
        bad.env("CHAT_MAX_PEERS", "many");
        assert_eq!(Server::run(bad).ended().code, Some(2));
    }

    #[test]
    fn flags_have_precedence() {
        let mut given = command(&["--names", "address", "--max-line", "4"]);
        given
            .env("CHAT_LISTEN", "127.0.0.1:0,127.0.0.2:0")
            .env("CHAT_NAMES", "ask")
            .env("CHAT_MAX_LINE", "3")
            .env("CHAT_IDLE_TIMEOUT", "off")
            .env("CHAT_GRACE", "1s");
        let server = Server::run(given).listening();
        let mut a = server.newcomer(&mut []);
        a.publish("four", &mut []);
        assert_eq!(server.listening().address().ip().to_string(), "127.0.0.2");
    }

    #[test]
    fn empty_variables_count_as_unset() {
        let mut empty = command(&["--listen", "127.0.0.1:0"]);
        for variable in [
            "CHAT_NAMES",
            "CHAT_CLASSIC",
            "CHAT_MAX_PEERS",
            "CHAT_IDLE_TIMEOUT",
            "CHAT_LOG",
            "CHAT_LOG_FORMAT",
        ] {
            empty.env(variable, "");
        }
        let mut server = Server::run(empty).listening();
        server.newcomer(&mut []);
        server.wait_for_log("idle_timeout=\"5m\"");

        // With the default address, or the message that it is in use.
        let mut listen = command(&[]);
        listen.env("CHAT_LISTEN", "");
        let (taken, mut server) = (TcpListener::bind("127.0.0.1:8000"), Server::run(listen));
        match taken {
            Ok(_) => server.wait_for_log("cannot listen on 127.0.0.1:8000"),
            Err(_) => server.wait_for_log("127.0.0.1:8000"),
        };
    }

    #[test]
    fn unknown_variables_are_logged() {
        let mut misspelled = command(&["--listen", "127.0.0.1:0"]);
        misspelled.env("CHAT_IDLETIMEOUT", "1s");
        let mut server = Server::run(misspelled).listening();
        server.wait_for_log("unknown environment variable variable=\"CHAT_IDLETIMEOUT\"");
    }

    #[test]
    fn classic_is_a_switch() {
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
}
