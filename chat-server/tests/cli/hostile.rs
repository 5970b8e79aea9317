//! Peers that stall, reset, flood and never finish, and a process that is killed or suspended: what
//! holds for the other peers, and what remains afterwards.

use crate::support::{PATIENCE, Peer, Server, wait_until};
use rustix::process::Signal;
use socket2::SockRef;
use std::io::{ErrorKind, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

const MIB: u64 = 1024 * 1024;

/// A test with thousands of peers has thousands of descriptors itself.
fn raise_descriptor_limit() {
    rlimit::increase_nofile_limit(u64::MAX).expect("the soft limit can be raised to the hard one");
}

/// Peers that join without being announced.
fn crowd(server: &Server, size: usize) -> Vec<Peer> {
    let mut peers = Vec::from_iter((0..size).map(|_| server.connect()));
    for peer in &mut peers {
        peer.expect_line(&format!("You are {peer}"));
        let roster = peer.line();
        assert!(roster.starts_with("Here now: "), "{roster}");
    }
    peers
}

/// The number of messages that were skipped, if the line says so.
fn skipped(line: &str) -> Option<u64> {
    let count = line.strip_prefix("* ")?.strip_suffix(" messages skipped")?;
    Some(count.parse().expect("a number"))
}

/// The number of members, as the server answers it.
fn members(peer: &mut Peer) -> usize {
    peer.send("/who\n");
    let roster = loop {
        let line = peer.line();
        if let Some(names) = line.strip_prefix("* here now: ") {
            break names.to_owned();
        }
    };
    match roster.rsplit_once(" and ") {
        Some((shown, rest)) => {
            let others = rest.strip_suffix(" others").expect("a number of others");
            shown.split(", ").count() + others.parse::<usize>().expect("a number")
        }
        None => roster.split(", ").count(),
    }
}

mod stalled_peers {
    use super::*;

    #[test]
    fn cost_a_cursor_each() {
        raise_descriptor_limit();
        let server = Server::start(&["--announce-up-to", "0", "--log-bytes", "1MiB"]);
        let mut talker = server.connect();
        talker.expect_line(&format!("You are {talker}"));
        let _stalled = crowd(&server, 500);
        let mut reader = server.connect();
        reader.expect_line(&format!("You are {reader}"));
        reader.line();
        let before = server.peak();
        // 20 times the log, and more than the sockets of all stalled peers hold; in batches of the
        // size of one delivery.
        const BATCH: usize = 60;
        let text = "x".repeat(1000);
        for round in 0..330 {
            let line = |line: usize| format!("{round}.{line} {text}");
            talker.send(String::from_iter((0..BATCH).map(|n| line(n) + "\n")));
            for n in 0..BATCH {
                let expected = format!("{talker}: {}", line(n));
                talker.expect_line(&expected);
                reader.expect_line(&expected);
            }
        }
        let grown = server.peak() - before;
        // The log's megabyte, and per stalled peer the rest of a line that it has taken in part.
        assert!(grown < 4 * MIB, "{grown} bytes more");
    }
}

mod restart {
    use super::*;

    #[test]
    fn readmits_two_thousand_peers() {
        raise_descriptor_limit();
        let mut server = Server::start(&["--announce-up-to", "0"]);
        let address = server.address().to_string();
        let mut first = server.connect();
        first.expect_line(&format!("You are {first}"));
        let peers = crowd(&server, 2000);
        server.signal(Signal::KILL);
        wait_until("the process has ended", || !server.is_running());
        drop((peers, first));

        let server = Server::start(&["--listen", &address, "--announce-up-to", "0"]);
        let (mut witness, before) = (server.connect(), server.descriptors());
        witness.expect_line(&format!("You are {witness}"));
        let peers = crowd(&server, 2000);
        assert_eq!(members(&mut witness), 2001);
        drop(peers);
        wait_until("they have left", || members(&mut witness) == 1);
        wait_until("their descriptors are closed", || {
            server.descriptors() <= before + 1
        });
    }
}

mod resets {
    use super::*;

    #[test]
    fn leave_nothing_behind() {
        // Not announced: some may wait to be accepted when the witness publishes.
        let server = Server::start(&["--announce-up-to", "0"]);
        let mut witness = server.newcomer(&mut []);
        let flood = |count: usize| {
            for number in 0..count {
                let mut stream = TcpStream::connect(server.address()).expect("the server listens");
                if number % 3 == 0 {
                    // Some in the middle of a line.
                    let _ = stream.write_all(b"half a li");
                }
                let reset = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
                reset.expect("an option");
            }
        };
        let own = server.descriptors();
        // Memory that is allocated once for many peers is there after the first of them.
        flood(2000);
        wait_until("they have left", || members(&mut witness) == 1);
        let before = server.resident();
        flood(8000);
        wait_until("they have left", || members(&mut witness) == 1);
        wait_until("their descriptors are closed", || {
            server.descriptors() <= own
        });
        let grown = server.resident().saturating_sub(before);
        assert!(grown < MIB / 2, "{grown} bytes more");
        witness.send("still here\n");
        // A reset that is found by a write looks like an end to the reader, so half a line may be
        // published.
        while witness.line() != format!("{witness}: still here") {}
    }
}

mod floods {
    use super::*;

    #[test]
    fn endless_line_is_disconnected() {
        let server = Server::start(&[]);
        let mut witness = server.newcomer(&mut []);
        let endless = server.newcomer(&mut [&mut witness]);
        let before = server.peak();
        let mut stream = endless.stream();
        let limit = vec![b'x'; 64 * 1024];
        stream.write_all(&limit).expect("the line has no end yet");
        witness.expect_line(&format!("{endless} has left"));
        // Further input is read and discarded for a while, so that the last lines arrive.
        let since = Instant::now();
        let piece = vec![b'x'; 1 << 20];
        let error = loop {
            if let Err(error) = stream.write_all(&piece) {
                break error.kind();
            }
            assert!(since.elapsed() < PATIENCE, "still connected");
        };
        let disconnected = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
        assert!(disconnected.contains(&error), "{error}");
        let grown = server.peak() - before;
        assert!(grown < 2 * MIB, "{grown} bytes more");
    }

    #[test]
    fn empty_lines_and_renames_are_bounded() {
        let server = Server::start(&["--log-bytes", "1MiB"]);
        let mut witness = server.newcomer(&mut []);
        let mut flood = server.newcomer(&mut [&mut witness]);
        let before = server.peak();
        flood.send("\n".repeat(200_000));
        for number in 0..20_000 {
            flood.send(format!("/name n{number}\n"));
        }
        flood.send("/name done\n");
        flood.half_close();
        // Whole lines of these kinds, and a count of all that were skipped.
        let empty = format!("{flood}: ");
        let mut name = Some(flood.to_string());
        let mut events = 0;
        loop {
            let line = witness.line();
            if let Some(missed) = skipped(&line) {
                events += missed;
                // The name may have changed meanwhile.
                name = None;
                continue;
            }
            events += 1;
            if line == "done has left" {
                break;
            } else if let Some((old, new)) = line.split_once(" is now ") {
                assert!(name.is_none_or(|name| name == old), "{line}");
                name = Some(new.to_owned());
            } else {
                assert_eq!(line, empty);
            }
        }
        // The last one is the departure.
        assert_eq!(events, 200_000 + 20_001 + 1);
        let grown = server.peak() - before;
        assert!(grown < 4 * MIB, "{grown} bytes more");
        drop(flood);
        witness.publish("still here", &mut []);
    }
}

mod name_timeout {
    use super::*;

    #[test]
    fn single_bytes_do_not_extend_it() {
        let server = Server::start(&["--names", "ask", "--name-timeout", "1s"]);
        let mut slow = server.connect();
        slow.expect_line(&format!("* what is your name? (Enter for {slow})"));
        let mut stream = slow.stream();
        let dripping = thread::spawn(move || {
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
        });
        assert_eq!(slow.rest(), "* no name for 1s, goodbye\n");
        dripping.join().expect("the thread only writes");
    }
}

mod suspended_process {
    use super::*;

    /// Suspends the server for longer than the timeouts of these tests.
    fn suspend(server: &Server, meanwhile: impl FnOnce()) {
        server.suspend_while_idle();
        meanwhile();
        thread::sleep(Duration::from_secs(3));
        server.signal(Signal::CONT);
    }

    #[test]
    fn talking_peers_stay() {
        let server = Server::start(&["--idle-timeout", "2s", "--stall-timeout", "2s"]);
        let mut a = server.newcomer(&mut []);
        let mut b = server.newcomer(&mut [&mut a]);
        a.publish("before", &mut [&mut b]);
        suspend(&server, || {
            a.send("meanwhile\n");
            b.send("so do I\n");
        });
        for peer in [&mut a, &mut b] {
            let mut lines = [peer.line(), peer.line()];
            lines.sort_by_key(|line| line.ends_with("so do I"));
            assert!(lines[0].ends_with(": meanwhile"), "{lines:?}");
            assert!(lines[1].ends_with(": so do I"), "{lines:?}");
        }
        a.publish("after", &mut [&mut b]);
    }

    #[test]
    fn reading_peers_stay() {
        const LINES: usize = 4000;
        let server = Server::start(&["--idle-timeout", "off", "--stall-timeout", "2s"]);
        let mut a = server.newcomer(&mut []);
        let mut b = server.newcomer(&mut [&mut a]);
        let buffer = SockRef::from(&b.stream()).set_recv_buffer_size(64 * 1024);
        buffer.expect("an option");
        // More than the sockets hold, so that the server waits for the peer.
        let text = "x".repeat(1000);
        for _ in 0..LINES {
            a.publish(&text, &mut []);
        }
        let all = format!("{a}: {text}\n").repeat(LINES);
        let mut received = Vec::new();
        suspend(&server, || received = b.pending());
        received.extend(b.bytes(all.len() - received.len()));
        assert!(received == all.as_bytes(), "the lines differ");
        a.publish("after", &mut [&mut b]);
    }
}

mod drain {
    use super::*;

    #[test]
    fn under_load_ends_alike_for_all() {
        let server = Server::start(&["--log-bytes", "64KiB", "--patience", "off"]);
        let mut talkers = vec![server.newcomer(&mut [])];
        for _ in 0..4 {
            let mut others = Vec::from_iter(&mut talkers);
            let next = server.newcomer(&mut others);
            talkers.push(next);
        }
        let sent = Arc::new(AtomicUsize::new(0));
        let reading = Vec::from_iter(talkers.into_iter().map(|mut peer| {
            let mut stream = peer.stream();
            let sent = sent.clone();
            thread::spawn(move || {
                // Until the server no longer reads.
                for number in 0.. {
                    if stream.write_all(format!("{number}\n").as_bytes()).is_err() {
                        break;
                    }
                    sent.fetch_add(1, Relaxed);
                }
            });
            thread::spawn(move || peer.rest())
        }));
        wait_until("all peers talk", || sent.load(Relaxed) > 20_000);
        server.signal(Signal::TERM);
        let ended = server.ended();
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let received = reading.into_iter();
        let received = received.map(|peer| peer.join().expect("an orderly end"));
        let ends = received.map(|lines| {
            let lines = lines.strip_suffix("* server is going down\n");
            let mut events = 0;
            let mut last = String::new();
            for line in lines.expect("the notice").lines() {
                match skipped(line) {
                    Some(missed) => events += missed,
                    None => {
                        events += 1;
                        last = line.to_owned();
                    }
                }
            }
            (events, last)
        });
        let ends = Vec::from_iter(ends);
        // Each one joined after the one before, and does not count its own arrival but has a line of
        // greeting more.
        assert!(ends.iter().all(|end| *end == ends[0]), "{ends:?}");
    }
}
