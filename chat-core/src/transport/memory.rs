//! A connection in memory, for tests and for peers in the same process.

use super::{IoTransport, StreamTransport};
use tokio::io::DuplexStream;

/// The hub's end of a [`pair`].
pub type MemoryTransport = StreamTransport<DuplexStream>;

/// Makes the two ends of a connection: one for a [session](crate::session), and one to write lines to
/// and read lines from, as with a socket. Each direction holds at most `capacity` bytes that were not
/// read yet.
///
/// ```
/// use chat_core::session::{self, SessionConfig};
/// use chat_core::transport::memory;
/// use chat_core::{Hub, HubConfig, Name};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::new(HubConfig::default());
/// let (transport, mut peer) = memory::pair(1024);
/// let config = SessionConfig::default();
/// let talk = async move {
///     peer.write_all(b"hi\n/quit\n").await?;
///     let mut heard = String::new();
///     peer.read_to_string(&mut heard).await?;
///     std::io::Result::Ok(heard)
/// };
/// let session = session::run(&hub, Name::assigned("memory:1")?, transport, &config);
/// let (heard, ended) = tokio::join!(talk, session);
/// assert_eq!(heard?, "You are memory:1\nmemory:1: hi\n* goodbye\n");
/// assert_eq!(ended?, chat_core::LeaveReason::Left);
/// # Ok(())
/// # }
/// ```
pub fn pair(capacity: usize) -> (MemoryTransport, DuplexStream) {
    let (hub_end, peer_end) = tokio::io::duplex(capacity);
    (IoTransport::new(hub_end), peer_end)
}
