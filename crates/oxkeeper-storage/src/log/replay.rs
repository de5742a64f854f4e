//! Goes through a log once at start: hands every transaction on, and decides what the end of the last file means.
//!
//! Owns the rules on tails and holes; [`crate::recover`] brings the tree. The failure rules of the design: a record that a
//! crash cut short at the end of the last file is cut off and reported; damage anywhere else stops the start.

use super::again::Again;
use super::order::{comes_next, hides_hole, is_next_number, repeats_zxid};
use super::reader::{LogFileReader, Next, Opened, RawRecord, Stop};
use super::truncate::{cut, remove_durably};
use super::writer::UNSYNCED_BYTES_MAX;
use crate::disk::Disk;
use crate::error::{GAP_ADVICE, LOG_ADVICE, StorageError, StorageResult};
use crate::names::{LogFile, list_logs, logs_from};
use oxkeeper_types::Zxid;
use std::path::{Path, PathBuf};

/// Bytes after a clean end in which something is looked for that should not be there.
const CLEAN_WINDOW_BYTES: u64 = 1 << 20;

/// What was found in the log.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct LogReport {
    /// Files read, oldest first.
    pub files: Vec<PathBuf>,
    /// Transactions handed on.
    pub transactions: u64,
    /// The last transaction of the log; `None` where the files hold none at all.
    pub last_logged: Option<Zxid>,
    /// A tail that was cut off.
    pub cut: Option<Cut>,
    /// Files without a whole record, removed.
    pub removed: Vec<PathBuf>,
    /// The first transaction of the log that does not follow the snapshot (DK095).
    pub gap: Option<Gap>,
    /// Refused writes that have no zxid of their own ([`repeats_zxid`]); they were skipped.
    pub repeated: Option<Repeated>,
    /// Transactions that stood in the log already ([`Again`]); they were skipped.
    pub copies: Option<Repeated>,
}

/// Records under the zxid of an earlier one.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Repeated {
    /// Where the first of them stands.
    pub path: PathBuf,
    pub offset: u64,
    pub zxid: Zxid,
    pub count: u64,
}

/// A tail that was cut off.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    pub path: PathBuf,
    /// The new length of the file.
    pub offset: u64,
    /// Bytes behind it that were not zero padding.
    pub bytes: u64,
    /// The last transaction that is left.
    pub last_good: Zxid,
    /// What showed that the tail was torn.
    pub reason: String,
}

/// Transactions that are missing between a snapshot and the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gap {
    pub path: PathBuf,
    /// The snapshot's zxid.
    pub after: Zxid,
    /// The first transaction there is.
    pub found: Zxid,
}

/// Hands every transaction after `after` to `visit`, in order, and repairs the tail. A hole right after `after` is reported, or
/// refused if `refuse_gap`; one between two transactions is always refused. `refuse_gap` also wants proof that the log
/// goes on from `after` where an epoch ends there: the transaction `after` itself must be in it.
///
/// `snapshots`: where there are snapshots, whole or not: they show holes between epochs.
pub fn replay_log(
    disk: &dyn Disk,
    dir: &Path,
    after: Zxid,
    refuse_gap: bool,
    snapshots: &[Zxid],
    visit: &mut dyn FnMut(&Path, RawRecord) -> StorageResult<()>,
) -> StorageResult<LogReport> {
    // A killed predecessor may have removed or made files and not got to sync that: what is seen now must stay so.
    disk.sync_dir(dir).map_err(|e| StorageError::io("sync directory", dir, e))?;
    let mut report = LogReport::default();
    let all = remove_without_records(disk, dir, list_logs(disk, dir)?, &mut report)?;
    let from = Zxid(after.0.saturating_add(1));
    let files = logs_from(&all, from);
    let (mut last, mut saw_after, mut again) = (after, after == Zxid::ZERO, Again::default());
    for (index, file) in files.iter().enumerate() {
        let Opened::Log(mut reader) = LogFileReader::open(disk, &file.path)? else { continue };
        report.files.push(file.path.clone());
        let stop = loop {
            let record = match reader.read_next()? {
                Next::Record(record) => record,
                Next::Stop(stop) => break stop,
            };
            if is_repeated(after, &record, &report) {
                note(&mut report.repeated, &file.path, &record);
                continue;
            }
            let is_older = report.last_logged.is_some_and(|last| record.zxid <= last);
            if is_older && again.has(disk, &files[..=index], &record)? {
                note(&mut report.copies, &file.path, &record);
                continue;
            }
            check_order(&file.path, &record, &mut report)?;
            if record.zxid <= after {
                saw_after |= record.zxid == after;
                continue;
            }
            let proven = report.transactions > 0 || !refuse_gap || saw_after;
            let is_sure = is_next_number(last, record.zxid) || (proven && !hides_hole(last, record.zxid, snapshots));
            if !comes_next(last, record.zxid) || !is_sure {
                let (path, offset) = (file.path.clone(), record.offset);
                if report.transactions > 0 || refuse_gap {
                    return Err(StorageError::Gap { path, offset, last, got: record.zxid, advice: GAP_ADVICE });
                }
                report.gap = Some(Gap { path, after, found: record.zxid });
            }
            last = record.zxid;
            report.transactions += 1;
            visit(&file.path, record)?;
        };
        let last_good = report.last_logged.unwrap_or(file.first);
        let is_last = index + 1 == files.len();
        judge_end(disk, &reader, stop, is_last, last_good, &mut report)?;
        if is_last {
            make_durable(disk, file)?;
        }
    }
    Ok(report)
}

/// After a kill, records may be read that are in the page cache only. From now on they count as history (in elections,
/// toward acknowledgements), so a loss of power must not take them back.
fn make_durable(disk: &dyn Disk, newest: &LogFile) -> StorageResult<()> {
    let file = disk.open(&newest.path).map_err(|e| StorageError::io("open", &newest.path, e))?;
    file.sync_data().map_err(|e| StorageError::io("sync", &newest.path, e))
}

/// A crash may leave a file without a header, or without a whole record: nothing was ever acknowledged from it. It must go, not
/// only because it is of no use: its name says that all from some zxid on is in it or later, and an older file may since have
/// grown beyond that zxid. The reference removes the last file if it is empty (DK027), and is misled by others.
fn remove_without_records(
    disk: &dyn Disk,
    dir: &Path,
    logs: Vec<LogFile>,
    report: &mut LogReport,
) -> StorageResult<Vec<LogFile>> {
    let mut kept = Vec::with_capacity(logs.len());
    for file in logs.into_iter().rev() {
        let is_last = kept.is_empty();
        let has_records = match LogFileReader::open(disk, &file.path)? {
            Opened::NoHeader => false,
            Opened::Log(mut reader) => match reader.read_next()? {
                Next::Record(_) => true,
                Next::Stop(stop) if is_last => {
                    judge_end(disk, &reader, stop, true, file.first, report)?;
                    false
                }
                Next::Stop(Stop::Clean { offset }) => reader.look_beyond(CLEAN_WINDOW_BYTES)?.written_end > offset,
                // Reading decides, if it comes by here.
                Next::Stop(_) => true,
            },
        };
        if has_records {
            kept.push(file);
        } else {
            remove_durably(disk, dir, &file.path)?;
            report.removed.push(file.path);
        }
    }
    kept.reverse();
    Ok(kept)
}

/// Whether a record is to be skipped as [`repeats_zxid`] says.
fn is_repeated(after: Zxid, record: &RawRecord, report: &LogReport) -> bool {
    match report.last_logged {
        Some(last) => repeats_zxid(last, record),
        // The first of a file may be the transaction `after` itself.
        None => record.zxid > after && repeats_zxid(after, record),
    }
}

fn note(skipped: &mut Option<Repeated>, path: &Path, record: &RawRecord) {
    let (path, offset, zxid) = (path.to_path_buf(), record.offset, record.zxid);
    skipped.get_or_insert(Repeated { path, offset, zxid, count: 0 }).count += 1;
}

/// The reference only warns when it writes a zxid that is not larger, and applies it again when it reads it back.
fn check_order(path: &Path, record: &RawRecord, report: &mut LogReport) -> StorageResult<()> {
    if let Some(last) = report.last_logged.filter(|last| record.zxid <= *last) {
        let (expected, got) = (format!("a transaction after {last}"), record.zxid.to_string());
        return Err(StorageError::damaged(path, record.offset, last, expected, got, LOG_ADVICE));
    }
    report.last_logged = Some(record.zxid);
    Ok(())
}

/// Decides whether a file may end where it does, and cuts off a torn tail.
fn judge_end(
    disk: &dyn Disk,
    reader: &LogFileReader,
    stop: Stop,
    is_last: bool,
    last_good: Zxid,
    report: &mut LogReport,
) -> StorageResult<()> {
    let path = reader.path();
    let offset = stop.offset();
    let reason = match &stop {
        Stop::Bad { .. } => return Err(stop.into_error(path, last_good)),
        // The next file shows whether anything is missing: a crash long ago may have left this end.
        _ if !is_last => return Ok(()),
        Stop::Clean { .. } if reader.look_beyond(CLEAN_WINDOW_BYTES)?.written_end == offset => return Ok(()),
        Stop::Clean { .. } => "zeros, but bytes after them".to_string(),
        Stop::Torn { expected, got, .. } => format!("expected {expected}, got {got}"),
    };
    // Anything a batch away was written after this place had been synced: then it was not a crash.
    let beyond = reader.look_beyond(u64::MAX)?;
    let reach = 2 * UNSYNCED_BYTES_MAX as u64;
    if let Some(record) = beyond.last_record.filter(|record| *record > offset + reach) {
        let got = format!("{reason}; there are valid transactions after it up to offset {record}");
        return Err(StorageError::damaged(path, offset, last_good, "a transaction", got, LOG_ADVICE));
    }
    cut(disk, path, offset)?;
    let bytes = beyond.written_end - offset;
    report.cut = Some(Cut { path: path.to_path_buf(), offset, bytes, last_good, reason });
    Ok(())
}
