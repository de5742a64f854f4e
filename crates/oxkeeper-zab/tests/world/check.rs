//! What no single server can see: agreement on what is committed, and one leader per epoch (paper, sections 3 and 4).
//!
//! Owns the one true sequence of committed transactions, as it becomes known.

use std::collections::BTreeMap;

use oxkeeper_types::{Epoch, ServerId, Zxid};

use super::Txn;

#[derive(Default)]
pub struct Check {
    pub committed: Vec<Txn>,
    leaders: BTreeMap<Epoch, ServerId>,
}

impl Check {
    /// Agreement and total order: what a server delivers is a prefix of what anybody does.
    pub fn on_commit(&mut self, server: ServerId, through: Zxid, applied: &[Txn], checked: &mut usize) {
        for (at, delivered) in applied.iter().enumerate().skip(*checked) {
            match self.committed.get(at) {
                Some(txn) => assert_eq!(delivered, txn, "{server:?} delivers something else at place {at}"),
                None => {
                    let last = self.committed.last().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
                    assert!(delivered.0.follows(last), "{server:?} delivers {delivered:?} behind {last}");
                    self.committed.push(*delivered);
                }
            }
        }
        assert!(applied.last().is_none_or(|(zxid, _)| *zxid == through));
        *checked = applied.len();
    }

    /// Leadership, and primary integrity: a new leader has everything that was committed.
    pub fn on_established(&mut self, server: ServerId, epoch: Epoch, applied: &[Txn]) {
        if let Some(other) = self.leaders.insert(epoch, server) {
            panic!("{other:?} and {server:?} both lead epoch {epoch:?}");
        }
        assert!(applied.len() >= self.committed.len(), "{server:?} leads without {:?}", self.committed.last());
        assert_eq!(applied[..self.committed.len()], self.committed, "{server:?} leads with another history");
    }

    pub fn highest_established(&self) -> Epoch {
        self.leaders.keys().next_back().copied().unwrap_or_default()
    }
    pub fn epochs_established(&self) -> usize {
        self.leaders.len()
    }
}
