//! setWatches: a client that has reconnected brings its watches back, and is told what it missed. Must not know how the
//! request was framed, or what the reply looks like; the events go out in front of it.

use super::trigger::write_event;
use super::{Fired, MayRead, WatchKind, WatchTable};
use crate::state::Caller;
use oxkeeper_proto::client::{EventType, SetWatches2Request};
use oxkeeper_tree::{Node, Tree};
use oxkeeper_types::Zxid;

/// Registers each watch whose node is as the client last saw it, and appends an event for each other one, in the order of
/// the request (reference `DataTree.setWatches`). The events carry zxid -1: which transaction caused them is not known.
///
/// Unlike the reference, which tells everybody, a node that the caller may not read is taken as unchanged, and as missing
/// where its creation is waited for: neither an event nor a watch that is there or not gives away what happened to it.
pub fn restore(
    tree: &Tree,
    table: &mut WatchTable,
    caller: &Caller,
    request: &SetWatches2Request,
    may_read: MayRead,
    out: &mut Vec<u8>,
) -> Fired {
    let seen = request.relative_zxid;
    let is_readable = |node: &Node| may_read(tree.acl_of(node).map(|acl| &**acl), caller.auth);
    let mut fired = Fired::default();
    let mut settle = |path: &str, missed: Option<EventType>, kind: WatchKind| match missed {
        Some(event) => {
            fired.events += 1;
            fired.bytes += write_event(event, path, Zxid::NONE, out) as u64;
        }
        None => {
            table.add(caller.conn, path, kind);
        }
    };
    for path in &request.data {
        let missed = match tree.node(path) {
            None => Some(EventType::NodeDeleted),
            Some(node) if node.stat_persisted().mzxid > seen && is_readable(&node) => Some(EventType::NodeDataChanged),
            Some(_) => None,
        };
        settle(path, missed, WatchKind::Data);
    }
    for path in &request.exist {
        let missed = tree.node(path).filter(is_readable).map(|_| EventType::NodeCreated);
        settle(path, missed, WatchKind::Data);
    }
    for path in &request.child {
        let missed = match tree.node(path) {
            None => Some(EventType::NodeDeleted),
            Some(node) if node.stat_persisted().pzxid > seen && is_readable(&node) => {
                Some(EventType::NodeChildrenChanged)
            }
            Some(_) => None,
        };
        settle(path, missed, WatchKind::Child);
    }
    for path in &request.persistent {
        settle(path, None, WatchKind::Persistent);
    }
    for path in &request.recursive {
        settle(path, None, WatchKind::PersistentRecursive);
    }
    fired
}
