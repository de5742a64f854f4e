//! The transaction log: files of records in the reference's format, one after another by zxid.
//!
//! Owns the bytes of log files. Must not know what a transaction does to the tree: of a record's body it reads the zxid
//! only (DK011-DK032: names, header, records, padding, reading, cutting).

mod again;
mod block_buffer;
pub mod format;
mod order;
pub mod reader;
pub mod replay;
pub mod truncate;
pub mod writer;

pub use reader::{LogFileReader, LogReader, Next, RawRecord, Stop};
pub use writer::{LogOptions, LogWriter, SyncObserver};

#[cfg(test)]
mod tests;
