//! A client of the ZooKeeper protocol, for tests, the shell and benches.
//!
//! [`core`] is pure: session state, matching of replies, watches, the list of servers; it sees bytes and points in time.
//! [`Client`] drives it with blocking sockets and two threads per client. Must not know anything of a server's insides.
//!
//! ```no_run
//! use oxkeeper_client::{Client, CreateMode, Options};
//! let client = Client::connect("127.0.0.1:2181", Options::default())?;
//! client.create("/a", b"data", CreateMode::Persistent)?;
//! let later = client.send(oxkeeper_client::call::get_data("/a", true))?; // pipelined
//! let (data, stat) = later.wait()?;
//! # let _ = (data, stat);
//! client.close()?;
//! # Ok::<(), oxkeeper_client::ClientError>(())
//! ```

mod api;
pub mod core;
mod driver;
mod error;

pub use crate::core::call::{self, Call};
pub use crate::core::hosts::ConnectString;
pub use crate::core::session::{Event, SessionState, WatchEvent};
pub use api::Client;
pub use driver::{Connector, Options, Pending, TcpConnector, Wire};
pub use error::ClientError;
pub use oxkeeper_proto::client::{EventType, MultiOp, MultiResult};
pub use oxkeeper_types::{Acl, CreateMode, ErrorCode, Id, OpCode, Perms, SessionId, Stat, Zxid};
