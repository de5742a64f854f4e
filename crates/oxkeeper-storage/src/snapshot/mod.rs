//! Snapshots: the whole state in one file, in the reference's format (DK033-DK061).
//!
//! Owns header, seals, trailers, packing and the way a file comes into being. The body between header and first seal
//! comes from and goes to `oxkeeper-tree`, which owns its layout.

pub mod compression;
pub mod format;
pub mod items;
pub mod reader;
pub mod writer;

pub use format::{SnapshotDigest, Trailers};
pub use items::{Item, read_items};
pub use reader::{LoadedSnapshot, load, looks_valid, verify};
pub use writer::{SnapshotOptions, SnapshotWriter, write_frozen, write_snapshot};

#[cfg(test)]
mod tests;
