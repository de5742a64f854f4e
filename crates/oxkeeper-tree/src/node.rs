//! How one znode lies in memory: 80 bytes, plus name and data, plus an extension for what few znodes have.
//!
//! Owns the layout. Must not know how nodes are found or changed.

use crate::content::Content;
use crate::slab::Slab;
use oxkeeper_types::{StatPersisted, Zxid};

/// The id of a node in the slab: its identity as long as it lives, then free for another.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NodeId(pub(crate) u32);

impl NodeId {
    /// The root is the first node of every tree and is never removed.
    pub(crate) const ROOT: NodeId = NodeId(0);
    pub(crate) const NONE: NodeId = NodeId(u32::MAX);
}

/// Index of an ACL list in the tree's cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct AclIndex(pub(crate) u32);

/// A node. `parent` and the name never change while it lives, which images rely on.
pub(crate) struct Record {
    pub(crate) czxid: Zxid,
    pub(crate) mzxid: Zxid,
    pub(crate) ctime: i64,
    pub(crate) mtime: i64,
    pub(crate) content: Content,
    pub(crate) parent: NodeId,
    /// Siblings form a ring in order of creation; the parent knows the first.
    pub(crate) next: NodeId,
    pub(crate) prev: NodeId,
    pub(crate) acl: AclIndex,
    /// The [`Extension`], or `NO_EXTENSION`.
    pub(crate) extension: u32,
    pub(crate) version: i32,
    /// CRC-32 of path and data, from which the node's digest follows by hashing the stat only. Unused (0) where the
    /// digest is off or does not cover the node.
    pub(crate) content_crc: u32,
}

pub(crate) const NO_EXTENSION: u32 = u32::MAX;

const _: () = assert!(Slab::<Record>::SLOT_BYTES == 80, "every byte here is a megabyte per million znodes");

/// What a node has that ever had children, an owner or a changed ACL.
pub(crate) struct Extension {
    pub(crate) pzxid: Zxid,
    /// Raw `ephemeralOwner`.
    pub(crate) owner: i64,
    /// Counts creates of children only, as snapshots do.
    pub(crate) cversion: i32,
    pub(crate) aversion: i32,
    pub(crate) first_child: NodeId,
    pub(crate) num_children: u32,
    /// Neighbours among the nodes of the same owner: session, container or TTL.
    pub(crate) owner_next: NodeId,
    pub(crate) owner_prev: NodeId,
}

impl Extension {
    /// The extension of a node that has none: what its absence means.
    pub(crate) fn absent(czxid: Zxid) -> Extension {
        Extension {
            pzxid: czxid,
            owner: 0,
            cversion: 0,
            aversion: 0,
            first_child: NodeId::NONE,
            num_children: 0,
            owner_next: NodeId::NONE,
            owner_prev: NodeId::NONE,
        }
    }

    /// Whether a node with this stat needs an extension even without children.
    pub(crate) fn is_needed(stat: &StatPersisted) -> bool {
        stat.pzxid != stat.czxid || stat.ephemeral_owner != 0 || stat.cversion != 0 || stat.aversion != 0
    }
}
