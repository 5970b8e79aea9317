//! How sessions treat their peers.

use super::rate::Rate;
use std::time::Duration;

/// How sessions treat their peers. Take the default and change what you need.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct SessionConfig {
    /// Whether a peer is asked for its name before it joins; default [`Naming::Given`].
    pub naming: Naming,

    /// The chat of *The Go Programming Language*, section 8.10, to the byte, but that control
    /// characters are removed; default no. No roster, no commands, no notices. It goes with `idle_timeout: None` and `Naming::Given`.
    pub classic: bool,

    /// A peer that sends no line for this long is let go with a notice (exercise 8.13);
    /// default 5 minutes, `None` for never.
    pub idle_timeout: Option<Duration>,

    /// A peer that takes no byte of what is delivered to it for this long is cut; default 30 s.
    /// Until then it costs the hub an offset.
    pub stall_timeout: Duration,

    /// How long a peer that is asked for its name has to give one; default 60 s.
    pub name_timeout: Duration,

    /// How fast a peer may talk, if that is limited; default `None`. What it sends faster is not
    /// lost: the session takes it in, and asks the transport for more, only as fast as that. So
    /// a flood costs its sender alone.
    pub rate: Option<Rate>,

    /// How long, at most, a session goes on receiving, to ignore it, after it has delivered
    /// everything and said so; default 2 s. Closing a socket with unread input can destroy what
    /// is on its way to the peer.
    pub linger: Duration,
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
            linger: Duration::from_secs(2),
        }
    }
}

/// Where a peer's first name comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Naming {
    /// It is the one given to [`run`](crate::session::run), such as the peer's address, as in the book. The peer can
    /// change it by `/name`.
    #[default]
    Given,
    /// The peer is asked, and joins under its answer (exercise 8.14); an empty line takes the
    /// name given to [`run`](crate::session::run).
    Ask,
}
