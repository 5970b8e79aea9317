//! `chat_core::testkit` over the transports that come with the hub, and the kit's own behaviour.

use async_trait::async_trait;
use chat_core::testkit::{self, Check, Outcome, Remote, Report, Stream, Suite};
use chat_core::transport::{IoTransport, Transport, memory};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

/// Bytes: small, so that buffers are full early.
const CAPACITY: usize = 256;

/// All checks but these passed, also those of attempts to deliver.
fn assert_all_passed_but(report: &Report, skipped: &[Check]) {
    report.assert_passed_but(skipped);
    assert_eq!(report.not_applicable(), [], "{report}");
}

mod tcp {
    use super::*;
    use chat_server::TcpTransport;
    use tokio::net::{TcpListener, TcpSocket, TcpStream};

    /// Bytes, as above.
    const RECEIVE_BUFFER: u32 = 4096;

    /// Both ends of a TCP connection, the hub's with the options that the server sets.
    async fn connect(listener: &TcpListener) -> io::Result<(TcpTransport, Stream<TcpStream>)> {
        let socket = TcpSocket::new_v4()?;
        socket.set_recv_buffer_size(RECEIVE_BUFFER)?;
        let peer = socket.connect(listener.local_addr()?).await?;
        peer.set_nodelay(true)?;
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        #[cfg(target_os = "linux")]
        socket2::SockRef::from(&stream).set_tcp_notsent_lowat(16 * 1024)?;
        let peer = Stream::new(peer).with_reset(|peer| drop(peer.set_zero_linger()));
        Ok((stream.into(), peer))
    }

    async fn assert_passes() -> io::Result<()> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let report = testkit::check(async || connect(&listener).await).await;
        assert_all_passed_but(&report, &[]);
        Ok(())
    }

    #[tokio::test]
    async fn passes_with_one_thread() -> io::Result<()> {
        assert_passes().await
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn passes_with_two_threads() -> io::Result<()> {
        assert_passes().await
    }
}

mod adapter {
    use super::*;
    use tokio::net::UnixStream;
    use tokio::net::unix::pipe;

    /// A peer at the other ends of two pipes.
    struct Pipes(pipe::Receiver, Option<pipe::Sender>);

    #[async_trait]
    impl Remote for Pipes {
        async fn send(&mut self, text: &str) -> io::Result<()> {
            self.send_part(text.as_bytes()).await
        }

        async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
            let mut piece = vec![0; 1000];
            let read = self.0.read(&mut piece).await?;
            Ok((read > 0).then(|| piece[..read].into()))
        }

        async fn finish(&mut self) -> io::Result<()> {
            self.1 = None;
            Ok(())
        }

        async fn send_part(&mut self, part: &[u8]) -> io::Result<()> {
            let pipe = self.1.as_mut().ok_or(io::ErrorKind::NotConnected)?;
            pipe.write_all(part).await
        }
    }

    #[tokio::test]
    async fn passes_over_unix_socket() {
        let report = testkit::check(async || {
            let (stream, peer) = UnixStream::pair()?;
            Ok((IoTransport::new(stream), Stream::new(peer)))
        });
        // A Unix socket cannot distinguish a reset from a graceful end.
        assert_all_passed_but(&report.await, &[Check::Reset]);
    }

    #[tokio::test]
    async fn passes_over_two_pipes() {
        let report = testkit::check(async || {
            let ((to_hub, from_peer), (to_peer, from_hub)) = (pipe::pipe()?, pipe::pipe()?);
            let transport = IoTransport::from_halves(from_peer, to_peer);
            Ok((transport, Pipes(from_hub, Some(to_hub))))
        });
        assert_all_passed_but(&report.await, &[Check::Reset]);
    }
}

mod memory_pair {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn passes_with_any_capacity() {
        for capacity in [64, 64 * 1024] {
            let report = testkit::check(async || {
                let (transport, peer) = memory::pair(capacity);
                Ok((transport, Stream::new(peer)))
            });
            assert_all_passed_but(&report.await, &[Check::Reset]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn passes_in_a_box() {
        let report = testkit::check(async || {
            let (transport, peer) = memory::pair(CAPACITY);
            Ok((Box::new(transport) as Box<dyn Transport>, Stream::new(peer)))
        });
        assert_all_passed_but(&report.await, &[Check::Reset]);
    }
}

mod suite {
    use super::*;

    /// A peer with the required methods only.
    struct Minimal(Stream<DuplexStream>);

    #[async_trait]
    impl Remote for Minimal {
        async fn send(&mut self, text: &str) -> io::Result<()> {
            self.0.send(text).await
        }

        async fn receive(&mut self) -> io::Result<Option<Vec<u8>>> {
            self.0.receive().await
        }

        async fn finish(&mut self) -> io::Result<()> {
            self.0.finish().await
        }
    }

    async fn connect() -> io::Result<(memory::MemoryTransport, Minimal)> {
        let (transport, peer) = memory::pair(CAPACITY);
        Ok((transport, Minimal(Stream::new(peer))))
    }

    #[tokio::test(start_paused = true)]
    async fn runs_each_check_alone() {
        for check in Check::ALL {
            let report = Suite::default().only(&[check]).check(connect).await;
            let [(checked, outcome)] = report.outcomes() else {
                panic!("one check was selected:\n{report}");
            };
            assert_eq!(*checked, check);
            let skipped = [Check::PartialLines, Check::Reset].contains(&check);
            assert_eq!(matches!(outcome, Outcome::Skipped(_)), skipped, "{report}");
            assert_eq!(*outcome == Outcome::Passed, !skipped, "{report}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn reports_failed_connects() {
        let connect = async || -> io::Result<(memory::MemoryTransport, Minimal)> {
            Err(io::Error::other("no cable"))
        };
        let report = testkit::check(connect).await;
        assert_eq!(report.failed(), Check::ALL);
        assert!(report.to_string().contains("no cable"), "{report}");
    }

    #[tokio::test(start_paused = true)]
    async fn ends_at_its_deadline() {
        // The remote belongs to another connection, which stays open.
        let mut others = Vec::new();
        let connect = async || {
            let (transport, _) = connect().await?;
            let (other, remote) = connect().await?;
            others.push(other);
            Ok((transport, remote))
        };
        let suite = Suite::default().deadline(Duration::from_secs(3));
        let begin = tokio::time::Instant::now();
        let report = suite.only(&[Check::PingPong]).check(connect).await;
        assert_eq!(report.failed(), [Check::PingPong]);
        assert!(report.to_string().contains("You are testkit:1"), "{report}");
        let seconds = begin.elapsed().as_secs();
        assert_eq!(seconds, 3, "the clock is paused");
    }
}
