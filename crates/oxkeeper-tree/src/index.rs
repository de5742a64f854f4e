//! Finds a child by its parent and name: one hash probe, no allocation.
//!
//! Owns the hash tables, split into many so that no single growth takes long. Must not know paths.

use crate::node::{NodeId, Record};
use crate::slab::Slab;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use std::hash::{BuildHasher, Hasher};

/// A million nodes are about a thousand per table, which grows in well under a millisecond.
const SHARDS: usize = 1024;

pub(crate) struct Index {
    shards: Box<[HashTable<u32>]>,
    state: FixedState,
}

/// Spreads the stored 32 bits over the 64 that the table wants: low bits choose the bucket, the top seven are its tag.
fn spread(hash: u32) -> u64 {
    (hash as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

fn shard_of(spread: u64) -> usize {
    (spread >> 44) as usize & (SHARDS - 1)
}

impl Index {
    pub(crate) fn new(seed: u64) -> Index {
        Index { shards: (0..SHARDS).map(|_| HashTable::new()).collect(), state: FixedState::with_seed(seed) }
    }

    pub(crate) fn hash(&self, parent: NodeId, name: &str) -> u32 {
        let mut hasher = self.state.build_hasher();
        hasher.write_u32(parent.0);
        hasher.write(name.as_bytes());
        let hash = hasher.finish();
        (hash ^ (hash >> 32)) as u32
    }

    pub(crate) fn find(&self, nodes: &Slab<Record>, parent: NodeId, name: &str, hash: u32) -> Option<NodeId> {
        let spread = spread(hash);
        let found = self.shards[shard_of(spread)].find(spread, |id| {
            let node = nodes.get(*id);
            node.hash == hash && node.parent == parent && node.content.name() == name
        });
        found.map(|id| NodeId(*id))
    }

    /// Adds a node that is in the slab and not yet here.
    pub(crate) fn insert(&mut self, nodes: &Slab<Record>, id: NodeId) {
        let spread_hash = spread(nodes.get(id.0).hash);
        self.shards[shard_of(spread_hash)].insert_unique(spread_hash, id.0, |other| spread(nodes.get(*other).hash));
    }

    pub(crate) fn remove(&mut self, nodes: &Slab<Record>, id: NodeId) {
        let spread_hash = spread(nodes.get(id.0).hash);
        match self.shards[shard_of(spread_hash)].find_entry(spread_hash, |other| *other == id.0) {
            Ok(entry) => drop(entry.remove()),
            Err(_) => panic!("node {id:?} ({}) is not in the index", nodes.get(id.0).content.name()),
        }
    }
}
