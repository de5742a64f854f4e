//! Every way storage can fail: what, where, expected and got, and what to do about it.
//!
//! Owns the texts that an operator reads. Must not decide anything: whoever gets the error does.

use oxkeeper_types::{Epoch, Zxid};
use std::io;
use std::path::{Path, PathBuf};

pub type StorageResult<T> = Result<T, StorageError>;

#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    #[error("cannot {action} {path}: {source}. {advice}", path = path.display(), advice = io_advice(source))]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{0}")]
    Damaged(Box<Damage>),
    /// A transaction that does not come after the last one may never be logged (DK023).
    #[error(
        "{path}: transaction {got} does not come after {last}, the last one in the log. This is a bug in the server; \
         the log is intact up to {last}, restart to recover from it", path = path.display())]
    ZxidOrder { path: PathBuf, last: Zxid, got: Zxid },
    /// Written, it could not be read back (DK031).
    #[error(
        "{path}: transaction {zxid} is not written: it has {bytes} bytes, and jute.maxbuffer with jute.maxbuffer.extrasize \
         allows {max}. The log is intact; set jute.maxbuffer on all servers alike, then restart", path = path.display())]
    RecordTooLongToWrite { path: PathBuf, zxid: Zxid, bytes: usize, max: usize },
    /// The reference does not start with such a log either.
    #[error(
        "{path}: transaction {zxid} at offset {offset} has {bytes} bytes, and jute.maxbuffer with jute.maxbuffer.extrasize \
         allows {max}. The record is whole and nothing is lost: start with a jute.maxbuffer of at least {bytes}, as the \
         server had that wrote it", path = path.display())]
    RecordTooLong { path: PathBuf, offset: u64, zxid: Zxid, bytes: usize, max: usize },
    /// After a failed write or sync nobody knows what is on the disk, so nothing more may be promised.
    #[error("the transaction log takes no more writes after this failure: {first}. Restart the server to recover")]
    Poisoned { first: String },
    /// The reference leaves with status 3 here (DK009).
    #[error(
        "the directory {path} does not exist and datadir.autocreate is false. \
         Create it, or set datadir.autocreate=true if an empty database is wanted", path = path.display())]
    MissingDir { path: PathBuf },
    #[error(
        "{dir} holds {found}, which is a {kind} file, but is configured for {expected}. \
         Check that dataDir and dataLogDir are not swapped, then move the file", dir = dir.display())]
    MixedDirs { dir: PathBuf, found: String, kind: &'static str, expected: &'static str },
    #[error(
        "no snapshot found in {snapshots}, but there are transactions in {log}. Something is broken: snapshots may \
         have been deleted or dataDir changed. Restore the snapshots; only when upgrading from a release before \
         3.5.3, or when the logs start at the very first transaction, set snapshot.trust.empty=true",
        snapshots = snapshots.display(), log = log.display())]
    LogsWithoutSnapshot { snapshots: PathBuf, log: PathBuf },
    #[error(
        "none of the {tried} snapshots in {dir} can be read; the newest fails with: {newest}. Restore a snapshot from \
         a backup, or, if the other servers of the ensemble are healthy, move this server's data away and let it \
         join empty", dir = dir.display())]
    NoReadableSnapshot { dir: PathBuf, tried: usize, newest: String },
    #[error(
        "{path}: transactions are missing: {got} at offset {offset} follows {last}. {advice}", path = path.display())]
    Gap { path: PathBuf, offset: u64, last: Zxid, got: Zxid, advice: &'static str },
    #[error(
        "the current epoch {current:?} in {path} is older than the epoch of the last transaction {last}. A write of \
         the epoch file was lost. If no other server has seen a later epoch, write {epoch} into the file",
        path = path.display(), epoch = last.epoch().0)]
    CurrentEpochBehind { path: PathBuf, current: Epoch, last: Zxid },
    #[error(
        "the accepted epoch {accepted:?} in {path} is less than the current epoch {current:?}. One of the two files \
         was changed or restored alone; restore both from one moment", path = path.display())]
    AcceptedEpochBehind { path: PathBuf, accepted: Epoch, current: Epoch },
    #[error(
        "{path} should hold an epoch as a decimal number but holds {got:?}. Restore the file, or remove it: the epoch \
         is then taken from the last transaction", path = path.display())]
    BadEpochFile { path: PathBuf, got: String },
    #[error("cannot replay transaction {zxid} of {path} at offset {offset}: {what}. {advice}",
        path = path.display())]
    Replay { path: PathBuf, offset: u64, zxid: Zxid, what: String, advice: &'static str },
}

/// Bytes that are not what was written there.
#[derive(Debug, thiserror::Error)]
#[error(
    "{path} is damaged at offset {offset}: expected {expected}, got {got}; last good transaction {last_good}. {advice}",
    path = path.display())]
pub struct Damage {
    pub path: PathBuf,
    /// Bytes from the start of the file (of the unpacked stream, for a packed snapshot).
    pub offset: u64,
    /// The last transaction before the damage; that of the file's name where there is none.
    pub last_good: Zxid,
    pub expected: String,
    pub got: String,
    pub advice: &'static str,
}

/// What to do about a damaged log.
pub const LOG_ADVICE: &str = "If the other servers of the ensemble are healthy, move this server's data away and let \
    it join empty. Otherwise look at the file with zkTxnLogToolkit.sh of Apache ZooKeeper, and repair or chop a copy";
/// What to do about a damaged snapshot.
pub const SNAPSHOT_ADVICE: &str = "An older snapshot and the logs after it are used instead if they are there; \
    remove the file once the server is up";
/// What to do about a gap between transactions.
pub const GAP_ADVICE: &str = "A log file or a snapshot is missing. Restore it from a backup, or, if the other servers \
    of the ensemble are healthy, move this server's data away and let it join empty";

impl StorageError {
    pub fn io(action: &'static str, path: &Path, source: io::Error) -> StorageError {
        StorageError::Io { action, path: path.to_path_buf(), source }
    }
    pub fn damaged(
        path: &Path,
        offset: u64,
        last_good: Zxid,
        expected: impl Into<String>,
        got: impl Into<String>,
        advice: &'static str,
    ) -> StorageError {
        let (expected, got) = (expected.into(), got.into());
        StorageError::Damaged(Box::new(Damage { path: path.to_path_buf(), offset, last_good, expected, got, advice }))
    }
    /// The status the process leaves with: 3 where the data directory cannot be used (reference
    /// `ExitCode.UNABLE_TO_ACCESS_DATADIR`), else 1.
    pub fn exit_code(&self) -> i32 {
        match self {
            StorageError::MissingDir { .. } | StorageError::MixedDirs { .. } => 3,
            StorageError::Io { action: "create directory", .. } => 3,
            StorageError::Io { source, .. } if is_no_access(source) => 3,
            _ => 1,
        }
    }
}

fn is_no_access(error: &io::Error) -> bool {
    use io::ErrorKind::{NotADirectory, PermissionDenied, ReadOnlyFilesystem};
    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem | NotADirectory)
}

fn io_advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "The disk is full: free space (autopurge.snapRetainCount keeps fewer old snapshots and logs), then start the server again"
        }
        io::ErrorKind::PermissionDenied => "Give the server's user access to it",
        io::ErrorKind::NotFound => "Check dataDir and dataLogDir, and that nobody else removes files there",
        io::ErrorKind::ReadOnlyFilesystem => {
            "The file system is mounted read-only, maybe after an error: see the kernel log"
        }
        _ => "Check the disk and the kernel log",
    }
}
