//! File and directory names of the reference, and which files to leave alone.
//!
//! Owns the mapping between names and zxids (inventory DK001-DK010, DK018, DK033). Must not open files.

use crate::disk::Disk;
use crate::error::{StorageError, StorageResult};
use oxkeeper_types::Zxid;
use std::path::{Path, PathBuf};

/// The directory under dataDir and dataLogDir that holds everything; the number is the format version.
pub const VERSION_DIR: &str = "version-2";
pub const ACCEPTED_EPOCH: &str = "acceptedEpoch";
pub const CURRENT_EPOCH: &str = "currentEpoch";
/// Marker beside a version directory: an empty database may be trusted once.
pub const INITIALIZE: &str = "initialize";
const LOG_PREFIX: &str = "log.";
const SNAPSHOT_PREFIX: &str = "snapshot.";
const TMP_SUFFIX: &str = ".tmp";

/// How a snapshot file is packed. Told by its name, never by configuration (DK052).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Compression {
    #[default]
    None,
    Gzip,
    Snappy,
}

impl Compression {
    pub const fn extension(self) -> &'static str {
        match self {
            Compression::None => "",
            Compression::Gzip => ".gz",
            Compression::Snappy => ".snappy",
        }
    }
    /// A value of `snapshot.compression.method`: anything unknown means none, as in the reference.
    pub fn from_option(value: &str) -> Compression {
        match value.to_ascii_lowercase().as_str() {
            "gz" => Compression::Gzip,
            "snappy" => Compression::Snappy,
            _ => Compression::None,
        }
    }
}

/// Where a server keeps its files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dirs {
    /// `dataDir/version-2`: snapshots and epoch files.
    pub snapshots: PathBuf,
    /// `dataLogDir/version-2`: transaction logs. The same directory where dataLogDir is not set.
    pub logs: PathBuf,
}

impl Dirs {
    pub fn new(data_dir: &Path, data_log_dir: Option<&Path>) -> Dirs {
        Dirs { snapshots: data_dir.join(VERSION_DIR), logs: data_log_dir.unwrap_or(data_dir).join(VERSION_DIR) }
    }
    pub fn are_one(&self) -> bool {
        self.snapshots == self.logs
    }
    pub fn log_path(&self, first: Zxid) -> PathBuf {
        self.logs.join(log_name(first))
    }
    pub fn snapshot_path(&self, zxid: Zxid, compression: Compression) -> PathBuf {
        self.snapshots.join(snapshot_name(zxid, compression))
    }
}

/// `log.<hex zxid of its first transaction>`.
pub fn log_name(first: Zxid) -> String {
    format!("{LOG_PREFIX}{:x}", first.0)
}

/// `snapshot.<hex zxid>` and the extension of its compression.
pub fn snapshot_name(zxid: Zxid, compression: Compression) -> String {
    format!("{SNAPSHOT_PREFIX}{:x}{}", zxid.0, compression.extension())
}

/// The name under which a snapshot is written until it is complete. Starts with a dot, since the reference takes
/// `snapshot.5.tmp` for a snapshot (`Util.getZxidFromName` looks at the second part only). `writer` tells two that are written at
/// one zxid apart.
pub fn snapshot_tmp_name(zxid: Zxid, compression: Compression, writer: u64) -> String {
    format!(".{}.{writer}{TMP_SUFFIX}", snapshot_name(zxid, compression))
}

pub fn tmp_name(name: &str) -> String {
    format!("{name}{TMP_SUFFIX}")
}

pub fn is_tmp_name(name: &str) -> bool {
    name.ends_with(TMP_SUFFIX)
}

/// The zxid of a log file's name; `None` for any other file, `log.5.bak` among them.
pub fn parse_log_name(name: &str) -> Option<Zxid> {
    parse_hex(name.strip_prefix(LOG_PREFIX)?)
}

/// The zxid and packing of a snapshot file's name; `None` for any other file.
pub fn parse_snapshot_name(name: &str) -> Option<(Zxid, Compression)> {
    let rest = name.strip_prefix(SNAPSHOT_PREFIX)?;
    let (hex, compression) = match rest.split_once('.') {
        None => (rest, Compression::None),
        Some((hex, "gz")) => (hex, Compression::Gzip),
        Some((hex, "snappy")) => (hex, Compression::Snappy),
        Some(_) => return None,
    };
    Some((parse_hex(hex)?, compression))
}

/// Digits of a non-negative 64-bit number; a zxid of -1 never names a file.
fn parse_hex(digits: &str) -> Option<Zxid> {
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    i64::from_str_radix(digits, 16).ok().map(Zxid)
}

/// Whether the reference counts a file as a log when it looks for mixed directories (`Util.isLogFileName`).
pub fn looks_like_log(name: &str) -> bool {
    name.starts_with(LOG_PREFIX)
}
/// As [`looks_like_log`], for snapshots.
pub fn looks_like_snapshot(name: &str) -> bool {
    name.starts_with(SNAPSHOT_PREFIX)
}

/// A log file by its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LogFile {
    /// The zxid in the name: that of the first transaction.
    pub first: Zxid,
    pub path: PathBuf,
    /// Bytes, padding included.
    pub length: u64,
}

/// A snapshot file by its name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SnapshotFile {
    /// The zxid in the name: replay starts after it (DK055).
    pub zxid: Zxid,
    pub compression: Compression,
    pub path: PathBuf,
    /// Bytes, as stored.
    pub length: u64,
}

/// Log files in order of zxid, oldest first (DK010: never by the name as text).
pub fn list_logs(disk: &dyn Disk, dir: &Path) -> StorageResult<Vec<LogFile>> {
    let entries = disk.list(dir).map_err(|e| StorageError::io("list", dir, e))?;
    let mut logs: Vec<LogFile> = entries
        .into_iter()
        .filter_map(|e| Some(LogFile { first: parse_log_name(&e.name)?, path: dir.join(&e.name), length: e.length }))
        .collect();
    logs.sort_by_key(|l| l.first);
    Ok(logs)
}

/// Snapshot files in order of zxid, newest first.
pub fn list_snapshots(disk: &dyn Disk, dir: &Path) -> StorageResult<Vec<SnapshotFile>> {
    let entries = disk.list(dir).map_err(|e| StorageError::io("list", dir, e))?;
    let mut snapshots: Vec<SnapshotFile> = entries
        .into_iter()
        .filter_map(|e| {
            let (zxid, compression) = parse_snapshot_name(&e.name)?;
            Some(SnapshotFile { zxid, compression, path: dir.join(&e.name), length: e.length })
        })
        .collect();
    snapshots.sort_by_key(|s| (std::cmp::Reverse(s.zxid), s.compression));
    Ok(snapshots)
}

/// The part of `logs` (oldest first) that may hold transactions from `zxid` on: the last file that starts at or before
/// it, and all after that one (DK029; `FileTxnLog.getLogFiles`).
pub fn logs_from(logs: &[LogFile], zxid: Zxid) -> &[LogFile] {
    let after = logs.partition_point(|l| l.first <= zxid);
    &logs[after.saturating_sub(1)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_carry_the_zxid_in_plain_hex() {
        assert_eq!(log_name(Zxid(0x1_0000_00ab)), "log.1000000ab");
        assert_eq!(snapshot_name(Zxid(0), Compression::Gzip), "snapshot.0.gz");
        assert_eq!(parse_snapshot_name("snapshot.a.snappy"), Some((Zxid(10), Compression::Snappy)));
        assert_eq!(parse_log_name("log.100000001"), Some(Zxid(0x1_0000_0001)));
    }

    #[test]
    fn other_files_are_left_alone() {
        for name in ["log.5.bak", "log.", "log.xyz", "log.+5", "log.ffffffffffffffff", "logs.5", "acceptedEpoch"] {
            assert_eq!(parse_log_name(name), None, "{name}");
        }
        for name in ["snapshot.5.tmp", ".snapshot.5.tmp", "snapshot", "snapshot.5.gz.tmp", "snapshot.5.zst"] {
            assert_eq!(parse_snapshot_name(name), None, "{name}");
        }
    }

    #[test]
    fn reading_starts_in_the_newest_file_that_starts_at_or_before() {
        let file = |z| LogFile { first: Zxid(z), path: PathBuf::new(), length: 0 };
        let logs = [file(1), file(5), file(9)];
        let firsts = |z| logs_from(&logs, Zxid(z)).iter().map(|l| l.first.0).collect::<Vec<_>>();
        assert_eq!(firsts(0), [1, 5, 9]);
        assert_eq!(firsts(4), [1, 5, 9]);
        assert_eq!(firsts(5), [5, 9]);
        assert_eq!(firsts(100), [9]);
    }
}
