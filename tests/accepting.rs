//! A listener that fails: which errors the server takes for one connection's, and how long it waits
//! after the others.

use chat_core::transport::memory::{self, MemoryTransport};
use chat_core::{Hub, HubConfig, Name};
use chat_server::{Incoming, Listener, ServerConfig, serve};
use std::collections::VecDeque;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Gives these, one after the other, and says when it was asked.
struct Script {
    results: VecDeque<Option<ErrorKind>>,
    asked: mpsc::UnboundedSender<Instant>,
}

impl Listener for Script {
    type Transport = MemoryTransport;

    async fn accept(&mut self) -> io::Result<Incoming<MemoryTransport>> {
        let Some(result) = self.results.pop_front() else {
            return pending().await;
        };
        self.asked.send(Instant::now()).expect("somebody counts");
        match result {
            Some(error) => Err(error.into()),
            None => {
                let (near, _) = memory::pair(64);
                let name = Name::assigned("peer:1").expect("a name");
                Ok(Incoming::new(near, name))
            }
        }
    }
}

/// How long the server waits before each further look, in milliseconds.
async fn waits(results: impl IntoIterator<Item = Option<ErrorKind>>) -> Vec<u128> {
    let (asked, mut times) = mpsc::unbounded_channel();
    let results = results.into_iter().collect();
    let script = Script { results, asked };
    let hub = Hub::new(HubConfig::default());
    let over = tokio::time::sleep(Duration::from_secs(60));
    serve(script, hub, ServerConfig::default(), over).await;
    let mut last = None;
    let mut waits = Vec::new();
    while let Ok(time) = times.try_recv() {
        let before = last.replace(time);
        waits.extend(before.map(|before: Instant| (time - before).as_millis()));
    }
    waits
}

const EXHAUSTED: Option<ErrorKind> = Some(ErrorKind::Other);
const GONE: Option<ErrorKind> = Some(ErrorKind::ConnectionAborted);
const PEER: Option<ErrorKind> = None;

#[tokio::test(start_paused = true)]
async fn without_descriptors_it_waits_twice_as_long_each_time_up_to_a_second() {
    let waits = waits([EXHAUSTED; 11]).await;
    assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000]);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_comes_ends_that() {
    let results = [EXHAUSTED, EXHAUSTED, PEER, EXHAUSTED, EXHAUSTED, EXHAUSTED];
    assert_eq!(waits(results).await, [10, 20, 0, 10, 20]);
}

#[tokio::test(start_paused = true)]
async fn one_connection_that_fails_holds_up_no_other() {
    for error in [
        ErrorKind::ConnectionAborted,
        ErrorKind::ConnectionReset,
        ErrorKind::ConnectionRefused,
        ErrorKind::InvalidData,
    ] {
        assert_eq!(waits([Some(error), PEER, PEER]).await, [0, 0], "{error}");
    }
    // Nor does it make the pauses of others shorter or longer.
    assert_eq!(waits([EXHAUSTED, GONE, EXHAUSTED, PEER]).await, [10, 0, 20]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_descriptors_still_hears_that_it_is_over() {
    let (asked, _times) = mpsc::unbounded_channel();
    let results = [EXHAUSTED; 9].into_iter().collect();
    let script = Script { results, asked };
    let hub = Hub::new(HubConfig::default());
    let start = Instant::now();
    // In the pause of a second that begins after 1,270 ms.
    let over = tokio::time::sleep(Duration::from_millis(1500));
    serve(script, hub, ServerConfig::default(), over).await;
    assert_eq!(start.elapsed().as_millis(), 1500);
}
