//! One peer's conversation with the hub, over any [`Transport`].
//!
//! [`run`] makes a member of whoever has a connection, in one call and one task: it names the
//! peer, joins, greets, reads and delivers at the same time, and ends in order: it leaves,
//! delivers what came before the leaving, and closes.
//!
//! # The protocol
//!
//! UTF-8 lines with `\n` at the end; `\r\n` is accepted.
//!
//! | the session sends | when |
//! |---|---|
//! | `* what is your name? (Enter for ADDRESS)` | first, to a peer that is [asked](Naming::Ask) |
//! | `You are NAME` | first, to a new member |
//! | `Here now: A, B, C` | then, if others are here; at most 50 names, then ` and N others` |
//! | `NAME has arrived`, `NAME has left`, `NAME is now NEW` | to the members |
//! | `NAME: TEXT` | to all, the sender included |
//! | `* …` | notices to one peer alone |
//!
//! | the peer sends | and means |
//! |---|---|
//! | `TEXT` | publish it |
//! | `/name NEW`, `/who`, `/help`, `/quit` | the commands |
//! | `//TEXT` | publish `/TEXT` |
//! | `/anything else` | nothing: it is told so |
//!
//! A line is longer than [`HubConfig::max_text`](crate::HubConfig::max_text) bytes: it is refused
//! whole, with a notice. It has no end after 64 KiB: the peer is cut. The end of the peer's
//! input counts as the end of its last line.

mod driver;

pub use crate::peer::config::{Naming, SessionConfig};
pub use crate::peer::rate::{Quota, Rate, RateLimiter};
pub use crate::peer::shared_limits::SharedLimits;
pub use crate::peer::shutdown::Shutdown;

use crate::hub::Hub;
use crate::peer::conversation::Conversation;
use crate::peer::feed::Feed;
use crate::peer::inbox::Inbox;
use crate::peer::meter::Meter;
use crate::peer::shared::Desk;
use crate::protocol::decoder::LineDecoder;
use crate::transport::{DeliverHalf, ReceiveHalf, Received, Transport};
use crate::types::errors::JoinError;
use crate::types::event::LeaveReason;
use crate::types::name::Name;
use driver::Driver;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

/// Makes a member of a peer, and returns when that has ended, with the reason.
///
/// Needs tokio's timer, and no more of the runtime. The connection is closed when it returns.
/// Not cancel safe: dropping it leaves the hub and drops the connection there and then, without
/// delivering what came before. The future borrows nothing, so that it can be spawned as it is.
///
/// ```no_run
/// # async fn accept() -> std::io::Result<tokio::io::DuplexStream> { Ok(tokio::io::duplex(64).0) }
/// use chat_core::session::{self, SessionConfig};
/// use chat_core::transport::IoTransport;
/// use chat_core::{Hub, HubConfig, Name};
///
/// # async fn listen() -> Result<(), Box<dyn std::error::Error>> {
/// let hub = Hub::new(HubConfig::default());
/// for number in 1.. {
///     let transport = IoTransport::new(accept().await?);
///     let name = Name::assigned(&format!("peer:{number}"))?;
///     tokio::spawn(session::run(&hub, name, transport, &SessionConfig::default()));
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// [`JoinError`] if the given name is taken or the hub is closed, after the peer was told so.
/// Trouble with the connection is no error but a [`LeaveReason`].
// An `async fn` would hold its arguments, in every idle peer's task, after they were moved on.
pub fn run<T: Transport>(
    hub: &Hub,
    name: Name,
    transport: T,
    config: &SessionConfig,
) -> impl Future<Output = Result<LeaveReason, JoinError>> + Send + use<T> {
    Session::new(hub, name, transport, config).converse()
}

/// Says one line to a peer that cannot be let in, as a notice, and closes in order.
///
/// Takes as long as a session's end: for the line at most [`SessionConfig::stall_timeout`], and
/// for the peer to close at most [`SessionConfig::linger`]. Not cancel safe: dropping it drops
/// the connection.
pub fn refuse<T: Transport>(
    hub: &Hub,
    name: Name,
    transport: T,
    why: &str,
    config: &SessionConfig,
) -> impl Future<Output = ()> + Send + use<T> {
    let mut session = Session::new(hub, name, transport, config);
    session.conversation.turn_away(why);
    async move {
        // It has nothing to open, so there is nothing to fail.
        let _ = session.converse().await;
    }
}

/// After so many pieces, a half that could go on lets others have the thread, and the other half
/// the task: less than tokio's budget for a task, which both draw on.
const TURNS: usize = 16;

/// A peer's state. In a box, because a future is as large as all that is moved through it.
/// In this order, as what each delivery looks at is to be together, on few cache lines.
#[repr(C)]
struct Session {
    desk: Arc<Desk>,
    sink: Box<dyn DeliverHalf>,
    feed: Feed,
    driver: Driver,
    hub: Hub,
    source: Box<dyn ReceiveHalf>,
    conversation: Conversation,
    decoder: LineDecoder,
    meter: Option<Box<Meter>>,
}

impl Session {
    fn new(hub: &Hub, name: Name, transport: impl Transport, config: &SessionConfig) -> Box<Self> {
        let (source, sink) = Box::new(transport).split();
        let desk = Arc::new(Desk::new());
        Box::new(Self {
            conversation: Conversation::new(hub.clone(), desk.clone(), config, name),
            decoder: LineDecoder::new(hub.config().max_text),
            meter: config.rate.map(|rate| Box::new(Meter::new(rate))),
            feed: Feed::new(hub.clone(), desk.clone(), config.classic),
            driver: Driver::new(config, &desk),
            hub: hub.clone(),
            desk,
            source,
            sink,
        })
    }

    /// Runs the conversation to its end.
    async fn converse(mut self: Box<Self>) -> Result<LeaveReason, JoinError> {
        let opened = self.conversation.open();
        let Self {
            desk,
            hub,
            conversation,
            decoder,
            meter,
            feed,
            source,
            sink,
            driver,
        } = &mut *self;
        let (desk, hub) = (&*desk, &*hub);
        let ended = {
            let mut receiving = pin!(async {
                let mut ended = false;
                loop {
                    for _ in 0..TURNS {
                        if let Some(room) = conversation.pace() {
                            room.await;
                        }
                        let mut inbox = Inbox::new(conversation, decoder, meter);
                        if let Some(earned) = inbox.waits() {
                            // Seldom, and in a box, as is the other wait.
                            Box::pin(sleep_until(earned)).await;
                            continue;
                        }
                        if !inbox.resume() && !ended {
                            ended = source.receive(&mut inbox).await? == Received::End;
                        }
                        if ended && inbox.has_all() {
                            inbox.end();
                            return io::Result::Ok(());
                        }
                        inbox.done();
                    }
                    yield_now().await;
                }
            });
            let mut delivering = pin!(async {
                'to_the_end: loop {
                    for _ in 0..TURNS {
                        if !feed.ready().await {
                            break 'to_the_end;
                        }
                        desk.set_delivering(true);
                        sink.deliver(feed).await?;
                        desk.set_delivering(false);
                    }
                    yield_now().await;
                }
                desk.set_delivering(true);
                sink.close(desk.reason()).await
            });
            let mut timer = pin!(sleep_until(Instant::now()));
            // Moved in, so that each wake-up follows one pointer, not two.
            poll_fn(move |cx| {
                let halves = (receiving.as_mut(), delivering.as_mut());
                driver.poll(cx, hub, desk, halves, timer.as_mut())
            })
            .await
        };
        let reason = desk.leave(hub, ended);
        desk.clear_waker();
        tracing::debug!(peer = %self.conversation.default_name(), %reason, "session ended");
        opened.map(|()| reason)
    }
}
