//! Any bytes as a log file: reading ends with a verdict and never panics; what is read is written with the same bytes; a
//! tail is cut once; what the recovery takes, the reader for learners takes too.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oxkeeper_proto::txn::TxnEntry;
use oxkeeper_storage::fault_disk::FaultDisk;
use oxkeeper_storage::log::{LogReader, RawRecord, format, replay::replay_log};
use oxkeeper_storage::{Dirs, Disk};
use oxkeeper_types::Zxid;
use std::path::Path;
use std::sync::Arc;

/// Records with right checksums, zxids in order, then bytes as they come: chance alone makes no record. The first byte
/// says how many.
fn log_of(data: &[u8]) -> Vec<u8> {
    let mut file = format::header().to_vec();
    let (records, mut rest) = data.split_first().map_or((0, data), |(n, rest)| (i64::from(n % 8), rest));
    for zxid in 1..=records {
        let length = (rest.first().map_or(0, |n| usize::from(*n)) + format::BODY_BYTES_MIN).min(rest.len());
        if length < format::BODY_BYTES_MIN {
            break;
        }
        let mut body = rest[..length].to_vec();
        body[12..20].copy_from_slice(&zxid.to_be_bytes());
        format::write_record(&mut file, &body);
        rest = &rest[length..];
    }
    file.extend_from_slice(rest);
    file
}

fn replayed(disk: &FaultDisk, dirs: &Dirs) -> (Vec<RawRecord>, bool, bool) {
    let mut records = Vec::new();
    let report = replay_log(disk, &dirs.logs, Zxid::ZERO, false, &[], &mut |_, record| {
        records.push(record);
        Ok(())
    });
    (records, report.is_ok(), report.is_ok_and(|report| report.cut.is_some()))
}

fuzz_target!(|data: &[u8]| {
    let (disk, dirs) = (FaultDisk::new(), Dirs::new(Path::new("/d"), None));
    disk.create_dir_all(&dirs.logs).expect("a directory in memory");
    let original = log_of(data);
    let file = disk.create(&dirs.log_path(Zxid(1))).expect("a file in memory");
    file.write_at(0, &original).expect("written");
    let (records, accepted, _) = replayed(&disk, &dirs);
    let mut again = format::header().to_vec();
    for record in &records {
        let _ = TxnEntry::read(&record.body);
        if record.offset as usize == again.len() {
            format::write_record(&mut again, &record.body);
        }
    }
    assert!(original.starts_with(&again), "written differently");
    if accepted {
        let (second, accepted, cut) = replayed(&disk, &dirs);
        assert!(accepted && !cut && second == records, "the second replay differs");
        let mut reader = LogReader::open(Arc::new(disk), &dirs.logs, Zxid::ZERO).expect("opens");
        for record in &records {
            // Recovery lets a log begin with any zxid above 0; from there on both want every one.
            assert_eq!(reader.read_next().expect("read before").as_ref(), Some(record));
        }
    }
});
