//! The learner's end: requests of our clients go to the leader, and come back as transactions.
//!
//! The requests of one session go out in order over one link and are proposed in that order, so each transaction that names
//! one of our sessions belongs to the oldest request that the session waits for (reference `CommitProcessor.pendingRequests`).

use crate::input::{Now, Submitted};
use crate::output::{CloseReason, Control, Outputs};
use crate::pipeline::flight::Origin;
use crate::replica::{Replica, refuse_handshake};
use crate::session::Speaker;
use crate::state::State;
use bytes::Bytes;
use hashbrown::HashMap;
use oxkeeper_proto::quorum::{Forwarded, Packet, Revalidate, SessionTouch};
use oxkeeper_proto::txn::{Txn, TxnEntry};
use oxkeeper_types::{ConnId, Millis, OpCode, SessionId, Xid, Zxid};
use oxkeeper_zab::LinkId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

/// What the leader owes to our clients.
#[derive(Debug, Default)]
pub(crate) struct Forwarding {
    /// Requests that come back as transactions, by session, oldest first. Looked up, never walked through.
    requests: HashMap<SessionId, VecDeque<Origin>, foldhash::fast::FixedState>,
    /// Oldest first: SYNC packets have no number.
    syncs: VecDeque<Submitted>,
    /// Handshakes that wait for the leader's word on their session, oldest first.
    revalidations: BTreeMap<SessionId, VecDeque<Resuming>>,
}

/// A client that comes back with its session.
#[derive(Debug)]
struct Resuming {
    /// `None`: gone meanwhile.
    conn: Option<ConnId>,
    timeout: Millis,
    read_only: Option<bool>,
}

impl Forwarding {
    /// Connections whose handshake waits for the leader's word.
    pub(crate) fn handshakes(self) -> impl Iterator<Item = ConnId> {
        self.revalidations.into_values().flatten().filter_map(|resuming| resuming.conn)
    }

    /// The connection is gone.
    pub(crate) fn forget(&mut self, conn: ConnId) {
        let waiting = self.revalidations.values_mut().flatten();
        waiting.filter(|resuming| resuming.conn == Some(conn)).for_each(|resuming| resuming.conn = None);
    }

    fn push(&mut self, session: SessionId, origin: Origin) {
        self.requests.entry(session).or_default().push_back(origin);
    }

    /// Whose request has become this transaction.
    pub(crate) fn claim(&mut self, entry: &TxnEntry) -> Origin {
        let session = entry.header.session;
        let Some(waiting) = self.requests.get_mut(&session) else { return Origin::Elsewhere };
        let is_creation = matches!(entry.txn, Txn::CreateSession { .. });
        let ours = match waiting.front() {
            Some(Origin::Client { xid, .. }) => !is_creation && xid.0 == entry.header.cxid,
            Some(Origin::Handshake { .. }) => is_creation,
            Some(Origin::Elsewhere | Origin::Learner(_)) | None => {
                unreachable!("a session that waits for nothing has no queue")
            }
        };
        if !ours {
            return Origin::Elsewhere;
        }
        let origin = waiting.pop_front().expect("it has a front");
        if waiting.is_empty() {
            self.requests.remove(&session);
        }
        origin
    }
}

impl Replica {
    /// Sends a client's write or sync to the leader.
    pub(crate) fn forward(&mut self, now: Now, request: Submitted, out: &mut Outputs) {
        let (conn, session, xid, op) = (request.conn, request.session, request.xid, request.op);
        self.touch(session, now);
        if self.tracker.check(session, Speaker::Conn(conn)).is_err() {
            out.controls.push(Control::Close { conn, reason: CloseReason::SessionMoved });
            return;
        }
        let (body, auth) = (request.body.clone(), request.auth.clone());
        let ensemble = self.peers();
        if op == OpCode::Sync {
            ensemble.forwarded.syncs.push_back(request);
        } else {
            ensemble.forwarded.push(session, Origin::Client { conn, xid });
        }
        let link = ensemble.zab.leader_link().expect("a learner that serves has a leader");
        let request = Forwarded { session, xid, op: op.number(), body };
        out.send_packet(link, Packet::Request { request, auth });
    }

    /// A client without a session: this server gives out its id, the leader makes it known.
    pub(crate) fn forward_new_session(
        &mut self,
        conn: ConnId,
        timeout: Millis,
        read_only: Option<bool>,
        out: &mut Outputs,
    ) {
        let session = self.new_session();
        self.sessions.insert(conn, session);
        let ensemble = self.peers();
        ensemble.forwarded.push(session, Origin::Handshake { conn, session, timeout, read_only });
        let link = ensemble.zab.leader_link().expect("a learner that serves has a leader");
        let timeout_ms = i32::try_from(timeout.0).expect("timeouts come from 32-bit numbers");
        let body = Bytes::copy_from_slice(&timeout_ms.to_be_bytes());
        let request = Forwarded { session, xid: Xid(0), op: OpCode::CreateSession.number(), body };
        out.send_packet(link, Packet::Request { request, auth: Arc::new([]) });
    }

    /// A client with a session: the leader knows whether it lives.
    pub(crate) fn revalidate(
        &mut self,
        conn: ConnId,
        session: SessionId,
        timeout: Millis,
        read_only: Option<bool>,
        out: &mut Outputs,
    ) {
        let ensemble = self.peers();
        let resuming = Resuming { conn: Some(conn), timeout, read_only };
        ensemble.forwarded.revalidations.entry(session).or_default().push_back(resuming);
        let link = ensemble.zab.leader_link().expect("a learner that serves has a leader");
        let timeout_ms = i32::try_from(timeout.0).expect("timeouts come from 32-bit numbers");
        out.send_packet(link, Packet::Revalidate(Revalidate::Ask { session, timeout_ms }));
    }

    pub(crate) fn on_revalidated(&mut self, now: Now, session: SessionId, valid: bool, out: &mut Outputs) {
        let revalidations = &mut self.peers().forwarded.revalidations;
        let Some(waiting) = revalidations.get_mut(&session) else { return };
        let resuming = waiting.pop_front().expect("a session that nobody waits for has no queue");
        if waiting.is_empty() {
            revalidations.remove(&session);
        }
        let Some(conn) = resuming.conn else { return };
        if valid {
            self.resume(now, conn, session, resuming.timeout, resuming.read_only, out);
        } else {
            self.counters.handshakes_refused += 1;
            refuse_handshake(conn, resuming.read_only, out);
        }
    }

    /// The leader had committed everything that it had proposed when our oldest sync arrived: what we have been told of as
    /// committed is what the client is to see.
    pub(crate) fn on_sync_answered(&mut self, state: &State, now: Now, link: LinkId, out: &mut Outputs) {
        match self.peers().forwarded.syncs.pop_front() {
            Some(request) => self.flight.push_answered_sync(request),
            None => self.cut(state, now, link, "SYNC without a sync under way".into(), out),
        }
    }

    /// The answer carries the sessions that were active here.
    pub(crate) fn answer_ping(&mut self, link: LinkId, zxid: Zxid, out: &mut Outputs) {
        let touched = self.peers().take_touched().into_iter().map(|(session, timeout)| SessionTouch {
            session,
            timeout_ms: i32::try_from(timeout.0).expect("timeouts come from 32-bit numbers"),
        });
        let touched = touched.collect();
        out.send_packet(link, Packet::Ping { zxid, touched: Some(touched) });
    }
}
