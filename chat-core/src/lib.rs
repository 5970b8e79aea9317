//! An embeddable broadcast hub for lines of text, without sockets. Each line is stored once, in a
//! bounded in-memory log; each member is a read cursor into it.
//!
//! The entry point is [`Hub`], with [`join`](Hub::join), [`leave`](Hub::leave) and
//! [`publish`](Hub::publish). A [`Member`] reads as a stream of [`Delivery`], one at a time or
//! [many](Member::recv_many). A [`Subscriber`] reads the same stream without being a member, a
//! [`Publisher`] is a member that does not read.
//!
//! [`session::run`] makes the peer of a connection a member. The connection can be of any kind, over
//! the [`Transport`](transport::Transport) trait; the crate `chat-server` provides TCP.
//! `chat_core::testkit`, behind the feature `testkit`, tests a transport of your own.
//!
//! ```
//! use chat_core::{Delivery, Hub, HubConfig};
//! use tokio_stream::StreamExt;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let hub = Hub::new(HubConfig::default());
//! let mut alice = hub.join("alice".parse()?)?;
//! let bob = hub.join("bob".parse()?)?;
//! bob.publish("hi")?; // never waits for a member
//! drop(bob); // leaves
//!
//! for expected in ["bob has arrived", "bob: hi", "bob has left"] {
//!     let Some(Delivery::Event(event)) = alice.next().await else { panic!("the log holds it") };
//!     assert_eq!(event.line(), expected);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The documentation of [`Hub`] states its promises. Delivery is at most once, nothing survives the
//! process, and a hub is not a cluster.
//!
//! # Features
//!
//! - `testkit`: the module `testkit`, for dev-dependencies.
//! - `serde`: serialisation of events, kinds, reasons, positions and times.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod buffer;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod hub;
mod log;
#[cfg(test)]
#[cfg(chat_loom)]
mod models;
mod panics;
mod peer;
mod protocol;
pub mod session;
mod state;
mod sync;
#[cfg(feature = "testkit")]
pub mod testkit;
pub mod transport;
mod types;

pub use hub::Hub;
pub use hub::batch::{Batch, Iter};
pub use hub::join::{JoinOptions, Joined};
pub use hub::member::Member;
pub use hub::publisher::Publisher;
pub use hub::subscriber::{Subscriber, TryRecvError};
pub use types::config::HubConfig;
pub use types::direct::Direct;
pub use types::errors::{
    JoinError, LeaveError, PublishError, PublishManyError, ReadByAllError, RenameError, SendError,
};
pub use types::event::{
    Delivery, DeliveryRef, Event, EventKind, EventRef, LeaveReason, Removal, RemovalReason,
};
pub use types::ids::MemberId;
pub use types::name::{Name, NameError};
pub use types::position::{Position, Resumed, Start};
pub use types::stats::{Lag, Roster, Stats};
pub use types::time::Timestamp;
