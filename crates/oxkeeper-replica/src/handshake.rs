//! What becomes of a new connection, by the way in which this server serves clients.

use crate::input::Now;
use crate::output::{CloseReason, Control, Mode, Outputs};
use crate::pipeline::flight::Origin;
use crate::pipeline::prep::PrepRequest;
use crate::replica::{Replica, refuse_handshake};
use crate::session::{Speaker, connect};
use crate::state::State;
use bytes::Bytes;
use oxkeeper_proto::client::ConnectRequest;
use oxkeeper_types::{ConnId, Millis, OpCode, SessionId};

impl Replica {
    pub(crate) fn on_connect(
        &mut self,
        state: &State,
        now: Now,
        conn: ConnId,
        request: &ConnectRequest,
        out: &mut Outputs,
    ) {
        let close = |reason| Control::Close { conn, reason };
        match self.mode {
            Mode::Looking => return out.controls.push(close(CloseReason::NotServing)),
            Mode::Leader if !self.options.leader_serves => return out.controls.push(close(CloseReason::NotServing)),
            Mode::ReadOnly if request.read_only != Some(true) => {
                return out.controls.push(close(CloseReason::ReadOnlyServer));
            }
            _ => {}
        }
        match connect::judge(&self.options, request, state.tree.last_processed()) {
            connect::Verdict::New { timeout } => self.on_new_session(state, now, conn, timeout, request.read_only, out),
            connect::Verdict::Resume { session, timeout } => {
                self.on_resume(state, now, conn, session, timeout, request.read_only, out);
            }
            connect::Verdict::Refuse => {
                self.counters.handshakes_refused += 1;
                refuse_handshake(conn, request.read_only, out);
            }
            connect::Verdict::ClientAhead { client, server } => {
                out.controls.push(close(CloseReason::ClientAhead { client, server }));
            }
        }
    }

    fn on_new_session(
        &mut self,
        state: &State,
        now: Now,
        conn: ConnId,
        timeout: Millis,
        read_only: Option<bool>,
        out: &mut Outputs,
    ) {
        self.counters.sessions_created += 1;
        match self.mode {
            Mode::Standalone | Mode::Leader => {
                let session = self.new_session();
                self.sessions.insert(conn, session);
                let timeout_ms = i32::try_from(timeout.0).expect("timeouts come from 32-bit numbers");
                let body = Bytes::copy_from_slice(&timeout_ms.to_be_bytes());
                let origin = Origin::Handshake { conn, session, timeout, read_only };
                self.propose(state, now, origin, &PrepRequest::own(session, OpCode::CreateSession, &body), out);
            }
            Mode::Follower | Mode::Observer => self.forward_new_session(conn, timeout, read_only, out),
            // A session of this server alone: it ends with the connection, and no other server will know it.
            Mode::ReadOnly => {
                let session = self.new_session();
                self.resume(now, conn, session, timeout, read_only, out);
            }
            Mode::Looking => unreachable!("refused before"),
        }
    }

    #[allow(clippy::too_many_arguments)]
    fn on_resume(
        &mut self,
        state: &State,
        now: Now,
        conn: ConnId,
        session: SessionId,
        timeout: Millis,
        read_only: Option<bool>,
        out: &mut Outputs,
    ) {
        let lives = match self.mode {
            Mode::Follower | Mode::Observer => return self.revalidate(conn, session, timeout, read_only, out),
            // A session of the ensemble: nobody here may say that it lives or has ended (reference
            // `ReadOnlyZooKeeperServer.validateSession`).
            Mode::ReadOnly if state.tree.sessions().iter().any(|(known, _)| known == session) => {
                return out.controls.push(Control::Close { conn, reason: CloseReason::SessionOfEnsemble });
            }
            // One of this server alone has ended with its connection.
            Mode::ReadOnly => false,
            _ => self.tracker.get(session).is_some_and(|live| !live.closing),
        };
        if lives {
            self.resume(now, conn, session, timeout, read_only, out);
        } else {
            self.counters.handshakes_refused += 1;
            refuse_handshake(conn, read_only, out);
        }
    }

    /// The session lives: this connection speaks for it from now on.
    pub(crate) fn resume(
        &mut self,
        now: Now,
        conn: ConnId,
        session: SessionId,
        timeout: Millis,
        read_only: Option<bool>,
        out: &mut Outputs,
    ) {
        if let Some(old) = self.tracker.get(session).and_then(|live| live.conn())
            && old != conn
        {
            self.sessions.remove(&old);
            out.controls.push(Control::Close { conn: old, reason: CloseReason::SessionMoved });
        }
        self.counters.sessions_resumed += 1;
        self.sessions.insert(conn, session);
        self.tracker.track(session, timeout, Some(Speaker::Conn(conn)), now.monotonic);
        self.establish(conn, session, timeout, read_only, out);
    }
}
