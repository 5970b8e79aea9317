//! How a session treats its peer.

use super::rate::{Quota, Rate};
use super::shared_limits::SharedLimits;
use super::shutdown::Shutdown;
use std::sync::Arc;
use std::time::Duration;

/// How a session treats its peer. Take the default and change what you need.
///
/// A session copies it when it begins, so later changes affect later sessions only.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionConfig {
    /// Where the peer's first name comes from; default [`Naming::Given`], so that a peer joins at
    /// once.
    pub naming: Naming,

    /// Whether to speak the protocol of the chat server in *The Go Programming Language*, section
    /// 8.10, to the byte, except that control characters are removed; default `false`. A classic
    /// peer sees no roster and no notices, and its commands are published as text. Set
    /// `idle_timeout` to `None` with it; `naming` is ignored.
    pub classic: bool,

    /// The time after which a member that has sent no line is disconnected with a notice; default
    /// 5 minutes. With `None`, a silent peer stays as long as its connection.
    pub idle_timeout: Option<Duration>,

    /// The time after which a peer is disconnected if it has taken no byte of what is being
    /// delivered to it; default 30 s. Until then a stalled peer costs the hub a cursor.
    pub stall_timeout: Duration,

    /// The time in which a peer must answer the question for its name; default 60 s. A peer that
    /// does not is disconnected with a notice. Applies to [`Naming::Ask`] only.
    pub name_timeout: Duration,

    /// The rate at which the peer may send; default `None`, which does not limit it. A peer that is
    /// beyond its rate is not read until it has earned more, so a flood costs only its sender. No line
    /// is lost while the connection lasts.
    pub rate: Option<Rate>,

    /// How often the peer may rename itself; default `None`, which does not limit it. A rename
    /// beyond that is answered by the notice `* renaming too fast, wait 7s`, and the name stays.
    /// The answer to the question for a name is not a rename.
    pub rename_rate: Option<Quota>,

    /// Limits that the peer shares with other peers of its origin, in addition to its own; default
    /// `None`.
    pub shared: Option<Arc<SharedLimits>>,

    /// The time for which a session continues to read, and discards that input, after it has
    /// delivered everything; default 2 s. It ends earlier if the peer closes its side. Closing a
    /// socket with unread input can destroy the last lines on their way to the peer.
    pub linger: Duration,

    /// The number of bytes that a session reads and discards after its member has left; default
    /// 1 MiB. A peer that sends more is not read any further, and its connection is closed as soon
    /// as everything was delivered.
    pub linger_bytes: usize,

    /// Ends the session, with others, while the hub stays open; default `None`, which only the hub
    /// can end.
    pub shutdown: Option<Shutdown>,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self {
            naming: Naming::Given,
            classic: false,
            idle_timeout: Some(Duration::from_secs(300)),
            stall_timeout: Duration::from_secs(30),
            name_timeout: Duration::from_secs(60),
            rate: None,
            rename_rate: None,
            shared: None,
            linger: Duration::from_secs(2),
            linger_bytes: 1024 * 1024,
            shutdown: None,
        }
    }
}

/// Where a peer's first name comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Naming {
    /// The peer joins under the name given to [`run`](crate::session::run), such as its address. It
    /// can change it by `/name`.
    #[default]
    Given,
    /// The peer is asked, and joins under its answer (exercise 8.14). An empty line takes the name
    /// given to [`run`](crate::session::run).
    Ask,
}
