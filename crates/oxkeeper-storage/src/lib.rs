//! Durable formats and the only door to files.
//!
//! Owns every byte on disk: transaction logs, snapshots, epoch files, in the reference's formats, and what may be concluded
//! from them after a crash. Must not know sockets, clocks or who asks. Everything goes through the [`disk::Disk`] trait,
//! so that the same code runs on real files, on a disk that fails on purpose, and in the simulator.
//!
//! Writing: [`persist`] (log, epochs), [`snapshot`]. Reading: [`recover`] at start, [`log::LogReader`] for learners.
//! Housekeeping: [`purge`].

pub mod dir_lock;
pub mod disk;
pub mod epoch_file;
pub mod error;
pub mod fault_disk;
pub mod log;
pub mod names;
pub mod persist;
pub mod purge;
pub mod real_disk;
pub mod recover;
pub mod snapshot;

pub use dir_lock::DirLock;
pub use disk::{Disk, DiskFile};
pub use error::{StorageError, StorageResult};
pub use names::{Compression, Dirs};
pub use persist::Persister;
pub use real_disk::RealDisk;
pub use recover::{RecoverOptions, Recovered, recover};
