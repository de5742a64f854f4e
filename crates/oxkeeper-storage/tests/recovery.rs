//! What recovery trusts, repairs, refuses and reports.

use bytes::Bytes;
use oxkeeper_proto::txn::{DIGEST_VERSION, Txn, TxnDigest, TxnEntry, TxnHeader};
use oxkeeper_storage::epoch_file::{read_epoch, write_epoch};
use oxkeeper_storage::fault_disk::{Fault, FaultDisk, Loss};
use oxkeeper_storage::log::{LogOptions, LogReader, LogWriter};
use oxkeeper_storage::names::{ACCEPTED_EPOCH, CURRENT_EPOCH, SnapshotFile, list_logs, list_snapshots};
use oxkeeper_storage::purge::purge;
use oxkeeper_storage::recover::{Epochs, Recent, Recovered};
use oxkeeper_storage::snapshot::{SnapshotOptions, SnapshotWriter, write_frozen};
use oxkeeper_storage::{Compression, Dirs, Disk, Persister, RecoverOptions, StorageError, StorageResult, recover};
use oxkeeper_tree::Tree;
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::persist::{Persist, Persisted};
use oxkeeper_types::{Epoch, OpCode, SessionId, Zxid};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A server's directories, and the state it would have.
struct Server {
    disk: FaultDisk,
    dirs: Dirs,
    options: RecoverOptions,
}

impl Server {
    fn new() -> Server {
        Server::with_dirs(Dirs::new(Path::new("/data"), None))
    }
    fn with_dirs(dirs: Dirs) -> Server {
        Server { disk: FaultDisk::new(), dirs, options: RecoverOptions::default() }
    }
    /// A server that has logged `zxids` after a fresh start, with a snapshot after each zxid of `snapshots`.
    fn with_history(zxids: impl IntoIterator<Item = i64>, snapshots: &[i64]) -> Server {
        let server = Server::new();
        let Recovered { mut tree, last, .. } = server.recover().unwrap();
        let mut persister = server.persister(last);
        for zxid in zxids {
            let txn = apply(&mut tree, zxid);
            persister.persist(&[Persist::Append { zxid: Zxid(zxid), txn: txn.into() }]).unwrap();
            if snapshots.contains(&zxid) {
                server.snapshot(&mut tree, Compression::None);
                persister.persist(&[Persist::RollLog]).unwrap();
            }
        }
        persister.close().unwrap();
        server
    }
    fn persister(&self, last: Zxid) -> Persister {
        let options = LogOptions { preallocate_bytes: 4096, ..Default::default() };
        Persister::new(LogWriter::new(Arc::new(self.disk.clone()), self.dirs.clone(), options, last))
    }
    fn snapshot(&self, tree: &mut Tree, compression: Compression) -> PathBuf {
        let options = SnapshotOptions { compression, ..Default::default() };
        write_frozen(Arc::new(self.disk.clone()), &self.dirs, tree, &options).unwrap().path
    }
    /// As if a leader had sent this tree.
    fn install(&self, persister: &mut Persister, tree: &mut Tree) -> StorageResult<SnapshotFile> {
        let (image, zxid) = (tree.freeze(), tree.last_processed());
        let mut body = Vec::new();
        tree.image_next(&mut tree.image_cursor(image), &mut body, usize::MAX);
        tree.thaw(image);
        let mut writer = SnapshotWriter::create(Arc::new(self.disk.clone()), &self.dirs, zxid, Compression::None)?;
        writer.write(&body)?;
        persister.install(writer, &SnapshotOptions::default().trailers(zxid, tree.digest()), zxid)
    }
    fn recover(&self) -> StorageResult<Recovered> {
        recover(Arc::new(self.disk.clone()), &self.dirs, &self.options)
    }
    fn put(&self, path: &Path, bytes: &[u8]) {
        self.disk.create_dir_all(path.parent().unwrap()).unwrap();
        let file = self.disk.create(path).unwrap();
        file.write_at(0, bytes).unwrap();
        file.sync_data().unwrap();
    }
    fn put_epochs(&self, accepted: i64, current: i64) {
        self.disk.create_dir_all(&self.dirs.snapshots).unwrap();
        write_epoch(&self.disk, &self.dirs.snapshots, ACCEPTED_EPOCH, Epoch(accepted)).unwrap();
        write_epoch(&self.disk, &self.dirs.snapshots, CURRENT_EPOCH, Epoch(current)).unwrap();
    }
    fn snapshots(&self) -> Vec<i64> {
        list_snapshots(&self.disk, &self.dirs.snapshots).unwrap().iter().map(|s| s.zxid.0).collect()
    }
    fn logs(&self) -> Vec<i64> {
        list_logs(&self.disk, &self.dirs.logs).unwrap().iter().map(|l| l.first.0).collect()
    }
}

/// Creates `/n<zxid>` and gives the transaction, its digest included.
fn apply(tree: &mut Tree, zxid: i64) -> Vec<u8> {
    let mut entry = TxnEntry {
        header: TxnHeader { session: SessionId(1), cxid: 0, zxid: Zxid(zxid), time: 1_700_000_000_000 },
        txn: Txn::Create {
            op: OpCode::Create,
            path: format!("/n{zxid}"),
            data: Some(Bytes::from_static(b"data")),
            acl: open_acl(),
            ephemeral: false,
            parent_cversion: -1,
        },
        digest: None,
    };
    assert!(!tree.apply(&entry, &mut Vec::new()).is_refused());
    entry.digest = Some(TxnDigest { version: DIGEST_VERSION, tree_digest: tree.digest() });
    let mut bytes = Vec::new();
    entry.write(&mut bytes);
    bytes
}

fn has_nodes(state: &Recovered, zxids: impl IntoIterator<Item = i64>) {
    let zxids: Vec<i64> = zxids.into_iter().collect();
    for zxid in &zxids {
        assert!(state.tree.contains(&format!("/n{zxid}")), "/n{zxid}");
    }
    assert_eq!(state.tree.node_count(), 5 + zxids.len());
}

#[test]
fn a_fresh_server_gets_a_snapshot_of_the_empty_database() {
    let server = Server::new();
    let state = server.recover().unwrap();
    assert_eq!((state.last, state.report.created, state.epochs), (Zxid::ZERO, true, None));
    assert_eq!(server.snapshots(), [0]);
    let again = server.recover().unwrap();
    assert_eq!((again.last, again.report.created), (Zxid::ZERO, false));
}

#[test]
fn without_autocreate_an_empty_database_is_not_trusted_unless_marked() {
    let data_log = Dirs::new(Path::new("/data"), Some(Path::new("/logs")));
    for marker in [None, Some("/data/initialize"), Some("/logs/initialize")] {
        let mut server = Server::with_dirs(data_log.clone());
        server.options.database_autocreate = false;
        if let Some(marker) = marker {
            server.put(Path::new(marker), b"");
        }
        let state = server.recover().unwrap();
        let expected = if marker.is_some() { Zxid::ZERO } else { Zxid::NONE };
        assert_eq!((state.last, state.report.created), (expected, marker.is_some()), "{marker:?}");
        if let Some(marker) = marker {
            assert_eq!(state.report.initialize_markers, [PathBuf::from(marker)]);
            assert!(!server.disk.exists(Path::new(marker)), "the marker counts once");
        }
    }
}

#[test]
fn the_marker_outlives_a_crash_before_the_first_snapshot() {
    let mut server = Server::new();
    server.options.database_autocreate = false;
    server.put(Path::new("/data/initialize"), b"");
    server.disk.create_dir_all(&server.dirs.logs).unwrap();
    server.disk.sync_dir(Path::new("/data")).unwrap();
    for call in 1.. {
        server.disk.fail_call(call, Fault::Stop);
        let done = server.recover().is_ok();
        server.disk.crash(Loss::Everything);
        if done {
            break;
        }
        let marked = server.disk.exists(Path::new("/data/initialize"));
        assert!(marked || server.snapshots() == [0], "stopped at call {call}");
    }
    assert_eq!(server.recover().unwrap().last, Zxid::ZERO);
}

#[test]
fn missing_directories_are_an_error_of_their_own_without_autocreate() {
    let mut server = Server::new();
    server.options.directory_autocreate = false;
    let error = server.recover().unwrap_err();
    assert!(matches!(&error, StorageError::MissingDir { path } if path == Path::new("/data/version-2")));
    assert_eq!(error.exit_code(), 3);
}

#[test]
fn mixed_directories_are_refused_when_they_are_two() {
    for (path, kind) in [("/logs/version-2/snapshot.5", "snapshot"), ("/data/version-2/log.5", "log")] {
        let server = Server::with_dirs(Dirs::new(Path::new("/data"), Some(Path::new("/logs"))));
        server.put(Path::new(path), b"x");
        let error = server.recover().unwrap_err();
        assert!(matches!(&error, StorageError::MixedDirs { kind: found, .. } if *found == kind), "{error}");
        assert_eq!(error.exit_code(), 3);
    }
}

#[test]
fn logs_are_replayed_on_top_of_the_newest_snapshot() {
    let server = Server::with_history(1..=20, &[8, 15]);
    let state = server.recover().unwrap();
    assert_eq!((state.last, state.report.log.transactions), (Zxid(20), 5));
    assert_eq!(state.report.snapshot.as_ref().unwrap().zxid, Zxid(15));
    assert_eq!((state.report.digest_mismatch, state.report.refused), (None, 0));
    has_nodes(&state, 1..=20);
}

#[test]
fn logs_without_a_snapshot_are_refused_unless_trusted() {
    let mut server = Server::with_history(1..=5, &[]);
    server.disk.remove(&server.dirs.snapshot_path(Zxid(0), Compression::None)).unwrap();
    let error = server.recover().unwrap_err();
    assert!(matches!(error, StorageError::LogsWithoutSnapshot { .. }), "{error}");
    assert!(error.to_string().contains("snapshot.trust.empty"), "{error}");
    server.options.trust_empty_snapshot = true;
    let state = server.recover().unwrap();
    assert!(state.report.snapshot_wanted);
    has_nodes(&state, 1..=5);
}

#[test]
fn snapshots_that_cannot_be_read_are_not_an_empty_database() {
    let server = Server::with_history(1..=5, &[]);
    let path = server.dirs.snapshot_path(Zxid(0), Compression::None);
    for bytes in [&b""[..], b"not a snapshot", b"ZKSN0000\0\0\0\x01/"] {
        server.disk.damage(&path, |content| *content = bytes.to_vec());
        let error = server.recover().unwrap_err();
        assert!(matches!(error, StorageError::NoReadableSnapshot { tried: 1, .. }), "{error}");
    }
}

#[test]
fn an_older_snapshot_stands_in_for_a_damaged_one() {
    let server = Server::with_history(1..=20, &[8, 15]);
    let newest = server.dirs.snapshot_path(Zxid(15), Compression::None);
    server.disk.damage(&newest, |bytes| bytes[200] ^= 1);
    let state = server.recover().unwrap();
    assert_eq!(state.report.rejected.len(), 1);
    assert!(state.report.rejected[0].1.contains("checksum") || state.report.rejected[0].1.contains("snapshot body"));
    has_nodes(&state, 1..=20);
}

#[test]
fn an_older_snapshot_does_not_stand_in_if_the_logs_between_are_gone() {
    let server = Server::with_history(1..=20, &[8, 15]);
    server.disk.damage(&server.dirs.snapshot_path(Zxid(15), Compression::None), |bytes| bytes[200] ^= 1);
    server.disk.remove(&server.dirs.log_path(Zxid(9))).unwrap();
    let error = server.recover().unwrap_err();
    assert!(matches!(error, StorageError::Gap { last: Zxid(8), got: Zxid(16), .. }), "{error}");
}

#[test]
fn a_gap_right_after_the_newest_snapshot_is_reported() {
    let server = Server::with_history((1..=8).chain(12..=14), &[8]);
    let state = server.recover().unwrap();
    let gap = state.report.log.gap.unwrap();
    assert_eq!((gap.after, gap.found), (Zxid(8), Zxid(12)));
}

/// Whoever reads the log for a learner would find no hole between two epochs (simulator seed 2808).
#[test]
fn logs_that_end_before_the_snapshot_are_another_history() {
    let mut server = Server::with_history(1..=6, &[3]);
    server.options.epochs = true;
    let mut tree = server.recover().unwrap().tree;
    (7..=9).for_each(|zxid| drop(apply(&mut tree, zxid)));
    // A leader's snapshot, in the moment before the logs of before it are removed.
    server.snapshot(&mut tree, Compression::None);
    let state = server.recover().unwrap();
    assert_eq!((state.last, server.logs(), state.report.log.removed.len()), (Zxid(9), vec![], 2));
    let of_new_epoch = Zxid::new(Epoch(1), 1);
    let txn = apply(&mut tree, of_new_epoch.0).into();
    let mut persister = server.persister(state.last);
    persister.persist(&[Persist::Append { zxid: of_new_epoch, txn }]).unwrap();
    let mut reader = LogReader::open(Arc::new(server.disk.clone()), &server.dirs.logs, Zxid(5)).unwrap();
    assert_eq!(reader.read_next().unwrap().map(|record| record.zxid), Some(of_new_epoch), "nothing from before");
}

/// The reference leaves its log beside a snapshot that a leader has sent; what comes next may begin an epoch. Zxids look as if
/// nothing were missing; the snapshot between them says that something may be (BG013).
#[test]
fn a_snapshot_between_two_epochs_shows_that_a_log_has_a_hole() {
    let (new_epoch, began) = (Zxid::new(Epoch(1), 1), Zxid::new(Epoch(1), 0));
    for sent in [Zxid(9), began] {
        let server = Server::with_history(1..=6, &[3]);
        let mut tree = server.recover().unwrap().tree;
        (7..=9).for_each(|zxid| drop(apply(&mut tree, zxid)));
        tree.set_last_processed(sent);
        let snapshot = server.snapshot(&mut tree, Compression::None);
        let txn = apply(&mut tree, new_epoch.0).into();
        server.persister(sent).persist(&[Persist::Append { zxid: new_epoch, txn }]).unwrap();
        assert_eq!(server.recover().unwrap().last, new_epoch);
        let read = |from| {
            let reader = LogReader::open(Arc::new(server.disk.clone()), &server.dirs.logs, from).unwrap();
            let mut reader = reader.beside(&list_snapshots(&server.disk, &server.dirs.snapshots).unwrap());
            std::iter::from_fn(|| reader.read_next().transpose()).last().expect("something is there")
        };
        // No learner is sent one behind the other ...
        let error = read(Zxid(5)).unwrap_err();
        assert!(matches!(error, StorageError::Gap { last: Zxid(6), got, .. } if got == new_epoch), "{error}");
        for from in [Zxid(sent.0 + 1), new_epoch] {
            assert_eq!(read(from).unwrap().zxid, new_epoch, "what lies before does not matter");
        }
        // ... and no older snapshot stands in for this one.
        server.disk.damage(&snapshot, |bytes| bytes[200] ^= 1);
        let error = server.recover().unwrap_err();
        assert!(matches!(error, StorageError::Gap { last: Zxid(6), got, .. } if got == new_epoch), "{error}");
    }
}

#[test]
fn half_made_snapshots_are_removed() {
    let server = Server::with_history(1..=3, &[]);
    let leftovers = [".snapshot.3.gz.tmp", ".snapshot.3.tmp", "snapshot.3.tmp"].map(|n| server.dirs.snapshots.join(n));
    for path in &leftovers {
        server.put(path, b"half");
    }
    let state = server.recover().unwrap();
    assert_eq!(state.report.removed, leftovers);
    assert!(leftovers.iter().all(|path| !server.disk.exists(path)));
}

#[test]
fn a_wrong_digest_is_reported() {
    let server = Server::with_history(1..=3, &[]);
    let Recovered { mut tree, last, .. } = server.recover().unwrap();
    let mut txn = apply(&mut tree, 4);
    let digest_at = txn.len() - 1;
    txn[digest_at] ^= 1;
    server.persister(last).persist(&[Persist::Append { zxid: Zxid(4), txn: txn.into() }]).unwrap();
    assert_eq!(server.recover().unwrap().report.digest_mismatch, Some(Zxid(4)));
}

#[test]
fn ephemerals_of_a_session_that_is_not_in_the_table_are_removed_and_reported() {
    let server = Server::with_history(1..=3, &[]);
    let Recovered { last, .. } = server.recover().unwrap();
    let txn = Txn::Create {
        op: OpCode::Create,
        path: "/stale".into(),
        data: None,
        acl: open_acl(),
        ephemeral: true,
        parent_cversion: -1,
    };
    let header = TxnHeader { session: SessionId(0x77), cxid: 0, zxid: Zxid(4), time: 0 };
    let mut bytes = Vec::new();
    TxnEntry { header, txn, digest: None }.write(&mut bytes);
    server.persister(last).persist(&[Persist::Append { zxid: Zxid(4), txn: bytes.into() }]).unwrap();
    let state = server.recover().unwrap();
    assert_eq!((state.last, state.report.stale_sessions.as_slice()), (Zxid(4), &[SessionId(0x77)][..]));
    has_nodes(&state, 1..=3);
}

#[test]
fn missing_epochs_come_from_the_last_transaction() {
    let mut server = Server::with_history([0x3_0000_0001, 0x3_0000_0002], &[]);
    server.options.epochs = true;
    let state = server.recover().unwrap();
    assert_eq!(state.epochs, Some(Epochs { accepted: Epoch(3), current: Epoch(3) }));
    assert_eq!(state.report.epochs_derived, [(CURRENT_EPOCH, Epoch(3)), (ACCEPTED_EPOCH, Epoch(3))]);
    let again = server.recover().unwrap();
    assert_eq!((again.epochs, again.report.epochs_derived), (state.epochs, vec![]));
}

#[test]
fn epochs_are_kept_as_decimal_text() {
    let mut server = Server::with_history([0x1f_0000_0001], &[]);
    server.options.epochs = true;
    server.recover().unwrap();
    for name in [CURRENT_EPOCH, ACCEPTED_EPOCH] {
        let path = server.dirs.snapshots.join(name);
        assert_eq!(server.disk.bytes_of(&path).unwrap(), b"31", "{name}");
        server.put(&path, b"32\n");
        assert_eq!(read_epoch(&server.disk, &server.dirs.snapshots, name).unwrap(), Some(Epoch(32)));
    }
}

#[test]
fn a_missing_accepted_epoch_is_never_below_the_current_one() {
    let mut server = Server::with_history([0x3_0000_0001], &[]);
    server.options.epochs = true;
    write_epoch(&server.disk, &server.dirs.snapshots, CURRENT_EPOCH, Epoch(5)).unwrap();
    assert_eq!(server.recover().unwrap().epochs, Some(Epochs { accepted: Epoch(5), current: Epoch(5) }));
}

/// Found by the simulator (seed 86): history comes in before its epoch is current, so a crash in between must not stop the
/// next start.
#[test]
fn history_of_an_epoch_that_was_promised_may_be_ahead_of_the_current_one() {
    let mut server = Server::with_history([0x3_0000_0001], &[]);
    server.options.epochs = true;
    server.put_epochs(3, 2);
    assert_eq!(server.recover().unwrap().epochs, Some(Epochs { accepted: Epoch(3), current: Epoch(2) }));
}

#[test]
fn an_epoch_behind_the_log_is_taken_from_the_temporary_file_or_refused() {
    let mut server = Server::with_history([0x3_0000_0001], &[]);
    server.options.epochs = true;
    server.put_epochs(2, 2);
    let error = server.recover().unwrap_err();
    assert!(matches!(error, StorageError::CurrentEpochBehind { current: Epoch(2), .. }), "{error}");
    server.put_epochs(4, 2);
    let tmp = server.dirs.snapshots.join("currentEpoch.tmp");
    server.put(&tmp, b"3");
    let state = server.recover().unwrap();
    assert_eq!(state.epochs, Some(Epochs { accepted: Epoch(4), current: Epoch(3) }));
    assert!(!server.disk.exists(&tmp));
    assert_eq!(read_epoch(&server.disk, &server.dirs.snapshots, CURRENT_EPOCH).unwrap(), Some(Epoch(3)));
}

#[test]
fn an_accepted_epoch_below_the_current_one_is_refused() {
    let mut server = Server::with_history([1], &[]);
    server.options.epochs = true;
    server.put_epochs(2, 4);
    let error = server.recover().unwrap_err();
    assert!(matches!(error, StorageError::AcceptedEpochBehind { .. }), "{error}");
}

#[test]
fn an_epoch_file_that_is_no_number_is_refused() {
    let mut server = Server::with_history([1], &[]);
    server.options.epochs = true;
    server.put(&server.dirs.snapshots.join(CURRENT_EPOCH), b"three");
    let error = server.recover().unwrap_err();
    assert!(
        error.to_string().contains("/data/version-2/currentEpoch") && error.to_string().contains("three"),
        "{error}"
    );
}

#[test]
fn purge_keeps_snapshots_and_every_log_they_need() {
    let server = Server::with_history(1..=30, &[5, 10, 15, 20, 25]);
    assert_eq!(server.snapshots(), [25, 20, 15, 10, 5, 0]);
    let purged = purge(&server.disk, &server.dirs, 3).unwrap();
    assert_eq!(purged.kept_from, Some(Zxid(15)));
    assert_eq!(server.snapshots(), [25, 20, 15]);
    assert_eq!(server.logs(), [11, 16, 21, 26], "log.b starts before snapshot.f and may reach beyond it");
    assert_eq!(purged.removed.len(), 5);
    // The oldest that was kept still leads to the end.
    server.disk.remove(&server.dirs.snapshot_path(Zxid(25), Compression::None)).unwrap();
    server.disk.remove(&server.dirs.snapshot_path(Zxid(20), Compression::None)).unwrap();
    has_nodes(&server.recover().unwrap(), 1..=30);
}

#[test]
fn purge_counts_only_snapshots_that_look_whole_and_needs_a_good_one() {
    let server = Server::with_history(1..=30, &[5, 10, 15, 20, 25]);
    server.disk.damage(&server.dirs.snapshot_path(Zxid(25), Compression::None), |bytes| bytes.truncate(50));
    purge(&server.disk, &server.dirs, 3).unwrap();
    assert_eq!(server.snapshots(), [25, 20, 15, 10]);
    for zxid in [20, 15, 10] {
        server.disk.damage(&server.dirs.snapshot_path(Zxid(zxid), Compression::None), |bytes| bytes[100] ^= 1);
    }
    let mut tree = Tree::new(Default::default());
    for zxid in 1..=3 {
        apply(&mut tree, zxid);
    }
    server.snapshot(&mut tree, Compression::None);
    let before = (server.snapshots(), server.logs());
    assert!(matches!(purge(&server.disk, &server.dirs, 3), Err(StorageError::Damaged(_))));
    assert_eq!((server.snapshots(), server.logs()), before, "nothing goes");
}

#[test]
fn purge_with_fewer_snapshots_than_to_keep_removes_nothing() {
    let server = Server::with_history(1..=10, &[5]);
    assert!(purge(&server.disk, &server.dirs, 3).unwrap().removed.is_empty());
    assert_eq!((server.snapshots(), server.logs()), (vec![5, 0], vec![1, 6]));
}

#[test]
fn an_installed_snapshot_leaves_nothing_of_the_old_history_to_mix_with() {
    for (snapshots, zxid) in [(vec![5], 30), (vec![5], 12), (vec![5, 15], 12), (vec![15], 20)] {
        // Another server's history up to `zxid`, where this one has gone on to 20 by itself.
        let Recovered { mut tree, .. } = Server::with_history(101..=100 + zxid, &[]).recover().unwrap();
        tree.set_last_processed(Zxid(zxid));
        let mut calls = 0;
        for stop_at in 1.. {
            let server = Server::with_history(1..=20, &snapshots);
            let mut persister = server.persister(Zxid(20));
            server.disk.fail_call(stop_at, Fault::Stop);
            let done = server.install(&mut persister, &mut tree);
            server.disk.crash(Loss::Random(stop_at));
            server.disk.heal();
            let state = server.recover().unwrap_or_else(|e| panic!("{snapshots:?}, {zxid}, stopped at {stop_at}: {e}"));
            let theirs = state.tree.contains("/n101");
            assert!(theirs != state.tree.contains("/n1"), "{snapshots:?}, {zxid}, stopped at {stop_at}: mixed");
            if theirs {
                has_nodes(&state, 101..=100 + zxid);
                assert_eq!(state.last, Zxid(zxid));
            } else {
                assert!(done.is_err(), "installed and lost");
                has_nodes(&state, 1..=state.last.0);
            }
            if done.is_ok() {
                calls = stop_at;
                break;
            }
        }
        assert!(calls > 5, "stopped at {calls} calls only");
    }
}

#[test]
fn truncation_removes_snapshots_that_hold_what_must_go() {
    let server = Server::with_history(1..=20, &[8, 15]);
    let state = server.recover().unwrap();
    server.persister(state.last).persist(&[Persist::TruncateLog { zxid: Zxid(12) }]).unwrap();
    assert_eq!(server.snapshots(), [8, 0]);
    has_nodes(&server.recover().unwrap(), 1..=12);
}

#[test]
fn a_history_that_begins_with_a_leaders_snapshot_is_not_cut_before_it() {
    // Nothing leads there but a snapshot that is older than what was acknowledged since.
    let server = Server::with_history(1..=6, &[4]);
    let Recovered { mut tree, .. } = Server::with_history(1..=10, &[]).recover().unwrap();
    let mut persister = server.persister(Zxid(6));
    server.install(&mut persister, &mut tree).unwrap();
    for zxid in [11, 12] {
        let txn = apply(&mut tree, zxid);
        persister.persist(&[Persist::Append { zxid: Zxid(zxid), txn: txn.into() }]).unwrap();
    }
    for zxid in [3, 5, 9] {
        let done = persister.persist(&[Persist::TruncateLog { zxid: Zxid(zxid) }]).unwrap();
        assert_eq!(done, [Persisted::CannotTruncate { last: Zxid(12) }], "cut at {zxid}");
        has_nodes(&server.recover().unwrap(), 1..=12);
    }
    // It goes on as if nothing had been asked.
    let txn = apply(&mut tree, 13);
    persister.persist(&[Persist::Append { zxid: Zxid(13), txn: txn.into() }]).unwrap();
    has_nodes(&server.recover().unwrap(), 1..=13);
    for (zxid, left) in [(11, 11), (10, 10), (4, 4)] {
        let done = persister.persist(&[Persist::TruncateLog { zxid: Zxid(zxid) }]).unwrap();
        assert_eq!(done, [Persisted::Truncated { zxid: Zxid(zxid) }]);
        has_nodes(&server.recover().unwrap(), 1..=left);
    }
}

#[test]
fn a_snapshot_between_two_epochs_hides_what_cannot_be_cut() {
    let (old, new) = (0x1_0000_0000, 0x2_0000_0000);
    let server = Server::with_history((old + 1..=old + 3).chain(new + 1..=new + 2), &[old + 2]);
    let cut_at = |zxid| {
        let done = server.persister(Zxid(new + 2)).persist(&[Persist::TruncateLog { zxid: Zxid(zxid) }]).unwrap();
        matches!(done[..], [Persisted::Truncated { .. }])
    };
    // A whole one of a leader whose history went on to old + 7.
    let Recovered { mut tree, .. } = Server::with_history([old + 7], &[]).recover().unwrap();
    let theirs = server.snapshot(&mut tree, Compression::None);
    assert!(!cut_at(old + 5), "old + 4 to old + 7 may be missing here");
    server.disk.remove(&theirs).unwrap();
    assert!(cut_at(old + 5), "the log goes on with the next epoch: there was no old + 4");
    assert_eq!(server.recover().unwrap().last, Zxid(old + 3));
}

#[test]
fn the_end_of_the_log_is_kept_for_learners() {
    let mut server = Server::with_history(1..=12, &[3]);
    let recent = |server: &Server| server.recover().unwrap().recent;
    let zxids = |recent: &Recent| recent.txns.iter().map(|(zxid, _)| zxid.0).collect::<Vec<_>>();
    let none = recent(&server);
    assert_eq!((zxids(&none), none.after), (vec![], Zxid(12)), "none are wanted");
    server.options.recent_max = 4;
    let four = recent(&server);
    assert_eq!((zxids(&four), four.after), (vec![9, 10, 11, 12], Zxid(8)));
    assert_eq!(TxnEntry::read(&four.txns[0].1).unwrap().header.zxid, Zxid(9));
    server.options.recent_max = 100;
    let all = recent(&server);
    assert_eq!((zxids(&all), all.after), ((4..=12).collect(), Zxid(3)), "all that follow the snapshot");
}

#[test]
fn nobody_is_brought_up_to_date_from_before_a_gap() {
    let mut server = Server::with_history(1..=6, &[3]);
    server.options.recent_max = 100;
    // The log begins at 6, the snapshot ends at 3.
    let logs = list_logs(&server.disk, &server.dirs.logs).unwrap();
    let mut reader = LogReader::open(Arc::new(server.disk.clone()), &server.dirs.logs, Zxid(6)).unwrap();
    let last = reader.read_next().unwrap().unwrap();
    logs.iter().for_each(|log| server.disk.remove(&log.path).unwrap());
    let mut persister = server.persister(Zxid(5));
    persister.persist(&[Persist::Append { zxid: Zxid(6), txn: last.body }]).unwrap();
    persister.close().unwrap();
    let recovered = server.recover().unwrap();
    assert!(recovered.report.log.gap.is_some());
    assert_eq!(recovered.recent, Recent { txns: Vec::new(), after: Zxid(6) });
}

#[test]
fn a_snapshot_with_a_node_longer_than_configured_is_read_and_reported() {
    let mut server = Server::with_history(1..=3, &[3]);
    assert_eq!(server.recover().unwrap().report.too_long, None);
    server.options.record_bytes_max = 3;
    let state = server.recover().unwrap();
    has_nodes(&state, 1..=3);
    assert_eq!(state.report.too_long, Some(("/n1".to_string(), 4)));
    server.options.record_bytes_max = 4;
    assert_eq!(server.recover().unwrap().report.too_long, None);
}

#[test]
fn a_record_longer_than_configured_stops_the_start_and_is_read_with_a_larger_limit() {
    let mut server = Server::with_history(1..=3, &[]);
    server.options.record_bytes_max = 40;
    let error = server.recover().unwrap_err();
    let StorageError::RecordTooLong { zxid, bytes, max, .. } = &error else { panic!("{error}") };
    assert_eq!((*zxid, *max), (Zxid(1), 40));
    let text = error.to_string();
    assert!(
        text.contains(&format!("a jute.maxbuffer of at least {bytes}")) && text.contains("nothing is lost"),
        "{text}"
    );
    // Nothing was changed: it is all there with the limit that it was written with.
    server.options.record_bytes_max = *bytes;
    has_nodes(&server.recover().unwrap(), 1..=3);
}
