//! Reads a snapshot file: unpacks it, hands the body on in pieces, verifies the seals.
//!
//! Reads what every release has written: with and without each trailer, packed or not. Must not choose between snapshots (that
//! is `recover`).

use super::compression::{GZIP_MAGIC, SNAPPY_MAGIC, read_full, unpack};
use super::format::{self, Checksum, HEADER_BYTES, LAST_BYTES, TAIL_BYTES_MAX, Trailers};
use super::items::ItemScanner;
use crate::disk::Disk;
use crate::error::{SNAPSHOT_ADVICE, StorageError, StorageResult};
use crate::names::{Compression, SnapshotFile};
use oxkeeper_tree::{ImageLoader, Tree, TreeOptions};
use std::io::{self, Read};

/// Bytes of the stream looked at in one go.
const CHUNK_BYTES: usize = 256 << 10;

/// A snapshot in memory.
#[derive(Debug)]
pub struct LoadedSnapshot {
    /// At the zxid in the file's name.
    pub tree: Tree,
    pub trailers: Trailers,
    /// Nodes whose ACL list is missing from the file (BG044).
    pub acls_missing: usize,
    /// The node with the longest data, and its bytes.
    pub longest: (String, usize),
}

/// Where the body of a snapshot goes.
pub(super) trait Body {
    /// Takes bytes; says how many belonged to the body, or where in the body what is wrong.
    fn feed(&mut self, bytes: &[u8]) -> Result<usize, (u64, String)>;
    fn is_done(&self) -> bool;
}

impl Body for ImageLoader {
    fn feed(&mut self, bytes: &[u8]) -> Result<usize, (u64, String)> {
        ImageLoader::feed(self, bytes).map_err(|e| (e.at, e.to_string()))
    }
    fn is_done(&self) -> bool {
        ImageLoader::is_done(self)
    }
}

/// Loads a snapshot into a tree.
pub fn load(disk: &dyn Disk, file: &SnapshotFile, options: TreeOptions) -> StorageResult<LoadedSnapshot> {
    let mut loader = ImageLoader::new(options);
    let trailers = read(disk, file, &mut loader)?;
    let mut loaded =
        loader.finish().map_err(|e| damaged(file, HEADER_BYTES as u64 + e.at, "a tree", &e.to_string()))?;
    loaded.tree.set_last_processed(file.zxid);
    Ok(LoadedSnapshot { tree: loaded.tree, trailers, acls_missing: loaded.acls_missing, longest: loaded.longest })
}

/// Reads a whole snapshot and checks every seal, without building a tree.
pub fn verify(disk: &dyn Disk, file: &SnapshotFile) -> StorageResult<Trailers> {
    read(disk, file, &mut ItemScanner::new(&mut |_| {}))
}

/// Reads a whole snapshot into `body`, and checks every seal.
pub(super) fn read(disk: &dyn Disk, file: &SnapshotFile, body: &mut dyn Body) -> StorageResult<Trailers> {
    let handle = disk.open_read(&file.path).map_err(|e| StorageError::io("open", &file.path, e))?;
    let mut offset = 0;
    let mut source = unpack(handle, file.compression).map_err(|e| read_error(file, 0, e))?;
    let mut checksum = Checksum::default();
    let mut header = [0; HEADER_BYTES];
    let n = read_full(&mut *source, &mut header).map_err(|e| read_error(file, 0, e))?;
    if n < HEADER_BYTES || header[..4] != format::MAGIC {
        let expected = format!("{:02x?} (ZKSN) and a header of {HEADER_BYTES} bytes", format::MAGIC);
        return Err(damaged(file, 0, &expected, &format!("{:02x?}", &header[..n])));
    }
    checksum.update(&header);
    offset += HEADER_BYTES as u64;

    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        let n = read_full(&mut *source, &mut chunk).map_err(|e| read_error(file, offset, e))?;
        if n == 0 {
            return Err(damaged(file, offset, "more of the snapshot", "the end of the file"));
        }
        let bytes = &chunk[..n];
        let taken = body
            .feed(bytes)
            .map_err(|(at, what)| damaged(file, HEADER_BYTES as u64 + at, "a body that can be loaded", &what))?;
        checksum.update(&bytes[..taken]);
        offset += taken as u64;
        if body.is_done() {
            let tail = read_to_tail_end(&mut *source, &bytes[taken..]).map_err(|e| read_error(file, offset, e))?;
            return format::read_tail(checksum, &tail)
                .map_err(|bad| damaged(file, offset + bad.at as u64, &bad.expected, &bad.got));
        }
    }
}

/// Everything after the body, or one byte more than there can be.
fn read_to_tail_end(source: &mut dyn Read, have: &[u8]) -> io::Result<Vec<u8>> {
    let mut tail = have.to_vec();
    let room = (TAIL_BYTES_MAX + 1).saturating_sub(tail.len());
    source.take(room as u64).read_to_end(&mut tail)?;
    Ok(tail)
}

/// A cheap look whether a file may be a whole snapshot, as the reference takes it (DK050): the end of a plain file, the beginning
/// of a packed one.
pub fn looks_valid(disk: &dyn Disk, file: &SnapshotFile) -> StorageResult<bool> {
    let handle = disk.open_read(&file.path).map_err(|e| StorageError::io("open", &file.path, e))?;
    let length = handle.length().map_err(|e| StorageError::io("look at", &file.path, e))?;
    let (offset, expected): (u64, &[u8]) = match file.compression {
        Compression::None if length < 10 => return Ok(false),
        Compression::None => (length - LAST_BYTES.len() as u64, &LAST_BYTES),
        Compression::Gzip => (0, &GZIP_MAGIC),
        Compression::Snappy => (0, &SNAPPY_MAGIC),
    };
    let mut bytes = vec![0; expected.len()];
    let n = handle.read_at(offset, &mut bytes).map_err(|e| StorageError::io("read", &file.path, e))?;
    Ok(bytes[..n] == *expected)
}

pub(super) fn damaged(file: &SnapshotFile, offset: u64, expected: &str, got: &str) -> StorageError {
    StorageError::damaged(&file.path, offset, file.zxid, expected, got, SNAPSHOT_ADVICE)
}

/// Bytes that cannot be unpacked are damage; anything else is the disk.
fn read_error(file: &SnapshotFile, offset: u64, error: io::Error) -> StorageError {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput => {
            damaged(file, offset, "bytes that can be unpacked", &error.to_string())
        }
        _ => StorageError::io("read", &file.path, error),
    }
}
