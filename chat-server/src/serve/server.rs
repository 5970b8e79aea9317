//! The state of one call of [`serve`](super::serve).

use super::repetitions::{Repetitions, Summary, WINDOW};
use super::{Drained, ServerConfig};
use crate::limits::{Origin, OriginLimits, Origins, Refusal, Refusals, times};
use crate::listeners::{Incoming, Listener};
use chat_core::session::{self, SessionConfig, Shutdown};
use chat_core::transport::Transport;
use chat_core::{Hub, JoinError, LeaveReason, Name};
use std::future::Future;
use std::io::{self, ErrorKind};
use std::pin::pin;
use std::time::Duration;
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, sleep, timeout};
use tracing::{error, info, warn};

/// The pauses after an error of the listener, such as running out of descriptors.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LAST_PAUSE: Duration = Duration::from_secs(1);

/// The result of a session's task.
type Ended = Result<(Id, Result<LeaveReason, JoinError>), tokio::task::JoinError>;

/// A kind of event that is logged once per window, and then counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Repeated {
    /// A plural noun.
    what: &'static str,
    origin: Option<Origin>,
}

pub(super) struct Server {
    hub: Hub,
    max_peers: usize,
    grace: Duration,
    /// For peers of this machine.
    local: SessionConfig,
    /// For peers with an origin, but for the limits that they share.
    remote: SessionConfig,
    shutdown: Shutdown,
    sessions: JoinSet<Result<LeaveReason, JoinError>>,
    refusals: Refusals,
    origins: Origins,
    repetitions: Repetitions<Repeated>,
}

impl Server {
    pub(super) fn new(hub: Hub, config: ServerConfig) -> Self {
        let mut local = config.session;
        let shutdown = local.shutdown.get_or_insert_default().clone();
        let mut remote = local.clone();
        remote.rate = config.rate;
        remote.rename_rate = config.rename_rate;
        let share = config.origin_share;
        let limits = OriginLimits {
            peers: config.max_peers_per_address,
            connects: config.connect_rate,
            talk: config.rate.map(|rate| rate.times(share)),
            renames: config.rename_rate.map(|quota| times(quota, share)),
        };
        Self {
            hub,
            max_peers: config.max_peers,
            grace: config.grace,
            local,
            remote,
            shutdown,
            sessions: JoinSet::new(),
            refusals: Refusals::default(),
            origins: Origins::new(limits),
            repetitions: Repetitions::new(),
        }
    }

    pub(super) async fn accept_until(
        &mut self,
        mut listener: impl Listener,
        shutdown: impl Future<Output = ()>,
    ) {
        let mut shutdown = pin!(shutdown);
        let mut tick = pin!(sleep(WINDOW));
        let mut is_ticking = false;
        let mut pause = FIRST_PAUSE;
        loop {
            if !is_ticking && self.needs_tick() {
                tick.as_mut().reset(Instant::now() + WINDOW);
                is_ticking = true;
            }
            let accepted = tokio::select! {
                () = &mut shutdown => return,
                Some(ended) = self.sessions.join_next_with_id() => {
                    self.session_ended(ended);
                    continue;
                }
                Some(()) = self.refusals.next_ended() => continue,
                () = &mut tick, if is_ticking => {
                    is_ticking = false;
                    self.tick();
                    continue;
                }
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok(peer) => {
                    pause = FIRST_PAUSE;
                    self.admit(peer);
                }
                Err(error) if is_of_one_connection(&error) => {
                    if self.is_first("failed connections", None) {
                        info!(
                            error = error.to_string(),
                            "a connection failed before it was accepted"
                        );
                    }
                }
                Err(error) => {
                    warn!(error = error.to_string(), ?pause, "cannot accept, pausing");
                    tokio::select! {
                        () = &mut shutdown => return,
                        () = sleep(pause) => {}
                    }
                    pause = (pause * 2).min(LAST_PAUSE);
                }
            }
        }
    }

    /// Runs a session for a peer, or refuses it.
    fn admit<T: Transport>(&mut self, peer: Incoming<T>) {
        let Incoming {
            transport,
            name,
            address,
        } = peer;
        // Sessions that have ended no longer count.
        while let Some(ended) = self.sessions.try_join_next_with_id() {
            self.session_ended(ended);
        }
        let origin = Origin::of(address);
        if self.sessions.len() >= self.max_peers {
            return self.refuse(Refusal::ServerFull, origin, name, transport);
        }
        let Some(origin) = origin else {
            self.sessions
                .spawn(session::run(&self.hub, name, transport, &self.local));
            return;
        };
        match self.origins.connect(origin, Instant::now()) {
            Ok(shared) => {
                let mut config = self.remote.clone();
                config.shared = Some(shared);
                let session = session::run(&self.hub, name, transport, &config);
                let id = self.sessions.spawn(session).id();
                self.origins.began(id, origin);
            }
            Err(refusal) => self.refuse(refusal, Some(origin), name, transport),
        }
    }

    fn refuse(
        &mut self,
        refusal: Refusal,
        origin: Option<Origin>,
        name: Name,
        transport: impl Transport,
    ) {
        let reason = refusal.to_string();
        let what = match origin {
            Some(_) => "refusals",
            None => "refusals of local peers",
        };
        if self.is_first(what, origin) {
            info!(peer = name.as_str(), reason = reason.as_str(), "refused");
        }
        // A peer without a slot is disconnected without a notice.
        if self.refusals.has_slot(origin) {
            let refusal = session::refuse(&self.hub, name, transport, &reason, &self.remote);
            self.refusals.spawn(origin, refusal);
        }
    }

    fn session_ended(&mut self, ended: Ended) {
        let id = match ended {
            Ok((id, Ok(_))) => id,
            Ok((id, Err(error))) => {
                if self.is_first("failed joins", None) {
                    warn!(error = error.to_string(), "a peer could not join");
                }
                id
            }
            // Its member has left by being dropped; no other peer is affected.
            Err(failed) => {
                if self.is_first("failed sessions", None) {
                    error!(error = failed.to_string(), "a session panicked");
                }
                failed.id()
            }
        };
        self.origins.ended(id, Instant::now());
    }

    /// Whether an event is to be logged, as the first of its kind for a while. Counts it if not.
    fn is_first(&mut self, what: &'static str, origin: Option<Origin>) -> bool {
        self.repetitions
            .is_first(Repeated { what, origin }, Instant::now())
    }

    fn needs_tick(&self) -> bool {
        self.repetitions.ends().is_some() || !self.origins.are_settled()
    }

    /// Does what is due from time to time.
    fn tick(&mut self) {
        let now = Instant::now();
        self.origins.forget(now);
        if self.repetitions.ends().is_some_and(|ends| ends <= now) {
            self.log_repetitions();
        }
    }

    fn log_repetitions(&mut self) {
        let Summary {
            time,
            counts,
            others,
        } = self.repetitions.finish(Instant::now());
        let seconds = time.as_millis().div_ceil(1000);
        for (Repeated { what, origin }, count) in counts {
            match origin {
                Some(origin) => info!("{count} more {what} from {origin} in {seconds} s"),
                None => info!("{count} more {what} in {seconds} s"),
            }
        }
        if others > 0 {
            info!("{others} more refusals from other addresses in {seconds} s");
        }
    }

    /// Ends all sessions, and waits until they have ended or the grace is over.
    pub(super) async fn drain(mut self) -> Drained {
        while let Some(ended) = self.sessions.try_join_next_with_id() {
            self.session_ended(ended);
        }
        info!(peers = self.sessions.len(), "shutting down");
        self.shutdown.trigger();
        let mut drained = Drained::default();
        let grace = self.grace;
        let all = async {
            while let Some(ended) = self.sessions.join_next_with_id().await {
                drained.ended += 1;
                self.session_ended(ended);
            }
        };
        if timeout(grace, all).await.is_err() {
            drained.cut = self.sessions.len();
            warn!(
                peers = drained.cut,
                "the grace is over, disconnecting the rest"
            );
            self.sessions.shutdown().await;
        }
        self.log_repetitions();
        info!(ended = drained.ended, cut = drained.cut, "drained");
        drained
    }
}

/// Whether an error of the listener concerns one connection only.
fn is_of_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::InvalidData
    )
}
