//! Under fire: peers that stop, reset, flood and never finish, and a process that is killed or
//! stopped. What holds for the others, and what is left behind afterwards.

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
fn allow_many_files() {
    rlimit::increase_nofile_limit(u64::MAX).expect("the soft limit can be raised to the hard one");
}

/// So many peers in the room, of whom coming is not announced.
fn crowd(server: &Server, size: usize) -> Vec<Peer> {
    let mut peers = Vec::from_iter((0..size).map(|_| server.connect()));
    for peer in &mut peers {
        peer.hears(&format!("You are {peer}"));
        if !peer.line().starts_with("Here now: ") {
            panic!("{peer} is not alone");
        }
    }
    peers
}

/// How many messages this line says were skipped, if it does.
fn skipped(line: &str) -> Option<u64> {
    let count = line.strip_prefix("* ")?.strip_suffix(" messages skipped")?;
    Some(count.parse().expect("a number"))
}

/// How many are here, as the server says when asked.
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
            let others = rest.strip_suffix(" others").expect("how many more");
            shown.split(", ").count() + others.parse::<usize>().expect("a number")
        }
        None => roster.split(", ").count(),
    }
}

#[test]
fn five_hundred_that_stop_reading_cost_an_offset_each() {
    allow_many_files();
    let server = Server::start(&["--announce-up-to", "0", "--log-bytes", "1MiB"]);
    let mut talker = server.connect();
    talker.hears(&format!("You are {talker}"));
    let _stopped = crowd(&server, 500);
    let mut reader = server.connect();
    reader.hears(&format!("You are {reader}"));
    reader.line();
    let before = server.peak();
    // 20 times the log, and more than the sockets of all that do not read would take; as much at a
    // time as one delivery has.
    const TOGETHER: usize = 60;
    let text = "x".repeat(1000);
    for round in 0..330 {
        let line = |line: usize| format!("{round}.{line} {text}");
        talker.send(String::from_iter((0..TOGETHER).map(|n| line(n) + "\n")));
        for n in 0..TOGETHER {
            let expected = format!("{talker}: {}", line(n));
            talker.hears(&expected);
            reader.hears(&expected);
        }
    }
    let grown = server.peak() - before;
    // The log's megabyte, and for each that has stopped the rest of a line that it took in part.
    assert!(grown < 4 * MIB, "{grown} bytes more");
}

#[test]
fn two_thousand_come_back_after_the_server_was_killed() {
    allow_many_files();
    let args = ["--announce-up-to", "0"];
    let mut server = Server::start(&args);
    let address = server.address().to_string();
    let mut first = server.connect();
    first.hears(&format!("You are {first}"));
    let peers = crowd(&server, 2000);
    server.signal(Signal::KILL);
    wait_until("it is dead", || !server.is_running());
    drop((peers, first));

    let server = Server::start(&["--listen", &address, "--announce-up-to", "0"]);
    let (mut witness, before) = (server.connect(), server.descriptors());
    witness.hears(&format!("You are {witness}"));
    let peers = crowd(&server, 2000);
    assert_eq!(members(&mut witness), 2001);
    drop(peers);
    wait_until("they have left", || members(&mut witness) == 1);
    wait_until("their descriptors are closed", || {
        server.descriptors() <= before + 1
    });
}

#[test]
fn ten_thousand_resets_leave_nothing_behind() {
    // Unannounced: some may still be waiting to be accepted when the witness speaks.
    let server = Server::start(&["--announce-up-to", "0"]);
    let mut witness = server.newcomer(&mut []);
    let flood = |count: usize| {
        for number in 0..count {
            let mut stream = TcpStream::connect(server.address()).expect("it listens");
            if number % 3 == 0 {
                // Some in the middle of a line.
                let _ = stream.write_all(b"half a li");
            }
            let hard = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
            hard.expect("an option");
        }
    };
    let own = server.descriptors();
    // What is allocated once, for so many at a time, is there after the first of them.
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
    // A reset that was met in writing looks like an end in reading, so half a line may be heard.
    while witness.line() != format!("{witness}: still here") {}
}

#[test]
fn a_line_without_end_is_cut_however_long_it_goes_on() {
    let server = Server::start(&[]);
    let mut witness = server.newcomer(&mut []);
    let endless = server.newcomer(&mut [&mut witness]);
    let before = server.peak();
    let mut stream = endless.stream();
    let limit = vec![b'x'; 64 * 1024];
    stream.write_all(&limit).expect("it has no end yet");
    witness.hears(&format!("{endless} has left"));
    // What comes then is read and dropped for a while, so that the last words arrive, which can be a
    // gigabyte and more.
    let since = Instant::now();
    let piece = vec![b'x'; 1 << 20];
    let error = loop {
        if let Err(error) = stream.write_all(&piece) {
            break error.kind();
        }
        assert!(since.elapsed() < PATIENCE, "it is not cut");
    };
    let cut = [ErrorKind::BrokenPipe, ErrorKind::ConnectionReset];
    assert!(cut.contains(&error), "{error}");
    let grown = server.peak() - before;
    assert!(grown < 2 * MIB, "{grown} bytes more");
}

#[test]
fn floods_of_nothing_and_of_names_cost_their_sender_alone() {
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
    // What came is whole lines of one of these kinds, and whatever was skipped was told.
    let empty = format!("{flood}: ");
    let mut name = Some(flood.to_string());
    let mut told = 0;
    loop {
        let line = witness.line();
        if let Some(missed) = skipped(&line) {
            told += missed;
            // It may have changed meanwhile.
            name = None;
            continue;
        }
        told += 1;
        if line == "done has left" {
            break;
        } else if let Some((old, new)) = line.split_once(" is now ") {
            assert!(name.is_none_or(|name| name == old), "{line}");
            name = Some(new.to_owned());
        } else {
            assert_eq!(line, empty);
        }
    }
    // The last is the leaving.
    assert_eq!(told, 200_000 + 20_001 + 1);
    let grown = server.peak() - before;
    assert!(grown < 4 * MIB, "{grown} bytes more");
    drop(flood);
    witness.say("still here", &mut []);
}

#[test]
fn who_gives_its_name_a_byte_at_a_time_has_no_longer_than_others() {
    let server = Server::start(&["--names", "ask", "--name-timeout", "1s"]);
    let mut slow = server.connect();
    assert_eq!(
        slow.line(),
        format!("* what is your name? (Enter for {slow})")
    );
    let mut stream = slow.stream();
    let dripping = thread::spawn(move || {
        while stream.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(slow.rest(), "* no name for 1s, goodbye\n");
    dripping.join().expect("it only writes");
}

/// Longer than both limits of the two tests that use it.
fn stand_still(server: &Server, meanwhile: impl FnOnce()) {
    server.stop_asleep();
    meanwhile();
    thread::sleep(Duration::from_secs(3));
    server.signal(Signal::CONT);
}

#[test]
fn who_talked_while_the_process_stood_still_is_not_cut() {
    let server = Server::start(&["--idle-timeout", "2s", "--stall-timeout", "2s"]);
    let mut a = server.newcomer(&mut []);
    let mut b = server.newcomer(&mut [&mut a]);
    a.say("before", &mut [&mut b]);
    stand_still(&server, || {
        a.send("meanwhile\n");
        b.send("I, too\n");
    });
    for peer in [&mut a, &mut b] {
        let mut heard = [peer.line(), peer.line()];
        heard.sort_by_key(|line| line.ends_with("I, too"));
        assert!(heard[0].ends_with(": meanwhile"), "{heard:?}");
        assert!(heard[1].ends_with(": I, too"), "{heard:?}");
    }
    a.say("after", &mut [&mut b]);
}

#[test]
fn who_read_while_the_process_stood_still_is_not_cut() {
    const LINES: usize = 4000;
    let server = Server::start(&["--idle-timeout", "off", "--stall-timeout", "2s"]);
    let mut a = server.newcomer(&mut []);
    let mut b = server.newcomer(&mut [&mut a]);
    let buffer = SockRef::from(&b.stream()).set_recv_buffer_size(64 * 1024);
    buffer.expect("an option");
    // More than the sockets hold, so that the server waits for room.
    let text = "x".repeat(1000);
    for _ in 0..LINES {
        a.say(&text, &mut []);
    }
    let all = format!("{a}: {text}\n").repeat(LINES);
    let mut heard = Vec::new();
    stand_still(&server, || heard = b.pending());
    heard.extend(b.bytes(all.len() - heard.len()));
    assert!(heard == all.as_bytes(), "it was given something else");
    a.say("after", &mut [&mut b]);
}

#[test]
fn a_signal_under_load_gives_all_the_same_end_or_tells_what_is_missing() {
    let server = Server::start(&["--log-bytes", "64KiB", "--patience", "0s"]);
    let mut talkers = vec![server.newcomer(&mut [])];
    for _ in 0..4 {
        let mut others = Vec::from_iter(&mut talkers);
        let next = server.newcomer(&mut others);
        talkers.push(next);
    }
    let said = Arc::new(AtomicUsize::new(0));
    let listening = Vec::from_iter(talkers.into_iter().map(|mut peer| {
        let mut stream = peer.stream();
        let said = said.clone();
        thread::spawn(move || {
            // Ends when the server no longer takes it.
            for number in 0.. {
                if stream.write_all(format!("{number}\n").as_bytes()).is_err() {
                    break;
                }
                said.fetch_add(1, Relaxed);
            }
        });
        thread::spawn(move || peer.rest())
    }));
    wait_until("they talk", || said.load(Relaxed) > 20_000);
    server.signal(Signal::TERM);
    let ended = server.ended();
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let transcripts = Vec::from_iter(
        listening
            .into_iter()
            .map(|peer| peer.join().expect("an end")),
    );
    let ends = transcripts.iter().map(|all| {
        let all = all
            .strip_suffix("* server is going down\n")
            .expect("it was told");
        // The messages before are numbered by whoever got them all.
        let mut told = 0;
        let mut last = "";
        for line in all.lines() {
            match skipped(line) {
                Some(missed) => told += missed,
                None => {
                    told += 1;
                    last = line;
                }
            }
        }
        (told, last.to_owned())
    });
    let ends = Vec::from_iter(ends);
    // They joined one after the other, so each later one has one arrival less to hear of.
    let (first, last) = &ends[0];
    for (end, line) in &ends {
        assert_eq!(line, last);
        assert_eq!(end, first, "{ends:?}");
    }
}
