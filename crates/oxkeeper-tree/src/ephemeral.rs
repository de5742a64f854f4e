//! Which nodes have an owner: the ephemerals of each session, the containers, the TTL nodes.
//!
//! Lists run through the nodes' extensions in order of creation (of loading, after a restart), so that joining and leaving
//! are O(1) and no path is stored twice. Must not know when an owner's time is over.

use crate::node::NodeId;
use crate::tree::Tree;
use oxkeeper_types::{Owner, SessionId};
use std::collections::BTreeMap;

#[derive(Clone, Copy)]
pub(crate) struct OwnerList {
    first: NodeId,
    last: NodeId,
    len: usize,
}

impl Default for OwnerList {
    fn default() -> OwnerList {
        OwnerList { first: NodeId::NONE, last: NodeId::NONE, len: 0 }
    }
}

#[derive(Default)]
pub(crate) struct Owned {
    /// Sessions that own at least one node.
    sessions: BTreeMap<SessionId, OwnerList>,
    containers: OwnerList,
    ttl_nodes: OwnerList,
    ephemerals: usize,
}

impl Owned {
    fn list_mut(&mut self, owner: Owner) -> Option<&mut OwnerList> {
        match owner {
            Owner::None => None,
            Owner::Session(session) => Some(self.sessions.entry(session).or_default()),
            Owner::Container => Some(&mut self.containers),
            Owner::Ttl { .. } => Some(&mut self.ttl_nodes),
        }
    }
}

impl Tree {
    /// Appends a node to its owner's list. It has an extension, since it has an owner.
    pub(crate) fn link_owner(&mut self, id: NodeId, owner: Owner) {
        let Some(list) = self.owned.list_mut(owner) else { return };
        let last = list.last;
        list.last = id;
        list.len += 1;
        if last == NodeId::NONE {
            list.first = id;
        } else {
            self.extension_mut(last).owner_next = id;
        }
        self.extension_mut(id).owner_prev = last;
        self.owned.ephemerals += matches!(owner, Owner::Session(_)) as usize;
    }

    pub(crate) fn unlink_owner(&mut self, id: NodeId) {
        let owner = self.owner(id);
        if owner == Owner::None {
            return;
        }
        let extension = self.extension_mut(id);
        let (next, prev) = (extension.owner_next, extension.owner_prev);
        if next != NodeId::NONE {
            self.extension_mut(next).owner_prev = prev;
        }
        if prev != NodeId::NONE {
            self.extension_mut(prev).owner_next = next;
        }
        let list = self.owned.list_mut(owner).expect("an owner has a list");
        assert!(list.len > 0, "{owner:?} owns nothing, not even {id:?}");
        list.len -= 1;
        if list.first == id {
            list.first = next;
        }
        if list.last == id {
            list.last = prev;
        }
        let is_empty = list.len == 0;
        if let Owner::Session(session) = owner {
            self.owned.ephemerals -= 1;
            if is_empty {
                self.owned.sessions.remove(&session);
            }
        }
    }

    fn walk(&self, list: OwnerList) -> impl Iterator<Item = NodeId> + '_ {
        let mut at = list.first;
        (0..list.len).map(move |_| {
            let id = at;
            at = self.extension(id).expect("owned nodes have an extension").owner_next;
            id
        })
    }

    pub(crate) fn ephemeral_ids(&self, session: SessionId) -> impl Iterator<Item = NodeId> + '_ {
        self.walk(self.owned.sessions.get(&session).copied().unwrap_or_default())
    }
    pub(crate) fn container_ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.walk(self.owned.containers)
    }
    pub(crate) fn ttl_ids(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.walk(self.owned.ttl_nodes)
    }

    /// How many ephemeral nodes there are.
    pub fn ephemerals_count(&self) -> usize {
        self.owned.ephemerals
    }

    /// The paths of a session's ephemeral nodes, in order of creation.
    pub fn ephemerals_of(&self, session: SessionId) -> impl Iterator<Item = String> + '_ {
        self.ephemeral_ids(session).map(|id| self.path_of(id))
    }

    /// The sessions that own ephemeral nodes, in order of their ids; also sessions that are not in the table.
    pub fn sessions_with_ephemerals(&self) -> impl Iterator<Item = SessionId> + '_ {
        self.owned.sessions.keys().copied()
    }
}
