//! Phase 2 on a learner: DIFF, TRUNC or SNAP, what is committed behind it, NEWLEADER, and its ACK (paper: ACK-LD).
//!
//! Owns the order in which a history is accepted: committed transactions are in the log, then the epoch is (QP040, ZOOKEEPER-4643,
//! ZOOKEEPER-4646, ZOOKEEPER-4785), then NEWLEADER is acknowledged; what has no COMMIT yet is kept back until UPTODATE and
//! acknowledged one by one (ZOOKEEPER-3911, ZOOKEEPER-4394, ZOOKEEPER-4685). Must not know trees: the edge replaces them.

use std::collections::VecDeque;

use oxkeeper_proto::quorum::Packet;
use oxkeeper_types::persist::TxnBytes;
use oxkeeper_types::{Epoch, Millis, Zxid};

use super::{check_follows, repeats_zxid};
use crate::core::{Core, send};
use crate::input::LinkId;
use crate::misbehaved::{Misbehaved, unexpected};
use crate::output::{Notice, Output};

#[derive(Clone, Debug)]
pub(super) struct Sync {
    link: LinkId,
    epoch: Epoch,
    observer: bool,
    step: Step,
}

#[derive(Clone, Debug)]
enum Step {
    /// Until DIFF, TRUNC or SNAP.
    Plan,
    Replacing(Replacing),
    Receiving(Receiving),
}

/// A snapshot is read and installed, or the log is cut; what comes behind is held back.
#[derive(Clone, Debug)]
struct Replacing {
    announced: Zxid,
    source: Source,
    held: Vec<Packet>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Source {
    OwnLog,
    /// A snapshot that is still being read.
    Stream,
    Snapshot,
}

#[derive(Clone, Debug)]
struct Receiving {
    backlog: Backlog,
    acceptance: Acceptance,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Acceptance {
    /// Until NEWLEADER.
    Before,
    /// Committed transactions and then the epoch are on their way to the disk.
    Writing,
    /// NEWLEADER is acknowledged. Until UPTODATE.
    Acked,
}

/// Proposals that are not in the log yet.
#[derive(Clone, Debug)]
pub(crate) struct Backlog {
    last: Zxid,
    /// After a SNAP: the leader has begun to forward before it took the zxid of the snapshot (reference
    /// `LearnerHandler.syncFollower`, then `run`), so what comes first may be in the snapshot already.
    in_snapshot: Zxid,
    /// Of a refused write that was passed over, see [`repeats_zxid`]: what a leader sends of the past has its COMMIT, too.
    repeated: Zxid,
    proposals: VecDeque<(Zxid, TxnBytes)>,
    /// How many of them, from the oldest on, are committed.
    committed: usize,
}

/// The outcome: a history that equals the leader's.
#[derive(Clone, Debug)]
pub(crate) struct Synced {
    pub link: LinkId,
    pub epoch: Epoch,
    /// In the log and committed through this.
    pub ready: Zxid,
    pub backlog: Backlog,
}

impl Sync {
    pub fn begin(link: LinkId, epoch: Epoch, observer: bool) -> Sync {
        Sync { link, epoch, observer, step: Step::Plan }
    }

    pub fn link(&self) -> LinkId {
        self.link
    }
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// How long the leader may be silent; `None`: the edge watches the stream of a snapshot.
    pub fn patience(&self, core: &Core) -> Option<Millis> {
        match &self.step {
            Step::Replacing(Replacing { source: Source::Stream, .. }) => None,
            Step::Receiving(Receiving { acceptance: Acceptance::Acked, .. }) => Some(core.sync_time()),
            _ => Some(core.init_time()),
        }
    }

    pub fn on_packet(
        &mut self,
        core: &mut Core,
        packet: Packet,
        out: &mut Vec<Output>,
    ) -> Result<Option<Synced>, Misbehaved> {
        match &mut self.step {
            Step::Plan => self.on_plan(core, &packet, out)?,
            Step::Replacing(replacing) => replacing.hold(packet)?,
            Step::Receiving(receiving) => match packet {
                Packet::NewLeader { epoch, config } if receiving.acceptance == Acceptance::Before => {
                    if epoch != self.epoch {
                        return Err(Misbehaved::OtherEpoch { agreed: self.epoch, got: epoch });
                    }
                    if let Some(text) = config {
                        core.note_configuration_text(&text);
                    }
                    receiving.accept(core, epoch, out);
                }
                Packet::UpToDate { .. } if receiving.acceptance == Acceptance::Acked => {
                    send(self.link, Packet::Ack { zxid: Zxid::new(self.epoch, 0) }, out);
                    let backlog = receiving.backlog.clone();
                    let (link, epoch) = (self.link, self.epoch);
                    return Ok(Some(Synced { link, epoch, ready: core.history.last_logged(), backlog }));
                }
                packet => {
                    if let Some(zxid) = receiving.backlog.on_packet(packet, self.epoch, self.observer)? {
                        out.push(Output::Tell(Notice::PassedOver { zxid }));
                    }
                }
            },
        }
        Ok(None)
    }

    fn on_plan(&mut self, core: &mut Core, packet: &Packet, out: &mut Vec<Output>) -> Result<(), Misbehaved> {
        let last = core.usable_last();
        self.step = match packet {
            Packet::Diff { .. } if last != Zxid::NONE => Step::Receiving(Receiving::behind(last, Zxid::NONE)),
            &Packet::Trunc { zxid } => {
                if zxid >= last || zxid < Zxid::ZERO {
                    return Err(Misbehaved::TruncAhead { last_logged: last, got: zxid });
                }
                check_keeps_committed(core, zxid)?;
                core.truncate(zxid, out);
                Step::Replacing(Replacing { announced: zxid, source: Source::OwnLog, held: Vec::new() })
            }
            &Packet::Snap { zxid } => {
                check_keeps_committed(core, zxid)?;
                if zxid.epoch() > self.epoch {
                    return Err(Misbehaved::LaterEpoch { agreed: self.epoch, got: zxid });
                }
                Step::Replacing(Replacing { announced: zxid, source: Source::Stream, held: Vec::new() })
            }
            other => return Err(unexpected("DIFF, TRUNC or SNAP", other)),
        };
        Ok(())
    }

    /// The whole snapshot is there: it takes the place of our history.
    pub fn on_snapshot_received(&mut self, core: &mut Core, out: &mut Vec<Output>) {
        match &mut self.step {
            Step::Replacing(replacing) if replacing.source == Source::Stream => {
                replacing.source = Source::Snapshot;
                core.install(replacing.announced, out);
            }
            step => unreachable!("a snapshot was received where none was announced: {step:?}"),
        }
    }

    /// What was held back, to be handled now.
    pub fn on_state_replaced(&mut self, last: Zxid) -> Vec<Packet> {
        let Step::Replacing(replacing) = &mut self.step else {
            unreachable!("nothing is being replaced: {:?}", self.step)
        };
        assert_eq!(last, replacing.announced, "the disk answers what it was asked for");
        let held = std::mem::take(&mut replacing.held);
        let in_snapshot = if replacing.source == Source::Snapshot { last } else { Zxid::NONE };
        self.step = Step::Receiving(Receiving::behind(last, in_snapshot));
        held
    }

    /// The epoch is on disk, and before it everything that it stands for: acknowledge NEWLEADER.
    pub fn on_epoch_durable(&mut self, core: &Core, out: &mut Vec<Output>) -> bool {
        let Step::Receiving(receiving) = &mut self.step else { return false };
        if receiving.acceptance != Acceptance::Writing || !core.epochs.has_current(self.epoch) {
            return false;
        }
        receiving.acceptance = Acceptance::Acked;
        send(self.link, Packet::Ack { zxid: Zxid::new(self.epoch, 0) }, out);
        true
    }
}

/// A leader's history holds everything that is committed (paper, agreement). One that does not is no leader for us.
fn check_keeps_committed(core: &Core, zxid: Zxid) -> Result<(), Misbehaved> {
    if zxid < core.committed { Err(Misbehaved::Uncommit { committed: core.committed, got: zxid }) } else { Ok(()) }
}

impl Replacing {
    /// What may come behind the history that is being put in place. Another history cannot: only one is on its way, and each stream
    /// that ends is taken for the one that was announced.
    fn hold(&mut self, packet: Packet) -> Result<(), Misbehaved> {
        match packet {
            Packet::Proposal { .. }
            | Packet::Commit { .. }
            | Packet::CommitAndActivate { .. }
            | Packet::Inform { .. }
            | Packet::InformAndActivate { .. }
            | Packet::NewLeader { .. } => {
                self.held.push(packet);
                Ok(())
            }
            other => Err(unexpected("a proposal, a COMMIT or NEWLEADER behind the history that was announced", &other)),
        }
    }
}

impl Receiving {
    fn behind(last: Zxid, in_snapshot: Zxid) -> Receiving {
        let backlog = Backlog { last, in_snapshot, repeated: Zxid::NONE, proposals: VecDeque::new(), committed: 0 };
        Receiving { backlog, acceptance: Acceptance::Before }
    }

    /// NEWLEADER: what is committed goes into the log, then the epoch to disk.
    fn accept(&mut self, core: &mut Core, epoch: Epoch, out: &mut Vec<Output>) {
        for (zxid, txn) in self.backlog.take_committed() {
            core.append_proposed(zxid, txn, out);
        }
        core.ask_current_epoch(epoch, out);
        self.acceptance = Acceptance::Writing;
    }
}

impl Backlog {
    /// Answers with the zxid of a refused write that was passed over.
    fn on_packet(&mut self, packet: Packet, epoch: Epoch, observer: bool) -> Result<Option<Zxid>, Misbehaved> {
        match packet {
            Packet::Proposal { zxid, txn } => self.on_proposal(zxid, txn, epoch),
            Packet::Commit { zxid } | Packet::CommitAndActivate { zxid, .. } => self.on_commit(zxid).map(|()| None),
            Packet::Inform { zxid, txn } | Packet::InformAndActivate { zxid, txn, .. } if observer => {
                let passed_over = self.on_proposal(zxid, txn, epoch)?;
                self.on_commit(zxid)?;
                Ok(passed_over)
            }
            other => Err(unexpected("a proposal, a COMMIT, NEWLEADER or UPTODATE, in their order", &other)),
        }
    }

    fn on_proposal(&mut self, zxid: Zxid, txn: TxnBytes, epoch: Epoch) -> Result<Option<Zxid>, Misbehaved> {
        if zxid <= self.in_snapshot {
            return Ok(None);
        }
        if repeats_zxid(zxid, &txn, self.last) {
            self.repeated = zxid;
            return Ok(Some(zxid));
        }
        check_follows(zxid, self.last, epoch)?;
        self.last = zxid;
        self.proposals.push_back((zxid, txn));
        Ok(None)
    }

    fn on_commit(&mut self, zxid: Zxid) -> Result<(), Misbehaved> {
        if zxid <= self.in_snapshot {
            return Ok(());
        }
        match self.proposals.get(self.committed) {
            Some((oldest, _)) if *oldest == zxid => self.committed += 1,
            _ if zxid == self.repeated => {}
            oldest => return Err(Misbehaved::CommitMismatch { oldest: oldest.map(|(z, _)| *z), got: zxid }),
        }
        Ok(())
    }

    /// Committed transactions, oldest first.
    pub fn take_committed(&mut self) -> Vec<(Zxid, TxnBytes)> {
        let committed = std::mem::take(&mut self.committed);
        self.proposals.drain(..committed).collect()
    }

    /// The state before it came with a leader's snapshot.
    pub fn is_behind_snapshot(&self) -> bool {
        self.in_snapshot != Zxid::NONE
    }

    /// Everything, with how many are committed.
    pub fn take_all(&mut self) -> (VecDeque<(Zxid, TxnBytes)>, usize) {
        (std::mem::take(&mut self.proposals), std::mem::take(&mut self.committed))
    }
}
