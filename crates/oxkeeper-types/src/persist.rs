//! What consensus asks of the disk, and what it hears back. The contract between the replica and storage:
//! an acknowledgement is only ever built from a [`Persisted`].

use crate::id::{Epoch, Zxid};
use bytes::Bytes;

/// A transaction as it is framed in the log and in proposals: `TxnHeader`, record, optional `TxnDigest`.
pub type TxnBytes = Bytes;

/// One request to the disk. Requests are carried out in order.
#[derive(Clone, Debug)]
pub enum Persist {
    /// Append to the transaction log. Answered by [`Persisted::Log`] once `fdatasync` has returned.
    Append {
        zxid: Zxid,
        txn: TxnBytes,
    },
    /// Close the current log file; the next append starts a new one, named after its zxid.
    RollLog,
    /// Cut the log right after `zxid` and drop later files, durably. Answered by [`Persisted::Truncated`], or by
    /// [`Persisted::CannotTruncate`].
    TruncateLog {
        zxid: Zxid,
    },
    /// The snapshot that was received from a leader takes the place of all history, durably; the log goes on behind `zxid`.
    /// Answered, as a truncation is, by the tree that there is now.
    InstallSnapshot {
        zxid: Zxid,
    },
    AcceptedEpoch(Epoch),
    CurrentEpoch(Epoch),
}

/// What the disk has done, durably.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Persisted {
    /// Every append up to and including this zxid is on stable storage.
    Log {
        through: Zxid,
    },
    Truncated {
        zxid: Zxid,
    },
    /// Nothing was cut: snapshots and log do not lead to where the cut was to be. All through `last` is there as before.
    CannotTruncate {
        last: Zxid,
    },
    AcceptedEpoch(Epoch),
    CurrentEpoch(Epoch),
}
