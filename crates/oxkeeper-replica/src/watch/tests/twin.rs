//! The table against a dumb twin: a set of (connection, path, kind) that is searched from end to end.

use super::*;
use crate::watch::kinds::{Effect, Modes};
use oxkeeper_tree::ChangeKind;
use oxkeeper_types::path;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const PATHS: [&str; 8] = ["/", "/a", "/a/b", "/a/b/c", "/a/b/d", "/ab", "/ab/b", "/z"];
const KINDS: [WatchKind; 4] = [Data, Child, Persistent, PersistentRecursive];
const CHANGES: [ChangeKind; 4] =
    [ChangeKind::Created, ChangeKind::Deleted, ChangeKind::DataChanged, ChangeKind::ChildrenChanged];
const CONNS: u64 = 90;

#[derive(Clone, Debug)]
enum Step {
    Open(u64),
    Close(u64),
    /// A whole range of connections, so that lists grow long.
    Add {
        first: u64,
        count: u64,
        path: usize,
        kind: usize,
    },
    Remove {
        first: u64,
        count: u64,
        path: usize,
        kind: usize,
    },
    /// Kind, path, and whether only even connections may read.
    Trigger(Vec<(usize, usize, bool)>),
}

fn step() -> impl Strategy<Value = Step> {
    let range = || (0..CONNS, prop_oneof![4 => 1..4u64, 1 => 20..CONNS], 0..PATHS.len());
    prop_oneof![
        1 => (0..CONNS).prop_map(Step::Open),
        1 => (0..CONNS).prop_map(Step::Close),
        6 => (range(), 0..4usize).prop_map(|((first, count, path), kind)| Step::Add { first, count, path, kind }),
        3 => (range(), 0..5usize).prop_map(|((first, count, path), kind)| Step::Remove { first, count, path, kind }),
        4 => prop::collection::vec((0..4usize, 0..PATHS.len(), any::<bool>()), 1..4).prop_map(Step::Trigger),
    ]
}

#[derive(Default)]
struct Twin {
    open: BTreeSet<ConnId>,
    watches: BTreeSet<(ConnId, &'static str, WatchKind)>,
    listed: BTreeSet<ConnId>,
}

fn is_meant(kind: WatchKind, by: WatcherType) -> bool {
    match by {
        WatcherType::Any => true,
        WatcherType::Data => kind == Data,
        WatcherType::Children => kind == Child,
        WatcherType::Persistent => kind == Persistent,
        WatcherType::PersistentRecursive => kind == PersistentRecursive,
    }
}

impl Twin {
    fn remove(&mut self, conn: ConnId, path: &str, by: WatcherType) -> bool {
        let all = self.watches.len();
        let data = self.data().len();
        self.watches.retain(|w| !(w.0 == conn && w.1 == path && is_meant(w.2, by)));
        if self.data().len() < data && self.data().iter().all(|(other, _)| *other != conn) {
            self.listed.remove(&conn);
        }
        self.watches.len() < all
    }
    fn data(&self) -> BTreeSet<(ConnId, &'static str)> {
        self.watches.iter().filter(|w| w.2 != Child).map(|w| (w.0, w.1)).collect()
    }
    fn child(&self) -> BTreeSet<(ConnId, &'static str)> {
        self.watches.iter().filter(|w| matches!(w.2, Child | Persistent)).map(|w| (w.0, w.1)).collect()
    }
    fn fire(&mut self, kind: ChangeKind, at: &str) -> BTreeSet<ConnId> {
        let is_child_event = kind == ChangeKind::ChildrenChanged;
        let woken = self.watches.iter().filter(|(_, path, watch)| match watch {
            PersistentRecursive => {
                let below = *path == "/" || at.strip_prefix(path).is_some_and(|rest| rest.starts_with('/'));
                !is_child_event && (at == *path || below)
            }
            Persistent => at == *path,
            Data => at == *path && !is_child_event,
            Child => at == *path && matches!(kind, ChangeKind::Deleted | ChangeKind::ChildrenChanged),
        });
        let woken: Vec<_> = woken.copied().collect();
        for watch in woken.iter().filter(|w| matches!(w.2, Data | Child)) {
            self.watches.remove(watch);
        }
        woken.iter().map(|w| w.0).collect()
    }
}

fn check_same(table: &WatchTable, twin: &Twin) {
    let (data, child) = (twin.data(), twin.child());
    assert_eq!(table.count(), data.len() + child.len());
    let paths: BTreeSet<_> = data.iter().map(|(_, path)| *path).collect();
    let expected = Summary { connections: twin.listed.len(), paths: paths.len(), watches: data.len() };
    assert_eq!(table.summary(), expected);
    let mut by_session: BTreeMap<SessionId, Vec<&str>> = twin.listed.iter().map(|c| (session(*c), vec![])).collect();
    let mut by_path: BTreeMap<&str, BTreeSet<SessionId>> = BTreeMap::new();
    for (conn, path) in data {
        by_session.get_mut(&session(conn)).unwrap().push(path);
        by_path.entry(path).or_default().insert(session(conn));
    }
    assert_eq!(table.by_session(), by_session.into_iter().collect::<Vec<_>>());
    let listed: Vec<_> = table.by_path().into_iter().map(|(path, all)| (path, BTreeSet::from_iter(all))).collect();
    assert_eq!(listed, by_path.into_iter().collect::<Vec<_>>());
    for conn in (0..CONNS).map(ConnId) {
        for path in PATHS {
            for by in WatcherType::ALL {
                let expected = KINDS.iter().any(|&k| is_meant(k, by) && twin.watches.contains(&(conn, path, k)));
                assert_eq!(table.contains(conn, path, by), expected, "{conn:?} {path} {by:?}");
            }
        }
    }
}

/// Even connections carry the id that guarded nodes ask for.
fn auth(conn: ConnId) -> Arc<[Id]> {
    if conn.0.is_multiple_of(2) { ids(&["10.0.0.2"]) } else { ids(&[]) }
}

fn run(steps: &[Step]) {
    let mut table = WatchTable::new();
    let mut twin = Twin::default();
    let may_read = |acl: Option<&[Acl]>, ids: &[Id]| acl.is_none() || !ids.is_empty();
    let guarded: AclList = only("10.0.0.2").into();
    for conn in (0..CONNS).filter(|n| n % 7 != 0).map(ConnId) {
        table.open(conn, session(conn), auth(conn));
        twin.open.insert(conn);
    }
    for (zxid, step) in steps.iter().enumerate() {
        match step {
            Step::Open(n) if twin.open.insert(ConnId(*n)) => {
                table.open(ConnId(*n), session(ConnId(*n)), auth(ConnId(*n)))
            }
            Step::Open(_) => {}
            Step::Close(n) => {
                table.close(ConnId(*n));
                twin.open.remove(&ConnId(*n));
                twin.listed.remove(&ConnId(*n));
                twin.watches.retain(|w| w.0 != ConnId(*n));
            }
            Step::Add { first, count, path, kind } => {
                for conn in (*first..(first + count).min(CONNS)).map(ConnId) {
                    let is_open = twin.open.contains(&conn);
                    assert_eq!(table.add(conn, PATHS[*path], KINDS[*kind]), is_open);
                    if is_open {
                        twin.watches.insert((conn, PATHS[*path], KINDS[*kind]));
                        if KINDS[*kind] != Child {
                            twin.listed.insert(conn);
                        }
                    }
                }
            }
            Step::Remove { first, count, path, kind } => {
                for conn in (*first..(first + count).min(CONNS)).map(ConnId) {
                    let by = WatcherType::ALL[*kind];
                    assert_eq!(table.remove(conn, PATHS[*path], by), twin.remove(conn, PATHS[*path], by));
                }
            }
            Step::Trigger(list) => {
                let change = |&(kind, path, is_guarded): &(usize, usize, bool)| Change {
                    kind: CHANGES[kind],
                    path: PATHS[path].into(),
                    zxid: Zxid(zxid as i64),
                    acl: is_guarded.then(|| guarded.clone()),
                };
                let changes: Vec<Change> = list.iter().map(change).collect();
                let mut out = Outputs::default();
                table.trigger_with(&may_read, &changes, &mut out);
                let mut told: BTreeMap<ConnId, Vec<Heard>> = BTreeMap::new();
                for heard in heard(&out) {
                    told.entry(heard.0).or_default().push(heard);
                }
                let mut expected: BTreeMap<ConnId, Vec<Heard>> = BTreeMap::new();
                for change in &changes {
                    for conn in twin.fire(change.kind, &change.path) {
                        if change.acl.is_none() || conn.0 % 2 == 0 {
                            let event = Effect::of(change.kind).event;
                            let heard = (conn, event, change.path.clone(), change.zxid);
                            expected.entry(conn).or_default().push(heard);
                        }
                    }
                }
                assert_eq!(told, expected);
            }
        }
    }
    check_same(&table, &twin);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn the_table_does_what_its_dumb_twin_does(steps in prop::collection::vec(step(), 1..120)) {
        run(&steps);
    }
}

/// Enough paths to close holes, to shrink tables and to start over, several times.
#[test]
fn paths_come_and_go_by_the_thousands() {
    let mut table = WatchTable::with_seed(7);
    let mut twin: BTreeMap<String, WatchKind> = BTreeMap::new();
    table.open(ANN, session(ANN), ids(&[]));
    let mut random = 1u64;
    let mut next = |n: u64| {
        random = random.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (random >> 33) % n
    };
    for phase in 0..6 {
        for _ in 0..20_000 {
            let path = format!("/phase/{}/{}", next(20_000), "x".repeat(next(9) as usize));
            let grows = next(10) < if phase % 2 == 0 { 8 } else { 1 };
            if grows {
                let kind = KINDS[next(4) as usize];
                if !table.contains(ANN, &path, WatcherType::Any) {
                    table.add(ANN, &path, kind);
                    assert_eq!(twin.insert(path, kind), None);
                }
            } else if let Some((path, _)) = twin.range(path..).next().map(|(path, kind)| (path.clone(), *kind)) {
                assert!(table.remove(ANN, &path, WatcherType::Any));
                twin.remove(&path);
            }
        }
        let data: Vec<&str> = twin.iter().filter(|(_, kind)| **kind != Child).map(|(path, _)| path.as_str()).collect();
        assert_eq!(table.by_path().into_iter().map(|(path, _)| path).collect::<Vec<_>>(), data);
        if phase == 3 {
            table.close(ANN);
            twin.clear();
            assert_eq!((table.count(), table.summary().paths), (0, 0));
            table.open(ANN, session(ANN), ids(&[]));
        }
    }
}

#[test]
fn the_modes_fill_their_bits() {
    let all = KINDS.iter().fold(Modes::NONE, |all, kind| all.with(kind.modes()));
    assert_eq!(all, Modes::ALL);
    assert_eq!(path::parent("/"), None, "the climb ends at the root");
}
