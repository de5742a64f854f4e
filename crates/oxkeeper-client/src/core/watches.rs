//! Which watches the server holds for this client, as far as the client knows: what a reconnect must register again.

use oxkeeper_proto::client::{EventType, SetWatches2Request, SetWatchesRequest};
use oxkeeper_proto::jute::Writer;
use oxkeeper_types::{OpCode, Zxid};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// Bytes of paths in one setWatches2 packet (reference `ClientCnxn.SET_WATCHES_MAX_LENGTH`).
pub const SET_WATCHES_BYTES_MAX: usize = 128 * 1024;

/// What a successful request leaves behind as a watch.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum WatchKind {
    Data,
    /// On a node that is not there: fires when it is created.
    Exist,
    Child,
    Persistent,
    Recursive,
}

impl WatchKind {
    pub const ALL: [WatchKind; 5] =
        [WatchKind::Data, WatchKind::Exist, WatchKind::Child, WatchKind::Persistent, WatchKind::Recursive];
}

/// The watches of one client. Ordered, so that what goes on the wire does not depend on a hash.
#[derive(Clone, Debug, Default)]
pub struct Watches {
    sets: [BTreeSet<String>; 5],
}

impl Watches {
    pub fn add(&mut self, kind: WatchKind, path: &str) {
        self.sets[kind as usize].insert(path.to_string());
    }
    pub fn remove(&mut self, kind: WatchKind, path: &str) {
        self.sets[kind as usize].remove(path);
    }
    pub fn has(&self, kind: WatchKind, path: &str) -> bool {
        self.sets[kind as usize].contains(path)
    }
    pub fn len(&self) -> usize {
        self.sets.iter().map(BTreeSet::len).sum()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// An event uses up the one-shot watches that it fires.
    pub fn on_event(&mut self, kind: EventType, path: &str) {
        let used: &[WatchKind] = match kind {
            EventType::NodeCreated | EventType::NodeDataChanged => &[WatchKind::Data, WatchKind::Exist],
            EventType::NodeDeleted => &[WatchKind::Data, WatchKind::Exist, WatchKind::Child],
            EventType::NodeChildrenChanged => &[WatchKind::Child],
        };
        for kind in used {
            self.remove(*kind, path);
        }
    }

    /// What removeWatches of this type took away on the server (CW174).
    pub fn on_removed(&mut self, watcher_type: i32, path: &str) {
        let gone: &[WatchKind] = match watcher_type {
            1 => &[WatchKind::Child],
            2 => &[WatchKind::Data, WatchKind::Exist],
            3 => &WatchKind::ALL,
            4 => &[WatchKind::Persistent],
            5 => &[WatchKind::Recursive],
            _ => &[],
        };
        for kind in gone {
            self.remove(*kind, path);
        }
    }

    /// The requests that register everything again, each at most about 128 KiB. Where nothing in them asks for more, they are of
    /// the kind that servers before 3.6 know.
    pub fn packets(&self, relative_zxid: Zxid) -> Vec<(OpCode, Vec<u8>)> {
        let mut packets = Vec::new();
        let mut lists: [Vec<&str>; 5] = Default::default();
        let mut bytes = 0;
        for kind in WatchKind::ALL {
            for path in &self.sets[kind as usize] {
                if bytes > 0 && bytes + path.len() + 4 > SET_WATCHES_BYTES_MAX {
                    packets.push(packet(relative_zxid, &lists));
                    lists = Default::default();
                    bytes = 0;
                }
                bytes += path.len() + 4;
                lists[kind as usize].push(path);
            }
        }
        if bytes > 0 {
            packets.push(packet(relative_zxid, &lists));
        }
        packets
    }
}

fn packet(relative_zxid: Zxid, lists: &[Vec<&str>; 5]) -> (OpCode, Vec<u8>) {
    let list = |kind: WatchKind| lists[kind as usize].iter().map(|p| (*p).into()).collect::<Vec<Cow<str>>>();
    let (data, exist, child) = (list(WatchKind::Data), list(WatchKind::Exist), list(WatchKind::Child));
    let (persistent, recursive) = (list(WatchKind::Persistent), list(WatchKind::Recursive));
    let mut out = Vec::new();
    if persistent.is_empty() && recursive.is_empty() {
        SetWatchesRequest { relative_zxid, data, exist, child }.write(&mut Writer::new(&mut out));
        return (OpCode::SetWatches, out);
    }
    SetWatches2Request { relative_zxid, data, exist, child, persistent, recursive }.write(&mut Writer::new(&mut out));
    (OpCode::SetWatches2, out)
}
