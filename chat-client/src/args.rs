//! What the command line may say, and what it means.

use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

const DEFAULT_PORT: u16 = 8000;

const EXAMPLES: &str = "\
Examples:
  chat-client                              talk on localhost:8000
  chat-client -n alice chat.example 9000   the same elsewhere, under a name
  chat-client '[::1]:8000'                 an IPv6 address; `::1 8000` works too
  echo 'build is green' | chat-client -n ci --send-only
                                           say one thing and leave
  chat-client --recv-only | grep --line-buffered alice
                                           only listen
  echo /who | chat-client -q 2             ask, and wait at most 2 s for the answer

With -n, stdin is sent only once the server took the name: a refusal publishes nothing.
On a terminal, control characters that the server sends are shown, not obeyed; into a pipe
or a file every byte goes as it came.

Exit codes: 0 all went well, 1 connection trouble, 2 bad usage, 3 name refused, 130 interrupted.";

/// netcat for a chat hub: sends the lines of stdin, shows the lines of everyone
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub(crate) struct Args {
    /// Server: a name or an address
    #[arg(value_name = "HOST[:PORT]", default_value = "localhost", value_parser = parse_host)]
    host: Host,

    /// Port, if it is not given with the host [default: 8000]
    #[arg(value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,

    /// Take this name before anything is sent
    #[arg(short, long, value_name = "NAME", value_parser = parse_name)]
    pub(crate) name: Option<String>,

    /// Leave at most SECS after the end of stdin [default: after 5 s without a line]
    #[arg(short = 'q', value_name = "SECS", value_parser = parse_seconds)]
    pub(crate) linger: Option<Duration>,

    /// Print nothing of what is received
    #[arg(long, conflicts_with = "recv_only")]
    pub(crate) send_only: bool,

    /// Never read stdin; end when the server does
    #[arg(long)]
    pub(crate) recv_only: bool,
}

impl Args {
    /// Whom to connect to, unless a port was given twice.
    pub(crate) fn target(&self) -> Result<Target, clap::Error> {
        if self.host.port.is_some() && self.port.is_some() {
            let message = "the port is given twice, with the host and after it";
            return Err(Self::command().error(ErrorKind::ArgumentConflict, message));
        }
        Ok(Target {
            host: self.host.name.clone(),
            port: self.host.port.or(self.port).unwrap_or(DEFAULT_PORT),
        })
    }
}

/// A host and a port, neither looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// A name or an address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

#[derive(Clone, Debug)]
struct Host {
    name: String,
    port: Option<u16>,
}

fn parse_host(text: &str) -> Result<Host, String> {
    if is_ipv6(text) {
        return Ok(Host {
            name: text.to_owned(),
            port: None,
        });
    }
    let (name, port) = if let Some(rest) = text.strip_prefix('[') {
        let (name, after) = rest.split_once(']').ok_or("a `]` is missing")?;
        if !is_ipv6(name) {
            return Err("brackets are for IPv6 addresses".to_owned());
        }
        match after.strip_prefix(':') {
            Some(port) => (name, Some(port)),
            None if after.is_empty() => (name, None),
            None => return Err("after `]` comes `:PORT` or nothing".to_owned()),
        }
    } else {
        match text.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (text, None),
        }
    };
    if name.is_empty() {
        return Err("a host is missing".to_owned());
    }
    if name.bytes().all(|byte| byte.is_ascii_digit()) {
        // The system would take it for an IPv4 address: 8000 is 0.0.31.64.
        return Err(format!(
            "`{name}` is a number; for a port: localhost {name}"
        ));
    }
    if name.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("a host has no white space or control character".to_owned());
    }
    Ok(Host {
        name: name.to_owned(),
        port: port.map(parse_port).transpose()?,
    })
}

fn is_ipv6(text: &str) -> bool {
    let address = text
        .split_once('%')
        .map_or(text, |(address, _zone)| address);
    address.parse::<Ipv6Addr>().is_ok()
}

fn parse_port(text: &str) -> Result<u16, String> {
    match text.parse() {
        Ok(port) if port != 0 => Ok(port),
        _ => Err(format!(
            "`{text}` is not a port: a port is a number from 1 to 65535"
        )),
    }
}

/// Refuses only what would not be one word on one line; the server judges the rest.
fn parse_name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("a name has at least one character".to_owned());
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("a name has no white space or control character".to_owned());
    }
    Ok(text.to_owned())
}

fn parse_seconds(text: &str) -> Result<Duration, String> {
    let seconds = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(words: &[&str]) -> Result<String, ErrorKind> {
        let words = ["chat-client"].iter().chain(words);
        let args = Args::try_parse_from(words).map_err(|error| error.kind())?;
        let target = args.target().map_err(|error| error.kind())?;
        Ok(target.to_string())
    }

    #[test]
    fn targets() {
        for (words, expected) in [
            (&[][..], "localhost:8000"),
            (&["chat.example"], "chat.example:8000"),
            (&["chat.example:9000"], "chat.example:9000"),
            (&["chat.example", "9000"], "chat.example:9000"),
            (&["127.0.0.1:9000"], "127.0.0.1:9000"),
            (&["::1"], "[::1]:8000"),
            (&["::1", "9000"], "[::1]:9000"),
            (&["[::1]"], "[::1]:8000"),
            (&["[::1]:9000"], "[::1]:9000"),
            (&["[::1]", "9000"], "[::1]:9000"),
            (&["fe80::1%eth0", "9000"], "[fe80::1%eth0]:9000"),
        ] {
            assert_eq!(target(words), Ok(expected.to_owned()), "{words:?}");
        }
    }

    #[test]
    fn no_targets() {
        for words in [
            &[""][..],
            &[":9000"],
            &["host:"],
            &["host:0"],
            &["host:http"],
            &["host:65536"],
            &["host", "0"],
            &["host", "http"],
            &["host:9000", "9000"],
            &["[::1]:9000", "9000"],
            &["[::1"],
            &["[::1]9000"],
            &["[host]:9000"],
            &["::1::2"],
            &["two words"],
            &["host", "9000", "more"],
        ] {
            assert!(target(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn names_are_one_word() {
        for name in ["alice", "Zoë", "*odd", "/odd"] {
            assert_eq!(parse_name(name), Ok(name.to_owned()));
        }
        for name in [
            "",
            " ",
            "a b",
            "a\nb",
            "a\tb",
            "a\u{1b}b",
            "a\u{85}b",
            "a\u{2028}b",
        ] {
            assert!(parse_name(name).is_err(), "{name:?}");
        }
    }

    #[test]
    fn seconds() {
        assert_eq!(parse_seconds("2"), Ok(Duration::from_secs(2)));
        assert_eq!(parse_seconds("0.25"), Ok(Duration::from_millis(250)));
        for text in ["", "-1", "soon", "inf", "NaN", "1e30"] {
            assert!(parse_seconds(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_is_well_formed() {
        Args::command().debug_assert();
    }
}
