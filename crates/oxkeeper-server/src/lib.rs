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
//! [`handover`] is how the core and the I/O threads share the state; [`run`] starts and stops everything.

pub mod admin;
pub mod client;
pub mod clock;
pub mod core_loop;
pub mod disk_thread;
pub mod handover;
pub mod listener;
pub mod metrics;
pub mod options;
pub mod peer;
pub mod rate_log;
pub mod recovery;
pub mod rounds;
pub mod run;
pub mod seed;
pub mod settings;
pub mod shared;
pub mod snapshot_thread;
mod sync;

pub use oxkeeper_storage as storage;

/// The release of Apache ZooKeeper that this server behaves as.
pub const COMPATIBLE_WITH: &str = "3.9.5";

/// In the shape that scripts parse: `<major>.<minor>.<micro>[-qualifier]-<hash>, built on <date>`.
pub fn version_text() -> String {
    format!("{COMPATIBLE_WITH}-oxkeeper-{}, built on unknown", env!("CARGO_PKG_VERSION"))
}
