//! When a set of servers is a quorum: by majority, by weights in groups, under one configuration or under two at once.
//!
//! Owns the counting (reference `QuorumVerifier` and `SyncedLearnerTracker`). Must not know what is counted: votes of an
//! election, promises of an epoch or acknowledgements of a transaction.

mod ack_set;
mod hierarchical;
mod majority;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::Arc;

use oxkeeper_types::ServerId;
use oxkeeper_types::ensemble::{Ensemble, Weight};

pub use ack_set::AckSet;
use hierarchical::Hierarchical;
use majority::Majority;

/// What a quorum is under one configuration.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Rule {
    Majority(Majority),
    Hierarchical(Hierarchical),
}

/// What a quorum is: under the active configuration, and while a newer one is proposed and not active, under both.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Quorums {
    active: Rule,
    /// The last seen configuration, only while it is newer than the active one.
    proposed: Option<Rule>,
}

impl Quorums {
    /// `last_seen` counts only where its version is larger (reference `FastLeaderElection.getVoteTracker`,
    /// `Leader.lead`).
    pub fn new(active: &Ensemble, last_seen: Option<&Ensemble>) -> Quorums {
        let proposed = last_seen.filter(|seen| seen.version() > active.version()).map(Rule::of);
        Quorums { active: Rule::of(active), proposed }
    }

    /// Under one configuration alone.
    pub fn of(active: &Ensemble) -> Quorums {
        Quorums::new(active, None)
    }

    /// Whether `servers` hold a quorum of every configuration. Who does not vote in one is not counted there.
    pub fn contains(&self, servers: &BTreeSet<ServerId>) -> bool {
        self.rules().all(|rule| rule.contains(servers))
    }

    /// The same for those of the voters that `agrees` picks out; for a leader, who asks with every acknowledgement.
    pub fn contains_where(&self, agrees: impl Fn(ServerId) -> bool) -> bool {
        self.rules().all(|rule| rule.contains_where(&agrees))
    }

    /// Whether `server` votes in at least one configuration.
    pub fn is_voter(&self, server: ServerId) -> bool {
        self.rules().any(|rule| rule.voters().contains(&server))
    }

    /// Whether `server` votes in every configuration (reference `SyncedLearnerTracker.hasSid`).
    pub fn is_voter_of_all(&self, server: ServerId) -> bool {
        self.rules().all(|rule| rule.voters().contains(&server))
    }

    /// All that vote in at least one configuration.
    pub fn voters(&self) -> BTreeSet<ServerId> {
        self.rules().flat_map(|rule| rule.voters().iter().copied()).collect()
    }

    /// What `server` counts under the active configuration.
    pub fn weight(&self, server: ServerId) -> Weight {
        self.active.weight(server)
    }

    /// Whether there is a configuration in which the vote of `server` counts at all.
    pub fn counts(&self, server: ServerId) -> bool {
        self.rules().any(|rule| rule.voters().contains(&server) && rule.weight(server) > Weight(0))
    }

    /// An empty set of acknowledgements to be counted this way.
    pub fn count(self: &Arc<Self>) -> AckSet {
        AckSet::new(Arc::clone(self))
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        std::iter::once(&self.active).chain(&self.proposed)
    }
}

impl Rule {
    fn of(ensemble: &Ensemble) -> Rule {
        let voters = ensemble.voters().map(|member| member.id).collect();
        match ensemble.hierarchy() {
            None => Rule::Majority(Majority::new(voters)),
            Some(hierarchy) => Rule::Hierarchical(Hierarchical::new(voters, hierarchy)),
        }
    }

    fn voters(&self) -> &BTreeSet<ServerId> {
        match self {
            Rule::Majority(rule) => rule.voters(),
            Rule::Hierarchical(rule) => rule.voters(),
        }
    }

    fn contains(&self, servers: &BTreeSet<ServerId>) -> bool {
        match self {
            Rule::Majority(rule) => rule.contains(servers),
            Rule::Hierarchical(rule) => rule.contains(servers),
        }
    }

    fn contains_where(&self, agrees: impl Fn(ServerId) -> bool) -> bool {
        match self {
            Rule::Majority(rule) => {
                rule.voters().iter().filter(|voter| agrees(**voter)).count() > rule.voters().len() / 2
            }
            Rule::Hierarchical(rule) => {
                rule.contains(&rule.voters().iter().copied().filter(|voter| agrees(*voter)).collect())
            }
        }
    }

    fn weight(&self, server: ServerId) -> Weight {
        match self {
            Rule::Majority(_) => Weight(1),
            Rule::Hierarchical(rule) => rule.weight(server),
        }
    }
}
