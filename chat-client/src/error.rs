//! The endings other than success, and the exit code of each.

use std::fmt;
use std::io;
use std::time::Duration;

use crate::args::Target;

/// The reason of an ending. Each message is complete: it contains its cause.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Cause {
    /// No address of the target answered.
    #[error("cannot connect to {target}: {reason}")]
    Connect { target: Target, reason: io::Error },
    /// The connection broke; the server did not close it.
    #[error("lost the connection to {target}: {reason}")]
    Lost { target: Target, reason: io::Error },
    /// The server closed the connection, and the client had not asked for it.
    #[error("{target} {}", ended(.notice.as_deref()))]
    Ended {
        target: Target,
        /// The server's reason, escaped.
        notice: Option<String>,
    },
    /// The server closed the connection instead of an answer to `/name`.
    #[error("{target} closed the connection before it answered to the name")]
    Unanswered { target: Target },
    /// The server did not let the client in.
    #[error("{target} refused entry{}", colon(.notice.as_deref()))]
    EntryRefused {
        target: Target,
        /// The server's reason, escaped.
        notice: Option<String>,
    },
    /// The server refused the name, for this reason, which is escaped.
    #[error("name refused: {0}")]
    NameRefused(String),
    /// The server refused lines, and all else went well. The numbers say so.
    #[error("")]
    LinesRefused,
    /// The time for answers is over.
    #[error("gave up waiting for {target}")]
    GaveUp { target: Target },
    /// The server read and sent nothing for this long.
    #[error("{target} has read nothing for {}", humantime::format_duration(*.time))]
    Stalled { target: Target, time: Duration },
    /// Stdin is a directory, for example.
    #[error("cannot read stdin: {0}")]
    Input(io::Error),
    /// The disk is full, for example. A closed pipe is not an error.
    #[error("cannot write to stdout: {0}")]
    Output(io::Error),
    /// The system does not let SIGINT be handled.
    #[error("cannot handle SIGINT: {0}")]
    Signal(io::Error),
}

impl Cause {
    /// 3 if the server refused something, 1 for any other cause; clap exits with 2 for bad usage.
    fn exit_code(&self) -> u8 {
        match self {
            Self::EntryRefused { .. } | Self::NameRefused(_) | Self::LinesRefused => 3,
            _ => 1,
        }
    }
}

/// A cause, and the lines of stdin that it concerns.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) cause: Cause,
    pub(crate) lines: Lines,
}

/// Numbers of lines of stdin.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Lines {
    pub(crate) sent: u64,
    /// Sent and not confirmed.
    pub(crate) unconfirmed: u64,
    pub(crate) refused: u64,
    pub(crate) left: Left,
}

/// The part of stdin that was not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Left {
    /// Stdin has ended, or its end does not matter.
    #[default]
    Nothing,
    /// There may be more.
    Rest,
    /// Nothing was sent.
    All,
}

impl Failure {
    pub(crate) fn exit_code(&self) -> u8 {
        self.cause.exit_code()
    }
}

impl From<Cause> for Failure {
    fn from(cause: Cause) -> Self {
        Self {
            cause,
            lines: Lines::default(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Lines {
            sent,
            unconfirmed,
            refused,
            left,
        } = self.lines;
        let mut parts = vec![self.cause.to_string()];
        let lines = if sent == 1 { "line" } else { "lines" };
        if unconfirmed > 0 {
            parts.push(format!("{unconfirmed} of {sent} {lines} unconfirmed"));
        }
        if refused > 0 {
            parts.push(format!("{refused} of {sent} {lines} refused"));
        }
        match left {
            Left::Nothing => {}
            Left::Rest => parts.push("stdin not read to its end".to_owned()),
            Left::All => parts.push("stdin not sent".to_owned()),
        }
        parts.retain(|part| !part.is_empty());
        f.write_str(&parts.join("; "))
    }
}

fn ended(notice: Option<&str>) -> String {
    match notice {
        Some(notice) => format!("ended the session: {notice}"),
        None => "closed the connection".to_owned(),
    }
}

fn colon(notice: Option<&str>) -> String {
    notice
        .map(|notice| format!(": {notice}"))
        .unwrap_or_default()
}
