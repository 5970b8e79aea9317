//! Peers on another machine: in a network namespace, whose link can go down.

mod floods;
mod limits;
mod vanishing;

use crate::support::{Peer, Server, command};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use socket2::{Domain, Socket, Type};
use std::fs::File;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::thread;

/// The address of the server.
const HERE: Ipv4Addr = Ipv4Addr::new(10, 213, 0, 1);

/// The nth address of the other machine.
fn there(n: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 213, 1, n)
}

/// A namespace that is connected to this one. Dropping it removes both ends.
struct Network;

fn ip(args: &str) -> bool {
    let status = Command::new("ip")
        .args(args.split_whitespace())
        .stderr(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

impl Network {
    /// A network whose other machine has this number of addresses.
    fn new(addresses: u8) -> Self {
        // The rest of a test that was killed.
        drop(Self);
        let run = |args: &str| assert!(ip(args), "ip {args}: it needs root and iproute2");
        for args in [
            "netns add chat-far",
            "link add chat-here type veth peer name chat-there netns chat-far",
            "addr add 10.213.0.1/16 dev chat-here",
            "link set chat-here up",
            "netns exec chat-far ip link set chat-there up",
        ] {
            run(args);
        }
        for n in 0..addresses {
            let address = there(n);
            run(&format!(
                "netns exec chat-far ip addr add {address}/16 dev chat-there"
            ));
        }
        Self
    }

    /// Takes the link down: no packet arrives at either side.
    fn vanish(&self) {
        assert!(ip("netns exec chat-far ip link set chat-there down"));
    }

    fn reappear(&self) {
        assert!(ip("netns exec chat-far ip link set chat-there up"));
    }

    /// Runs something in a thread on the other machine. Its sockets stay there.
    fn over_there<T: Send>(&self, run: impl FnOnce() -> T + Send) -> T {
        let entered = || {
            let namespace = File::open("/run/netns/chat-far").expect("the namespace");
            let network = Some(LinkNameSpaceType::Network);
            move_into_link_name_space(namespace.as_fd(), network).expect("root");
            run()
        };
        thread::scope(|scope| scope.spawn(entered).join().expect("no panic"))
    }

    /// A peer on the other machine, at its nth address.
    fn connect(&self, from: u8, to: SocketAddr) -> Peer {
        let socket = self.over_there(|| connect(from, to));
        Peer::new(socket.expect("the server listens").into())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        ip("link del chat-here");
        ip("netns del chat-far");
    }
}

/// A connection from the nth address of the machine that the thread is on.
fn connect(from: u8, to: SocketAddr) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
    socket.bind(&SocketAddr::from((there(from), 0)).into())?;
    socket.connect(&to.into())?;
    Ok(socket)
}

/// A server that the other machine can reach.
fn server(flags: &[&str]) -> Server {
    let listen = format!("{HERE}:0");
    let flags = [&["--listen", &listen], flags].concat();
    Server::run(command(&flags)).listening()
}
