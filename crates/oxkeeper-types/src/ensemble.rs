//! The members of an ensemble: who votes, where each is reached, with what weight, and under which version.
//!
//! Owns the text form that stands in `server.N` lines, in `/zookeeper/config` and in dynamic configuration files;
//! old servers compare it byte for byte, so it is kept exactly as the reference writes it (`QuorumServer.toString`,
//! `QuorumMaj.toString`, `QuorumHierarchical.toString`). Must not know files, name look-up, or how quorums are counted.

mod member;
mod order;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

pub use member::{HostPort, Member, MemberAddress, MemberError, MemberRules, Role};

use crate::id::{ServerId, Zxid};

/// The number of a group of servers in a hierarchical ensemble (`group.N`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct GroupId(pub i64);

/// How much a server's vote counts inside its group. 0: never counts, never leads.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Weight(pub u64);

/// Groups and weights (`group.N`, `weight.N`). With them a quorum is a majority of groups, each by a majority of weight.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hierarchy {
    /// The group of each server. Every voter is in exactly one.
    pub group_of: BTreeMap<ServerId, GroupId>,
    /// The weight of each server in a group; 1 unless a `weight.N` line says otherwise.
    pub weight_of: BTreeMap<ServerId, Weight>,
}

/// One version of the membership.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Ensemble {
    members: BTreeMap<ServerId, Member>,
    hierarchy: Option<Hierarchy>,
    version: Zxid,
}

/// Why lines do not describe an ensemble. Each variant names the key it is about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum EnsembleError {
    /// The text after the dot of `server.`, `group.` or `weight.` is not a whole number from 0.
    Number { key: String },
    /// A member line that cannot be read.
    Member { key: String, value: String, error: MemberError },
    /// A group's value is not a colon-separated list of server numbers.
    GroupList { key: String, value: String },
    /// A weight that is not a whole number from 0.
    WeightNumber { key: String, value: String },
    /// The version is not a hexadecimal number.
    Version { value: String },
    /// A voter that no group names.
    NotInGroup { server: ServerId },
    /// A server that two groups name.
    InManyGroups { server: ServerId },
    /// A group names a server that does not vote and has no weight (the reference stops with a null pointer).
    GroupOfStrangers { server: ServerId },
    /// A line that is neither a member, a group, a weight nor a version.
    UnknownKey { key: String },
}

impl Ensemble {
    /// Reads key and value pairs as they stand in a configuration file; keys that do not belong to the membership
    /// are left alone. Of two lines with the same key the later one counts.
    pub fn from_entries<'a>(
        entries: impl IntoIterator<Item = (&'a str, &'a str)>,
        rules: MemberRules,
    ) -> Result<Ensemble, EnsembleError> {
        let mut ensemble = Ensemble::default();
        let mut groups: BTreeMap<GroupId, Vec<ServerId>> = BTreeMap::new();
        let mut weights: BTreeMap<ServerId, Weight> = BTreeMap::new();
        for (key, value) in entries {
            let value = value.trim();
            if let Some(number) = key.strip_prefix("server.") {
                let id = ServerId(number_of(key, number)?);
                let member = Member::parse(id, value, rules).map_err(|error| EnsembleError::Member {
                    key: key.to_string(),
                    value: value.to_string(),
                    error,
                })?;
                ensemble.members.insert(id, member);
            } else if let Some(number) = key.strip_prefix("group.") {
                groups.insert(GroupId(number_of(key, number)?), group_list(key, value)?);
            } else if let Some(number) = key.strip_prefix("weight.") {
                let id = ServerId(number_of(key, number)?);
                let weight = value
                    .parse()
                    .map(Weight)
                    .map_err(|_| EnsembleError::WeightNumber { key: key.to_string(), value: value.to_string() })?;
                weights.insert(id, weight);
            } else if key == "version" {
                ensemble.version = parse_version(value)?;
            }
        }
        if !groups.is_empty() || !weights.is_empty() {
            ensemble.hierarchy = Some(ensemble.check_groups(groups, weights)?);
        }
        Ok(ensemble)
    }

    /// Reads the text form: one `key=value` on a line. For text that a server wrote (`/zookeeper/config`, the packet that
    /// announces a leader); files of an operator go through the configuration parser, which knows escapes.
    pub fn from_text(text: &str, rules: MemberRules) -> Result<Ensemble, EnsembleError> {
        let mut entries = Vec::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '!'])) {
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            let key = key.trim();
            let known =
                ["server.", "group.", "weight."].iter().any(|prefix| key.starts_with(prefix)) || key == "version";
            if !known {
                return Err(EnsembleError::UnknownKey { key: key.to_string() });
            }
            entries.push((key, value));
        }
        Ensemble::from_entries(entries, rules)
    }

    /// An ensemble where every voter counts the same, as an incremental reconfiguration makes it.
    pub fn of_majority(members: impl IntoIterator<Item = Member>, version: Zxid) -> Ensemble {
        Ensemble { members: members.into_iter().map(|m| (m.id, m)).collect(), hierarchy: None, version }
    }

    /// All members by id.
    pub fn members(&self) -> &BTreeMap<ServerId, Member> {
        &self.members
    }
    /// For the address that a server's own static file gives it; see [`Member::client_from_static`].
    pub fn member_mut(&mut self, id: ServerId) -> Option<&mut Member> {
        self.members.get_mut(&id)
    }
    pub fn member(&self, id: ServerId) -> Option<&Member> {
        self.members.get(&id)
    }
    /// Members that vote, by id.
    pub fn voters(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|m| m.role == Role::Participant)
    }
    /// Members that only listen, by id.
    pub fn observers(&self) -> impl Iterator<Item = &Member> {
        self.members.values().filter(|m| m.role == Role::Observer)
    }
    /// Groups and weights, if the ensemble has them; otherwise a majority of voters is a quorum.
    pub fn hierarchy(&self) -> Option<&Hierarchy> {
        self.hierarchy.as_ref()
    }
    /// The zxid of the reconfiguration that made this version; 0 at first.
    pub fn version(&self) -> Zxid {
        self.version
    }
    pub fn set_version(&mut self, version: Zxid) {
        self.version = version;
    }

    /// Reference `QuorumHierarchical.parse`: every voter in exactly one group, weight 1 unless given.
    fn check_groups(
        &self,
        groups: BTreeMap<GroupId, Vec<ServerId>>,
        mut weight_of: BTreeMap<ServerId, Weight>,
    ) -> Result<Hierarchy, EnsembleError> {
        let mut group_of = BTreeMap::new();
        for (group, servers) in groups {
            for server in servers {
                if group_of.insert(server, group).is_some() {
                    return Err(EnsembleError::InManyGroups { server });
                }
            }
        }
        for voter in self.voters() {
            if !group_of.contains_key(&voter.id) {
                return Err(EnsembleError::NotInGroup { server: voter.id });
            }
            weight_of.entry(voter.id).or_insert(Weight(1));
        }
        match group_of.keys().find(|server| !weight_of.contains_key(server)) {
            Some(&server) => Err(EnsembleError::GroupOfStrangers { server }),
            None => Ok(Hierarchy { group_of, weight_of }),
        }
    }
}

/// The reference's text: members, groups, weights, version; lines joined by newlines, none at the end. The order inside
/// each kind is that of the reference's hash maps, which is ascending as long as the ids are below 16.
impl fmt::Display for Ensemble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // How many properties the text is: members, the version, groups and weights.
        let mut lines = self.members.len() + 1;
        if let Some(hierarchy) = &self.hierarchy {
            lines += hierarchy.weight_of.len() + hierarchy.group_of.values().collect::<BTreeSet<_>>().len();
        }
        for id in order::of_ids(self.members.keys().map(|id| id.0), "server.", lines) {
            writeln!(f, "server.{id}={}", self.members[&ServerId(id)])?;
        }
        if let Some(hierarchy) = &self.hierarchy {
            let mut lists: BTreeMap<i64, String> = BTreeMap::new();
            for id in order::of_ids(hierarchy.group_of.keys().map(|id| id.0), "server.", lines) {
                let list = lists.entry(hierarchy.group_of[&ServerId(id)].0).or_default();
                let colon = if list.is_empty() { "" } else { ":" };
                write!(list, "{colon}{id}")?;
            }
            for group in order::of_ids(lists.keys().copied(), "group.", lines) {
                writeln!(f, "group.{group}={}", lists[&group])?;
            }
            for id in order::of_ids(hierarchy.weight_of.keys().map(|id| id.0), "weight.", lines) {
                writeln!(f, "weight.{id}={}", hierarchy.weight_of[&ServerId(id)].0)?;
            }
        }
        write!(f, "version={:x}", self.version.0)
    }
}

fn number_of(key: &str, number: &str) -> Result<i64, EnsembleError> {
    match number.trim().parse() {
        Ok(number) if number >= 0 => Ok(number),
        _ => Err(EnsembleError::Number { key: key.to_string() }),
    }
}

fn group_list(key: &str, value: &str) -> Result<Vec<ServerId>, EnsembleError> {
    value
        .split(':')
        .map(|id| id.trim().parse().ok().filter(|id| *id >= 0).map(ServerId))
        .collect::<Option<Vec<_>>>()
        .ok_or_else(|| EnsembleError::GroupList { key: key.to_string(), value: value.to_string() })
}

fn parse_version(value: &str) -> Result<Zxid, EnsembleError> {
    i64::from_str_radix(value, 16).map(Zxid).map_err(|_| EnsembleError::Version { value: value.to_string() })
}

impl fmt::Display for EnsembleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EnsembleError::Number { key } => {
                write!(f, "{key}: expected a whole number from 0 after the dot, as in {}N", &key[..dot(key)])
            }
            EnsembleError::Member { key, value, error } => write!(f, "{key}={value}: {error}"),
            EnsembleError::GroupList { key, value } => {
                write!(f, "{key}={value}: expected server numbers separated by colons, as in 1:2:3")
            }
            EnsembleError::WeightNumber { key, value } => write!(f, "{key}={value}: expected a whole number from 0"),
            EnsembleError::Version { value } => write!(f, "version={value}: expected a hexadecimal number"),
            EnsembleError::NotInGroup { server } => write!(
                f,
                "server.{} is in no group: with group.N or weight.N lines, every voter stands in exactly one group.N line",
                server.0
            ),
            EnsembleError::InManyGroups { server } => {
                write!(f, "server {} is in more than one group; leave it in one group.N line", server.0)
            }
            EnsembleError::GroupOfStrangers { server } => write!(
                f,
                "a group names server {0}, which is not a voter and has no weight; take it out of the group, \
                 or add server.{0} or weight.{0}",
                server.0
            ),
            EnsembleError::UnknownKey { key } => {
                write!(f, "{key}: only server.N, group.N, weight.N and version belong in a list of members")
            }
        }
    }
}

impl std::error::Error for EnsembleError {}

fn dot(key: &str) -> usize {
    key.find('.').map_or(key.len(), |at| at + 1)
}
