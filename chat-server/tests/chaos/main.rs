//! Faults that take minutes, or need a network of their own. Not part of `cargo test`:
//!
//! ```text
//! cargo test -p chat-server --test chaos -- --ignored --test-threads 1 --nocapture
//! ```
//!
//! The tests of the network need Linux, root and `ip` of iproute2, the one of the clock needs
//! libfaketime. They print figures.

#[path = "../cli/support.rs"]
#[allow(dead_code, reason = "`cli` uses the rest")]
mod support;

mod network;

use rustix::process::Signal;
use std::fs::{DirEntry, read_dir};
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};
use support::{Server, command, command_after};

mod stalled_peers {
    use super::*;

    fn kernel_socket_pages() -> u64 {
        let stat = std::fs::read_to_string("/proc/net/sockstat").expect("Linux");
        let tcp = stat.lines().find(|line| line.starts_with("TCP:"));
        let pages = tcp.and_then(|line| line.rsplit_once("mem "));
        pages
            .and_then(|(_, pages)| pages.trim().parse().ok())
            .expect("pages of TCP memory")
    }

    #[test]
    #[ignore = "measures memory of the whole system"]
    fn take_little_kernel_memory() {
        rlimit::increase_nofile_limit(u64::MAX).expect("the soft limit can be raised");
        let server = Server::start(&["--announce-up-to", "0"]);
        let mut talker = server.connect();
        talker.expect_line(&format!("You are {talker}"));
        let stalled = Vec::from_iter((0..500).map(|_| server.connect()));
        let (pages, before) = (kernel_socket_pages(), server.peak());
        let text = "x".repeat(1000);
        let mut most = 0;
        for _ in 0..30_000 {
            talker.send(format!("{text}\n"));
            talker.line();
            most = most.max(kernel_socket_pages());
        }
        let kernel = (most.saturating_sub(pages)) * 4096;
        let grown = server.peak() - before;
        println!("500 stalled peers, 30 MB published: kernel {kernel} bytes more, server {grown}");
        // The kernel's receive buffers of the peers, up to 6 MiB each, are counted as well, because
        // both ends are on this machine. At most 16 KiB wait to be sent ahead of them.
        let each = kernel / stalled.len() as u64;
        assert!(each < 512 * 1024, "{each} bytes for each");
        assert!(grown < 14 << 20, "{grown} bytes in the server");
    }
}

mod suspended_process {
    use super::*;

    #[test]
    #[ignore = "takes a minute"]
    fn disconnects_no_peer() {
        let limits = ["--idle-timeout", "10s", "--stall-timeout", "10s"];
        let server = Server::start(&limits);
        let mut a = server.newcomer(&mut []);
        let mut b = server.newcomer(&mut [&mut a]);
        server.suspend_while_idle();
        a.send("meanwhile\n");
        b.send("meanwhile\n");
        thread::sleep(Duration::from_secs(60));
        server.signal(Signal::CONT);
        for peer in [&mut a, &mut b] {
            for _ in 0..2 {
                assert!(peer.line().ends_with(": meanwhile"));
            }
        }
        a.publish("after", &mut [&mut b]);
    }
}

mod jumping_clock {
    use super::*;

    /// The library that shows a program another time of day, of the Debian package libfaketime.
    fn faketime() -> PathBuf {
        let folders = read_dir("/usr/lib").expect("Linux").flatten();
        let library = |folder: DirEntry| folder.path().join("faketime/libfaketimeMT.so.1");
        let library = folders.map(library).find(|library| library.exists());
        library.expect("libfaketime is installed")
    }

    #[test]
    #[ignore = "needs libfaketime"]
    fn disconnects_no_peer() {
        let jump = tempfile::NamedTempFile::new().expect("a file");
        let flags = ["--idle-timeout", "5s", "--stall-timeout", "5s"];
        let mut command = command(&[&["--listen", "127.0.0.1:0"], &flags[..]].concat());
        command
            .env("LD_PRELOAD", faketime())
            .env("FAKETIME_TIMESTAMP_FILE", jump.path())
            .env("FAKETIME_NO_CACHE", "1")
            // The monotonic clock cannot be set.
            .env("DONT_FAKE_MONOTONIC", "1");
        std::fs::write(jump.path(), "+0").expect("a file");
        let mut server = Server::run(command).listening();
        let mut a = server.newcomer(&mut []);
        let mut years = Vec::new();
        for time in ["+3000d", "-3000d", "+0"] {
            std::fs::write(jump.path(), time).expect("a file");
            a.publish("what time is it?", &mut []);
            let mut guest = server.newcomer(&mut [&mut a]);
            guest.half_close();
            guest.rest();
            a.expect_line(&format!("{guest} has left"));
            let logged = server.wait_for_log("left");
            years.push(logged.split('-').next().and_then(|year| year.parse().ok()));
        }
        let [later, earlier, now] = years[..] else {
            panic!("three times");
        };
        let now: i32 = now.expect("a year");
        assert!(
            later > Some(now + 5) && earlier < Some(now - 5),
            "{years:?}"
        );
        a.publish("still here", &mut []);
    }
}

mod exhausted_descriptors {
    use super::*;

    #[test]
    #[ignore = "measures CPU time"]
    fn take_little_cpu_time() {
        let flags = ["--listen", "127.0.0.1:0"];
        let server = Server::run(command_after("ulimit -n 40;", &flags)).listening();
        // Half of them are refused, and each refusal keeps its descriptor until its peer has gone.
        let _peers = Vec::from_iter((0..200).map(|_| server.connect()));
        let before = server.processor_time();
        let since = Instant::now();
        thread::sleep(Duration::from_secs(5));
        let used = (server.processor_time() - before).as_secs_f64() / since.elapsed().as_secs_f64();
        println!(
            "out of descriptors, 160 waiting: {:.2} % of a core",
            used * 100.0
        );
        // With pauses that do not grow it would be 2.5 %.
        assert!(used < 0.01, "{used} of a core");
    }
}
