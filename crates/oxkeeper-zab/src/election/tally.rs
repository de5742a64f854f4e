//! The last ballot of each voter, and who stands behind one.
//!
//! Owns the two sets of reference `FastLeaderElection.lookForLeader`, `recvset` and `outofelection`, as one type.
//! Must not know when to count.

use std::collections::BTreeMap;
use std::sync::Arc;

use oxkeeper_proto::election::PeerState;
use oxkeeper_types::ServerId;

use super::vote::Ballot;
use crate::quorum::{AckSet, Quorums};

#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    ballots: BTreeMap<ServerId, Ballot>,
}

impl Tally {
    pub(super) fn cast(&mut self, voter: ServerId, ballot: Ballot) {
        self.ballots.insert(voter, ballot);
    }

    pub(super) fn clear(&mut self) {
        self.ballots.clear();
    }

    /// Who has cast a ballot that agrees with this one.
    pub(super) fn supporters(&self, ballot: &Ballot, quorums: &Arc<Quorums>) -> AckSet {
        let mut supporters = quorums.count();
        for (voter, other) in &self.ballots {
            if ballot.agrees_with(other) {
                supporters.add(*voter);
            }
        }
        supporters
    }

    /// Whether `leader` itself has said that it leads. Without that, servers would go on electing one that has crashed,
    /// from the memory of its followers (reference `checkLeader`, EL050).
    pub(super) fn says_it_leads(&self, leader: ServerId) -> bool {
        self.ballots.get(&leader).is_some_and(|ballot| ballot.state == PeerState::Leading)
    }
}
