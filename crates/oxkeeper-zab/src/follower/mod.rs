//! A server that follows or observes a leader, from the dial to the loss of the link.
//!
//! Owns the link, the clock that says when the leader has been silent for too long, and the passage from phase to phase; each
//! phase is a struct that holds what is valid in it. Observers go through the same discovery and synchronisation, then
//! [`crate::observer`] takes the place of [`broadcast`]. Must not know how the leader was chosen, nor what comes after the
//! role: whatever goes wrong ends it (QP045, back to LOOKING).

mod broadcast;
mod discovery;
mod sync;
#[cfg(test)]
mod tests;

use oxkeeper_proto::quorum::Packet;
use oxkeeper_proto::txn::is_refusal;
use oxkeeper_types::{Epoch, Millis, ServerId, Zxid};

use crate::core::Core;
use crate::disk::Reign;
use crate::input::LinkId;
use crate::misbehaved::{Misbehaved, unexpected};
use crate::observer::Inform;
use crate::output::{LinkEnd, Output, RoleChange};
use crate::report;

use broadcast::Broadcast;
use discovery::Discovery;
use sync::{Sync, Synced};

#[derive(Clone, Debug)]
pub(crate) struct Follower {
    leader: ServerId,
    observer: bool,
    /// When the leader was heard from last, or the dial began.
    heard: Millis,
    /// See [`Follower::epoch_began`].
    epoch_began: Option<Zxid>,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    Dialling,
    Discovery(Discovery),
    Sync(Sync),
    Broadcast(Broadcast),
    Inform(Inform),
}

impl Follower {
    pub fn begin(now: Millis, leader: ServerId, observer: bool, out: &mut Vec<Output>) -> Follower {
        let follower = Follower { leader, observer, heard: now, epoch_began: None, phase: Phase::Dialling };
        out.push(Output::Role(follower.role_change(false)));
        out.push(Output::DialLeader { leader });
        follower
    }

    fn role_change(&self, serving: bool) -> RoleChange {
        let leader = self.leader;
        if self.observer {
            RoleChange::Observing { leader, serving }
        } else {
            RoleChange::Following { leader, serving }
        }
    }

    pub fn leader(&self) -> ServerId {
        self.leader
    }
    /// With the leader's own state, of a snapshot, goes the zxid that it shows before the first proposal of its epoch. Whoever has
    /// come there by transactions shows the last of them (OB016, reference `Learner.syncWithLeader`).
    pub fn epoch_began(&self) -> Option<Zxid> {
        self.epoch_began
    }
    pub fn link(&self) -> Option<LinkId> {
        match &self.phase {
            Phase::Dialling => None,
            Phase::Discovery(discovery) => Some(discovery.link()),
            Phase::Sync(sync) => Some(sync.link()),
            Phase::Broadcast(broadcast) => Some(broadcast.link()),
            Phase::Inform(inform) => Some(inform.link()),
        }
    }
    pub fn epoch(&self) -> Option<Epoch> {
        match &self.phase {
            Phase::Dialling => None,
            Phase::Discovery(discovery) => discovery.epoch(),
            Phase::Sync(sync) => Some(sync.epoch()),
            Phase::Broadcast(broadcast) => Some(broadcast.epoch()),
            Phase::Inform(inform) => Some(inform.epoch()),
        }
    }
    pub fn standing(&self) -> report::Standing {
        let phase = match self.phase {
            Phase::Dialling | Phase::Discovery(_) => report::Phase::Discovery,
            Phase::Sync(_) => report::Phase::Synchronisation,
            Phase::Broadcast(_) | Phase::Inform(_) => report::Phase::Broadcast,
        };
        if self.observer { report::Standing::Observing(phase) } else { report::Standing::Following(phase) }
    }

    /// The dial succeeded: introduce ourselves (QP032).
    pub fn on_connected(&mut self, core: &Core, now: Millis, link: LinkId, out: &mut Vec<Output>) {
        if !matches!(self.phase, Phase::Dialling) {
            out.push(Output::CloseLink { link, why: LinkEnd::RoleOver });
            return;
        }
        self.heard = now;
        self.phase = Phase::Discovery(Discovery::begin(core, link, self.observer, out));
    }

    pub fn on_packet(
        &mut self,
        core: &mut Core,
        now: Millis,
        packet: Packet,
        out: &mut Vec<Output>,
    ) -> Result<(), LinkEnd> {
        self.heard = now;
        match &mut self.phase {
            Phase::Dialling => unreachable!("a packet without a link"),
            // The replica answers PINGs, from UPTODATE on.
            _ if matches!(packet, Packet::Ping { .. }) => {}
            Phase::Discovery(discovery) => {
                discovery.on_packet(core, &packet, out)?;
                self.finish_discovery(core, out);
            }
            Phase::Sync(sync) => {
                if let Some(synced) = sync.on_packet(core, packet, out)? {
                    self.serve(core, synced, out);
                }
            }
            Phase::Broadcast(broadcast) => broadcast.on_packet(core, packet, out)?,
            Phase::Inform(inform) => inform.on_packet(core, packet, out)?,
        }
        Ok(())
    }

    /// An epoch is on disk, or the history that was put in place before it.
    pub fn on_epoch_durable(&mut self, core: &mut Core, now: Millis, asked_by: Reign, out: &mut Vec<Output>) {
        self.finish_discovery(core, out);
        let Phase::Sync(sync) = &mut self.phase else { return };
        let is_ours = asked_by == core.reign;
        if is_ours && sync.on_epoch_durable(core, out) {
            self.heard = now;
        }
    }

    /// These were appended by this role, and are on disk.
    pub fn on_logged(&mut self, zxids: &[Zxid], out: &mut Vec<Output>) {
        if let Phase::Broadcast(broadcast) = &self.phase {
            broadcast.on_logged(zxids, out);
        }
    }

    /// The leader's snapshot is there, and nowhere on disk yet.
    pub fn on_snapshot_received(&mut self, core: &mut Core, out: &mut Vec<Output>) -> Result<(), LinkEnd> {
        match &mut self.phase {
            Phase::Sync(sync) => sync.on_snapshot_received(core, out),
            phase => unreachable!("snapshots are received in synchronisation only: {phase:?}"),
        }
        Ok(())
    }

    /// The tree and the log are the ones that the leader wanted: go on with what has come meanwhile.
    pub fn on_state_replaced(
        &mut self,
        core: &mut Core,
        now: Millis,
        last: Zxid,
        out: &mut Vec<Output>,
    ) -> Result<(), LinkEnd> {
        let Phase::Sync(sync) = &mut self.phase else {
            unreachable!("the state is replaced in synchronisation only: {:?}", self.phase)
        };
        self.heard = now;
        for packet in sync.on_state_replaced(last) {
            if matches!(packet, Packet::Ping { .. }) {
                continue;
            }
            let Phase::Sync(sync) = &mut self.phase else {
                return Err(unexpected("nothing before the ACK of NEWLEADER", &packet).into());
            };
            if let Some(synced) = sync.on_packet(core, packet, out)? {
                self.serve(core, synced, out);
            }
        }
        Ok(())
    }

    /// When the leader has been silent for too long (QP006, QP098). `None` while the edge reads a snapshot: it watches the
    /// stream, and only it knows whether the state is still going to change.
    pub fn silent_at(&self, core: &Core) -> Option<Millis> {
        match &self.phase {
            Phase::Dialling | Phase::Discovery(_) => Some(self.heard + core.init_time()),
            Phase::Sync(sync) => sync.patience(core).map(|patience| self.heard + patience),
            Phase::Broadcast(_) | Phase::Inform(_) => Some(self.heard + core.sync_time()),
        }
    }

    /// ACKEPOCH may leave as soon as the promise is on disk, and this server is in synchronisation then.
    fn finish_discovery(&mut self, core: &Core, out: &mut Vec<Output>) {
        if let Phase::Discovery(discovery) = &mut self.phase
            && let Some(sync) = discovery.finish(core, self.observer, out)
        {
            self.phase = Phase::Sync(sync);
        }
    }

    /// UPTODATE: clients may be served (paper: deliver, then phase 3).
    fn serve(&mut self, core: &mut Core, synced: Synced, out: &mut Vec<Output>) {
        core.deliver(synced.ready, out);
        core.election.set_peer_epoch(synced.epoch);
        core.activate_configuration();
        self.epoch_began = synced.backlog.is_behind_snapshot().then_some(Zxid::new(synced.epoch, 0));
        out.push(Output::Role(self.role_change(true)));
        self.phase = if self.observer {
            Phase::Inform(Inform::begin(core, synced, out))
        } else {
            Phase::Broadcast(Broadcast::begin(core, synced, out))
        };
    }

    /// See [`crate::invariant`].
    pub fn invariants(&self, core: &Core) {
        match &self.phase {
            Phase::Broadcast(broadcast) => broadcast.invariants(core),
            Phase::Inform(inform) => inform.invariants(core),
            Phase::Dialling | Phase::Discovery(_) | Phase::Sync(_) => {}
        }
    }
}

pub(crate) use sync::Synced as SyncedHistory;

/// Whether a proposal is a refused write without a zxid of its own: leaders of releases 3.9.0 to 3.9.5 propose a request that they
/// cannot read under the last zxid that was given out, ⟨e, 0⟩ where none was. It changes nothing and is passed over. It is not
/// acknowledged: such a leader would commit it in the place of the transaction whose zxid it has.
pub(crate) fn repeats_zxid(zxid: Zxid, txn: &[u8], last: Zxid) -> bool {
    is_refusal(txn) && (zxid == last || (zxid.counter() == 0 && zxid > last))
}

/// What is checked of every transaction that is proposed: it comes next, and no leader later than ours has made it.
pub(crate) fn check_follows(zxid: Zxid, last: Zxid, epoch: Epoch) -> Result<(), Misbehaved> {
    if !zxid.follows(last) || zxid.counter() == 0 {
        return Err(Misbehaved::Gap { last, got: zxid });
    }
    if zxid.epoch() > epoch { Err(Misbehaved::LaterEpoch { agreed: epoch, got: zxid }) } else { Ok(()) }
}
