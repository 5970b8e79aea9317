//! The transport of messages, checked by `chat_core::testkit`.

use super::*;
use chat_core::testkit::{self, Check, Remote};

/// The peer's end of a [`MessageTransport`].
struct Peer {
    to_hub: Option<mpsc::Sender<String>>,
    from_hub: mpsc::Receiver<String>,
}

#[async_trait]
impl Remote for Peer {
    async fn send(&mut self, text: &str) -> io::Result<()> {
        let to_hub = self.to_hub.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        to_hub.send(text.into()).await.map_err(io::Error::other)
    }

    async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
        Ok(self.from_hub.recv().await.map(String::into_bytes))
    }

    async fn finish(&mut self) -> io::Result<()> {
        self.to_hub = None;
        Ok(())
    }
}

mod message_transport {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn passes_all_checks() {
        let report = testkit::check(async || {
            let ((to_hub, from_peer), (to_peer, from_hub)) = (mpsc::channel(4), mpsc::channel(4));
            let to_hub = Some(to_hub);
            Ok((
                MessageTransport { from_peer, to_peer },
                Peer { to_hub, from_hub },
            ))
        });
        let report = report.await;
        report.assert_passed_but(&[Check::PartialLines, Check::Reset]);
    }
}
