//! The core of a server: hands each input to the part that owns it, keeps requests in order, applies what is committed.
//!
//! Runs standalone: what the disk has synced is committed.

use crate::auth::password;
use crate::input::{Input, Now, Submitted};
use crate::namespaces::Namespaces;
use crate::options::Options;
use crate::output::{CloseReason, Control, Outputs};
use crate::pipeline::flight::{Flight, InFlight, Origin, Proposed};
use crate::pipeline::prep::{Prep, PrepRequest};
use crate::pipeline::reply::write_reply;
use crate::pipeline::snapshot_policy::SnapshotPolicy;
use crate::reaper::Reaper;
use crate::report::{Counters, Report};
use crate::session::{Tracker, connect};
use crate::state::State;
use crate::watch::WatchTable;
use bytes::Bytes;
use hashbrown::HashMap;
use oxkeeper_proto::client::{ConnectRequest, ConnectResponse, ReplyHeader, SyncRequest};
use oxkeeper_proto::jute::{Reader, Writer};
use oxkeeper_proto::txn::Txn;
use oxkeeper_tree::{Applied, Change, ImageId};
use oxkeeper_types::persist::{Persist, Persisted};
use oxkeeper_types::{ConnId, ErrorCode, Id, Millis, OpCode, SessionId, Xid, Zxid};
use std::sync::Arc;

/// Transactions applied under one exclusive hold. Readers wait for so many at most.
const APPLY_BATCH_MAX: usize = 512;

/// What only the core touches. See the crate's documentation for how it is driven.
#[derive(Debug)]
pub struct Replica {
    options: Options,
    prep: Prep,
    flight: Flight,
    tracker: Tracker,
    /// The session that each connection speaks for, from its handshake to its end.
    sessions: HashMap<ConnId, SessionId, foldhash::fast::FixedState>,
    next_session: SessionId,
    reaper: Reaper,
    snapshots: Snapshots,
    counters: Counters,
    /// Bytes written by first-level node.
    writes: Namespaces,
    /// Reused by every apply.
    changes: Vec<Change>,
}

/// Snapshots of this server: when the next one is due, and the one under way.
#[derive(Debug)]
struct Snapshots {
    policy: SnapshotPolicy,
    /// The log was rolled for a snapshot that is not begun yet.
    due: bool,
    writing: Option<ImageId>,
    /// Written (or failed); its image is to be dropped with the next exclusive hold.
    finished: Option<ImageId>,
    last: Option<Zxid>,
}

impl Replica {
    /// A standalone server on a recovered state. `replayed` transactions came from the log: they count towards the next
    /// snapshot; `snapshot_wanted` asks for one at once.
    pub fn new(options: Options, state: &State, replayed: u64, snapshot_wanted: bool, now: Now) -> Replica {
        let mut policy = SnapshotPolicy::new(options.snap_count, options.snap_size_limit_bytes, options.seed);
        let mut due = snapshot_wanted;
        for _ in 0..replayed {
            due |= policy.logged(0);
        }
        let known = state.tree.sessions().iter();
        Replica {
            prep: Prep::new(options.seed),
            flight: Flight::new(state.tree.last_processed()),
            tracker: Tracker::new(options.tick, known, now.monotonic),
            sessions: HashMap::default(),
            next_session: password::first_session_id(now.wall, options.server, options.owner_rules),
            reaper: Reaper::new(&options, now.monotonic),
            snapshots: Snapshots { policy, due, writing: None, finished: None, last: None },
            counters: Counters::default(),
            writes: Namespaces::default(),
            changes: Vec::new(),
            options,
        }
    }

    pub fn options(&self) -> &Options {
        &self.options
    }

    /// Takes one input. Needs only a shared view: nothing that readers see changes here.
    pub fn step(&mut self, state: &State, now: Now, input: Input, out: &mut Outputs) {
        match input {
            Input::Tick => self.on_tick(state, now, out),
            Input::Connect { conn, request } => self.on_connect(state, now, conn, &request, out),
            Input::Submit(request) => self.on_submit(state, now, request, out),
            Input::Touched(sessions) => sessions.into_iter().for_each(|s| self.tracker.touch(s, now.monotonic)),
            Input::Disconnected { conn } => {
                if let Some(session) = self.sessions.remove(&conn) {
                    self.tracker.disconnected(session, conn);
                }
            }
            Input::Persisted(Persisted::Log { through }) => self.flight.commit_through(through),
            Input::Persisted(other) => unreachable!("a standalone server asked for no {other:?}"),
            Input::SnapshotDone { zxid } => {
                self.snapshots.finished = self.snapshots.writing.take();
                self.snapshots.last = zxid.or(self.snapshots.last);
            }
        }
    }

    /// Whether [`Replica::apply_committed`] has something to do.
    pub fn has_committed(&self) -> bool {
        self.flight.has_committed() || self.snapshots.finished.is_some() || self.snapshot_can_begin()
    }

    /// Applies what is committed, at most [`APPLY_BATCH_MAX`] transactions. The edge puts `out` into the outboxes before
    /// it gives the exclusive side back.
    pub fn apply_committed(&mut self, state: &mut State, watches: &mut WatchTable, now: Now, out: &mut Outputs) {
        for _ in 0..APPLY_BATCH_MAX {
            match self.flight.pop_committed() {
                None => break,
                Some(InFlight::Txn(proposed)) => self.apply(state, watches, now, proposed, out),
                Some(InFlight::Sync(request)) => reply_to_sync(state.tree.last_processed(), &request, out),
            }
        }
        if let Some(image) = self.snapshots.finished.take() {
            state.tree.thaw(image);
        }
        if self.snapshot_can_begin() {
            self.snapshots.due = false;
            let (image, zxid) = (state.tree.freeze(), state.tree.last_processed());
            self.snapshots.writing = Some(image);
            self.counters.snapshots_started += 1;
            out.controls.push(Control::Snapshot { image, zxid });
        }
    }

    /// On the monotonic clock: when a [`Input::Tick`] has something to do.
    pub fn next_deadline(&self) -> Millis {
        let reaper = self.reaper.next_deadline();
        self.tracker.next_deadline().map_or(reaper, |expiry| expiry.min(reaper))
    }

    pub fn report(&self) -> Report {
        Report {
            counters: self.counters,
            in_flight: self.flight.len(),
            last_prepared: self.flight.last_prepared(),
            expiry: self.tracker.buckets().collect(),
            sessions: self.tracker.len(),
            last_snapshot: self.snapshots.last,
            writes: Report::sorted(&self.writes),
        }
    }

    fn snapshot_can_begin(&self) -> bool {
        self.snapshots.due && self.snapshots.writing.is_none() && self.snapshots.finished.is_none()
    }

    fn on_tick(&mut self, state: &State, now: Now, out: &mut Outputs) {
        for session in self.tracker.expire(now.monotonic) {
            self.counters.sessions_expired += 1;
            self.propose_own(state, now, session, OpCode::CloseSession, Bytes::new(), out);
        }
        for path in self.reaper.due(&state.tree, &self.options, now.monotonic, now.wall) {
            self.counters.containers_reaped += 1;
            let mut body = Vec::new();
            Writer::new(&mut body).string(&path);
            self.propose_own(state, now, SessionId::NONE, OpCode::DeleteContainer, body.into(), out);
        }
    }

    fn on_connect(&mut self, state: &State, now: Now, conn: ConnId, request: &ConnectRequest, out: &mut Outputs) {
        match connect::judge(&self.options, &self.tracker, request, state.tree.last_processed()) {
            connect::Verdict::New { timeout } => {
                let session = self.next_session;
                self.next_session = password::next_session_id(session);
                self.sessions.insert(conn, session);
                self.counters.sessions_created += 1;
                let timeout_ms = i32::try_from(timeout.0).expect("timeouts come from 32-bit numbers");
                let body = Bytes::copy_from_slice(&timeout_ms.to_be_bytes());
                let origin = Origin::Handshake { conn, session, timeout, read_only: request.read_only };
                self.propose(state, now, origin, session, Xid(0), OpCode::CreateSession, &body, &[], Ok(()), out);
            }
            connect::Verdict::Resume { session, timeout, displaced } => {
                if let Some(old) = displaced.filter(|old| *old != conn) {
                    self.sessions.remove(&old);
                    out.controls.push(Control::Close { conn: old, reason: CloseReason::SessionMoved });
                }
                self.counters.sessions_resumed += 1;
                self.sessions.insert(conn, session);
                self.tracker.track(session, timeout, Some(conn), now.monotonic);
                establish(conn, session, timeout, request.read_only, out);
            }
            connect::Verdict::Refuse => {
                self.counters.handshakes_refused += 1;
                let response = ConnectResponse::refused(request.read_only);
                out.send(conn, true, |b| response.write(&mut Writer::new(b)));
                out.controls.push(Control::Close { conn, reason: CloseReason::ConnectRefused });
            }
            connect::Verdict::ClientAhead { client, server } => {
                out.controls.push(Control::Close { conn, reason: CloseReason::ClientAhead { client, server } });
            }
        }
    }

    fn on_submit(&mut self, state: &State, now: Now, request: Submitted, out: &mut Outputs) {
        let Submitted { conn, session, xid, op, ref body, ref auth } = request;
        self.tracker.touch(session, now.monotonic);
        let check = self.tracker.check(session, conn);
        if op == OpCode::Sync {
            match check {
                Err(ErrorCode::SessionMoved) => {
                    out.controls.push(Control::Close { conn, reason: CloseReason::SessionMoved });
                }
                Err(code) => reply_with_error(conn, xid, state.tree.last_processed(), code, out),
                // Nothing is under way: what is applied is all there is.
                Ok(()) if self.flight.is_empty() => reply_to_sync(state.tree.last_processed(), &request, out),
                Ok(()) => self.flight.push_sync(request),
            }
            return;
        }
        self.propose(state, now, Origin::Client { conn, xid }, session, xid, op, body, auth, check, out);
    }

    fn propose_own(&mut self, state: &State, now: Now, session: SessionId, op: OpCode, body: Bytes, out: &mut Outputs) {
        let nobody: Arc<[Id]> = Arc::new([]);
        self.propose(state, now, Origin::Server, session, Xid(0), op, &body, &nobody, Ok(()), out);
    }

    /// Prepares a transaction, sends it to the log, and puts it in line.
    #[allow(clippy::too_many_arguments)]
    fn propose(
        &mut self,
        state: &State,
        now: Now,
        origin: Origin,
        session: SessionId,
        xid: Xid,
        op: OpCode,
        body: &Bytes,
        auth: &[Id],
        session_check: Result<(), ErrorCode>,
        out: &mut Outputs,
    ) {
        let zxid = self.flight.next_zxid();
        let request = PrepRequest { session, xid, op, body, auth, session_check };
        let mut prepared = self.prep.prepare(&state.tree, &self.options, &request, zxid, now.wall);
        self.counters.prepared += 1;
        self.counters.refused += u64::from(prepared.refused.is_some());
        out.quotas_exceeded.append(&mut prepared.quotas_exceeded);
        if op == OpCode::CloseSession {
            self.tracker.set_closing(session);
        }
        let mut txn = Vec::with_capacity(body.len() + 96);
        prepared.entry.write(&mut txn);
        let due = self.snapshots.policy.logged(txn.len());
        out.persist.push(Persist::Append { zxid, txn: txn.into() });
        if due {
            out.persist.push(Persist::RollLog);
            self.counters.snapshots_skipped += u64::from(self.snapshots.due || self.snapshots.writing.is_some());
            self.snapshots.due |= self.snapshots.writing.is_none();
        }
        self.flight.push(Proposed { prepared, origin });
    }

    /// Applies one committed transaction; its events come out before its reply.
    fn apply(&mut self, state: &mut State, watches: &mut WatchTable, now: Now, proposed: Proposed, out: &mut Outputs) {
        let Proposed { prepared, origin } = proposed;
        let zxid = prepared.entry.header.zxid;
        self.changes.clear();
        let applied = state.tree.apply_hinted(&prepared.entry, &prepared.content_crcs, &mut self.changes);
        assert!(!applied.is_refused(), "{:?} was prepared and cannot be applied: {applied:?}", prepared.entry);
        self.prep.applied(zxid);
        self.counters.applied += 1;
        self.writes.wrote(&prepared.entry.txn, &applied);
        if !self.changes.is_empty() {
            let fired = watches.trigger(&self.options, &self.changes, out);
            self.counters.watch_events += fired;
        }
        match origin {
            Origin::Server => {}
            Origin::Handshake { conn, session, timeout, read_only } => {
                let here = self.sessions.get(&conn) == Some(&session);
                self.tracker.track(session, timeout, here.then_some(conn), now.monotonic);
                if here {
                    establish(conn, session, timeout, read_only, out);
                }
            }
            Origin::Client { conn, xid } => reply_to_client(conn, xid, zxid, &applied, prepared.refused, out),
        }
        if let Txn::CloseSession { .. } = prepared.entry.txn {
            self.end_session(prepared.entry.header.session, &origin, out);
        }
    }

    /// The session is gone from the tree: forget it, and close the connection that serves it.
    fn end_session(&mut self, session: SessionId, origin: &Origin, out: &mut Outputs) {
        let Some(conn) = self.tracker.remove(session).and_then(|live| live.conn) else { return };
        self.sessions.remove(&conn);
        let reason = match origin {
            Origin::Client { .. } => CloseReason::SessionClosed,
            _ => CloseReason::SessionExpired,
        };
        out.controls.push(Control::Close { conn, reason });
    }
}

fn establish(conn: ConnId, session: SessionId, timeout: Millis, read_only: Option<bool>, out: &mut Outputs) {
    let response = connect::accepted(session, timeout, read_only);
    out.send(conn, true, |b| response.write(&mut Writer::new(b)));
    out.controls.push(Control::Established { conn, session, timeout });
}

fn reply_to_client(
    conn: ConnId,
    xid: Xid,
    zxid: Zxid,
    applied: &Applied,
    refused: Option<ErrorCode>,
    out: &mut Outputs,
) {
    let moved = refused == Some(ErrorCode::SessionMoved)
        || applied.multi.iter().any(|part| part.error == ErrorCode::SessionMoved);
    if moved {
        // Answering would let a client believe that its old connection still counts (ZOOKEEPER-710).
        out.controls.push(Control::Close { conn, reason: CloseReason::SessionMoved });
        return;
    }
    out.send(conn, true, |b| write_reply(xid, zxid, applied, refused, b));
}

/// The path of the request comes back, unchecked.
fn reply_to_sync(last_processed: Zxid, request: &Submitted, out: &mut Outputs) {
    match SyncRequest::read(&mut Reader::unbounded(&request.body)) {
        Err(_) => reply_with_error(request.conn, request.xid, last_processed, ErrorCode::MarshallingError, out),
        Ok(sync) => out.send(request.conn, true, |b| {
            let mut w = Writer::new(b);
            ReplyHeader { xid: request.xid, zxid: last_processed, error: 0 }.write(&mut w);
            w.optional_string(sync.path.as_deref());
        }),
    }
}

fn reply_with_error(conn: ConnId, xid: Xid, zxid: Zxid, code: ErrorCode, out: &mut Outputs) {
    out.send(conn, true, |b| ReplyHeader { xid, zxid, error: code.number() }.write(&mut Writer::new(b)));
}
