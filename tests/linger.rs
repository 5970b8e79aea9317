//! How much of a peer's input a session discards after its member has left. The clock is paused.

use chat_core::session::{self, SessionConfig};
use chat_core::transport::IoTransport;
use chat_core::{Hub, HubConfig, JoinError, LeaveReason, Name};
use chat_tests::memory::{CAPACITY, Peer, run_until_idle, spawn};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::SeqCst;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, ReadBuf};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// The most that a session reads at a time.
const READ: usize = 16 * 1024;

/// More than any limit here.
const MANY: usize = 8 * 1024 * 1024;

/// A first line, then much input that never waits. Counts what is read.
struct Flood {
    first: Option<&'static str>,
    read: Arc<AtomicUsize>,
}

impl AsyncRead for Flood {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        if self.read.load(SeqCst) > MANY {
            return Poll::Pending;
        }
        let first = self.first.take().unwrap_or_default();
        buffer.put_slice(first.as_bytes());
        let more = buffer.remaining();
        buffer.put_slice(&b"flood\n".repeat(READ)[..more]);
        self.read.fetch_add(buffer.filled().len(), SeqCst);
        Poll::Ready(Ok(()))
    }
}

/// A session whose peer quits and continues to send, and the input that was read from it.
fn flood(
    hub: &Hub,
    writer: impl tokio::io::AsyncWrite + Send + Unpin + 'static,
    config: &SessionConfig,
) -> (JoinHandle<Result<LeaveReason, JoinError>>, Arc<AtomicUsize>) {
    let read = Arc::new(AtomicUsize::new(0));
    let reader = Flood {
        first: Some("/quit\n"),
        read: read.clone(),
    };
    let transport = IoTransport::from_halves(reader, writer);
    (spawn(hub, "mem:1", transport, config), read)
}

fn discarding(bytes: usize) -> SessionConfig {
    let mut config = SessionConfig::default();
    config.linger_bytes = bytes;
    config
}

mod flood {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn is_cut_at_limit() {
        let default = SessionConfig::default().linger_bytes;
        assert_eq!(default, 1024 * 1024);
        for limit in [0, 1, 100_000, default] {
            let hub = Hub::new(HubConfig::default());
            let start = Instant::now();
            let (session, read) = flood(&hub, tokio::io::sink(), &discarding(limit));
            let ended = session.await.expect("no panic");
            assert_eq!(ended, Ok(LeaveReason::Left));
            let read = read.load(SeqCst);
            // The read that brought the line, and the one that exceeds the limit.
            assert!((limit..=limit + 2 * READ).contains(&read), "{read}");
            assert_eq!(start.elapsed(), Duration::ZERO);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn does_not_lose_last_words() {
        let hub = Hub::new(HubConfig::default());
        let (near, mut far) = tokio::io::duplex(4);
        let (session, read) = flood(&hub, near, &discarding(100_000));
        run_until_idle().await;
        assert!(!session.is_finished(), "there are lines to deliver");
        let taken = read.load(SeqCst);
        assert!(taken <= 100_000 + 2 * READ, "{taken}");
        let mut heard = String::new();
        far.read_to_string(&mut heard).await.expect("text");
        assert_eq!(heard, "You are mem:1\n* goodbye\n");
        assert_eq!(read.load(SeqCst), taken);
        assert_eq!(session.await.expect("no panic"), Ok(LeaveReason::Left));
    }

    #[tokio::test(start_paused = true)]
    async fn of_refused_peer_is_cut() {
        let hub = Hub::new(HubConfig::default());
        let read = Arc::new(AtomicUsize::new(0));
        let reader = Flood {
            first: None,
            read: read.clone(),
        };
        let transport = IoTransport::from_halves(reader, tokio::io::sink());
        let name = Name::assigned("mem:1").expect("a name");
        session::refuse(&hub, name, transport, "full", &discarding(100_000)).await;
        let read = read.load(SeqCst);
        assert!((100_000..=100_000 + READ).contains(&read), "{read}");
    }
}

mod input {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn below_limit_is_discarded() {
        let hub = Hub::new(HubConfig::default());
        let config = discarding(10 * CAPACITY);
        let mut peer = Peer::connect_with(&hub, "mem:1", &config, CAPACITY);
        peer.send("/quit\n").await;
        let quit = Instant::now();
        peer.lines_until("* goodbye").await;
        for _ in 0..10 {
            peer.send(&"x".repeat(CAPACITY)).await;
            run_until_idle().await;
            assert!(!peer.has_ended());
        }
        peer.half_close().await;
        assert_eq!(peer.ended().await, LeaveReason::Left);
        assert!(quit.elapsed() < Duration::from_secs(1));
        assert_eq!(hub.stats().published, 0);
    }

    /// The limit is for what is discarded, and not for what is published.
    #[tokio::test(start_paused = true)]
    async fn of_member_is_not_limited() {
        let hub = Hub::new(HubConfig::default());
        let mut peer = Peer::connect_with(&hub, "mem:1", &discarding(0), CAPACITY);
        for _ in 0..10 {
            peer.send_line("hi").await;
            peer.lines_until("mem:1: hi").await;
        }
        peer.half_close().await;
        assert_eq!(peer.ended().await, LeaveReason::Left);
    }
}
