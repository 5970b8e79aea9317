//! The server as a whole beside others, over loopback TCP.
//!
//! ```text
//! cargo bench -p chat-server                              all scenarios, most of an hour
//! cargo bench -p chat-server -- fan1000,lat1000           some of them
//! cargo bench -p chat-server -- fan1000 --servers floor,chat-server --runs 5
//! cargo bench -p chat-server -- fan1000 --server-args '--threads 2'
//! cargo bench -p chat-server -- growth                    curves, for plot.py
//! cargo bench -p chat-server -- --test                    each once: can it be carried out?
//! ```
//!
//! Each run starts a fresh server as a process of its own and connects a crowd to it, driven by one
//! thread. What counts is the CPU time of the server for each delivery, as a ratio to the floor,
//! the least that one thread does to pass the same bytes on, in the run beside: other users of a
//! machine change both alike. With a right to it, `nice -n -10 cargo bench …` makes figures calmer.
//!
//! - *CPU* is what all threads of the server used, system calls included. On loopback the kernel
//!   receives in the time of who sends, so only the readers' own `read` is not in it.
//! - *Lost* are gaps in a publisher's numbers, and what was still missing at the end.
//! - The *window* is an average: publishers speak while members lack less than so many payloads each.
//! - *Latency* is from the making of a payload to the return of the `read` that brought it.
//!
//! Payloads carry all that is checked. Those too short for it, less than 17 bytes, are counted, and
//! every 64th of them is long enough, and says how many there should have been.

#[cfg(target_os = "linux")]
mod linux;

#[cfg(target_os = "linux")]
fn main() -> std::process::ExitCode {
    linux::run()
}

#[cfg(not(target_os = "linux"))]
fn main() -> std::process::ExitCode {
    use std::io::Write;
    let told = "server bench: it needs Linux, for its epoll and what /proc tells";
    let _ = writeln!(std::io::stderr(), "{told}");
    std::process::ExitCode::FAILURE
}
