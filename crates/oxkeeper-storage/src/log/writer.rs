//! Appends to the log: a batch is encoded into one buffer, and one call to the disk writes it and makes it durable.
//!
//! Owns the live log file: preallocation, rolling, syncing (DK016-DK023). [`crate::persist`] joins it with the other
//! things that consensus asks of the disk. Must not look into bodies, and has no clock: whoever wants to know how long a
//! sync took is told when it begins and ends ([`SyncObserver`]).
//!
//! Preallocation is done twice over. Space is reserved in steps of `preAllocSize`, so the file has its length and a full disk
//! shows early. But a reserved block that was never written costs a metadata commit at the sync that first writes it;
//! so zeros are written a little ahead of the records, and most syncs then touch data only. Measured with batches
//! of 20 KB on ext4: 162 us a sync with reserved space alone, 106 us with zeros ahead.
//!
//! Where space is reserved, whole blocks are written, so that the disk can take them from our memory
//! ([`DiskFile::write_durable_at`]). The block that the last batch ended in is written again with the next one: its synced
//! bytes are the same, so whatever a crash leaves of the second write, they are there.

use super::block_buffer::BlockBuffer;
use super::format::{self, HEADER_BYTES};
use crate::disk::{BLOCK_BYTES, Disk, DiskFile};
use crate::error::{StorageError, StorageResult};
use crate::names::Dirs;
use oxkeeper_types::Zxid;
use oxkeeper_types::limits::RECORD_BYTES_MAX;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes: zeros are written up to the next multiple of this.
const ZERO_AHEAD_BYTES: u64 = 1 << 20;
/// Bytes that may be unsynced at once: a longer batch is written and synced in parts. Recovery relies on it: what lies
/// further behind a damaged record was written after that record had been synced.
pub const UNSYNCED_BYTES_MAX: usize = 8 << 20;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogOptions {
    /// `preAllocSize`, in bytes; 0 switches it off.
    pub preallocate_bytes: u64,
    /// `txnLogSizeLimitInKb`, in bytes: a file that is longer after a sync is left for a new one. `None`: no limit.
    pub file_bytes_max: Option<u64>,
    /// `forceSync`: false acknowledges what only the operating system has. Data is lost with power.
    pub force_sync: bool,
    /// `jute.maxbuffer` and its extra size: a longer transaction could not be read back, so it is not written.
    pub record_bytes_max: usize,
}

impl Default for LogOptions {
    fn default() -> LogOptions {
        LogOptions {
            preallocate_bytes: 64 << 20,
            file_bytes_max: None,
            force_sync: true,
            record_bytes_max: RECORD_BYTES_MAX,
        }
    }
}

/// Told around every sync of a log file; measures how long it takes.
pub trait SyncObserver: Send {
    fn sync_begins(&mut self, path: &Path);
    /// `file_bytes`: length of the file, for the warning about a slow sync ([`slow_sync_text`]).
    fn sync_ended(&mut self, path: &Path, file_bytes: u64);
}

/// The warning about a slow sync, in the words that the reference's operators look for.
pub fn slow_sync_text(thread: &str, took_ms: u64, file_bytes: u64) -> String {
    format!(
        "fsync-ing the write ahead log in {thread} took {took_ms}ms which will adversely effect operation latency.\
         File size is {file_bytes} bytes. See the ZooKeeper troubleshooting guide"
    )
}

/// The writing end of the log. Never continues a file of an earlier life: the first append starts a new one.
/// After an error the state of the files is unknown and no method may be called again; `persist` sees to that.
pub struct LogWriter {
    disk: Arc<dyn Disk>,
    pub(crate) dirs: Dirs,
    options: LogOptions,
    /// The last transaction appended, or recovered.
    last: Zxid,
    current: Option<Current>,
    /// Files that were left during this batch, written but not synced.
    left: Vec<(PathBuf, Box<dyn DiskFile>)>,
    /// Encoded records that are not written yet, behind what was written of their first block.
    buffer: BlockBuffer,
    /// A file was created since the directory was synced.
    dir_changed: bool,
    /// Bytes written to log files since the start.
    bytes_appended: u64,
    observer: Option<Box<dyn SyncObserver>>,
}

struct Current {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    /// Bytes of header and records that were written.
    written: u64,
    /// Length of the file.
    allocated: u64,
    /// Up to here the file was written, with records or zeros.
    zeroed: u64,
}

impl LogWriter {
    /// `last` is the last transaction in the log (or of the snapshot, if that is newer): appends must come after it.
    pub fn new(disk: Arc<dyn Disk>, dirs: Dirs, options: LogOptions, last: Zxid) -> LogWriter {
        LogWriter {
            disk,
            dirs,
            options,
            last,
            current: None,
            left: Vec::new(),
            buffer: BlockBuffer::default(),
            dir_changed: false,
            bytes_appended: 0,
            observer: None,
        }
    }
    pub fn set_observer(&mut self, observer: Box<dyn SyncObserver>) {
        self.observer = Some(observer);
    }
    /// The last transaction appended.
    pub fn last(&self) -> Zxid {
        self.last
    }
    /// Bytes of records written since the start, for `snapSizeLimitInKb`: differences count.
    pub fn bytes_appended(&self) -> u64 {
        self.bytes_appended
    }
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Encodes one transaction; it is durable after [`LogWriter::sync`].
    pub fn append(&mut self, zxid: Zxid, body: &[u8]) -> StorageResult<()> {
        if zxid <= self.last {
            let path = self.current.as_ref().map_or_else(|| self.dirs.log_path(zxid), |c| c.path.clone());
            return Err(StorageError::ZxidOrder { path, last: self.last, got: zxid });
        }
        let (bytes, max) = (body.len(), self.options.record_bytes_max);
        if bytes > max {
            let path = self.current.as_ref().map_or_else(|| self.dirs.log_path(zxid), |c| c.path.clone());
            return Err(StorageError::RecordTooLongToWrite { path, zxid, bytes, max });
        }
        assert_eq!(format::body_zxid(body), zxid, "the body is that of another transaction");
        if self.current.is_none() {
            self.start_file(zxid)?;
        }
        self.buffer.append(format::record_bytes(body.len()), |out| format::write_record(out, body));
        self.last = zxid;
        if self.buffer.content().len() >= UNSYNCED_BYTES_MAX {
            self.sync()?;
        }
        Ok(())
    }

    /// Writes what was appended and makes it durable: one sync per file written to.
    pub fn sync(&mut self) -> StorageResult<()> {
        self.sync_left()?;
        self.write_out(self.options.force_sync)?;
        let max = self.options.file_bytes_max.unwrap_or(u64::MAX);
        if self.current.as_ref().is_some_and(|current| current.written > max) {
            // Only trimmed now, so there is nothing to wait for.
            self.roll()?;
            self.left.clear();
        }
        // The reference does not do this: a new log file may then vanish with all it holds (DK021).
        if std::mem::take(&mut self.dir_changed) {
            let dir = &self.dirs.logs;
            self.disk.sync_dir(dir).map_err(|e| StorageError::io("sync directory", dir, e))?;
        }
        Ok(())
    }

    /// Leaves the current file; the next append starts one that is named after it (DK019).
    pub fn roll(&mut self) -> StorageResult<()> {
        self.write_out(false)?;
        let Some(current) = self.current.take() else { return Ok(()) };
        self.buffer.clear();
        if current.allocated > current.written {
            // Space was reserved for real, unlike the reference's holes: give it back.
            current.file.set_length(current.written).map_err(|e| StorageError::io("trim", &current.path, e))?;
        }
        self.left.push((current.path, current.file));
        Ok(())
    }

    /// Follows a history that was replaced from outside: a snapshot installed at `last`, or a log cut back to it.
    pub fn restart_after(&mut self, last: Zxid) -> StorageResult<()> {
        self.roll()?;
        self.sync()?;
        self.last = last;
        Ok(())
    }

    fn start_file(&mut self, first: Zxid) -> StorageResult<()> {
        assert_eq!(self.buffer.end(), 0, "bytes of another file are not written yet");
        // Only one file may have unsynced records, or a crash could keep the second file and lose the end of the first.
        self.sync_left()?;
        let path = self.dirs.log_path(first);
        let file = self.disk.create_direct(&path).map_err(|e| StorageError::io("create", &path, e))?;
        self.dir_changed = true;
        self.buffer.append(HEADER_BYTES, |out| out.extend_from_slice(&format::header()));
        self.current = Some(Current { path, file, written: 0, allocated: 0, zeroed: 0 });
        Ok(())
    }

    fn sync_left(&mut self) -> StorageResult<()> {
        for (path, file) in std::mem::take(&mut self.left) {
            if self.options.force_sync {
                let length = file.length().unwrap_or(0);
                observed(&mut self.observer, &path, length, || file.sync_data())
                    .map_err(|e| StorageError::io("sync", &path, e))?;
            }
        }
        Ok(())
    }

    /// Writes what is in the buffer and not in the file: whole blocks, where the file is long enough for them. If `durable`,
    /// it is on the disk when this returns.
    fn write_out(&mut self, durable: bool) -> StorageResult<()> {
        let LogWriter { current: Some(current), buffer, observer, .. } = self else { return Ok(()) };
        let end = buffer.end();
        if end == current.written {
            return Ok(());
        }
        current.preallocate(end, self.options.preallocate_bytes)?;
        let block_end = end.next_multiple_of(BLOCK_BYTES);
        let in_blocks = block_end <= current.allocated;
        if in_blocks {
            let last_block = current.allocated / BLOCK_BYTES * BLOCK_BYTES;
            let ahead = if block_end > current.zeroed { end.next_multiple_of(ZERO_AHEAD_BYTES) } else { block_end };
            buffer.pad_to(ahead.min(last_block));
        }
        let skipped = if in_blocks { 0 } else { (current.written - buffer.offset()) as usize };
        let (from, bytes) = (buffer.offset() + skipped as u64, &buffer.content()[skipped..]);
        let Current { path, file, allocated, .. } = &*current;
        let done = if durable {
            observed(observer, path, *allocated, || file.write_durable_at(from, bytes))
        } else {
            file.write_at(from, bytes)
        };
        done.map_err(|e| StorageError::io("write", path, e))?;
        current.zeroed = current.zeroed.max(from + bytes.len() as u64);
        current.allocated = current.allocated.max(current.zeroed);
        self.bytes_appended += end - current.written;
        current.written = end;
        // One huge batch must not hold its memory for ever.
        buffer.written_to(end, 2 * UNSYNCED_BYTES_MAX);
        Ok(())
    }
}

/// Does the work that makes a file durable, with the observer told around it.
fn observed(
    observer: &mut Option<Box<dyn SyncObserver>>,
    path: &Path,
    file_bytes: u64,
    work: impl FnOnce() -> io::Result<()>,
) -> io::Result<()> {
    if let Some(observer) = observer {
        observer.sync_begins(path);
    }
    work()?;
    if let Some(observer) = observer {
        observer.sync_ended(path, file_bytes);
    }
    Ok(())
}

impl Current {
    /// Extends the file so that `end` lies well inside. Too little room for a whole step is no failure yet: the write
    /// itself tells whether there is room for the records.
    fn preallocate(&mut self, end: u64, step: u64) -> StorageResult<()> {
        let wanted = format::padded_size(end, self.allocated.max(HEADER_BYTES as u64), step);
        if wanted <= self.allocated {
            return Ok(());
        }
        match self.file.allocate(wanted) {
            Ok(()) => {
                self.allocated = wanted;
                Ok(())
            }
            Err(e) if matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) => Ok(()),
            Err(e) => Err(StorageError::io("preallocate", &self.path, e)),
        }
    }
}
