//! The core of a server: hands each input to the part that owns it, keeps requests in order, applies what is committed.
//!
//! Standalone, what the disk has synced is committed. In an ensemble, consensus says what is ([`crate::ensemble`]); then this
//! server prepares transactions as the leader, or forwards requests to it as a learner ([`crate::forward`]).

use crate::auth::password::SessionIds;
use crate::ensemble::Ensemble;
use crate::input::{Input, Now, Submitted};
use crate::namespaces::Namespaces;
use crate::options::Options;
use crate::output::{CloseReason, Control, Mode, Outputs};
use crate::pipeline::flight::{Due, Flight, Origin, Proposed};
use crate::pipeline::prep::{Prep, PrepRequest, Prepared};
use crate::pipeline::reply::write_reply;
use crate::pipeline::snapshot_policy::SnapshotPolicy;
use crate::reaper::Reaper;
use crate::report::{Counters, DigestMismatch, Report};
use crate::session::{Speaker, Tracker, connect};
use crate::state::State;
use crate::watch::WatchTable;
use bytes::Bytes;
use hashbrown::HashMap;
use oxkeeper_proto::client::{ConnectResponse, ReplyHeader, SyncRequest};
use oxkeeper_proto::jute::{Reader, Writer};
use oxkeeper_proto::txn::{Txn, TxnHeader};
use oxkeeper_tree::{Applied, Change, DigestCheck, ImageId};
use oxkeeper_types::persist::{Persist, Persisted, TxnBytes};
use oxkeeper_types::{ConnId, ErrorCode, Millis, OpCode, SessionId, Xid, Zxid};

/// Transactions applied under one exclusive hold. Readers wait for so many at most.
const APPLY_BATCH_MAX: usize = 512;

/// What only the core touches. See the crate's documentation for how it is driven.
#[derive(Debug)]
pub struct Replica {
    pub(crate) options: Options,
    pub(crate) mode: Mode,
    pub(crate) prep: Prep,
    pub(crate) flight: Flight,
    /// Standalone and leading: every session there is. On a learner: those that its own connections speak for; they do not
    /// expire here.
    pub(crate) tracker: Tracker,
    /// The session that each connection speaks for, from its handshake to its end.
    pub(crate) sessions: HashMap<ConnId, SessionId, foldhash::fast::FixedState>,
    pub(crate) next_session: SessionIds,
    pub(crate) reaper: Reaper,
    pub(crate) snapshots: Snapshots,
    pub(crate) counters: Counters,
    /// Bytes written by first-level node.
    writes: Namespaces,
    /// `None` on a standalone server.
    pub(crate) ensemble: Option<Ensemble>,
    /// Reused by every apply.
    changes: Vec<Change>,
    /// Reused by every proposal: a transaction's length is known when it is encoded, and then it is copied once.
    encoded: Vec<u8>,
}

/// Snapshots of this server: when the next one is due, and the one under way.
#[derive(Debug)]
pub(crate) struct Snapshots {
    pub(crate) policy: SnapshotPolicy,
    /// The log was rolled for a snapshot that is not begun yet.
    due: bool,
    writing: Option<ImageId>,
    /// Images that are done with, for disk or learner; to be dropped with the next exclusive hold.
    pub(crate) finished: Vec<ImageId>,
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
            mode: Mode::Standalone,
            ensemble: None,
            prep: Prep::new(options.seed),
            flight: Flight::new(state.tree.last_processed()),
            tracker: Tracker::new(options.tick, known, now.monotonic),
            sessions: HashMap::default(),
            next_session: SessionIds::new(
                now.wall,
                options.seed,
                options.server,
                options.owner_rules,
                state.tree.sessions().iter(),
            ),
            reaper: Reaper::new(&options, now.monotonic),
            snapshots: Snapshots { policy, due, writing: None, finished: Vec::new(), last: None },
            counters: Counters::default(),
            writes: Namespaces::default(),
            changes: Vec::new(),
            encoded: Vec::new(),
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
            Input::Touched(sessions) => sessions.into_iter().for_each(|s| self.touch(s, now)),
            Input::Disconnected { conn } => self.on_disconnected(conn),
            Input::Persisted(Persisted::Log { through }) if self.ensemble.is_none() => self.flight.release(through),
            Input::Persisted(done) => self.on_zab(state, now, oxkeeper_zab::Input::Persisted(done), out),
            Input::Peer(input) => self.on_peer(state, now, input, out),
            Input::StateReplaced { tree } => self.on_state_replaced(tree),
            Input::ImageSent { image } => {
                self.snapshots.finished.push(image);
                self.on_image_sent(state, now, image, out);
            }
            Input::SnapshotDone { zxid } => {
                self.snapshots.finished.extend(self.snapshots.writing.take());
                self.snapshots.last = zxid.or(self.snapshots.last);
            }
        }
    }

    /// Whether [`Replica::apply_committed`] has something to do.
    pub fn has_committed(&self) -> bool {
        self.flight.has_due()
            || !self.snapshots.finished.is_empty()
            || self.snapshot_can_begin()
            || self.ensemble.as_ref().is_some_and(Ensemble::needs_state)
    }

    /// Applies what is committed, at most [`APPLY_BATCH_MAX`] transactions. The edge puts `out` into the outboxes before
    /// it gives the exclusive side back. In an ensemble, requests to the disk and to peers may come out as well.
    pub fn apply_committed(&mut self, state: &mut State, watches: &mut WatchTable, now: Now, out: &mut Outputs) {
        self.replace_state(state, now, out);
        for _ in 0..APPLY_BATCH_MAX {
            match self.flight.pop_due() {
                None => break,
                Some(Due::Txn(proposed)) => self.apply(state, watches, now, proposed, out),
                Some(Due::Sync(request)) => answer_sync(state.tree.last_processed(), &request, out),
            }
        }
        for image in self.snapshots.finished.drain(..) {
            // With a tree that was replaced its images went too.
            if state.tree.has_image(image) {
                state.tree.thaw(image);
            }
        }
        self.freeze_for_learners(state, now, out);
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
        let own = self.keeps_sessions().then(|| {
            let reaper = self.reaper.next_deadline();
            self.tracker.next_deadline().map_or(reaper, |expiry| expiry.min(reaper))
        });
        let peers = self.ensemble.as_ref().map(|ensemble| ensemble.next_deadline(&self.options, self.mode));
        own.into_iter().chain(peers).min().expect("a server keeps sessions or has peers")
    }

    pub fn report(&self) -> Report {
        Report {
            counters: self.counters,
            in_flight: self.flight.len(),
            last_prepared: self.flight.last_prepared(),
            expiry: self.tracker.buckets().collect(),
            sessions: self.tracker.len(),
            last_snapshot: self.snapshots.last,
            mode: self.mode,
            zab: self.ensemble.as_ref().map(|ensemble| ensemble.zab.report()),
            writes: Report::sorted(&self.writes),
        }
    }
    /// Whether sessions expire here and containers are reaped: on the one server that prepares transactions.
    pub(crate) fn keeps_sessions(&self) -> bool {
        match &self.ensemble {
            None => true,
            Some(ensemble) => ensemble.is_leading(),
        }
    }

    fn snapshot_can_begin(&self) -> bool {
        // What was proposed and not committed is in the tree of a server that looks for a leader; no snapshot may hold it.
        let settled = self.ensemble.as_ref().is_none_or(Ensemble::is_settled);
        settled && self.snapshots.due && self.snapshots.writing.is_none()
    }

    fn on_tick(&mut self, state: &State, now: Now, out: &mut Outputs) {
        self.tick_peers(state, now, out);
        if !self.keeps_sessions() {
            return;
        }
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

    pub(crate) fn touch(&mut self, session: SessionId, now: Now) {
        self.tracker.touch(session, now.monotonic);
        if let Some(ensemble) = &mut self.ensemble
            && let Some(live) = self.tracker.get(session)
        {
            ensemble.touched(session, live.timeout);
        }
    }

    fn on_disconnected(&mut self, conn: ConnId) {
        if let Some(session) = self.sessions.remove(&conn) {
            self.tracker.disconnected(session, conn);
        }
        if let Some(ensemble) = &mut self.ensemble {
            ensemble.forwarded.forget(conn);
        }
    }

    fn on_submit(&mut self, state: &State, now: Now, request: Submitted, out: &mut Outputs) {
        let Submitted { conn, session, xid, op, ref body, ref auth } = request;
        match self.mode {
            Mode::Standalone | Mode::Leader => {}
            Mode::Follower | Mode::Observer => return self.forward(now, request, out),
            Mode::ReadOnly => return self.refuse_write(state, &request, out),
            // Its connection is being closed.
            Mode::Looking => return,
        }
        self.tracker.touch(session, now.monotonic);
        let check = self.tracker.check(session, Speaker::Conn(conn));
        if op == OpCode::Sync {
            match check {
                Err(ErrorCode::SessionMoved) => {
                    out.controls.push(Control::Close { conn, reason: CloseReason::SessionMoved });
                }
                Err(code) => reply_with_error(conn, xid, state.tree.last_processed(), code, out),
                Ok(()) => self.on_sync(state, now, request, out),
            }
            return;
        }
        let request = PrepRequest { session, xid, op, body, auth, session_check: check };
        self.propose(state, now, Origin::Client { conn, xid }, &request, out);
    }

    /// A server without a leader changes nothing. A session of its own may end.
    fn refuse_write(&mut self, state: &State, request: &Submitted, out: &mut Outputs) {
        let (conn, last_processed) = (request.conn, state.tree.last_processed());
        let own = !state.tree.sessions().iter().any(|(known, _)| known == request.session);
        if request.op == OpCode::CloseSession && own {
            reply_with_error(conn, request.xid, last_processed, ErrorCode::Ok, out);
            self.tracker.remove(request.session);
            self.sessions.remove(&conn);
            out.controls.push(Control::Close { conn, reason: CloseReason::SessionClosed });
        } else {
            reply_with_error(conn, request.xid, last_processed, ErrorCode::NotReadOnly, out);
        }
    }

    /// A client's sync, on the server that prepares transactions.
    fn on_sync(&mut self, state: &State, now: Now, request: Submitted, out: &mut Outputs) {
        if self.next_zxid().is_none() {
            // A write before it may have got no transaction, and no answer may overtake its own.
            return self.step_down(state, now, out);
        }
        let confirm = self.confirm_leadership(state, now, out);
        if self.ensemble.is_none() && self.flight.is_empty() {
            // Nothing is under way: what is applied is all there is.
            answer_sync(state.tree.last_processed(), &request, out);
        } else {
            self.flight.push_sync(request, confirm);
        }
    }

    fn propose_own(&mut self, state: &State, now: Now, session: SessionId, op: OpCode, body: Bytes, out: &mut Outputs) {
        self.propose(state, now, Origin::Elsewhere, &PrepRequest::own(session, op, &body), out);
    }

    /// Prepares a transaction, puts it in line, and sends it to the log and to the followers.
    pub(crate) fn propose(
        &mut self,
        state: &State,
        now: Now,
        origin: Origin,
        request: &PrepRequest<'_>,
        out: &mut Outputs,
    ) {
        let Some(zxid) = self.next_zxid() else {
            // The counter is used up: the leader is about to step down, and whoever waits asks the next one.
            return self.step_down(state, now, out);
        };
        let mut prepared = self.prep.prepare(&state.tree, &self.options, request, zxid, now.wall);
        self.counters.prepared += 1;
        self.counters.refused += u64::from(prepared.refused.is_some());
        out.quotas_exceeded.append(&mut prepared.quotas_exceeded);
        if request.op == OpCode::CloseSession {
            self.tracker.set_closing(request.session);
        }
        self.enqueue(state, now, Proposed { prepared, origin }, out);
    }

    /// Puts a prepared transaction in line, and sends it to the log and to the followers.
    fn enqueue(&mut self, state: &State, now: Now, proposed: Proposed, out: &mut Outputs) {
        let zxid = proposed.prepared.entry.header.zxid;
        self.encoded.clear();
        proposed.prepared.entry.write(&mut self.encoded);
        let txn = TxnBytes::copy_from_slice(&self.encoded);
        let bytes = txn.len();
        self.flight.push(proposed);
        if self.ensemble.is_some() {
            self.on_zab(state, now, oxkeeper_zab::Input::Propose { zxid, txn }, out);
        } else {
            out.persist.push(Persist::Append { zxid, txn });
        }
        self.logged(bytes, out);
    }

    /// A request that no transaction can be made of: an error takes its place.
    pub(crate) fn propose_refusal(
        &mut self,
        state: &State,
        now: Now,
        session: SessionId,
        xid: Xid,
        code: ErrorCode,
        out: &mut Outputs,
    ) {
        let Some(zxid) = self.next_zxid() else { return self.step_down(state, now, out) };
        let header = TxnHeader { session, cxid: xid.0, zxid, time: now.wall.0 };
        let prepared = Prepared::refusal(header, code);
        self.enqueue(state, now, Proposed { prepared, origin: Origin::Elsewhere }, out);
    }

    /// One more transaction went to the log: perhaps a snapshot is due.
    pub(crate) fn logged(&mut self, bytes: usize, out: &mut Outputs) {
        if self.snapshots.policy.logged(bytes) {
            out.persist.push(Persist::RollLog);
            self.counters.snapshots_skipped += u64::from(self.snapshots.due || self.snapshots.writing.is_some());
            self.snapshots.due |= self.snapshots.writing.is_none();
        }
    }

    /// Applies one committed transaction; its events come out before its reply.
    fn apply(&mut self, state: &mut State, watches: &mut WatchTable, now: Now, proposed: Proposed, out: &mut Outputs) {
        let Proposed { prepared, origin } = proposed;
        let header = prepared.entry.header;
        self.changes.clear();
        let applied = state.tree.apply_hinted(&prepared.entry, &prepared.content_crcs, &mut self.changes);
        if let DigestCheck::Mismatch { expected, actual } = applied.digest {
            self.counters.digest_mismatches += 1;
            out.digest_mismatches.push(DigestMismatch { zxid: header.zxid, op: applied.op, expected, actual });
        }
        if self.keeps_sessions() {
            assert!(!applied.is_refused(), "{:?} was prepared and cannot be applied: {applied:?}", prepared.entry);
        }
        self.prep.applied(header.zxid);
        self.counters.applied += 1;
        self.writes.wrote(&prepared.entry.txn, &applied);
        if self.mode == Mode::Looking || self.mode == Mode::ReadOnly {
            // In the log, and perhaps never committed: nobody may hear of it.
            return;
        }
        if !self.changes.is_empty() {
            let fired = watches.trigger(&self.options, &self.changes, out);
            self.counters.watch_events += fired;
        }
        let (origin, refused) = match &mut self.ensemble {
            Some(ensemble) if ensemble.is_learning() => {
                let refused = applied.is_refused() || applied.op == OpCode::Error;
                (ensemble.forwarded.claim(&prepared.entry), refused.then_some(applied.error))
            }
            _ => (origin, prepared.refused),
        };
        match origin {
            Origin::Elsewhere | Origin::Learner(_) => {}
            Origin::Handshake { conn, session, timeout, read_only } => {
                let here = self.sessions.get(&conn) == Some(&session);
                if here || self.keeps_sessions() {
                    self.tracker.track(session, timeout, here.then_some(Speaker::Conn(conn)), now.monotonic);
                }
                if here {
                    self.establish(conn, session, timeout, read_only, out);
                }
            }
            Origin::Client { conn, xid } => {
                reply_to_client(conn, xid, header.zxid, &applied, refused, out);
            }
        }
        if let Txn::CloseSession { .. } = prepared.entry.txn {
            self.end_session(header.session, &origin, out);
        }
    }

    /// The session is gone from the tree: forget it, and close the connection that serves it.
    fn end_session(&mut self, session: SessionId, origin: &Origin, out: &mut Outputs) {
        let Some(conn) = self.tracker.remove(session).and_then(|live| live.conn()) else { return };
        self.sessions.remove(&conn);
        let reason = match origin {
            Origin::Client { .. } => CloseReason::SessionClosed,
            _ => CloseReason::SessionExpired,
        };
        out.controls.push(Control::Close { conn, reason });
    }

    /// A session id that no server has given out before.
    pub(crate) fn new_session(&mut self) -> SessionId {
        self.next_session.take()
    }

    /// Tells the client that its session is there.
    pub(crate) fn establish(
        &self,
        conn: ConnId,
        session: SessionId,
        timeout: Millis,
        read_only: Option<bool>,
        out: &mut Outputs,
    ) {
        let response = connect::accepted(session, timeout, read_only, self.mode == Mode::ReadOnly);
        out.send(conn, true, |b| response.write(&mut Writer::new(b)));
        out.controls.push(Control::Established { conn, session, timeout });
    }
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

/// The answer of a handshake that failed.
pub(crate) fn refuse_handshake(conn: ConnId, read_only: Option<bool>, out: &mut Outputs) {
    let response = ConnectResponse::refused(read_only);
    out.send(conn, true, |b| response.write(&mut Writer::new(b)));
    out.controls.push(Control::Close { conn, reason: CloseReason::ConnectRefused });
}

/// To a client the path of its request comes back, unchecked.
fn answer_sync(last_processed: Zxid, request: &Submitted, out: &mut Outputs) {
    match SyncRequest::read(&mut Reader::unbounded(&request.body)) {
        Err(_) => reply_with_error(request.conn, request.xid, last_processed, ErrorCode::MarshallingError, out),
        Ok(sync) => out.send(request.conn, true, |b| {
            let mut w = Writer::new(b);
            ReplyHeader { xid: request.xid, zxid: last_processed, error: 0 }.write(&mut w);
            w.optional_string(sync.path.as_deref());
        }),
    }
}

pub(crate) fn reply_with_error(conn: ConnId, xid: Xid, zxid: Zxid, code: ErrorCode, out: &mut Outputs) {
    out.send(conn, true, |b| ReplyHeader { xid, zxid, error: code.number() }.write(&mut Writer::new(b)));
}
