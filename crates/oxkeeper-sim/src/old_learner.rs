//! A learner that acknowledges as release 3.8 of the reference does: outstanding proposals that came before NEWLEADER first, then
//! NEWLEADER, and each of them once.
//!
//! Ours logs them at UPTODATE. An established leader has nothing to wait for between the ACK of NEWLEADER and UPTODATE, so the edge
//! of such a learner gives it UPTODATE at once, lets its ACKs of outstanding proposals pass, and keeps back all else until they are
//! gone. Owns that order, for one link to a leader.

use oxkeeper_proto::quorum::Packet;
use oxkeeper_types::Zxid;

#[derive(Clone, Debug)]
pub struct OldLearner {
    proposed: Zxid,
    committed: Zxid,
    stage: Stage,
}

#[derive(Clone, Debug)]
enum Stage {
    /// Until the ACK of NEWLEADER.
    Synchronising,
    /// The ACKs through this go first.
    Holding {
        through: Zxid,
        held: Vec<Packet>,
    },
    /// The leader's UPTODATE is one too many.
    UpToDateIsOurs,
    Done,
}

impl Default for OldLearner {
    fn default() -> OldLearner {
        OldLearner { proposed: Zxid::ZERO, committed: Zxid::ZERO, stage: Stage::Synchronising }
    }
}

/// What becomes of a packet that the learner sends.
pub enum Sent {
    All(Vec<Packet>),
    /// Nothing yet; and the learner is to hear UPTODATE now.
    UpToDateNow,
}

impl OldLearner {
    /// From the leader. False where the learner is not to hear of it.
    pub fn hears(&mut self, packet: &Packet) -> bool {
        match packet {
            Packet::Proposal { zxid, .. } => self.proposed = *zxid,
            Packet::Commit { zxid } => self.committed = *zxid,
            Packet::UpToDate { .. } => {
                let ours = matches!(self.stage, Stage::UpToDateIsOurs);
                self.stage = Stage::Done;
                return !ours;
            }
            _ => {}
        }
        true
    }

    pub fn sends(&mut self, packet: Packet) -> Sent {
        match (&mut self.stage, packet) {
            (Stage::Synchronising, Packet::Ack { zxid }) if zxid.counter() == 0 && self.proposed > self.committed => {
                self.stage = Stage::Holding { through: self.proposed, held: vec![Packet::Ack { zxid }] };
                Sent::UpToDateNow
            }
            (Stage::Holding { through, held }, packet) => {
                let mut all = match packet {
                    Packet::Ack { zxid } if zxid.counter() > 0 && zxid <= *through => vec![packet],
                    packet => {
                        held.push(packet);
                        return Sent::All(Vec::new());
                    }
                };
                if matches!(all[0], Packet::Ack { zxid } if zxid == *through) {
                    all.append(held);
                    self.stage = Stage::UpToDateIsOurs;
                }
                Sent::All(all)
            }
            (_, packet) => Sent::All(vec![packet]),
        }
    }
}
