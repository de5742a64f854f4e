//! Requests between prep and apply, in the order in which they were prepared.

use super::prep::Prepared;
use crate::input::Submitted;
use oxkeeper_types::{ConnId, Millis, SessionId, Xid, Zxid};
use std::collections::VecDeque;

/// Who waits for the outcome of a transaction.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A client request: gets a reply.
    Client { conn: ConnId, xid: Xid },
    /// The handshake of a new session: gets a connect response with this timeout.
    Handshake { conn: ConnId, session: SessionId, timeout: Millis, read_only: Option<bool> },
    /// The server itself: session expiry, the reaper.
    Server,
}

/// A prepared transaction on its way to being committed.
#[derive(Debug)]
pub struct Proposed {
    pub prepared: Prepared,
    pub origin: Origin,
}

/// One place in the line.
#[derive(Debug)]
pub enum InFlight {
    Txn(Proposed),
    /// A sync: answered when everything prepared before it is applied.
    Sync(Submitted),
}

/// The line. On a standalone server `committed` is what the disk has reported as synced.
#[derive(Debug)]
pub struct Flight {
    line: VecDeque<InFlight>,
    /// The last zxid that was given out.
    last_prepared: Zxid,
    /// Everything up to here may be applied. Only ever grows.
    committed: Zxid,
}

impl Flight {
    /// An empty line behind a recovered tree.
    pub fn new(last_processed: Zxid) -> Flight {
        Flight { line: VecDeque::new(), last_prepared: last_processed, committed: last_processed }
    }
    pub fn last_prepared(&self) -> Zxid {
        self.last_prepared
    }
    pub fn len(&self) -> usize {
        self.line.len()
    }
    pub fn is_empty(&self) -> bool {
        self.line.is_empty()
    }
    /// The zxid that the next transaction gets. A standalone server counts on across the 32-bit boundary, as the
    /// reference's does.
    pub fn next_zxid(&self) -> Zxid {
        Zxid(self.last_prepared.0 + 1)
    }
    pub fn push(&mut self, proposed: Proposed) {
        let zxid = proposed.prepared.entry.header.zxid;
        assert_eq!(zxid, self.next_zxid(), "prepared out of turn");
        self.last_prepared = zxid;
        self.line.push_back(InFlight::Txn(proposed));
    }
    pub fn push_sync(&mut self, sync: Submitted) {
        self.line.push_back(InFlight::Sync(sync));
    }
    /// The disk (or the quorum) has everything through `zxid`.
    pub fn commit_through(&mut self, zxid: Zxid) {
        assert!(zxid >= self.committed, "commit goes back from {} to {zxid}", self.committed);
        assert!(zxid <= self.last_prepared, "commit of {zxid} ahead of {}, the last one prepared", self.last_prepared);
        self.committed = zxid;
    }
    pub fn has_committed(&self) -> bool {
        match self.line.front() {
            None => false,
            Some(InFlight::Sync(_)) => true,
            Some(InFlight::Txn(p)) => p.prepared.entry.header.zxid <= self.committed,
        }
    }
    /// The next one that may be applied.
    pub fn pop_committed(&mut self) -> Option<InFlight> {
        if self.has_committed() { self.line.pop_front() } else { None }
    }
}
