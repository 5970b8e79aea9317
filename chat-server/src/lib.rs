//! A chat hub on TCP: binds [`chat_core`] to sockets.
//!
//! The entry point is [`serve`]. The caller binds a [`Listener`], such as [`TcpListeners`], and passes
//! a future that ends the server. `serve` runs one session per peer, within the limits of
//! [`ServerConfig`], and drains them at the end. The binary is a thin program around it.
//!
//! ```
//! use chat_core::{Hub, HubConfig};
//! use chat_server::{ServerConfig, TcpListeners, serve};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let listeners = TcpListeners::bind("localhost:0").await?;
//! println!("try: nc localhost {}", listeners.addresses()[0].port());
//! let hub = Hub::new(HubConfig::default());
//! let shutdown = async { /* until Ctrl-C, for instance */ };
//! let drained = serve(listeners, hub, ServerConfig::default(), shutdown).await;
//! assert_eq!(drained.cut, 0);
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! `cli`, on by default, is for the binary only. A program that uses the library does without its
//! dependencies by `default-features = false`.
//!
//! # Log
//!
//! The library emits `tracing` events and installs no subscriber. It emits at level info what an
//! operator of a server needs: refusals, failures, the shutdown. Events that peers can cause at any rate
//! are emitted once per 10 s, then summarized: `312 more refusals from 10.0.0.7 in 10 s`. Strings of peers
//! are recorded as strings, which subscribers escape.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod limits;
mod listeners;
mod serve;

pub use listeners::{BindError, Incoming, Listener, TcpListeners, TcpOptions, TcpTransport};
pub use serve::{Drained, ServerConfig, serve};
