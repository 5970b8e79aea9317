//! Connections that never name themselves.

use crate::lab::{Server, idle};
use chat_core::session::Naming;

mod asking {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn scan_makes_no_noise() {
        let mut server = Server::start(|config| config.session.naming = Naming::Ask);
        let mut witness = server.witness();
        // A port scan, a health check that waits for the banner, a browser, a TLS client.
        drop(server.connect("192.0.2.1"));
        let mut check = server.connect("192.0.2.1");
        assert!(check.line().await.starts_with("* what is your name?"));
        drop(check);
        for hello in ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\x16\x03\x01\x02"] {
            let mut client = server.connect("192.0.2.1");
            client.send(hello).await;
            assert!(client.rest().await.ends_with(", goodbye\n"));
        }
        idle().await;
        assert_eq!(witness.events().await.len(), 0);
        let mut newcomer = server.connect("192.0.2.1");
        newcomer.send("alice\n").await;
        drop(newcomer);
        assert_eq!(witness.events().await.len(), 2, "arrival and departure");
    }
}
