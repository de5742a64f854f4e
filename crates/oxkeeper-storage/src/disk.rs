//! The door to files: everything that storage asks of a file system, as two small traits.
//!
//! Owns the contract only. [`crate::real_disk`] keeps it over `std`, [`crate::fault_disk`] in memory with faults; the
//! simulator may bring its own. Must not know any format.
//!
//! What a crash may do is part of the contract: bytes written since the last [`DiskFile::sync_data`] may be there, be
//! lost, or be there in part; a name created, renamed or removed since the last [`Disk::sync_dir`] of its directory may
//! be in its old or its new state.

use std::io;
use std::path::Path;

/// The unit of direct I/O: a multiple of what disks and file systems ask for.
pub const BLOCK_BYTES: u64 = 4096;

/// A name in a directory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct DirEntry {
    pub name: String,
    /// Bytes.
    pub length: u64,
}

/// A file system, shared by all parts of a server.
pub trait Disk: Send + Sync {
    /// A new file, or an existing one made empty; readable and writable.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// As `create`, for a file that is mostly written by [`DiskFile::write_durable_at`]: whole blocks may then go past the
    /// page cache, where the file system lets them.
    fn create_direct(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        self.create(path)
    }
    /// An existing file for reading and writing.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// An existing file for reading only: needs no write permission.
    fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Replaces `to` if it exists.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Plain files of a directory, sorted by name. Names that are not UTF-8 are left out: none of ours are.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    fn create_dir_all(&self, dir: &Path) -> io::Result<()>;
    fn is_dir(&self, path: &Path) -> bool;
    fn exists(&self, path: &Path) -> bool;
    /// Makes creations, renames and removals in `dir` durable.
    fn sync_dir(&self, dir: &Path) -> io::Result<()>;
}

/// An open file. Positions are explicit, so that a reader and a writer of one file do not disturb each other.
pub trait DiskFile: Send + Sync {
    /// Bytes read into `into`; fewer than asked for only at the end of the file.
    fn read_at(&self, offset: u64, into: &mut [u8]) -> io::Result<usize>;
    /// Writes all of `bytes`; the file grows as needed.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Writes all of `bytes`, and makes them and everything written to the file before durable. Fastest for whole
    /// blocks ([`is_whole_blocks`]) of a file that was made by [`Disk::create_direct`].
    fn write_durable_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_at(offset, bytes)?;
        self.sync_data()
    }
    /// Makes the content and what is needed to read it back durable (`fdatasync`).
    fn sync_data(&self) -> io::Result<()>;
    /// Cuts the file, or extends it with zeros.
    fn set_length(&self, length: u64) -> io::Result<()>;
    /// Reserves space, so that the file is `length` bytes long and reads as zeros where nothing was written.
    fn allocate(&self, length: u64) -> io::Result<()>;
    fn length(&self) -> io::Result<u64>;
}

/// Whether a write meets what direct I/O asks for: offset, length and address in multiples of [`BLOCK_BYTES`].
pub fn is_whole_blocks(offset: u64, bytes: &[u8]) -> bool {
    let block = BLOCK_BYTES as usize;
    offset.is_multiple_of(BLOCK_BYTES)
        && bytes.len().is_multiple_of(block)
        && bytes.as_ptr().addr().is_multiple_of(block)
}

/// The whole of a small file.
pub fn read_all(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open_read(path)?;
    let mut bytes = vec![0; file.length()? as usize];
    let n = file.read_at(0, &mut bytes)?;
    bytes.truncate(n);
    Ok(bytes)
}
