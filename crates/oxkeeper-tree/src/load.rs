//! The body of a snapshot -> a tree: sessions, ACL lists, nodes, "/" (reference `SerializeUtils.deserializeSnapshot`).
//!
//! Bytes come in pieces of any size. Must not know files, their headers, seals and trailers.

use crate::acl_cache::OPEN;
use crate::node::{AclIndex, NodeId};
use crate::tree::{NewNode, Tree, TreeOptions};
use hashbrown::HashMap;
use oxkeeper_proto::jute::{DecodeError, Reader, read_acl_list, read_stat_persisted};
use oxkeeper_types::{Acl, Id, Millis, Owner, Perms, SessionId, StatPersisted};

/// A snapshot that cannot be loaded: where, and why.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("snapshot body, byte {at}, after {} nodes (last {last_path:?}): {kind}", nodes)]
pub struct LoadError {
    /// Where the bad record starts, counted from the first byte of the body.
    pub at: u64,
    /// Nodes that were read before it.
    pub nodes: usize,
    /// The path of the last of them.
    pub last_path: String,
    pub kind: LoadErrorKind,
}

#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LoadErrorKind {
    #[error("{0}")]
    Decode(DecodeError),
    #[error("{count} {what}: expected 0 or more")]
    NegativeCount { what: &'static str, count: i32 },
    #[error("the parent of {path} is missing")]
    MissingParent { path: String },
    #[error("{path} comes twice")]
    Duplicate { path: String },
    #[error("{path} is not a path")]
    BadPath { path: String },
    #[error("{path} has owner 0x{raw:x}, an unknown kind of extended node; is extendedTypesEnabled right?")]
    UnknownOwner { path: String, raw: i64 },
    #[error("there is no root node")]
    MissingRoot,
    #[error("the body ends before its end mark (\"/\"), {left} bytes into a record")]
    Truncated { left: usize },
}

/// What a snapshot held.
#[derive(Debug)]
pub struct Loaded {
    pub tree: Tree,
    /// Nodes whose ACL id is not in the table: a fuzzy snapshot of the reference may list ACLs before a node that uses a new
    /// one. Replay puts them right; until then nobody but a super user passes.
    pub acls_missing: usize,
    /// The node with the longest data, and its bytes.
    pub longest: (String, usize),
}

enum Phase {
    SessionCount,
    Sessions(i32),
    AclCount,
    Acls(i32),
    Nodes,
    Done,
}

/// Builds a tree from the body of a snapshot.
pub struct ImageLoader {
    tree: Tree,
    phase: Phase,
    /// The beginning of a record whose end has not come yet.
    carry: Vec<u8>,
    /// Offset of the next record.
    at: u64,
    /// ACL ids of the file to ours. Each has one user more until the end.
    acls: HashMap<i64, AclIndex, foldhash::fast::FixedState>,
    acls_missing: usize,
    longest: (String, usize),
    /// Nodes come by parent mostly: the last parent's path and id.
    parent_path: String,
    parent: NodeId,
    last_path: String,
}

/// What reading one record came to: nothing wrong, or why it cannot be.
type Step = Result<(), LoadErrorKind>;

/// Guards nodes whose list is unknown. An empty list would allow everything.
fn nobody_acl() -> [Acl; 1] {
    [Acl::new(Perms(0), Id::anyone())]
}

impl From<DecodeError> for LoadErrorKind {
    fn from(error: DecodeError) -> LoadErrorKind {
        LoadErrorKind::Decode(error)
    }
}

impl ImageLoader {
    pub fn new(options: TreeOptions) -> ImageLoader {
        ImageLoader {
            tree: Tree::empty(options),
            phase: Phase::SessionCount,
            carry: Vec::new(),
            at: 0,
            acls: HashMap::with_hasher(foldhash::fast::FixedState::with_seed(options.hash_seed)),
            acls_missing: 0,
            longest: Default::default(),
            parent_path: String::new(),
            parent: NodeId::NONE,
            last_path: String::new(),
        }
    }

    /// Loads a body that is in memory as a whole; also says how many bytes it took.
    pub fn load(options: TreeOptions, bytes: &[u8]) -> Result<(Loaded, usize), LoadError> {
        let mut loader = ImageLoader::new(options);
        let taken = loader.feed(bytes)?;
        Ok((loader.finish()?, taken))
    }

    /// Whether the end mark was read.
    pub fn is_done(&self) -> bool {
        matches!(self.phase, Phase::Done)
    }

    /// Takes the next bytes of the body and says how many of them belong to it: all, or fewer where the end mark is among
    /// them. After an error the loader is of no more use.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<usize, LoadError> {
        if self.is_done() {
            return Ok(0);
        }
        if self.carry.is_empty() {
            let taken = self.read_records(bytes)?;
            if self.is_done() {
                return Ok(taken);
            }
            self.carry.extend_from_slice(&bytes[taken..]);
            return Ok(bytes.len());
        }
        let mut carry = std::mem::take(&mut self.carry);
        let before = carry.len();
        carry.extend_from_slice(bytes);
        let taken = self.read_records(&carry)?;
        if self.is_done() {
            return Ok(taken - before);
        }
        carry.drain(..taken);
        self.carry = carry;
        Ok(bytes.len())
    }

    /// Reads as many whole records as there are; gives the bytes they took.
    fn read_records(&mut self, bytes: &[u8]) -> Result<usize, LoadError> {
        let mut taken = 0;
        while !self.is_done() {
            let mut reader = Reader::unbounded(&bytes[taken..]);
            match self.read_record(&mut reader) {
                Ok(()) => {
                    taken += reader.position();
                    self.at += reader.position() as u64;
                }
                Err(LoadErrorKind::Decode(DecodeError::Truncated { .. })) => break,
                Err(kind) => return Err(self.error(kind)),
            }
        }
        Ok(taken)
    }

    fn error(&self, kind: LoadErrorKind) -> LoadError {
        LoadError { at: self.at, nodes: self.tree.nodes.len(), last_path: self.last_path.clone(), kind }
    }

    /// Reads one record. Nothing is changed before the record is known to be whole.
    fn read_record(&mut self, r: &mut Reader<'_>) -> Step {
        match self.phase {
            Phase::SessionCount => self.phase = Phase::Sessions(read_count(r, "sessions")?),
            Phase::Sessions(0) => self.phase = Phase::AclCount,
            Phase::Sessions(left) => {
                let (session, timeout) = (SessionId(r.long()?), Millis(r.int()? as i64));
                self.tree.sessions.open(session, timeout);
                self.phase = Phase::Sessions(left - 1);
            }
            Phase::AclCount => self.phase = Phase::Acls(read_count(r, "ACL lists")?),
            Phase::Acls(0) => self.phase = Phase::Nodes,
            Phase::Acls(left) => {
                let id = r.long()?;
                let at = r.position();
                let list = read_acl_list(r)?.ok_or(DecodeError::Null { at })?;
                let index = self.tree.acls.intern(&list);
                if let Some(earlier) = self.acls.insert(id, index) {
                    self.tree.acls.release(earlier);
                }
                self.phase = Phase::Acls(left - 1);
            }
            Phase::Nodes => self.read_node(r)?,
            Phase::Done => unreachable!("records are read until the end mark only"),
        }
        Ok(())
    }

    fn read_node(&mut self, r: &mut Reader<'_>) -> Step {
        let path = r.required_string()?;
        if path == "/" {
            self.phase = Phase::Done;
            return Ok(());
        }
        let data = r.buffer()?;
        let acl = r.long()?;
        let stat = read_stat_persisted(r)?;
        if Owner::from_raw(stat.ephemeral_owner, self.tree.options.owner_rules).is_err() {
            return Err(LoadErrorKind::UnknownOwner { path: path.into_owned(), raw: stat.ephemeral_owner });
        }
        self.insert(&path, data, acl, stat)?;
        self.last_path.clear();
        self.last_path.push_str(&path);
        let bytes = data.map_or(0, <[u8]>::len);
        if bytes > self.longest.1 {
            self.longest = (path.into_owned(), bytes);
        }
        Ok(())
    }

    fn insert(&mut self, path: &str, data: Option<&[u8]>, acl: i64, stat: StatPersisted) -> Step {
        let named = |path: &str| path.to_owned();
        if path.is_empty() {
            if self.tree.nodes.len() != 0 {
                return Err(LoadErrorKind::Duplicate { path: "/".to_owned() });
            }
            let acl = self.acl_index(acl);
            self.tree.insert_root(data, acl, stat);
            self.parent = NodeId::ROOT;
            return Ok(());
        }
        // "/" is another name of the root for lookups, so "//a" would pass for "/a" under the wrong digest.
        let split = path.rsplit_once('/').filter(|(parent, name)| !name.is_empty() && !parent.ends_with('/'));
        let Some((parent_path, name)) = split else {
            return Err(LoadErrorKind::BadPath { path: named(path) });
        };
        if self.parent == NodeId::NONE {
            return Err(LoadErrorKind::MissingRoot);
        }
        if parent_path != self.parent_path {
            let parent = self.tree.lookup(parent_path);
            self.parent = parent.ok_or_else(|| LoadErrorKind::MissingParent { path: named(path) })?;
            self.parent_path.clear();
            self.parent_path.push_str(parent_path);
        }
        let parent = self.parent;
        let hash = self.tree.index.hash(parent, name);
        if self.tree.index.find(&self.tree.nodes, parent, name, hash).is_some() {
            return Err(LoadErrorKind::Duplicate { path: named(path) });
        }
        let acl = self.acl_index(acl);
        self.tree.insert(NewNode { parent, path, name, hash, data, acl, stat, crc: None });
        Ok(())
    }

    fn acl_index(&mut self, id: i64) -> AclIndex {
        if id == -1 {
            return OPEN;
        }
        match self.acls.get(&id) {
            Some(index) => {
                self.tree.acls.retain(*index);
                *index
            }
            None => {
                self.acls_missing += 1;
                self.tree.acls.intern(&nobody_acl())
            }
        }
    }

    /// The tree, once the end mark was read. Lists that no node carries are dropped, quotas are counted anew.
    pub fn finish(mut self) -> Result<Loaded, LoadError> {
        if !self.is_done() {
            let left = self.carry.len();
            return Err(self.error(LoadErrorKind::Truncated { left }));
        }
        if self.tree.nodes.len() == 0 {
            return Err(self.error(LoadErrorKind::MissingRoot));
        }
        for (_, index) in self.acls.drain() {
            self.tree.acls.release(index);
        }
        self.tree.recompute_quota_usage();
        Ok(Loaded { tree: self.tree, acls_missing: self.acls_missing, longest: self.longest })
    }
}

fn read_count(r: &mut Reader<'_>, what: &'static str) -> Result<i32, LoadErrorKind> {
    let count = r.int()?;
    if count < 0 { Err(LoadErrorKind::NegativeCount { what, count }) } else { Ok(count) }
}
