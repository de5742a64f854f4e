//! What applying a transaction tells the rest of the server: the result for the reply, the changes for the watches.

use crate::digest::DigestCheck;
use oxkeeper_types::{AclList, ErrorCode, OpCode, Stat, Zxid};

/// What happened to a node.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ChangeKind {
    Created,
    /// Wakes data and child watches on the node, each watcher once (reference `deleteNode`).
    Deleted,
    DataChanged,
    /// A child came or went; the path is the parent's.
    ChildrenChanged,
}

/// One change that watches may be set on. The order in a list is the order of the reference's `triggerWatch` calls.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Change {
    pub kind: ChangeKind,
    pub path: String,
    pub zxid: Zxid,
    /// Who may hear of it: the node's ACL (the last one, for a delete), or the parent's for [`ChangeKind::ChildrenChanged`].
    /// `None` where the list is empty, which lets everyone read.
    pub acl: Option<AclList>,
}

/// The result of a transaction (reference `ProcessTxnResult`).
#[derive(Clone, PartialEq, Debug)]
pub struct Applied {
    pub zxid: Zxid,
    pub op: OpCode,
    /// The code of an error transaction; also `NoNode` or `NodeExists` where the tree was not as the leader saw it. That is
    /// normal over the fuzzy span of a snapshot of the reference and a fault elsewhere: see [`Applied::is_refused`].
    pub error: ErrorCode,
    pub path: Option<String>,
    /// The node's stat after create2, createTTL, createContainer, setData, reconfig and setACL.
    pub stat: Option<Stat>,
    /// One result per part of a multi.
    pub multi: Vec<Applied>,
    /// The ephemerals that a closeSession deleted, in the order in which they went.
    pub deleted_ephemerals: Vec<String>,
    pub digest: DigestCheck,
}

impl Applied {
    pub(crate) fn new(zxid: Zxid, op: OpCode) -> Applied {
        Applied {
            zxid,
            op,
            error: ErrorCode::Ok,
            path: None,
            stat: None,
            multi: Vec::new(),
            deleted_ephemerals: Vec::new(),
            digest: DigestCheck::Unchecked,
        }
    }

    /// Whether the tree could not do what the leader had checked to be possible: our state differs from the leader's.
    pub fn is_refused(&self) -> bool {
        match self.op {
            OpCode::Error => false,
            OpCode::Multi => self.multi.iter().any(Applied::is_refused),
            _ => self.error != ErrorCode::Ok,
        }
    }
}
