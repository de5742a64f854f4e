//! Images: exact at the freeze whatever happens meanwhile, readable in any pieces; fuzzy snapshots of the reference converge.

use super::model::{Model, options};
use super::random::{Op, history, step};
use crate::*;
use oxkeeper_proto::jute::Writer;
use oxkeeper_proto::txn::TxnEntry;
use oxkeeper_types::*;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn load_in_pieces(bytes: &[u8], piece: usize) -> Loaded {
    let mut loader = ImageLoader::new(options());
    // Bytes behind the end mark belong to somebody else.
    let with_trailer = [bytes, b"trailer"].concat();
    let mut taken = 0;
    for piece in with_trailer.chunks(piece) {
        taken += loader.feed(piece).unwrap();
    }
    assert_eq!(taken, bytes.len());
    loader.finish().unwrap()
}

struct Draining {
    id: ImageId,
    cursor: ImageCursor,
    bytes: Vec<u8>,
    at_freeze: Model,
    zxid: Zxid,
}

impl Draining {
    fn start(tree: &mut Tree, model: &Model) -> Draining {
        let id = tree.freeze();
        let at_freeze = Model { changes: vec![], ..model.clone() };
        Draining { id, cursor: tree.image_cursor(id), bytes: vec![], at_freeze, zxid: tree.last_processed() }
    }

    fn finish(mut self, tree: &mut Tree, piece: usize) {
        while tree.image_next(&mut self.cursor, &mut self.bytes, piece) == ImageProgress::More {}
        assert_eq!(tree.image_zxid(self.id), self.zxid);
        assert_eq!(tree.image_digest(self.id), self.at_freeze.digest());
        assert_eq!(tree.image_nodes(self.id), self.at_freeze.nodes.len());
        let loaded = load_in_pieces(&self.bytes, piece);
        assert_eq!(loaded.acls_missing, 0);
        self.at_freeze.check(&loaded.tree);
        tree.thaw(self.id);
    }
}

#[derive(Clone, Debug)]
enum Event {
    Op(i64, Op),
    Freeze,
    Drain { which: usize, bytes: usize },
    Finish { which: usize, piece: usize },
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let others = prop_oneof![
        1 => Just(Event::Freeze),
        2 => (0usize..4, 0usize..400).prop_map(|(which, bytes)| Event::Drain { which, bytes }),
        1 => (0usize..4, 1usize..300).prop_map(|(which, piece)| Event::Finish { which, piece }),
    ];
    (history(true, 60), prop::collection::vec((0usize..60, others), 1..30)).prop_map(|(ops, others)| {
        let mut events: Vec<Event> = ops.into_iter().map(|(session, op)| Event::Op(session, op)).collect();
        for (at, event) in others {
            events.insert(at.min(events.len()), event);
        }
        events
    })
}

/// Serializes as the reference does: depth first, each node with the children that it has when its turn comes, while the
/// transactions go on (`moments` says how many pass before each node).
fn fuzzy_snapshot(states: &[Model], moments: &[usize]) -> Vec<u8> {
    let (mut out, mut moments) = (Vec::new(), moments.iter().cycle());
    let mut w = Writer::new(&mut out);
    w.count(states[0].sessions.len());
    for (session, timeout) in &states[0].sessions {
        w.long(session.0);
        w.int(timeout.0 as i32);
    }
    // ACL ids as of the beginning; lists that come later have ids that the table lacks.
    let mut ids: BTreeMap<Vec<Acl>, i64> = BTreeMap::new();
    for acl in states.iter().flat_map(|s| s.nodes.values()).map(|n| &n.acl).filter(|a| !acl::is_open_acl(a)) {
        let next = ids.len() as i64 + 1;
        ids.entry(acl.clone()).or_insert(next);
    }
    let listed: Vec<_> = ids.iter().filter(|(acl, _)| states[0].nodes.values().any(|n| n.acl == **acl)).collect();
    w.count(listed.len());
    for (acl, id) in listed {
        w.long(*id);
        w.acl_list(acl);
    }
    let (mut stack, mut now) = (vec![String::new()], 0);
    while let Some(path) = stack.pop() {
        now = (now + moments.next().unwrap()).min(states.len() - 1);
        let state = &states[now];
        if state.nodes.contains_key(&path) {
            state.write_node(&path, &ids, &mut w);
            stack.extend(state.children(&path).into_iter().map(|name| format!("{path}/{name}")));
        }
    }
    w.string("/");
    out
}

#[test]
fn a_node_whose_parent_is_missing_cannot_be_loaded() {
    let (model, mut bytes) = (Model::new(), Vec::new());
    let mut w = Writer::new(&mut bytes);
    w.count(0);
    w.count(0);
    model.write_node("", &BTreeMap::new(), &mut w);
    model.write_node("/zookeeper/quota", &BTreeMap::new(), &mut w);
    w.string("/");
    let error = ImageLoader::load(options(), &bytes).unwrap_err();
    assert_eq!(error.kind, LoadErrorKind::MissingParent { path: "/zookeeper/quota".into() });
    assert_eq!(error.nodes, 1);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn images_hold_the_moment_of_their_freeze(events in events()) {
        let (mut tree, mut model, mut n) = (Tree::new(options()), Model::new(), 0);
        let mut images: Vec<Draining> = Vec::new();
        for event in events {
            match event {
                Event::Op(session, op) => {
                    n += 1;
                    step(&mut tree, &mut model, session, &op, n, false);
                }
                Event::Freeze => images.push(Draining::start(&mut tree, &model)),
                Event::Drain { which, bytes } if which < images.len() => {
                    let image = &mut images[which];
                    let before = image.bytes.len();
                    let progress = tree.image_next(&mut image.cursor, &mut image.bytes, bytes);
                    assert!(progress == ImageProgress::Done || image.bytes.len() >= before + bytes.max(1));
                }
                Event::Finish { which, piece } if which < images.len() => {
                    images.swap_remove(which).finish(&mut tree, piece);
                }
                Event::Drain { .. } | Event::Finish { .. } => {}
            }
        }
        for image in images {
            image.finish(&mut tree, 4096);
        }
        model.changes.clear();
        model.check(&tree);
    }

    /// Sessions close with the list of their nodes. Without it, as before 3.6, a parent's pzxid may stay behind: the
    /// snapshot no longer has the node that the session owned (ZOOKEEPER-3145), and no log can tell.
    #[test]
    fn replay_over_a_fuzzy_snapshot_converges(
        ops in history(false, 50),
        start in 0usize..50,
        earlier in 0usize..5,
        moments in prop::collection::vec(0usize..4, 1..20),
    ) {
        let (mut tree, mut model) = (Tree::new(options()), Model::new());
        let mut states = vec![model.clone()];
        let mut entries: Vec<TxnEntry> = Vec::new();
        for (n, (session, op)) in ops.iter().enumerate() {
            let with_paths = Op::CloseSession { with_paths: true };
            let op = if let Op::CloseSession { .. } = op { &with_paths } else { op };
            entries.push(step(&mut tree, &mut model, *session, op, n as i64 + 1, false));
            states.push(model.clone());
        }
        let start = start.min(ops.len());
        let snapshot = fuzzy_snapshot(&states[start..], &moments);
        let mut loaded = load_in_pieces(&snapshot, 100).tree;
        // The reference starts at the snapshot's zxid + 1; starting earlier must not hurt, nor a second time.
        for entry in &entries[start.saturating_sub(earlier)..] {
            loaded.replay(entry);
        }
        model.check(&loaded);
        for entry in &entries[start.saturating_sub(earlier)..] {
            loaded.replay(entry);
        }
        model.check(&loaded);
    }
}
