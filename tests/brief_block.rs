//! A transport that accepts no bytes for a moment, and does again before its session has noticed.

use async_trait::async_trait;
use chat_core::session::{Naming, SessionConfig};
use chat_core::transport::{DeliverHalf, Feed, Inbox, ReceiveHalf, Received, Transport};
use chat_core::{Hub, HubConfig, LeaveReason};
use chat_tests::memory::{DEADLINE, spawn};
use chat_tests::within;
use std::future::poll_fn;
use std::io;
use std::task::Poll;
use tokio::sync::mpsc;

/// Lines from and to the peer. Each delivery has to be polled twice.
struct Channels(
    mpsc::UnboundedReceiver<String>,
    mpsc::UnboundedSender<String>,
);

impl Transport for Channels {
    fn split(self: Box<Self>) -> (Box<dyn ReceiveHalf>, Box<dyn DeliverHalf>) {
        (Box::new(FromPeer(self.0)), Box::new(ToPeer(self.1)))
    }
}

struct FromPeer(mpsc::UnboundedReceiver<String>);

#[async_trait]
impl ReceiveHalf for FromPeer {
    async fn receive(&mut self, inbox: &mut Inbox<'_>) -> io::Result<Received> {
        let Some(line) = self.0.recv().await else {
            return Ok(Received::End);
        };
        inbox.text(&line);
        Ok(Received::More)
    }
}

struct ToPeer(mpsc::UnboundedSender<String>);

#[async_trait]
impl DeliverHalf for ToPeer {
    async fn deliver(&mut self, feed: &mut Feed) -> io::Result<()> {
        let mut blocked = true;
        poll_fn(|cx| match std::mem::take(&mut blocked) {
            true => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            false => Poll::Ready(()),
        })
        .await;
        let lines = feed.take();
        self.0.send(lines).map_err(io::Error::other)
    }

    async fn close(&mut self, _: LeaveReason) -> io::Result<()> {
        Ok(())
    }
}

mod notice {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn is_delivered_afterwards() {
        let hub = Hub::new(HubConfig::default());
        let (say, said) = mpsc::unbounded_channel();
        let (tell, mut told) = mpsc::unbounded_channel();
        let mut config = SessionConfig::default();
        config.naming = Naming::Ask;
        spawn(&hub, "mem:1", Channels(said, tell), &config);
        let mut heard = async |expected: &str| {
            let lines = within(DEADLINE, expected, told.recv()).await;
            assert_eq!(lines.as_deref(), Some(expected));
        };
        heard("* what is your name? (Enter for mem:1)\n").await;
        for (line, answer) in [
            ("alice", "You are alice\n"),
            ("/name alice", "* you are alice already\n"),
            ("/who", "* here now: alice\n"),
        ] {
            // It has nothing more to deliver.
            for _ in 0..9 {
                tokio::task::yield_now().await;
            }
            assert!(say.send(line.into()).is_ok(), "it receives");
            heard(answer).await;
        }
    }
}
