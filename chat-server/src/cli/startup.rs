//! The beginning of the server: the limit of descriptors, and the first lines of the log.

use super::args::{Args, unknown_variables};
use chat_core::HubConfig;
use chat_core::session::{Naming, Quota};
use chat_server::{ServerConfig, TcpListeners};
use std::fmt::Display;
use std::time::Duration;
use tracing::{debug, info, warn};

/// Raises the soft limit of descriptors, which is usually 1,024, to the hard one: each peer needs one.
/// Gives the limit.
pub(crate) fn raise_descriptor_limit() -> u64 {
    match rlimit::increase_nofile_limit(u64::MAX) {
        Ok(limit) => {
            debug!(limit, "raised the limit of descriptors");
            limit
        }
        Err(error) => {
            warn!(
                error = error.to_string(),
                "cannot raise the limit of descriptors"
            );
            rlimit::getrlimit(rlimit::Resource::NOFILE).map_or(u64::MAX, |(soft, _)| soft)
        }
    }
}

/// Logs the version, the addresses and the limits that are in effect.
pub(crate) fn log(args: &Args, listeners: &TcpListeners, hub: &HubConfig, config: &ServerConfig) {
    for variable in unknown_variables() {
        warn!(variable, "unknown environment variable");
    }
    if config.max_peers < args.max_peers {
        warn!(
            "--max-peers is {}: there are no more descriptors",
            config.max_peers
        );
    }
    let addresses = listeners.addresses();
    let addresses = addresses.iter().map(ToString::to_string);
    let addresses = Vec::from_iter(addresses).join(", ");
    info!(
        version = env!("CARGO_PKG_VERSION"),
        addresses,
        threads = args.threads(),
        "started"
    );
    let session = &config.session;
    let options = args.tcp_options();
    info!(
        max_peers = config.max_peers,
        max_peers_per_address =
            or_off(Some(config.max_peers_per_address).filter(|most| *most < usize::MAX)),
        connect_rate = quota(config.connect_rate),
        rate = or_off(config.rate.map(|rate| format!(
            "{} lines and {} bytes a second, {} lines at once",
            rate.lines, rate.bytes, rate.burst
        ))),
        rename_rate = quota(config.rename_rate),
        names = match session.naming {
            Naming::Ask => "ask",
            _ => "address",
        },
        classic = session.classic,
        idle_timeout = time(session.idle_timeout),
        stall_timeout = time(Some(session.stall_timeout)),
        name_timeout = time(Some(session.name_timeout)),
        grace = time(Some(config.grace)),
        max_line = hub.max_text,
        log_bytes = hub.log_bytes,
        announce_up_to = or_off(hub.announce_up_to),
        announce_rate = or_off(hub.announce_rate),
        patience = time(Some(hub.patience).filter(|patience| !patience.is_zero())),
        keepalive = time(options.keepalive),
        send_ahead = options.unsent_bytes,
        "limits"
    );
}

fn or_off(value: Option<impl Display>) -> String {
    value.map_or("off".into(), |value| value.to_string())
}

fn time(limit: Option<Duration>) -> String {
    let limit = limit.filter(|limit| *limit < Duration::MAX);
    or_off(limit.map(humantime::format_duration))
}

fn quota(quota: Option<Quota>) -> String {
    or_off(quota.map(|quota| {
        let period = humantime::format_duration(quota.period);
        format!("{} at once, then one per {period}", quota.burst)
    }))
}
