//! LearnerOrder: what a learner of the reference takes as ordered on the link from its leader.
//!
//! Its `CommitProcessor` keeps the writes and syncs of all its sessions in one line (`queuedWriteRequests`), and takes each COMMIT,
//! INFORM and SYNC either for the answer to the head of the line or for a write of somebody else. An answer that overtakes another
//! is therefore taken for somebody else's; when its request has become the head, nothing answers it any more, and the server
//! stands still for good. So: each request becomes one transaction of its session and number, or one SYNC, and these leave in the
//! order in which the requests came. The model is kept for every learner, though learners here are ours and would not mind.

use super::Checks;
use crate::network::ConnKey;
use oxkeeper_proto::quorum::{Forwarded, Packet};
use oxkeeper_proto::txn::TxnEntry;
use oxkeeper_replica::{Input, Outputs, PeerOutput};
use oxkeeper_types::persist::Persist;
use oxkeeper_types::{OpCode, SessionId, Xid, Zxid};
use oxkeeper_zab::LinkId;

/// A request that a leader has taken from a learner and not answered yet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Awaited {
    Sync,
    Commit(Zxid),
}

/// What is remembered of a REQUEST while the leader takes it.
pub struct Asked {
    link: LinkId,
    session: SessionId,
    xid: Xid,
    is_sync: bool,
}

impl Asked {
    pub fn of(input: &Input) -> Option<Asked> {
        let Input::Peer(oxkeeper_zab::Input::Packet { link, packet: Packet::Request { request, .. } }) = input else {
            return None;
        };
        let Forwarded { session, xid, op, .. } = *request;
        Some(Asked { link: *link, session, xid, is_sync: op == OpCode::Sync.number() })
    }
    pub fn link(&self) -> LinkId {
        self.link
    }
}

impl Checks {
    /// A server has taken a learner's request; nothing of what comes of it has left.
    pub fn on_request(&mut self, key: ConnKey, asked: &Asked, out: &Outputs) {
        let closes = |output: &PeerOutput| matches!(output, PeerOutput::CloseLink { link, .. } if *link == asked.link);
        if out.peers.iter().any(closes) {
            return;
        }
        let awaited = if asked.is_sync {
            Some(Awaited::Sync)
        } else {
            out.persist.iter().find_map(|request| match request {
                Persist::Append { zxid, txn } => {
                    let header = TxnEntry::read(txn).ok()?.header;
                    ((header.session, header.cxid) == (asked.session, asked.xid.0)).then_some(Awaited::Commit(*zxid))
                }
                _ => None,
            })
        };
        match awaited {
            Some(awaited) => self.lines.entry(key).or_default().push_back(awaited),
            None => {
                let text = format!("request {} of session {} gets no transaction", asked.xid.0, asked.session);
                self.fail("LearnerOrder", text);
            }
        }
    }

    /// A packet leaves over this connection.
    pub fn on_answer_to_learner(&mut self, h: usize, key: ConnKey, packet: &Packet) {
        let answer = match packet {
            Packet::Sync { .. } => Awaited::Sync,
            Packet::Commit { zxid } | Packet::Inform { zxid, .. } => Awaited::Commit(*zxid),
            _ => return,
        };
        let line = self.lines.entry(key).or_default();
        if line.front() == Some(&answer) {
            line.pop_front();
            self.counts.learner_answers += 1;
        } else if answer == Awaited::Sync || line.contains(&answer) {
            let text = format!(
                "server {} sends {answer:?} to a learner whose oldest request waits for {:?}",
                h + 1,
                line.front()
            );
            self.fail("LearnerOrder", text);
        }
    }
}
