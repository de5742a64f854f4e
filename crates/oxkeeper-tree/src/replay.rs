//! Recovery: transactions from the log on top of a snapshot, which may already hold the effect of some of them.
//!
//! The reference writes its snapshots while the tree changes. Applying is tolerant of that everywhere (see `apply`);
//! what differs here is that nobody watches and that refusals are expected.

use crate::digest::DigestCheck;
use crate::tree::Tree;
use oxkeeper_proto::txn::TxnEntry;
use oxkeeper_types::{ErrorCode, OpCode, Zxid};

/// What came of replaying one transaction.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReplayOutcome {
    pub zxid: Zxid,
    pub op: OpCode,
    /// As in [`crate::Applied::error`].
    pub error: ErrorCode,
    /// The tree already was past this transaction in some part.
    pub refused: bool,
    pub digest: DigestCheck,
}

impl Tree {
    /// Replays one transaction of the log during recovery.
    pub fn replay(&mut self, entry: &TxnEntry) -> ReplayOutcome {
        let applied = self.apply_entry(entry, &[], None);
        ReplayOutcome {
            zxid: applied.zxid,
            op: applied.op,
            error: applied.error,
            refused: applied.is_refused(),
            digest: applied.digest,
        }
    }

    /// Says which zxid the state is at: after loading a snapshot, whose name or trailer knows it.
    pub fn set_last_processed(&mut self, zxid: Zxid) {
        self.last_processed = zxid;
    }

    /// Takes the digest from the trailer of a loaded snapshot. Checks are suspended until the transaction `zxid` is replayed,
    /// since a fuzzy snapshot is exact only from there. `snapshot` is the zxid in the file's name: an older digest is of no use.
    pub fn await_snapshot_digest(&mut self, zxid: Zxid, version: i32, digest: u64, snapshot: Zxid) {
        self.digest.await_snapshot(zxid, version, digest, snapshot);
    }
}
