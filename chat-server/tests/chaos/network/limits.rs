//! The limit of peers per address.

use super::{HERE, Network, there};
use crate::support::{Server, command};

mod peers_per_address {
    use super::*;

    #[test]
    #[ignore = "needs root, and a network of its own"]
    fn loopback_is_exempt() {
        let network = Network::new(2);
        let listen = format!("{HERE}:0");
        let flags = [
            "--listen",
            &listen,
            "--listen",
            "127.0.0.1:0",
            "--max-peers-per-address",
            "2",
        ];
        let server = Server::run(command(&flags)).listening();
        let far = server.address();
        let server = server.listening();
        let mut near = server.newcomer(&mut []);
        let mut peers = vec![];
        for from in [0, 0, 1] {
            peers.push(network.connect(from, far));
            let arrived = near.line();
            assert!(arrived.starts_with(&there(from).to_string()), "{arrived}");
        }
        let mut third = network.connect(0, far);
        third.expect_line("* too many from your address, goodbye");
        for _ in 0..10 {
            let mut another = server.connect();
            another.expect_line(&format!("You are {another}"));
            peers.push(another);
        }
    }
}
