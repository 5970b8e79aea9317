//! The feed of a transport: the same content for every write size, as bytes, as text or as a batch.

mod cut;
mod lend;
mod removal;
mod take;
mod take_batch;

use async_trait::async_trait;
use chat_core::session::SessionConfig;
use chat_core::transport::{DeliverHalf, Feed, Inbox, ReceiveHalf, Received, Transport};
use chat_core::{Hub, HubConfig, LeaveReason, Name};
use chat_tests::memory::{DEADLINE, Transcript, join, run_until_idle, spawn};
use chat_tests::{paused_runtime, within};
use std::io;
use tokio::sync::mpsc;

fn hub(log_bytes: usize) -> Hub {
    let mut config = HubConfig::default();
    (config.log_bytes, config.max_text) = (log_bytes, 64);
    Hub::new(config)
}

/// A transport with a channel as its input and `D` as its delivering half.
struct FakeTransport<D>(mpsc::UnboundedReceiver<&'static str>, D);

impl<D: DeliverHalf + 'static> Transport for FakeTransport<D> {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        (Box::new(Input(self.0)), Box::new(self.1))
    }
}

struct Input(mpsc::UnboundedReceiver<&'static str>);

#[async_trait]
impl ReceiveHalf for Input {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        match self.0.recv().await {
            Some(message) => {
                inbox.text(message);
                Ok(Received::More)
            }
            None => Ok(Received::End),
        }
    }
}

const GREETING: &str = "You are fake:1\n";
const GOODBYE: &str = "* server is going down\n";
