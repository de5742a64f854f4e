//! Files that a reference server 3.9.5 wrote: a log, and the snapshot of the state after it. The history has all kinds of
//! nodes, multis, quotas, ACLs, a closed and an open session. All but refused ones carry the digest that the Java leader
//! expected of the tree after it.

use bytes::Bytes;
use oxkeeper_proto::txn::TxnEntry;
use oxkeeper_tree::{Change, DigestCheck, ImageLoader, ImageProgress, Loaded, Tree, TreeOptions};
use oxkeeper_types::node::OwnerRules;
use oxkeeper_types::{Millis, OpCode, Zxid, path};
use std::collections::BTreeMap;

const LOG: &[u8] = include_bytes!("golden/log-3.9.5.bin");
const SNAPSHOT: &[u8] = include_bytes!("golden/snapshot-3.9.5.bin");
/// Both kinds of file start with magic, version and database id.
const FILE_HEADER: usize = 16;

fn options() -> TreeOptions {
    let owner_rules = OwnerRules { extended_types: true, emulate_353_ttl: false };
    TreeOptions { owner_rules, ..TreeOptions::default() }
}

fn entries() -> Vec<TxnEntry> {
    let (mut entries, mut rest) = (Vec::new(), &LOG[FILE_HEADER..]);
    while !rest.is_empty() {
        let length = i32::from_be_bytes(rest[8..12].try_into().unwrap()) as usize;
        entries.push(TxnEntry::read(&Bytes::copy_from_slice(&rest[12..12 + length])).unwrap());
        rest = &rest[12 + length + 1..];
    }
    entries
}

/// The loaded body, and zxid, version and digest of the trailer, which follows the body's seal of 13 bytes.
fn snapshot() -> (Loaded, Zxid, i32, u64) {
    let (loaded, taken) = ImageLoader::load(options(), &SNAPSHOT[FILE_HEADER..]).unwrap();
    let trailer = &SNAPSHOT[FILE_HEADER + taken + 13..];
    let zxid = Zxid(i64::from_be_bytes(trailer[..8].try_into().unwrap()));
    let version = i32::from_be_bytes(trailer[8..12].try_into().unwrap());
    (loaded, zxid, version, u64::from_be_bytes(trailer[12..20].try_into().unwrap()))
}

type Seen = BTreeMap<String, (Option<Vec<u8>>, String, String)>;

fn seen(tree: &Tree) -> Seen {
    let mut nodes = Seen::new();
    tree.visit_all(|node| {
        // The server fills the config node at its start, with the time of then.
        if node.path() != path::CONFIG {
            let stat = format!("{:?}", node.stat_persisted());
            nodes.insert(node.path(), (node.data().map(<[u8]>::to_vec), stat, format!("{:?}", node.acl())));
        }
    });
    nodes
}

#[test]
fn the_snapshot_of_the_reference_has_its_digest() {
    let (loaded, zxid, version, digest) = snapshot();
    assert_eq!((version, loaded.tree.digest(), loaded.acls_missing), (2, digest, 0));
    assert_eq!(zxid, entries().last().unwrap().header.zxid);
}

#[test]
fn every_transaction_of_the_reference_leads_to_the_digest_that_it_carries() {
    let mut tree = Tree::new(options());
    tree.write_config("", Zxid(0), Millis(1));
    let mut changes: Vec<Change> = Vec::new();
    let entries = entries();
    assert!(entries.len() > 50);
    for entry in &entries {
        let applied = tree.apply(entry, &mut changes);
        // A write that is refused on its own (no multi) is logged without a digest.
        let expected = if entry.digest.is_some() { DigestCheck::Match } else { DigestCheck::Unchecked };
        assert_eq!(applied.digest, expected, "{entry:?}");
        assert_eq!(entry.digest.is_none(), applied.op == OpCode::Error, "{entry:?}");
        assert!(!applied.is_refused(), "{applied:?}");
    }
    let (loaded, ..) = snapshot();
    assert_eq!(seen(&tree), seen(&loaded.tree));
    assert_eq!(tree.sessions(), loaded.tree.sessions());
    assert_eq!(tree.digest(), loaded.tree.digest());
    assert_eq!(tree.containers().map(|n| n.path()).collect::<Vec<_>>(), ["/cont"]);
    assert_eq!(tree.ttl_nodes().map(|n| n.path()).collect::<Vec<_>>(), ["/ttl"]);
    assert_eq!(tree.quota_for("/q/c").unwrap().usage.unwrap().to_string(), "count=2,bytes=8");
}

#[test]
fn our_image_of_the_loaded_state_has_the_same_records() {
    let mut tree = snapshot().0.tree;
    let id = tree.freeze();
    let (mut cursor, mut bytes) = (tree.image_cursor(id), Vec::new());
    while tree.image_next(&mut cursor, &mut bytes, 1) == ImageProgress::More {}
    let (again, taken) = ImageLoader::load(options(), &bytes).unwrap();
    assert_eq!(taken, bytes.len());
    assert_eq!(seen(&again.tree), seen(&tree));
    // Same layout, other order and ACL ids: only an explicit open list, which we fold into -1, is not listed again.
    let theirs = ImageLoader::load(options(), &SNAPSHOT[FILE_HEADER..]).unwrap().1;
    let open_list = 8 + 4 + 4 + (4 + 5) + (4 + 6);
    assert_eq!(bytes.len() + open_list, theirs);
}

#[test]
fn replaying_the_log_over_its_own_snapshot_changes_nothing() {
    let (loaded, zxid, version, digest) = snapshot();
    let (mut tree, before) = (loaded.tree, seen(&snapshot().0.tree));
    tree.await_snapshot_digest(zxid, version, digest, Zxid(1));
    assert!(tree.is_awaiting_snapshot_digest());
    for entry in &entries() {
        tree.replay(entry);
    }
    assert_eq!((tree.digest_mismatches(), tree.is_awaiting_snapshot_digest()), (0, false));
    assert_eq!(seen(&tree), before);
}
