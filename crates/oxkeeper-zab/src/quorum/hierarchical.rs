//! A majority of groups, each by a majority of the weight inside it (reference `QuorumHierarchical`).
//!
//! Owns weights and groups as far as they count. Must not know their text form.

use std::collections::{BTreeMap, BTreeSet};

use oxkeeper_types::ServerId;
use oxkeeper_types::ensemble::{GroupId, Hierarchy, Weight};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Hierarchical {
    voters: BTreeSet<ServerId>,
    hierarchy: Hierarchy,
    /// The whole weight of each group, members that do not vote included, as in the reference. Groups without weight are
    /// left out: they can never agree, so they do not count as groups.
    weight_of_group: BTreeMap<GroupId, u128>,
}

impl Hierarchical {
    pub(super) fn new(voters: BTreeSet<ServerId>, hierarchy: &Hierarchy) -> Hierarchical {
        let mut weight_of_group: BTreeMap<GroupId, u128> = BTreeMap::new();
        for (server, group) in &hierarchy.group_of {
            *weight_of_group.entry(*group).or_default() += u128::from(hierarchy.weight_of[server].0);
        }
        weight_of_group.retain(|_, weight| *weight > 0);
        Hierarchical { voters, hierarchy: hierarchy.clone(), weight_of_group }
    }

    pub(super) fn voters(&self) -> &BTreeSet<ServerId> {
        &self.voters
    }

    /// 0 for servers that the configuration does not know (the reference stops with a null pointer).
    pub(super) fn weight(&self, server: ServerId) -> Weight {
        self.hierarchy.weight_of.get(&server).copied().unwrap_or(Weight(0))
    }

    pub(super) fn contains(&self, servers: &BTreeSet<ServerId>) -> bool {
        let mut agreeing: BTreeMap<GroupId, u128> = BTreeMap::new();
        for server in servers.intersection(&self.voters) {
            *agreeing.entry(self.hierarchy.group_of[server]).or_default() += u128::from(self.weight(*server).0);
        }
        let groups =
            self.weight_of_group.iter().filter(|(group, weight)| agreeing.get(group).is_some_and(|w| *w > *weight / 2));
        groups.count() > self.weight_of_group.len() / 2
    }
}
