//! How a learner's history is made equal to the leader's: DIFF, TRUNC, both or SNAP (reference
//! `LearnerHandler.syncFollower`, QP060 to QP072: a case each).
//!
//! Owns the choice, as a pure function of what the leader has in memory and of the learner's last zxid. Must not know links,
//! or how a plan is carried out.
//!
//! Two histories that hold the same zxid are the same up to it: a zxid is proposed once, by the one leader of its epoch, whose
//! followers hold all that came before it. So a last zxid that the leader has, too, says all about the learner's history.

use oxkeeper_types::Zxid;
use oxkeeper_types::persist::TxnBytes;

use crate::history::History;

/// What comes first; then every committed transaction behind `behind` as PROPOSAL and COMMIT.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SyncPlan {
    /// The learner's history is a part of ours.
    Diff { behind: Zxid },
    /// It has something that we have not: cut it first.
    Trunc { to: Zxid },
    /// The whole state.
    Snap,
    /// The log on disk may reach back to the learner; ask it and plan again.
    ReadLog,
}

/// What may be used.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Means {
    /// `zookeeper.forceSnapshotSync`
    pub force_snapshot: bool,
    /// The log on disk may still be asked.
    pub log: bool,
}

/// Chooses from what is in memory.
pub(crate) fn choose(history: &History, learner_last: Zxid, means: Means) -> SyncPlan {
    let offered = history.offered();
    if means.force_snapshot || learner_last < Zxid::ZERO {
        return SyncPlan::Snap;
    }
    if learner_last == offered {
        return SyncPlan::Diff { behind: learner_last };
    }
    if learner_last == Zxid::ZERO {
        // Without a transaction there is nothing to tell histories apart by: a server whose first state came from somewhere
        // else than transactions would be left without it (ZOOKEEPER-4352, BG018).
        return SyncPlan::Snap;
    }
    // Reference: after an election, or a SNAP from a leader without transactions, the last zxid is ⟨epoch, 0⟩. Nothing with
    // this zxid is in any log.
    let is_epoch_start = learner_last.counter() == 0;
    if learner_last > offered {
        // TRUNC to 0 would take everything, and the reference's servers keep the first transaction then (BG029).
        return if is_epoch_start || offered == Zxid::ZERO { SyncPlan::Snap } else { SyncPlan::Trunc { to: offered } };
    }
    if learner_last >= history.after() {
        return inside(history, learner_last, is_epoch_start);
    }
    if means.log { SyncPlan::ReadLog } else { SyncPlan::Snap }
}

/// The learner's last zxid falls into the span of what is in memory.
fn inside(history: &History, learner_last: Zxid, is_epoch_start: bool) -> SyncPlan {
    let mut previous = history.after();
    for (zxid, _) in history.offered_entries() {
        if *zxid > learner_last {
            break;
        }
        previous = *zxid;
    }
    let next = history.behind(learner_last).next().map(|(zxid, _)| *zxid);
    if previous == learner_last || is_epoch_start {
        return SyncPlan::Diff { behind: learner_last };
    }
    // The learner has a transaction that was never committed.
    match next {
        Some(next) if next.epoch() == learner_last.epoch() && previous > Zxid::ZERO => SyncPlan::Trunc { to: previous },
        // Of an older epoch: servers of the reference cannot cut across epochs (QP071).
        _ => SyncPlan::Snap,
    }
}

/// Chooses with what the log on disk had behind the learner: whether it reaches what is in memory. Whatever stands there that
/// is not committed is left out by the caller (ZOOKEEPER-2846, BG019).
pub(crate) fn choose_with_log(
    history: &History,
    learner_last: Zxid,
    older: Option<&[(Zxid, TxnBytes)]>,
    force_snapshot: bool,
) -> SyncPlan {
    let plan = choose(history, learner_last, Means { force_snapshot, log: true });
    if plan != SyncPlan::ReadLog {
        return plan;
    }
    let mut last = learner_last;
    for (zxid, _) in older.unwrap_or_default() {
        if !zxid.follows(last) {
            return SyncPlan::Snap;
        }
        last = *zxid;
        if last >= history.after() {
            return SyncPlan::Diff { behind: learner_last };
        }
    }
    SyncPlan::Snap
}

#[cfg(test)]
mod tests;
