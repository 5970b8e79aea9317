//! The session of one peer: its conversation with the hub, over any [`Transport`].
//!
//! [`run`] turns a connection into a member, in one call and one task. It names the peer, joins,
//! greets, then receives and delivers at the same time. At the end the member leaves, the session
//! delivers what was published before that, and closes the connection.
//!
//! # Protocol
//!
//! UTF-8 lines that end with `\n` or `\r\n`. The first token of a line that the session sends decides
//! its kind: `*` marks a notice to this peer alone, `***` an announcement of the program, `You` and
//! `Here` the greeting, a token that ends in `:` a message, any other token an arrival, a departure
//! or a rename. No name can be one of these tokens, and no text contains a line end, so nothing that
//! a peer sends can start a line of another kind.
//!
//! | the session sends | to |
//! |---|---|
//! | `* what is your name? (Enter for ADDRESS)` | a peer that is [asked](Naming::Ask), first |
//! | `You are NAME` | a new member, first |
//! | `Here now: A, B, C` | a new member, next, if there are other members; at most 50 names, then ` and N others` |
//! | `NAME has arrived`, `NAME has left` | the other members |
//! | `NAME is now NEW` | all members |
//! | `NAME: TEXT` | all members, the sender included |
//! | `*** TEXT` | all members: an [announcement](Hub::announce) |
//! | `* NAME tells you: TEXT` | one member: a [direct message](Hub::send) |
//! | `* N messages skipped` | a peer that is too slow: so many events were evicted from the log before it received them |
//! | `* N notices skipped` | a peer that is too slow: so many notices found no place to wait |
//! | `* …` | one peer: the answer to a command, a [notice](Hub::notify) of the program, and at the end the reason |
//!
//! | the peer sends | the session does |
//! |---|---|
//! | `TEXT` | publishes the text |
//! | `//TEXT` | publishes `/TEXT` |
//! | `/name NEW` | renames the member, or answers `* name refused: …` |
//! | `/who` | answers `* here now: A, B, C`, at most 50 names |
//! | `/help` | answers with the commands |
//! | `/quit` | answers `* goodbye` and ends |
//! | `/anything else` | answers that there is no such command, and publishes nothing |
//! | the end of its input | ends the last line, leaves, delivers what was published before, and ends |
//!
//! An answer comes after all events that were published before it, so after the effect of its
//! command.
//!
//! Removed from a text are control characters except tab, Unicode line separators, bidirectional
//! overrides and isolates, and telnet commands. Bytes that are not UTF-8 become U+FFFD.
//!
//! A line longer than [`HubConfig::max_text`](crate::HubConfig::max_text) bytes is rejected as a
//! whole, and the peer receives a notice. If 64 KiB arrive without a line ending, or twice
//! `max_text` if that is more, the session disconnects the peer. It also disconnects a peer of a
//! byte stream that begins with an HTTP request or a TLS handshake.
//!
//! # Limits
//!
//! [`SessionConfig`] has the time limits and rate limits of one peer, and the handles by which a
//! server controls many sessions: [`SharedLimits`] for all peers of one origin, and [`Shutdown`],
//! which ends sessions and leaves their hub open.

mod deadlines;
mod delivery;
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
use crate::peer::shared::SessionShared;
use crate::protocol::decoder::LineDecoder;
use crate::transport::{ReceiveHalf, Received, Transport};
use crate::types::errors::JoinError;
use crate::types::event::LeaveReason;
use crate::types::name::Name;
use crate::types::time::Timestamp;
use delivery::{Delivery, Half};
use driver::Driver;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};

/// Makes a peer a member, runs its session to the end, and returns the reason of the end.
///
/// The connection is closed when the future is ready. The future needs tokio's timer, and borrows
/// nothing, so it can be spawned as it is. The transport is split when the future is first polled. The
/// hub spawns a few tasks into the runtime in which the future is polled. They deliver to peers that
/// have received everything, if the transport has
/// [`try_deliver`](crate::transport::DeliverHalf::try_deliver), so that runtime must be running.
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
/// [`JoinError`] if the given name is taken, if the hub is closed, or if
/// [`SessionConfig::shutdown`] was triggered before. The peer has received the reason. A failure of the
/// connection is not an error but [`LeaveReason::Lost`].
///
/// # Panics
///
/// The future panics if the transport panics. The member then leaves with
/// [`LeaveReason::Panicked`], and no other session is affected.
///
/// # Cancel safety
///
/// Not cancel safe. If the future is dropped, the member leaves and the connection is dropped at
/// once, with undelivered lines. If a task of the hub is delivering to the peer just then, the
/// connection is dropped when that delivery returns.
pub fn run<T: Transport>(
    hub: &Hub,
    name: Name,
    transport: T,
    config: &SessionConfig,
) -> impl Future<Output = Result<LeaveReason, JoinError>> + Send + use<T> {
    Start::new(hub, name, transport, config).converse()
}

/// Sends one notice to a peer that cannot be admitted, and closes the connection in order.
///
/// Takes as long as the end of a session: at most [`SessionConfig::stall_timeout`] for the notice,
/// and at most [`SessionConfig::linger`] for the peer to close its side.
///
/// # Panics
///
/// The future panics if the transport panics.
///
/// # Cancel safety
///
/// Not cancel safe. If the future is dropped, the connection is dropped at once.
pub fn refuse<T: Transport>(
    hub: &Hub,
    name: Name,
    transport: T,
    why: &str,
    config: &SessionConfig,
) -> impl Future<Output = ()> + Send + use<T> {
    let mut start = Start::new(hub, name, transport, config);
    start.refusal = Some(why.into());
    async move {
        // A refused peer does not join, so there is no error.
        let _ = start.converse().await;
    }
}

/// The number of pieces after which a half yields to other tasks and to the other half. It is less
/// than tokio's budget of a task, on which both halves draw.
const YIELD_AFTER: usize = 16;

/// The arguments of a session that was not polled yet. A transport that panics in `split` must not
/// panic in the caller, which accepts other peers as well.
struct Start {
    hub: Hub,
    name: Name,
    transport: Box<dyn Transport>,
    config: SessionConfig,
    /// The reason why the peer is not admitted.
    refusal: Option<Box<str>>,
}

impl Start {
    fn new(hub: &Hub, name: Name, transport: impl Transport, config: &SessionConfig) -> Box<Self> {
        Box::new(Self {
            hub: hub.clone(),
            name,
            transport: Box::new(transport),
            config: config.clone(),
            refusal: None,
        })
    }

    /// Runs the session to its end. An `async fn` holds the place of its arguments, in the task of
    /// each idle peer, after they were moved; so `self` is in a box.
    async fn converse(self: Box<Self>) -> Result<LeaveReason, JoinError> {
        let mut session = {
            // Frees the box before the session waits.
            let start = self;
            Session::new(*start)
        };
        let opened = session.conversation.open(session.driver.is_shut_down());
        let Session {
            shared,
            hub,
            conversation,
            decoder,
            meter,
            discardable,
            delivery,
            source,
            driver,
            started: _,
        } = &mut *session;
        let (shared, hub) = (&*shared, &*hub);
        let ended = {
            let mut receiving = pin!(async {
                let mut ended = false;
                let mut has_waited = false;
                loop {
                    for _ in 0..YIELD_AFTER {
                        if let Some(uncrowded) = conversation.pace() {
                            uncrowded.await;
                        }
                        let mut inbox = Inbox::new(conversation, decoder, meter, discardable);
                        if let Some(earned) = inbox.waits() {
                            if !std::mem::replace(&mut has_waited, true) {
                                conversation.log_rate_limit();
                            }
                            // Rare, and in a box, as is the other wait.
                            Box::pin(sleep_until(earned)).await;
                            continue;
                        }
                        if !inbox.resume() && !ended {
                            match source.receive(&mut inbox).await {
                                Ok(received) => ended = received == Received::End,
                                Err(error) => {
                                    inbox.fail(error)?;
                                    ended = true;
                                }
                            }
                        }
                        if inbox.is_exhausted() {
                            return io::Result::Ok(());
                        }
                        if ended && inbox.has_all() {
                            return inbox.end();
                        }
                        inbox.done();
                    }
                    yield_now().await;
                }
            });
            let mut delivering = pin!(async {
                'to_the_end: loop {
                    for _ in 0..YIELD_AFTER {
                        // Not a future of the half's, whose arguments each idle peer would hold.
                        if !poll_fn(|cx| delivery.poll_ready(cx, hub, shared)).await? {
                            break 'to_the_end;
                        }
                        let Half { sink, feed, .. } = delivery.half();
                        shared.set_delivering(true);
                        sink.deliver(feed).await?;
                        shared.set_delivering(false);
                    }
                    yield_now().await;
                }
                shared.set_delivering(true);
                delivery.half().sink.close(shared.reason()).await
            });
            let mut timer = pin!(sleep_until(Instant::now()));
            // Moved in, so that each wake-up follows one pointer, not two.
            poll_fn(move |cx| {
                let halves = (receiving.as_mut(), delivering.as_mut());
                driver.poll(cx, hub, shared, halves, timer.as_mut())
            })
            .await
        };
        let reason = shared.leave(hub, ended);
        shared.clear_waker();
        let duration = hub.shared.now().since(session.started);
        session.conversation.log_end(reason, duration);
        opened.map(|()| reason)
    }
}

/// The state of a session. In a box, because a future is as large as all that is moved through it.
/// The fields that each delivery uses come first, on few cache lines.
#[repr(C)]
struct Session {
    shared: Arc<SessionShared>,
    delivery: Delivery,
    driver: Driver,
    hub: Hub,
    source: Box<dyn ReceiveHalf>,
    conversation: Conversation,
    decoder: LineDecoder,
    meter: Option<Box<Meter>>,
    /// One more than the bytes that may still be discarded; 0 when the peer has sent more.
    discardable: usize,
    started: Timestamp,
}

impl Session {
    fn new(start: Start) -> Box<Self> {
        let Start {
            hub,
            name,
            transport,
            config,
            refusal,
        } = start;
        let (source, sink) = transport.split();
        let shared = Arc::new(SessionShared::new());
        let mut conversation = Conversation::new(hub.clone(), shared.clone(), &config, name);
        if let Some(why) = refusal {
            conversation.refuse(&why);
        }
        let feed = Feed::new(hub.clone(), shared.clone(), config.classic);
        Box::new(Self {
            conversation,
            decoder: LineDecoder::new(hub.config().max_text),
            meter: Meter::new(&config),
            discardable: config.linger_bytes.saturating_add(1),
            delivery: Delivery::new(sink, feed),
            driver: Driver::new(config, &shared),
            started: hub.shared.now(),
            hub,
            shared,
            source,
        })
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.delivery.abandon(&self.hub, &self.shared);
    }
}
