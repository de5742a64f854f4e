//! Any bytes as a snapshot file, packed or not, and any bytes as a body with right seals around it: loading ends with a tree
//! or an error; a tree that loads is written and loaded again, and is the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use oxkeeper_storage::fault_disk::FaultDisk;
use oxkeeper_storage::names::SnapshotFile;
use oxkeeper_storage::snapshot::format::{self, Checksum};
use oxkeeper_storage::snapshot::{SnapshotOptions, load, looks_valid, verify, write_frozen};
use oxkeeper_storage::{Compression, Dirs, Disk};
use oxkeeper_tree::TreeOptions;
use oxkeeper_types::Zxid;
use std::path::Path;
use std::sync::Arc;

const PACKINGS: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Snappy];

/// Header, body and seals: chance alone finds no checksum.
fn sealed(body: &[u8]) -> Vec<u8> {
    let mut file = format::header().to_vec();
    file.extend_from_slice(body);
    let mut checksum = Checksum::default();
    checksum.update(&file);
    file.extend(format::write_tail(checksum, &SnapshotOptions::default().trailers(Zxid(7), 7)));
    file
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, data)) = data.split_first() else { return };
    let (disk, dirs) = (FaultDisk::new(), Dirs::new(Path::new("/d"), None));
    disk.create_dir_all(&dirs.snapshots).expect("a directory in memory");
    let (bytes, compression) = match kind % 4 {
        3 => (sealed(data), Compression::None),
        n => (data.to_vec(), PACKINGS[usize::from(n)]),
    };
    let path = dirs.snapshot_path(Zxid(7), compression);
    disk.create(&path).and_then(|file| file.write_at(0, &bytes)).expect("written");
    let file = SnapshotFile { zxid: Zxid(7), compression, path, length: bytes.len() as u64 };
    let _ = looks_valid(&disk, &file);
    let readable = verify(&disk, &file).is_ok();
    let Ok(mut loaded) = load(&disk, &file, TreeOptions::default()) else { return };
    assert!(readable, "a tree, but no records");
    for compression in PACKINGS {
        let options = SnapshotOptions { compression, ..Default::default() };
        let again = write_frozen(Arc::new(disk.clone()), &dirs, &mut loaded.tree, &options).expect("written");
        let second = load(&disk, &again, TreeOptions::default()).expect("what we write can be read").tree;
        assert_eq!(second.digest(), loaded.tree.digest());
        assert_eq!(second.node_count(), loaded.tree.node_count());
        assert_eq!(second.approximate_data_size(), loaded.tree.approximate_data_size());
    }
});
