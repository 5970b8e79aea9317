//! What ends a session other than cleanly, and the exit code of each.

use std::io;

use crate::args::Target;

/// Why the client gave up. Each message is complete: the cause is in it, not behind `source`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// No address of the target answered.
    #[error("cannot connect to {target}: {reason}")]
    Connect { target: Target, reason: io::Error },
    /// The connection broke; the server did not close it.
    #[error("lost the connection to {target}: {reason}")]
    Lost { target: Target, reason: io::Error },
    /// Closed in good order, but what stdin holds was never sent.
    #[error("{target} closed the connection before it answered to the name")]
    Unanswered { target: Target },
    /// The server's reason, made harmless.
    #[error("name refused: {0}")]
    Refused(String),
    /// Stdin is a directory, for example.
    #[error("cannot read stdin: {0}")]
    Input(io::Error),
    /// Stdout's disk is full, for example; its reader having gone is no failure.
    #[error("cannot write to stdout: {0}")]
    Output(io::Error),
    /// The system does not let SIGINT be handled.
    #[error("cannot handle SIGINT: {0}")]
    Signal(io::Error),
}

impl Error {
    /// 3 for a refused name, 1 for everything else; 2 is clap's, for bad usage.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) => 3,
            _ => 1,
        }
    }
}
