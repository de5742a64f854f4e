//! Phase 1 on a learner: FOLLOWERINFO (paper: CEPOCH), LEADERINFO (NEWEPOCH), ACKEPOCH (ACK-E).
//!
//! Owns the promise not to follow an older epoch. Must not know histories beyond the last zxid.

use oxkeeper_proto::quorum::{AckEpoch, LEARNER_PROTOCOL, LearnerInfo, Packet};
use oxkeeper_types::Epoch;

use super::sync::Sync;
use crate::core::{Core, send};
use crate::input::LinkId;
use crate::misbehaved::{Misbehaved, unexpected};
use crate::output::Output;

#[derive(Clone, Debug)]
pub(super) struct Discovery {
    link: LinkId,
    /// From LEADERINFO on: the answer, which waits for the promise to be on disk.
    answer: Option<Answer>,
}

#[derive(Clone, Debug)]
struct Answer {
    epoch: Epoch,
    current_epoch: Option<Epoch>,
}

impl Discovery {
    pub fn begin(core: &Core, link: LinkId, observer: bool, out: &mut Vec<Output>) -> Discovery {
        let accepted_epoch = core.epochs.accepted();
        let info = LearnerInfo {
            server: Some(core.me()),
            protocol_version: LEARNER_PROTOCOL,
            config_version: core.election.ensemble().version(),
        };
        let hello = if observer {
            Packet::ObserverInfo { accepted_epoch, info }
        } else {
            Packet::FollowerInfo { accepted_epoch, info }
        };
        send(link, hello, out);
        Discovery { link, answer: None }
    }

    pub fn link(&self) -> LinkId {
        self.link
    }
    pub fn epoch(&self) -> Option<Epoch> {
        self.answer.as_ref().map(|answer| answer.epoch)
    }

    /// QP035, the promise of LEADERINFO's epoch. Two answers to one epoch would let it be agreed upon twice, so the second one is
    /// marked as none.
    pub fn on_packet(&mut self, core: &mut Core, packet: &Packet, out: &mut Vec<Output>) -> Result<(), Misbehaved> {
        let &Packet::LeaderInfo { epoch, protocol_version } = packet else {
            return Err(unexpected("LEADERINFO", packet));
        };
        if self.answer.is_some() {
            return Err(unexpected("DIFF, TRUNC or SNAP", packet));
        }
        if protocol_version < LEARNER_PROTOCOL {
            return Err(Misbehaved::OldProtocol { got: protocol_version });
        }
        let accepted = core.epochs.accepted();
        if epoch < accepted {
            return Err(Misbehaved::EpochBehind { accepted, got: epoch });
        }
        if !core.epochs.may_be_offered(epoch) {
            return Err(Misbehaved::EpochNearEnd { accepted, got: epoch });
        }
        let is_new = epoch > accepted;
        self.answer = Some(Answer { epoch, current_epoch: is_new.then(|| core.epochs.current()) });
        if is_new {
            core.ask_accepted_epoch(epoch, out);
        }
        Ok(())
    }

    /// Sends ACKEPOCH if the promise is on disk.
    pub fn finish(&mut self, core: &Core, observer: bool, out: &mut Vec<Output>) -> Option<Sync> {
        let answer = self.answer.as_ref()?;
        if !core.epochs.has_accepted(answer.epoch) {
            return None;
        }
        let (last_zxid, kept) = (core.usable_last(), core.unusable_last());
        send(self.link, Packet::AckEpoch(AckEpoch { current_epoch: answer.current_epoch, last_zxid, kept }), out);
        Some(Sync::begin(self.link, answer.epoch, observer))
    }
}
