//! Container and TTL nodes, and which of them have had their time (reference `ContainerManager.getCandidates`).
//!
//! Must not know how often anyone looks, nor a clock: now is handed in.

use crate::read::Node;
use crate::tree::Tree;
use oxkeeper_types::{Millis, Owner};

impl Tree {
    /// All container nodes, in order of creation.
    pub fn containers(&self) -> impl Iterator<Item = Node<'_>> {
        self.container_ids().map(|id| Node::new(self, id))
    }

    /// All TTL nodes, in order of creation.
    pub fn ttl_nodes(&self) -> impl Iterator<Item = Node<'_>> {
        self.ttl_ids().map(|id| Node::new(self, id))
    }

    /// Paths to propose for deletion at wall-clock time `now`: containers that had children and have none, containers
    /// never used for longer than `never_used_max` (zero: those stay), TTL nodes without children not written for their TTL.
    pub fn reaper_candidates(&self, now: Millis, never_used_max: Millis) -> Vec<String> {
        let elapsed = |node: &Node<'_>| now.0.saturating_sub(node.stat_persisted().mtime);
        let containers = self.containers().filter(|node| {
            let used = node.stat_persisted().cversion > 0;
            node.num_children() == 0 && (used || (never_used_max != Millis(0) && elapsed(node) > never_used_max.0))
        });
        let ttl_nodes = self.ttl_nodes().filter(|node| match node.owner() {
            Owner::Ttl { ttl_ms } => node.num_children() == 0 && ttl_ms != 0 && elapsed(node) > ttl_ms,
            _ => false,
        });
        containers.chain(ttl_nodes).map(|node| node.path()).collect()
    }
}
