//! The reference answer: znodes as a sorted map, in every version they ever had, and what happened to each path. Written from
//! the rules alone and slow on purpose; every server's tree is measured against it.

use oxkeeper_proto::txn::{Txn, TxnEntry, TxnHeader};
use oxkeeper_tree::{ChangeKind, is_digested, node_digest};
use oxkeeper_types::node::CONTAINER_OWNER;
use oxkeeper_types::{Acl, Millis, SessionId, Stat, StatPersisted, Zxid, acl, path};
use std::collections::BTreeMap;
use std::rc::Rc;

/// A node as of some zxid.
#[derive(Clone, PartialEq, Debug)]
pub struct NodeVersion {
    pub data: Option<Vec<u8>>,
    pub acl: Vec<Acl>,
    pub stat: StatPersisted,
    /// How many nodes are right below.
    pub children: i32,
}

/// What a committed transaction did, for watches. The root's path is "/".
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ModelChange {
    pub zxid: Zxid,
    pub kind: ChangeKind,
    pub path: String,
}

type Versions = Vec<(Zxid, Option<Rc<NodeVersion>>)>;

pub struct Model {
    /// The root is "". Oldest version first; `None`: not there from this zxid on.
    nodes: BTreeMap<String, Versions>,
    /// Living sessions.
    pub sessions: BTreeMap<SessionId, Millis>,
    /// Sessions that were closed, and when.
    pub closed: BTreeMap<SessionId, Zxid>,
    /// Every change so far, in order.
    pub changes: Vec<ModelChange>,
    /// The tree's digest behind every transaction.
    pub digests: BTreeMap<Zxid, u64>,
    digest: u64,
    pub last: Zxid,
}

/// The parent of a path; "" is the root's key.
pub fn parent_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The path as a client writes it, from its key.
fn shown(key: &str) -> String {
    if key.is_empty() { "/".into() } else { key.into() }
}

impl Model {
    /// Of an empty tree behind this transaction.
    pub fn at(last: Zxid) -> Model {
        let mut model = Model {
            nodes: BTreeMap::new(),
            sessions: BTreeMap::new(),
            closed: BTreeMap::new(),
            changes: Vec::new(),
            digests: BTreeMap::new(),
            digest: 0,
            last,
        };
        for (key, children) in [("", 1), (path::SYSTEM, 2), (path::QUOTA, 0), (path::CONFIG, 0)] {
            let stat = StatPersisted::default();
            let node = NodeVersion { data: Some(Vec::new()), acl: acl::open_acl(), stat, children };
            model.put(key, Zxid::ZERO, Some(node));
        }
        model.digests.insert(last, model.digest);
        model
    }

    /// The node as of `at`.
    pub fn node(&self, path: &str, at: Zxid) -> Option<Rc<NodeVersion>> {
        let key = if path == "/" { "" } else { path };
        let versions = self.nodes.get(key)?;
        let upto = versions.partition_point(|(zxid, _)| *zxid <= at);
        versions[..upto].last()?.1.clone()
    }

    /// Names of the children as of `at`, sorted.
    pub fn children(&self, path: &str, at: Zxid) -> Vec<String> {
        let prefix = if path == "/" { "/".to_string() } else { format!("{path}/") };
        let below = self.nodes.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
        below
            .filter(|(key, _)| !key[prefix.len()..].contains('/') && key.len() > prefix.len())
            .filter(|(key, _)| self.node(key, at).is_some())
            .map(|(key, _)| key[prefix.len()..].to_string())
            .collect()
    }

    /// How many nodes there are below a path, at any depth.
    pub fn descendants(&self, path: &str, at: Zxid) -> i32 {
        let prefix = if path == "/" { "/".to_string() } else { format!("{path}/") };
        let below = self.nodes.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix));
        below.filter(|(key, _)| self.node(key, at).is_some()).count() as i32
    }

    /// The stat that a client sees as of `at`.
    pub fn stat(&self, path: &str, at: Zxid) -> Option<Stat> {
        let node = self.node(path, at)?;
        let (children, s) = (node.children, node.stat);
        Some(Stat {
            czxid: s.czxid,
            mzxid: s.mzxid,
            ctime: s.ctime,
            mtime: s.mtime,
            version: s.version,
            cversion: s.cversion * 2 - children,
            aversion: s.aversion,
            // Containers and nodes with a TTL have marks there that clients do not see; sessions here are positive.
            ephemeral_owner: s.ephemeral_owner.max(0),
            data_length: node.data.as_ref().map_or(0, Vec::len) as i32,
            num_children: children,
            pzxid: s.pzxid,
        })
    }

    pub fn digest(&self) -> u64 {
        self.digest
    }

    /// Paths of all nodes that are there now, the root as "".
    pub fn paths(&self) -> impl Iterator<Item = (&str, &NodeVersion)> {
        self.nodes.iter().filter_map(|(key, versions)| Some((key.as_str(), &**versions.last()?.1.as_ref()?)))
    }
    pub fn ephemerals_of(&self, session: SessionId) -> Vec<String> {
        self.paths().filter(|(_, n)| n.stat.ephemeral_owner == session.0).map(|(p, _)| p.to_string()).collect()
    }

    /// The same as of `at`, sorted.
    pub fn ephemerals_at(&self, session: SessionId, at: Zxid) -> Vec<String> {
        let owned = |key: &str| self.node(key, at).is_some_and(|node| node.stat.ephemeral_owner == session.0);
        self.nodes.keys().filter(|key| owned(key)).cloned().collect()
    }

    /// Applies a committed transaction. An error text tells what no committed transaction may do.
    pub fn apply(&mut self, entry: &TxnEntry) -> Result<(), String> {
        let zxid = entry.header.zxid;
        assert!(zxid > self.last, "{zxid} after {}", self.last);
        self.last = zxid;
        let done = self.apply_txn(&entry.header, &entry.txn);
        self.digests.insert(zxid, self.digest);
        done?;
        match entry.digest {
            Some(told) if told.tree_digest != self.digest => Err(format!(
                "the leader computed the digest {:x} for {zxid}, the model has {:x}",
                told.tree_digest, self.digest
            )),
            _ => Ok(()),
        }
    }

    fn current(&self, key: &str) -> Option<Rc<NodeVersion>> {
        self.nodes.get(key)?.last()?.1.clone()
    }

    fn put(&mut self, key: &str, zxid: Zxid, node: Option<NodeVersion>) {
        if is_digested(key) {
            let digest = |n: &NodeVersion| node_digest(key, n.data.as_deref(), &n.stat);
            let before = self.current(key).map_or(0, |n| digest(&n));
            let after = node.as_ref().map_or(0, digest);
            self.digest = self.digest.wrapping_sub(before).wrapping_add(after);
        }
        self.nodes.entry(key.to_string()).or_default().push((zxid, node.map(Rc::new)));
    }

    fn change(&mut self, kind: ChangeKind, zxid: Zxid, key: &str) {
        self.changes.push(ModelChange { zxid, kind, path: shown(key) });
    }

    fn apply_txn(&mut self, h: &TxnHeader, txn: &Txn) -> Result<(), String> {
        match txn {
            Txn::Create { path, data, acl, ephemeral, parent_cversion, .. } => {
                if *ephemeral && !self.sessions.contains_key(&h.session) {
                    return Err(format!("{path} is created as an ephemeral of {}, which does not live", h.session));
                }
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
                let mut node = self.current(path).ok_or_else(|| format!("setData of {path}, which is not there"))?;
                let node = Rc::make_mut(&mut node);
                node.data = data.as_deref().map(<[u8]>::to_vec);
                (node.stat.mzxid, node.stat.mtime, node.stat.version) = (h.zxid, h.time, *version);
                self.put(path, h.zxid, Some(node.clone()));
                self.change(ChangeKind::DataChanged, h.zxid, path);
                Ok(())
            }
            Txn::SetAcl { path, acl, version } => {
                let mut node = self.current(path).ok_or_else(|| format!("setACL of {path}, which is not there"))?;
                let node = Rc::make_mut(&mut node);
                node.acl = acl.clone();
                node.stat.aversion = *version;
                self.put(path, h.zxid, Some(node.clone()));
                Ok(())
            }
            Txn::Check { .. } | Txn::Error { .. } => Ok(()),
            Txn::Multi(txns) if txns.iter().any(|t| matches!(t, Txn::Error { .. })) => Ok(()),
            Txn::Multi(txns) => txns.iter().try_for_each(|t| self.apply_txn(h, t)),
            Txn::CreateSession { timeout_ms } => {
                if let Some(at) = self.closed.get(&h.session) {
                    return Err(format!("session {} was closed at {at} and is created again at {}", h.session, h.zxid));
                }
                self.sessions.insert(h.session, Millis(i64::from(*timeout_ms)));
                Ok(())
            }
            Txn::CloseSession { paths } => self.close_session(h, paths.as_deref().unwrap_or_default()),
        }
    }

    fn close_session(&mut self, h: &TxnHeader, paths: &[String]) -> Result<(), String> {
        self.sessions.remove(&h.session);
        self.closed.entry(h.session).or_insert(h.zxid);
        for path in paths {
            if self.current(path).is_some() {
                self.delete(h, path)?;
            }
        }
        match self.ephemerals_of(h.session).first() {
            Some(left) => Err(format!("session {} was closed at {} and leaves {left} behind", h.session, h.zxid)),
            None => Ok(()),
        }
    }

    fn create(
        &mut self,
        h: &TxnHeader,
        path: &str,
        data: Option<&[u8]>,
        acl: &[Acl],
        owner: i64,
        cversion: i32,
    ) -> Result<(), String> {
        let parent_key = parent_of(path).to_string();
        let mut parent = self.current(&parent_key).ok_or_else(|| format!("{path} is created without a parent"))?;
        if self.current(path).is_some() {
            return Err(format!("{path} is created and was there"));
        }
        let parent = Rc::make_mut(&mut parent);
        if cversion > parent.stat.cversion {
            parent.stat.cversion = cversion;
            parent.stat.pzxid = h.zxid;
        }
        parent.children += 1;
        self.put(&parent_key, h.zxid, Some(parent.clone()));
        let stat = StatPersisted {
            czxid: h.zxid,
            mzxid: h.zxid,
            pzxid: h.zxid,
            ctime: h.time,
            mtime: h.time,
            ephemeral_owner: owner,
            ..StatPersisted::default()
        };
        let node = NodeVersion { data: data.map(<[u8]>::to_vec), acl: acl.to_vec(), stat, children: 0 };
        self.put(path, h.zxid, Some(node));
        self.change(ChangeKind::Created, h.zxid, path);
        self.change(ChangeKind::ChildrenChanged, h.zxid, &parent_key);
        Ok(())
    }

    fn delete(&mut self, h: &TxnHeader, path: &str) -> Result<(), String> {
        let parent_key = parent_of(path).to_string();
        if self.current(path).is_none() {
            return Err(format!("{path} is deleted and is not there"));
        }
        if self.current(path).is_some_and(|node| node.children > 0) {
            let child = self.children(path, h.zxid);
            return Err(format!("{path} is deleted while it has the children {child:?}"));
        }
        let mut parent = self.current(&parent_key).ok_or_else(|| format!("{path} has no parent"))?;
        let parent = Rc::make_mut(&mut parent);
        parent.stat.pzxid = parent.stat.pzxid.max(h.zxid);
        parent.children -= 1;
        self.put(&parent_key, h.zxid, Some(parent.clone()));
        self.put(path, h.zxid, None);
        self.change(ChangeKind::Deleted, h.zxid, path);
        self.change(ChangeKind::ChildrenChanged, h.zxid, &parent_key);
        Ok(())
    }
}
