//! Any requests at all: what is prepared can be applied, and its digest is the tree's.

use super::*;
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Step {
    Create {
        op: OpCode,
        path: String,
        flags: i32,
        ttl_ms: i64,
        data: Vec<u8>,
        acl: u8,
    },
    Delete {
        path: String,
        version: i32,
    },
    DeleteContainer {
        path: String,
    },
    SetData {
        path: String,
        data: Option<Vec<u8>>,
        version: i32,
    },
    SetAcl {
        path: String,
        acl: u8,
        version: i32,
    },
    Multi(Vec<Step>),
    Check {
        path: String,
        version: i32,
    },
    CloseSession,
    CreateSession,
    Garbage {
        op: OpCode,
        body: Vec<u8>,
    },
    /// So many of what is pending are applied.
    Apply(usize),
    Session(bool),
    Auth(bool),
}

/// Few names, so that paths meet.
fn path() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "s-", "e"]);
    prop_oneof![
        12 => prop::collection::vec(name, 1..4).prop_map(|names| format!("/{}", names.join("/"))),
        1 => prop::sample::select(vec!["/", "", "/zookeeper", "/zookeeper/quota", "/zookeeper/x", "//", "/a/", "/a/.", "a"])
            .prop_map(str::to_owned),
        2 => (0..4u32).prop_map(|n| format!("/a/s-{n:010}")),
    ]
}

fn version() -> impl Strategy<Value = i32> {
    prop_oneof![4 => Just(-1), 1 => 0..3i32]
}

fn simple_step() -> impl Strategy<Value = Step> {
    let op = prop::sample::select(vec![
        OpCode::Create,
        OpCode::Create,
        OpCode::Create2,
        OpCode::CreateContainer,
        OpCode::CreateTtl,
    ]);
    let data = prop::collection::vec(any::<u8>(), 0..20);
    prop_oneof![
        8 => (op, path(), 0..8i32, -1..3i64, data.clone(), 0..6u8)
            .prop_map(|(op, path, flags, ttl_ms, data, acl)| Step::Create { op, path, flags, ttl_ms, data, acl }),
        4 => (path(), version()).prop_map(|(path, version)| Step::Delete { path, version }),
        3 => (path(), prop::option::of(data), version())
            .prop_map(|(path, data, version)| Step::SetData { path, data, version }),
        1 => (path(), 0..6u8, version()).prop_map(|(path, acl, version)| Step::SetAcl { path, acl, version }),
        1 => (path(), version()).prop_map(|(path, version)| Step::Check { path, version }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let write = OpCode::ALL.iter().copied().filter(|op| op.is_write()).collect::<Vec<_>>();
    prop_oneof![
        16 => simple_step().prop_filter("check stands alone only in a multi", |s| !matches!(s, Step::Check { .. })),
        5 => prop::collection::vec(simple_step(), 0..6).prop_map(Step::Multi),
        1 => path().prop_map(|path| Step::DeleteContainer { path }),
        1 => Just(Step::CloseSession),
        1 => Just(Step::CreateSession),
        1 => (prop::sample::select(write), prop::collection::vec(any::<u8>(), 0..40))
            .prop_map(|(op, body)| Step::Garbage { op, body }),
        4 => (0..5usize).prop_map(Step::Apply),
        1 => any::<bool>().prop_map(Step::Session),
        1 => any::<bool>().prop_map(Step::Auth),
    ]
}

/// Mostly open; a list that shuts out all but one user; none at all; one that cannot be.
fn list(choice: u8) -> Option<Vec<Acl>> {
    match choice {
        0 => None,
        1 => Some(vec![Acl::new(Perms::ALL, Id::new("digest", "u:h"))]),
        2 => Some(vec![Acl::new(Perms::ALL, Id::new("nobody", ""))]),
        _ => Some(open_acl()),
    }
}

fn multi_op(step: &Step) -> MultiOp<'_> {
    match step {
        Step::Create { op: OpCode::CreateTtl, path, flags, ttl_ms, data, acl } => {
            MultiOp::CreateTtl(CreateTtlRequest {
                path: path.into(),
                data: Some(data),
                acl: list(*acl),
                flags: *flags,
                ttl_ms: *ttl_ms,
            })
        }
        Step::Create { op, path, flags, data, acl, .. } => MultiOp::Create {
            op: *op,
            // Unknown flags fail the whole; keep to those that do not.
            request: CreateRequest { path: path.into(), data: Some(data), acl: list(*acl), flags: *flags % 5 },
        },
        Step::Delete { path, version } => MultiOp::Delete(DeleteRequest { path: path.into(), version: *version }),
        Step::SetData { path, data, version } => {
            MultiOp::SetData(SetDataRequest { path: path.into(), data: data.as_deref(), version: *version })
        }
        Step::Check { path, version } => MultiOp::Check(CheckVersionRequest { path: path.into(), version: *version }),
        other => MultiOp::Check(CheckVersionRequest { path: format!("{other:?}").into(), version: -1 }),
    }
}

fn run(server: &mut Server, step: &Step) {
    match step {
        Step::Create { op: OpCode::CreateTtl, .. } => {
            let MultiOp::CreateTtl(request) = multi_op(step) else { unreachable!("made above") };
            server.prepare(OpCode::CreateTtl, |w| request.write(w));
        }
        Step::Create { op, path, flags, data, acl, .. } => {
            let request = CreateRequest { path: path.into(), data: Some(data), acl: list(*acl), flags: *flags };
            server.prepare(*op, |w| request.write(w));
        }
        Step::Delete { path, version } => drop(server.prepare(OpCode::Delete, delete(path, *version))),
        Step::DeleteContainer { path } => {
            server.prepare(OpCode::DeleteContainer, |w| PathRequest { path: path.into() }.write(w));
        }
        Step::SetData { path, data, version } => {
            let request = SetDataRequest { path: path.into(), data: data.as_deref(), version: *version };
            server.prepare(OpCode::SetData, |w| request.write(w));
        }
        Step::SetAcl { path, acl, version } => {
            drop(server.prepare(OpCode::SetAcl, set_acl(path, list(*acl), *version)))
        }
        Step::Multi(steps) => {
            let ops: Vec<MultiOp> = steps.iter().map(multi_op).collect();
            let before = (server.prep.pending(), server.prep.overlay.digest(&server.tree));
            let prepared = server.prepare(OpCode::Multi, |w| write_multi(&ops, w));
            if prepared.refused.is_some() {
                assert_eq!((server.prep.pending(), server.prep.overlay.digest(&server.tree)), before);
            }
        }
        Step::Check { .. } => {}
        Step::CloseSession => drop(server.prepare(OpCode::CloseSession, nothing)),
        Step::CreateSession => drop(server.prepare(OpCode::CreateSession, |w| w.int(4000))),
        Step::Garbage { op, body } => drop(server.prepare_body(*op, Bytes::copy_from_slice(body))),
        Step::Apply(n) => server.apply((*n).min(server.waiting.len())),
        Step::Session(alice) => server.session = if *alice { ALICE } else { BOB },
        Step::Auth(known) => {
            server.auth.truncate(1);
            if *known {
                server.auth.push(Id::new("digest", "u:h"));
            }
        }
    }
}

/// The outcome of a request must not depend on whether what came before it is pending or applied.
fn outcomes(steps: &[Step], at_once: bool) -> (Vec<TxnEntry>, u64) {
    let mut server = Server::new();
    let mut entries = Vec::new();
    for step in steps {
        if at_once && matches!(step, Step::Apply(_)) {
            continue;
        }
        let before = server.zxid;
        run(&mut server, step);
        if server.zxid != before {
            entries.push(server.waiting.last().expect("just prepared").entry.clone());
        }
        if at_once {
            server.apply_all();
        }
    }
    server.apply_all();
    assert_eq!(server.tree.digest_mismatches(), 0);
    // The order of a session's ephemerals differs: those of the tree come first.
    for entry in &mut entries {
        if let Txn::CloseSession { paths: Some(paths) } = &mut entry.txn {
            paths.sort_unstable();
        }
    }
    (entries, server.tree.digest())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_prepared_is_applied_as_it_was_foreseen(steps in prop::collection::vec(step(), 1..60)) {
        prop_assert_eq!(outcomes(&steps, false), outcomes(&steps, true));
    }
}
