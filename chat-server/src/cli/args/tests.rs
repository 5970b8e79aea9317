//! That each flag comes to its setting; what the settings do is tested elsewhere.

use super::*;
use clap::builder::Resettable;

const FILES: u64 = 1_000_000;

fn args(flags: &[&str]) -> Args {
    let all = std::iter::once(&"chat-server").chain(flags);
    // Whatever CHAT_* whoever runs the tests has set.
    let command = Args::command().mut_args(|arg| arg.env(Resettable::Reset));
    let matches = command.try_get_matches_from(all).unwrap();
    Args::from_arg_matches(&matches).unwrap()
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[test]
fn the_flags_make_sense() {
    Args::command().debug_assert();
}

#[test]
fn without_flags_all_is_as_in_the_library_but_for_crowds() {
    let args = args(&[]);
    let mut hub = HubConfig::default();
    hub.announce_up_to = Some(1000);
    assert_eq!(format!("{:?}", args.hub_config()), format!("{hub:?}"));
    let server = ServerConfig::default();
    let given = args.server_config(FILES);
    assert_eq!(format!("{given:?}"), format!("{server:?}"));
    let options = TcpOptions::default();
    assert_eq!(format!("{:?}", args.tcp_options()), format!("{options:?}"));
}

#[test]
fn each_flag_comes_to_its_setting() {
    let args = args(&[
        "--names=ask",
        "--idle-timeout=1s",
        "--stall-timeout=40s",
        "--max-line=3",
        "--log-bytes=4MiB",
        "--announce-up-to=5",
        "--patience=6ms",
        "--max-peers=7",
        "--max-peers-per-address=8",
        "--rate=9",
        "--rate-bytes=10KiB",
        "--name-timeout=11s",
        "--keepalive=12s",
        "--send-ahead=13KiB",
        "--threads=14",
        "--grace=15s",
    ]);
    assert_eq!(args.threads(), 14);
    let hub = args.hub_config();
    assert_eq!((hub.log_bytes, hub.max_text), (4 << 20, 3));
    assert_eq!(hub.announce_up_to, Some(5));
    assert_eq!(hub.patience, Duration::from_millis(6));
    let server = args.server_config(FILES);
    assert_eq!((server.max_peers, server.max_peers_per_address), (7, 8));
    assert_eq!(server.grace, seconds(15));
    let rate = server.rate.unwrap();
    let numbers = [rate.lines, rate.burst, rate.bytes].map(NonZeroU32::get);
    assert_eq!(numbers, [9, 36, 10 * 1024]);
    let session = server.session;
    assert!(!session.classic);
    assert_eq!(session.naming, Naming::Ask);
    assert_eq!(session.idle_timeout, Some(seconds(1)));
    assert_eq!(session.stall_timeout, seconds(40));
    assert_eq!(session.name_timeout, seconds(11));
    let options = args.tcp_options();
    assert_eq!(options.keepalive, Some(seconds(12)));
    assert_eq!(options.unsent_bytes, 13 * 1024);
    // It is not to come before the stall.
    assert_eq!(options.user_timeout, Some(seconds(40)));
}

#[test]
fn what_can_be_off_is_off() {
    let args = args(&["--idle-timeout=off", "--rate=off", "--keepalive=off"]);
    let server = args.server_config(FILES);
    assert_eq!((server.session.idle_timeout, server.rate), (None, None));
    assert_eq!(args.tcp_options().keepalive, None);
}

#[test]
fn classic_has_the_limits_of_the_book_unless_told_otherwise() {
    let book = args(&["--classic"]);
    assert_eq!(book.hub_config().max_text, 65_535);
    let session = book.server_config(FILES).session;
    assert_eq!((session.classic, session.idle_timeout), (true, None));
    let other = args(&["--classic", "--max-line=80", "--idle-timeout=1s"]);
    assert_eq!(other.hub_config().max_text, 80);
    let session = other.server_config(FILES).session;
    assert_eq!(session.idle_timeout, Some(seconds(1)));
}
