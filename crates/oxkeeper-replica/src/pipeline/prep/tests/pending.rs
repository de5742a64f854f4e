//! Requests that meet what is pending, not yet applied.

use super::*;

#[test]
fn sequential_names_count_the_creates_of_the_parent() {
    let mut s = Server::new();
    s.given("/q");
    let name = |s: &mut Server, path: &str| path_of(&s.prepare(OpCode::Create, create_flag(path, 2))).to_owned();
    assert_eq!(name(&mut s, "/q/n-"), "/q/n-0000000000");
    assert_eq!(name(&mut s, "/q/"), "/q/0000000001");
    s.apply(1);
    assert_eq!(name(&mut s, "/q/n-"), "/q/n-0000000002");
    s.prepare(OpCode::Delete, delete("/q/n-0000000002", -1));
    assert_eq!(name(&mut s, "/q/n-"), "/q/n-0000000003", "a delete does not count");
    s.prepare(OpCode::Create, create("/q/plain"));
    s.apply_all();
    assert_eq!(name(&mut s, "/q/n-"), "/q/n-0000000005", "a plain create does");
    // A fresh root has one child, but it was not created by a transaction.
    assert_eq!(name(&mut s, "/"), "/0000000001");
    assert_eq!(s.prepare(OpCode::Create, create_flag("/q/.", 2)).refused, None, "the name is .0000000006");
    s.apply_all();
}

#[test]
fn the_number_of_a_sequential_name_is_signed() {
    let mode = CreateMode::PersistentSequential;
    let name = |n| crate::pipeline::prep::create::final_path("/a-".into(), mode, n);
    assert_eq!(name(i32::MAX), "/a-2147483647");
    assert_eq!(name(i32::MIN), "/a--2147483648");
    assert_eq!(name(-5), "/a--000000005");
}

#[test]
fn pending_creates_and_deletes_are_seen() {
    let mut s = Server::new();
    s.prepare(OpCode::Create, create("/a"));
    s.prepare(OpCode::Create, create("/a/b"));
    assert_eq!(s.prepare(OpCode::Create, create("/a")).refused, Some(ErrorCode::NodeExists));
    assert_eq!(s.prepare(OpCode::Delete, delete("/a", -1)).refused, Some(ErrorCode::NotEmpty));
    assert_eq!(s.prepare(OpCode::Delete, delete("/a/b", -1)).refused, None);
    assert_eq!(s.prepare(OpCode::SetData, set_data("/a/b", b"", -1)).refused, Some(ErrorCode::NoNode));
    assert_eq!(s.prepare(OpCode::Delete, delete("/a", -1)).refused, None);
    assert_eq!(s.prepare(OpCode::Create, create("/a/b")).refused, Some(ErrorCode::NoNode));
    assert_eq!(s.prepare(OpCode::Create, create("/a")).refused, None);
    s.apply_all();
    assert!(s.tree.contains("/a") && !s.tree.contains("/a/b"));
}

#[test]
fn pending_versions_and_lists_are_seen() {
    let mut s = Server::new();
    s.given("/a");
    assert_eq!(s.prepare(OpCode::SetData, set_data("/a", b"1", 0)).refused, None);
    assert_eq!(s.prepare(OpCode::SetData, set_data("/a", b"2", 0)).refused, Some(ErrorCode::BadVersion));
    let read_only = Some(vec![Acl::new(Perms(Perms::READ.0 | Perms::ADMIN.0), Id::anyone())]);
    assert_eq!(s.prepare(OpCode::SetAcl, set_acl("/a", read_only, 0)).refused, None);
    assert_eq!(s.prepare(OpCode::SetData, set_data("/a", b"2", 1)).refused, Some(ErrorCode::NoAuth));
    assert_eq!(s.prepare(OpCode::Create, create("/a/b")).refused, Some(ErrorCode::NoAuth));
    assert_eq!(s.prepare(OpCode::SetAcl, set_acl("/a", Some(open_acl()), 1)).refused, None);
    s.apply(3);
    assert_eq!(s.prepare(OpCode::SetData, set_data("/a", b"2", 1)).refused, None);
    s.apply_all();
    assert_eq!(s.stat("/a").version, 2);
}

#[test]
fn the_root_has_one_record() {
    let mut s = Server::new();
    s.prepare(OpCode::SetData, set_data("/", b"new", -1));
    s.prepare(OpCode::Create, create("/a"));
    s.prepare(OpCode::SetData, set_data("/", b"newer", 1));
    s.apply_all();
    assert_eq!(s.stat("/").version, 2);
}

#[test]
fn close_session_takes_pending_ephemerals_along() {
    let mut s = Server::new();
    s.given("/p");
    for path in ["/p/in-tree", "/p/deleted", "/p/changing-hands"] {
        s.given_ephemeral(path);
    }
    s.prepare(OpCode::Delete, delete("/p/deleted", -1));
    s.prepare(OpCode::Delete, delete("/p/changing-hands", -1));
    s.prepare(OpCode::Create, create_flag("/p/pending-b", 1));
    s.prepare(OpCode::Create, create_flag("/p/pending-a", 1));
    s.prepare(OpCode::Create, create_flag("/p/short", 1));
    s.prepare(OpCode::Delete, delete("/p/short", -1));
    s.session = BOB;
    s.prepare(OpCode::Create, create_flag("/p/changing-hands", 1));
    s.prepare(OpCode::Create, create_flag("/p/bob", 1));
    s.session = ALICE;
    let closed = s.prepare(OpCode::CloseSession, nothing);
    let paths = ["/p/in-tree", "/p/pending-a", "/p/pending-b"].map(str::to_owned).to_vec();
    assert_eq!(closed.entry.txn, Txn::CloseSession { paths: Some(paths) });
    let again = s.prepare(OpCode::CloseSession, nothing);
    assert_eq!(again.entry.txn, Txn::CloseSession { paths: Some(vec![]) });
    s.session = BOB;
    s.prepare(OpCode::CloseSession, nothing);
    assert_eq!(s.prepare(OpCode::Delete, delete("/p", -1)).refused, None, "its children are about to go");
    s.apply_all();
    assert_eq!(s.tree.ephemerals_count(), 0);
}

#[test]
fn an_ephemeral_that_is_set_while_pending_is_still_closed() {
    let mut s = Server::new();
    s.given_ephemeral("/e");
    s.prepare(OpCode::SetData, set_data("/e", b"x", -1));
    let closed = s.prepare(OpCode::CloseSession, nothing);
    assert_eq!(closed.entry.txn, Txn::CloseSession { paths: Some(vec!["/e".into()]) });
    s.apply_all();
}

#[test]
fn close_session_can_leave_the_list_out() {
    let mut s = Server::new();
    s.options.close_session_txn = false;
    s.given_ephemeral("/e");
    assert_eq!(s.prepare(OpCode::CloseSession, nothing).entry.txn, Txn::CloseSession { paths: None });
    assert_eq!(s.prepare(OpCode::SetData, set_data("/e", b"x", -1)).refused, Some(ErrorCode::NoNode));
    s.apply_all();
    assert!(!s.tree.contains("/e"));
}

#[test]
fn opening_a_session_carries_the_digest_of_what_is_pending() {
    let mut s = Server::new();
    let created = s.prepare(OpCode::Create, create("/a"));
    let opened = s.prepare(OpCode::CreateSession, |w| w.int(5000));
    assert_eq!(opened.entry.txn, Txn::CreateSession { timeout_ms: 5000 });
    assert_eq!(opened.entry.digest, created.entry.digest);
    s.apply_all();
}

#[test]
fn clear_forgets_what_is_pending() {
    let mut s = Server::new();
    s.prepare(OpCode::Create, create("/a"));
    s.prep.clear();
    s.waiting.clear();
    assert_eq!((s.prep.pending(), s.prepare(OpCode::Create, create("/a")).refused), (0, None));
    s.apply_all();
}

#[test]
fn data_is_shared_with_the_body() {
    let mut s = Server::new();
    let mut body = Vec::new();
    create_request("/a", 0).write(&mut Writer::new(&mut body));
    let body = Bytes::from(body);
    let Txn::Create { data: Some(data), .. } = s.prepare_body(OpCode::Create, body.clone()).entry.txn else { panic!() };
    let range = body.as_ptr_range();
    assert!(range.contains(&data.as_ptr()), "the data was copied");
    s.apply_all();
}

#[test]
fn without_digests_nothing_is_hashed() {
    let mut s = Server::with(Options { digest_enabled: false, ..Options::default() });
    let created = s.prepare(OpCode::Create, create("/a"));
    assert_eq!((created.entry.digest, created.content_crcs.len()), (None, 0));
    s.prepare(OpCode::SetData, set_data("/a", b"x", 0));
    s.apply_all();
}

#[test]
fn versions_run_over_and_leave_out_minus_one() {
    let mut s = Server::new();
    s.given("/a");
    // No client can bring a version so far; the log of another server may.
    for (version, third) in [(i32::MAX - 1, i32::MIN + 1), (-3, 1)] {
        let mut entry = s.prepare(OpCode::SetData, set_data("/a", b"x", -1)).entry;
        let Txn::SetData { version: of_txn, .. } = &mut entry.txn else { panic!("{entry:?}") };
        *of_txn = version;
        entry.digest = None;
        s.waiting.clear();
        assert!(!s.tree.apply(&entry, &mut Vec::new()).is_refused());
        s.prep.applied(entry.header.zxid);
        for _ in 0..3 {
            s.run(OpCode::SetData, set_data("/a", b"y", -1));
        }
        assert_eq!(s.stat("/a").version, third);
    }
}
