//! No transaction is longer than a log can be read back with.

use super::*;
use oxkeeper_proto::client::SetAclRequest;
use oxkeeper_types::Perms;

const MAX: usize = 2000;

fn server() -> Server {
    let mut s = Server::with(Options { record_bytes_max: MAX, ..Options::default() });
    s.auth = (0..100).map(|n| Id::new("digest", format!("user{n}:hash"))).collect();
    s
}

/// Stands for all identities of the connection.
fn auth_acl() -> Option<Vec<Acl>> {
    Some(vec![Acl::new(Perms::ALL, Id::new("auth", ""))])
}

fn length(prepared: &Prepared) -> usize {
    let mut bytes = Vec::new();
    prepared.entry.write(&mut bytes);
    bytes.len()
}

#[test]
fn a_list_that_grows_too_long_is_refused() {
    let mut s = server();
    let create = |acl| move |w: &mut Writer| CreateRequest { path: "/a".into(), data: None, acl, flags: 0 }.write(w);
    let refused = s.run(OpCode::Create, create(auth_acl()));
    assert_eq!(refused.refused, Some(ErrorCode::MarshallingError));
    assert!(!s.tree.contains("/a"));
    assert_eq!(s.run(OpCode::Create, create(Some(open_acl()))).refused, None);
    let set = s.run(OpCode::SetAcl, |w| {
        SetAclRequest { path: "/a".into(), acl: auth_acl(), version: -1 }.write(w);
    });
    assert_eq!(set.refused, Some(ErrorCode::MarshallingError));
    assert_eq!(s.stat("/a").aversion, 0);
    s.auth.truncate(3);
    let set = s.run(OpCode::SetAcl, |w| {
        SetAclRequest { path: "/a".into(), acl: auth_acl(), version: -1 }.write(w);
    });
    assert_eq!(set.refused, None);
}

#[test]
fn parts_of_a_multi_that_do_not_fit_together_are_refused_as_a_whole() {
    let names: Vec<String> = (0..30).map(|n| format!("/{n:030}")).collect();
    let ops = |count: usize| -> Vec<MultiOp<'_>> {
        let make = |name| MultiOp::Create { op: OpCode::Create, request: create_request(name, 0) };
        names[..count].iter().map(|name| make(name)).collect()
    };
    let mut last_fitting = 0;
    for count in 1..=30 {
        let mut s = server();
        let done = s.run(OpCode::Multi, |w| write_multi(&ops(count), w));
        if done.refused.is_some() {
            assert_eq!(done.refused, Some(ErrorCode::MarshallingError));
            assert_eq!(done.entry.txn, Txn::Error { code: -5 });
            assert!(!s.tree.contains(&names[0]), "nothing is left of it");
            s.given(&names[0]);
            continue;
        }
        assert!(length(&done) <= MAX, "{} bytes", length(&done));
        last_fitting = length(&done);
    }
    let step = 90;
    assert!(last_fitting + step > MAX, "{last_fitting} bytes fitted, and none more");
}

#[test]
fn a_session_with_too_many_ephemerals_is_closed_without_their_list() {
    let mut s = server();
    for n in 0..100 {
        s.given_ephemeral(&format!("/ephemeral-{n:020}"));
    }
    assert_eq!(s.tree.ephemerals_count(), 100);
    let closed = s.run(OpCode::CloseSession, |_| {});
    assert_eq!(closed.entry.txn, Txn::CloseSession { paths: None });
    assert_eq!(closed.entry.digest, None, "a reader that expects a list would take it for one");
    assert_eq!(s.tree.ephemerals_count(), 0);
    s.given_ephemeral("/one");
    let closed = s.run(OpCode::CloseSession, |_| {});
    assert_eq!(closed.entry.txn, Txn::CloseSession { paths: Some(vec!["/one".into()]) });
    assert!(closed.entry.digest.is_some());
}
