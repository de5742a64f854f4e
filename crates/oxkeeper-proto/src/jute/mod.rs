//! Jute, the serialization of ZooKeeper: big-endian numbers, counted buffers, -1 for null
//! (reference `BinaryInputArchive`, `BinaryOutputArchive`). No tags, no padding.

mod reader;
mod records;
mod writer;

pub use reader::{Reader, Strings};
pub use records::{read_acl_list, read_id_list, read_stat, read_stat_persisted};
pub use writer::Writer;

/// Why bytes are not the record they should be. `at` is the offset from the start of the record's buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DecodeError {
    #[error("record ends at byte {at}: {wanted} more bytes expected")]
    Truncated { at: usize, wanted: usize },
    /// The text starts as the reference's does, since scripts look for it.
    #[error("Unreasonable length = {length} at byte {at} (at most {max})")]
    UnreasonableLength { at: usize, length: i64, max: usize },
    #[error("null where a value is required at byte {at}")]
    Null { at: usize },
    #[error("unknown {what} {value} at byte {at}")]
    Unknown { at: usize, what: &'static str, value: i64 },
    #[error("read and write operations mixed in one multi at byte {at}")]
    MixedMulti { at: usize },
}

#[cfg(test)]
mod tests;
