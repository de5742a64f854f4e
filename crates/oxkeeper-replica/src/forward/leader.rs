//! The leader's end: requests of learners are prepared like those of our own clients, and sessions are kept alive for all.

use crate::input::Now;
use crate::output::Outputs;
use crate::pipeline::flight::Origin;
use crate::pipeline::prep::PrepRequest;
use crate::replica::Replica;
use crate::session::Speaker;
use crate::state::State;
use oxkeeper_proto::quorum::{Forwarded, Packet, Revalidate, SessionTouch};
use oxkeeper_types::{ErrorCode, Id, Millis, OpCode, SessionId, Zxid};
use oxkeeper_zab::LinkId;
use std::sync::Arc;

impl Replica {
    /// A client of a learner wants something. Whatever it is, it gets a transaction or a SYNC, since its learner waits for
    /// that.
    pub(crate) fn on_request(
        &mut self,
        state: &State,
        now: Now,
        link: LinkId,
        request: Forwarded,
        auth: Arc<[Id]>,
        out: &mut Outputs,
    ) {
        let Forwarded { session, xid, op, ref body } = request;
        let speaker = Speaker::Learner(link);
        let op = match OpCode::from_number(op) {
            Some(OpCode::Sync) => return self.on_learner_sync(state, now, link, out),
            Some(OpCode::CreateSession) => {
                // The learner has clamped the timeout.
                let timeout = body.first_chunk().map_or(0, |ms| i32::from_be_bytes(*ms));
                self.tracker.track(session, Millis(i64::from(timeout)), Some(speaker), now.monotonic);
                OpCode::CreateSession
            }
            // Only a leader removes containers (BG035, 3.9 lets any client), and what is no write (a check of its own,
            // ZOOKEEPER-2623) has no transaction: an error is one.
            Some(op) if op.is_write() && op != OpCode::DeleteContainer => op,
            _ => return self.propose_refusal(state, now, session, xid, ErrorCode::Unimplemented, out),
        };
        self.tracker.touch(session, now.monotonic);
        let session_check = self.tracker.check(session, speaker);
        let request = PrepRequest { session, xid, op, body, auth: &auth, session_check };
        self.propose(state, now, Origin::Learner(link), &request, out);
    }

    fn on_learner_sync(&mut self, state: &State, now: Now, link: LinkId, out: &mut Outputs) {
        if self.next_zxid().is_none() {
            // As for a sync of our own clients: the learner would take it for the answer to a request that got none.
            return self.step_down(state, now, out);
        }
        let confirm = self.confirm_leadership(state, now, out);
        self.flight.push_learner_sync(link, confirm);
        self.send_syncs(self.flight.released(), out);
    }

    /// Sends the SYNCs whose turn it is, while the learners are told that everything through `reached` is committed.
    pub(crate) fn send_syncs(&mut self, reached: Zxid, out: &mut Outputs) {
        while let Some(link) = self.flight.pop_learner_sync(reached) {
            out.send_packet(link, Packet::Sync { zxid: Zxid::ZERO });
        }
    }

    /// A packet of consensus is about to leave: the SYNCs that stand before it do first.
    pub(crate) fn send_syncs_before(&mut self, packet: &Packet, out: &mut Outputs) {
        use Packet::{Commit, CommitAndActivate, Inform, InformAndActivate};
        if let Commit { zxid } | CommitAndActivate { zxid, .. } | Inform { zxid, .. } | InformAndActivate { zxid, .. } =
            packet
        {
            self.send_syncs(*zxid, out);
        }
    }

    /// A learner serves this session now, if it lives.
    pub(crate) fn on_revalidate(
        &mut self,
        now: Now,
        link: LinkId,
        session: SessionId,
        timeout_ms: i32,
        out: &mut Outputs,
    ) {
        let valid = self.tracker.get(session).is_some_and(|live| !live.closing);
        if valid {
            let timeout = Millis(i64::from(timeout_ms));
            self.tracker.track(session, timeout, Some(Speaker::Learner(link)), now.monotonic);
        }
        out.send_packet(link, Packet::Revalidate(Revalidate::Answer { session, valid }));
    }

    /// These sessions were active on a learner since its last answer.
    pub(crate) fn on_touched(&mut self, touched: &[SessionTouch], now: Now) {
        touched.iter().for_each(|touch| self.tracker.touch(touch.session, now.monotonic));
    }
}
