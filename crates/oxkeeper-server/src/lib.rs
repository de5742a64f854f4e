//! The edge of a server: sockets, threads, time and files around the replica. Decides nothing.
//!
//! | thread | owns | module |
//! |---|---|---|
//! | I/O, one per core | client connections and their buffers | [`client`] |
//! | core | `Replica::step`, timers, the exclusive side | [`core_loop`] |
//! | disk | the transaction log | [`disk_thread`] |
//! | snapshot | writing snapshots, purging old files | [`snapshot_thread`] |
//! | admin | four-letter words | [`admin`] |
//! | peers, one per link in and out | of an ensemble: election port, quorum port | [`peer`] |
//!
//! | what they share | module |
//! |---|---|
//! | what serves the state | [`serving`] |
//! | the way to the core | [`core_queue`] |
//! | the client port | [`client::port`] |
//! | the ports between servers | [`peer::shared`] |
//! | the state and its files | [`history`] |
//! | what is counted | [`metrics`] |
//! | what is reported | [`report`] |
//!
//! Each thread is given those it needs. [`handover`] is how the core and the I/O threads share the state; [`run`] starts and stops everything.

pub mod admin;
pub mod client;
pub mod clock;
pub mod core_loop;
pub mod core_queue;
pub mod disk_thread;
pub mod handover;
pub mod history;
pub mod listener;
pub mod lock;
pub mod metrics;
pub mod options;
pub mod panics;
pub mod peer;
pub mod rate_log;
pub mod recovery;
pub mod report;
pub mod rounds;
pub mod run;
pub mod seed;
pub mod serving;
pub mod settings;
pub mod snapshot_thread;
pub mod stall_watch;
mod sync;

pub use oxkeeper_storage as storage;

/// The release of Apache ZooKeeper that this server behaves as.
pub const COMPATIBLE_WITH: &str = "3.9.5";

/// In the shape that scripts parse: `<major>.<minor>.<micro>[-qualifier]-<hash>, built on <date>`.
pub fn version_text() -> String {
    format!("{COMPATIBLE_WITH}-oxkeeper-{}, built on unknown", env!("CARGO_PKG_VERSION"))
}
