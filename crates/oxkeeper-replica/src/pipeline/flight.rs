//! Transactions between prep (or, on a learner, their proposal) and apply, in the order of their zxids; and the syncs that
//! wait between them.

use super::prep::Prepared;
use crate::input::Submitted;
use oxkeeper_types::{ConnId, Millis, SessionId, Xid, Zxid};
use oxkeeper_zab::LinkId;
use std::collections::VecDeque;

/// Who waits for the outcome of a transaction.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A client request: gets a reply.
    Client { conn: ConnId, xid: Xid },
    /// The handshake of a new session: gets a connect response with this timeout.
    Handshake { conn: ConnId, session: SessionId, timeout: Millis, read_only: Option<bool> },
    /// A client of this learner of ours: hears of it from there.
    Learner(LinkId),
    /// Nobody here: the server itself (session expiry, the reaper), or, on a learner, a client of another server.
    Elsewhere,
}

/// A transaction on its way to being committed.
#[derive(Debug)]
pub struct Proposed {
    pub prepared: Prepared,
    pub origin: Origin,
}

/// A sync, of a client of ours or (`LinkId`) of a learner: it waits for everything through `after`, and for leadership to be
/// confirmed as number `confirm`.
#[derive(Debug)]
struct WaitingSync<T> {
    origin: T,
    after: Zxid,
    confirm: u64,
}

/// What may be done next.
#[derive(Debug)]
pub enum Due {
    Txn(Proposed),
    Sync(Submitted),
}

/// The line. What is committed comes out in order, each sync in its place.
#[derive(Debug)]
pub struct Flight {
    line: VecDeque<Proposed>,
    /// Of our own clients: answered when their turn comes at apply.
    syncs: VecDeque<WaitingSync<Submitted>>,
    /// Leading only. Answered before the next COMMIT leaves, see [`Flight::pop_learner_sync`].
    learner_syncs: VecDeque<WaitingSync<LinkId>>,
    /// The last zxid that was put in line.
    last_prepared: Zxid,
    /// Everything up to here may come out: it is committed or, where the server has begun to look for a leader, it is in the log.
    /// Only ever grows.
    released: Zxid,
    /// The last one that came out.
    applied: Zxid,
    /// Leadership was confirmed through this number; 0 where nobody need confirm it.
    confirmed: u64,
}

impl Flight {
    /// An empty line behind a tree at `last_processed`.
    pub fn new(last_processed: Zxid) -> Flight {
        Flight {
            line: VecDeque::new(),
            syncs: VecDeque::new(),
            learner_syncs: VecDeque::new(),
            last_prepared: last_processed,
            released: last_processed,
            applied: last_processed,
            confirmed: 0,
        }
    }
    pub fn last_prepared(&self) -> Zxid {
        self.last_prepared
    }
    pub fn released(&self) -> Zxid {
        self.released
    }
    pub fn len(&self) -> usize {
        self.line.len() + self.syncs.len() + self.learner_syncs.len()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The zxid that the next transaction of a standalone server gets. It counts on across the 32-bit boundary, as the
    /// reference's does.
    pub fn next_zxid(&self) -> Zxid {
        Zxid(self.last_prepared.0 + 1)
    }
    pub fn push(&mut self, proposed: Proposed) {
        let zxid = proposed.prepared.entry.header.zxid;
        assert!(zxid.follows(self.last_prepared), "{zxid} put in line behind {}", self.last_prepared);
        self.last_prepared = zxid;
        self.line.push_back(proposed);
    }
    /// A client's sync that waits for everything that is in line, and for leadership to be confirmed.
    pub fn push_sync(&mut self, request: Submitted, confirm: u64) {
        self.syncs.push_back(WaitingSync { origin: request, after: self.last_prepared, confirm });
    }
    /// A client's sync that the leader has answered: it waits for everything that is committed.
    pub fn push_answered_sync(&mut self, request: Submitted) {
        self.syncs.push_back(WaitingSync { origin: request, after: self.released, confirm: 0 });
    }
    /// A learner's sync: its SYNC leaves when everything that is in line is committed, and leadership is confirmed.
    pub fn push_learner_sync(&mut self, link: LinkId, confirm: u64) {
        self.learner_syncs.push_back(WaitingSync { origin: link, after: self.last_prepared, confirm });
    }
    /// The next learner whose SYNC leaves now. `reached` is what the learners are told next to be committed, or what was told last:
    /// a SYNC stands behind the COMMITs of all that was proposed before it and before those of all that was proposed behind it, as
    /// the reference's learners take both for the answers to their requests in order.
    pub fn pop_learner_sync(&mut self, reached: Zxid) -> Option<LinkId> {
        let sync = self.learner_syncs.front()?;
        // What was proposed behind the sync was acknowledged by a quorum after the sync had come: that confirms the leader, too.
        let is_due = sync.after < reached || (sync.after <= self.released && sync.confirm <= self.confirmed);
        if is_due { self.learner_syncs.pop_front().map(|sync| sync.origin) } else { None }
    }
    /// Learners whose clients wait for what a commit through `zxid` adds to what is committed already.
    pub fn asked_by(&self, zxid: Zxid) -> impl Iterator<Item = LinkId> {
        let of = |proposed: &Proposed| proposed.prepared.entry.header.zxid;
        let from = self.line.partition_point(|proposed| of(proposed) <= self.released);
        self.line.range(from..).take_while(move |proposed| of(proposed) <= zxid).filter_map(|proposed| {
            match proposed.origin {
                Origin::Learner(link) => Some(link),
                _ => None,
            }
        })
    }
    /// The disk (or the quorum) has everything through `zxid`.
    pub fn release(&mut self, zxid: Zxid) {
        assert!(zxid <= self.last_prepared, "commit of {zxid} ahead of {}, the last one in line", self.last_prepared);
        self.released = self.released.max(zxid);
    }
    /// The server starts to look for a leader: everything in line is in the log, so it is applied, and nobody waits for it
    /// any more.
    pub fn give_up(&mut self) {
        self.released = self.last_prepared;
        self.confirmed = 0;
        self.syncs.clear();
        self.learner_syncs.clear();
        self.line.iter_mut().for_each(|proposed| proposed.origin = Origin::Elsewhere);
    }
    /// Leadership was confirmed; numbers only grow while a server leads.
    pub fn confirm(&mut self, number: u64) {
        self.confirmed = self.confirmed.max(number);
    }
    /// A sync in its place: nothing that was put in line after it has come out.
    fn sync_is_due(&self) -> bool {
        let Some(sync) = self.syncs.front() else { return false };
        if sync.after > self.applied {
            return false;
        }
        // What was proposed behind the sync and is committed has been acknowledged by a quorum after the sync came in: that
        // confirms the leader as well, whichever is heard of first.
        let overtaken = self.line.front().is_some_and(|next| next.prepared.entry.header.zxid <= self.released);
        sync.confirm <= self.confirmed || overtaken
    }
    pub fn has_due(&self) -> bool {
        let txn = self.line.front().is_some_and(|next| next.prepared.entry.header.zxid <= self.released);
        txn || self.sync_is_due()
    }
    /// The next one that may be applied or answered.
    pub fn pop_due(&mut self) -> Option<Due> {
        if self.sync_is_due() {
            return self.syncs.pop_front().map(|sync| Due::Sync(sync.origin));
        }
        let zxid = self.line.front()?.prepared.entry.header.zxid;
        if zxid > self.released {
            return None;
        }
        self.applied = zxid;
        self.line.pop_front().map(Due::Txn)
    }
}
