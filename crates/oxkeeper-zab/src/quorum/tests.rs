//! Counting against a twin that goes through the definition word by word.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use oxkeeper_types::ServerId;
use oxkeeper_types::ensemble::{Ensemble, MemberRules};
use proptest::prelude::*;

use super::*;

fn ensemble(text: &str) -> Ensemble {
    Ensemble::from_text(text, MemberRules::default()).unwrap()
}

/// What each of the servers 0..9 is.
#[derive(Clone, Debug)]
struct Plan {
    /// Not a member, an observer, a voter (more likely).
    roles: Vec<u8>,
    /// Group and weight; `None`: every voter counts the same.
    groups: Option<Vec<(u8, u64)>>,
    version: u64,
}

impl Plan {
    fn voters(&self) -> Vec<usize> {
        (0..self.roles.len()).filter(|id| self.roles[*id] > 1).collect()
    }

    fn ensemble(&self) -> Ensemble {
        let mut text = format!("version={:x}\n", self.version);
        for (id, role) in self.roles.iter().enumerate().filter(|(_, role)| **role > 0) {
            text += &format!("server.{id}=h:1:2:{}\n", if *role > 1 { "participant" } else { "observer" });
        }
        if let Some(groups) = &self.groups {
            let mut lists: BTreeMap<u8, Vec<String>> = BTreeMap::new();
            for id in self.voters() {
                lists.entry(groups[id].0).or_default().push(id.to_string());
                text += &format!("weight.{id}={}\n", groups[id].1);
            }
            for (group, list) in lists {
                text += &format!("group.{group}={}\n", list.join(":"));
            }
        }
        ensemble(&text)
    }

    /// The definition: a majority of voters; or of the groups with weight, more than half of whose weight agrees.
    fn is_quorum(&self, servers: &BTreeSet<ServerId>) -> bool {
        let agrees = |id: &usize| servers.contains(&ServerId(*id as i64));
        let Some(groups) = &self.groups else {
            let (yes, no): (Vec<usize>, Vec<usize>) = self.voters().into_iter().partition(agrees);
            return yes.len() > no.len();
        };
        let (mut agreeing, mut others) = (0, 0);
        for group in 0..=u8::MAX {
            let (mut yes, mut no) = (0, 0);
            for id in self.voters().into_iter().filter(|id| groups[*id].0 == group) {
                *(if agrees(&id) { &mut yes } else { &mut no }) += groups[id].1;
            }
            match yes + no {
                0 => {}
                _ if yes > no => agreeing += 1,
                _ => others += 1,
            }
        }
        agreeing > others
    }
}

fn plan() -> impl Strategy<Value = Plan> {
    let roles = prop::collection::vec(0u8..6, 9);
    let groups = prop::option::of(prop::collection::vec((1u8..5, 0u64..4), 9));
    (roles, groups, 0u64..3)
        .prop_map(|(roles, groups, version)| Plan { roles, groups, version })
        .prop_filter("groups need a voter", |plan| plan.groups.is_none() || !plan.voters().is_empty())
}

fn servers() -> impl Strategy<Value = BTreeSet<ServerId>> {
    prop::collection::btree_set((0i64..11).prop_map(ServerId), 0..11)
}

proptest! {
    #[test]
    fn one_configuration_counts_by_the_definition(plan in plan(), servers in servers()) {
        prop_assert_eq!(Quorums::of(&plan.ensemble()).contains(&servers), plan.is_quorum(&servers));
    }

    #[test]
    fn a_newer_configuration_must_agree_too(plan in plan(), seen in plan(), servers in servers()) {
        let quorums = Arc::new(Quorums::new(&plan.ensemble(), Some(&seen.ensemble())));
        let both = seen.version > plan.version;
        let expected = plan.is_quorum(&servers) && (!both || seen.is_quorum(&servers));
        prop_assert_eq!(quorums.contains(&servers), expected);
        let mut acks = quorums.count();
        for server in &servers {
            let votes = |plan: &Plan| plan.voters().contains(&(server.0 as usize));
            let counted = votes(&plan) || (both && votes(&seen));
            prop_assert_eq!(acks.add(*server), counted);
            prop_assert_eq!(acks.contains(*server), counted);
            prop_assert_eq!(quorums.is_voter_of_all(*server), votes(&plan) && (!both || votes(&seen)));
        }
        prop_assert_eq!(acks.has_quorum(), expected);
        prop_assert!(acks.servers().is_subset(&quorums.voters()));
    }

    #[test]
    fn two_quorums_share_a_server(plan in plan(), one in servers(), other in servers()) {
        let quorums = Quorums::of(&plan.ensemble());
        if quorums.contains(&one) && quorums.contains(&other) {
            prop_assert!(one.intersection(&other).next().is_some());
        }
    }
}

#[test]
fn nobody_is_no_quorum_even_without_voters() {
    let none = Quorums::of(&ensemble("server.1=h:1:2:observer"));
    assert!(!none.contains(&BTreeSet::new()) && !none.contains(&[ServerId(1)].into()));
}

#[test]
fn weights_are_those_of_the_active_configuration() {
    let weighed = ensemble("server.1=h:1:2\nserver.2=h:1:2\ngroup.1=1:2\nweight.2=0");
    let newer = ensemble("server.1=h:1:2\nserver.2=h:1:2\nserver.3=h:1:2\nversion=1");
    let quorums = Quorums::new(&weighed, Some(&newer));
    assert_eq!([1, 2, 3].map(|id| quorums.weight(ServerId(id)).0), [1, 0, 0]);
    assert_eq!([1, 2, 3, 4].map(|id| quorums.counts(ServerId(id))), [true, true, true, false]);
    assert!(!Quorums::of(&weighed).counts(ServerId(2)));
}

#[test]
fn weights_may_be_as_large_as_they_can_be_written() {
    let max = u64::MAX;
    let heavy = ensemble(&format!("server.1=h:1:2\nserver.2=h:1:2\ngroup.1=1:2\nweight.1={max}\nweight.2={max}"));
    let quorums = Quorums::of(&heavy);
    assert!(!quorums.contains(&[ServerId(1)].into()) && quorums.contains(&[ServerId(1), ServerId(2)].into()));
}
