//! The command line.

use std::fmt;
use std::net::Ipv6Addr;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser};

use crate::linger::Limit;

const DEFAULT_PORT: u16 = 8000;

const AFTER_HELP: &str = "\
Examples:
  chat-client                              chat on localhost:8000
  chat-client -n alice chat.example 9000   the same elsewhere, with a name
  chat-client '[::1]:8000'                 an IPv6 address; `::1 8000` works too
  echo 'build is green' | chat-client -n ci --send-only
                                           send one line and leave
  chat-client --recv-only | grep --line-buffered alice
                                           only listen
  echo /who | chat-client --commands       send a command

Input: A typed line that begins with / is a command; /help lists them. A line of a pipe or a file \
is text: its / is sent as //, which a chat server publishes as /. --commands turns that off (also \
for a server without commands). Such input waits for the server's greeting (at most 2 s) and, with \
-n, for the name (at most 5 s). If the server refuses entry or the name, nothing is published. If \
it asks for a name and there is no -n, the client takes the name that the server proposes.

Confirmation: A line is accepted when it comes back under the client's own name. After the end of \
stdin, the client waits for its last line and for the server to close. If the server reports \
`* N messages skipped`, because the client reads too slowly, N missing lines count as accepted, \
provided that the server then closes in good order. A server of another kind, which does not greet \
with `You are NAME`, need not confirm anything.

Time limits: Without -q, the client leaves when the server has been silent for 5 s after the end \
of stdin. With -q, it leaves after that time, even if the server still sends. Before the end of stdin, \
-q (at least 1 s) limits the time in which the server neither reads nor sends while there is more \
to send.

Output: A pipe or a file gets all bytes unchanged. On a terminal, control characters are spelled \
out, and the rows that continue a line are indented by 4 columns, so that no text looks like a \
line of its own. Refusals and the reason of an unrequested end are on stderr, too.

Exit codes:
  0    the server accepted every line of stdin, and the session ended as requested:
       after the end of stdin, by /quit or, with --recv-only, when the server closed
  1    lost: no connection, a broken one, a session that the server ended,
       or a line that did not come back in time
  2    bad usage
  3    refused: entry (the server is full, for example), the name, or a line
  130  interrupted";

/// A netcat-like client of a chat hub: sends the lines of stdin, shows those of all members
#[derive(Debug, Parser)]
#[command(version, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Server: a name or an address
    #[arg(value_name = "HOST[:PORT]", default_value = "localhost", value_parser = parse_host)]
    host: Host,

    /// Port, unless it is given with the host [default: 8000]
    #[arg(value_name = "PORT", value_parser = parse_port)]
    port: Option<u16>,

    /// Take this name before anything is sent
    #[arg(short, long, value_name = "NAME", value_parser = parse_name)]
    pub(crate) name: Option<String>,

    /// Time for the server after the end of stdin: 2, 2s, 500ms or off [default: 5s of silence]
    #[arg(short = 'q', value_name = "TIME", value_parser = parse_limit)]
    pub(crate) linger: Option<Limit>,

    /// Send lines of a pipe or a file as they are: those that begin with / are commands
    #[arg(long, conflicts_with = "recv_only")]
    pub(crate) commands: bool,

    /// Show nothing of what the server sends
    #[arg(long, conflicts_with = "recv_only")]
    pub(crate) send_only: bool,

    /// Never read stdin; end when the server closes
    #[arg(long)]
    pub(crate) recv_only: bool,
}

impl Args {
    /// The server to connect to.
    ///
    /// # Errors
    ///
    /// A usage error if the port is given twice.
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

/// A host and a port, not yet resolved.
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
            None => return Err("only `:PORT` can follow `]`".to_owned()),
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

/// Refuses a name that is not one word on one line. The server checks all else.
fn parse_name(text: &str) -> Result<String, String> {
    if text.is_empty() {
        return Err("a name has at least one character".to_owned());
    }
    if text.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("a name has no white space or control character".to_owned());
    }
    Ok(text.to_owned())
}

/// A number is seconds.
fn parse_limit(text: &str) -> Result<Limit, String> {
    const FORM: &str = "write a time such as 2, 2s, 500ms or 1m, or off";
    if text == "off" {
        return Ok(Limit::Off);
    }
    let time = match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => humantime::parse_duration(text).ok(),
    };
    time.map(Limit::After).ok_or_else(|| FORM.to_owned())
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
    fn command_is_well_formed() {
        Args::command().debug_assert();
    }

    mod target {
        use super::*;

        #[test]
        fn forms_are_accepted() {
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
        fn rejected_port_shows_the_range() {
            for words in [&["host:http"][..], &["host", "http"], &["host", "0"]] {
                let words = ["chat-client"].iter().chain(words);
                let error = Args::try_parse_from(words).unwrap_err().to_string();
                assert!(error.contains("a number from 1 to 65535"), "{error}");
            }
        }

        #[test]
        fn other_forms_are_rejected() {
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
    }

    mod name {
        use super::*;

        #[test]
        fn is_one_word() {
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
    }

    mod limit {
        use super::*;

        #[test]
        fn number_is_seconds() {
            for (text, milliseconds) in [
                ("2", 2000),
                ("0", 0),
                ("0.25", 250),
                ("2s", 2000),
                ("500ms", 500),
                ("1m 30s", 90_000),
            ] {
                let expected = Limit::After(Duration::from_millis(milliseconds));
                assert_eq!(parse_limit(text), Ok(expected), "{text}");
            }
            assert_eq!(parse_limit("off"), Ok(Limit::Off));
        }

        #[test]
        fn other_forms_are_rejected() {
            for text in ["", "-1", "-1s", "soon", "inf", "NaN", "1e30", "2 parsecs"] {
                assert!(parse_limit(text).is_err(), "{text}");
            }
        }
    }
}
