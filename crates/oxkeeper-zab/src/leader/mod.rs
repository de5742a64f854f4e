//! A server that was elected, from discovery until it gives up or is given up.
//!
//! Owns the learners and the passage from phase to phase. Learners come at any time, so each has a state of its own
//! ([`learner`]); the leader's phase says what it may do with them. Must not know how it was elected.

mod broadcast;
mod confirm;
mod discovery;
mod learner;
mod liveness;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use oxkeeper_proto::quorum::{AckEpoch, LEARNER_PROTOCOL, LearnerInfo, Packet};
use oxkeeper_types::ensemble::Ensemble;
use oxkeeper_types::{Epoch, Millis, ServerId, Zxid};

use crate::core::{Core, Verdict, send};
use crate::input::LinkId;
use crate::misbehaved::{Misbehaved, unexpected};
use crate::output::{LinkEnd, Output, RoleChange};
use crate::report::{self, LearnerReport};

use broadcast::Broadcast;
use discovery::Discovery;
use learner::{Learner, State};
use sync::Establishing;

#[derive(Clone, Debug)]
pub(crate) struct Leader {
    phase: Phase,
    /// Our epoch and last zxid when we were elected: nobody who votes may be ahead of it.
    summary: (Epoch, Zxid),
    /// Connected, and not introduced yet; since when.
    guests: BTreeMap<LinkId, Millis>,
    learners: BTreeMap<LinkId, Learner>,
    /// For learners that do not say who they are (QP027, a FOLLOWERINFO without data): counts down.
    anonymous: i64,
    /// When learners are looked after next: twice a tick.
    next_check: Millis,
    /// The quorum is looked at every other time.
    is_half_tick: bool,
}

#[derive(Clone, Debug)]
enum Phase {
    Discovery(Discovery),
    Sync(Establishing),
    Broadcast(Broadcast),
}

impl Leader {
    /// A new leader takes all of its log for history: it is going to be committed with the epoch.
    pub fn begin(core: &mut Core, now: Millis, out: &mut Vec<Output>) -> Leader {
        let summary = (core.epochs.current(), core.history.last_logged());
        core.history.offer(summary.1);
        out.push(Output::Role(RoleChange::Preparing { epoch: None }));
        let mut discovery = Discovery::begin(core, now);
        discovery.agree(core, now, out);
        Leader {
            phase: Phase::Discovery(discovery),
            summary,
            guests: BTreeMap::new(),
            learners: BTreeMap::new(),
            anonymous: -1,
            next_check: now + core.half_tick(),
            is_half_tick: true,
        }
    }

    pub fn epoch(&self) -> Option<Epoch> {
        match &self.phase {
            Phase::Discovery(discovery) => discovery.epoch(),
            Phase::Sync(establishing) => Some(establishing.epoch),
            Phase::Broadcast(broadcast) => Some(broadcast.epoch),
        }
    }
    pub fn standing(&self) -> report::Standing {
        report::Standing::Leading(match self.phase {
            Phase::Discovery(_) => report::Phase::Discovery,
            Phase::Sync(_) => report::Phase::Synchronisation,
            Phase::Broadcast(_) => report::Phase::Broadcast,
        })
    }
    pub fn next_zxid(&self, core: &Core) -> Option<Zxid> {
        match &self.phase {
            Phase::Broadcast(broadcast) => broadcast::next_zxid(core, broadcast.epoch),
            Phase::Discovery(_) | Phase::Sync(_) => None,
        }
    }
    pub fn is_established(&self) -> bool {
        matches!(self.phase, Phase::Broadcast(_))
    }
    pub fn learner_of(&self, link: LinkId) -> Option<ServerId> {
        self.learners.get(&link).filter(|learner| learner.is_synced()).map(|learner| learner.id)
    }
    pub fn learners(&self) -> Vec<LearnerReport> {
        let report = |(link, learner): (&LinkId, &Learner)| LearnerReport {
            server: learner.id,
            link: *link,
            observer: learner.observer,
            synced: learner.is_synced(),
            acked: learner.acked,
        };
        self.learners.iter().map(report).collect()
    }
    /// Every link that is open.
    pub fn links(&self) -> impl Iterator<Item = LinkId> {
        self.guests.keys().chain(self.learners.keys()).copied()
    }
    pub fn has_link(&self, link: LinkId) -> bool {
        self.guests.contains_key(&link) || self.learners.contains_key(&link)
    }

    pub fn on_connected(&mut self, now: Millis, link: LinkId) {
        self.guests.insert(link, now);
    }

    /// The link is gone.
    pub fn on_closed(&mut self, core: &Core, now: Millis, link: LinkId, out: &mut Vec<Output>) -> Verdict {
        self.guests.remove(&link);
        if self.learners.remove(&link).is_none() {
            return Verdict::Stay;
        }
        self.after_loss(core, now, out)
    }

    /// Closes the link of a learner that is no good.
    fn close(&mut self, link: LinkId, why: LinkEnd, out: &mut Vec<Output>) {
        self.guests.remove(&link);
        self.learners.remove(&link);
        out.push(Output::CloseLink { link, why });
    }

    /// A place may be free, a quorum may be lost.
    fn after_loss(&mut self, core: &Core, now: Millis, out: &mut Vec<Output>) -> Verdict {
        if !self.has_quorum(core) {
            return Verdict::Over(LinkEnd::RoleOver);
        }
        self.synchronise_waiting(core, now, out);
        Verdict::Stay
    }

    pub fn on_packet(
        &mut self,
        core: &mut Core,
        now: Millis,
        link: LinkId,
        packet: Packet,
        out: &mut Vec<Output>,
    ) -> Verdict {
        let handled = if self.guests.contains_key(&link) {
            self.on_introduction(core, now, link, &packet, out)
        } else {
            self.on_learner_packet(core, now, link, &packet, out)
        };
        match handled {
            Ok(verdict) => verdict,
            Err(how) => {
                self.close(link, how.into(), out);
                self.after_loss(core, now, out)
            }
        }
    }

    /// FOLLOWERINFO or OBSERVERINFO (QP026 to QP029, what it holds: id, version of the protocol, version of the configuration).
    fn on_introduction(
        &mut self,
        core: &mut Core,
        now: Millis,
        link: LinkId,
        packet: &Packet,
        out: &mut Vec<Output>,
    ) -> Result<Verdict, Misbehaved> {
        let (observer, accepted, info) = match packet {
            Packet::FollowerInfo { accepted_epoch, info } => (false, *accepted_epoch, *info),
            Packet::ObserverInfo { accepted_epoch, info } => (true, *accepted_epoch, *info),
            other => return Err(unexpected("FOLLOWERINFO or OBSERVERINFO", other)),
        };
        let id = self.check_introduction(core, accepted, info)?;
        let is_member = core.election.ensemble().member(id).is_some();
        if is_member {
            let at_most = core.epochs.believable_max();
            if accepted > at_most {
                return Err(Misbehaved::EpochFar { at_most, got: accepted });
            }
            core.promised_elsewhere = core.promised_elsewhere.max(accepted);
        }
        if matches!(&self.phase, Phase::Discovery(discovery) if discovery.has_no_epoch()) {
            return Err(Misbehaved::EpochsUsedUp { accepted: core.epochs.accepted() });
        }
        if self.epoch().is_some_and(|epoch| accepted > epoch) && is_member {
            // It has promised a later epoch to a leader that came to nothing, so it may never follow this one. A member that
            // is locked out costs more than an election. The reference leaves it out.
            return Ok(Verdict::Over(LinkEnd::RoleOver));
        }
        self.guests.remove(&link);
        let earlier: Vec<LinkId> = self.learners.iter().filter(|(_, l)| l.id == id).map(|(link, _)| *link).collect();
        for earlier in earlier {
            self.close(earlier, LinkEnd::Replaced, out);
        }
        self.learners.insert(link, Learner::new(id, observer, now));
        if let Phase::Discovery(discovery) = &mut self.phase {
            discovery.on_introduced(id, observer || !is_member, if is_member { accepted } else { Epoch(0) });
            discovery.agree(core, now, out);
        }
        self.send_leader_info(core, now, out);
        self.synchronise_waiting(core, now, out);
        Ok(Verdict::Stay)
    }

    fn check_introduction(&mut self, core: &Core, accepted: Epoch, info: LearnerInfo) -> Result<ServerId, Misbehaved> {
        if info.protocol_version < LEARNER_PROTOCOL {
            return Err(Misbehaved::OldProtocol { got: info.protocol_version });
        }
        let ours = core.election.ensemble().version();
        if info.config_version > ours {
            return Err(Misbehaved::ConfigAhead { ours, got: info.config_version });
        }
        if accepted < Epoch(0) {
            return Err(Misbehaved::BadEpoch { got: accepted });
        }
        let id = info.server.unwrap_or_else(|| {
            let id = ServerId(self.anonymous);
            self.anonymous -= 1;
            id
        });
        if id == core.me() { Err(Misbehaved::OurId { id }) } else { Ok(id) }
    }

    /// To all that wait for it, once our own promise is on disk; to late learners at once.
    fn send_leader_info(&mut self, core: &Core, now: Millis, out: &mut Vec<Output>) {
        let promised = match &self.phase {
            Phase::Discovery(discovery) => discovery.promised(core),
            Phase::Sync(_) | Phase::Broadcast(_) => self.epoch(),
        };
        let Some(epoch) = promised else { return };
        for (link, learner) in self.learners.iter_mut().filter(|(_, l)| matches!(l.state, State::Introduced)) {
            send(*link, Packet::LeaderInfo { epoch, protocol_version: LEARNER_PROTOCOL }, out);
            learner.enter(State::EpochSent, now);
        }
    }

    fn on_learner_packet(
        &mut self,
        core: &mut Core,
        now: Millis,
        link: LinkId,
        packet: &Packet,
        out: &mut Vec<Output>,
    ) -> Result<Verdict, Misbehaved> {
        let learner = self.learners.get_mut(&link).expect("a packet comes from a guest or a learner");
        learner.heard = now;
        match (&mut learner.state, packet) {
            (State::EpochSent, Packet::AckEpoch(ack)) => self.on_ack_epoch(core, now, link, *ack, out),
            (State::EpochSent, other) => Err(unexpected("ACKEPOCH", other)),
            (State::Syncing(_), Packet::Ack { zxid }) => self.on_sync_ack(core, now, link, *zxid, out),
            (State::Syncing(_), other) => Err(unexpected("ACK of NEWLEADER", other)),
            (State::Broadcast(_), Packet::Ack { zxid }) => self.on_ack(core, link, *zxid, out),
            (State::Synced, Packet::Ack { zxid }) if zxid.counter() != 0 => self.on_ack(core, link, *zxid, out),
            (State::Broadcast(progress), Packet::Ping { .. }) => {
                progress.on_ping()?;
                self.check_confirmation(core, out);
                Ok(Verdict::Stay)
            }
            (State::Broadcast(_), other) => Err(unexpected("ACK or PING", other)),
            (_, other) => Err(unexpected("nothing, before we have answered", other)),
        }
    }

    /// QP037, a quorum of ACKEPOCH from voters that are not ahead of us. A second answer to the same epoch (-1) does not count, nor
    /// does one of a server that knows of no history: it may have lost one. Which history a voter has, and whether ours can be built
    /// upon it, are two facts.
    fn on_ack_epoch(
        &mut self,
        core: &mut Core,
        now: Millis,
        link: LinkId,
        ack: AckEpoch,
        out: &mut Vec<Output>,
    ) -> Result<Verdict, Misbehaved> {
        if let Phase::Discovery(discovery) = &self.phase {
            check_history(discovery.epoch().expect("LEADERINFO was sent in an epoch"), ack)?;
        }
        let learner = self.learners.get_mut(&link).expect("a learner");
        learner.enter(State::EpochAcked { last: ack.last_zxid }, now);
        let (id, observer) = (learner.id, learner.observer);
        if let Phase::Discovery(discovery) = &mut self.phase
            && let Some(current) = ack.current_epoch.filter(|_| !observer && core.quorums().is_voter(id))
        {
            let end = ack.end_of_history();
            if discovery::is_ahead((current, end.unwrap_or(Zxid::NONE)), self.summary) {
                return Ok(Verdict::Over(LinkEnd::RoleOver));
            }
            if end.is_some() {
                discovery.on_promise(id);
            }
        }
        self.advance(core, now, out);
        self.synchronise_waiting(core, now, out);
        Ok(Verdict::Stay)
    }

    /// Acknowledgement of NEWLEADER, or of a proposal before it by a server of release 3.8.0 (BG009, an ACK of a proposal that comes
    /// before that of NEWLEADER).
    fn on_sync_ack(
        &mut self,
        core: &mut Core,
        now: Millis,
        link: LinkId,
        zxid: Zxid,
        out: &mut Vec<Output>,
    ) -> Result<Verdict, Misbehaved> {
        let epoch = self.epoch().expect("NEWLEADER was sent in an epoch");
        if zxid.counter() != 0 {
            return self.on_ack(core, link, zxid, out);
        }
        if zxid.epoch() != epoch {
            return Err(Misbehaved::OtherEpoch { agreed: epoch, got: zxid.epoch() });
        }
        let learner = self.learners.get_mut(&link).expect("a learner");
        learner.enter(State::Synced, now);
        let (id, observer) = (learner.id, learner.observer);
        match &mut self.phase {
            Phase::Discovery(_) => unreachable!("NEWLEADER is sent in synchronisation"),
            Phase::Sync(establishing) => {
                if !observer {
                    establishing.acked.add(id);
                }
                self.advance(core, now, out);
            }
            Phase::Broadcast(_) => {
                self.send_up_to_date(link, now, out);
                // From here on what it has acknowledged counts, and some of that may have come already. (Before the epoch is
                // established nothing is proposed, so there is nothing to acknowledge.)
                if let Verdict::Over(why) = self.commit_acked(core, out) {
                    return Ok(Verdict::Over(why));
                }
            }
        }
        self.synchronise_waiting(core, now, out);
        Ok(Verdict::Stay)
    }

    /// An epoch of ours is on disk.
    pub fn on_epoch_durable(&mut self, core: &mut Core, now: Millis, out: &mut Vec<Output>) {
        match &mut self.phase {
            Phase::Discovery(discovery) => {
                if discovery.promised(core).is_some() {
                    discovery.on_promise(core.me());
                }
                self.send_leader_info(core, now, out);
            }
            Phase::Sync(establishing) => {
                if core.epochs.has_current(establishing.epoch) {
                    establishing.acked.add(core.me());
                }
            }
            Phase::Broadcast(_) => {}
        }
        self.advance(core, now, out);
    }

    /// To the next phase, if there is a quorum for it.
    fn advance(&mut self, core: &mut Core, now: Millis, out: &mut Vec<Output>) {
        match &self.phase {
            Phase::Discovery(discovery) => {
                let Some(epoch) = discovery.agreed(core) else { return };
                self.begin_sync(core, now, epoch, out);
            }
            Phase::Sync(establishing) => {
                if establishing.is_done(core) {
                    let epoch = establishing.epoch;
                    self.establish(core, now, epoch, out);
                }
            }
            Phase::Broadcast(_) => {}
        }
    }

    fn begin_sync(&mut self, core: &mut Core, now: Millis, epoch: Epoch, out: &mut Vec<Output>) {
        name_first_configuration(core, epoch);
        core.ask_current_epoch(epoch, out);
        let acked = core.quorums().count();
        self.phase = Phase::Sync(Establishing { epoch, since: now, acked });
        out.push(Output::Role(RoleChange::Preparing { epoch: Some(epoch) }));
        self.synchronise_waiting(core, now, out);
    }

    /// See [`crate::invariant`].
    pub fn invariants(&self, core: &Core) {
        let last = core.history.last_logged();
        let Phase::Broadcast(broadcast) = &self.phase else {
            // Primary integrity: nothing is proposed before the history is everybody's.
            assert_eq!(last, self.summary.1, "the log grew in phase {:?}", self.standing());
            return;
        };
        let epoch = broadcast.epoch;
        assert!(
            core.epochs.has_current(epoch) && core.epochs.accepted() == epoch,
            "leading in epoch {epoch:?} with {:?}",
            core.epochs
        );
        assert!(last.epoch() <= epoch, "{last} was logged by a leader of epoch {epoch:?}");
        assert_eq!(core.history.offered(), core.committed, "offered and committed");
    }
}

/// A server that promises an epoch for the first time has nothing of it, nor of a later one. Whoever says so cannot end the role with
/// it.
fn check_history(promised: Epoch, ack: AckEpoch) -> Result<(), Misbehaved> {
    let Some(current) = ack.current_epoch else { return Ok(()) };
    let newest = ack.end_of_history().map_or(current, |end| end.epoch().max(current));
    if newest >= promised { Err(Misbehaved::HistoryAhead { promised, got: newest }) } else { Ok(()) }
}

/// The first configuration, version 0, gets the zxid of the first NEWLEADER for a version, so that it takes precedence over
/// others that were never established (QP044, ZOOKEEPER-1783).
fn name_first_configuration(core: &mut Core, epoch: Epoch) {
    let active = core.election.ensemble();
    let is_first = active.version() == Zxid::ZERO
        && core.election.last_seen().is_none_or(|seen: &Ensemble| seen.version() == Zxid::ZERO);
    if is_first {
        let mut named = active.clone();
        named.set_version(Zxid::new(epoch, 0));
        core.note_configuration(named);
    }
}
