//! The real server, in this process: the client understands the lines that it writes.

use std::io::Read;
use std::net::{SocketAddr, TcpStream};
use std::num::NonZeroU32;
use std::thread;
use std::time::Duration;

use chat_core::session::{Naming, Rate};
use chat_core::{Hub, HubConfig};
use chat_server::{ServerConfig, TcpListeners, serve};
use tokio::runtime::{Builder, Runtime};

use crate::support::{Client, command, in_time};

struct ChatServer {
    address: SocketAddr,
    hub: Hub,
    /// Dropped with the server, which ends all its connections.
    _runtime: Runtime,
}

impl ChatServer {
    fn new(config: ServerConfig) -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let hub = Hub::new(HubConfig::default());
        let listeners = runtime.block_on(TcpListeners::bind("127.0.0.1:0")).unwrap();
        let address = listeners.addresses()[0];
        let served = hub.clone();
        runtime.spawn(async move {
            serve(listeners, served, config, std::future::pending()).await;
        });
        Self {
            address,
            hub,
            _runtime: runtime,
        }
    }

    fn client(&self, args: &[&str]) -> Client {
        let address = self.address.to_string();
        Client::start(command(args.iter().copied().chain([address.as_str()])))
    }

    /// A client whose whole stdin is `input`.
    fn send(&self, args: &[&str], input: impl AsRef<[u8]>) -> Client {
        let mut client = self.client(args);
        client.input(input);
        client.end_input();
        client
    }
}

#[test]
fn accepted_lines_exit_0() {
    let server = ChatServer::new(ServerConfig::default());
    let lines: String = (0..10_000).map(|number| format!("{number}\n")).collect();
    server.send(&["--send-only"], lines).end().cleanly_with("");
    server
        .send(&["--send-only"], "no end")
        .end()
        .cleanly_with("");
}

#[test]
fn full_server_exits_3() {
    let mut config = ServerConfig::default();
    config.max_peers = 1;
    let server = ChatServer::new(config);
    let mut guest = TcpStream::connect(server.address).unwrap();
    // Greeted, so that it counts.
    guest.read_exact(&mut [0]).unwrap();
    for args in [&["--send-only"][..], &["-n", "alice"]] {
        let ended = server.send(args, "x\n").end();
        assert!(ended.stderr.contains("full"), "{ended:?}");
        ended.with(
            3,
            &format!("chat-client: {} refused entry: ", server.address),
        );
    }
}

#[test]
fn long_line_exits_3() {
    let server = ChatServer::new(ServerConfig::default());
    let ended = server
        .send(&["--send-only"], format!("hi\n{}\nhi\n", "x".repeat(5000)))
        .end();
    assert!(
        ended
            .stderr
            .starts_with("chat-client: line refused: longer than 4096 bytes\n"),
        "{ended:?}"
    );
    assert!(
        ended.stderr.ends_with("1 of 3 lines refused\n"),
        "{ended:?}"
    );
    assert_eq!(ended.code, Some(3));
}

#[test]
fn slash_is_published() {
    let server = ChatServer::new(ServerConfig::default());
    let ended = server.send(&["-n", "alice"], "/etc/passwd\n").end();
    let stdout = String::from_utf8_lossy(&ended.stdout).into_owned();
    assert!(stdout.ends_with("alice: /etc/passwd\n"), "{stdout}");
    assert_eq!((ended.code, &*ended.stderr), (Some(0), ""));
}

#[test]
fn invalid_bytes_are_published() {
    let server = ChatServer::new(ServerConfig::default());
    server
        .send(
            &["--send-only"],
            b"\xff\n\xff\xfa\n\xe2\x82\n\x1b[2J\n\r\n\n\0\n\xff",
        )
        .end()
        .cleanly_with("");
    assert_eq!(server.hub.stats().published, 8);
}

#[test]
fn slash_after_removed_bytes_is_published() {
    let server = ChatServer::new(ServerConfig::default());
    server
        .send(
            &["--send-only"],
            "\r/quit\n\0\x7f/x\n\u{202e}\u{9b}\u{2069}/x\n\u{e9}/x\n\u{2027}/x\n",
        )
        .end()
        .cleanly_with("");
    assert_eq!(server.hub.stats().published, 5);
}

#[test]
fn unknown_command_exits_3() {
    let server = ChatServer::new(ServerConfig::default());
    let ended = server
        .send(&["--commands", "--send-only"], "/x\n/who\n")
        .end();
    assert!(
        ended
            .stderr
            .starts_with("chat-client: unknown command /x, "),
        "{ended:?}"
    );
    assert_eq!(ended.code, Some(3));
}

#[test]
fn commands_exit_0() {
    let server = ChatServer::new(ServerConfig::default());
    server
        .send(
            &["--commands", "--send-only"],
            "/name eve\nhi\n/help\n/who\n//x\n/name eve\n/quit\n",
        )
        .end()
        .cleanly_with("");
}

#[test]
fn taken_name_exits_3() {
    let server = ChatServer::new(ServerConfig::default());
    let _alice = server.hub.join("alice".parse().unwrap()).unwrap();
    server
        .send(&["-n", "alice", "--send-only"], "hi\n")
        .end()
        .with(3, "chat-client: name refused: ");
}

#[test]
fn asking_server_publishes_text() {
    let mut config = ServerConfig::default();
    config.session.naming = Naming::Ask;
    let server = ChatServer::new(config);
    for (args, published) in [
        (&["--send-only"][..], 2),
        (&["--send-only", "-n", "alice"], 4),
    ] {
        server.send(args, "hi there\n/x\n").end().cleanly_with("");
        assert_eq!(server.hub.stats().published, published);
    }
}

#[test]
fn classic_server_publishes_text() {
    let mut config = ServerConfig::default();
    config.session.classic = true;
    config.session.idle_timeout = None;
    let server = ChatServer::new(config);
    server
        .send(&["--send-only"], "hi there\n\nbye")
        .end()
        .cleanly_with("");
    assert_eq!(server.hub.stats().published, 3);
}

#[test]
fn slow_server_needs_time() {
    let mut rate = Rate::default();
    rate.lines = NonZeroU32::new(1).unwrap();
    rate.burst = NonZeroU32::new(33).unwrap();
    let mut config = ServerConfig::default();
    config.session.rate = Some(rate);
    let server = ChatServer::new(config);
    let ended = server
        .send(&["--send-only", "-q", "200ms"], "hi\n".repeat(60))
        .end();
    assert!(
        ended.stderr.contains(" of 60 lines unconfirmed"),
        "{ended:?}"
    );
    let complaint = format!("chat-client: gave up waiting for {}; ", server.address);
    ended.with(1, &complaint);
    let lines = "hi\n".repeat(34);
    server.send(&["--send-only"], lines).end().cleanly_with("");
}

#[test]
fn closed_hub_exits_1() {
    let server = ChatServer::new(ServerConfig::default());
    let mut client = server.client(&[]);
    client.input("hi\n");
    // The session exists once its line is in the log.
    let hub = server.hub.clone();
    in_time("a published line", move || {
        while hub.stats().published == 0 {
            thread::yield_now();
        }
    });
    server.hub.close();
    let ended = client.end();
    assert!(ended.stderr.contains("going down"), "{ended:?}");
    ended.with(
        1,
        &format!("chat-client: {} ended the session: ", server.address),
    );
}

#[test]
fn idle_timeout_exits_1() {
    let mut config = ServerConfig::default();
    config.session.idle_timeout = Some(Duration::from_millis(100));
    let server = ChatServer::new(config);
    let ended = server.client(&["--send-only"]).end();
    assert!(ended.stderr.contains("idle for 100ms"), "{ended:?}");
    ended.with(
        1,
        &format!("chat-client: {} ended the session: ", server.address),
    );
}
