//! Random histories: what clients may do, turned into transactions as the leader's prep would.

use super::model::{Model, options, parent_of};
use crate::*;
use bytes::Bytes;
use oxkeeper_proto::txn::{DIGEST_VERSION, Txn, TxnDigest, TxnEntry, TxnHeader};
use oxkeeper_types::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
pub enum Op {
    Create { path: String, kind: u8, data: Option<Vec<u8>>, acl: u8 },
    Delete(String),
    SetData(String, Option<Vec<u8>>),
    SetAcl(String, u8),
    Multi(Vec<Op>),
    SetQuota(String),
    DropQuota(String),
    FailedMulti,
    OpenSession,
    CloseSession { with_paths: bool },
    Error,
}

pub fn any_path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "ü", "long-name-of-a-node"]);
    prop::collection::vec(name, 1..4).prop_map(|names| names.iter().map(|n| format!("/{n}")).collect())
}

/// Quotas only on first-level nodes, so that they do not nest.
fn quota_path() -> impl Strategy<Value = String> {
    let target = prop::sample::select(vec!["", "/a", "/b"]);
    let name = prop::sample::select(vec!["", "/zookeeper_limits", "/zookeeper_stats"]);
    (target, name)
        .prop_map(|(target, name)| format!("/zookeeper/quota{target}{name}"))
        .prop_filter("the quota node stays", |path| {
            parent_of(path) != "/zookeeper" && !path.starts_with("/zookeeper/quota/zoo")
        })
}

fn any_data() -> impl Strategy<Value = Option<Vec<u8>>> {
    prop::option::of(prop::collection::vec(any::<u8>(), 0..40))
}

fn single(path: BoxedStrategy<String>) -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (path.clone(), 0u8..6, any_data(), 0u8..4)
            .prop_map(|(path, kind, data, acl)| Op::Create { path, kind, data, acl }),
        3 => path.clone().prop_map(Op::Delete),
        3 => (path.clone(), any_data()).prop_map(|(path, data)| Op::SetData(path, data)),
        1 => (path, 0u8..4).prop_map(|(path, acl)| Op::SetAcl(path, acl)),
    ]
}

/// Operations with the session that asks for them.
pub fn history(quotas: bool, length: usize) -> impl Strategy<Value = Vec<(i64, Op)>> {
    let path = any_path().boxed();
    let with_quotas = if quotas { prop_oneof![4 => path.clone(), 1 => quota_path()].boxed() } else { path.clone() };
    let target = || prop::sample::select(vec!["/a".to_owned(), "/b".to_owned()]);
    let set_or_drop = prop_oneof![2 => target().prop_map(Op::SetQuota), 1 => target().prop_map(Op::DropQuota)];
    let quota = if quotas { set_or_drop.boxed() } else { Just(Op::OpenSession).boxed() };
    let op = prop_oneof![
        12 => single(with_quotas),
        2 => quota,
        2 => prop::collection::vec(single(path), 0..5).prop_map(Op::Multi),
        1 => Just(Op::FailedMulti),
        1 => Just(Op::OpenSession),
        2 => any::<bool>().prop_map(|with_paths| Op::CloseSession { with_paths }),
        1 => Just(Op::Error),
    ];
    prop::collection::vec((1i64..4, op), 1..length)
}

fn acl_list(n: u8) -> Vec<Acl> {
    match n {
        0 => acl::open_acl(),
        1 => vec![],
        n => vec![
            Acl::new(Perms(n as i32), Id::new("digest", format!("user{n}:x"))),
            Acl::new(Perms::READ, Id::anyone()),
        ],
    }
}

/// The transaction that prep would make of a single operation; an error where it cannot be done, unless `raw`.
fn prepare(model: &Model, op: &Op, raw: bool) -> Txn {
    let error = |code: ErrorCode| Txn::Error { code: code.number() };
    match op {
        Op::Create { path, kind, data, acl } => {
            // Clients cannot give a quota node content that is no statistics.
            let is_quota = path.starts_with("/zookeeper");
            let parent = model.nodes.get(parent_of(path));
            if !raw || is_quota {
                match parent {
                    None => return error(ErrorCode::NoNode),
                    Some(_) if model.nodes.contains_key(path) => return error(ErrorCode::NodeExists),
                    Some(parent) if parent.stat.ephemeral_owner > 0 => {
                        return error(ErrorCode::NoChildrenForEphemerals);
                    }
                    Some(_) => {}
                }
            }
            if path.ends_with("_stats") && !model.children(parent_of(path)).contains(&"zookeeper_limits".to_owned()) {
                return error(ErrorCode::NoNode);
            }
            // The twin counts quotas after a whole transaction, which a session's end must not take apart.
            let kind = if is_quota { &1 } else { kind };
            let parent_cversion = parent.map_or(1, |p| p.stat.cversion + 1);
            let (path, data, acl) = (path.clone(), data.clone().map(Bytes::from), acl_list(*acl));
            match kind {
                0 if raw => Txn::Create { op: OpCode::Create, path, data, acl, ephemeral: false, parent_cversion: -1 },
                3 => Txn::Create { op: OpCode::Create2, path, data, acl, ephemeral: true, parent_cversion },
                4 => Txn::CreateContainer { path, data, acl, parent_cversion },
                5 => Txn::CreateTtl { path, data, acl, parent_cversion, ttl_ms: 77 },
                _ => Txn::Create { op: OpCode::Create, path, data, acl, ephemeral: *kind == 2, parent_cversion },
            }
        }
        Op::Delete(path) if raw && !path.starts_with("/zookeeper") => {
            Txn::Delete { op: OpCode::Delete, path: path.clone() }
        }
        Op::Delete(path) => match model.nodes.get(path) {
            None => error(ErrorCode::NoNode),
            Some(_) if !model.children(path).is_empty() => error(ErrorCode::NotEmpty),
            // Statistics without limits stand still, which the twin does not know.
            Some(_) if path.ends_with("_limits") && model.children(parent_of(path)).len() > 1 => {
                error(ErrorCode::NoAuth)
            }
            Some(_) => Txn::Delete { op: OpCode::DeleteContainer, path: path.clone() },
        },
        Op::SetData(path, _) if path.ends_with("_stats") => error(ErrorCode::NoAuth),
        Op::SetData(path, data) => match model.nodes.get(path) {
            None if !raw => error(ErrorCode::NoNode),
            node => {
                let version = node.map_or(0, |n| n.stat.version + 1);
                Txn::SetData { op: OpCode::SetData, path: path.clone(), data: data.clone().map(Bytes::from), version }
            }
        },
        Op::SetAcl(path, acl) => match model.nodes.get(path) {
            None if !raw => error(ErrorCode::NoNode),
            node => {
                let version = node.map_or(0, |n| n.stat.aversion + 1);
                Txn::SetAcl { path: path.clone(), acl: acl_list(*acl), version }
            }
        },
        other => panic!("{other:?} is no single operation"),
    }
}

/// The entry for an operation, given what the model knows before it.
pub fn entry_for(model: &Model, session: i64, op: &Op, n: i64, raw: bool) -> TxnEntry {
    let header =
        TxnHeader { session: SessionId(session), cxid: n as i32, zxid: Zxid((1 << 32) | n), time: 1_000_000 + n };
    let txn = match op {
        Op::OpenSession => Txn::CreateSession { timeout_ms: 4000 + n as i32 },
        Op::CloseSession { with_paths: true } => Txn::CloseSession { paths: Some(model.owned_by(session)) },
        Op::CloseSession { with_paths: false } => Txn::CloseSession { paths: None },
        Op::Error => Txn::Error { code: ErrorCode::BadVersion.number() },
        Op::FailedMulti => Txn::Multi(vec![
            Txn::Error { code: 0 },
            Txn::Error { code: ErrorCode::NoNode.number() },
            Txn::Error { code: ErrorCode::RuntimeInconsistency.number() },
        ]),
        Op::Multi(ops) => prepare_multi(model, &header, ops, raw),
        Op::SetQuota(target) => {
            let paths = quota_nodes(target).into_iter().filter(|path| !model.nodes.contains_key(path));
            let ops = paths.map(|path| Op::Create { path, kind: 1, data: None, acl: 0 });
            prepare_multi(model, &header, &ops.collect::<Vec<_>>(), false)
        }
        Op::DropQuota(target) => {
            let paths = quota_nodes(target).into_iter().rev().filter(|path| model.nodes.contains_key(path));
            prepare_multi(model, &header, &paths.map(Op::Delete).collect::<Vec<_>>(), false)
        }
        single => prepare(model, single, raw),
    };
    TxnEntry { header, txn, digest: None }
}

fn quota_nodes(target: &str) -> [String; 3] {
    ["", "/zookeeper_limits", "/zookeeper_stats"].map(|name| format!("/zookeeper/quota{target}{name}"))
}

/// Each part is prepared on the state that the parts before it leave; one refusal makes all of them errors.
fn prepare_multi(model: &Model, header: &TxnHeader, ops: &[Op], raw: bool) -> Txn {
    let (mut model, mut txns) = (model.clone(), Vec::new());
    for op in ops {
        let txn = prepare(&model, op, raw);
        if let Txn::Error { .. } = txn {
            return Txn::Multi(vec![Txn::Error { code: 0 }, txn]);
        }
        model.apply(&TxnEntry { header: *header, txn: txn.clone(), digest: None }, &[]);
        txns.push(Txn::Check { path: "/".into(), version: -1 });
        txns.push(txn);
    }
    Txn::Multi(txns)
}

/// The CRCs that prep would have computed.
fn hints(txn: &Txn, out: &mut Vec<ContentCrc>) {
    match txn {
        Txn::Create { path, data, .. }
        | Txn::CreateContainer { path, data, .. }
        | Txn::CreateTtl { path, data, .. }
        | Txn::SetData { path, data, .. } => out.push(content_crc(path, data.as_deref())),
        Txn::Multi(txns) => txns.iter().for_each(|txn| hints(txn, out)),
        _ => {}
    }
}

/// Applies an operation to both; they must agree on result and changes.
pub fn step(tree: &mut Tree, model: &mut Model, session: i64, op: &Op, n: i64, raw: bool) -> TxnEntry {
    let mut entry = entry_for(model, session, op, n, raw);
    let order: Vec<String> = tree.ephemerals_of(SessionId(session)).collect();
    let expected = model.apply(&entry, &order);
    entry.digest = Some(TxnDigest { version: DIGEST_VERSION, tree_digest: model.digest() });
    let (mut changes, mut crcs) = (Vec::new(), Vec::new());
    if n % 2 == 0 {
        hints(&entry.txn, &mut crcs);
    }
    let applied = tree.apply_hinted(&entry, &crcs, &mut changes);
    assert_eq!(applied.error, expected, "{entry:?}");
    assert_eq!(applied.digest, DigestCheck::Match, "{entry:?}");
    let changes: Vec<_> = changes.into_iter().map(|c| (c.kind, c.path)).collect();
    assert_eq!(changes, model.changes, "{entry:?}");
    if !raw {
        assert!(!applied.is_refused(), "{entry:?}: {applied:?}");
    }
    assert_eq!(tree.last_processed(), entry.header.zxid);
    entry
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// `raw` histories also hold what prep would refuse, as a fuzzy snapshot makes of valid ones.
    #[test]
    fn any_history_leaves_the_tree_as_its_twin(ops in history(true, 60), raw in any::<bool>()) {
        let (mut tree, mut model) = (Tree::new(options()), Model::new());
        model.check(&tree);
        for (n, (session, op)) in ops.iter().enumerate() {
            step(&mut tree, &mut model, *session, op, n as i64 + 1, raw);
            model.check(&tree);
        }
        assert_eq!(tree.digest_mismatches(), 0);
    }
}
