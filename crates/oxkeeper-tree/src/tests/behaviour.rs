//! Single behaviours that operators and clients rely on.

use super::model::options;
use crate::*;
use bytes::Bytes;
use oxkeeper_proto::txn::{DIGEST_VERSION, Txn, TxnDigest, TxnEntry, TxnHeader};
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::*;

/// A tree with the transactions numbered as they come, by session 7.
struct Story {
    tree: Tree,
    zxid: i64,
    changes: Vec<Change>,
}

impl Story {
    fn new() -> Story {
        Story { tree: Tree::new(options()), zxid: 0, changes: vec![] }
    }
    fn apply(&mut self, txn: Txn) -> Applied {
        self.zxid += 1;
        let header = TxnHeader { session: SessionId(7), cxid: 0, zxid: Zxid(self.zxid), time: 1000 * self.zxid };
        self.changes.clear();
        self.tree.apply(&TxnEntry { header, txn, digest: None }, &mut self.changes)
    }
    fn create(&mut self, path: &str, data: Option<&[u8]>) -> Applied {
        self.apply(create(path, data, open_acl(), false))
    }
    fn create_ephemeral(&mut self, path: &str) -> Applied {
        self.apply(create(path, None, open_acl(), true))
    }
    fn delete(&mut self, path: &str) -> Applied {
        self.apply(Txn::Delete { op: OpCode::Delete, path: path.into() })
    }
    fn set_data(&mut self, path: &str, data: &str, version: i32) -> Applied {
        let data = Some(Bytes::copy_from_slice(data.as_bytes()));
        self.apply(Txn::SetData { op: OpCode::SetData, path: path.into(), data, version })
    }
    fn text(&self, path: &str) -> String {
        String::from_utf8(self.tree.node(path).unwrap().data().unwrap().to_vec()).unwrap()
    }
    fn kinds(&self) -> Vec<(ChangeKind, &str)> {
        self.changes.iter().map(|c| (c.kind, c.path.as_str())).collect()
    }
}

fn create(path: &str, data: Option<&[u8]>, acl: Vec<Acl>, ephemeral: bool) -> Txn {
    let data = data.map(Bytes::copy_from_slice);
    Txn::Create { op: OpCode::Create2, path: path.into(), data, acl, ephemeral, parent_cversion: -1 }
}

fn read_by(id: &str) -> Vec<Acl> {
    vec![Acl::new(Perms::READ, Id::new("digest", id))]
}

#[test]
fn a_fresh_tree_counts_as_the_reference_does() {
    let tree = Tree::new(options());
    assert_eq!((tree.node_count(), tree.approximate_data_size(), tree.descendants("/")), (5, 44, 3));
    let root = tree.node("/").unwrap();
    assert_eq!((root.stat().cversion, root.stat().num_children, root.data()), (-1, 1, Some(&b""[..])));
    let config = tree.node("/zookeeper/config").unwrap();
    assert_eq!((config.stat().aversion, &config.acl()[..]), (-1, &[Acl::new(Perms::READ, Id::anyone())][..]));
    assert_eq!(
        tree.digest(),
        node_digest("", None, &StatPersisted::default()) + node_digest("/zookeeper", None, &StatPersisted::default())
    );
}

#[test]
fn odd_paths_lead_nowhere_and_the_root_has_two_names() {
    let mut story = Story::new();
    story.create("/a", None);
    for path in ["a", "//a", "/a/", "/a//", "//", "/a/b", "zookeeper"] {
        assert!(!story.tree.contains(path), "{path}");
    }
    assert!(story.tree.contains("") && story.tree.contains("/"));
    assert_eq!((story.delete("/").error, story.create("/", None).error), (ErrorCode::NoNode, ErrorCode::NodeExists));
}

#[test]
fn the_parent_counts_creates_and_shows_changes() {
    let mut story = Story::new();
    story.create("/a", None);
    story.create("/a/x", None);
    story.create("/a/y", None);
    story.delete("/a/x");
    let stat = story.tree.node("/a").unwrap().stat();
    assert_eq!((stat.cversion, stat.num_children, stat.pzxid, stat.mzxid), (3, 1, Zxid(4), Zxid(1)));
    assert_eq!(story.tree.node("/a").unwrap().stat_persisted().cversion, 2);
}

#[test]
fn null_and_empty_data_are_distinct() {
    let mut story = Story::new();
    story.create("/null", None);
    story.create("/empty", Some(b""));
    assert_eq!(story.tree.node("/null").unwrap().data(), None);
    assert_eq!(story.tree.node("/empty").unwrap().data(), Some(&b""[..]));
}

#[test]
fn changes_carry_the_acl_that_guards_them() {
    let mut story = Story::new();
    story.apply(create("/p", None, read_by("parent"), false));
    let applied = story.apply(create("/p/c", Some(b"x"), read_by("child"), false));
    assert_eq!((applied.path.as_deref(), applied.stat.unwrap().data_length), (Some("/p/c"), 1));
    let guards = |story: &Story| {
        let guard = |c: &Change| (c.kind, c.path.clone(), c.acl.as_ref().unwrap()[0].id.id.clone());
        story.changes.iter().map(guard).collect::<Vec<_>>()
    };
    let child = |kind| (kind, "/p/c".to_owned(), "child".to_owned());
    let parent = (ChangeKind::ChildrenChanged, "/p".to_owned(), "parent".to_owned());
    assert_eq!(guards(&story), [child(ChangeKind::Created), parent.clone()]);
    story.set_data("/p/c", "y", 1);
    assert_eq!(guards(&story), [child(ChangeKind::DataChanged)]);
    story.delete("/p/c");
    assert_eq!(guards(&story), [child(ChangeKind::Deleted), parent]);
    assert_eq!(story.changes[0].zxid, Zxid(4));
}

#[test]
fn closing_a_session_deletes_in_the_order_of_the_transaction_then_the_rest() {
    let mut story = Story::new();
    story.apply(Txn::CreateSession { timeout_ms: 5000 });
    assert_eq!(story.tree.sessions().get(SessionId(7)), Some(Millis(5000)));
    story.create("/d", None);
    for path in ["/d/1", "/d/2", "/d/3"] {
        story.create_ephemeral(path);
    }
    assert_eq!(story.tree.ephemerals_of(SessionId(7)).collect::<Vec<_>>(), ["/d/1", "/d/2", "/d/3"]);
    assert_eq!(story.tree.node("/d/1").unwrap().stat().ephemeral_owner, 7);
    let paths = Some(vec!["/d/3".to_owned(), "/gone".to_owned(), "/d/1".to_owned()]);
    let applied = story.apply(Txn::CloseSession { paths });
    assert_eq!(applied.deleted_ephemerals, ["/d/3", "/d/1", "/d/2"]);
    use ChangeKind::{ChildrenChanged as Children, Deleted};
    assert_eq!(
        story.kinds(),
        [(Deleted, "/d/3"), (Children, "/d"), (Deleted, "/d/1"), (Children, "/d"), (Deleted, "/d/2"), (Children, "/d")]
    );
    assert_eq!((story.tree.sessions().len(), story.tree.ephemerals_count()), (0, 0));
}

#[test]
fn a_multi_has_one_zxid_and_a_failed_one_does_nothing() {
    let mut story = Story::new();
    let applied = story.apply(Txn::Multi(vec![
        Txn::Check { path: "/".into(), version: -1 },
        create("/m", None, open_acl(), false),
        create("/m/n", None, open_acl(), false),
        Txn::Delete { op: OpCode::Delete, path: "/m/n".into() },
    ]));
    assert_eq!(
        applied.multi.iter().map(|a| a.op).collect::<Vec<_>>(),
        [OpCode::Check, OpCode::Create2, OpCode::Create2, OpCode::Delete]
    );
    let stat = story.tree.node("/m").unwrap().stat();
    assert_eq!((stat.czxid, stat.pzxid, stat.cversion), (Zxid(1), Zxid(1), 2));
    let digest = story.tree.digest();
    let codes = [0, ErrorCode::BadVersion.number(), ErrorCode::RuntimeInconsistency.number()];
    let applied = story.apply(Txn::Multi(codes.map(|code| Txn::Error { code }).into()));
    assert_eq!((applied.error, applied.is_refused()), (ErrorCode::BadVersion, false));
    assert_eq!(applied.multi.iter().map(|a| a.error.number()).collect::<Vec<_>>(), codes);
    assert_eq!((story.tree.digest(), story.changes.len(), story.tree.last_processed()), (digest, 0, Zxid(2)));
}

#[test]
fn parts_beside_an_error_become_errors() {
    let mut story = Story::new();
    let part = |path| create(path, None, open_acl(), false);
    let applied = story.apply(Txn::Multi(vec![part("/a"), Txn::Error { code: -101 }, part("/b")]));
    let parts: Vec<_> = applied.multi.iter().map(|a| (a.op, a.error.number())).collect();
    assert_eq!(parts, [(OpCode::Error, 0), (OpCode::Error, -101), (OpCode::Error, -2)]);
    assert!(!story.tree.contains("/a") && !story.tree.contains("/b"));
}

#[test]
fn quota_usage_follows_without_touching_the_stat() {
    let mut story = Story::new();
    story.create("/a", Some(b"12345"));
    story.create("/a/b", Some(b"123"));
    let digest = story.tree.digest();
    story.create("/zookeeper/quota/a", None);
    let limits = b"count=2,bytes=-1=;byteHardLimit=100;countHardLimit=9";
    story.create("/zookeeper/quota/a/zookeeper_limits", Some(limits));
    assert_eq!(story.tree.digest(), digest, "the system's nodes are no part of it");
    assert_eq!(story.set_data("/a", "1", 1).error, ErrorCode::Ok, "the statistics node may be missing");
    story.create("/zookeeper/quota/a/zookeeper_stats", Some(b"count=0,bytes=0"));
    let stats = "/zookeeper/quota/a/zookeeper_stats";
    let stat = story.tree.node(stats).unwrap().stat_persisted();
    assert_eq!(story.text(stats), "count=2,bytes=4");
    story.create("/a/b/c", Some(b"1234567"));
    story.set_data("/a/b", "", 1);
    story.delete("/a/b/c");
    assert_eq!(story.text(stats), "count=2,bytes=1");
    assert_eq!(story.tree.node(stats).unwrap().stat_persisted(), stat);
    let quota = story.tree.quota_for("/a/b/any/where").unwrap();
    let (limits, usage) = (quota.limits.unwrap(), quota.usage.unwrap());
    assert_eq!((quota.prefix.as_str(), limits.count(), limits.bytes_hard_limit()), ("/a", 2, 100));
    assert_eq!((usage.count(), limits.count_hard_limit(), limits.bytes()), (2, 9, -1));
    assert_eq!(story.tree.quota_for("/ab"), None);
    // What a client has spoiled says nothing, which is -1, and is counted on.
    story.set_data(stats, "spoiled", 1);
    story.create("/a/d", Some(b"1234567"));
    assert_eq!(story.text(stats), "count=0,bytes=6");
    story.delete("/zookeeper/quota/a/zookeeper_limits");
    assert_eq!(story.tree.quota_for("/a/b"), None);
}

#[test]
fn reaper_finds_used_containers_and_overdue_ttl_nodes() {
    let mut story = Story::new();
    let container =
        |path: &str| Txn::CreateContainer { path: path.into(), data: None, acl: open_acl(), parent_cversion: -1 };
    story.apply(container("/used"));
    story.apply(container("/unused"));
    story.create("/used/x", None);
    let (path, acl) = ("/ttl".to_owned(), open_acl());
    story.apply(Txn::CreateTtl { path, data: None, acl, parent_cversion: -1, ttl_ms: 500 });
    let candidates = |story: &Story, now, never| story.tree.reaper_candidates(Millis(now), Millis(never));
    assert!(candidates(&story, 4500, 0).is_empty());
    story.delete("/used/x");
    assert_eq!(candidates(&story, 4501, 0), ["/used", "/ttl"]);
    assert_eq!(candidates(&story, 3001, 1000), ["/used", "/unused"]);
    story.set_data("/ttl", "again", 1);
    assert_eq!(candidates(&story, 6500, 0), ["/used"]);
    story.delete("/used");
    assert_eq!(story.tree.containers().map(|n| n.path()).collect::<Vec<_>>(), ["/unused"]);
    let stat = story.tree.node("/ttl").unwrap().stat();
    assert_eq!((stat.ephemeral_owner, story.tree.node("/ttl").unwrap().owner()), (0, Owner::Ttl { ttl_ms: 500 }));
}

#[test]
fn the_config_node_is_filled_without_a_transaction() {
    let mut story = Story::new();
    let digest = story.tree.digest();
    story.tree.write_config("server.1=x", Zxid(0x100), Millis(5));
    let stat = story.tree.node("/zookeeper/config").unwrap().stat();
    assert_eq!((stat.version, stat.mzxid, stat.mtime, stat.data_length), (-1, Zxid(0x100), 5, 10));
    assert_eq!((story.tree.digest(), story.tree.last_processed()), (digest, Zxid::ZERO));
}

#[test]
fn stale_ephemerals_go_after_recovery() {
    let mut story = Story::new();
    story.create_ephemeral("/left");
    assert_eq!(story.tree.remove_stale_ephemerals(), [SessionId(7)]);
    assert!(!story.tree.contains("/left"));
    story.apply(Txn::CreateSession { timeout_ms: 1 });
    story.create_ephemeral("/kept");
    assert!(story.tree.remove_stale_ephemerals().is_empty() && story.tree.contains("/kept"));
}

#[test]
fn the_digest_is_logged_every_128_zxids_and_mismatches_are_counted() {
    let mut story = Story::new();
    for n in 0..300 {
        story.create(&format!("/n{n}"), None);
    }
    assert_eq!(story.tree.digest_log().map(|(zxid, _)| zxid.0).collect::<Vec<_>>(), [128, 256]);
    let header = TxnHeader { session: SessionId(7), cxid: 0, zxid: Zxid(301), time: 0 };
    let (txn, right) = (Txn::Error { code: -101 }, story.tree.digest());
    let mut with = |version, tree_digest| {
        let entry = TxnEntry { header, txn: txn.clone(), digest: Some(TxnDigest { version, tree_digest }) };
        story.tree.apply(&entry, &mut vec![]).digest
    };
    assert_eq!(with(DIGEST_VERSION, right), DigestCheck::Match);
    assert_eq!(with(DIGEST_VERSION, 1), DigestCheck::Mismatch { expected: 1, actual: right });
    assert_eq!(with(DIGEST_VERSION + 1, 1), DigestCheck::Unchecked);
    assert_eq!(story.tree.digest_mismatches(), 1);
}

#[test]
fn a_logged_digest_is_the_trees_at_its_zxid() {
    let mut story = Story::new();
    for n in 1..=128 {
        story.create(&format!("/n{n}"), None);
    }
    let then = story.tree.digest();
    story.create("/later", None);
    assert_eq!(story.tree.digest_log().collect::<Vec<_>>(), [(Zxid(128), then)]);
    assert_ne!(story.tree.digest(), then);
}

#[test]
fn the_last_1024_digests_are_kept() {
    let mut story = Story::new();
    for zxid in [128, 256, 300, 128 * 1024, 128 * 1025] {
        story.zxid = zxid - 1;
        story.apply(Txn::Error { code: -101 });
    }
    assert_eq!(story.tree.digest_log().count(), 4);
    for n in 3..=1030 {
        story.zxid = 128 * n - 1;
        story.apply(Txn::Error { code: -101 });
    }
    assert_eq!(story.tree.digest_log().count(), 1024);
}

/// The tree after `/a`, `/b` and `/c`, with the digest of a snapshot awaited from behind `/a` on.
fn with_awaited(zxid: i64, digest: u64, snapshot: i64) -> (Tree, Vec<DigestCheck>) {
    let mut story = Story::new();
    story.create("/a", None);
    story.tree.await_snapshot_digest(Zxid(zxid), DIGEST_VERSION, digest, Zxid(snapshot));
    let checks = ["/b", "/c"].map(|path| {
        story.zxid += 1;
        let header = TxnHeader { session: SessionId(7), cxid: 0, zxid: Zxid(story.zxid), time: 1000 * story.zxid };
        let digest = Some(TxnDigest { version: DIGEST_VERSION, tree_digest: 1 });
        story.tree.replay(&TxnEntry { header, txn: create(path, None, open_acl(), false), digest }).digest
    });
    (story.tree, checks.to_vec())
}

#[test]
fn the_digest_of_a_fuzzy_snapshot_is_compared_at_its_own_transaction_and_none_before_it() {
    let (right, _) = with_awaited(0, 0, 0);
    let right = right.digest();
    for (digest, differ) in [(right, 1), (right ^ 1, 2)] {
        let (tree, checks) = with_awaited(3, digest, 1);
        assert_eq!(checks[0], DigestCheck::Unchecked, "the tree may mix two moments");
        // The transaction that ends the wait is compared as well, and here it is always wrong.
        assert_eq!((tree.digest_mismatches(), tree.is_awaiting_snapshot_digest()), (differ, false));
    }
}

#[test]
fn the_digest_of_a_snapshot_that_is_older_than_its_name_is_ignored() {
    let (tree, checks) = with_awaited(2, 0, 3);
    assert!(checks.iter().all(|check| matches!(check, DigestCheck::Mismatch { .. })), "{checks:?}");
    assert!(!tree.is_awaiting_snapshot_digest());
}

#[test]
fn without_digests_nothing_is_computed_or_compared() {
    let mut tree = Tree::new(TreeOptions { digest_enabled: false, ..options() });
    let header = TxnHeader { session: SessionId(7), cxid: 0, zxid: Zxid(128), time: 0 };
    let digest = Some(TxnDigest { version: DIGEST_VERSION, tree_digest: 1 });
    let entry = TxnEntry { header, txn: create("/a", None, open_acl(), false), digest };
    assert_eq!(tree.apply(&entry, &mut vec![]).digest, DigestCheck::Unchecked);
    assert_eq!((tree.digest(), tree.digest_log().count(), tree.digest_mismatches()), (0, 0, 0));
}

fn record(path: &str, acl: i64, owner: i64) -> Vec<u8> {
    let mut out = Vec::new();
    let mut w = oxkeeper_proto::jute::Writer::new(&mut out);
    w.string(path);
    w.buffer(Some(b"d"));
    w.long(acl);
    w.stat_persisted(&StatPersisted { ephemeral_owner: owner, ..StatPersisted::default() });
    out
}

fn load(records: &[Vec<u8>]) -> Result<Loaded, LoadError> {
    let end = [0, 0, 0, 1, b'/'];
    let bytes = [&[0; 8][..], &records.concat(), &end].concat();
    ImageLoader::load(options(), &bytes).map(|(loaded, _)| loaded)
}

#[test]
fn bad_snapshots_are_refused_with_path_and_offset() {
    let root = || record("", -1, 0);
    let error = load(&[root(), record("/a", -1, 0), record("/b/c", -1, 0)]).unwrap_err();
    assert_eq!(error.kind, LoadErrorKind::MissingParent { path: "/b/c".into() });
    assert_eq!((error.at as usize, error.nodes, &error.last_path[..]), (8 + root().len() * 2 + 2, 2, "/a"));
    let kind = |records: &[Vec<u8>]| load(records).unwrap_err().kind;
    assert_eq!(kind(&[]), LoadErrorKind::MissingRoot);
    assert_eq!(kind(&[record("/a", -1, 0)]), LoadErrorKind::MissingRoot);
    assert_eq!(kind(&[root(), root()]), LoadErrorKind::Duplicate { path: "/".into() });
    assert_eq!(
        kind(&[root(), record("/a", -1, 0), record("/a", -1, 0)]),
        LoadErrorKind::Duplicate { path: "/a".into() }
    );
    assert_eq!(kind(&[root(), record("a", -1, 0)]), LoadErrorKind::BadPath { path: "a".into() });
    assert_eq!(kind(&[root(), record("/a/", -1, 0)]), LoadErrorKind::BadPath { path: "/a/".into() });
    let raw = 0xff00_0100_0000_0001_u64 as i64;
    assert_eq!(kind(&[root(), record("/a", -1, raw)]), LoadErrorKind::UnknownOwner { path: "/a".into(), raw });
    let mut loader = ImageLoader::new(options());
    loader.feed(&[0, 0, 0, 0, 0, 0]).unwrap();
    assert_eq!(loader.finish().unwrap_err().kind, LoadErrorKind::Truncated { left: 2 });
    let negative = ImageLoader::load(options(), &[0xff; 8]).unwrap_err();
    assert_eq!(negative.kind, LoadErrorKind::NegativeCount { what: "sessions", count: -1 });
}

#[test]
fn a_node_whose_acl_is_not_listed_lets_nobody_in_until_replay_puts_it_right() {
    let loaded = load(&[record("", -1, 0), record("/a", 5, 0)]).unwrap();
    assert_eq!(loaded.acls_missing, 1);
    let mut tree = loaded.tree;
    assert_eq!(tree.node("/a").unwrap().acl()[0].perms, Perms(0));
    let header = TxnHeader { session: SessionId(7), cxid: 0, zxid: Zxid(3), time: 0 };
    let entry = TxnEntry { header, txn: create("/a", None, read_by("x"), false), digest: None };
    let outcome = tree.replay(&entry);
    assert_eq!((outcome.error, outcome.refused), (ErrorCode::NodeExists, true));
    assert_eq!((&tree.node("/a").unwrap().acl()[..], tree.acl_count()), (&read_by("x")[..], 1));
}

#[test]
fn a_tree_that_lost_the_place_of_the_configuration_goes_on_without() {
    let mut story = Story::new();
    for path in ["/zookeeper/config", "/zookeeper/quota", "/zookeeper"] {
        assert_eq!(story.delete(path).error, ErrorCode::Ok);
    }
    story.tree.write_config("version=0", Zxid::ZERO, Millis(1));
    assert!(story.tree.node("/zookeeper/config").is_none());
}

#[test]
fn a_deep_tree_is_walked_without_deep_recursion() {
    let mut story = Story::new();
    let mut path = String::new();
    for _ in 0..5000 {
        path.push_str("/d");
        story.create(&path, None);
    }
    assert_eq!((story.tree.descendants("/d"), story.tree.node(&path).unwrap().path()), (4999, path));
}

#[test]
fn an_image_costs_memory_only_for_what_changes() {
    let mut story = Story::new();
    for n in 0..1000 {
        story.create(&format!("/n{n}"), None);
    }
    let id = story.tree.freeze();
    assert_eq!((story.tree.image_changed(id), story.tree.image_zxid(id)), (0, Zxid(1000)));
    for version in 1..=5 {
        story.set_data("/n1", "x", version);
    }
    story.create("/new", None);
    assert_eq!(story.tree.image_changed(id), 2, "the node that was written, and the root as a parent");
    story.tree.thaw(id);
}

#[test]
fn readers_on_other_threads_may_share_the_tree() {
    fn check<T: Send + Sync>(_: &T) {}
    check(&Tree::new(options()));
}
