//! What consensus tells about itself: plain data for four-letter words, metrics and tests.
//!
//! Owns no state. Must not know how any of it is shown.

use std::collections::BTreeSet;

use oxkeeper_types::{Epoch, Millis, ServerId, Zxid};

use crate::input::LinkId;

/// Where a server stands, with the phase of the protocol.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    Looking,
    Leading(Phase),
    Following(Phase),
    Observing(Phase),
}

/// Phases 1 to 3 of the paper.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Phase {
    Discovery,
    Synchronisation,
    Broadcast,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ZabReport {
    pub me: ServerId,
    pub standing: Standing,
    /// The epoch that this server leads or follows in, as soon as it is agreed upon.
    pub epoch: Option<Epoch>,
    /// Whoever is elected, from the election on.
    pub leader: Option<ServerId>,
    pub accepted_epoch: Epoch,
    pub current_epoch: Epoch,
    pub last_logged: Zxid,
    /// Everything through this is known to be committed. [`Zxid::ZERO`] until a leader has said so since the start.
    pub last_committed: Zxid,
    /// Members that vote, of all configurations in force.
    pub voters: BTreeSet<ServerId>,
    /// Leading only: followers and observers, by link.
    pub learners: Vec<LearnerReport>,
    /// Round of the election, and how long the last election took that ended.
    pub election_round: i64,
    pub election_time: Option<Millis>,
    /// Leading only: proposals without a quorum yet.
    pub outstanding: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LearnerReport {
    pub server: ServerId,
    pub link: LinkId,
    pub observer: bool,
    /// UPTODATE was sent.
    pub synced: bool,
    /// Its log is on disk through this, as far as it has said. Observers say nothing.
    pub acked: Zxid,
}

impl ZabReport {
    /// Leading in broadcast: proposals are taken.
    pub fn is_established_leader(&self) -> bool {
        self.standing == Standing::Leading(Phase::Broadcast)
    }
    /// `mntr`: followers that are synced, and observers that are.
    pub fn synced_followers(&self) -> usize {
        self.learners.iter().filter(|l| l.synced && !l.observer).count()
    }
    pub fn synced_observers(&self) -> usize {
        self.learners.iter().filter(|l| l.synced && l.observer).count()
    }
}
