//! Accepts peers, runs their sessions, drains.

use crate::limits::origins::{Origins, origin};
use crate::listeners::{Incoming, Listener};
use chat_core::session::{self, Rate, SessionConfig};
use chat_core::{Hub, JoinError, LeaveReason};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::time::Duration;
use tokio::task::{Id, JoinSet};
use tokio::time::{sleep, timeout};
use tracing::{debug, error, info, warn};

/// The pauses after trouble with accepting, such as running out of descriptors.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// So many peers at most are being told why they cannot come in; more are just closed.
const REFUSALS: usize = 64;

/// What comes of a session.
type Session = Result<LeaveReason, JoinError>;

/// How the server treats its peers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ServerConfig {
    /// What each session is told.
    pub session: SessionConfig,
    /// The most peers at a time, in a room or on their way into it; default 10,000. Others are
    /// told that the server is full.
    pub max_peers: usize,
    /// The most peers at a time from one address, or from one network of 64 bits in IPv6, other than
    /// this machine's own; default 64. Others are told so.
    pub max_peers_per_address: usize,
    /// [`SessionConfig::rate`] for peers from elsewhere; default 5 lines a second, 20 at once, and
    /// 16 KiB a second. That of `session` is for those of this machine.
    pub rate: Option<Rate>,
    /// How long, after the shutdown began, peers may take for what was said before; default 10 s.
    pub grace: Duration,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            session: SessionConfig::default(),
            max_peers: 10_000,
            max_peers_per_address: 64,
            rate: Some(Rate::default()),
            grace: Duration::from_secs(10),
        }
    }
}

/// Makes a member of everybody who connects, until `shutdown` is ready; then stops listening,
/// closes the hub, and returns when every peer has got everything and its connection is
/// closed, or the grace is over.
///
/// It never ends for a peer's sake: trouble with one connection or one session is that one's,
/// and when descriptors run out it goes on as soon as there are some. If the hub is closed by
/// somebody else, new peers are turned away until `shutdown`.
///
/// Not cancel safe: dropping it drops every connection without a word.
pub async fn serve(
    listener: impl Listener,
    hub: Hub,
    config: ServerConfig,
    shutdown: impl Future<Output = ()>,
) {
    let mut sessions = JoinSet::new();
    accept_until(listener, &hub, &config, shutdown, &mut sessions).await;
    info!(peers = sessions.len(), "shutting down");
    hub.close();
    let drained = async {
        while let Some(ended) = sessions.join_next_with_id().await {
            report(ended);
        }
    };
    if timeout(config.grace, drained).await.is_err() {
        warn!(peers = sessions.len(), "out of grace, closing the rest");
        sessions.shutdown().await;
    }
}

async fn accept_until(
    mut listener: impl Listener,
    hub: &Hub,
    config: &ServerConfig,
    shutdown: impl Future<Output = ()>,
    sessions: &mut JoinSet<Session>,
) {
    let mut elsewhere = config.session.clone();
    elsewhere.rate = config.rate;
    let mut origins = Origins::default();
    let mut refusals = JoinSet::new();
    let mut shutdown = pin!(shutdown);
    let mut pause = FIRST_PAUSE;
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => return,
            Some(ended) = sessions.join_next_with_id() => {
                origins.remove(report(ended));
                continue;
            }
            Some(_) = refusals.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(Incoming {
                transport,
                name,
                address,
            }) => {
                pause = FIRST_PAUSE;
                // Who is gone no longer takes a place.
                while let Some(ended) = sessions.try_join_next_with_id() {
                    origins.remove(report(ended));
                }
                let origin = origin(address);
                let is_crowd = |origin| origins.count(origin) >= config.max_peers_per_address;
                let refused = if sessions.len() >= config.max_peers {
                    Some("the server is full")
                } else if origin.is_some_and(is_crowd) {
                    Some("too many from your address")
                } else {
                    None
                };
                let config = origin.map_or(&config.session, |_| &elsewhere);
                match refused {
                    None => {
                        let session = sessions.spawn(session::run(hub, name, transport, config));
                        if let Some(origin) = origin {
                            origins.add(session.id(), origin);
                        }
                    }
                    Some(why) if refusals.len() < REFUSALS => {
                        debug!(peer = %name, why, "refused");
                        refusals.spawn(session::refuse(hub, name, transport, why, config));
                    }
                    Some(_) => {}
                }
            }
            Err(error) if is_of_one_connection(&error) => {
                debug!(%error, "a peer was gone before it came")
            }
            Err(error) => {
                warn!(%error, ?pause, "cannot accept, pausing");
                tokio::select! {
                    () = &mut shutdown => return,
                    () = sleep(pause) => {}
                }
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }
}

/// Says what went wrong with a session, if anything did, and which it was.
fn report(ended: Result<(Id, Session), tokio::task::JoinError>) -> Id {
    match ended {
        Ok((id, Ok(_))) => id,
        Ok((id, Err(error))) => {
            warn!(%error, "a peer was turned away");
            id
        }
        // Its member has left by being dropped; nobody else is affected.
        Err(failed) => {
            error!(%failed, "a session panicked");
            failed.id()
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::InvalidData
    )
}
