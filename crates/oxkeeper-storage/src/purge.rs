//! Removes old snapshots and logs by the rules of the reference's `PurgeTxnLog` (DK098).
//!
//! Owns the choice of what may go. When it runs is up to the server and the `cleanup` tool. Files whose names are not exactly ours
//! are left alone.

use crate::disk::Disk;
use crate::error::{StorageError, StorageResult};
use crate::names::{Dirs, list_logs, list_snapshots, logs_from};
use crate::snapshot::{looks_valid, verify};
use oxkeeper_types::Zxid;
use std::path::PathBuf;

/// The least number of snapshots to keep (`autopurge.snapRetainCount`, the tool's `-n`).
pub const KEEP_MIN: usize = 3;

/// What was removed.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Purged {
    /// Snapshots oldest first, then logs oldest first.
    pub removed: Vec<PathBuf>,
    /// The oldest snapshot that was kept; `None` where there is none, and nothing was removed.
    pub kept_from: Option<Zxid>,
}

/// Keeps the `keep` newest snapshots that look valid, the log that starts at or before the oldest of them, and all later logs.
/// The rest goes. Nothing goes unless some kept snapshot reads well from end to end: a newest file that only
/// looks valid has cost people their data (ZOOKEEPER-2325, BG020).
pub fn purge(disk: &dyn Disk, dirs: &Dirs, keep: usize) -> StorageResult<Purged> {
    assert!(keep >= KEEP_MIN, "count should be greater than or equal to {KEEP_MIN}, got {keep}");
    let snapshots = list_snapshots(disk, &dirs.snapshots)?;
    let mut kept = Vec::new();
    for snapshot in &snapshots {
        if kept.len() < keep && looks_valid(disk, snapshot)? {
            kept.push(snapshot);
        }
    }
    let Some(oldest) = kept.last().map(|s| s.zxid) else { return Ok(Purged::default()) };
    let logs = list_logs(disk, &dirs.logs)?;
    let logs_kept = logs_from(&logs, oldest);
    let old_snapshots: Vec<_> = snapshots.iter().rev().filter(|s| s.zxid < oldest).map(|s| &s.path).collect();
    let old_logs = logs[..logs.len() - logs_kept.len()].iter().map(|l| &l.path);
    let victims: Vec<&PathBuf> = old_snapshots.into_iter().chain(old_logs).collect();
    let mut purged = Purged { removed: Vec::new(), kept_from: Some(oldest) };
    if victims.is_empty() {
        return Ok(purged);
    }
    let mut first_error = None;
    let some_good = kept.iter().any(|snapshot| match verify(disk, snapshot) {
        Ok(_) => true,
        Err(error) => {
            first_error.get_or_insert(error);
            false
        }
    });
    if !some_good {
        return Err(first_error.expect("a snapshot was looked at"));
    }
    for path in victims {
        disk.remove(path).map_err(|e| StorageError::io("remove", path, e))?;
        purged.removed.push(path.clone());
    }
    Ok(purged)
}
