//! The tree itself: its parts, a fresh one, and the steps that every change is made of (insert, unlink, change a stat).
//!
//! Each step keeps index, child ring, owner list, ACL counts, size, digest and the pre-images of frozen images right.
//! Must not know transactions (that is `apply`).

use crate::acl_cache::{AclCache, OPEN};
use crate::digest::{self, ContentCrc, DigestState};
use crate::ephemeral::Owned;
use crate::image::Image;
use crate::index::Index;
use crate::node::{AclIndex, Extension, NO_EXTENSION, NodeId, Record};
use crate::quota::Quotas;
use crate::sessions::Sessions;
use crate::slab::Slab;
use oxkeeper_types::node::OwnerRules;
use oxkeeper_types::{Acl, Id, Owner, Perms, SessionId, StatPersisted, Zxid, path};

/// What a tree must be told about the server it serves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TreeOptions {
    /// `digest.enabled`
    pub digest_enabled: bool,
    pub owner_rules: OwnerRules,
    /// Spreads names over the hash tables, so that clients cannot choose names that collide. Changes nothing visible.
    pub hash_seed: u64,
}

impl Default for TreeOptions {
    fn default() -> TreeOptions {
        TreeOptions { digest_enabled: true, owner_rules: OwnerRules::default(), hash_seed: 0 }
    }
}

/// The replicated state: znodes and sessions. Reads take `&self`, transactions `&mut self`.
pub struct Tree {
    pub(crate) options: TreeOptions,
    pub(crate) nodes: Slab<Record>,
    pub(crate) extensions: Slab<Extension>,
    pub(crate) index: Index,
    pub(crate) acls: AclCache,
    pub(crate) owned: Owned,
    pub(crate) sessions: Sessions,
    pub(crate) quotas: Quotas,
    pub(crate) digest: DigestState,
    pub(crate) images: Vec<Image>,
    pub(crate) images_made: u64,
    pub(crate) last_processed: Zxid,
    /// Sum of path lengths, in UTF-16 units as Java counts, and data lengths.
    pub(crate) data_size: i64,
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (nodes, sessions, digest) = (self.nodes.len(), self.sessions.len(), self.digest.value);
        write!(f, "Tree(at {}, {nodes} nodes, {sessions} sessions, digest {digest:x})", self.last_processed)
    }
}

/// A node to insert. The parent is in the tree and has no child of that name.
pub(crate) struct NewNode<'a> {
    pub(crate) parent: NodeId,
    pub(crate) path: &'a str,
    pub(crate) name: &'a str,
    pub(crate) hash: u32,
    pub(crate) data: Option<&'a [u8]>,
    pub(crate) acl: AclIndex,
    pub(crate) stat: StatPersisted,
    /// The CRC of path and data where the caller has it.
    pub(crate) crc: Option<ContentCrc>,
}

/// Length as Java's `String.length` counts it.
pub(crate) fn java_length(path: &str) -> i64 {
    if path.is_ascii() { path.len() as i64 } else { path.encode_utf16().count() as i64 }
}

/// `world:anyone` with READ: what the config node carries (reference `READ_ACL_UNSAFE`).
fn read_only_acl() -> [Acl; 1] {
    [Acl::new(Perms::READ, Id::anyone())]
}

impl Tree {
    /// A tree as a fresh reference `DataTree` has it: `/`, `/zookeeper`, `/zookeeper/quota`, `/zookeeper/config`.
    pub fn new(options: TreeOptions) -> Tree {
        let mut tree = Tree::empty(options);
        let stat = StatPersisted::default();
        tree.insert_root(Some(b""), OPEN, stat);
        for path in [path::SYSTEM, path::QUOTA] {
            tree.insert_own(path, OPEN, stat);
        }
        tree.insert_config_node();
        tree
    }

    /// Not even a root: the loader's start.
    pub(crate) fn empty(options: TreeOptions) -> Tree {
        Tree {
            nodes: Slab::new(),
            extensions: Slab::new(),
            index: Index::new(options.hash_seed),
            acls: AclCache::new(options.hash_seed),
            owned: Owned::default(),
            sessions: Sessions::default(),
            quotas: Quotas::default(),
            digest: DigestState::new(options.digest_enabled),
            images: Vec::new(),
            images_made: 0,
            last_processed: Zxid::ZERO,
            data_size: 0,
            options,
        }
    }

    pub(crate) fn insert_root(&mut self, data: Option<&[u8]>, acl: AclIndex, stat: StatPersisted) {
        assert_eq!(self.nodes.len(), 0, "the root is the first node");
        let hash = self.index.hash(NodeId::NONE, "");
        let new = NewNode { parent: NodeId::NONE, path: "", name: "", hash, data, acl, stat, crc: None };
        let root = self.insert(new);
        assert_eq!(root, NodeId::ROOT);
        // The reference counts the root twice, as "" and as "/".
        self.data_size += 1 + self.record(root).content.data_len() as i64;
    }

    /// Inserts one of the nodes that the server makes for itself; its parent's stat does not move.
    fn insert_own(&mut self, path: &str, acl: AclIndex, stat: StatPersisted) {
        let (parent_path, name) = path.rsplit_once('/').expect("own paths have a slash");
        let parent = self.lookup(parent_path).expect("own nodes are made parents first");
        let hash = self.index.hash(parent, name);
        self.insert(NewNode { parent, path, name, hash, data: Some(b""), acl, stat, crc: None });
    }

    /// Its ACL version is -1, since the reference sets its ACL without a check (`addConfigNode`).
    pub(crate) fn insert_config_node(&mut self) {
        let acl = self.acls.intern(&read_only_acl());
        self.insert_own(path::CONFIG, acl, StatPersisted { aversion: -1, ..StatPersisted::default() });
    }

    // Lookup.

    pub(crate) fn record(&self, id: NodeId) -> &Record {
        self.nodes.get(id.0)
    }
    pub(crate) fn record_mut(&mut self, id: NodeId) -> &mut Record {
        self.nodes.get_mut(id.0)
    }

    /// The node at `path`; "" is the root, as for the reference.
    pub(crate) fn lookup(&self, path: &str) -> Option<NodeId> {
        if path.is_empty() || path == "/" {
            return Some(NodeId::ROOT);
        }
        let mut at = NodeId::ROOT;
        for name in path.strip_prefix('/')?.split('/') {
            at = self.child(at, name)?;
        }
        Some(at)
    }

    pub(crate) fn child(&self, parent: NodeId, name: &str) -> Option<NodeId> {
        if self.num_children(parent) == 0 {
            return None;
        }
        self.index.find(&self.nodes, parent, name, self.index.hash(parent, name))
    }

    pub(crate) fn extension(&self, id: NodeId) -> Option<&Extension> {
        let extension = self.record(id).extension;
        (extension != NO_EXTENSION).then(|| self.extensions.get(extension))
    }

    pub(crate) fn num_children(&self, id: NodeId) -> u32 {
        self.extension(id).map_or(0, |e| e.num_children)
    }

    pub(crate) fn stat_persisted(&self, id: NodeId) -> StatPersisted {
        let node = self.record(id);
        let (pzxid, owner, cversion, aversion) = match self.extension(id) {
            Some(e) => (e.pzxid, e.owner, e.cversion, e.aversion),
            None => (node.czxid, 0, 0, 0),
        };
        StatPersisted {
            czxid: node.czxid,
            mzxid: node.mzxid,
            ctime: node.ctime,
            mtime: node.mtime,
            version: node.version,
            cversion,
            aversion,
            ephemeral_owner: owner,
            pzxid,
        }
    }

    pub(crate) fn owner(&self, id: NodeId) -> Owner {
        self.extension(id).map_or(Owner::None, |e| self.owner_of_raw(e.owner))
    }

    /// A raw owner with reserved bits set is a session to us; the loader refuses such nodes.
    pub(crate) fn owner_of_raw(&self, raw: i64) -> Owner {
        Owner::from_raw(raw, self.options.owner_rules).unwrap_or(Owner::Session(SessionId(raw)))
    }

    /// Appends the path of a node: "" for the root.
    pub(crate) fn push_path(&self, id: NodeId, path: &mut String) {
        let mut names = Vec::new();
        let mut at = id;
        while at != NodeId::ROOT {
            let node = self.record(at);
            names.push(node.content.name());
            at = node.parent;
        }
        for name in names.iter().rev() {
            path.push('/');
            path.push_str(name);
        }
    }

    // Changes.

    /// The extension of a node, made where there is none.
    pub(crate) fn extension_mut(&mut self, id: NodeId) -> &mut Extension {
        let node = self.nodes.get_mut(id.0);
        if node.extension == NO_EXTENSION {
            node.extension = self.extensions.insert(Extension::absent(node.czxid));
        }
        self.extensions.get_mut(node.extension)
    }

    pub(crate) fn covers(&self, path: &str) -> bool {
        self.digest.enabled && digest::is_digested(path)
    }

    /// What a node adds to the digest now.
    pub(crate) fn node_digest(&self, id: NodeId, path: &str) -> u64 {
        if !self.covers(path) {
            return 0;
        }
        digest::node_digest_of(ContentCrc(self.record(id).content_crc), &self.stat_persisted(id))
    }

    /// Changes a node: what images need of its old state is kept, its digest follows.
    pub(crate) fn change(&mut self, id: NodeId, path: &str, change: impl FnOnce(&mut Tree)) {
        self.save_for_images(id);
        let covered = self.covers(path);
        if covered {
            let digest = self.node_digest(id, path);
            self.digest.subtract(digest);
        }
        change(self);
        if covered {
            let digest = self.node_digest(id, path);
            self.digest.add(digest);
        }
    }

    /// Puts other data into a node. Goes inside [`Tree::change`].
    pub(crate) fn replace_data(&mut self, id: NodeId, path: &str, data: Option<&[u8]>, crc: Option<ContentCrc>) {
        let covered = self.covers(path);
        let node = self.nodes.get_mut(id.0);
        let before = node.content.data_len();
        node.content.set_data(data);
        if covered {
            node.content_crc = known_or_computed(crc, path, data).0;
        }
        let grown = node.content.data_len() as i64 - before as i64;
        self.data_size += if id == NodeId::ROOT { 2 * grown } else { grown };
    }

    pub(crate) fn insert(&mut self, new: NewNode<'_>) -> NodeId {
        let stat = &new.stat;
        let content_crc =
            if self.covers(new.path) { known_or_computed(new.crc, new.path, new.data) } else { ContentCrc(0) };
        let id = NodeId(self.nodes.insert(Record {
            czxid: stat.czxid,
            mzxid: stat.mzxid,
            ctime: stat.ctime,
            mtime: stat.mtime,
            content: crate::content::Content::new(new.name, new.data),
            parent: new.parent,
            next: NodeId::NONE,
            prev: NodeId::NONE,
            acl: new.acl,
            extension: NO_EXTENSION,
            version: stat.version,
            content_crc: content_crc.0,
        }));
        self.note_born_for_images(id);
        if Extension::is_needed(stat) {
            let extension = self.extension_mut(id);
            extension.pzxid = stat.pzxid;
            extension.owner = stat.ephemeral_owner;
            extension.cversion = stat.cversion;
            extension.aversion = stat.aversion;
        }
        if new.parent != NodeId::NONE {
            self.index.insert(new.hash, id);
            self.link_child(new.parent, id);
        }
        self.link_owner(id, self.owner_of_raw(stat.ephemeral_owner));
        self.data_size += java_length(new.path) + self.record(id).content.data_len() as i64;
        let digest = self.node_digest(id, new.path);
        self.digest.add(digest);
        id
    }

    /// Takes a childless node out; its ACL loses a user.
    pub(crate) fn unlink(&mut self, id: NodeId, path: &str) -> Record {
        assert_ne!(id, NodeId::ROOT, "the root cannot be removed");
        assert_eq!(self.num_children(id), 0, "{path} is removed while it has children");
        self.save_for_images(id);
        let digest = self.node_digest(id, path);
        self.digest.subtract(digest);
        self.data_size -= java_length(path) + self.record(id).content.data_len() as i64;
        self.unlink_owner(id);
        self.unlink_child(id);
        let record = self.nodes.remove(id.0);
        self.index.remove(self.index.hash(record.parent, record.content.name()), id);
        if record.extension != NO_EXTENSION {
            self.extensions.remove(record.extension);
        }
        self.acls.release(record.acl);
        record
    }

    /// Appends to the ring of the parent's children.
    fn link_child(&mut self, parent: NodeId, id: NodeId) {
        let extension = self.extension_mut(parent);
        extension.num_children += 1;
        let first = extension.first_child;
        if first == NodeId::NONE {
            extension.first_child = id;
            let node = self.record_mut(id);
            (node.next, node.prev) = (id, id);
            return;
        }
        let last = std::mem::replace(&mut self.record_mut(first).prev, id);
        self.record_mut(last).next = id;
        let node = self.record_mut(id);
        (node.next, node.prev) = (first, last);
    }

    fn unlink_child(&mut self, id: NodeId) {
        let node = self.record(id);
        let (parent, next, prev) = (node.parent, node.next, node.prev);
        let extension = self.extension_mut(parent);
        extension.num_children -= 1;
        if extension.first_child == id {
            extension.first_child = if next == id { NodeId::NONE } else { next };
        }
        self.record_mut(prev).next = next;
        self.record_mut(next).prev = prev;
    }
}

fn known_or_computed(known: Option<ContentCrc>, path: &str, data: Option<&[u8]>) -> ContentCrc {
    match known {
        Some(crc) => {
            debug_assert_eq!(crc, digest::content_crc(path, data), "the CRC handed in for {path} is of other content");
            crc
        }
        None => digest::content_crc(path, data),
    }
}
