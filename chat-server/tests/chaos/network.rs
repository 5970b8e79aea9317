//! A peer on another machine: a network namespace, which can lose every packet.

use crate::peer;
use crate::support::{Server, command};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

/// Two namespaces' worth of network, which are gone with this.
struct Network;

const HERE: &str = "10.213.0.1";
const THERE: &str = "10.213.0.2";

fn ip(args: &str) -> bool {
    let status = Command::new("ip")
        .args(args.split_whitespace())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

impl Network {
    fn new() -> Self {
        drop(Self);
        for args in [
            "netns add chat-far",
            "link add chat-here type veth peer name chat-there netns chat-far",
            "addr add 10.213.0.1/24 dev chat-here",
            "link set chat-here up",
            "netns exec chat-far ip addr add 10.213.0.2/24 dev chat-there",
            "netns exec chat-far ip link set chat-there up",
        ] {
            assert!(ip(args), "ip {args}: it needs root and iproute2");
        }
        Self
    }

    /// From now on nothing arrives at either side.
    fn vanish(&self) {
        assert!(ip("netns exec chat-far ip link set chat-there down"));
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        ip("link del chat-here");
        ip("netns del chat-far");
    }
}

/// Somebody in the other namespace, who says this and then only listens. It ends when it is dropped.
struct Stranger(Child);

impl Stranger {
    fn new(port: u16, says: &str) -> Self {
        let script = format!("exec 3<>/dev/tcp/{HERE}/{port}; printf '{says}' >&3; exec cat <&3");
        let child = Command::new("ip")
            .args(["netns", "exec", "chat-far", "bash", "-c", &script])
            .stdout(Stdio::piped())
            .spawn();
        Self(child.expect("ip runs, and bash"))
    }

    /// The first line that it hears.
    fn hears(&mut self) -> String {
        let heard = self.0.stdout.as_mut().expect("piped");
        let mut line = String::new();
        BufReader::new(heard).read_line(&mut line).expect("a line");
        line
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn server() -> Server {
    let args = ["--listen", "10.213.0.1:0", "--keepalive", "2s"];
    Server::run(command(&args)).listening()
}

#[test]
#[ignore = "needs root, and a network of its own"]
fn who_vanishes_is_gone_within_the_bound() {
    let network = Network::new();
    // A peer that is being sent things, and one that is not.
    for talking in [true, false] {
        let server = server();
        let mut witness = peer(&server.address().to_string());
        witness.hears(&format!("You are {witness}"));
        let far = Stranger::new(server.address().port(), "hello\\n");
        let arrived = witness.line();
        let name = arrived
            .strip_suffix(" has arrived")
            .expect("it comes")
            .to_owned();
        assert!(name.starts_with(THERE));
        witness.hears(&format!("{name}: hello"));
        network.vanish();
        let since = Instant::now();
        if talking {
            witness.say("are you there?", &mut []);
        }
        let bound = 75;
        let line = witness.line_within(bound);
        assert_eq!(line, Some(format!("{name} has left")), "after {bound} s");
        println!(
            "vanished, talking {talking}: gone after {:.1} s",
            since.elapsed().as_secs_f64()
        );
        drop(far);
        assert!(ip("netns exec chat-far ip link set chat-there up"));
    }
}

#[test]
#[ignore = "needs root, and a network of its own"]
fn peers_from_elsewhere_are_limited_and_those_of_this_machine_are_not() {
    let _network = Network::new();
    let args = [
        "--listen",
        "10.213.0.1:0",
        "--listen",
        "127.0.0.1:0",
        "--max-peers-per-address",
        "2",
    ];
    let server = Server::run(command(&args)).listening();
    let far = server.address();
    let server = server.listening();
    let mut near = server.connect();
    near.hears(&format!("You are {near}"));
    let mut strangers = vec![];
    for _ in 0..2 {
        strangers.push(Stranger::new(far.port(), ""));
        assert!(near.line().ends_with(" has arrived"));
    }
    let mut third = Stranger::new(far.port(), "");
    assert_eq!(third.hears(), "* too many from your address, goodbye\n");
    let mut others = vec![];
    for _ in 0..10 {
        let mut another = server.connect();
        another.hears(&format!("You are {another}"));
        others.push(another);
    }
}
