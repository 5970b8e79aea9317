//! The log of a server, as its operator reads it.

use crate::lab::{SECOND, Server};
use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tokio::time::sleep;
use tracing::subscriber::{DefaultGuard, set_default};

/// The lines that this thread logs.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn record(&self) -> DefaultGuard {
        let log = self.clone();
        let subscriber = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .with_writer(move || log.clone());
        set_default(subscriber.finish())
    }

    /// The lines with this text.
    fn lines_with(&self, text: &str) -> Vec<String> {
        let log = self.0.lock().expect("no thread panics").clone();
        let log = String::from_utf8(log).expect("the log is UTF-8");
        let lines = log.lines().filter(|line| line.contains(text));
        lines.map(str::to_owned).collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no thread panics").write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

mod refusals {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn are_summarized_per_origin() {
        let log = Log::default();
        let _recording = log.record();
        let mut server = Server::start(|config| config.max_peers_per_address = 1);
        let origins = [("192.0.2.1", 100), ("192.0.2.2", 10), ("192.0.2.3", 1)];
        let mut members = Vec::new();
        for (address, refused) in origins {
            members.push(server.join(address).await);
            for _ in 0..refused {
                drop(server.connect(address));
            }
        }
        sleep(11 * SECOND).await;
        assert_eq!(log.lines_with(" refused ").len(), 3);
        let summaries = log.lines_with(" more refusals from ");
        assert_eq!(summaries.len(), 2, "{summaries:?}");
        for summary in [
            "99 more refusals from 192.0.2.1 in 10 s",
            "9 more refusals from 192.0.2.2 in 10 s",
        ] {
            assert!(
                summaries.iter().any(|line| line.ends_with(summary)),
                "{summaries:?}"
            );
        }
    }
}
