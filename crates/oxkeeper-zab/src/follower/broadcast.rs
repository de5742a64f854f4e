//! Phase 3 on a follower: PROPOSAL (paper: PROPOSE), ACK once on disk, COMMIT.
//!
//! Owns the order of both. Must not know clients: the replica serves them.

use std::collections::VecDeque;

use oxkeeper_proto::quorum::Packet;
use oxkeeper_types::{Epoch, Zxid};

use super::sync::Synced;
use super::{check_follows, repeats_zxid};
use crate::core::{Core, send};
use crate::input::LinkId;
use crate::misbehaved::{Misbehaved, unexpected};
use crate::output::{Notice, Output};

#[derive(Clone, Debug)]
pub(super) struct Broadcast {
    link: LinkId,
    epoch: Epoch,
    /// Through this, transactions came before NEWLEADER: its ACK stands for them.
    acked_by_newleader: Zxid,
    /// Proposed and not committed, oldest first.
    pending: VecDeque<Zxid>,
}

impl Broadcast {
    /// What was proposed since NEWLEADER goes into the log now, committed or not: each gets an ACK of its own.
    pub fn begin(core: &mut Core, synced: Synced, out: &mut Vec<Output>) -> Broadcast {
        let Synced { link, epoch, ready, mut backlog } = synced;
        let (proposals, committed) = backlog.take_all();
        let mut pending = VecDeque::with_capacity(proposals.len());
        for (zxid, txn) in proposals {
            core.append_proposed(zxid, txn, out);
            pending.push_back(zxid);
        }
        if let Some(through) = pending.drain(..committed).next_back() {
            core.deliver(through, out);
        }
        Broadcast { link, epoch, acked_by_newleader: ready, pending }
    }

    pub fn link(&self) -> LinkId {
        self.link
    }
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    pub fn on_packet(&mut self, core: &mut Core, packet: Packet, out: &mut Vec<Output>) -> Result<(), Misbehaved> {
        match packet {
            Packet::Proposal { zxid, txn } if repeats_zxid(zxid, &txn, core.history.last_logged()) => {
                out.push(Output::Tell(Notice::PassedOver { zxid }));
            }
            Packet::Proposal { zxid, txn } => {
                check_follows(zxid, core.history.last_logged(), self.epoch)?;
                core.append_proposed(zxid, txn, out);
                self.pending.push_back(zxid);
            }
            Packet::Commit { zxid } | Packet::CommitAndActivate { zxid, .. } => {
                let oldest = self.pending.front().copied();
                if oldest != Some(zxid) {
                    return Err(Misbehaved::CommitMismatch { oldest, got: zxid });
                }
                self.pending.pop_front();
                core.deliver(zxid, out);
            }
            other => return Err(unexpected("PROPOSAL, COMMIT or PING", &other)),
        }
        Ok(())
    }

    /// One ACK for each: servers of the reference count them proposal by proposal (QP009).
    pub fn on_logged(&self, zxids: &[Zxid], out: &mut Vec<Output>) {
        for &zxid in zxids.iter().filter(|zxid| **zxid > self.acked_by_newleader) {
            send(self.link, Packet::Ack { zxid }, out);
        }
    }

    pub fn invariants(&self, core: &Core) {
        let (first, last) = (self.pending.front(), self.pending.back());
        assert!(
            last.is_none_or(|last| *last == core.history.last_logged()),
            "the last proposal is {last:?}, the log ends at {}",
            core.history.last_logged()
        );
        assert!(
            first.is_none_or(|first| *first > core.committed),
            "{first:?} waits for a commit, {} is committed",
            core.committed
        );
        assert!(
            core.epochs.has_current(self.epoch) && core.epochs.accepted() == self.epoch,
            "following in epoch {:?} with {:?}",
            self.epoch,
            core.epochs
        );
    }
}
