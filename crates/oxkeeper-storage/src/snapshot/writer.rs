//! Writes a snapshot: to a temporary name, synced, then renamed, so that a file with a snapshot's name is whole.
//!
//! The reference writes most snapshots straight to their final name and unsynced (DK056), and has to guess later which are
//! whole. Must not hold the tree: the body comes piece by piece from whoever can reach it.

use super::compression::{FileSink, Packer};
use super::format::{self, Checksum, SnapshotDigest, Trailers};
use crate::disk::Disk;
use crate::error::{StorageError, StorageResult};
use crate::log::truncate::{remove_durably, truncate_log};
use crate::names::{Compression, Dirs, SnapshotFile, list_logs, list_snapshots, snapshot_name, snapshot_tmp_name};
use oxkeeper_proto::txn::DIGEST_VERSION;
use oxkeeper_tree::{ImageProgress, Tree};
use oxkeeper_types::Zxid;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Bytes of body asked for at once: how long a lock on the tree is held.
const CHUNK_BYTES: usize = 64 << 10;

/// What goes into a snapshot beside the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SnapshotOptions {
    /// `snapshot.compression.method`
    pub compression: Compression,
    /// `digest.enabled`
    pub digest: bool,
    /// `serializeLastProcessedZxid.enabled`
    pub last_processed: bool,
}

impl Default for SnapshotOptions {
    fn default() -> SnapshotOptions {
        SnapshotOptions { compression: Compression::None, digest: true, last_processed: true }
    }
}

impl SnapshotOptions {
    /// The trailers of an exact snapshot: digest and zxid are of the moment in the file's name.
    pub fn trailers(&self, zxid: Zxid, digest: u64) -> Trailers {
        let digest = self.digest.then_some(SnapshotDigest { zxid, version: DIGEST_VERSION, digest });
        Trailers { digest, last_processed: self.last_processed.then_some(zxid) }
    }
}

/// A snapshot in the making. Dropped before [`SnapshotWriter::finish`], it leaves nothing behind.
pub struct SnapshotWriter {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    zxid: Zxid,
    compression: Compression,
    tmp: PathBuf,
    /// `None` once it was finished or has failed.
    packer: Option<Packer>,
    checksum: Checksum,
    renamed: bool,
}

impl SnapshotWriter {
    pub fn create(
        disk: Arc<dyn Disk>,
        dirs: &Dirs,
        zxid: Zxid,
        compression: Compression,
    ) -> StorageResult<SnapshotWriter> {
        assert!(zxid >= Zxid::ZERO, "a snapshot at {zxid} would have no name");
        let dir = dirs.snapshots.clone();
        // A second reception of one snapshot begins before the first one's writer is dropped, which removes its file.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let tmp = dir.join(snapshot_tmp_name(zxid, compression, NEXT.fetch_add(1, Relaxed)));
        let file = disk.create(&tmp).map_err(|e| StorageError::io("create", &tmp, e))?;
        let packer = Some(Packer::new(FileSink::new(file), compression));
        let checksum = Checksum::default();
        let mut writer = SnapshotWriter { disk, dir, zxid, compression, tmp, packer, checksum, renamed: false };
        writer.write(&format::header())?;
        Ok(writer)
    }

    /// Appends bytes of the body.
    pub fn write(&mut self, bytes: &[u8]) -> StorageResult<()> {
        self.checksum.update(bytes);
        self.write_raw(bytes)
    }

    fn write_raw(&mut self, bytes: &[u8]) -> StorageResult<()> {
        let packer = self.packer.as_mut().expect("a writer that failed is not used again");
        packer.write(bytes).map_err(|e| StorageError::io("write", &self.tmp, e))
    }

    /// Seals the snapshot and gives it its name. After this returns it is there for good.
    pub fn finish(mut self, trailers: &Trailers) -> StorageResult<SnapshotFile> {
        let tail = format::write_tail(self.checksum.clone(), trailers);
        self.write_raw(&tail)?;
        let packer = self.packer.take().expect("finished once");
        let length = packer.finish().map_err(|e| StorageError::io("sync", &self.tmp, e))?;
        let path = self.dir.join(snapshot_name(self.zxid, self.compression));
        self.disk.rename(&self.tmp, &path).map_err(|e| StorageError::io("rename to", &path, e))?;
        self.renamed = true;
        self.disk.sync_dir(&self.dir).map_err(|e| StorageError::io("sync directory", &self.dir, e))?;
        Ok(SnapshotFile { zxid: self.zxid, compression: self.compression, path, length })
    }

    /// Finishes a snapshot that a leader sent, in place of the history that this server had. That history may hold
    /// transactions that nobody else has, so nothing of it may ever be replayed on top (BG013): the log goes, and newer
    /// snapshots go. The log's writer must have been told before ([`crate::Persister::restart_after`]).
    ///
    /// After a crash at any moment either the old history is there, up to here at least, or the new snapshot and nothing else:
    /// the log is cut back first, while the old snapshots still lead to what is left of it.
    pub fn install(self, trailers: &Trailers, dirs: &Dirs) -> StorageResult<SnapshotFile> {
        let (disk, zxid) = (self.disk.clone(), self.zxid);
        truncate_log(&*disk, &dirs.logs, zxid)?;
        let file = self.finish(trailers)?;
        for newer in list_snapshots(&*disk, &dirs.snapshots)?.iter().take_while(|s| s.zxid > zxid) {
            remove_durably(&*disk, &dirs.snapshots, &newer.path)?;
        }
        for log in list_logs(&*disk, &dirs.logs)? {
            remove_durably(&*disk, &dirs.logs, &log.path)?;
        }
        Ok(file)
    }

    pub fn tmp_path(&self) -> &Path {
        &self.tmp
    }
}

impl Drop for SnapshotWriter {
    fn drop(&mut self) {
        if !self.renamed {
            // The failure is on its way to the owner already; recovery removes the file if this does not.
            let _ = self.disk.remove(&self.tmp);
        }
    }
}

/// Writes a snapshot whose body comes from `next`: it appends a piece of the body to the buffer and says whether there is
/// more. A lock on the tree need only be held inside of it.
pub fn write_snapshot(
    disk: Arc<dyn Disk>,
    dirs: &Dirs,
    zxid: Zxid,
    options: &SnapshotOptions,
    digest: u64,
    next: &mut dyn FnMut(&mut Vec<u8>, usize) -> ImageProgress,
) -> StorageResult<SnapshotFile> {
    let mut writer = SnapshotWriter::create(disk, dirs, zxid, options.compression)?;
    let mut chunk = Vec::with_capacity(2 * CHUNK_BYTES);
    loop {
        chunk.clear();
        let progress = next(&mut chunk, CHUNK_BYTES);
        writer.write(&chunk)?;
        if progress == ImageProgress::Done {
            break;
        }
    }
    writer.finish(&options.trailers(zxid, digest))
}

/// Writes a snapshot of a tree that nobody else uses meanwhile.
pub fn write_frozen(
    disk: Arc<dyn Disk>,
    dirs: &Dirs,
    tree: &mut Tree,
    options: &SnapshotOptions,
) -> StorageResult<SnapshotFile> {
    let image = tree.freeze();
    let (zxid, digest) = (tree.image_zxid(image), tree.image_digest(image));
    let mut cursor = tree.image_cursor(image);
    let written =
        write_snapshot(disk, dirs, zxid, options, digest, &mut |out, wanted| tree.image_next(&mut cursor, out, wanted));
    tree.thaw(image);
    written
}
