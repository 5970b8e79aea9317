//! Accepts peers, runs their sessions and drains them.

mod config;
mod repetitions;
mod server;

pub use config::ServerConfig;

use crate::listeners::Listener;
use chat_core::Hub;
use server::Server;
use std::future::Future;

/// The outcome of a shutdown for the peers that were connected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Peers whose sessions ended within the grace: they received everything that was published before, or
    /// failed to.
    pub ended: usize,
    /// Peers that were disconnected because the grace was over.
    pub cut: usize,
}

/// Makes each peer of a listener a member of the hub, until `shutdown` is ready.
///
/// Then the server stops listening and ends its sessions: each peer leaves, receives what was published before,
/// and its connection is closed. `serve` returns when all are, or when the
/// [grace](ServerConfig::grace) is over.
///
/// The hub stays open, for other members and other servers: several calls can serve one hub, and
/// each ends its own sessions. A departing peer is announced to members that remain. To end them all without
/// that, [close](Hub::close) the hub in `shutdown`, before it is ready. When the hub is
/// closed by other means, new peers are turned away until `shutdown`.
///
/// A failing connection, session or transport affects its own peer only. When the process runs out of
/// descriptors, the server pauses, and continues as soon as there are some.
///
/// # Cancel safety
///
/// Not cancel safe: dropping the future drops all connections without delivering anything.
pub async fn serve(
    listener: impl Listener,
    hub: Hub,
    config: ServerConfig,
    shutdown: impl Future<Output = ()>,
) -> Drained {
    let mut server = Server::new(hub, config);
    server.accept_until(listener, shutdown).await;
    server.drain().await
}
