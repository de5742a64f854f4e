//! What stands in log files, how they end, what a writer and the readers make of it.

use super::reader::{LogFileReader, Opened};
use super::replay::{LogReport, replay_log};
use super::truncate::truncate_history;
use super::*;
use crate::disk::Disk;
use crate::error::{StorageError, StorageResult};
use crate::fault_disk::{FaultDisk, Loss};
use crate::names::Dirs;
use oxkeeper_types::Zxid;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const SMALL: LogOptions =
    LogOptions { preallocate_bytes: 8192, file_bytes_max: None, force_sync: true, record_bytes_max: 16 << 20 };

struct Bench {
    disk: FaultDisk,
    dirs: Dirs,
}

impl Bench {
    fn new() -> Bench {
        let (disk, dirs) = (FaultDisk::new(), Dirs::new(Path::new("/data"), None));
        disk.create_dir_all(&dirs.logs).unwrap();
        Bench { disk, dirs }
    }
    fn writer(&self, options: LogOptions, last: i64) -> LogWriter {
        LogWriter::new(Arc::new(self.disk.clone()), self.dirs.clone(), options, Zxid(last))
    }
    /// A log with one file per list of zxids.
    fn with_files(files: &[&[i64]]) -> Bench {
        let bench = Bench::new();
        let mut writer = bench.writer(SMALL, 0);
        for zxids in files {
            for zxid in *zxids {
                writer.append(Zxid(*zxid), &body(*zxid)).unwrap();
            }
            writer.roll().unwrap();
            writer.sync().unwrap();
        }
        bench
    }
    fn path(&self, first: i64) -> PathBuf {
        self.dirs.log_path(Zxid(first))
    }
    fn damage(&self, first: i64, change: impl FnOnce(&mut Vec<u8>)) {
        self.disk.damage(&self.path(first), change);
    }
    fn replay(&self, after: i64) -> (Vec<i64>, StorageResult<LogReport>) {
        let mut zxids = Vec::new();
        let report = replay_log(&self.disk, &self.dirs.logs, Zxid(after), false, &[], &mut |_, record| {
            assert_eq!(&record.body[..], &body(record.zxid.0)[..]);
            zxids.push(record.zxid.0);
            Ok(())
        });
        (zxids, report)
    }
    fn read_from(&self, from: i64) -> Vec<i64> {
        let mut reader = LogReader::open(Arc::new(self.disk.clone()), &self.dirs.logs, Zxid(from)).unwrap();
        std::iter::from_fn(|| reader.read_next().unwrap().map(|r| r.zxid.0)).collect()
    }
}

/// A transaction of a length that depends on its zxid.
fn body(zxid: i64) -> Vec<u8> {
    let mut body = vec![0; 12];
    body.extend_from_slice(&zxid.to_be_bytes());
    body.resize(32, 0);
    body.extend((0..(zxid * 37 % 300) as u8 as usize).map(|i| (i as i64 + zxid) as u8 | 1));
    body
}
fn record_length(zxid: i64) -> usize {
    format::record_bytes(body(zxid).len())
}

#[test]
fn a_file_has_the_layout_of_the_reference() {
    let bench = Bench::new();
    let mut writer = bench.writer(LogOptions::default(), 0);
    writer.append(Zxid(1), &body(1)).unwrap();
    writer.sync().unwrap();
    let bytes = bench.disk.bytes_of(&bench.path(1)).unwrap();
    assert_eq!(bytes.len(), 67_108_880, "16 bytes and 64 MiB (DK017)");
    assert_eq!(&bytes[..16], b"ZKLG\0\0\0\x02\0\0\0\0\0\0\0\0");
    assert_eq!(&bytes[16..24], &u64::from(format::adler32(&body(1))).to_be_bytes());
    assert_eq!(&bytes[24..28], &(body(1).len() as u32).to_be_bytes());
    assert_eq!(&bytes[28..28 + body(1).len()], &body(1)[..]);
    assert_eq!(bytes[28 + body(1).len()], b'B');
    assert!(bytes[29 + body(1).len()..].iter().all(|b| *b == 0));
}

#[test]
fn growth_follows_the_step_and_ends_with_it() {
    assert_eq!(format::padded_size(100, 16, 65536), 16 + 65536);
    assert_eq!(format::padded_size(60_000, 65552, 65536), 65552);
    assert_eq!(format::padded_size(61_456, 65552, 65536), 65552 + 65536, "fewer than 4096 bytes left");
    assert_eq!(format::padded_size(300_000, 16, 65536), 16 + 5 * 65536);
    assert_eq!(format::padded_size(300_000, 16, 0), 16, "switched off");
}

#[test]
fn without_preallocation_the_file_ends_with_the_last_record() {
    let bench = Bench::new();
    let mut writer = bench.writer(LogOptions { preallocate_bytes: 0, ..SMALL }, 0);
    for zxid in 1..=3 {
        writer.append(Zxid(zxid), &body(zxid)).unwrap();
        writer.sync().unwrap();
    }
    let expected = 16 + (1..=3).map(record_length).sum::<usize>();
    assert_eq!(bench.disk.bytes_of(&bench.path(1)).unwrap().len(), expected);
    assert_eq!(bench.replay(0).0, [1, 2, 3]);
}

#[test]
fn a_file_over_the_limit_is_left_after_the_sync() {
    let bench = Bench::new();
    let mut writer = bench.writer(LogOptions { file_bytes_max: Some(200), ..SMALL }, 0);
    for zxid in 1..=6 {
        writer.append(Zxid(zxid), &body(zxid)).unwrap();
        writer.sync().unwrap();
    }
    let files = crate::names::list_logs(&bench.disk, &bench.dirs.logs).unwrap();
    assert!(files.len() > 1, "{files:?}");
    assert!(files[..files.len() - 1].iter().all(|f| f.length > 200), "{files:?}");
    assert_eq!(bench.replay(0).0, [1, 2, 3, 4, 5, 6]);
}

#[test]
fn a_batch_larger_than_may_be_unsynced_is_synced_in_parts() {
    let bench = Bench::new();
    let mut writer = bench.writer(LogOptions { preallocate_bytes: 0, ..SMALL }, 0);
    let before = bench.disk.calls();
    let large = |zxid: i64| [&body(zxid)[..32], &vec![7; 3 << 20]].concat();
    for zxid in 1..=4 {
        writer.append(Zxid(zxid), &large(zxid)).unwrap();
    }
    assert!(bench.disk.calls() > before + 1, "three bodies of 3 MiB are more than may wait");
    writer.sync().unwrap();
    assert_eq!(bench.read_from(1), [1, 2, 3, 4]);
}

#[test]
fn a_zxid_that_does_not_increase_is_refused() {
    let bench = Bench::new();
    let mut writer = bench.writer(SMALL, 5);
    assert!(matches!(
        writer.append(Zxid(5), &body(5)),
        Err(StorageError::ZxidOrder { last: Zxid(5), got: Zxid(5), .. })
    ));
}

#[test]
fn reading_starts_in_the_right_file_and_crosses_files() {
    let bench = Bench::with_files(&[&[1, 2, 3], &[4, 5], &[6]]);
    assert_eq!(bench.read_from(0), [1, 2, 3, 4, 5, 6]);
    assert_eq!(bench.read_from(3), [3, 4, 5, 6]);
    assert_eq!(bench.read_from(5), [5, 6]);
    assert_eq!(bench.read_from(7), [0; 0]);
    assert_eq!(bench.replay(3).0, [4, 5, 6]);
}

#[test]
fn a_reader_of_the_live_file_goes_on_when_it_grows_and_rolls() {
    let bench = Bench::new();
    let mut writer = bench.writer(SMALL, 0);
    let mut reader = LogReader::open(Arc::new(bench.disk.clone()), &bench.dirs.logs, Zxid(1)).unwrap();
    writer.append(Zxid(1), &body(1)).unwrap();
    writer.sync().unwrap();
    let mut reader2 = LogReader::open(Arc::new(bench.disk.clone()), &bench.dirs.logs, Zxid(1)).unwrap();
    assert_eq!(reader2.read_next().unwrap().unwrap().zxid, Zxid(1));
    assert_eq!(reader2.read_next().unwrap(), None);
    for zxid in 2..=9 {
        writer.append(Zxid(zxid), &body(zxid)).unwrap();
        if zxid % 3 == 0 {
            writer.roll().unwrap();
        }
        writer.sync().unwrap();
    }
    let files = crate::names::list_logs(&bench.disk, &bench.dirs.logs).unwrap();
    assert_eq!(
        files.iter().map(|file| file.first.0).collect::<Vec<_>>(),
        [1, 4, 7],
        "none for what is not written yet"
    );
    for zxid in 2..=9 {
        assert_eq!(reader2.read_next().unwrap().unwrap().zxid, Zxid(zxid));
    }
    assert_eq!(reader2.read_next().unwrap(), None);
    assert_eq!(reader.read_next().unwrap().map(|r| r.zxid), Some(Zxid(1)), "opened before there was a file");
}

/// Every place at which a crash may end the last record.
#[test]
fn a_tail_torn_at_any_byte_is_cut_off_and_reported() {
    for padded in [false, true] {
        for kept in 0..record_length(3) {
            let bench = Bench::with_files(&[&[1, 2, 3]]);
            let start = 16 + record_length(1) + record_length(2);
            bench.damage(1, |bytes| {
                bytes.truncate(start + kept);
                if padded {
                    bytes.resize(start + 4000, 0);
                }
            });
            let (zxids, report) = bench.replay(0);
            let report = report.unwrap_or_else(|e| panic!("{kept} bytes kept, padded {padded}: {e}"));
            assert_eq!(zxids, [1, 2]);
            // The first four bytes of a record are zeros, as padding is.
            match report.cut {
                Some(cut) => assert_eq!((cut.offset, cut.last_good), (start as u64, Zxid(2))),
                None => assert!(kept <= 4, "{kept} bytes kept, padded {padded}: not reported"),
            }
            assert_eq!(bench.replay(0).1.unwrap().cut, None, "cut once");
        }
    }
}

#[test]
fn sectors_of_the_last_batch_that_were_never_written_are_a_torn_tail() {
    let zxids: Vec<i64> = (1..=40).collect();
    let whole = Bench::with_files(&[&zxids]);
    let length = whole.disk.bytes_of(&whole.path(1)).unwrap().len();
    for sector in 1..length / 512 {
        let bench = Bench::with_files(&[&zxids]);
        bench.damage(1, |bytes| bytes[sector * 512..(sector + 1) * 512].fill(0));
        let (read, report) = bench.replay(0);
        let report = report.unwrap_or_else(|e| panic!("sector {sector}: {e}"));
        assert!(report.cut.is_some(), "sector {sector}");
        assert_eq!(read, zxids[..read.len()], "sector {sector}");
    }
}

#[test]
fn a_flipped_byte_stops_the_start_and_says_where() {
    let bench = Bench::with_files(&[&[1, 2, 3]]);
    let start = 16 + record_length(1);
    bench.damage(1, |bytes| bytes[start + 40] ^= 1);
    let (zxids, report) = bench.replay(0);
    assert_eq!(zxids, [1]);
    let text = report.unwrap_err().to_string();
    let places = [
        "/data/version-2/log.1 is damaged at offset 98",
        "checksum 0x",
        "last good transaction 0x1",
        "zkTxnLogToolkit.sh",
    ];
    for expected in places {
        assert!(text.contains(expected), "{expected:?} in {text}");
    }
}

#[test]
fn damage_before_the_last_file_stops_the_start() {
    let bench = Bench::with_files(&[&[1, 2, 3], &[4, 5]]);
    bench.damage(1, |bytes| bytes[16 + record_length(1) + 30] ^= 1);
    assert!(matches!(bench.replay(0).1, Err(StorageError::Damaged(_))));
    let cut_short = Bench::with_files(&[&[1, 2, 3], &[4, 5]]);
    cut_short.damage(1, |bytes| bytes.truncate(16 + record_length(1) + 30));
    match cut_short.replay(0).1 {
        Err(StorageError::Gap { last: Zxid(1), got: Zxid(4), .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn zeros_far_before_valid_transactions_are_damage_not_a_tail() {
    let bench = Bench::new();
    let mut writer = bench.writer(LogOptions { preallocate_bytes: 0, ..SMALL }, 0);
    let large = |zxid: i64| [&body(zxid)[..32], &vec![7; 6 << 20]].concat();
    for zxid in 1..=6 {
        writer.append(Zxid(zxid), &large(zxid)).unwrap();
    }
    writer.sync().unwrap();
    bench.damage(1, |bytes| bytes[16 + 100..16 + 100 + 512 * 2].fill(0));
    let report = replay_log(&bench.disk, &bench.dirs.logs, Zxid(0), false, &[], &mut |_, _| Ok(()));
    assert!(matches!(report, Err(StorageError::Damaged(_))), "{report:?}");
}

#[test]
fn a_tail_torn_long_ago_is_the_end_of_its_file_if_nothing_is_missing() {
    let bench = Bench::with_files(&[&[1, 2, 3]]);
    bench.damage(1, |bytes| bytes.truncate(16 + record_length(1) + record_length(2) + 20));
    let mut writer = bench.writer(SMALL, 2);
    writer.append(Zxid(3), &body(3)).unwrap();
    writer.sync().unwrap();
    assert_eq!(bench.replay(0).0, [1, 2, 3]);
    assert_eq!(bench.read_from(1), [1, 2, 3]);
}

/// Left by a crash in a life that was given up: the log went on in an older epoch, in a file with a smaller name.
#[test]
fn a_file_without_records_does_not_hide_what_an_older_file_holds() {
    let zxids = [0x1_0000_0001, 0x7_0000_0001, 0x7_0000_0002, 0x7_0000_0003];
    for left in [&[][..], &format::header(), &[&format::header()[..], &[0, 0, 0, 0, 1, 2, 3]].concat()] {
        let bench = Bench::with_files(&[&zxids]);
        let file = bench.disk.create(&bench.path(0x7_0000_0001)).unwrap();
        file.write_at(0, left).unwrap();
        file.sync_data().unwrap();
        let (read, report) = bench.replay(0x7_0000_0002);
        assert_eq!((read, report.unwrap().removed), (vec![0x7_0000_0003], vec![bench.path(0x7_0000_0001)]), "{left:?}");

        let bench = Bench::with_files(&[&zxids]);
        bench.disk.create(&bench.path(0x7_0000_0001)).unwrap().write_at(0, left).unwrap();
        truncate_history(&bench.disk, &bench.dirs, Zxid(0x7_0000_0001)).unwrap();
        assert_eq!(bench.read_from(0), zxids[..2]);
    }
}

#[test]
fn a_last_file_without_a_header_is_removed() {
    for left in [&b""[..], &[0; 4096], &b"ZKL"[..], &b"ZKLG\0\0\0\0\0\0"[..]] {
        let bench = Bench::with_files(&[&[1, 2], &[3]]);
        bench.damage(3, |bytes| *bytes = left.to_vec());
        let (zxids, report) = bench.replay(0);
        assert_eq!((zxids, report.unwrap().removed), (vec![1, 2], vec![bench.path(3)]), "{left:?}");
        assert!(!bench.disk.exists(&bench.path(3)));
    }
    let foreign = Bench::with_files(&[&[1]]);
    foreign.damage(1, |bytes| bytes[..4].copy_from_slice(b"ZKSN"));
    assert!(matches!(foreign.replay(0).1, Err(StorageError::Damaged(_))));
}

#[test]
fn a_hole_after_the_snapshot_is_reported_and_one_in_the_log_refused() {
    let bench = Bench::with_files(&[&[5, 6]]);
    let (zxids, report) = bench.replay(3);
    let gap = report.unwrap().gap.unwrap();
    assert_eq!((zxids, gap.after, gap.found), (vec![5, 6], Zxid(3), Zxid(5)));
    let refused = replay_log(&bench.disk, &bench.dirs.logs, Zxid(3), true, &[], &mut |_, _| Ok(()));
    assert!(matches!(refused, Err(StorageError::Gap { last: Zxid(3), got: Zxid(5), .. })));
    let inside = Bench::with_files(&[&[1, 2, 4]]);
    assert!(matches!(inside.replay(0).1, Err(StorageError::Gap { last: Zxid(2), got: Zxid(4), .. })));
    let covered = Bench::with_files(&[&[1, 2], &[6, 7]]);
    assert_eq!(covered.replay(5).0, [6, 7], "a snapshot at 5 was installed in between");
}

#[test]
fn truncation_keeps_the_zxid_and_nothing_after_it() {
    for (target, left) in [(2, 2), (3, 3), (5, 5), (0, 0), (6, 6), (9, 6)] {
        let bench = Bench::with_files(&[&[1, 2, 3], &[4, 5], &[6]]);
        let done = truncate_history(&bench.disk, &bench.dirs, Zxid(target)).unwrap();
        assert_eq!(done.is_some(), target <= 6, "cut back to {target}");
        bench.disk.crash(crate::fault_disk::Loss::Everything);
        assert_eq!(bench.replay(0).0, (1..=left).collect::<Vec<_>>(), "cut back to {target}");
    }
}

#[test]
fn truncation_to_an_absent_zxid_cuts_before_the_next_larger() {
    let (old, new) = (0x1_0000_0000, 0x2_0000_0000);
    let bench = Bench::with_files(&[&[old + 1, old + 2, new + 1]]);
    truncate_history(&bench.disk, &bench.dirs, Zxid(old + 7)).unwrap();
    assert_eq!(bench.replay(old).0, [old + 1, old + 2]);
}

#[test]
fn a_sync_is_announced_with_its_file() {
    #[derive(Clone, Default)]
    struct Seen(Arc<std::sync::Mutex<Vec<String>>>);
    impl SyncObserver for Seen {
        fn sync_begins(&mut self, path: &Path) {
            self.0.lock().unwrap().push(format!("begin {}", path.display()));
        }
        fn sync_ended(&mut self, path: &Path, file_bytes: u64) {
            self.0.lock().unwrap().push(format!("end {} {file_bytes}", path.display()));
        }
    }
    let (bench, seen) = (Bench::new(), Seen::default());
    let mut writer = bench.writer(SMALL, 0);
    writer.set_observer(Box::new(seen.clone()));
    for zxid in 1..=3 {
        writer.append(Zxid(zxid), &body(zxid)).unwrap();
    }
    writer.sync().unwrap();
    assert_eq!(*seen.0.lock().unwrap(), ["begin /data/version-2/log.1", "end /data/version-2/log.1 8208"]);
    assert!(
        writer::slow_sync_text("Sync", 1200, 8208).starts_with("fsync-ing the write ahead log in Sync took 1200ms")
    );
}

#[test]
fn batches_are_written_as_whole_blocks_where_space_is_reserved() {
    let bench = Bench::new();
    let mut writer = bench.writer(SMALL, 0);
    for zxid in 1..=500 {
        writer.append(Zxid(zxid), &body(zxid)).unwrap();
        if zxid % 7 == 0 {
            writer.sync().unwrap();
        }
    }
    let (blocks, others) = bench.disk.durable_writes();
    assert_eq!((blocks, others), (71, 0));
    drop(writer);
    let mut writer = bench.writer(LogOptions { preallocate_bytes: 0, ..SMALL }, 500);
    writer.append(Zxid(501), &body(501)).unwrap();
    writer.sync().unwrap();
    assert_eq!(bench.disk.durable_writes().1, 1, "without reserved space a file has the length of its records");
    assert_eq!(bench.disk.bytes_of(&bench.path(501)).unwrap().len(), 16 + format::record_bytes(body(501).len()));
}

#[test]
fn the_last_logged_zxid_is_that_of_the_last_whole_record() {
    let bench = Bench::with_files(&[&[1, 2], &[3, 4]]);
    assert_eq!(reader::last_logged_zxid(&bench.disk, &bench.dirs.logs).unwrap(), Some(Zxid(4)));
    bench.damage(3, |bytes| bytes.truncate(20));
    assert_eq!(reader::last_logged_zxid(&bench.disk, &bench.dirs.logs).unwrap(), Some(Zxid(2)));
    assert!(matches!(LogFileReader::open(&bench.disk, &bench.path(3)).unwrap(), Opened::Log(_)));
}

#[test]
fn a_record_that_could_not_be_read_back_is_not_written() {
    let bench = Bench::new();
    let mut writer = bench.writer(LogOptions { record_bytes_max: body(1).len(), ..SMALL }, 0);
    writer.append(Zxid(1), &body(1)).unwrap();
    let mut long = body(2);
    long.push(0);
    let (bytes, max) = (long.len(), body(1).len());
    let error = writer.append(Zxid(2), &long).unwrap_err();
    assert!(
        matches!(error, StorageError::RecordTooLongToWrite { zxid: Zxid(2), bytes: b, max: m, .. } if (b, m) == (bytes, max)),
        "{error}"
    );
    assert!(error.to_string().contains("jute.maxbuffer"), "{error}");
}

#[test]
fn without_force_sync_a_write_is_acknowledged_that_power_takes_away() {
    for force_sync in [true, false] {
        let bench = Bench::new();
        let mut writer = bench.writer(LogOptions { force_sync, ..SMALL }, 0);
        writer.append(Zxid(1), &body(1)).unwrap();
        writer.sync().unwrap();
        bench.disk.crash(Loss::Everything);
        let expected: &[i64] = if force_sync { &[1] } else { &[] };
        assert_eq!(bench.replay(0).0, expected, "forceSync {force_sync}");
    }
}
