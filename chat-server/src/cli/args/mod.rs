//! The command line.

mod values;

use crate::cli::logging::{self, LogFormat};
use chat_core::HubConfig;
use chat_core::session::{Naming, Quota, Rate};
use chat_server::{ServerConfig, TcpOptions};
use clap::builder::{BoolishValueParser, Resettable};
use clap::error::ErrorKind;
use clap::parser::ValueSource;
use clap::{Arg, Command, CommandFactory, FromArgMatches, Parser, ValueEnum};
use std::env::{var_os, vars_os};
use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroUsize};
use std::thread::available_parallelism;
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use values::{
    Limit, MAX_LOG, count, keepalive, listen_address, log_level, number, number_or_off, size, time,
    timeout,
};

/// Descriptors that are not for members: for the peers being refused, at most 64 at a time, for the
/// listening sockets, the runtime and the streams.
const RESERVE: usize = 128;

/// How many seconds' worth of lines a peer may send at once.
const BURST: NonZeroU32 = NonZeroU32::new(4).expect("4 is not zero");

/// Arrivals and departures that are announced per second: more than a person reads, and little for
/// each member to receive.
const ANNOUNCEMENTS: NonZeroU32 = NonZeroU32::new(50).expect("50 is not zero");

/// The least number of connections at once from one address, and of renames from one peer.
const CONNECTS: NonZeroU32 = NonZeroU32::new(64).expect("64 is not zero");
const RENAMES: NonZeroU32 = NonZeroU32::new(3).expect("3 is not zero");

/// More than a person types, and still far less than a log.
const MAX_LINE: u64 = 1 << 20;

/// The most bytes a second, or ahead of a peer.
const MAX_BYTES: u64 = 1 << 30;

/// More threads than any machine has cores.
const MAX_THREADS: u64 = 1024;

/// A chat room on TCP: each line that a peer sends reaches all peers.
///
/// Every flag can also be set as an environment variable; an empty one counts as unset. A size is
/// a number of bytes such as 4096, 64KiB or 8MiB, a time is such as 500ms, 30s or 5m.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "\
Examples:
  chat-server                               for this machine alone
  chat-server --listen '[::]:8000'          for every network: there are no passwords and no TLS
  chat-server --names ask                   asks each new peer for a name
  nc localhost 8000                         joins, as does: chat-client -n alice

SIGTERM or SIGINT ends the server after all peers have received everything that was published
before. A second signal ends it at once."
)]
pub(crate) struct Args {
    /// Address to listen at; can be given several times, port 0 picks a free port
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "CHAT_LISTEN",
        value_delimiter = ',',
        value_parser = listen_address,
        default_value = "localhost:8000"
    )]
    pub(crate) listen: Vec<String>,

    /// Where a peer's name comes from
    #[arg(long, env = "CHAT_NAMES", value_enum, default_value_t = Names::Address)]
    names: Names,

    /// The book's chat to the byte: no chosen names, roster, commands, notices or idle timeout
    #[arg(long, env = "CHAT_CLASSIC", value_parser = BoolishValueParser::new())]
    classic: bool,

    /// Disconnect a peer that sends no line for this long, or "off" [default: 5m, off with --classic]
    #[arg(long, value_name = "TIME", env = "CHAT_IDLE_TIMEOUT", value_parser = timeout)]
    idle_timeout: Option<Limit<Duration>>,

    /// Disconnect a peer that takes none of its output for this long, or "off"
    #[arg(long, value_name = "TIME", env = "CHAT_STALL_TIMEOUT", value_parser = timeout, default_value = "30s")]
    stall_timeout: Limit<Duration>,

    /// Longest line [default: 4KiB, with --classic 65535]
    #[arg(long, value_name = "SIZE", env = "CHAT_MAX_LINE", value_parser = size::<usize>(1, MAX_LINE))]
    max_line: Option<usize>,

    /// Memory for the log of lines; a peer that falls further behind misses the oldest ones
    #[arg(long, value_name = "SIZE", env = "CHAT_LOG_BYTES", value_parser = size::<usize>(1, MAX_LOG), default_value = "8MiB")]
    log_bytes: usize,

    /// Announce arrivals and departures while there are at most N members
    #[arg(long, value_name = "N", env = "CHAT_ANNOUNCE_UP_TO", value_parser = count, default_value = "1000")]
    announce_up_to: usize,

    /// Most arrivals and departures announced per second, or "off" [default: 50, off with --classic]
    #[arg(long, value_name = "N", env = "CHAT_ANNOUNCE_RATE", value_parser = number_or_off)]
    announce_rate: Option<Limit<NonZeroU32>>,

    /// Delay a sender for at most this long for peers that read slowly, or "off"
    #[arg(long, value_name = "TIME", env = "CHAT_PATIENCE", value_parser = time, default_value = "5ms")]
    patience: Limit<Duration>,

    /// Most peers at a time
    #[arg(long, value_name = "N", env = "CHAT_MAX_PEERS", value_parser = number::<usize>(u64::MAX), default_value = "10000")]
    pub(crate) max_peers: usize,

    /// Most peers at a time from one address or IPv6 /64, or "off"; loopback is exempt
    #[arg(long, value_name = "N", env = "CHAT_MAX_PEERS_PER_ADDRESS", value_parser = number_or_off, default_value = "64")]
    max_peers_per_address: Limit<NonZeroU32>,

    /// Accept one connection per TIME from one address, after 64 at once (or as many as it may have
    /// peers), or "off"; loopback is exempt
    #[arg(long, value_name = "TIME", env = "CHAT_CONNECT_INTERVAL", value_parser = timeout, default_value = "1s")]
    connect_interval: Limit<Duration>,

    /// Lines a second from each peer, 4 seconds' worth at once, or "off"; all peers of one address
    /// have 8 times that; loopback is exempt
    #[arg(long, value_name = "N", env = "CHAT_RATE", value_parser = number_or_off, default_value = "5")]
    rate: Limit<NonZeroU32>,

    /// Bytes a second from each peer, with --rate
    #[arg(long, value_name = "SIZE", env = "CHAT_RATE_BYTES", value_parser = size::<u32>(1, MAX_BYTES), default_value = "16KiB")]
    rate_bytes: u32,

    /// Accept one rename per TIME from each peer, after 3 at once, or "off"; all peers of one address
    /// have 8 times that; loopback is exempt
    #[arg(long, value_name = "TIME", env = "CHAT_RENAME_INTERVAL", value_parser = timeout, default_value = "10s")]
    rename_interval: Limit<Duration>,

    /// Disconnect a new peer that gives no name for this long, with --names ask, or "off"
    #[arg(long, value_name = "TIME", env = "CHAT_NAME_TIMEOUT", value_parser = timeout, default_value = "60s")]
    name_timeout: Limit<Duration>,

    /// Probe a peer that has been silent for this long, by TCP keepalive, or "off"
    #[arg(long, value_name = "TIME", env = "CHAT_KEEPALIVE", value_parser = keepalive, default_value = "60s")]
    keepalive: Limit<Duration>,

    /// Output that the system accepts ahead of what a peer can receive
    #[arg(long, value_name = "SIZE", env = "CHAT_SEND_AHEAD", value_parser = size::<u32>(1024, MAX_BYTES), default_value = "16KiB")]
    send_ahead: u32,

    /// Threads that serve peers [default: one per core, less one]
    #[arg(long, value_name = "N", env = "CHAT_THREADS", value_parser = number::<usize>(MAX_THREADS))]
    threads: Option<usize>,

    /// Time for peers to receive everything at the end, or "off" to wait for all of them
    #[arg(long, value_name = "TIME", env = "CHAT_GRACE", value_parser = time, default_value = "10s")]
    grace: Limit<Duration>,

    /// Level of the log on stderr, such as debug; or several, such as info,chat_core=debug
    #[arg(long, value_name = "LEVEL", env = "CHAT_LOG", value_parser = log_level, default_value = "info")]
    log_level: String,

    /// Format of the log on stderr; JSON is one object per line
    #[arg(long, env = "CHAT_LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub(crate) log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Names {
    /// Its address, until it sends /name NAME
    Address,
    /// Its answer to a question
    Ask,
}

impl Args {
    /// The arguments and environment of this process. Exits if they are invalid.
    pub(crate) fn read() -> Self {
        let mut command = without_empty_variables(Self::command());
        let matches = command.get_matches_mut();
        // Not clap's own check, which treats the environment like the command line.
        let given = |flag| matches.value_source(flag) == Some(ValueSource::CommandLine);
        if given("classic") && given("names") {
            let error = "--classic and --names exclude each other: no peer chooses a name in the book's chat";
            command.error(ErrorKind::ArgumentConflict, error).exit();
        }
        Self::from_arg_matches(&matches).unwrap_or_else(|error| error.exit())
    }

    pub(crate) fn log_filter(&self) -> EnvFilter {
        logging::filter(&self.log_level).expect("the flag was checked")
    }

    /// How many threads serve the peers.
    pub(crate) fn threads(&self) -> usize {
        // Fan-out is work of the kernel in the sender's time, and the readers need a core as well.
        let cores = available_parallelism().map_or(1, NonZeroUsize::get);
        self.threads.unwrap_or((cores - 1).max(1))
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
        config.announce_rate = match self.announce_rate {
            Some(Limit(rate)) => rate,
            // The book announces every client.
            None if self.classic => None,
            None => Some(ANNOUNCEMENTS),
        };
        config.patience = self.patience.0.unwrap_or_default();
        config
    }

    /// The socket options of each connection.
    pub(crate) fn tcp_options(&self) -> TcpOptions {
        let mut options = TcpOptions::default();
        options.keepalive = self.keepalive.0;
        // It also counts against a peer that takes nothing, so it must not be the shorter limit.
        let stall = self.stall_timeout.0;
        options.user_timeout = stall.map(|stall| options.user_timeout.unwrap_or(stall).max(stall));
        options.unsent_bytes = self.send_ahead;
        options
    }

    /// How many peers there can be with this number of descriptors, of which some are to refuse
    /// others.
    pub(crate) fn max_peers(&self, descriptors: u64) -> usize {
        let descriptors = usize::try_from(descriptors).unwrap_or(usize::MAX);
        let most = (descriptors - RESERVE.min(descriptors / 2)).max(1);
        self.max_peers.min(most)
    }

    /// The configuration of a server with this number of descriptors.
    pub(crate) fn server_config(&self, descriptors: u64) -> ServerConfig {
        let mut config = ServerConfig::default();
        config.max_peers = self.max_peers(descriptors);
        let per_address = self.max_peers_per_address.0.map(NonZeroU32::get);
        config.max_peers_per_address = per_address.map_or(usize::MAX, |peers| peers as usize);
        config.connect_rate = self.connect_interval.0.map(|period| {
            // After a restart all peers of an address come back at once.
            let most = config.max_peers_per_address.min(config.max_peers);
            let most = u32::try_from(most).unwrap_or(u32::MAX);
            let burst = NonZeroU32::new(most).unwrap_or(CONNECTS).max(CONNECTS);
            Quota::new(burst, period)
        });
        config.rename_rate = self
            .rename_interval
            .0
            .map(|period| Quota::new(RENAMES, period));
        config.rate = self.rate.0.map(|lines| {
            let mut rate = Rate::default();
            rate.lines = lines;
            rate.burst = lines.saturating_mul(BURST);
            rate.bytes = NonZeroU32::new(self.rate_bytes).expect("the flag is above 0");
            rate
        });
        config.grace = self.grace.or_forever();
        let session = &mut config.session;
        session.classic = self.classic;
        session.naming = match self.names {
            Names::Address => Naming::Given,
            Names::Ask => Naming::Ask,
        };
        session.stall_timeout = self.stall_timeout.or_forever();
        session.name_timeout = self.name_timeout.or_forever();
        match self.idle_timeout {
            Some(Limit(limit)) => session.idle_timeout = limit,
            None if self.classic => session.idle_timeout = None,
            None => {}
        }
        config
    }
}

/// Environment variables that look like those of a flag but are none, such as misspelled ones.
pub(crate) fn unknown_variables() -> Vec<String> {
    let command = Args::command();
    let is_known = |name: &OsString| {
        let mut known = command.get_arguments().filter_map(Arg::get_env);
        known.any(|known| known == name)
    };
    let names = vars_os().map(|(name, _)| name);
    let unknown = names.filter(|name| {
        let is_ours = name.as_encoded_bytes().starts_with(b"CHAT_");
        is_ours && !is_known(name)
    });
    unknown
        .map(|name| name.to_string_lossy().into_owned())
        .collect()
}

/// The same command, but an environment variable that is set to nothing counts as unset.
fn without_empty_variables(command: Command) -> Command {
    command.mut_args(|arg: Arg| {
        let value = arg.get_env().and_then(var_os);
        match value.is_some_and(|value| value.is_empty()) {
            true => arg.env(Resettable::Reset),
            false => arg,
        }
    })
}

#[cfg(test)]
mod tests;
