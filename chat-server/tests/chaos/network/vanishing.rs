//! Peers whose machine is suddenly unreachable.

use super::{Network, server, there};
use crate::support::Peer;
use std::time::Instant;

mod vanished_peer {
    use super::*;

    #[test]
    #[ignore = "needs root, and a network of its own"]
    fn leaves_within_the_bound() {
        let network = Network::new(1);
        // A peer that is being sent lines, and one that is not.
        for talking in [true, false] {
            let server = server(&["--keepalive", "2s"]);
            let mut witness = Peer::connect(server.address());
            witness.expect_line(&format!("You are {witness}"));
            let mut far = network.connect(0, server.address());
            far.send("hello\n");
            let arrived = witness.line();
            let name = arrived.strip_suffix(" has arrived").expect("an arrival");
            assert!(name.starts_with(&there(0).to_string()));
            witness.expect_line(&format!("{name}: hello"));
            network.vanish();
            let since = Instant::now();
            if talking {
                witness.publish("are you there?", &mut []);
            }
            let bound = 75;
            let line = witness.line_within(bound);
            assert_eq!(line, Some(format!("{name} has left")), "after {bound} s");
            println!(
                "vanished, talking {talking}: left after {:.1} s",
                since.elapsed().as_secs_f64()
            );
            drop(far);
            network.reappear();
        }
    }
}
