//! A client of ZooKeeper and Oxkeeper.
//!
//! [`Client`] runs on tokio: clones share one session, each request is a future, watches are values and streams. [`blocking`] is the
//! same for programs without a runtime. Below both, [`core`] is pure: session state, matching of replies, watches, the list of servers;
//! it sees bytes and points in time.
//!
//! ```no_run
//! use oxkeeper_client::{Client, CreateMode, Watched};
//!
//! #[tokio::main]
//! async fn main() -> Result<(), oxkeeper_client::ClientError> {
//!     let client = Client::connect("127.0.0.1:2181").await?;
//!     client.create("/app", "", CreateMode::Persistent).await?;
//!     let app = client.at("/app")?;
//!
//!     let mut changes = app.watch("/").recursive().await?;
//!     app.create("/server-", "10.0.0.7", CreateMode::EphemeralSequential).await?;
//!     if let Some(Watched::Event(event)) = changes.next().await {
//!         println!("{:?} {}", event.kind, event.path); // NodeCreated /server-0000000000
//!     }
//!     client.close().await
//! }
//! ```
//!
//! Must not know anything of a server's insides.

pub mod blocking;
mod client;
pub mod core;
mod error;

pub use crate::core::call::{self, Call};
pub use crate::core::hosts::ConnectString;
pub use crate::core::session::{Event, SessionState, WatchEvent};
pub use client::*;
pub use error::ClientError;
pub use oxkeeper_proto::client::{EventType, MultiOp, MultiResult, Password};
pub use oxkeeper_types::{Acl, CreateMode, ErrorCode, Id, OpCode, Perms, SessionId, Stat, Zxid};
