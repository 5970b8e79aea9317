//! One address that floods a room by connecting.

use super::{Network, connect, server, there};
use crate::support::{Peer, Server};
use rustix::process::Signal;
use std::io::Write;
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

/// The attacker's address, and those of the members.
const ATTACKER: u8 = 0;
const MEMBERS: std::ops::Range<u8> = 1..7;
const PER_ADDRESS: usize = 50;

/// A room with members from several addresses, the last of which has read everything so far.
struct Room {
    network: Network,
    server: Server,
    members: Vec<Peer>,
}

/// The lines that a member has received during an attack.
struct Received {
    arrivals: usize,
    departures: usize,
    messages: usize,
    /// The time from the first connection of the attack on.
    time: Duration,
}

impl Room {
    fn new(flags: &[&str]) -> Self {
        let network = Network::new(MEMBERS.end);
        let server = server(flags);
        let mut members = Vec::new();
        for from in MEMBERS {
            for _ in 0..PER_ADDRESS {
                let mut member = network.connect(from, server.address());
                member.expect_line(&format!("You are {member}"));
                members.push(member);
            }
        }
        let last = members.last_mut().expect("a member");
        assert!(last.line().starts_with("Here now: "));
        Self {
            network,
            server,
            members,
        }
    }

    /// Connects `times` times from the attacker's address, which may fail, and gives what a member
    /// has received in that time.
    fn attack(&mut self, times: usize, visit: fn(TcpStream)) -> Received {
        let to = self.server.address();
        let began = Instant::now();
        let connected = self.network.over_there(|| {
            let visits = (0..times).filter_map(|_| connect(ATTACKER, to).ok());
            visits.map(|socket| visit(socket.into())).count()
        });
        assert_eq!(connected, times, "the server accepts");
        let attack = began.elapsed();
        let (witness, others) = self.members.split_last_mut().expect("members");
        let speaker = &mut others[0];
        speaker.send("the attack is over\n");
        let end = format!("{speaker}: the attack is over");
        let attacker = there(ATTACKER).to_string();
        let mut received = Received {
            arrivals: 0,
            departures: 0,
            messages: 0,
            time: Duration::ZERO,
        };
        loop {
            let line = witness.line();
            if line == end {
                break;
            }
            assert!(line.starts_with(&attacker), "{line}");
            match line.rsplit_once(' ') {
                Some((_, "arrived")) => received.arrivals += 1,
                Some((_, "left")) => received.departures += 1,
                _ => received.messages += 1,
            }
        }
        received.time = began.elapsed();
        println!(
            "{times} connections in {attack:.1?}: each of {} members received {} arrivals, {} departures, {} messages",
            self.members.len(),
            received.arrivals,
            received.departures,
            received.messages
        );
        received
    }

    /// Ends the server, and gives the lines of its log that do not concern the members.
    fn log(self) -> Vec<String> {
        let members = Vec::from_iter(self.members.iter().map(|member| format!("\"{member}\"")));
        drop(self.members);
        self.server.signal(Signal::TERM);
        let log = self.server.ended().stderr;
        let is_of_member = |line: &&str| members.iter().any(|member| line.contains(member));
        let lines = log.lines().filter(|line| !is_of_member(line));
        lines.map(str::to_owned).collect()
    }
}

/// The number that a limit allows in this time: a burst, and a number in each second that has begun.
fn allowed(burst: usize, per_second: usize, time: Duration) -> usize {
    burst + per_second * (time.as_secs() as usize + 1)
}

mod flood {
    use super::*;

    #[test]
    #[ignore = "needs root, and a network of its own"]
    fn connecting_is_bounded() {
        // The members have used up what may be announced.
        let mut room = Room::new(&["--announce-rate", "off"]);
        let received = room.attack(10_000, drop);
        let most = allowed(64, 1, received.time);
        assert!(received.arrivals >= 64, "the attack is noticed");
        assert!(received.arrivals <= most, "{} of {most}", received.arrivals);
        assert!(received.departures <= received.arrivals);
        assert_eq!(received.messages, 0);
        // The log is flooded as little as the room.
        let log = room.log();
        let summary = format!(" more refusals from {} in ", there(ATTACKER));
        assert!(log.iter().any(|line| line.contains(&summary)), "{log:#?}");
        assert!(log.len() <= 2 * most + 20, "{} lines", log.len());
    }

    #[test]
    #[ignore = "needs root, and a network of its own"]
    fn reconnecting_to_talk_is_bounded() {
        let mut room = Room::new(&[]);
        let received = room.attack(500, |mut stream| {
            // Fails if the server has refused the connection.
            let _ = stream.write_all("spam\n".repeat(20).as_bytes());
            let _ = stream.shutdown(Shutdown::Write);
        });
        // Eight times what a peer may send.
        let most = allowed(8 * 20, 8 * 5, received.time);
        assert!(received.messages >= 100, "the attack is noticed");
        assert!(received.messages <= most, "{} of {most}", received.messages);
        let most = allowed(64, 1, received.time);
        assert!(received.arrivals <= most, "{} of {most}", received.arrivals);
        let log = room.log();
        let limited = log.iter().filter(|line| line.contains("over its rate"));
        assert!((1..=most).contains(&limited.count()), "{log:#?}");
    }
}
