//! Histories that do not count on by one in one epoch: across the end of the counter, and with refused writes that have no zxid
//! of their own.

use bytes::Bytes;
use oxkeeper_proto::txn::{DIGEST_VERSION, Txn, TxnDigest, TxnEntry, TxnHeader};
use oxkeeper_storage::fault_disk::FaultDisk;
use oxkeeper_storage::log::truncate::truncate_history;
use oxkeeper_storage::log::{LogOptions, LogReader, LogWriter, format};
use oxkeeper_storage::names::list_logs;
use oxkeeper_storage::recover::Recovered;
use oxkeeper_storage::snapshot::{SnapshotOptions, write_frozen};
use oxkeeper_storage::{Dirs, Disk, Persister, RecoverOptions, StorageResult, recover};
use oxkeeper_tree::Tree;
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::persist::Persist;
use oxkeeper_types::{OpCode, SessionId, Zxid};
use std::path::Path;
use std::sync::Arc;

/// Where the counter of the first epoch ends.
const END: i64 = 0xffff_ffff;
/// The snapshot from which a server crosses it.
const START: i64 = 0xffff_ffd0;

struct Server {
    disk: FaultDisk,
    dirs: Dirs,
    tree: Tree,
    persister: Persister,
}

impl Server {
    /// With a snapshot of the empty tree at `zxid`, and no log yet.
    fn at(zxid: i64) -> Server {
        let (disk, dirs) = (FaultDisk::new(), Dirs::new(Path::new("/data"), None));
        disk.create_dir_all(&dirs.logs).unwrap();
        let mut tree = Tree::new(Default::default());
        tree.set_last_processed(Zxid(zxid));
        let options = LogOptions { preallocate_bytes: 4096, ..Default::default() };
        let log = LogWriter::new(Arc::new(disk.clone()), dirs.clone(), options, Zxid(zxid));
        let mut server = Server { disk, dirs, tree, persister: Persister::new(log) };
        server.snapshot();
        server
    }
    fn snapshot(&mut self) {
        write_frozen(Arc::new(self.disk.clone()), &self.dirs, &mut self.tree, &SnapshotOptions::default()).unwrap();
        self.persister.persist(&[Persist::RollLog]).unwrap();
    }
    /// Creates `/n<zxid>`.
    fn create(&mut self, zxid: i64) {
        let mut entry = entry(zxid, create_txn(zxid));
        assert!(!self.tree.apply(&entry, &mut Vec::new()).is_refused());
        entry.digest = Some(TxnDigest { version: DIGEST_VERSION, tree_digest: self.tree.digest() });
        self.log(&entry);
    }
    fn log(&mut self, entry: &TxnEntry) {
        let mut txn = Vec::new();
        entry.write(&mut txn);
        self.persister.persist(&[Persist::Append { zxid: entry.header.zxid, txn: txn.into() }]).unwrap();
    }
    fn recover(&self) -> StorageResult<Recovered> {
        let options = RecoverOptions { recent_max: 500, ..RecoverOptions::default() };
        recover(Arc::new(self.disk.clone()), &self.dirs, &options)
    }
    fn read_from(&self, from: i64) -> Vec<i64> {
        let mut reader = LogReader::open(Arc::new(self.disk.clone()), &self.dirs.logs, Zxid(from)).unwrap();
        std::iter::from_fn(|| reader.read_next().unwrap().map(|record| record.zxid.0)).collect()
    }
}

fn entry(zxid: i64, txn: Txn) -> TxnEntry {
    let header = TxnHeader { session: SessionId(1), cxid: 0, zxid: Zxid(zxid), time: 1_700_000_000_000 };
    TxnEntry { header, txn, digest: None }
}

fn create_txn(zxid: i64) -> Txn {
    let (op, data) = (OpCode::Create, Some(Bytes::from_static(b"data")));
    Txn::Create { op, path: format!("/n{zxid}"), data, acl: open_acl(), ephemeral: false, parent_cversion: -1 }
}

/// A hundred creates across the end, a snapshot at each zxid of `snapshots`.
fn crossed(snapshots: &[i64]) -> Server {
    let mut server = Server::at(START);
    for zxid in START + 1..=START + 100 {
        server.create(zxid);
        if snapshots.contains(&zxid) {
            server.snapshot();
        }
    }
    server
}

#[test]
fn a_server_on_its_own_counts_on_across_the_end_of_the_counter() {
    for snapshots in [&[][..], &[END], &[END + 1], &[END - 3, END + 7]] {
        let server = crossed(snapshots);
        let state = server.recover().unwrap();
        assert_eq!((state.last, state.tree.digest()), (Zxid(START + 100), server.tree.digest()), "{snapshots:x?}");
        assert_eq!((&state.report.log.gap, state.report.digest_mismatch), (&None, None), "{snapshots:x?}");
        assert_eq!(server.read_from(END - 1)[..4], [END - 1, END, END + 1, END + 2]);
    }
}

#[test]
fn a_snapshot_before_the_end_of_the_counter_stands_in_for_one_behind_it() {
    for damaged in [END, END + 1, END + 5] {
        let server = crossed(&[END - 4, damaged]);
        server.disk.damage(&server.dirs.snapshot_path(Zxid(damaged), Default::default()), |bytes| bytes[40] ^= 1);
        let state = server.recover().unwrap();
        assert_eq!((state.last, state.report.rejected.len()), (Zxid(START + 100), 1), "{damaged:x}");
        assert_eq!(state.tree.digest(), server.tree.digest());
    }
}

#[test]
fn a_log_is_cut_on_either_side_of_the_end_of_the_counter() {
    for zxid in [END - 1, END, END + 1, END + 2] {
        let server = crossed(&[END - 4]);
        assert!(truncate_history(&server.disk, &server.dirs, Zxid(zxid)).unwrap().is_some(), "{zxid:x}");
        assert_eq!(server.recover().unwrap().last, Zxid(zxid));
    }
}

#[test]
fn a_transaction_that_is_missing_at_the_end_of_the_counter_is_noticed() {
    let mut server = Server::at(START);
    for zxid in (START + 1..=START + 100).filter(|zxid| *zxid != END) {
        server.create(zxid);
    }
    assert!(server.recover().unwrap_err().to_string().contains("transactions are missing"));
}

/// A server whose log has refused writes under the zxid before, as releases 3.9.0 to 3.9.5 leave it: behind `zxids`, each with
/// as many as are given.
fn with_errors(start: i64, zxids: &[(i64, usize)]) -> Server {
    let mut server = Server::at(start);
    for (zxid, errors) in zxids {
        if *zxid & 0xffff_ffff != 0 {
            server.create(*zxid);
        }
        server.repeat_error(*zxid, *errors);
    }
    server
}

impl Server {
    /// Errors behind all that was logged, under `zxid`; our own writer refuses such.
    fn repeat_error(&mut self, zxid: i64, times: usize) {
        self.persister.close().unwrap();
        let logs = list_logs(&self.disk, &self.dirs.logs).unwrap();
        let mut body = Vec::new();
        entry(zxid, Txn::Error { code: -5 }).write(&mut body);
        let mut records = Vec::new();
        (0..times).for_each(|_| format::write_record(&mut records, &body));
        match logs.last() {
            Some(log) => self.disk.damage(&log.path, |bytes| bytes.extend_from_slice(&records)),
            None => {
                let file = self.disk.create(&self.dirs.log_path(Zxid(zxid))).unwrap();
                file.write_at(0, &[&format::header()[..], &records].concat()).unwrap();
                file.sync_data().unwrap();
            }
        }
    }
}

#[test]
fn refused_writes_under_the_zxid_before_are_skipped_and_reported() {
    let epoch = 5 << 32;
    for (start, zxids, repeated) in [
        (0, &[(1, 0), (2, 1), (3, 3), (4, 0), (5, 1)][..], (2, 5)),
        // The leader of epoch 5 has given out no zxid yet.
        ((4 << 32) + 8, &[((4 << 32) + 9, 0), (epoch, 2), (epoch + 1, 1), (epoch + 2, 0)][..], (epoch, 3)),
        ((4 << 32) + 8, &[(epoch, 1), (epoch + 1, 0)][..], (epoch, 1)),
        // A session of this server alone takes no zxid.
        (0, &[(0, 1), (1, 0)][..], (0, 0)),
    ] {
        let mut server = with_errors(start, zxids);
        let last = zxids.last().unwrap().0;
        let state = server.recover().unwrap();
        assert_eq!((state.last, state.tree.digest()), (Zxid(last), server.tree.digest()));
        let found = state.report.log.repeated.as_ref().map(|repeated| (repeated.zxid.0, repeated.count));
        // One at the snapshot's own zxid lies before what is replayed, and is not looked at.
        assert_eq!(found, (repeated.1 > 0).then_some(repeated), "{zxids:x?}");
        let real: Vec<i64> = zxids.iter().map(|(zxid, _)| *zxid).filter(|zxid| *zxid & 0xffff_ffff != 0).collect();
        let recent: Vec<i64> = state.recent.txns.iter().map(|(zxid, _)| zxid.0).collect();
        assert_eq!((&recent, &server.read_from(start)), (&real, &real), "what learners are sent");
        server.create(last + 1);
        assert_eq!(server.recover().unwrap().last, Zxid(last + 1), "it goes on");
        assert!(truncate_history(&server.disk, &server.dirs, Zxid(real[0])).unwrap().is_some());
        assert_eq!(server.recover().unwrap().last, Zxid(real[0]));
    }
}

#[test]
fn other_transactions_under_the_zxid_before_are_damage() {
    let mut server = with_errors(0, &[(1, 0), (2, 0)]);
    server.persister.close().unwrap();
    let log = list_logs(&server.disk, &server.dirs.logs).unwrap().remove(0).path;
    let mut body = Vec::new();
    entry(2, create_txn(77)).write(&mut body);
    server.disk.damage(&log, |bytes| format::write_record(bytes, &body));
    assert!(server.recover().unwrap_err().to_string().contains("expected a transaction after 0x2, got 0x2"));
}

impl Server {
    /// The transactions `zxids` once more behind all that was logged, in the last file or in one of their own, as the reference
    /// writes them.
    fn log_again(&mut self, zxids: &[i64], in_own_file: bool) {
        self.persister.close().unwrap();
        let logs = list_logs(&self.disk, &self.dirs.logs).unwrap();
        let mut reader = LogReader::open(Arc::new(self.disk.clone()), &self.dirs.logs, Zxid(zxids[0])).unwrap();
        let mut records = Vec::new();
        for zxid in zxids {
            let record = reader.read_next().unwrap().unwrap();
            assert_eq!(record.zxid.0, *zxid);
            format::write_record(&mut records, &record.body);
        }
        if in_own_file {
            let file = self.disk.create(&self.dirs.log_path(Zxid(zxids[0]))).unwrap();
            file.write_at(0, &[&format::header()[..], &records].concat()).unwrap();
            file.sync_data().unwrap();
        } else {
            self.disk.damage(&logs.last().unwrap().path, |bytes| bytes.extend_from_slice(&records));
        }
    }
}

#[test]
fn transactions_that_stand_in_the_log_twice_are_read_once_and_reported() {
    for (again, in_own_file) in
        [(&[5][..], false), (&[3, 4, 5], false), (&[3, 4, 5], true), (&[2, 3], false), (&[4], true)]
    {
        let mut server = Server::at(0);
        (1..=5).for_each(|zxid| server.create(zxid));
        server.log_again(again, in_own_file);
        let state = server.recover().unwrap();
        assert_eq!((state.last, state.tree.digest()), (Zxid(5), server.tree.digest()));
        let found = state.report.log.copies.as_ref().map(|copies| (copies.zxid.0, copies.count));
        assert_eq!(found, Some((again[0], again.len() as u64)));
        assert_eq!(server.read_from(1), [1, 2, 3, 4, 5]);
        server.create(6);
        assert_eq!(server.recover().unwrap().last, Zxid(6));
        assert_eq!(server.read_from(2), [2, 3, 4, 5, 6]);
        assert!(truncate_history(&server.disk, &server.dirs, Zxid(4)).unwrap().is_some());
        assert_eq!((server.recover().unwrap().last, server.read_from(1)), (Zxid(4), vec![1, 2, 3, 4]));
    }
}
