//! A broadcast hub for lines of text, embeddable and free of sockets: one log of lines, in
//! which every member is a cursor.
//!
//! The entry point is [`Hub`], with [`join`](Hub::join), [`leave`](Hub::leave) and
//! [`publish`](Hub::publish). A [`Member`] reads as a stream of [`Delivery`], one at a time or
//! [many](Member::recv_many). Whoever has a connection of any kind makes a member of it by
//! [`session::run`], over the [`Transport`](transport::Transport) trait; `chat-server` does
//! so for TCP. With the feature `testkit` there is `chat_core::testkit`, which checks a transport
//! that you write.
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
//!     let Some(Delivery::Event(event)) = alice.next().await else { panic!("it is there") };
//!     assert_eq!(event.line(), expected);
//! }
//! # Ok(())
//! # }
//! ```
//!
//! What it promises is written where [`Hub`] is. It is not a queue that survives a restart, not
//! a cluster, and not a way to reach one member alone.

mod buffer;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod hub;
mod log;
#[cfg(test)]
#[cfg(chat_loom)]
mod models;
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
pub use hub::member::{Member, TryRecvError};
pub use types::config::HubConfig;
pub use types::errors::{JoinError, LeaveError, PublishError, RenameError};
pub use types::event::{Delivery, Event, EventKind, EventRef, LeaveReason};
pub use types::ids::MemberId;
pub use types::name::{Name, NameError};
pub use types::stats::{Roster, Stats};
