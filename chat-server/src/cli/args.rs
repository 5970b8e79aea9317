//! The command line.

use bytesize::ByteSize;
use chat_core::HubConfig;
use chat_core::session::{Naming, Rate};
use chat_server::{ServerConfig, TcpOptions};
use clap::builder::BoolishValueParser;
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches, Parser, ValueEnum};
use std::num::{NonZeroU32, NonZeroUsize};
use std::thread::available_parallelism;
use std::time::Duration;

/// Descriptors that are not for peers: those to be turned away, of whom there are at most 64 at a
/// time, the sockets that listen, and what the runtime and the streams need.
const RESERVE: usize = 128;

/// How many seconds' worth of lines may come at once.
const BURST: NonZeroU32 = NonZeroU32::new(4).expect("4 is not zero");

/// A chat room on TCP: who connects is in it, and what one says all hear.
///
/// Every flag can also be given as an environment variable. Sizes are like 64KiB or 8MiB, times
/// like 30s or 5m.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  chat-server                               for this machine alone
  chat-server --listen '[::]:8000'          for everybody: it has no passwords and no TLS
  chat-server --names ask                   asks newcomers for their names
  nc localhost 8000                         joins, as does: chat-client -n alice

SIGTERM and SIGINT end it in order: everybody gets what was said before. A second one ends it
at once. CHAT_LOG=debug tells more on stderr."
)]
pub(crate) struct Args {
    /// Where to listen; can be given several times, port 0 picks a free one
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "CHAT_LISTEN",
        value_delimiter = ',',
        default_value = "localhost:8000"
    )]
    pub(crate) listen: Vec<String>,

    /// Where names come from: the peer's address, or its answer when asked
    #[arg(long, env = "CHAT_NAMES", value_enum, default_value_t = Names::Address)]
    names: Names,

    /// The book's chat to the byte: no names to choose, no roster, commands, notices or idle limit
    #[arg(long, env = "CHAT_CLASSIC", value_parser = BoolishValueParser::new())]
    classic: bool,

    /// Who sends no line for this long has to go, or "off" [default: 5m, off with --classic]
    #[arg(long, value_name = "TIME", env = "CHAT_IDLE_TIMEOUT", value_parser = limit)]
    idle_timeout: Option<Limit>,

    /// Who takes nothing of what is sent to it for this long is cut
    #[arg(long, value_name = "TIME", env = "CHAT_STALL_TIMEOUT", value_parser = time, default_value = "30s")]
    stall_timeout: Duration,

    /// The longest line, in bytes [default: 4096, with --classic 65535]
    #[arg(long, value_name = "BYTES", env = "CHAT_MAX_LINE", value_parser = line_length)]
    max_line: Option<usize>,

    /// Memory for what was said; who is further behind than this misses some and is told how much
    #[arg(long, value_name = "SIZE", env = "CHAT_LOG_BYTES", value_parser = log_size, default_value = "8MiB")]
    log_bytes: usize,

    /// With more people than this, coming and going is not announced
    #[arg(
        long,
        value_name = "N",
        env = "CHAT_ANNOUNCE_UP_TO",
        default_value_t = 1000
    )]
    announce_up_to: usize,

    /// How long a sender may be held up for others that read, but too slowly; 0s for not at all
    #[arg(long, value_name = "TIME", env = "CHAT_PATIENCE", value_parser = time, default_value = "5ms")]
    patience: Duration,

    /// The most peers at a time
    #[arg(
        long,
        value_name = "N",
        env = "CHAT_MAX_PEERS",
        default_value_t = 10_000
    )]
    max_peers: usize,

    /// The most peers from one address, or from one IPv6 network of 64 bits, but for this machine's
    #[arg(
        long,
        value_name = "N",
        env = "CHAT_MAX_PEERS_PER_ADDRESS",
        default_value_t = 64
    )]
    max_peers_per_address: usize,

    /// Lines a second from each peer, or "off"; 4 seconds' worth at once. Not for this machine's
    #[arg(long, value_name = "LINES", env = "CHAT_RATE", value_parser = rate, default_value = "5")]
    rate: Rated,

    /// Bytes a second from each peer, with --rate
    #[arg(long, value_name = "SIZE", env = "CHAT_RATE_BYTES", value_parser = rate_bytes, default_value = "16KiB")]
    rate_bytes: NonZeroU32,

    /// How long a newcomer that is asked may take to give its name
    #[arg(long, value_name = "TIME", env = "CHAT_NAME_TIMEOUT", value_parser = time, default_value = "60s")]
    name_timeout: Duration,

    /// Who sends nothing for this long is asked by the system whether it is still there, or "off"
    #[arg(long, value_name = "TIME", env = "CHAT_KEEPALIVE", value_parser = keepalive, default_value = "60s")]
    keepalive: Limit,

    /// What the system may take for a peer ahead of what that can receive
    #[arg(long, value_name = "SIZE", env = "CHAT_SEND_AHEAD", value_parser = send_ahead, default_value = "16KiB")]
    send_ahead: u32,

    /// Threads that serve the peers [default: one for each core but one]
    #[arg(long, value_name = "N", env = "CHAT_THREADS")]
    threads: Option<NonZeroUsize>,

    /// How long peers may take, at the end, for what was said before
    #[arg(long, value_name = "TIME", env = "CHAT_GRACE", value_parser = time, default_value = "10s")]
    grace: Duration,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Names {
    /// Its address, until it says /name NAME
    Address,
    /// What it answers
    Ask,
}

/// Lines a second, or any number of them.
#[derive(Clone, Copy, Debug)]
struct Rated(Option<NonZeroU32>);

/// A time limit, or none.
#[derive(Clone, Copy, Debug)]
struct Limit(Option<Duration>);

impl Args {
    /// The arguments and environment of this process. Exits if they make no sense.
    pub(crate) fn read() -> Self {
        let mut command = Self::command();
        let matches = command.get_matches_mut();
        // Not clap's own check, for which the environment is as good as the command line.
        let given = |flag| matches.value_source(flag) == Some(ValueSource::CommandLine);
        if given("classic") && given("names") {
            let error = "--classic goes without --names: nobody chooses a name in it";
            command.error(ErrorKind::ArgumentConflict, error).exit();
        }
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    /// How many threads serve the peers.
    pub(crate) fn threads(&self) -> usize {
        // Fan-out is the kernel's work in the sender's time, and its readers want a core, too.
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = self.threads.map(NonZeroUsize::get);
        threads.unwrap_or((cores - 1).max(1))
    }

    pub(crate) fn hub_config(&self) -> HubConfig {
        let mut config = HubConfig::default();
        config.log_bytes = self.log_bytes;
        match self.max_line {
            Some(bytes) => config.max_text = bytes,
            // The book's `bufio.Scanner` gives up on 64 KiB.
            None if self.classic => config.max_text = 65_535,
            None => {}
        }
        config.announce_up_to = Some(self.announce_up_to);
        config.patience = self.patience;
        config
    }

    /// What the system does for each connection.
    pub(crate) fn tcp_options(&self) -> TcpOptions {
        let mut options = TcpOptions::default();
        options.keepalive = self.keepalive.0;
        // It counts against who takes nothing, too, and is not to come before the other limit.
        let at_least = options.user_timeout.unwrap_or_default();
        options.user_timeout = Some(self.stall_timeout.max(at_least));
        options.unsent_bytes = self.send_ahead;
        options
    }

    /// With `files` descriptors at most.
    pub(crate) fn server_config(&self, files: u64) -> ServerConfig {
        let mut config = ServerConfig::default();
        config.max_peers = within(self.max_peers, files);
        config.max_peers_per_address = self.max_peers_per_address;
        config.rate = self.rate.0.map(|lines| {
            let mut rate = Rate::default();
            rate.lines = lines;
            rate.burst = lines.saturating_mul(BURST);
            rate.bytes = self.rate_bytes;
            rate
        });
        config.grace = self.grace;
        let session = &mut config.session;
        session.classic = self.classic;
        session.naming = match self.names {
            Names::Address => Naming::Given,
            Names::Ask => Naming::Ask,
        };
        session.stall_timeout = self.stall_timeout;
        session.name_timeout = self.name_timeout;
        match self.idle_timeout {
            Some(Limit(limit)) => session.idle_timeout = limit,
            None if self.classic => session.idle_timeout = None,
            None => {}
        }
        config
    }
}

/// So many peers that there are descriptors left to turn others away, and for the server itself.
fn within(max_peers: usize, files: u64) -> usize {
    let files = usize::try_from(files).unwrap_or(usize::MAX);
    let most = (files - RESERVE.min(files / 2)).max(1);
    if max_peers > most {
        tracing::warn!(
            files,
            "--max-peers is {most}: there are no more file descriptors"
        );
    }
    max_peers.min(most)
}

fn rate(text: &str) -> Result<Rated, String> {
    match text {
        "off" => Ok(Rated(None)),
        text => match text.parse() {
            Ok(lines) => Ok(Rated(Some(lines))),
            Err(_) => Err("a number of lines a second above 0, or off".into()),
        },
    }
}

fn rate_bytes(text: &str) -> Result<NonZeroU32, String> {
    let size: ByteSize = text.parse()?;
    let bytes = u32::try_from(size.as_u64()).ok().and_then(NonZeroU32::new);
    bytes.ok_or_else(|| "between 1B and 4GiB".into())
}

/// A few bytes would be woken for each of them.
fn send_ahead(text: &str) -> Result<u32, String> {
    let size: ByteSize = text.parse()?;
    match u32::try_from(size.as_u64()) {
        Ok(bytes @ 1024..) => Ok(bytes),
        _ => Err("between 1KiB and 4GiB".into()),
    }
}

/// The system counts in seconds, up to 32,767.
fn keepalive(text: &str) -> Result<Limit, String> {
    let limit = limit(text).map_err(|error| error.to_string())?;
    match limit.0.map(|time| time.as_secs()) {
        None | Some(1..=32_767) => Ok(limit),
        Some(_) => Err("between 1s and 9h, or off".into()),
    }
}

fn time(text: &str) -> Result<Duration, humantime::DurationError> {
    humantime::parse_duration(text)
}

fn limit(text: &str) -> Result<Limit, humantime::DurationError> {
    match text {
        "off" => Ok(Limit(None)),
        text => time(text).map(|limit| Limit(Some(limit))),
    }
}

fn log_size(text: &str) -> Result<usize, String> {
    let size: ByteSize = text.parse()?;
    usize::try_from(size.as_u64()).map_err(|error| error.to_string())
}

/// One mebibyte is more than anybody types, and still far less than a log.
fn line_length(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(bytes @ 1..=1_048_576) => Ok(bytes),
        Ok(_) => Err("between 1 and 1048576".into()),
        Err(error) => Err(error.to_string()),
    }
}

#[cfg(test)]
mod tests;
