//! Phase 2 on a leader: every learner gets our history, then NEWLEADER; a quorum of ACKs establishes the epoch (paper:
//! NEWLEADER, ACK-LD, COMMIT-LD).
//!
//! Owns the carrying out of a [`SyncPlan`], whenever a learner comes, and the places for observers (QP080, so many at a time). Must
//! not know how the choice is made, nor how a tree is frozen or a log is read.

use oxkeeper_proto::quorum::Packet;
use oxkeeper_types::persist::TxnBytes;
use oxkeeper_types::{Epoch, Millis, Zxid};

use super::learner::{Sending, State};
use super::{Leader, Phase};
use crate::core::{Core, send};
use crate::input::LinkId;
use crate::output::Output;
use crate::quorum::AckSet;
use crate::sync_plan::{self, Means, SyncPlan};

/// Until a quorum has acknowledged NEWLEADER.
#[derive(Clone, Debug)]
pub(super) struct Establishing {
    pub epoch: Epoch,
    pub since: Millis,
    pub acked: AckSet,
}

impl Establishing {
    /// Whether the epoch is established. This server counts, and must be among the quorum, once currentEpoch is on its disk
    /// (QP049, the leader counts itself).
    pub fn is_done(&self, core: &Core) -> bool {
        self.acked.contains(core.me()) && self.acked.has_quorum()
    }
}

/// How a learner is going to get what it lacks.
struct Planned<'a> {
    link: LinkId,
    /// The end of its history.
    last: Zxid,
    plan: SyncPlan,
    /// From the log on disk; empty where it was not read.
    older: &'a [(Zxid, TxnBytes)],
}

impl Leader {
    /// All that wait for their history, observers as there are places.
    pub(super) fn synchronise_waiting(&mut self, core: &Core, now: Millis, out: &mut Vec<Output>) {
        if matches!(self.phase, Phase::Discovery(_)) {
            return;
        }
        let waiting: Vec<(LinkId, Zxid)> = self
            .learners
            .iter()
            .filter_map(|(link, learner)| match learner.state {
                State::EpochAcked { last } => Some((*link, last)),
                _ => None,
            })
            .collect();
        for (link, last) in waiting {
            let means = Means { force_snapshot: core.options.force_snapshot_sync, log: core.options.sync_from_disk };
            let plan = sync_plan::choose(&core.history, last, means);
            self.carry_out(core, now, Planned { link, last, plan, older: &[] }, out);
        }
    }

    /// The log on disk was read. Between question and answer transactions were committed: plan with what is in memory now.
    pub fn on_history_read(
        &mut self,
        core: &Core,
        now: Millis,
        link: LinkId,
        txns: Option<&[(Zxid, TxnBytes)]>,
        out: &mut Vec<Output>,
    ) {
        let Some(learner) = self.learners.get(&link) else { return };
        let State::Reading { last } = learner.state else { return };
        let plan = sync_plan::choose_with_log(&core.history, last, txns, core.options.force_snapshot_sync);
        self.carry_out(core, now, Planned { link, last, plan, older: txns.unwrap_or_default() }, out);
        self.synchronise_waiting(core, now, out);
    }

    /// The tree is frozen with everything through `zxid`, and the snapshot is on its way.
    pub fn on_image_frozen(&mut self, core: &Core, now: Millis, link: LinkId, zxid: Zxid, out: &mut Vec<Output>) {
        if !matches!(self.learners.get(&link).map(|l| &l.state), Some(State::Freezing)) {
            return;
        }
        let (after, offered) = (core.history.after(), core.history.offered());
        assert!(after <= zxid && zxid <= offered, "the tree is frozen at {zxid}; {after} to {offered} is in memory");
        self.forward_from(core, now, link, zxid, Sending::Snapshot, out);
    }

    /// How long a snapshot takes on its way is not the learner's fault: it has `initLimit` from its end on, as in the reference.
    pub fn on_image_sent(&mut self, now: Millis, link: LinkId) {
        if let Some(learner) = self.learners.get_mut(&link)
            && matches!(learner.state, State::Syncing(Sending::Snapshot))
        {
            learner.enter(State::Syncing(Sending::SnapshotSent), now);
        }
    }

    fn carry_out(&mut self, core: &Core, now: Millis, planned: Planned, out: &mut Vec<Output>) {
        let Planned { link, last, plan, older } = planned;
        let has_place = self.has_place(core, link, plan);
        let learner = self.learners.get_mut(&link).expect("a learner that waits for its history");
        if !has_place {
            learner.enter(State::EpochAcked { last }, now);
            return;
        }
        match plan {
            SyncPlan::ReadLog => {
                learner.enter(State::Reading { last }, now);
                out.push(Output::ReadHistory { link, after: last });
            }
            SyncPlan::Snap => {
                learner.enter(State::Freezing, now);
                out.push(Output::FreezeImage { link });
            }
            SyncPlan::Trunc { to } => {
                send(link, Packet::Trunc { zxid: to }, out);
                self.forward_from(core, now, link, to, Sending::Transactions, out);
            }
            SyncPlan::Diff { behind } => {
                send(link, Packet::Diff { zxid: core.history.offered() }, out);
                // From the disk only what is not in memory: that is committed (ZOOKEEPER-2846, BG019).
                for (zxid, txn) in older.iter().filter(|(z, _)| *z > behind && *z <= core.history.after()) {
                    send_committed(link, *zxid, txn, out);
                }
                self.forward_from(core, now, link, behind, Sending::Transactions, out);
            }
        }
    }

    /// Everything behind `behind`, then NEWLEADER, then live traffic (QP074, queued behind the history). In one step, so nothing
    /// falls between.
    fn forward_from(
        &mut self,
        core: &Core,
        now: Millis,
        link: LinkId,
        behind: Zxid,
        sending: Sending,
        out: &mut Vec<Output>,
    ) {
        let epoch = self.epoch().expect("histories are sent in an agreed epoch");
        let learner = self.learners.get_mut(&link).expect("a learner that gets its history");
        let offered = core.history.offered();
        for (zxid, txn) in core.history.behind(behind) {
            if *zxid <= offered {
                send_committed(link, *zxid, txn, out);
            } else if !learner.observer {
                send(link, Packet::Proposal { zxid: *zxid, txn: txn.clone() }, out);
            }
        }
        let ensemble = core.election.last_seen().filter(|seen| seen.version() > core.election.ensemble().version());
        let config = Some(ensemble.unwrap_or(core.election.ensemble()).to_string());
        send(link, Packet::NewLeader { epoch, config }, out);
        learner.enter(State::Syncing(sending), now);
    }

    /// Voters always have one, and are counted (reference `LearnerSyncThrottler`). An observer without one waits; the
    /// reference closes its link.
    fn has_place(&self, core: &Core, link: LinkId, plan: SyncPlan) -> bool {
        if !self.learners[&link].observer {
            return true;
        }
        let wants_snapshot = plan == SyncPlan::Snap;
        let others = self.learners.iter().filter(|(other, _)| **other != link);
        let under_way = others.filter(|(_, learner)| match learner.state {
            State::Freezing => wants_snapshot,
            State::Reading { .. } => !wants_snapshot,
            State::Syncing(sending) => (sending != Sending::Transactions) == wants_snapshot,
            _ => false,
        });
        let max = if wants_snapshot { core.options.snapshot_syncs_max } else { core.options.diff_syncs_max };
        (under_way.count() as u64) < u64::from(max)
    }
}

/// In synchronisation observers get pairs, too (QP073, PROPOSAL and COMMIT for each that is committed).
fn send_committed(link: LinkId, zxid: Zxid, txn: &TxnBytes, out: &mut Vec<Output>) {
    send(link, Packet::Proposal { zxid, txn: txn.clone() }, out);
    send(link, Packet::Commit { zxid }, out);
}
