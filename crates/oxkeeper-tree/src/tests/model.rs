//! The dumb twin: a sorted map from path to node, written from the rules alone, with everything recomputed on demand.

use crate::*;
use oxkeeper_proto::jute::Writer;
use oxkeeper_proto::txn::{Txn, TxnEntry, TxnHeader};
use oxkeeper_types::node::{CONTAINER_OWNER, OwnerRules};
use oxkeeper_types::*;
use std::collections::BTreeMap;

#[derive(Clone, PartialEq, Debug)]
pub struct NodeModel {
    pub data: Option<Vec<u8>>,
    pub acl: Vec<Acl>,
    pub stat: StatPersisted,
}

#[derive(Clone, PartialEq, Debug)]
pub struct Model {
    /// The root is "".
    pub nodes: BTreeMap<String, NodeModel>,
    pub sessions: BTreeMap<SessionId, Millis>,
    pub changes: Vec<(ChangeKind, String)>,
}

pub fn options() -> TreeOptions {
    let owner_rules = OwnerRules { extended_types: true, emulate_353_ttl: false };
    TreeOptions { owner_rules, ..TreeOptions::default() }
}

pub fn parent_of(path: &str) -> &str {
    &path[..path.rfind('/').unwrap()]
}

fn shown(path: &str) -> String {
    if path.is_empty() { "/".into() } else { path.into() }
}

impl Model {
    pub fn new() -> Model {
        let mut nodes = BTreeMap::new();
        let fresh = NodeModel { data: Some(vec![]), acl: acl::open_acl(), stat: StatPersisted::default() };
        for path in ["", "/zookeeper", "/zookeeper/quota"] {
            nodes.insert(path.to_owned(), fresh.clone());
        }
        let read = vec![Acl::new(Perms::READ, Id::anyone())];
        let stat = StatPersisted { aversion: -1, ..fresh.stat };
        nodes.insert("/zookeeper/config".into(), NodeModel { acl: read, stat, ..fresh });
        Model { nodes, sessions: BTreeMap::new(), changes: vec![] }
    }

    pub fn children(&self, path: &str) -> Vec<String> {
        let prefix = format!("{path}/");
        let below = self.nodes.keys().filter_map(|p| p.strip_prefix(&prefix));
        below.filter(|name| !name.is_empty() && !name.contains('/')).map(String::from).collect()
    }

    pub fn owned_by(&self, owner: i64) -> Vec<String> {
        self.nodes.iter().filter(|(_, n)| n.stat.ephemeral_owner == owner).map(|(p, _)| p.clone()).collect()
    }

    pub fn digest(&self) -> u64 {
        let digests = self.nodes.iter().map(|(path, n)| node_digest(path, n.data.as_deref(), &n.stat));
        digests.fold(0, u64::wrapping_add)
    }

    fn create(
        &mut self,
        h: &TxnHeader,
        path: &str,
        data: Option<&[u8]>,
        acl: &[Acl],
        owner: i64,
        cv: i32,
    ) -> ErrorCode {
        let Some(parent) = self.nodes.get_mut(parent_of(path)) else { return ErrorCode::NoNode };
        let cversion = if cv == -1 { parent.stat.cversion + 1 } else { cv };
        if cversion > parent.stat.cversion {
            parent.stat.cversion = cversion;
            parent.stat.pzxid = h.zxid;
        }
        if let Some(node) = self.nodes.get_mut(path) {
            node.acl = acl.to_vec();
            return ErrorCode::NodeExists;
        }
        let stat = StatPersisted {
            czxid: h.zxid,
            mzxid: h.zxid,
            pzxid: h.zxid,
            ctime: h.time,
            mtime: h.time,
            ephemeral_owner: owner,
            ..StatPersisted::default()
        };
        self.nodes.insert(path.to_owned(), NodeModel { data: data.map(<[u8]>::to_vec), acl: acl.to_vec(), stat });
        self.changes.push((ChangeKind::Created, path.to_owned()));
        self.changes.push((ChangeKind::ChildrenChanged, shown(parent_of(path))));
        ErrorCode::Ok
    }

    fn delete(&mut self, h: &TxnHeader, path: &str) -> ErrorCode {
        let Some(parent) = self.nodes.get_mut(parent_of(path)) else { return ErrorCode::NoNode };
        parent.stat.pzxid = parent.stat.pzxid.max(h.zxid);
        if self.nodes.remove(path).is_none() {
            return ErrorCode::NoNode;
        }
        let prefix = format!("{path}/");
        self.nodes.retain(|p, _| !p.starts_with(&prefix));
        self.changes.push((ChangeKind::Deleted, path.to_owned()));
        self.changes.push((ChangeKind::ChildrenChanged, shown(parent_of(path))));
        ErrorCode::Ok
    }

    /// Applies a transaction; `creation_order` are the session's ephemerals as a closeSession without paths meets them.
    pub fn apply(&mut self, entry: &TxnEntry, creation_order: &[String]) -> ErrorCode {
        self.changes.clear();
        let error = self.apply_txn(&entry.header, &entry.txn, creation_order);
        self.recount_quotas();
        error
    }

    fn apply_txn(&mut self, h: &TxnHeader, txn: &Txn, order: &[String]) -> ErrorCode {
        match txn {
            Txn::Create { path, data, acl, ephemeral, parent_cversion, .. } => {
                let owner = if *ephemeral { h.session.0 } else { 0 };
                self.create(h, path, data.as_deref(), acl, owner, *parent_cversion)
            }
            Txn::CreateContainer { path, data, acl, parent_cversion } => {
                self.create(h, path, data.as_deref(), acl, CONTAINER_OWNER, *parent_cversion)
            }
            Txn::CreateTtl { path, data, acl, parent_cversion, ttl_ms } => {
                self.create(h, path, data.as_deref(), acl, (0xff << 56) | *ttl_ms, *parent_cversion)
            }
            Txn::Delete { path, .. } => self.delete(h, path),
            Txn::SetData { path, data, version, .. } => {
                let Some(node) = self.nodes.get_mut(path) else { return ErrorCode::NoNode };
                node.data = data.as_deref().map(<[u8]>::to_vec);
                (node.stat.mzxid, node.stat.mtime, node.stat.version) = (h.zxid, h.time, *version);
                self.changes.push((ChangeKind::DataChanged, path.clone()));
                ErrorCode::Ok
            }
            Txn::SetAcl { path, acl, version } => {
                let Some(node) = self.nodes.get_mut(path) else { return ErrorCode::NoNode };
                node.acl = acl.clone();
                node.stat.aversion = *version;
                ErrorCode::Ok
            }
            Txn::Check { .. } => ErrorCode::Ok,
            Txn::Multi(txns) => {
                if let Some(Txn::Error { code }) = txns.iter().find(|t| matches!(t, Txn::Error { code } if *code != 0))
                {
                    return ErrorCode::from_number(*code).unwrap();
                }
                let errors: Vec<ErrorCode> = txns.iter().map(|t| self.apply_txn(h, t, order)).collect();
                errors.into_iter().find(|e| *e != ErrorCode::Ok).unwrap_or(ErrorCode::Ok)
            }
            Txn::CreateSession { timeout_ms } => {
                self.sessions.insert(h.session, Millis(*timeout_ms as i64));
                ErrorCode::Ok
            }
            Txn::CloseSession { paths } => {
                self.sessions.remove(&h.session);
                for path in paths.iter().flatten() {
                    self.delete(h, path);
                }
                for path in order {
                    let owner = self.nodes.get(path).map(|n| n.stat.ephemeral_owner);
                    if owner == Some(h.session.0) {
                        self.delete(h, path);
                    }
                }
                ErrorCode::Ok
            }
            Txn::Error { code } => ErrorCode::from_number(*code).unwrap(),
        }
    }

    /// Holds for quotas that do not nest and whose limits are made before their statistics.
    fn recount_quotas(&mut self) {
        let top = "/zookeeper/quota";
        for target in self.children(top).into_iter().map(|name| format!("/{name}")) {
            let limits = format!("{top}{target}/zookeeper_limits");
            let stats = format!("{top}{target}/zookeeper_stats");
            if !self.nodes.contains_key(&limits) {
                continue;
            }
            let below = format!("{target}/");
            let counted: Vec<usize> = self
                .nodes
                .iter()
                .filter(|(path, _)| **path == target || path.starts_with(&below))
                .map(|(_, n)| n.data.as_ref().map_or(0, Vec::len))
                .collect();
            if let Some(node) = self.nodes.get_mut(&stats) {
                let text = format!("count={},bytes={}", counted.len(), counted.iter().sum::<usize>());
                node.data = Some(text.into_bytes());
            }
        }
    }

    /// Everything that can be seen of a tree, compared with this model.
    pub fn check(&self, tree: &Tree) {
        let mut seen = BTreeMap::new();
        tree.visit_all(|node| {
            let path = if node.name().is_empty() { String::new() } else { node.path() };
            let found = tree.node(&path).expect("a visited node can be looked up");
            assert_eq!(found.stat(), node.stat());
            let mut names: Vec<&str> = node.children().collect();
            names.sort_unstable();
            assert_eq!(names, self.children(&path), "children of {path:?}");
            assert_eq!(node.num_children(), names.len());
            let stat = node.stat();
            assert_eq!(stat.cversion, node.stat_persisted().cversion * 2 - names.len() as i32);
            assert_eq!(stat.data_length as usize, node.data().map_or(0, <[u8]>::len));
            if is_digested(&path) {
                assert_eq!(node.content_crc(), content_crc(&path, node.data()), "CRC of {path:?}");
            }
            let below = format!("{path}/");
            assert_eq!(tree.descendants(&path), self.nodes.keys().filter(|p| p.starts_with(&below)).count());
            let data = node.data().map(<[u8]>::to_vec);
            let old = seen.insert(path, NodeModel { data, acl: node.acl().to_vec(), stat: node.stat_persisted() });
            assert_eq!(old, None, "a node is visited once");
        });
        assert_eq!(seen, self.nodes);
        assert_eq!(tree.sessions().iter().collect::<BTreeMap<_, _>>(), self.sessions);
        assert_eq!(tree.node_count(), self.nodes.len() + 1);
        let size = |(path, n): (&String, &NodeModel)| path.encode_utf16().count() + n.data.as_ref().map_or(0, Vec::len);
        let root = self.nodes[""].data.as_ref().map_or(0, Vec::len);
        assert_eq!(tree.approximate_data_size(), (self.nodes.iter().map(size).sum::<usize>() + 1 + root) as i64);
        assert_eq!(tree.digest(), self.digest());
        self.check_owners(tree);
        let mut acls: Vec<&Vec<Acl>> = self.nodes.values().map(|n| &n.acl).filter(|a| !acl::is_open_acl(a)).collect();
        acls.sort_unstable();
        acls.dedup();
        assert_eq!(tree.acl_count(), acls.len());
    }

    fn check_owners(&self, tree: &Tree) {
        let (mut sessions, mut ephemerals, mut containers, mut ttls) = (vec![], 0, vec![], vec![]);
        for (path, node) in &self.nodes {
            match Owner::from_raw(node.stat.ephemeral_owner, options().owner_rules).unwrap() {
                Owner::None => {}
                Owner::Session(session) => {
                    ephemerals += 1;
                    sessions.push(session);
                }
                Owner::Container => containers.push(path.clone()),
                Owner::Ttl { .. } => ttls.push(path.clone()),
            }
        }
        sessions.sort_unstable();
        sessions.dedup();
        assert_eq!(tree.sessions_with_ephemerals().collect::<Vec<_>>(), sessions);
        assert_eq!(tree.ephemerals_count(), ephemerals);
        for session in sessions {
            let mut paths: Vec<String> = tree.ephemerals_of(session).collect();
            paths.sort_unstable();
            assert_eq!(paths, self.owned_by(session.0));
        }
        let sorted = |nodes: Vec<String>| {
            let mut nodes = nodes;
            nodes.sort_unstable();
            nodes
        };
        assert_eq!(sorted(tree.containers().map(|n| n.path()).collect()), containers);
        assert_eq!(sorted(tree.ttl_nodes().map(|n| n.path()).collect()), ttls);
    }

    /// One node record as snapshots hold it, with ACL ids out of `acls`.
    pub fn write_node(&self, path: &str, acls: &BTreeMap<Vec<Acl>, i64>, w: &mut Writer<'_>) {
        let node = &self.nodes[path];
        w.string(path);
        w.buffer(node.data.as_deref());
        w.long(if acl::is_open_acl(&node.acl) { -1 } else { acls[&node.acl] });
        w.stat_persisted(&node.stat);
    }
}
