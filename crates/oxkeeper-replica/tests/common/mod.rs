//! A standalone server in one thread: replica, state, watches, and a disk that syncs when it is told to.

#![allow(dead_code)]

use bytes::Bytes;
use oxkeeper_proto::client::{ConnectRequest, ConnectResponse, EventType, ReplyHeader, WatcherEvent};
use oxkeeper_proto::frame::{self, Frame};
use oxkeeper_proto::jute::{Reader, Writer};
use oxkeeper_replica::namespaces::Namespaces;
use oxkeeper_replica::pipeline::route::{Route, route};
use oxkeeper_replica::state::Caller;
use oxkeeper_replica::{Control, Input, Now, Options, Outputs, Replica, State, Submitted, WatchTable};
use oxkeeper_tree::{Tree, TreeOptions};
use oxkeeper_types::persist::{Persist, Persisted};
use oxkeeper_types::{ConnId, Id, Millis, SessionId, Xid, Zxid};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What a client got, in order.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Got {
    Reply { xid: i32, zxid: i64, error: i32, body: Vec<u8> },
    Event { zxid: i64, kind: EventType, path: String },
    Connected { session: SessionId, timeout_ms: i32, password: [u8; 16] },
    Closed,
}

struct Conn {
    session: SessionId,
    auth: Arc<[Id]>,
    established: bool,
    got: Vec<Got>,
}

pub struct Server {
    pub options: Options,
    pub replica: Replica,
    pub state: State,
    pub watches: RefCell<WatchTable>,
    pub reads: Namespaces,
    pub quotas_exceeded: Vec<String>,
    pub now: Now,
    conns: BTreeMap<ConnId, Conn>,
    next_conn: u64,
    /// Appended and not synced.
    unsynced: Option<Zxid>,
    /// When false, writes stay unanswered until [`Server::sync_disk`].
    pub auto_sync: bool,
}

impl Server {
    pub fn new(options: Options) -> Server {
        let tree = Tree::new(TreeOptions {
            digest_enabled: options.digest_enabled,
            owner_rules: options.owner_rules,
            hash_seed: 0,
        });
        let state = State { tree };
        let now = Now { monotonic: Millis(1_000_000), wall: Millis(1_700_000_000_000) };
        Server {
            replica: Replica::new(options.clone(), &state, 0, false, now),
            options,
            state,
            watches: RefCell::new(WatchTable::new()),
            reads: Namespaces::default(),
            quotas_exceeded: Vec::new(),
            now,
            conns: BTreeMap::new(),
            next_conn: 1,
            unsynced: None,
            auto_sync: true,
        }
    }

    pub fn input(&mut self, input: Input) {
        let mut out = Outputs::default();
        self.replica.step(&self.state, self.now, input, &mut out);
        self.carry_out(out);
        if self.auto_sync {
            self.sync_disk();
        }
        self.apply();
    }

    fn apply(&mut self) {
        while self.replica.has_committed() {
            let mut out = Outputs::default();
            self.replica.apply_committed(&mut self.state, &mut self.watches.borrow_mut(), self.now, &mut out);
            self.carry_out(out);
        }
    }

    pub fn sync_disk(&mut self) {
        if let Some(through) = self.unsynced.take() {
            let mut out = Outputs::default();
            self.replica.step(&self.state, self.now, Input::Persisted(Persisted::Log { through }), &mut out);
            assert!(out.is_empty());
            self.apply();
        }
    }

    fn carry_out(&mut self, out: Outputs) {
        self.quotas_exceeded.extend(out.quotas_exceeded.iter().map(ToString::to_string));
        for persist in out.persist {
            if let Persist::Append { zxid, .. } = persist {
                self.unsynced = Some(zxid);
            }
        }
        for delivery in &out.deliveries {
            if let Some(conn) = self.conns.get_mut(&delivery.conn) {
                conn.receive(&out.frames[delivery.range.clone()]);
            }
        }
        for control in out.controls {
            match control {
                Control::Established { conn, session, .. } => {
                    let c = self.conns.get_mut(&conn).expect("an established connection is known");
                    (c.session, c.established) = (session, true);
                    self.watches.borrow_mut().open(conn, session, c.auth.clone());
                }
                Control::Close { conn, .. } => self.close(conn),
                Control::Serve { .. } => unreachable!("a standalone server always serves"),
                Control::Snapshot { zxid, .. } => self.input(Input::SnapshotDone { zxid: Some(zxid) }),
            }
        }
    }

    /// The connection ends, from either side.
    pub fn close(&mut self, conn: ConnId) {
        if let Some(c) = self.conns.get_mut(&conn)
            && c.got.last() != Some(&Got::Closed)
        {
            c.got.push(Got::Closed);
            self.watches.borrow_mut().close(conn);
            let mut out = Outputs::default();
            self.replica.step(&self.state, self.now, Input::Disconnected { conn }, &mut out);
            assert!(out.is_empty());
        }
    }

    pub fn open(&mut self, session: SessionId, password: [u8; 16], timeout_ms: i32) -> ConnId {
        let conn = ConnId(self.next_conn);
        self.next_conn += 1;
        let auth: Arc<[Id]> = Arc::new([Id::new("ip", "127.0.0.1")]);
        self.conns.insert(conn, Conn { session: SessionId::NONE, auth, established: false, got: Vec::new() });
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: Zxid::ZERO,
            timeout_ms,
            session,
            password: password.to_vec(),
            read_only: Some(false),
        };
        self.input(Input::Connect { conn, request });
        conn
    }

    /// A connection with a session of its own.
    pub fn client(&mut self) -> ConnId {
        let conn = self.open(SessionId::NONE, [0; 16], 10_000);
        if self.auto_sync {
            assert!(matches!(self.got(conn)[..], [Got::Connected { .. }]));
        }
        conn
    }

    /// A new server on the same state; the session of its first client.
    pub fn restart(&mut self) -> SessionId {
        self.conns.clear();
        self.replica = Replica::new(self.options.clone(), &self.state, 0, false, self.now);
        let conn = self.client();
        self.session(conn)
    }

    pub fn session(&self, conn: ConnId) -> SessionId {
        self.conns[&conn].session
    }
    pub fn set_auth(&mut self, conn: ConnId, ids: Vec<Id>) {
        let auth: Arc<[Id]> = ids.into();
        self.conns.get_mut(&conn).unwrap().auth = auth.clone();
        self.watches.borrow_mut().set_auth(conn, auth);
    }

    /// Sends one request. Reads are answered at once, as if no write of the connection were under way.
    pub fn send(&mut self, conn: ConnId, xid: i32, op: i32, body: impl FnOnce(&mut Writer)) {
        let mut bytes = Vec::new();
        body(&mut Writer::new(&mut bytes));
        let c = &self.conns[&conn];
        match route(op) {
            Route::Submit(op) => {
                let (session, auth) = (c.session, c.auth.clone());
                let body = Bytes::from(bytes);
                self.input(Input::Submit(Submitted { conn, session, xid: Xid(xid), op, body, auth }));
            }
            Route::Read(op) => {
                let caller = Caller { conn, session: c.session, auth: &c.auth };
                let mut out = Vec::new();
                self.state.read(&self.options, &caller, &self.watches, &mut self.reads, Xid(xid), op, &bytes, &mut out);
                self.conns.get_mut(&conn).unwrap().receive(&out);
            }
            other => panic!("{other:?} is the edge's"),
        }
    }

    /// Sends one request and takes its reply, which must be the last thing that came.
    pub fn call(&mut self, conn: ConnId, op: i32, body: impl FnOnce(&mut Writer)) -> (i32, i64, Vec<u8>) {
        self.got(conn);
        self.send(conn, 77, op, body);
        match self.got(conn).pop() {
            Some(Got::Reply { xid: 77, zxid, error, body }) => (error, zxid, body),
            other => panic!("no reply but {other:?}"),
        }
    }

    /// What came since the last call.
    pub fn got(&mut self, conn: ConnId) -> Vec<Got> {
        std::mem::take(&mut self.conns.get_mut(&conn).unwrap().got)
    }

    pub fn advance(&mut self, ms: i64) {
        self.now.monotonic = self.now.monotonic + Millis(ms);
        self.now.wall = self.now.wall + Millis(ms);
        self.input(Input::Tick);
    }
}

impl Conn {
    fn receive(&mut self, mut frames: &[u8]) {
        while let Frame::Whole { body, consumed } = frame::next(frames, usize::MAX) {
            frames = &frames[consumed..];
            let mut r = Reader::unbounded(body);
            if !self.established && self.got.is_empty() {
                let response = ConnectResponse::read(&mut r).unwrap();
                self.got.push(Got::Connected {
                    session: response.session,
                    timeout_ms: response.timeout_ms,
                    password: response.password,
                });
                continue;
            }
            let header = ReplyHeader::read(&mut r).unwrap();
            self.got.push(if header.xid == Xid(-1) {
                let event = WatcherEvent::read(&mut r).unwrap();
                Got::Event { zxid: header.zxid.0, kind: event.kind, path: event.path }
            } else {
                let body = r.remaining().to_vec();
                Got::Reply { xid: header.xid.0, zxid: header.zxid.0, error: header.error, body }
            });
        }
        assert!(frames.is_empty(), "half a frame was delivered");
    }
}
