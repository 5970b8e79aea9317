//! A chat hub on TCP: binds [`chat_core`] to sockets.
//!
//! The caller binds and says when to stop; [`serve`] accepts, runs one session per peer, and
//! drains when told to. The binary is a thin `main` around it.
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
//! let shutdown = async { /* until Ctrl-C, say */ };
//! serve(listeners, hub, ServerConfig::default(), shutdown).await;
//! # Ok(())
//! # }
//! ```

mod limits;
mod listeners;
mod serve;

pub use listeners::{BindError, Incoming, Listener, TcpListeners, TcpOptions, TcpTransport};
pub use serve::{ServerConfig, serve};
