//! The same client for programs without an async runtime, as tests and small tools are: calls that wait, and two threads per client.
//!
//! ```no_run
//! use oxkeeper_client::CreateMode;
//! use oxkeeper_client::blocking::{Client, Options};
//! let client = Client::connect("127.0.0.1:2181", Options::default())?;
//! client.create("/a", b"data", CreateMode::Persistent)?;
//! let later = client.send(oxkeeper_client::call::get_data("/a", true))?; // pipelined
//! let (data, stat) = later.wait()?;
//! # let _ = (data, stat);
//! client.close()?;
//! # Ok::<(), oxkeeper_client::ClientError>(())
//! ```

mod api;
mod driver;

pub use api::Client;
pub use driver::{Connector, Options, Pending, TcpConnector, Wire};
