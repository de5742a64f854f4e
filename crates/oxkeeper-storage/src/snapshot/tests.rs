//! What is written is read back; what is damaged is noticed; what other switches wrote loads.

use super::compression::{FileSink, Packer, unpack};
use super::format::{SEAL_BYTES, TAIL_BYTES_MAX};
use super::*;
use crate::disk::Disk;
use crate::error::StorageError;
use crate::fault_disk::{FaultDisk, Random};
use crate::names::{Compression, Dirs, SnapshotFile, list_snapshots};
use bytes::Bytes;
use oxkeeper_proto::txn::{Txn, TxnEntry, TxnHeader};
use oxkeeper_tree::{Tree, TreeOptions};
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::{Acl, Id, OpCode, Perms, SessionId, Zxid};
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

const ALL: [Compression; 3] = [Compression::None, Compression::Gzip, Compression::Snappy];

fn bench() -> (FaultDisk, Dirs) {
    let (disk, dirs) = (FaultDisk::new(), Dirs::new(Path::new("/data"), None));
    disk.create_dir_all(&dirs.snapshots).unwrap();
    (disk, dirs)
}

/// A tree with sessions, ephemerals, several ACL lists and data of all sizes.
fn tree() -> Tree {
    let mut tree = Tree::new(TreeOptions::default());
    let mut zxid = 0;
    let mut apply = |session: i64, txn: Txn| {
        zxid += 1;
        let header =
            TxnHeader { session: SessionId(session), cxid: 0, zxid: Zxid(zxid), time: 1_700_000_000_000 + zxid };
        let applied = tree.apply(&TxnEntry { header, txn, digest: None }, &mut Vec::new());
        assert!(!applied.is_refused(), "{applied:?}");
    };
    let create = |path: String, data: Option<Bytes>, acl: Vec<Acl>, ephemeral| Txn::Create {
        op: OpCode::Create,
        path,
        data,
        acl,
        ephemeral,
        parent_cversion: -1,
    };
    apply(0x77, Txn::CreateSession { timeout_ms: 30000 });
    apply(0x78, Txn::CreateSession { timeout_ms: 4000 });
    let digest_acl = vec![Acl::new(Perms::READ, Id::new("digest", "u:p")), Acl::new(Perms::ALL, Id::anyone())];
    for n in 0..400usize {
        let data = [None, Some(Bytes::new()), Some(Bytes::from(vec![n as u8; n * n % 4000]))][n % 3].clone();
        let acl = if n % 7 == 0 { digest_acl.clone() } else { open_acl() };
        apply(0, create(format!("/n{n}"), data, acl, false));
        if n % 5 == 0 {
            apply(0x77, create(format!("/n{n}/e"), Some(Bytes::from_static(b"mine")), open_acl(), true));
        }
    }
    tree
}

fn write(disk: &FaultDisk, dirs: &Dirs, options: &SnapshotOptions) -> SnapshotFile {
    write_frozen(Arc::new(disk.clone()), dirs, &mut tree(), options).unwrap()
}

#[test]
fn every_packing_and_every_set_of_trailers_is_read_back() {
    for compression in ALL {
        for (digest, last_processed) in [(true, true), (true, false), (false, true), (false, false)] {
            let (disk, dirs) = bench();
            let options = SnapshotOptions { compression, digest, last_processed };
            let file = write(&disk, &dirs, &options);
            assert_eq!(list_snapshots(&disk, &dirs.snapshots).unwrap(), std::slice::from_ref(&file));
            assert!(looks_valid(&disk, &file).unwrap());
            let loaded = load(&disk, &file, TreeOptions::default()).unwrap();
            let original = tree();
            assert_eq!(loaded.tree.digest(), original.digest());
            assert_eq!(loaded.tree.node_count(), original.node_count());
            assert_eq!(loaded.tree.last_processed(), original.last_processed());
            assert_eq!(loaded.tree.sessions().len(), 2);
            assert_eq!(loaded.trailers, options.trailers(original.last_processed(), original.digest()));
        }
    }
}

#[test]
fn a_plain_snapshot_has_the_frame_of_the_reference() {
    let (disk, dirs) = bench();
    let file = write(&disk, &dirs, &SnapshotOptions::default());
    let bytes = disk.bytes_of(&file.path).unwrap();
    assert_eq!(&bytes[..16], b"ZKSN\0\0\0\x02\xff\xff\xff\xff\xff\xff\xff\xff");
    assert_eq!(bytes[bytes.len() - 5..], [0, 0, 0, 1, b'/']);
    let body_end = bytes.len() - SEAL_BYTES - 54;
    assert_eq!(bytes[body_end - 5..body_end], [0, 0, 0, 1, b'/'], "the end mark of the nodes");
    let zxid = i64::from_be_bytes(bytes[bytes.len() - 21..bytes.len() - 13].try_into().unwrap());
    assert_eq!(Zxid(zxid), file.zxid);
}

#[test]
fn items_and_tree_agree() {
    let (disk, dirs) = bench();
    let file = write(&disk, &dirs, &SnapshotOptions { compression: Compression::Snappy, ..Default::default() });
    let tree = tree();
    let (mut sessions, mut lists, mut nodes) = (0, 0, 0);
    read_items(&disk, &file, &mut |item| match item {
        Item::Session { id, timeout } => {
            sessions += 1;
            assert_eq!(tree.sessions().get(id), Some(timeout));
        }
        Item::AclList { .. } => lists += 1,
        Item::Node { path, data, stat, .. } => {
            nodes += 1;
            let node = tree.node(&path).unwrap_or_else(|| panic!("no {path}"));
            assert_eq!((node.data(), node.stat_persisted()), (data, stat), "{path}");
        }
    })
    .unwrap();
    assert_eq!((sessions, lists, nodes), (2, 2, tree.node_count() - 1), "the reference counts the root twice");
}

#[test]
fn every_flipped_byte_of_a_plain_snapshot_is_noticed() {
    let (disk, dirs) = bench();
    let file = write(&disk, &dirs, &SnapshotOptions::default());
    let length = disk.bytes_of(&file.path).unwrap().len();
    let places = (0..length).step_by(997).chain(length - TAIL_BYTES_MAX - 20..length).chain(0..4);
    for at in places {
        disk.damage(&file.path, |bytes| bytes[at] ^= 0x10);
        let result = load(&disk, &file, TreeOptions::default());
        // The reference does not look at the text of the last seal either, only at its checksum; nothing depends on it.
        assert!(result.is_err() || at >= length - 5, "byte {at} of {length}");
        disk.damage(&file.path, |bytes| bytes[at] ^= 0x10);
    }
    load(&disk, &file, TreeOptions::default()).unwrap();
}

#[test]
fn a_snapshot_cut_short_anywhere_is_refused() {
    for compression in ALL {
        let (disk, dirs) = bench();
        let file = write(&disk, &dirs, &SnapshotOptions { compression, ..Default::default() });
        let whole = disk.bytes_of(&file.path).unwrap();
        for kept in (0..whole.len()).step_by(whole.len() / 60).chain(whole.len().saturating_sub(30)..whole.len()) {
            disk.damage(&file.path, |bytes| *bytes = whole[..kept].to_vec());
            let looks = looks_valid(&disk, &file).unwrap();
            match compression {
                Compression::None => assert_eq!(looks, kept >= 10 && whole[..kept].ends_with(b"\0\0\0\x01/"), "{kept}"),
                Compression::Gzip => assert_eq!(looks, kept >= 2, "{kept}"),
                Compression::Snappy => assert!(looks || kept < 16, "{kept}"),
            }
            match load(&disk, &file, TreeOptions::default()) {
                Err(StorageError::Damaged(_)) => {}
                // Trailers are optional, so a plain file cut right behind an earlier seal is a whole one.
                Ok(_) if compression == Compression::None => {
                    assert!([whole.len() - 21, whole.len() - 54].contains(&kept), "{kept} of {}", whole.len())
                }
                // The checksums of gzip itself come last and the stream is whole without them.
                other => panic!("{compression:?}, {kept} of {}: {other:?}", whole.len()),
            }
        }
    }
}

#[test]
fn nothing_is_left_of_a_snapshot_that_was_not_finished() {
    let (disk, dirs) = bench();
    let mut writer = SnapshotWriter::create(Arc::new(disk.clone()), &dirs, Zxid(9), Compression::None).unwrap();
    writer.write(&[0; 100_000]).unwrap();
    assert!(disk.exists(writer.tmp_path()));
    drop(writer);
    assert_eq!(disk.list(&dirs.snapshots).unwrap(), []);
}

#[test]
fn a_full_disk_leaves_no_snapshot() {
    for compression in ALL {
        let (disk, dirs) = bench();
        disk.set_capacity(Some(600));
        let options = SnapshotOptions { compression, ..Default::default() };
        let result = write_frozen(Arc::new(disk.clone()), &dirs, &mut tree(), &options);
        assert!(result.unwrap_err().to_string().contains("disk is full"));
        assert_eq!(disk.list(&dirs.snapshots).unwrap(), []);
    }
}

#[test]
fn packed_streams_of_any_size_unpack() {
    let mut random = Random(5);
    for compression in ALL {
        for size in [0, 1, 1000, 32767, 32768, 32769, 300_000] {
            let (disk, path) = (FaultDisk::new(), Path::new("/f"));
            disk.create_dir_all(Path::new("/")).unwrap();
            let content: Vec<u8> = (0..size).map(|i| if i % 3 == 0 { random.draw() as u8 } else { 7 }).collect();
            let mut packer = Packer::new(FileSink::new(disk.create(path).unwrap()), compression);
            let mut rest = &content[..];
            while !rest.is_empty() {
                let n = 1 + random.below(rest.len().min(50_000));
                packer.write(&rest[..n]).unwrap();
                rest = &rest[n..];
            }
            let length = packer.finish().unwrap();
            assert_eq!(length, disk.bytes_of(path).unwrap().len() as u64);
            let mut read = Vec::new();
            unpack(disk.open_read(path).unwrap(), compression).unwrap().read_to_end(&mut read).unwrap();
            assert!(read == content, "{compression:?} {size}");
        }
    }
}

/// A second name for the root in front of a path would load as another node than the one its digest is of.
#[test]
fn a_path_with_an_empty_part_is_refused() {
    let stat = [0; 60];
    let mut body = vec![0; 8];
    for path in ["", "//a"] {
        body.extend_from_slice(&(path.len() as u32).to_be_bytes());
        body.extend_from_slice(path.as_bytes());
        body.extend_from_slice(&(-1i32).to_be_bytes());
        body.extend_from_slice(&(-1i64).to_be_bytes());
        body.extend_from_slice(&stat);
    }
    body.extend_from_slice(&[0, 0, 0, 1, b'/']);
    let (disk, dirs) = bench();
    let mut writer = SnapshotWriter::create(Arc::new(disk.clone()), &dirs, Zxid(1), Compression::None).unwrap();
    writer.write(&body).unwrap();
    let file = writer.finish(&Trailers::default()).unwrap();
    let error = load(&disk, &file, TreeOptions::default()).unwrap_err();
    assert!(error.to_string().contains("//a is not a path"), "{error}");
}

#[test]
fn two_that_are_written_at_one_zxid_do_not_share_a_file() {
    let disk = FaultDisk::new();
    let dirs = Dirs::new(Path::new("/data"), None);
    disk.create_dir_all(&dirs.snapshots).unwrap();
    let begin = || SnapshotWriter::create(Arc::new(disk.clone()), &dirs, Zxid(5), Compression::None).unwrap();
    let mut tree = Tree::new(TreeOptions::default());
    let image = tree.freeze();
    let mut body = Vec::new();
    tree.image_next(&mut tree.image_cursor(image), &mut body, usize::MAX);
    // Given a reception that is given up while the next one is under way
    let (mut first, mut second) = (begin(), begin());
    first.write(&body[..10]).unwrap();
    second.write(&body).unwrap();
    drop(first);
    // Then the next one is whole
    let file = second.finish(&Trailers::default()).unwrap();
    assert!(load(&disk, &file, TreeOptions::default()).is_ok());
    assert_eq!(disk.list(&dirs.snapshots).unwrap().len(), 1);
}
