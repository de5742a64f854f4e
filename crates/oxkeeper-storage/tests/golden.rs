//! Files that Apache ZooKeeper 3.9.5 wrote: we read them as it does, and write the same bytes.

use oxkeeper_proto::txn::TxnEntry;
use oxkeeper_storage::fault_disk::FaultDisk;
use oxkeeper_storage::log::{LogFileReader, LogOptions, LogWriter, Next, reader::Opened};
use oxkeeper_storage::names::{SnapshotFile, list_logs, list_snapshots};
use oxkeeper_storage::recover::Recovered;
use oxkeeper_storage::snapshot::{Item, SnapshotOptions, load, read_items, write_frozen};
use oxkeeper_storage::{Dirs, Disk, RecoverOptions, recover};
use oxkeeper_tree::TreeOptions;
use oxkeeper_types::acl::is_open_acl;
use oxkeeper_types::node::OwnerRules;
use oxkeeper_types::{OpCode, Zxid};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const LAST: Zxid = Zxid(0x22);
const KINDS: [&str; 3] = ["none", "gz", "snappy"];

fn golden(kind: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/own-3.9.5").join(kind)
}

/// The directory of one kind on a disk in memory, so that tests may change it.
fn loaded(kind: &str) -> (FaultDisk, Dirs) {
    let (disk, dirs) = (FaultDisk::new(), Dirs::new(Path::new("/data"), None));
    disk.create_dir_all(&dirs.logs).unwrap();
    for entry in std::fs::read_dir(golden(kind)).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != "expected.txt" {
            let file = disk.create(&dirs.logs.join(entry.file_name())).unwrap();
            file.write_at(0, &std::fs::read(entry.path()).unwrap()).unwrap();
            file.sync_data().unwrap();
        }
    }
    disk.sync_dir(&dirs.logs).unwrap();
    (disk, dirs)
}

fn tree_options() -> TreeOptions {
    TreeOptions { owner_rules: OwnerRules { extended_types: true, emulate_353_ttl: false }, ..Default::default() }
}

fn recovered(disk: &FaultDisk, dirs: &Dirs) -> Recovered {
    let options = RecoverOptions { tree: tree_options(), ..Default::default() };
    recover(Arc::new(disk.clone()), dirs, &options).unwrap_or_else(|e| panic!("{e}"))
}

/// `java.util.Arrays.hashCode` of bytes.
fn java_hash(data: &[u8]) -> i32 {
    data.iter().fold(1, |hash: i32, byte| hash.wrapping_mul(31).wrapping_add(i32::from(*byte as i8)))
}

/// Compares every node with what the reference's client read.
fn check_nodes(kind: &str, state: &Recovered) {
    let expected = std::fs::read_to_string(golden(kind).join("expected.txt")).unwrap();
    let mut lines: Vec<&str> = expected.lines().collect();
    let mut actual = Vec::new();
    state.tree.visit_all(|node| {
        let path = node.path();
        let path = if path.is_empty() { "/".to_string() } else { path };
        let data = node.data().map_or("null".to_string(), |d| format!("{}:{}", d.len(), java_hash(d)));
        let s = node.stat();
        actual.push(format!(
            "{path} {data} {} {} {} {} {} {} {} {} {} {} {}",
            s.czxid.0,
            s.mzxid.0,
            s.ctime,
            s.mtime,
            s.version,
            s.cversion,
            s.aversion,
            s.ephemeral_owner,
            s.data_length,
            s.num_children,
            s.pzxid.0
        ));
    });
    actual.sort();
    lines.sort();
    assert_eq!(actual, lines, "{kind}");
    assert_eq!((state.last, state.tree.sessions().len()), (LAST, 1));
    assert_eq!((state.tree.digest_mismatches(), state.report.digest_mismatch), (0, None));
}

#[test]
fn a_directory_of_the_reference_is_read_as_the_reference_reads_it() {
    for kind in KINDS {
        let (disk, dirs) = loaded(kind);
        let state = recovered(&disk, &dirs);
        check_nodes(kind, &state);
        assert_eq!((state.report.log.cut, state.report.log.gap), (None, None));
    }
}

#[test]
fn every_older_snapshot_and_its_logs_lead_to_the_same_state() {
    for kind in KINDS {
        let (disk, dirs) = loaded(kind);
        let snapshots = list_snapshots(&disk, &dirs.snapshots).unwrap();
        for (n, newest) in snapshots.iter().enumerate() {
            let state = recovered(&disk, &dirs);
            assert_eq!(state.report.snapshot.as_ref(), Some(newest));
            check_nodes(kind, &state);
            // Damage the newest: the next one must do, and the damage must be told.
            disk.damage(&newest.path, |bytes| bytes[newest.length as usize / 2] ^= 1);
            if n + 1 < snapshots.len() {
                let state = recovered(&disk, &dirs);
                check_nodes(kind, &state);
                assert_eq!(state.report.rejected[0].0, newest.path);
            }
            disk.remove(&newest.path).unwrap();
        }
    }
}

#[test]
fn records_are_written_with_the_bytes_of_the_reference() {
    let mut ops = BTreeSet::new();
    for kind in KINDS {
        let (disk, dirs) = loaded(kind);
        let ours = Dirs::new(Path::new("/ours"), None);
        disk.create_dir_all(&ours.logs).unwrap();
        let options = LogOptions { preallocate_bytes: 4096, ..Default::default() };
        let mut writer = LogWriter::new(Arc::new(disk.clone()), ours.clone(), options, Zxid::ZERO);
        for log in list_logs(&disk, &dirs.logs).unwrap() {
            let Opened::Log(mut reader) = LogFileReader::open(&disk, &log.path).unwrap() else { panic!("no header") };
            while let Next::Record(record) = reader.read_next().unwrap() {
                let entry = TxnEntry::read(&record.body).unwrap();
                ops.insert(entry.txn.op());
                let mut again = Vec::new();
                entry.write(&mut again);
                assert_eq!(again, record.body, "{entry:?}");
                writer.append(record.zxid, &record.body).unwrap();
            }
            let end = reader.offset() as usize;
            writer.sync().unwrap();
            let (theirs, mine) = (disk.bytes_of(&log.path).unwrap(), disk.bytes_of(&ours.log_path(log.first)).unwrap());
            assert_eq!(theirs[..end], mine[..end]);
            assert!(mine[end..].iter().all(|b| *b == 0) && mine.len() % 4096 == 16, "padding");
            writer.roll().unwrap();
        }
    }
    let all = [
        OpCode::Create,
        OpCode::Create2,
        OpCode::CreateContainer,
        OpCode::CreateTtl,
        OpCode::Delete,
        OpCode::SetData,
        OpCode::SetAcl,
        OpCode::Multi,
        OpCode::CreateSession,
        OpCode::CloseSession,
        OpCode::Error,
    ];
    assert_eq!(ops, all.into_iter().collect(), "every kind of transaction is in the logs");
}

/// The order of nodes is free, as long as parents come first.
#[test]
fn a_snapshot_written_again_holds_the_same_records_and_trailers() {
    for kind in KINDS {
        let (disk, dirs) = loaded(kind);
        for file in list_snapshots(&disk, &dirs.snapshots).unwrap() {
            let mut snapshot = load(&disk, &file, tree_options()).unwrap();
            let options = SnapshotOptions { compression: file.compression, ..Default::default() };
            let ours = Dirs::new(Path::new("/ours"), None);
            disk.create_dir_all(&ours.snapshots).unwrap();
            let written = write_frozen(Arc::new(disk.clone()), &ours, &mut snapshot.tree, &options).unwrap();
            assert_eq!(written.path.file_name(), file.path.file_name());
            let [theirs, mine] = [&file, &written].map(|file| records(&disk, file));
            let differing: Vec<&String> = theirs.symmetric_difference(&mine).collect();
            assert_eq!(differing, [""; 0], "{}", file.path.display());
        }
    }
}

fn records(disk: &FaultDisk, file: &SnapshotFile) -> BTreeSet<String> {
    let mut records = BTreeSet::new();
    read_items(disk, file, &mut |item| {
        records.insert(match item {
            // The reference lists the open ACL like any other; we use the id -1 that it has for it. Numbers are free.
            Item::AclList { acl, .. } if is_open_acl(&acl) => return,
            Item::AclList { acl, .. } => format!("{acl:?}"),
            Item::Node { path, data, stat, .. } => {
                format!("{path} {:?} {stat:?}", data.map(|data| (data.len(), java_hash(data))))
            }
            Item::Session { .. } => format!("{item:?}"),
        });
    })
    .unwrap();
    records
}

#[test]
fn nodes_without_data_have_the_digest_of_the_reference() {
    let (disk, dirs) = loaded("null-data");
    let state = recovered(&disk, &dirs);
    let data = |path: &str| state.tree.node(path).expect(path).data().map(<[u8]>::to_vec);
    assert_eq!([data("/null"), data("/some")], [None, None]);
    // In the last transaction of the log.
    assert_eq!((state.last, state.tree.digest()), (Zxid(5), 0x2_224c_f159));
    assert_eq!((state.tree.digest_mismatches(), state.report.digest_mismatch), (0, None));
}
