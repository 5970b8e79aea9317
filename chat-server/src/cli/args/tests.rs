//! Each flag reaches its setting; the effects of the settings are tested elsewhere.

use super::*;
use chat_core::Hub;

const DESCRIPTORS: u64 = 1_000_000;

fn parse(flags: &[&str]) -> Result<Args, String> {
    let all = std::iter::once(&"chat-server").chain(flags);
    // The environment of the test run may set CHAT_ variables.
    let command = Args::command().mut_args(|arg| arg.env(Resettable::Reset));
    let matches = command.try_get_matches_from(all);
    let args = matches.and_then(|matches| Args::from_arg_matches(&matches));
    args.map_err(|error| error.to_string())
}

fn args(flags: &[&str]) -> Args {
    parse(flags).expect("the flags are valid")
}

#[track_caller]
fn refusal(flag: &str) -> String {
    parse(&[flag]).expect_err(flag)
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

mod flags {
    use super::*;

    #[test]
    fn definitions_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn defaults_are_the_librarys() {
        let args = args(&[]);
        let mut hub = HubConfig::default();
        // The server announces less than an embedded hub.
        hub.announce_up_to = Some(1000);
        hub.announce_rate = NonZeroU32::new(50);
        assert_eq!(format!("{:?}", args.hub_config()), format!("{hub:?}"));
        let server = ServerConfig::default();
        let given = args.server_config(DESCRIPTORS);
        assert_eq!(format!("{given:?}"), format!("{server:?}"));
        let options = TcpOptions::default();
        assert_eq!(format!("{:?}", args.tcp_options()), format!("{options:?}"));
        assert_eq!(args.log_format, LogFormat::Text);
    }

    #[test]
    fn each_reaches_its_setting() {
        let args = args(&[
            "--names=ask",
            "--idle-timeout=1s",
            "--stall-timeout=40s",
            "--max-line=3",
            "--log-bytes=4MiB",
            "--announce-up-to=5",
            "--announce-rate=16",
            "--patience=6ms",
            "--max-peers=7",
            "--max-peers-per-address=8",
            "--connect-interval=20s",
            "--rate=9",
            "--rate-bytes=10KiB",
            "--rename-interval=21s",
            "--name-timeout=11s",
            "--keepalive=12s",
            "--send-ahead=13KiB",
            "--threads=14",
            "--grace=15s",
            "--log-format=json",
        ]);
        assert_eq!(args.threads(), 14);
        assert_eq!(args.log_format, LogFormat::Json);
        let hub = args.hub_config();
        assert_eq!((hub.log_bytes, hub.max_text), (4 << 20, 3));
        assert_eq!(hub.announce_up_to, Some(5));
        assert_eq!(hub.announce_rate, NonZeroU32::new(16));
        assert_eq!(hub.patience, Duration::from_millis(6));
        let server = args.server_config(DESCRIPTORS);
        assert_eq!((server.max_peers, server.max_peers_per_address), (7, 8));
        assert_eq!(server.grace, seconds(15));
        let rate = server.rate.unwrap();
        let numbers = [rate.lines, rate.burst, rate.bytes].map(NonZeroU32::get);
        assert_eq!(numbers, [9, 36, 10 * 1024]);
        let quota = |burst, time| NonZeroU32::new(burst).map(|burst| Quota::new(burst, time));
        assert_eq!(server.connect_rate, quota(64, seconds(20)));
        assert_eq!(server.rename_rate, quota(3, seconds(21)));
        let session = server.session;
        assert!(!session.classic);
        assert_eq!(session.naming, Naming::Ask);
        assert_eq!(session.idle_timeout, Some(seconds(1)));
        assert_eq!(session.stall_timeout, seconds(40));
        assert_eq!(session.name_timeout, seconds(11));
        let options = args.tcp_options();
        assert_eq!(options.keepalive, Some(seconds(12)));
        assert_eq!(options.unsent_bytes, 13 * 1024);
        // It must not come before the stall timeout.
        assert_eq!(options.user_timeout, Some(seconds(40)));
    }

    #[test]
    fn each_limit_can_be_off() {
        let args = args(&[
            "--idle-timeout=off",
            "--stall-timeout=off",
            "--announce-rate=off",
            "--patience=off",
            "--max-peers-per-address=off",
            "--connect-interval=off",
            "--rate=off",
            "--rename-interval=off",
            "--name-timeout=off",
            "--keepalive=off",
            "--grace=off",
        ]);
        let hub = args.hub_config();
        assert_eq!((hub.patience, hub.announce_rate), (Duration::ZERO, None));
        let server = args.server_config(DESCRIPTORS);
        assert_eq!(server.max_peers_per_address, usize::MAX);
        assert_eq!((server.rate, server.grace), (None, Duration::MAX));
        assert_eq!((server.connect_rate, server.rename_rate), (None, None));
        let session = server.session;
        assert_eq!(session.idle_timeout, None);
        assert_eq!(session.stall_timeout, Duration::MAX);
        assert_eq!(session.name_timeout, Duration::MAX);
        let options = args.tcp_options();
        assert_eq!((options.keepalive, options.user_timeout), (None, None));
    }

    #[test]
    fn all_peers_of_address_can_return() {
        let connects = |flags: &[&str]| {
            let connects = args(flags).server_config(DESCRIPTORS).connect_rate;
            connects.expect("it is limited").burst.get()
        };
        assert_eq!(connects(&["--max-peers-per-address=500"]), 500);
        assert_eq!(connects(&["--max-peers-per-address=2"]), 64);
        assert_eq!(connects(&["--max-peers-per-address=off"]), 10_000);
    }

    #[test]
    fn classic_has_the_books_limits() {
        let book = args(&["--classic"]);
        let hub = book.hub_config();
        assert_eq!((hub.max_text, hub.announce_rate), (65_535, None));
        let session = book.server_config(DESCRIPTORS).session;
        assert_eq!((session.classic, session.idle_timeout), (true, None));
        let other = args(&["--classic", "--max-line=80", "--idle-timeout=1s"]);
        assert_eq!(other.hub_config().max_text, 80);
        let session = other.server_config(DESCRIPTORS).session;
        assert_eq!(session.idle_timeout, Some(seconds(1)));
    }

    #[test]
    fn peers_leave_descriptors_for_refusals() {
        let args = args(&[]);
        assert_eq!(args.max_peers(DESCRIPTORS), 10_000);
        assert_eq!(args.max_peers(1024), 1024 - 128);
        assert_eq!(args.max_peers(40), 20);
        assert_eq!(args.max_peers(0), 1);
    }
}

mod listen {
    use super::*;

    #[test]
    fn host_and_port_are_accepted() {
        for address in [
            "localhost:8000",
            "chat.example:0",
            "127.0.0.1:65535",
            "[::]:8000",
            "[fe80::1%2]:8000",
        ] {
            assert_eq!(args(&["--listen", address]).listen, [address]);
        }
    }

    #[test]
    fn several_are_accepted() {
        let several = ["localhost:1", "localhost:2", "localhost:3"];
        let args = args(&["--listen=localhost:1, localhost:2", "--listen=localhost:3"]);
        assert_eq!(args.listen, several);
    }

    #[test]
    fn refusal_shows_the_form() {
        for (address, advice) in [
            ("nonsense", "HOST:PORT, such as localhost:8000 or"),
            ("", "HOST:PORT, such as localhost:8000 or"),
            ("127.0.0.1", "HOST:PORT, such as localhost:8000 or"),
            (
                "8001",
                "such as localhost:8001 for this machine or '[::]:8001'",
            ),
            (
                ":8001",
                "such as localhost:8001 for this machine or '[::]:8001'",
            ),
            ("localhost", "such as localhost:8000"),
            ("localhost:", "a port is from 0 to 65535"),
            ("localhost:99999", "a port is from 0 to 65535"),
            ("localhost:http", "a port is from 0 to 65535"),
            (
                "::1:8000",
                "such as '[::1]:8000'; an IPv6 address is in brackets",
            ),
            (
                "::1",
                "such as '[::1]:8000'; an IPv6 address is in brackets",
            ),
            (
                "[::1]",
                "such as '[::1]:8000'; an IPv6 address is in brackets",
            ),
            ("localhost:1,", "HOST:PORT, such as localhost:8000 or"),
        ] {
            let error = refusal(&format!("--listen={address}"));
            assert!(error.contains(advice), "{address:?}: {error}");
        }
    }
}

mod sizes {
    use super::*;

    #[test]
    fn units_are_accepted() {
        let line = |size: &str| args(&["--max-line", size]).hub_config().max_text;
        assert_eq!(line("100"), 100);
        assert_eq!(line("4KiB"), 4096);
        assert_eq!(line("1MiB"), 1 << 20);
    }

    #[test]
    fn refusal_shows_form_or_range() {
        for (flag, advice) in [
            ("--log-bytes=much", "a size such as 4096, 64KiB or 8MiB"),
            ("--log-bytes=-1", "a size such as 4096, 64KiB or 8MiB"),
            ("--log-bytes=0", "a size from 1 B to 3.0 GiB"),
            ("--log-bytes=16EiB", "a size from 1 B to 3.0 GiB"),
            ("--log-bytes=3073MiB", "a size from 1 B to 3.0 GiB"),
            ("--max-line=0", "a size from 1 B to 1.0 MiB"),
            ("--max-line=2MiB", "a size from 1 B to 1.0 MiB"),
            ("--rate-bytes=0", "a size from 1 B to 1.0 GiB"),
            ("--send-ahead=10", "a size from 1.0 KiB to 1.0 GiB"),
        ] {
            let error = refusal(flag);
            assert!(error.contains(advice), "{flag}: {error}");
        }
    }

    #[test]
    fn largest_log_is_the_hubs() {
        let mut config = HubConfig::default();
        config.log_bytes = usize::MAX;
        let largest = Hub::new(config).config().log_bytes;
        assert_eq!(largest as u64, MAX_LOG);
    }
}

mod numbers {
    use super::*;

    #[test]
    fn refusal_shows_the_range() {
        for (flag, advice) in [
            ("--max-peers=0", "a number above 0"),
            ("--max-peers=-1", "a number above 0"),
            ("--announce-up-to=off", "a number such as 0 or 1000"),
            ("--announce-up-to=-1", "a number such as 0 or 1000"),
            ("--threads=0", "a number from 1 to 1024"),
            ("--threads=100000", "a number from 1 to 1024"),
            ("--rate=0", "a number from 1 to 4294967295, or \"off\""),
            ("--rate=fast", "a number from 1 to 4294967295, or \"off\""),
            ("--max-peers-per-address=0", "or \"off\""),
        ] {
            let error = refusal(flag);
            assert!(error.contains(advice), "{flag}: {error}");
        }
    }
}

mod times {
    use super::*;

    #[test]
    fn refusal_shows_form_or_range() {
        for (flag, advice) in [
            (
                "--idle-timeout=soon",
                "a time such as 500ms, 30s or 5m, or \"off\"",
            ),
            (
                "--idle-timeout=5",
                "a time such as 500ms, 30s or 5m, or \"off\"",
            ),
            ("--idle-timeout=0s", "a time above 0s, or \"off\""),
            ("--stall-timeout=0s", "a time above 0s, or \"off\""),
            ("--name-timeout=0s", "a time above 0s, or \"off\""),
            ("--keepalive=100ms", "a time from 1s to 9h, or \"off\""),
            ("--keepalive=10h", "a time from 1s to 9h, or \"off\""),
            (
                "--grace=later",
                "a time such as 500ms, 30s or 5m, or \"off\"",
            ),
        ] {
            let error = refusal(flag);
            assert!(error.contains(advice), "{flag}: {error}");
        }
    }

    #[test]
    fn zero_is_accepted_where_sensible() {
        let args = args(&["--patience=0s", "--grace=0s"]);
        assert_eq!(args.hub_config().patience, Duration::ZERO);
        assert_eq!(args.server_config(DESCRIPTORS).grace, Duration::ZERO);
    }
}

mod log_level {
    use super::*;

    #[test]
    fn levels_and_targets_are_accepted() {
        for level in ["off", "debug", "INFO", "warn,chat_core=debug"] {
            args(&["--log-level", level]).log_filter();
        }
    }

    #[test]
    fn refusal_shows_the_form() {
        for level in ["", "inof", "chat_core", "info,", "=debug", "chat_core=loud"] {
            let error = refusal(&format!("--log-level={level}"));
            let advice = "write off, error, warn, info, debug or trace";
            assert!(error.contains(advice), "{level:?}: {error}");
        }
    }
}
