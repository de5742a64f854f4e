//! Reads log files: one file record by record, or a whole log from a zxid on.
//!
//! [`LogFileReader`] says exactly how a file ends and leaves the judgement to the caller: recovery cuts a torn tail, a
//! reader for learner sync waits there, a tool prints it. Must not change files.

use super::format::{self, HEADER_BYTES, RECORD_HEAD_BYTES, record_bytes};
use super::order::{comes_next, hides_hole, repeats_zxid};
use crate::disk::{Disk, DiskFile};
use crate::error::{GAP_ADVICE, LOG_ADVICE, StorageError, StorageResult};
use crate::names::{LogFile, SnapshotFile, list_logs, logs_from};
use bytes::Bytes;
use oxkeeper_types::Zxid;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Bytes read from the file at once. Larger ones are no faster: their memory comes from the kernel anew each time.
const CHUNK_BYTES: usize = 64 << 10;
/// Bytes: the unit in which a crash may lose parts of a write. The log is zero where it was never written, so a piece
/// of this size that is all zeros inside a record was not written (the same test as in etcd's log).
const SECTOR_BYTES: u64 = 512;

/// One record, its checksum verified.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RawRecord {
    /// Where the record starts in its file.
    pub offset: u64,
    pub zxid: Zxid,
    /// Header, record and optional digest of the transaction. Shares the buffer it was read into.
    pub body: Bytes,
}

impl RawRecord {
    /// Where the next record starts.
    pub fn end(&self) -> u64 {
        self.offset + record_bytes(self.body.len()) as u64
    }
}

/// What comes next in a file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Next {
    Record(RawRecord),
    Stop(Stop),
}

/// Why there is no record. Every variant carries where the next record would start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// A length of 0, or the end of the file: the end of the log (DK015).
    Clean { offset: u64 },
    /// A record that was not written to its end (DK025, it is cut off; DK026, unless good ones follow).
    Torn { offset: u64, expected: String, got: String },
    /// A record that is all there but wrong (DK024).
    Bad { offset: u64, expected: String, got: String },
}

impl Stop {
    pub fn offset(&self) -> u64 {
        match self {
            Stop::Clean { offset } | Stop::Torn { offset, .. } | Stop::Bad { offset, .. } => *offset,
        }
    }
    /// As an error about `path`; `last_good` is the last transaction read.
    pub fn into_error(self, path: &Path, last_good: Zxid) -> StorageError {
        let (offset, expected, got) = match self {
            Stop::Clean { offset } => (offset, "a transaction".to_string(), "the end of the log".to_string()),
            Stop::Torn { offset, expected, got } | Stop::Bad { offset, expected, got } => (offset, expected, got),
        };
        StorageError::damaged(path, offset, last_good, expected, got, LOG_ADVICE)
    }
}

/// A log file that was opened: with records, or one that a crash left before its header was written.
pub enum Opened {
    Log(LogFileReader),
    /// Empty, zeros only, or the beginning of a header (DK027).
    NoHeader,
}

/// One log file from its first record on.
pub struct LogFileReader {
    file: Box<dyn DiskFile>,
    path: PathBuf,
    /// Where the record after the last one returned starts.
    offset: u64,
    /// Bytes read ahead; those from `at` on are the file's from `offset` on.
    chunk: Bytes,
    at: usize,
    /// Length of the file when it was last asked for.
    length: u64,
}

impl LogFileReader {
    /// Opens a log and checks its header. The version and dbid are not looked at, as in the reference (DK028).
    pub fn open(disk: &dyn Disk, path: &Path) -> StorageResult<Opened> {
        let file = disk.open_read(path).map_err(|e| StorageError::io("open", path, e))?;
        let length = file.length().map_err(|e| StorageError::io("look at", path, e))?;
        let mut header = [0; HEADER_BYTES];
        let n = file.read_at(0, &mut header).map_err(|e| StorageError::io("read", path, e))?;
        if header[..4] == format::MAGIC && n == HEADER_BYTES {
            let (path, offset) = (path.to_path_buf(), HEADER_BYTES as u64);
            return Ok(Opened::Log(LogFileReader { file, path, offset, chunk: Bytes::new(), at: 0, length }));
        }
        let written = header.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        if header[..written] == format::header()[..written] {
            return Ok(Opened::NoHeader);
        }
        let (expected, got) = (format!("{:02x?} (ZKLG)", format::MAGIC), format!("{:02x?}", &header[..4]));
        Err(StorageError::damaged(path, 0, Zxid::NONE, expected, got, LOG_ADVICE))
    }

    pub fn path(&self) -> &Path {
        &self.path
    }
    /// Where the next record starts.
    pub fn offset(&self) -> u64 {
        self.offset
    }
    /// Bytes of the file, as last seen.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The next record, or why there is none. After a stop the file is looked at anew, so that a reader of the live
    /// file goes on when it has grown.
    pub fn read_next(&mut self) -> StorageResult<Next> {
        let stop = match self.read_record()? {
            Next::Record(record) => return Ok(Next::Record(record)),
            Next::Stop(stop) => stop,
        };
        self.forget_ahead();
        Ok(Next::Stop(stop))
    }

    fn read_record(&mut self) -> StorageResult<Next> {
        let offset = self.offset;
        let have = self.fill(RECORD_HEAD_BYTES)?;
        if have < RECORD_HEAD_BYTES {
            return Ok(Next::Stop(if self.ahead().iter().all(|b| *b == 0) {
                Stop::Clean { offset }
            } else {
                torn(offset, "a record", format!("{have} bytes and the end of the file"))
            }));
        }
        let head: [u8; RECORD_HEAD_BYTES] = self.ahead()[..RECORD_HEAD_BYTES].try_into().expect("as long as that");
        let length = i32::from_be_bytes(head[8..].try_into().expect("4 bytes"));
        if length == 0 {
            return Ok(Next::Stop(Stop::Clean { offset }));
        }
        if length < format::BODY_BYTES_MIN as i32 {
            let (expected, got) = (format!("a length of at least {}", format::BODY_BYTES_MIN), length.to_string());
            return Ok(Next::Stop(match has_unwritten_sector(offset, &head) {
                true => Stop::Torn { offset, expected, got },
                false => Stop::Bad { offset, expected, got },
            }));
        }
        let total = record_bytes(length as usize);
        if offset + total as u64 > self.length {
            self.length = self.file.length().map_err(|e| StorageError::io("look at", &self.path, e))?;
        }
        if offset + total as u64 > self.length || self.fill(total)? < total {
            let left = self.length.saturating_sub(offset);
            return Ok(Next::Stop(torn(offset, format!("a record of {total} bytes"), format!("{left} bytes"))));
        }
        if let Some(stop) = judge(offset, &self.ahead()[..total]) {
            return Ok(Next::Stop(stop));
        }
        let body = self.chunk.slice(self.at + RECORD_HEAD_BYTES..self.at + total - 1);
        self.at += total;
        self.offset += total as u64;
        Ok(Next::Record(RawRecord { offset, zxid: format::body_zxid(&body), body }))
    }

    fn ahead(&self) -> &[u8] {
        &self.chunk[self.at..]
    }

    fn forget_ahead(&mut self) {
        (self.chunk, self.at) = (Bytes::new(), 0);
    }

    /// Makes at least `wanted` bytes from `offset` on available, fewer only at the end of the file.
    fn fill(&mut self, wanted: usize) -> StorageResult<usize> {
        let kept = self.ahead().len();
        if kept >= wanted {
            return Ok(kept);
        }
        // The room is zeroed before it is read into: no more of it than the file can fill.
        let rest = self.length.saturating_sub(self.offset) as usize;
        let mut chunk = vec![0; wanted.max(CHUNK_BYTES.min(rest))];
        chunk[..kept].copy_from_slice(self.ahead());
        let n = self
            .file
            .read_at(self.offset + kept as u64, &mut chunk[kept..])
            .map_err(|e| StorageError::io("read", &self.path, e))?;
        chunk.truncate(kept + n);
        (self.chunk, self.at) = (Bytes::from(chunk), 0);
        Ok(kept + n)
    }

    /// Looks at what follows a stop, in the next `window` bytes. Tells a torn tail from damage.
    pub fn look_beyond(&self, window: u64) -> StorageResult<Beyond> {
        let rest = self.length.saturating_sub(self.offset).min(window);
        let mut bytes = vec![0; rest as usize];
        let n = self.file.read_at(self.offset, &mut bytes).map_err(|e| StorageError::io("read", &self.path, e))?;
        bytes.truncate(n);
        let written = bytes.iter().rposition(|b| *b != 0).map_or(0, |last| last + 1);
        bytes.truncate(written);
        let last = (1..written).rfind(|at| holds_record(&bytes[*at..]));
        Ok(Beyond { written_end: self.offset + written as u64, last_record: last.map(|at| self.offset + at as u64) })
    }
}

/// What stands in a file after the place where reading stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beyond {
    /// One past the last byte that is not zero; the offset of the stop where there is none.
    pub written_end: u64,
    /// Where the last whole, valid record after the stop starts.
    pub last_record: Option<u64>,
}

/// Whether a valid record starts here. The upper half of the checksum is always zero, which rules out most places.
fn holds_record(bytes: &[u8]) -> bool {
    if bytes.len() < record_bytes(format::BODY_BYTES_MIN) || bytes[..4] != [0; 4] {
        return false;
    }
    let length = i32::from_be_bytes(bytes[8..12].try_into().expect("4 bytes"));
    let Ok(length) = usize::try_from(length) else { return false };
    length >= format::BODY_BYTES_MIN
        && record_bytes(length) <= bytes.len()
        && bytes[RECORD_HEAD_BYTES + length] == format::RECORD_END
        && bytes[4..8] == format::adler32(&bytes[RECORD_HEAD_BYTES..RECORD_HEAD_BYTES + length]).to_be_bytes()
}

/// What is wrong with a record that is as long as it claims; `None` if nothing is.
fn judge(offset: u64, record: &[u8]) -> Option<Stop> {
    let checksum = i64::from_be_bytes(record[..8].try_into().expect("8 bytes"));
    let (end, body) = (record[record.len() - 1], &record[RECORD_HEAD_BYTES..record.len() - 1]);
    let actual = i64::from(format::adler32(body));
    if end == format::RECORD_END && actual == checksum {
        return None;
    }
    let (expected, got) = if end == format::RECORD_END {
        (format!("checksum 0x{checksum:x}"), format!("0x{actual:x} over {} bytes", body.len()))
    } else {
        (format!("0x42 after a record of {} bytes", body.len()), format!("0x{end:02x}"))
    };
    if end == 0 || has_unwritten_sector(offset, record) {
        Some(Stop::Torn { offset, expected, got })
    } else {
        Some(Stop::Bad { offset, expected, got })
    }
}

/// Whether some sector's share of the record is zeros only. The first four bytes always are, they tell nothing.
fn has_unwritten_sector(offset: u64, record: &[u8]) -> bool {
    let mut at = 4;
    while at < record.len() {
        let to_boundary = (SECTOR_BYTES - (offset + at as u64) % SECTOR_BYTES) as usize;
        let end = (at + to_boundary).min(record.len());
        if record[at..end].iter().all(|b| *b == 0) {
            return true;
        }
        at = end;
    }
    false
}

fn torn(offset: u64, expected: impl Into<String>, got: impl Into<String>) -> Stop {
    Stop::Torn { offset, expected: expected.into(), got: got.into() }
}

/// A log from a zxid on, across files; also while it is being written (DK032).
pub struct LogReader {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    /// Files still to come, newest first.
    files: Vec<LogFile>,
    current: Option<(LogFile, LogFileReader)>,
    /// The first zxid that is wanted.
    from: Zxid,
    /// The last transaction that was read, wanted or not.
    last: Option<Zxid>,
    /// Where there are snapshots.
    snapshots: Vec<Zxid>,
}

impl LogReader {
    /// Reads transactions with `zxid >= from`, starting in the newest file that may hold the first of them.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, from: Zxid) -> StorageResult<LogReader> {
        let files = logs_from(&list_logs(&*disk, dir)?, from).iter().rev().cloned().collect();
        Ok(LogReader { disk, dir: dir.to_path_buf(), files, current: None, from, last: None, snapshots: Vec::new() })
    }

    /// Among snapshots, whole or not, which show where two epochs do not join.
    pub fn beside(mut self, snapshots: &[SnapshotFile]) -> LogReader {
        self.snapshots = snapshots.iter().map(|snapshot| snapshot.zxid).collect();
        self
    }

    /// Bytes of the files that reading would go through: to weigh against the size of a snapshot
    /// (`snapshotSizeFactor`).
    pub fn size_bytes(&self) -> u64 {
        self.files.iter().map(|f| f.length).sum::<u64>() + self.current.as_ref().map_or(0, |(f, _)| f.length)
    }

    /// The next transaction; `None` at the present end of the log. Asking again later finds what was appended since.
    /// A hole between two transactions, or damage in any but the last file, is an error.
    pub fn read_next(&mut self) -> StorageResult<Option<RawRecord>> {
        loop {
            if self.current.is_none() && !self.open_next()? {
                return Ok(None);
            }
            let Some((_, reader)) = &mut self.current else { unreachable!("opened above") };
            match reader.read_next()? {
                // What an older file holds as well, and refused writes that are no part of the history.
                Next::Record(record) if self.last.is_some_and(|last| record.zxid <= last) => {}
                Next::Record(record) if repeats_zxid(self.last.unwrap_or(Zxid(i64::MIN)), &record) => {}
                Next::Record(record) => {
                    // Only transactions that are wanted, or the one before them, make a hidden hole matter.
                    let is_hole = |last: Zxid| {
                        let is_hidden = last >= self.from && hides_hole(last, record.zxid, &self.snapshots);
                        !comes_next(last, record.zxid) || is_hidden
                    };
                    if let Some(last) = self.last.filter(|last| is_hole(*last)) {
                        let (path, offset) = (reader.path().to_path_buf(), record.offset);
                        return Err(StorageError::Gap { path, offset, last, got: record.zxid, advice: GAP_ADVICE });
                    }
                    self.last = Some(record.zxid);
                    if record.zxid >= self.from {
                        return Ok(Some(record));
                    }
                }
                Next::Stop(stop) => {
                    if !self.leave(stop)? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Leaves the current file for the next one; false if there is none yet.
    fn leave(&mut self, stop: Stop) -> StorageResult<bool> {
        let (file, reader) = self.current.as_mut().expect("a file was being read");
        if self.files.is_empty() {
            let newer = list_logs(&*self.disk, &self.dir)?.into_iter().rev().take_while(|f| f.first > file.first);
            self.files = newer.collect();
            if self.files.is_empty() {
                // A record of the live file may be seen half written: it is whole the next time.
                return Ok(false);
            }
            // The writer may have gone on in this file between the stop and the roll.
            if let Next::Record(record) = reader.read_next()? {
                reader.step_back(&record);
                return Ok(true);
            }
        }
        if let Stop::Bad { .. } = stop {
            return Err(stop.into_error(reader.path(), self.last.unwrap_or(file.first)));
        }
        self.current = None;
        Ok(true)
    }

    fn open_next(&mut self) -> StorageResult<bool> {
        if self.files.is_empty() {
            // Before the very first file, or after a file whose header was not written yet.
            let from = self.last.map_or(self.from, |last| Zxid(last.0.saturating_add(1)));
            self.files = logs_from(&list_logs(&*self.disk, &self.dir)?, from).iter().rev().cloned().collect();
        }
        while let Some(file) = self.files.pop() {
            match LogFileReader::open(&*self.disk, &file.path)? {
                Opened::Log(reader) => {
                    self.current = Some((file, reader));
                    return Ok(true);
                }
                Opened::NoHeader => {}
            }
        }
        Ok(false)
    }
}

impl LogFileReader {
    /// Makes `record`, the last one returned, the next one again.
    fn step_back(&mut self, record: &RawRecord) {
        assert_eq!(record.end(), self.offset, "only the last record can be returned again");
        self.offset = record.offset;
        self.forget_ahead();
    }
}

/// The zxid of the last whole transaction of a log, `None` where there is none (`getLastLoggedZxid`).
pub fn last_logged_zxid(disk: &dyn Disk, dir: &Path) -> StorageResult<Option<Zxid>> {
    for file in list_logs(disk, dir)?.iter().rev() {
        let Opened::Log(mut reader) = LogFileReader::open(disk, &file.path)? else { continue };
        let mut last = None;
        while let Next::Record(record) = reader.read_next()? {
            last = Some(record.zxid);
        }
        if last.is_some() {
            return Ok(last);
        }
    }
    Ok(None)
}
