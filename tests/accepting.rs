//! Accept errors: errors of one connection are retried at once, other errors pause accepting.

use chat_core::transport::memory::{self, MemoryTransport};
use chat_core::{Hub, HubConfig, Name};
use chat_server::{Incoming, Listener, ServerConfig, serve};
use std::collections::VecDeque;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// A listener that returns these results in order and reports the time of each `accept`.
struct ScriptedListener {
    results: VecDeque<Option<ErrorKind>>,
    asked: mpsc::UnboundedSender<Instant>,
}

impl Listener for ScriptedListener {
    type Transport = MemoryTransport;

    async fn accept(&mut self) -> io::Result<Incoming<MemoryTransport>> {
        let Some(result) = self.results.pop_front() else {
            return pending().await;
        };
        self.asked
            .send(Instant::now())
            .expect("the test reads the times");
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

/// The pauses between the calls of `accept`, in milliseconds.
async fn pauses(results: impl IntoIterator<Item = Option<ErrorKind>>) -> Vec<u128> {
    let (asked, mut times) = mpsc::unbounded_channel();
    let results = results.into_iter().collect();
    let listener = ScriptedListener { results, asked };
    let hub = Hub::new(HubConfig::default());
    let shutdown = tokio::time::sleep(Duration::from_secs(60));
    serve(listener, hub, ServerConfig::default(), shutdown).await;
    let mut last = None;
    let mut pauses = Vec::new();
    while let Ok(time) = times.try_recv() {
        let before = last.replace(time);
        pauses.extend(before.map(|before: Instant| (time - before).as_millis()));
    }
    pauses
}

const EXHAUSTED: Option<ErrorKind> = Some(ErrorKind::Other);
const ABORTED: Option<ErrorKind> = Some(ErrorKind::ConnectionAborted);
const PEER: Option<ErrorKind> = None;

mod exhaustion {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn doubles_the_pause_to_one_second() {
        let pauses = pauses([EXHAUSTED; 11]).await;
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000, 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn ends_with_an_accepted_peer() {
        let results = [EXHAUSTED, EXHAUSTED, PEER, EXHAUSTED, EXHAUSTED, EXHAUSTED];
        assert_eq!(pauses(results).await, [10, 20, 0, 10, 20]);
    }

    #[tokio::test(start_paused = true)]
    async fn pause_ends_on_shutdown() {
        let (asked, _times) = mpsc::unbounded_channel();
        let results = [EXHAUSTED; 9].into_iter().collect();
        let listener = ScriptedListener { results, asked };
        let hub = Hub::new(HubConfig::default());
        let start = Instant::now();
        // During the one-second pause that begins after 1,270 ms.
        let shutdown = tokio::time::sleep(Duration::from_millis(1500));
        serve(listener, hub, ServerConfig::default(), shutdown).await;
        assert_eq!(start.elapsed().as_millis(), 1500);
    }
}

mod connection_error {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn causes_no_pause() {
        for error in [
            ErrorKind::ConnectionAborted,
            ErrorKind::ConnectionReset,
            ErrorKind::ConnectionRefused,
            ErrorKind::InvalidData,
        ] {
            assert_eq!(pauses([Some(error), PEER, PEER]).await, [0, 0], "{error}");
        }
        // Such an error leaves the pause after other errors as it was.
        assert_eq!(
            pauses([EXHAUSTED, ABORTED, EXHAUSTED, PEER]).await,
            [10, 0, 20]
        );
    }
}
