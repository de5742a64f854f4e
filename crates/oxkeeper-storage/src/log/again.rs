//! Transactions that stand in a log twice.
//!
//! Owns the look back that tells a copy from damage. Followers of releases before 3.9 log what a leader sends them although they
//! have it: what reaches the log while the server looks for a leader is missing from the zxid that it then shows the leader
//! (ZOOKEEPER-4541). Read a second time, it changes nothing.

use super::reader::{LogFileReader, Next, Opened, RawRecord};
use crate::disk::Disk;
use crate::error::StorageResult;
use crate::names::LogFile;
use oxkeeper_types::Zxid;

/// Where the transaction after the last copy stood first: copies come in runs.
#[derive(Default)]
pub(super) struct Again {
    first: Option<(usize, LogFileReader)>,
}

impl Again {
    /// Whether the bytes of `record` stand under its zxid in `files` already; in the last of them, before its offset.
    pub fn has(&mut self, disk: &dyn Disk, files: &[LogFile], record: &RawRecord) -> StorageResult<bool> {
        if let Some((index, mut reader)) = self.first.take()
            && let Next::Record(found) = reader.read_next()?
            && found.zxid == record.zxid
        {
            self.first = Some((index, reader));
            return Ok(found.body == record.body);
        }
        for (index, file) in files.iter().enumerate() {
            let Opened::Log(mut reader) = LogFileReader::open(disk, &file.path)? else { continue };
            let end = if index + 1 == files.len() { record.offset } else { u64::MAX };
            let mut last = Zxid::NONE;
            while let Next::Record(found) = reader.read_next()? {
                if found.offset >= end || found.zxid > record.zxid {
                    break;
                }
                // Behind a copy, the errors of `repeats_zxid` may follow under the same zxid: the first is the transaction.
                if found.zxid == record.zxid && last != found.zxid {
                    self.first = Some((index, reader));
                    return Ok(found.body == record.body);
                }
                last = found.zxid;
            }
        }
        Ok(false)
    }
}
