//! A table of watches beside a real tree, and what its connections hear.

mod behaviour;
mod operator;
mod replay;
mod twin;

use super::*;
use crate::auth;
use crate::options::Options;
use crate::output::Outputs;
use crate::state::Caller;
use oxkeeper_proto::client::{EventType, ReplyHeader, SetWatches2Request, WatcherEvent, XID_EVENT};
use oxkeeper_proto::frame::{self, Frame};
use oxkeeper_proto::jute::Reader;
use oxkeeper_proto::txn::{Txn, TxnEntry, TxnHeader};
use oxkeeper_tree::{Change, Tree, TreeOptions};
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::{AclList, ConnId, OpCode, Perms, SessionId, Zxid};
use std::sync::Arc;

const ANN: ConnId = ConnId(11);
const BOB: ConnId = ConnId(12);
const CYN: ConnId = ConnId(13);

use EventType::{NodeChildrenChanged, NodeCreated, NodeDataChanged, NodeDeleted};
use WatchKind::{Child, Data, Persistent, PersistentRecursive};

/// What one connection hears: kind of event, path, zxid of the header.
type Heard = (ConnId, EventType, String, Zxid);

struct World {
    tree: Tree,
    table: WatchTable,
    options: Options,
    fired: Fired,
}

fn session(conn: ConnId) -> SessionId {
    SessionId(0x100 + conn.0 as i64)
}

fn ids(names: &[&str]) -> Arc<[Id]> {
    names.iter().map(|name| Id::new("ip", *name)).collect()
}

/// Only who comes from this address.
fn only(name: &str) -> Vec<Acl> {
    vec![Acl::new(Perms::ALL, Id::new("ip", name))]
}

/// The one event in a frame.
fn event(body: &[u8]) -> (EventType, String, Zxid) {
    let mut r = Reader::unbounded(body);
    let header = ReplyHeader::read(&mut r).unwrap();
    assert_eq!((header.xid, header.error), (XID_EVENT, 0));
    let event = WatcherEvent::read(&mut r).unwrap();
    assert_eq!(r.remaining().len(), 0);
    (event.kind, event.path, header.zxid)
}

fn events(mut frames: &[u8]) -> Vec<(EventType, String, Zxid)> {
    let mut all = Vec::new();
    while let Frame::Whole { body, consumed } = frame::next(frames, usize::MAX) {
        all.push(event(body));
        frames = &frames[consumed..];
    }
    assert!(frames.is_empty());
    all
}

fn heard(out: &Outputs) -> Vec<Heard> {
    let mut all = Vec::new();
    for delivery in &out.deliveries {
        assert!(!delivery.is_reply);
        for (kind, path, zxid) in events(&out.frames[delivery.range.clone()]) {
            all.push((delivery.conn, kind, path, zxid));
        }
    }
    all
}

impl World {
    /// A fresh tree, and three connections from addresses 10.0.0.1 to 10.0.0.3.
    fn new() -> World {
        let mut table = WatchTable::new();
        for (conn, name) in [(ANN, "10.0.0.1"), (BOB, "10.0.0.2"), (CYN, "10.0.0.3")] {
            table.open(conn, session(conn), ids(&[name]));
        }
        World { tree: Tree::new(TreeOptions::default()), table, options: Options::default(), fired: Fired::default() }
    }

    /// The same with these nodes.
    fn with(paths: &[&str]) -> World {
        let mut world = World::new();
        for path in paths {
            world.create(path);
        }
        world
    }

    fn apply(&mut self, session: SessionId, txn: Txn) -> Vec<Heard> {
        let zxid = Zxid(self.tree.last_processed().0 + 1);
        let header = TxnHeader { session, cxid: 0, zxid, time: 0 };
        let mut changes: Vec<Change> = Vec::new();
        let applied = self.tree.apply(&TxnEntry { header, txn, digest: None }, &mut changes);
        assert!(!applied.is_refused(), "{applied:?}");
        let mut out = Outputs::default();
        self.fired = self.table.trigger(&self.options, &changes, &mut out);
        assert_eq!(self.fired.events as usize, out.deliveries.len());
        heard(&out)
    }
    fn txn(&mut self, txn: Txn) -> Vec<Heard> {
        self.apply(SessionId(1), txn)
    }
    fn create(&mut self, path: &str) -> Vec<Heard> {
        self.txn(create(path, open_acl(), false))
    }
    fn set(&mut self, path: &str) -> Vec<Heard> {
        self.txn(set(path))
    }
    fn delete(&mut self, path: &str) -> Vec<Heard> {
        self.txn(delete(path))
    }
    fn zxid(&self) -> Zxid {
        self.tree.last_processed()
    }
    /// An event as the last transaction causes it.
    fn e(&self, conn: ConnId, kind: EventType, path: &str) -> Heard {
        (conn, kind, path.into(), self.zxid())
    }
    fn add(&mut self, conn: ConnId, path: &str, kind: WatchKind) {
        assert!(self.table.add(conn, path, kind));
    }
    /// setWatches2 of ANN: the events in front of the reply.
    fn restore(&mut self, request: SetWatches2Request) -> Vec<(EventType, String, Zxid)> {
        let auth = ids(&["10.0.0.1"]);
        let caller = Caller { conn: ANN, session: session(ANN), auth: &auth };
        let options = &self.options;
        let may_read = |acl: Option<&[Acl]>, ids: &[Id]| auth::allowed(options, acl, Perms::READ, ids);
        let mut out = Vec::new();
        let fired = restore(&self.tree, &mut self.table, &caller, &request, &may_read, &mut out);
        let events = events(&out);
        assert_eq!((fired.events, fired.bytes), (events.len() as u64, (out.len() - 4 * events.len()) as u64));
        events
    }
}

fn create(path: &str, acl: Vec<Acl>, ephemeral: bool) -> Txn {
    Txn::Create { op: OpCode::Create, path: path.into(), data: None, acl, ephemeral, parent_cversion: -1 }
}
fn set(path: &str) -> Txn {
    Txn::SetData { op: OpCode::SetData, path: path.into(), data: None, version: 1 }
}
fn delete(path: &str) -> Txn {
    Txn::Delete { op: OpCode::Delete, path: path.into() }
}
fn set_acl(path: &str, acl: Vec<Acl>) -> Txn {
    Txn::SetAcl { path: path.into(), acl, version: 1 }
}
