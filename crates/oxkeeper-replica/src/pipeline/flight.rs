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

/// Who asked for a sync.
#[derive(Debug)]
pub enum SyncOrigin {
    Client(Submitted),
    /// A client of ours, of a leader that has answered; with the number under which the request left.
    Forwarded(Submitted, u64),
    /// A learner: gets a SYNC packet.
    Learner(LinkId),
}

/// A sync: answered when everything through `after` is applied and leadership was confirmed as number `confirm`.
#[derive(Debug)]
pub struct WaitingSync {
    pub origin: SyncOrigin,
    after: Zxid,
    confirm: u64,
}

/// What may be done next.
#[derive(Debug)]
pub enum Due {
    Txn(Proposed),
    Sync(SyncOrigin),
}

/// The line. What is committed comes out in order, each sync in its place.
#[derive(Debug)]
pub struct Flight {
    line: VecDeque<Proposed>,
    syncs: VecDeque<WaitingSync>,
    /// The last zxid that was put in line.
    last_prepared: Zxid,
    /// Everything up to here may be applied. Only ever grows.
    committed: Zxid,
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
            last_prepared: last_processed,
            committed: last_processed,
            applied: last_processed,
            confirmed: 0,
        }
    }
    pub fn last_prepared(&self) -> Zxid {
        self.last_prepared
    }
    pub fn committed(&self) -> Zxid {
        self.committed
    }
    pub fn len(&self) -> usize {
        self.line.len() + self.syncs.len()
    }
    pub fn is_empty(&self) -> bool {
        self.line.is_empty() && self.syncs.is_empty()
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
    /// A sync that waits for everything that is in line, and for leadership to be confirmed.
    pub fn push_sync(&mut self, origin: SyncOrigin, confirm: u64) {
        self.syncs.push_back(WaitingSync { origin, after: self.last_prepared, confirm });
    }
    /// A sync that the leader has answered: it waits for everything that is committed.
    pub fn push_answered_sync(&mut self, origin: SyncOrigin) {
        self.syncs.push_back(WaitingSync { origin, after: self.committed, confirm: 0 });
    }
    /// Answered syncs of this connection that left before its request with this number.
    pub fn take_overtaken(&mut self, conn: ConnId, number: u64) -> Vec<Submitted> {
        let mut taken = Vec::new();
        self.syncs.retain_mut(|sync| match &sync.origin {
            SyncOrigin::Forwarded(request, sent) if request.conn == conn && *sent < number => {
                taken.push(request.clone());
                false
            }
            _ => true,
        });
        taken
    }
    /// Learners whose clients wait for what a commit through `zxid` adds to what is committed already.
    pub fn asked_by(&self, zxid: Zxid) -> impl Iterator<Item = LinkId> {
        let of = |proposed: &Proposed| proposed.prepared.entry.header.zxid;
        let from = self.line.partition_point(|proposed| of(proposed) <= self.committed);
        self.line.range(from..).take_while(move |proposed| of(proposed) <= zxid).filter_map(|proposed| {
            match proposed.origin {
                Origin::Learner(link) => Some(link),
                _ => None,
            }
        })
    }
    /// The disk (or the quorum) has everything through `zxid`.
    pub fn commit_through(&mut self, zxid: Zxid) {
        assert!(zxid <= self.last_prepared, "commit of {zxid} ahead of {}, the last one in line", self.last_prepared);
        self.committed = self.committed.max(zxid);
    }
    /// The server starts to look for a leader: everything in line is in the log, so it is applied, and nobody waits for it
    /// any more.
    pub fn give_up(&mut self) {
        self.committed = self.last_prepared;
        self.confirmed = 0;
        self.syncs.clear();
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
        let overtaken = self.line.front().is_some_and(|next| next.prepared.entry.header.zxid <= self.committed);
        sync.confirm <= self.confirmed || overtaken
    }
    pub fn has_due(&self) -> bool {
        let txn = self.line.front().is_some_and(|next| next.prepared.entry.header.zxid <= self.committed);
        txn || self.sync_is_due()
    }
    /// The next one that may be applied or answered.
    pub fn pop_due(&mut self) -> Option<Due> {
        if self.sync_is_due() {
            return self.syncs.pop_front().map(|sync| Due::Sync(sync.origin));
        }
        let zxid = self.line.front()?.prepared.entry.header.zxid;
        if zxid > self.committed {
            return None;
        }
        self.applied = zxid;
        self.line.pop_front().map(Due::Txn)
    }
}
