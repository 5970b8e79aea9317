use async_trait::async_trait;
use chat_core::LeaveReason;
use chat_core::transport::{DeliverHalf, Feed};
use std::io;
use tokio::sync::mpsc::UnboundedSender;

/// Sends the text that it takes from the feed to a channel. It fails when the receiver of the channel
/// was dropped.
pub struct TextWriter(pub UnboundedSender<String>);

#[async_trait]
impl DeliverHalf for TextWriter {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        self.0.send(feed.take()).map_err(io::Error::other)
    }

    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        Ok(())
    }
}
