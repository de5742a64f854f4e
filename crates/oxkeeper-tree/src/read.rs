//! What can be asked of the tree. Nothing here changes it, and nothing allocates but where a path is put together.

use crate::digest::ContentCrc;
use crate::node::NodeId;
use crate::sessions::Sessions;
use crate::tree::{Tree, TreeOptions};
use oxkeeper_types::{AclList, Owner, Stat, StatPersisted, Zxid};

/// A node as it is now.
#[derive(Clone, Copy)]
pub struct Node<'a> {
    tree: &'a Tree,
    id: NodeId,
}

impl<'a> Node<'a> {
    pub(crate) fn new(tree: &'a Tree, id: NodeId) -> Node<'a> {
        Node { tree, id }
    }

    /// Null data (`None`) and empty data are distinct.
    pub fn data(&self) -> Option<&'a [u8]> {
        self.tree.record(self.id).content.data()
    }
    /// The last component of the path; "" for the root.
    pub fn name(&self) -> &'a str {
        self.tree.record(self.id).content.name()
    }
    /// The whole path; "/" for the root.
    pub fn path(&self) -> String {
        self.tree.path_of(self.id)
    }
    pub fn num_children(&self) -> usize {
        self.tree.num_children(self.id) as usize
    }
    /// The names of the children, in order of creation (of loading, after a restart).
    pub fn children(&self) -> Children<'a> {
        let extension = self.tree.extension(self.id);
        Children {
            tree: self.tree,
            next: extension.map_or(NodeId::NONE, |e| e.first_child),
            left: extension.map_or(0, |e| e.num_children as usize),
        }
    }
    pub fn owner(&self) -> Owner {
        self.tree.owner(self.id)
    }
    /// The stat that clients see (reference `DataNode.copyStat`).
    pub fn stat(&self) -> Stat {
        self.tree.stat(self.id)
    }
    /// The stat that snapshots and digests hold.
    pub fn stat_persisted(&self) -> StatPersisted {
        self.tree.stat_persisted(self.id)
    }
    /// The ACL that guards the node.
    pub fn acl(&self) -> &'a AclList {
        self.tree.acls.list(self.tree.record(self.id).acl)
    }
    /// The CRC of path and data, from which [`crate::node_digest_of`] gives the digest under any stat. Of no meaning where
    /// digests are off or do not cover the node.
    pub fn content_crc(&self) -> ContentCrc {
        ContentCrc(self.tree.record(self.id).content_crc)
    }
}

impl std::fmt::Debug for Node<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Node({} {:?})", self.path(), self.stat_persisted())
    }
}

/// The children of a node: their names, or themselves with [`Children::nodes`].
#[derive(Clone)]
pub struct Children<'a> {
    tree: &'a Tree,
    next: NodeId,
    left: usize,
}

impl<'a> Children<'a> {
    fn step(&mut self) -> Option<NodeId> {
        self.left = self.left.checked_sub(1)?;
        let id = self.next;
        self.next = self.tree.record(id).next;
        Some(id)
    }
    pub fn nodes(mut self) -> impl Iterator<Item = Node<'a>> {
        let tree = self.tree;
        std::iter::from_fn(move || self.step()).map(move |id| Node { tree, id })
    }
}

impl<'a> Iterator for Children<'a> {
    type Item = &'a str;
    fn next(&mut self) -> Option<&'a str> {
        let tree = self.tree;
        self.step().map(|id| tree.record(id).content.name())
    }
    fn size_hint(&self) -> (usize, Option<usize>) {
        (self.left, Some(self.left))
    }
}
impl ExactSizeIterator for Children<'_> {}

impl Tree {
    pub fn options(&self) -> TreeOptions {
        self.options
    }
    /// The zxid of the last applied transaction.
    pub fn last_processed(&self) -> Zxid {
        self.last_processed
    }
    /// The node at `path`; "" and "/" are the root. Paths that are not valid lead nowhere.
    pub fn node(&self, path: &str) -> Option<Node<'_>> {
        self.lookup(path).map(|id| Node::new(self, id))
    }
    pub fn contains(&self, path: &str) -> bool {
        self.lookup(path).is_some()
    }
    /// As the reference counts: the root twice, so 5 when fresh.
    pub fn node_count(&self) -> usize {
        self.nodes.len() + 1
    }
    /// Bytes of paths and data, the root counted twice: 44 when fresh.
    pub fn approximate_data_size(&self) -> i64 {
        self.data_size
    }
    /// How many nodes lie below `path` (reference `getAllChildrenNumber`); 0 for a node that does not exist.
    pub fn descendants(&self, path: &str) -> usize {
        match self.lookup(path) {
            None => 0,
            Some(NodeId::ROOT) => self.nodes.len() - 1,
            Some(id) => {
                let mut count = 0;
                self.visit_below(id, |_| count += 1);
                count
            }
        }
    }
    pub fn sessions(&self) -> &Sessions {
        &self.sessions
    }
    /// The digest of all nodes outside `/zookeeper/`; 0 where digests are off.
    pub fn digest(&self) -> u64 {
        self.digest.value
    }
    /// The digests at every 128th zxid, the last 1024 of them, oldest first.
    pub fn digest_log(&self) -> impl Iterator<Item = (Zxid, u64)> + '_ {
        self.digest.log()
    }
    pub fn digest_mismatches(&self) -> u64 {
        self.digest.mismatches()
    }
    /// Whether checks are suspended because a loaded snapshot is not yet exact.
    pub fn is_awaiting_snapshot_digest(&self) -> bool {
        self.digest.is_awaiting()
    }
    /// The ACL of a node; `None` where the list is empty, which allows everything.
    pub fn acl_of<'a>(&self, node: &Node<'a>) -> Option<&'a AclList> {
        Some(node.acl()).filter(|acl| !acl.is_empty())
    }
    /// How many distinct ACL lists there are, the open one apart.
    pub fn acl_count(&self) -> usize {
        self.acls.len()
    }

    /// Calls `visit` for every node, parents first.
    pub fn visit_all<'a>(&'a self, mut visit: impl FnMut(Node<'a>)) {
        visit(Node::new(self, NodeId::ROOT));
        self.visit_below(NodeId::ROOT, |id| visit(Node::new(self, id)));
    }

    /// Visits all nodes below `top`, parents first, without recursion: the depth of a tree is up to its clients.
    pub(crate) fn visit_below(&self, top: NodeId, mut visit: impl FnMut(NodeId)) {
        let first_child = |id| self.extension(id).map_or(NodeId::NONE, |e| e.first_child);
        let mut at = first_child(top);
        if at == NodeId::NONE {
            return;
        }
        loop {
            visit(at);
            let child = first_child(at);
            if child != NodeId::NONE {
                at = child;
                continue;
            }
            // Up until a sibling is left. The ring ends where its first node comes again.
            loop {
                let node = self.record(at);
                if node.next != first_child(node.parent) {
                    at = node.next;
                    break;
                }
                at = node.parent;
                if at == top {
                    return;
                }
            }
        }
    }

    pub(crate) fn path_of(&self, id: NodeId) -> String {
        let mut path = String::new();
        self.push_path(id, &mut path);
        if path.is_empty() { "/".to_owned() } else { path }
    }

    /// The stat that clients see. Its cversion counts creates and deletes: each child that is gone was created too.
    pub(crate) fn stat(&self, id: NodeId) -> Stat {
        let stat = self.stat_persisted(id);
        let num_children = self.num_children(id) as i32;
        Stat {
            czxid: stat.czxid,
            mzxid: stat.mzxid,
            ctime: stat.ctime,
            mtime: stat.mtime,
            version: stat.version,
            cversion: stat.cversion.wrapping_mul(2).wrapping_sub(num_children),
            aversion: stat.aversion,
            ephemeral_owner: match self.owner_of_raw(stat.ephemeral_owner) {
                Owner::Session(session) => session.0,
                _ => 0,
            },
            data_length: self.record(id).content.data_len() as i32,
            num_children,
            pzxid: stat.pzxid,
        }
    }
}
