//! More than half of the voters (reference `QuorumMaj`).
//!
//! Owns the count of heads. Must not know weights.

use std::collections::BTreeSet;

use oxkeeper_types::ServerId;

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Majority {
    voters: BTreeSet<ServerId>,
}

impl Majority {
    pub(super) fn new(voters: BTreeSet<ServerId>) -> Majority {
        Majority { voters }
    }

    pub(super) fn voters(&self) -> &BTreeSet<ServerId> {
        &self.voters
    }

    pub(super) fn contains(&self, servers: &BTreeSet<ServerId>) -> bool {
        servers.intersection(&self.voters).count() > self.voters.len() / 2
    }
}
