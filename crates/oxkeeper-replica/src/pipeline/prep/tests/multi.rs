//! Several operations as one.

use super::*;

fn multi(ops: Vec<MultiOp<'_>>) -> impl FnOnce(&mut Writer) {
    move |w| write_multi(&ops, w)
}
fn make(path: &str, flags: i32) -> MultiOp<'_> {
    MultiOp::Create { op: OpCode::Create, request: create_request(path, flags) }
}
fn drop_(path: &str) -> MultiOp<'_> {
    MultiOp::Delete(DeleteRequest { path: path.into(), version: -1 })
}
fn check(path: &str, version: i32) -> MultiOp<'_> {
    MultiOp::Check(CheckVersionRequest { path: path.into(), version })
}
fn put(path: &str, version: i32) -> MultiOp<'_> {
    MultiOp::SetData(SetDataRequest { path: path.into(), data: Some(b"put"), version })
}
/// What the client gets to hear, part by part; the tree must not change.
fn codes(s: &Server, prepared: &Prepared) -> Vec<i32> {
    let mut tree = Tree::new(s.tree.options());
    let digest = tree.digest();
    let applied = tree.apply_hinted(&prepared.entry, &prepared.content_crcs, &mut Vec::new());
    assert_eq!((tree.digest(), tree.node_count()), (digest, 5));
    applied.multi.iter().map(|part| part.error.number()).collect()
}

#[test]
fn later_parts_see_earlier_ones() {
    let mut s = Server::new();
    let ops = vec![
        make("/a", 0),
        make("/a/s-", 2),
        make("/a/s-", 2),
        put("/a", 0),
        check("/a", 1),
        drop_("/a/s-0000000000"),
        make("/a/e", 1),
    ];
    let done = s.prepare(OpCode::Multi, multi(ops));
    let Txn::Multi(parts) = &done.entry.txn else { panic!("{done:?}") };
    assert_eq!(done.refused, None);
    assert_eq!(parts[4], Txn::Check { path: "/a".into(), version: 2 });
    assert_eq!(done.content_crcs.len(), 5);
    s.apply_all();
    let stat = s.stat("/a");
    assert_eq!((stat.version, stat.num_children, stat.pzxid), (1, 2, s.zxid));
    assert!(s.tree.contains("/a/s-0000000001"));
    assert_eq!(s.tree.ephemerals_count(), 1);
}

#[test]
fn a_failure_marks_the_parts_before_and_behind_it() {
    let mut s = Server::new();
    let failed = s.prepare(OpCode::Multi, multi(vec![make("/a", 0), check("/none", -1), make("/b", 0), drop_("/a")]));
    assert_eq!(codes(&s, &failed), [0, -101, -2, -2]);
    assert_eq!(failed.refused, Some(ErrorCode::NoNode));
    let Txn::Multi(parts) = &failed.entry.txn else { panic!("{failed:?}") };
    assert!(matches!(parts[0], Txn::Create { .. }), "the record holds what came before the failure");
    assert_eq!(failed.entry.digest.map(|d| d.tree_digest), Some(s.tree.digest()), "the digest is as before");
    assert!(failed.content_crcs.is_empty());
    assert_eq!(s.prep.pending(), 0);
    s.apply_all();
    assert!(!s.tree.contains("/a"));
}

#[test]
fn what_was_pending_before_a_failed_multi_stays_pending() {
    let mut s = Server::new();
    s.given("/p");
    s.given_ephemeral("/p/e");
    s.prepare(OpCode::Create, create_flag("/p/s-", 2));
    s.prepare(OpCode::SetData, set_data("/p", b"pending", 0));
    let digest = s.prep.overlay.digest(&s.tree);
    let ops = vec![
        make("/p/s-", 2),
        put("/p", 1),
        drop_("/p/s-0000000001"),
        drop_("/p/e"),
        make("/p/e", 1),
        make("/other", 1),
        check("/p", 77),
    ];
    let failed = s.prepare(OpCode::Multi, multi(ops));
    assert_eq!(codes(&s, &failed), [0, 0, 0, 0, 0, 0, -103]);
    assert_eq!(s.prep.overlay.digest(&s.tree), digest);
    let next = s.prepare(OpCode::Create, create_flag("/p/s-", 2));
    assert_eq!(path_of(&next), "/p/s-0000000002", "the failed number is free again (ZOOKEEPER-1624)");
    assert_eq!(s.prepare(OpCode::SetData, set_data("/p", b"x", 1)).refused, None);
    let closed = s.prepare(OpCode::CloseSession, nothing);
    assert_eq!(closed.entry.txn, Txn::CloseSession { paths: Some(vec!["/p/e".into()]) });
    s.apply_all();
}

#[test]
fn an_empty_multi_succeeds() {
    let mut s = Server::new();
    let done = s.run(OpCode::Multi, multi(vec![]));
    assert_eq!((done.entry.txn, done.refused), (Txn::Multi(vec![]), None));
}

#[test]
fn the_container_flag_makes_a_container_inside_a_multi() {
    let mut s = Server::new();
    let done = s.run(OpCode::Multi, multi(vec![make("/c", 4)]));
    assert!(matches!(&done.entry.txn, Txn::Multi(parts) if matches!(parts[0], Txn::CreateContainer { .. })));
}

#[test]
fn create_ttl_follows_its_flag_inside_a_multi() {
    let mut s = Server::new();
    let ttl = |flags, ttl_ms| {
        let (path, acl) = (format!("/t{flags}").into(), Some(open_acl()));
        MultiOp::CreateTtl(CreateTtlRequest { path, data: None, acl, flags, ttl_ms })
    };
    let done = s.run(OpCode::Multi, multi(vec![ttl(5, 1), ttl(0, 1), ttl(4, -1)]));
    let Txn::Multi(parts) = &done.entry.txn else { panic!("{done:?}") };
    let ops: Vec<OpCode> = parts.iter().map(Txn::op).collect();
    assert_eq!(ops, [OpCode::CreateTtl, OpCode::Create, OpCode::CreateContainer]);
    for (ops, expected) in [(vec![ttl(9, 1), ttl(1, 1)], &[-8, -2][..]), (vec![ttl(6, 0)], &[-8])] {
        let failed = s.run(OpCode::Multi, multi(ops));
        assert_eq!(codes(&s, &failed), expected);
    }
}

#[test]
fn a_null_list_fails_its_part_alone() {
    let mut s = Server::new();
    let null = MultiOp::Create {
        op: OpCode::Create2,
        request: CreateRequest { path: "/a".into(), data: None, acl: None, flags: 0 },
    };
    let failed = s.run(OpCode::Multi, multi(vec![make("/b", 0), null, make("/c", 0)]));
    assert_eq!(codes(&s, &failed), [0, -114, -2]);
}

#[test]
fn bad_flags_and_reads_fail_the_whole() {
    let mut s = Server::new();
    let read = MultiOp::GetData(oxkeeper_proto::client::PathWatchRequest { path: "/".into(), watch: false });
    for ops in [vec![make("/a", 9)], vec![make("/a", 5)], vec![read.clone()], vec![make("/a", 0), read]] {
        let failed = s.run(OpCode::Multi, multi(ops));
        assert_eq!((failed.entry.txn, failed.refused), (Txn::Error { code: -5 }, Some(ErrorCode::MarshallingError)));
        assert!(!s.tree.contains("/a"));
    }
}

#[test]
fn the_session_is_checked_by_every_part() {
    let mut s = Server::new();
    s.session_check = Err(ErrorCode::SessionMoved);
    let failed = s.run(OpCode::Multi, multi(vec![make("/a", 0), make("/b", 0)]));
    assert_eq!((codes(&s, &failed), failed.refused), (vec![-118, -2], Some(ErrorCode::SessionMoved)));
}
