//! Finds a child by its parent and name: one hash probe, no allocation.
//!
//! Owns the hash tables: open addressing over pairs of hash and node id, so that a probe is one cache line and growing never
//! touches a node; split into many, so that no single growth takes long. Must not know paths.

use crate::node::{NodeId, Record};
use crate::slab::Slab;
use foldhash::fast::FixedState;
use std::hash::{BuildHasher, Hasher};

/// A million nodes are about a thousand per table, which grows in some microseconds.
const SHARDS: usize = 1 << SHARD_BITS;
const SHARD_BITS: u32 = 10;
/// Slots of a table that has any.
const SLOTS_MIN: usize = 8;

#[derive(Clone, Copy)]
struct Entry {
    hash: u32,
    /// [`NodeId::NONE`] where the slot is empty.
    id: NodeId,
}

const EMPTY: Entry = Entry { hash: 0, id: NodeId::NONE };

/// A table with a power of two of slots, at most three quarters of them used. An entry stands in the slot of its hash or
/// after it, with no empty slot between (linear probing).
#[derive(Default)]
struct Shard {
    slots: Box<[Entry]>,
    used: usize,
}

impl Shard {
    fn mask(&self) -> usize {
        self.slots.len() - 1
    }

    fn insert(&mut self, entry: Entry) {
        if (self.used + 1) * 4 > self.slots.len() * 3 {
            let larger = vec![EMPTY; (self.slots.len() * 2).max(SLOTS_MIN)].into_boxed_slice();
            for old in std::mem::replace(&mut self.slots, larger) {
                if old.id != NodeId::NONE {
                    self.put(old);
                }
            }
        }
        self.put(entry);
        self.used += 1;
    }

    fn put(&mut self, entry: Entry) {
        let mut at = entry.hash as usize & self.mask();
        while self.slots[at].id != NodeId::NONE {
            at = (at + 1) & self.mask();
        }
        self.slots[at] = entry;
    }

    /// Gives whether the entry was there. Entries behind it move up, so that no slot between them and their hash is empty.
    fn remove(&mut self, hash: u32, id: NodeId) -> bool {
        if self.used == 0 {
            return false;
        }
        let mask = self.mask();
        let mut hole = hash as usize & mask;
        while self.slots[hole].id != id {
            if self.slots[hole].id == NodeId::NONE {
                return false;
            }
            hole = (hole + 1) & mask;
        }
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let entry = self.slots[at];
            if entry.id == NodeId::NONE {
                break;
            }
            let distance = at.wrapping_sub(entry.hash as usize) & mask;
            if distance >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = entry;
                hole = at;
            }
        }
        self.slots[hole] = EMPTY;
        self.used -= 1;
        true
    }
}

pub(crate) struct Index {
    shards: Box<[Shard]>,
    state: FixedState,
}

/// The top bits choose the table, the low ones the slot in it.
fn shard_of(hash: u32) -> usize {
    (hash >> (32 - SHARD_BITS)) as usize
}

impl Index {
    pub(crate) fn new(seed: u64) -> Index {
        Index { shards: (0..SHARDS).map(|_| Shard::default()).collect(), state: FixedState::with_seed(seed) }
    }

    pub(crate) fn hash(&self, parent: NodeId, name: &str) -> u32 {
        let mut hasher = self.state.build_hasher();
        hasher.write_u32(parent.0);
        hasher.write(name.as_bytes());
        let hash = hasher.finish();
        (hash ^ (hash >> 32)) as u32
    }

    pub(crate) fn find(&self, nodes: &Slab<Record>, parent: NodeId, name: &str, hash: u32) -> Option<NodeId> {
        let shard = &self.shards[shard_of(hash)];
        if shard.used == 0 {
            return None;
        }
        let mut at = hash as usize & shard.mask();
        loop {
            let entry = shard.slots[at];
            if entry.id == NodeId::NONE {
                return None;
            }
            if entry.hash == hash {
                let node = nodes.get(entry.id.0);
                if node.parent == parent && node.content.name() == name {
                    return Some(entry.id);
                }
            }
            at = (at + 1) & shard.mask();
        }
    }

    /// Adds a node that is not yet here, under the hash of its parent and name.
    pub(crate) fn insert(&mut self, hash: u32, id: NodeId) {
        self.shards[shard_of(hash)].insert(Entry { hash, id });
    }

    pub(crate) fn remove(&mut self, hash: u32, id: NodeId) {
        assert!(self.shards[shard_of(hash)].remove(hash, id), "node {id:?} is not in the index under {hash:x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn entries_stay_findable_while_neighbours_come_and_go() {
        // Few hash values, so that runs collide and wrap around; a simple generator for the choices.
        let (mut shard, mut twin, mut random) = (Shard::default(), BTreeMap::new(), 1u64);
        for n in 0..20_000u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let choice = (random >> 33) as u32;
            let fewer = (n / 2000) % 2 == 1;
            if !twin.is_empty() && choice % 8 < if fewer { 5 } else { 3 } {
                let key = *twin.keys().nth(choice as usize % twin.len()).unwrap();
                assert!(shard.remove(twin.remove(&key).unwrap(), NodeId(key)));
            } else {
                let hash = (choice % 5) * 61 + choice % 3;
                shard.insert(Entry { hash, id: NodeId(n) });
                twin.insert(n, hash);
            }
            assert_eq!(shard.used, twin.len());
            for (key, hash) in twin.iter().take(20) {
                let mut at = *hash as usize & shard.mask();
                while shard.slots[at].id != NodeId(*key) {
                    assert_ne!(shard.slots[at].id, NodeId::NONE, "{key} under {hash} is lost after step {n}");
                    at = (at + 1) & shard.mask();
                }
            }
        }
        assert!(!shard.remove(0, NodeId(u32::MAX - 1)));
    }
}
