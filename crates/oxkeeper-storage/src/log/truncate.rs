//! Cuts history back: everything after a zxid goes, durably, and in an order that a crash cannot turn into a hole.
//!
//! Newest files go first, the file that holds the zxid is cut last: at every moment what is left is a beginning of the old
//! history. The reference cuts first and syncs nothing (DK030, BG029, BG030).

use super::format::HEADER_BYTES;
use super::order::{comes_next, hides_hole, repeats_zxid};
use super::reader::{LogFileReader, Next, Opened, Stop};
use crate::disk::Disk;
use crate::error::{StorageError, StorageResult};
use crate::names::{Dirs, LogFile, SnapshotFile, list_logs, list_snapshots, logs_from};
use crate::snapshot::looks_valid;
use oxkeeper_types::Zxid;
use std::path::{Path, PathBuf};

/// What was cut.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Truncated {
    /// Files that were removed.
    pub removed: Vec<PathBuf>,
    /// The oldest file that was cut, and to how many bytes.
    pub cut: Option<(PathBuf, u64)>,
}

/// Drops every transaction after `zxid`: later log files, the rest of the file that holds it, and snapshots that are newer
/// (they hold what must go). `None`, and nothing is touched, where what would be left is not the history through `zxid`.
pub fn truncate_history(disk: &dyn Disk, dirs: &Dirs, zxid: Zxid) -> StorageResult<Option<Truncated>> {
    let snapshots = list_snapshots(disk, &dirs.snapshots)?;
    if !leads_to(disk, dirs, &snapshots, zxid)? {
        return Ok(None);
    }
    let mut done = Truncated::default();
    for snapshot in snapshots.iter().take_while(|s| s.zxid > zxid) {
        remove_durably(disk, &dirs.snapshots, &snapshot.path)?;
        done.removed.push(snapshot.path.clone());
    }
    let log = truncate_log(disk, &dirs.logs, zxid)?;
    done.removed.extend(log.removed);
    Ok(Some(Truncated { cut: log.cut, ..done }))
}

/// Whether a snapshot, and the log on top of it, lead to the history through `zxid`, or to its end before where it has no such
/// transaction. They do not where a leader's snapshot took the place of the log, or the log there was purged: cut back, the state
/// would be that of an older snapshot, without what was acknowledged since.
fn leads_to(disk: &dyn Disk, dirs: &Dirs, snapshots: &[SnapshotFile], zxid: Zxid) -> StorageResult<bool> {
    let zxids: Vec<Zxid> = snapshots.iter().map(|snapshot| snapshot.zxid).collect();
    let mut base = snapshots.is_empty().then_some(Zxid::ZERO);
    for snapshot in snapshots.iter().skip_while(|s| s.zxid > zxid) {
        if looks_valid(disk, snapshot)? {
            base = Some(snapshot.zxid);
            break;
        }
    }
    let Some(mut last) = base else { return Ok(false) };
    let all = list_logs(disk, &dirs.logs)?;
    for file in logs_from(&all, Zxid(last.0.saturating_add(1))) {
        let Opened::Log(mut reader) = LogFileReader::open(disk, &file.path)? else { continue };
        loop {
            match reader.read_next()? {
                Next::Record(record) if record.zxid <= last || repeats_zxid(last, &record) => {}
                Next::Record(record) if !comes_next(last, record.zxid) || hides_hole(last, record.zxid, &zxids) => {
                    return Ok(last == zxid);
                }
                Next::Record(record) if record.zxid > zxid => return Ok(true),
                Next::Record(record) => last = record.zxid,
                Next::Stop(stop @ Stop::Bad { .. }) => return Err(stop.into_error(&file.path, last)),
                Next::Stop(_) => break,
            }
        }
    }
    Ok(last == zxid)
}

/// As [`truncate_history`], for the log alone.
pub fn truncate_log(disk: &dyn Disk, dir: &Path, zxid: Zxid) -> StorageResult<Truncated> {
    let mut done = Truncated::default();
    let logs = list_logs(disk, dir)?;
    let later = logs.partition_point(|l| l.first <= zxid);
    for log in logs[later..].iter().rev() {
        remove_durably(disk, dir, &log.path)?;
        done.removed.push(log.path.clone());
    }
    // A file may hold nothing that stays, whatever its name: then the file before it is the one to cut. And where transactions
    // stand twice (`Again`), the file before holds what must go as well.
    let mut cut_from = None;
    for log in logs[..later].iter().rev() {
        let end = match end_of(disk, log, zxid) {
            // Damage in what came before stops nobody who does not need it.
            Err(StorageError::Damaged(_)) if cut_from.is_some() => break,
            end => end?,
        };
        if let (Some(end), Some(from)) = (&end, cut_from)
            && !end.cuts
            && end.last < from
        {
            break;
        }
        match end {
            Some(end) => {
                cut(disk, &log.path, end.offset)?;
                done.cut = Some((log.path.clone(), end.offset));
                cut_from = Some(log.first);
            }
            None => {
                remove_durably(disk, dir, &log.path)?;
                done.removed.push(log.path.clone());
            }
        }
    }
    Ok(done)
}

/// Where what stays of a file ends.
struct End {
    offset: u64,
    /// The last transaction that stays.
    last: Zxid,
    /// A transaction that goes follows.
    cuts: bool,
}

/// Where the first transaction after `zxid` starts, or where the records end; `None` where the file holds no transaction up
/// to `zxid`. The cut is before the first larger zxid even if `zxid` itself is absent (BG029).
fn end_of(disk: &dyn Disk, log: &LogFile, zxid: Zxid) -> StorageResult<Option<End>> {
    let Opened::Log(mut reader) = LogFileReader::open(disk, &log.path)? else { return Ok(None) };
    let mut last = None;
    let (offset, cuts) = loop {
        match reader.read_next()? {
            Next::Record(record) if record.zxid > zxid => break (record.offset, true),
            Next::Record(record) => last = Some(record.zxid),
            Next::Stop(stop @ Stop::Bad { .. }) => return Err(stop.into_error(&log.path, last.unwrap_or(log.first))),
            Next::Stop(stop) => break (stop.offset(), false),
        }
    };
    Ok(last.map(|last| End { offset, last, cuts }))
}

/// Cuts a file to `length` bytes, durably. The file stays writable by name, nothing else of it changes.
pub fn cut(disk: &dyn Disk, path: &Path, length: u64) -> StorageResult<()> {
    assert!(length >= HEADER_BYTES as u64, "{}: cut to {length} bytes, less than a header", path.display());
    let file = disk.open(path).map_err(|e| StorageError::io("open", path, e))?;
    file.set_length(length).map_err(|e| StorageError::io("cut", path, e))?;
    file.sync_data().map_err(|e| StorageError::io("sync", path, e))
}

/// Removes one file, durably before anything else is done.
pub fn remove_durably(disk: &dyn Disk, dir: &Path, path: &Path) -> StorageResult<()> {
    disk.remove(path).map_err(|e| StorageError::io("remove", path, e))?;
    disk.sync_dir(dir).map_err(|e| StorageError::io("sync directory", dir, e))
}
