//! What a server has acknowledged, and whether a tree that is read back later keeps it. Writes whose answer never came
//! may have happened or not; all others bind. Must not know how requests travel.

use crate::dump::Tree;
use oxkeeper_client::{Stat, Zxid};
use std::collections::{BTreeMap, BTreeSet};

/// One change to one node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// `path` is the final one once it is known, with its number. Numbered creates without an answer have a prefix.
    Create {
        path: String,
        data: Option<Vec<u8>>,
        numbered: bool,
        stat: Option<Stat>,
    },
    Set {
        path: String,
        data: Option<Vec<u8>>,
        stat: Option<Stat>,
    },
    SetAcl {
        path: String,
        stat: Option<Stat>,
    },
    Delete {
        path: String,
    },
}

/// An acknowledged transaction.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Done {
    pub zxid: Zxid,
    pub changes: Vec<Change>,
}

/// All that writers know when the server is gone.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Ledger {
    pub done: Vec<Done>,
    pub refused: usize,
    /// Sent, and never answered.
    pub unsure: Vec<Change>,
    /// Sessions whose close was acknowledged.
    pub closed: BTreeSet<i64>,
    /// Sessions whose close was sent.
    pub closing: BTreeSet<i64>,
}

/// What the acknowledged writes say of a node.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Known {
    /// No data where a write without an answer gave it.
    Present {
        data: Option<Option<Vec<u8>>>,
        stat: Stat,
    },
    Absent,
}

impl Ledger {
    pub fn merge(&mut self, other: Ledger) {
        self.done.extend(other.done);
        self.refused += other.refused;
        self.unsure.extend(other.unsure);
        self.closed.extend(other.closed);
        self.closing.extend(other.closing);
    }

    /// What `tree` lacks or has too much, a line each.
    pub fn check(&self, tree: &Tree) -> Vec<String> {
        let known = self.replay();
        let mut lines = Vec::new();
        for (path, known) in &known {
            match (known, tree.get(path)) {
                (Known::Present { data, stat }, Some(node)) => {
                    let same_data = data.as_ref().is_none_or(|data| node.data == *data);
                    let same = same_data && changes_of(&node.stat) == changes_of(stat);
                    let newer = node.stat.mzxid > stat.mzxid || node.stat.aversion > stat.aversion;
                    let explained = same || newer && self.may_have_changed(path);
                    if !explained {
                        let (has, should) = (changes_of(&node.stat), changes_of(stat));
                        let data = if same_data { "the same data" } else { "other data" };
                        lines.push(format!("{path} has {data} and {has}, acknowledged was {should}"));
                    }
                }
                (Known::Present { stat, .. }, None) => {
                    if !self.may_be_gone(path, stat) {
                        lines.push(format!("{path} is lost, acknowledged was {}", changes_of(stat)));
                    }
                }
                (Known::Absent, Some(node)) => {
                    if !self.may_be_created(path) {
                        lines.push(format!("{path} was deleted and is back with {}", changes_of(&node.stat)));
                    }
                }
                (Known::Absent, None) => {}
            }
        }
        for (path, node) in tree {
            let system = path == "/" || path.starts_with("/zookeeper");
            if !system && !known.contains_key(path) && !self.may_be_created(path) {
                lines.push(format!("{path} was never written: {}", changes_of(&node.stat)));
            }
            if self.closed.contains(&node.stat.ephemeral_owner) {
                lines.push(format!("{path} belongs to a session that was closed: {}", changes_of(&node.stat)));
            }
        }
        lines
    }

    /// Transaction ids order what different sessions did.
    fn replay(&self) -> BTreeMap<String, Known> {
        let mut done: Vec<&Done> = self.done.iter().collect();
        done.sort_by_key(|done| done.zxid);
        let mut nodes = BTreeMap::new();
        for Done { changes, .. } in done {
            for change in changes {
                match change {
                    Change::Create { path, data, stat: Some(stat), .. }
                    | Change::Set { path, data, stat: Some(stat) } => {
                        nodes.insert(path.clone(), Known::Present { data: Some(data.clone()), stat: *stat });
                    }
                    Change::SetAcl { path, stat: Some(new) } => {
                        // Where its create is among those without an answer, nothing is known of the node.
                        if let Some(Known::Present { stat, data }) = nodes.get_mut(path) {
                            if stat.mzxid != new.mzxid {
                                *data = None;
                            }
                            *stat = *new;
                        }
                    }
                    Change::Delete { path } => {
                        nodes.insert(path.clone(), Known::Absent);
                    }
                    other => unreachable!("an acknowledged change has a stat: {other:?}"),
                }
            }
        }
        for known in nodes.values_mut() {
            if matches!(known, Known::Present { stat, .. } if self.closed.contains(&stat.ephemeral_owner)) {
                *known = Known::Absent;
            }
        }
        nodes
    }

    fn may_be_created(&self, path: &str) -> bool {
        self.unsure.iter().any(|change| match change {
            Change::Create { path: prefix, numbered: true, .. } => {
                path.strip_prefix(prefix.as_str()).is_some_and(|number| number.len() >= 10)
            }
            Change::Create { path: created, .. } => created == path,
            _ => false,
        })
    }

    fn may_have_changed(&self, path: &str) -> bool {
        self.may_be_created(path)
            || self.unsure.iter().any(
                |change| matches!(change, Change::Set { path: p, .. } | Change::SetAcl { path: p, .. } if p == path),
            )
    }

    fn may_be_gone(&self, path: &str, stat: &Stat) -> bool {
        self.closing.contains(&stat.ephemeral_owner)
            || self.unsure.iter().any(|change| matches!(change, Change::Delete { path: p } if p == path))
    }
}

/// What an acknowledgement fixes for good; children come and go by writes to other nodes.
fn changes_of(stat: &Stat) -> String {
    format!(
        "czxid={} mzxid={} ctime={} mtime={} version={} aversion={} owner={:#x}",
        stat.czxid, stat.mzxid, stat.ctime, stat.mtime, stat.version, stat.aversion, stat.ephemeral_owner
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dump::Node;

    fn stat(czxid: i64, mzxid: i64, owner: i64) -> Stat {
        Stat { czxid: Zxid(czxid), mzxid: Zxid(mzxid), ephemeral_owner: owner, ..Stat::default() }
    }
    fn create(path: &str, zxid: i64, owner: i64) -> Done {
        let stat = Some(stat(zxid, zxid, owner));
        let change = Change::Create { path: path.into(), data: Some(b"x".to_vec()), numbered: false, stat };
        Done { zxid: Zxid(zxid), changes: vec![change] }
    }
    fn delete(path: &str, zxid: i64) -> Done {
        Done { zxid: Zxid(zxid), changes: vec![Change::Delete { path: path.into() }] }
    }
    fn tree(nodes: &[(&str, Stat)]) -> Tree {
        let node =
            |stat: &Stat| Node { data: Some(b"x".to_vec()), acl: Vec::new(), stat: *stat, children: BTreeSet::new() };
        nodes.iter().map(|(path, stat)| (path.to_string(), node(stat))).collect()
    }

    #[test]
    fn an_acknowledged_create_must_be_there() {
        let ledger = Ledger { done: vec![create("/a", 2, 0)], ..Ledger::default() };
        assert_eq!(ledger.check(&tree(&[("/a", stat(2, 2, 0))])), Vec::<String>::new());
        assert_eq!(ledger.check(&tree(&[])).len(), 1);
        assert_eq!(ledger.check(&tree(&[("/a", stat(2, 3, 0))])).len(), 1, "a set that nobody asked for");
    }

    #[test]
    fn a_delete_without_an_answer_may_have_happened() {
        let unsure = vec![Change::Delete { path: "/a".into() }];
        let ledger = Ledger { done: vec![create("/a", 2, 0), create("/b", 3, 0)], unsure, ..Ledger::default() };
        assert_eq!(ledger.check(&tree(&[("/b", stat(3, 3, 0))])), Vec::<String>::new());
        assert_eq!(ledger.check(&tree(&[("/a", stat(2, 2, 0))])).len(), 1, "/b is lost");
    }

    #[test]
    fn a_deleted_node_must_not_come_back_and_none_may_come_from_nowhere() {
        let ledger = Ledger { done: vec![delete("/a", 3), create("/a", 2, 0)], ..Ledger::default() };
        assert_eq!(ledger.check(&tree(&[])), Vec::<String>::new());
        assert_eq!(ledger.check(&tree(&[("/a", stat(2, 2, 0)), ("/c", stat(1, 1, 0))])).len(), 2);
    }

    #[test]
    fn ephemeral_nodes_of_a_closed_session_are_gone() {
        let closed = BTreeSet::from([7]);
        let ledger = Ledger { done: vec![create("/a", 2, 7)], closing: closed.clone(), closed, ..Ledger::default() };
        assert_eq!(ledger.check(&tree(&[])), Vec::<String>::new());
        assert!(!ledger.check(&tree(&[("/a", stat(2, 2, 7))])).is_empty());
    }

    #[test]
    fn a_numbered_create_without_an_answer_has_any_number() {
        let change = Change::Create { path: "/s-".into(), data: None, numbered: true, stat: None };
        let ledger = Ledger { unsure: vec![change], ..Ledger::default() };
        assert_eq!(ledger.check(&tree(&[("/s-0000000004", stat(2, 2, 0))])), Vec::<String>::new());
        assert_eq!(ledger.check(&tree(&[("/t-0000000004", stat(2, 2, 0))])).len(), 1);
    }
}
