//! Compares chat-server with other servers, over loopback TCP.
//!
//! ```text
//! cargo bench -p chat-server                              all scenarios, 20 minutes
//! cargo bench -p chat-server -- fan1000,lat1000           two scenarios
//! cargo bench -p chat-server -- fan1000 --servers floor,chat-server --runs 5
//! cargo bench -p chat-server -- fan1000 --server-args '--threads 2'
//! cargo bench -p chat-server -- growth                    the curves for plot.py
//! cargo bench -p chat-server -- --test                    each scenario once, as a test
//! ```
//!
//! Each run starts a fresh server process and connects a load generator of one thread. The main figure
//! is the CPU time of the server per delivery, as a ratio to the floor, a minimal single-threaded
//! rebroadcaster, in the same run: load on the machine affects both alike. `nice -n -10 cargo bench …`
//! reduces noise where it is permitted.
//!
//! - *CPU* is the time of all threads of the server, system calls included. On loopback the kernel
//!   delivers within the sender's `write`, so only the receivers' `read` is excluded.
//! - *Lost* counts gaps in a publisher's sequence, and deliveries still missing at the end.
//! - The *window* is an average: a publisher publishes while the average member has fewer payloads
//!   outstanding.
//! - *Latency* is the time from creating a payload until the `read` that returned it.
//!
//! A payload carries all that is checked. Payloads of less than 17 bytes are too short for it and are
//! counted; every 64th is longer and carries their number.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::run()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    use std::io::Write;
    let message = "server bench: requires Linux (epoll, /proc)";
    let _ = writeln!(std::io::stderr(), "{message}");
    std::process::ExitCode::FAILURE
}
