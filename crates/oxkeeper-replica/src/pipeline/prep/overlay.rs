//! What transactions that are prepared and not yet applied will have made of the tree: a record per path that they
//! touch (reference `outstandingChanges`, `outstandingChangesForPath`), and the digest of the tree behind them.
//!
//! One hash probe finds a record. Records leave in the order of their transactions; nothing here depends on the order of
//! a hash table. Must not know requests or permissions.

use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use oxkeeper_tree::{ContentCrc, Node, Tree, is_digested, node_digest_of};
use oxkeeper_types::{Acl, AclList, Owner, SessionId, StatPersisted, Zxid};
use std::collections::VecDeque;
use std::hash::BuildHasher;

/// A node as pending transactions leave it.
#[derive(Clone, Debug)]
pub(super) struct NodeState {
    pub stat: StatPersisted,
    pub owner: Owner,
    pub children: usize,
    pub data_length: usize,
    /// `None` where the list is empty: everything is allowed.
    pub acl: Option<AclList>,
    /// CRC of path and data; of no meaning where digests are off or leave the path out.
    pub content_crc: ContentCrc,
}

#[derive(Clone, Debug)]
struct Record {
    /// The last transaction that touched the path.
    zxid: Zxid,
    /// `None`: deleted.
    state: Option<NodeState>,
}

/// A place in the slab of records. Its text keeps its memory when the place is free.
#[derive(Debug)]
struct Slot {
    path: String,
    hash: u64,
    /// `None`: free.
    record: Option<Record>,
    /// The session in whose list of pending ephemerals the slot stands, and where in it.
    listed: Option<(SessionId, usize)>,
}

/// A path that was looked up: its record, or else its node in the tree.
#[derive(Clone, Copy, Debug)]
pub(super) struct Spot<'t> {
    hash: u64,
    slot: Option<u32>,
    node: Option<Node<'t>>,
}

/// How to take back the changes since [`Overlay::begin`].
#[derive(Debug)]
struct Undo {
    slot: u32,
    /// `None`: the slot was free.
    before: Option<Record>,
}

#[derive(Debug)]
pub(super) struct Overlay {
    slots: Vec<Slot>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: FixedState,
    seed: u64,
    /// Which transaction touched which record, oldest first.
    log: VecDeque<(Zxid, u32)>,
    ephemerals: HashMap<SessionId, Vec<u32>, FixedState>,
    /// The digest of the tree behind the last transaction in the log; of no meaning while the log is empty.
    digest: u64,
    undo: Vec<Undo>,
    /// Length of the log and digest at [`Overlay::begin`], while changes may have to be taken back.
    savepoint: Option<(usize, u64)>,
}

/// "" is another name of the root.
fn normalized(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

impl Overlay {
    /// `seed` spreads paths over the table, so that clients cannot choose paths that collide.
    pub fn new(seed: u64) -> Overlay {
        Overlay {
            seed,
            slots: Vec::new(),
            free: Vec::new(),
            index: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            log: VecDeque::new(),
            ephemerals: HashMap::with_hasher(FixedState::with_seed(seed)),
            digest: 0,
            undo: Vec::new(),
            savepoint: None,
        }
    }

    /// How many paths have a record.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    pub fn clear(&mut self) {
        *self = Overlay::new(self.seed);
    }

    /// The digest of the tree once all pending transactions are applied (reference `getCurrentTreeDigest`).
    pub fn digest(&self, tree: &Tree) -> u64 {
        if self.log.is_empty() { tree.digest() } else { self.digest }
    }

    pub fn find<'t>(&self, tree: &'t Tree, path: &str) -> Spot<'t> {
        let path = normalized(path);
        let hash = self.hasher.hash_one(path);
        let slot = self.index.find(hash, |i| self.slots[*i as usize].path == path).copied();
        Spot { hash, slot, node: if slot.is_some() { None } else { tree.node(path) } }
    }

    fn state(&self, slot: u32) -> Option<&NodeState> {
        self.slots[slot as usize].record.as_ref().expect("indexed slots have a record").state.as_ref()
    }

    pub fn exists(&self, spot: &Spot) -> bool {
        match spot.slot {
            Some(slot) => self.state(slot).is_some(),
            None => spot.node.is_some(),
        }
    }
    pub fn stat(&self, spot: &Spot) -> Option<StatPersisted> {
        match spot.slot {
            Some(slot) => self.state(slot).map(|s| s.stat),
            None => spot.node.map(|n| n.stat_persisted()),
        }
    }
    pub fn owner(&self, spot: &Spot) -> Option<Owner> {
        match spot.slot {
            Some(slot) => self.state(slot).map(|s| s.owner),
            None => spot.node.map(|n| n.owner()),
        }
    }
    pub fn children(&self, spot: &Spot) -> usize {
        match spot.slot {
            Some(slot) => self.state(slot).map_or(0, |s| s.children),
            None => spot.node.map_or(0, |n| n.num_children()),
        }
    }
    pub fn data_length(&self, spot: &Spot) -> usize {
        match spot.slot {
            Some(slot) => self.state(slot).map_or(0, |s| s.data_length),
            None => spot.node.and_then(|n| n.data()).map_or(0, <[u8]>::len),
        }
    }
    pub fn acl<'s>(&'s self, spot: &Spot<'s>) -> Option<&'s [Acl]> {
        match spot.slot {
            Some(slot) => self.state(slot).and_then(|s| s.acl.as_deref()),
            None => spot.node.map(|n| &**n.acl()),
        }
    }

    /// Changes a node that exists: its record is made if need be, and the digest follows.
    pub fn update(
        &mut self,
        tree: &Tree,
        path: &str,
        spot: &Spot<'_>,
        zxid: Zxid,
        change: impl FnOnce(&mut NodeState),
    ) {
        let digested = tree.options().digest_enabled && is_digested(path);
        let mut digest = self.digest(tree);
        let mut state = match spot.slot {
            // The record stays what it was if this must be taken back.
            Some(slot) => match self.savepoint {
                None => self.slots[slot as usize].record.as_mut().and_then(|r| r.state.take()),
                Some(_) => self.state(slot).cloned(),
            },
            None => spot.node.map(|node| from_tree(tree, &node)),
        }
        .unwrap_or_else(|| panic!("{path} is changed by {zxid} but does not exist"));
        if digested {
            digest = digest.wrapping_sub(node_digest_of(state.content_crc, &state.stat));
        }
        change(&mut state);
        if digested {
            digest = digest.wrapping_add(node_digest_of(state.content_crc, &state.stat));
        }
        self.put(path, spot, Record { zxid, state: Some(state) });
        self.digest = digest;
    }

    /// A node that does not exist comes to be.
    pub fn create(&mut self, tree: &Tree, path: &str, spot: &Spot<'_>, zxid: Zxid, state: NodeState) {
        assert!(!self.exists(spot), "{path} is created by {zxid} but exists");
        let mut digest = self.digest(tree);
        if tree.options().digest_enabled && is_digested(path) {
            digest = digest.wrapping_add(node_digest_of(state.content_crc, &state.stat));
        }
        self.put(path, spot, Record { zxid, state: Some(state) });
        self.digest = digest;
    }

    /// A node ceases to be.
    pub fn delete(&mut self, tree: &Tree, path: &str, spot: &Spot<'_>, zxid: Zxid) {
        let mut digest = self.digest(tree);
        if tree.options().digest_enabled && is_digested(path) {
            let (crc, stat) = match spot.slot {
                Some(slot) => self.state(slot).map(|s| (s.content_crc, s.stat)),
                None => spot.node.map(|n| (n.content_crc(), n.stat_persisted())),
            }
            .unwrap_or_else(|| panic!("{path} is deleted by {zxid} but does not exist"));
            digest = digest.wrapping_sub(node_digest_of(crc, &stat));
        }
        self.put(path, spot, Record { zxid, state: None });
        self.digest = digest;
    }

    /// Puts a record in its place, or the first record of that path in a free one.
    fn put(&mut self, path: &str, spot: &Spot<'_>, record: Record) {
        let zxid = record.zxid;
        let (slot, before) = match spot.slot {
            Some(slot) => (slot, self.slots[slot as usize].record.replace(record)),
            None => (self.insert(normalized(path), spot.hash, record), None),
        };
        self.relist(slot);
        if before.as_ref().is_none_or(|r| r.zxid != zxid) {
            let last = self.log.back().map_or(zxid, |(last, _)| *last);
            assert!(last <= zxid, "{path} is changed by {zxid} after {last}");
            self.log.push_back((zxid, slot));
        }
        if self.savepoint.is_some() {
            self.undo.push(Undo { slot, before });
        }
    }

    fn insert(&mut self, path: &str, hash: u64, record: Record) -> u32 {
        let slot = match self.free.pop() {
            Some(slot) => {
                let place = &mut self.slots[slot as usize];
                assert!(place.record.is_none() && place.listed.is_none(), "slot {slot} ({}) is not free", place.path);
                place.path.clear();
                place.path.push_str(path);
                place.hash = hash;
                place.record = Some(record);
                slot
            }
            None => {
                self.slots.push(Slot { path: path.to_owned(), hash, record: Some(record), listed: None });
                u32::try_from(self.slots.len() - 1).expect("pending paths are counted in 32 bits")
            }
        };
        let slots = &self.slots;
        self.index.insert_unique(hash, slot, |i| slots[*i as usize].hash);
        slot
    }

    fn remove(&mut self, slot: u32) {
        self.slots[slot as usize].record = None;
        self.relist(slot);
        match self.index.find_entry(self.slots[slot as usize].hash, |i| *i == slot) {
            Ok(entry) => drop(entry.remove()),
            Err(_) => panic!("slot {slot} ({}) is not in the index", self.slots[slot as usize].path),
        }
        let place = &mut self.slots[slot as usize];
        // One long path must not hold its memory for ever.
        if place.path.capacity() > 1024 {
            place.path = String::new();
        }
        self.free.push(slot);
    }

    /// Brings the lists of pending ephemerals in line with a slot that has changed.
    fn relist(&mut self, slot: u32) {
        let place = &self.slots[slot as usize];
        let owner = place.record.as_ref().and_then(|r| r.state.as_ref()).map(|s| s.owner);
        let wanted = if let Some(Owner::Session(session)) = owner { Some(session) } else { None };
        if wanted == place.listed.map(|(session, _)| session) {
            return;
        }
        if let Some((session, at)) = self.slots[slot as usize].listed.take() {
            let list = self.ephemerals.get_mut(&session).expect("a listed slot has a list");
            assert_eq!(list.swap_remove(at), slot, "list of session {session} at {at}");
            match list.get(at) {
                Some(moved) => self.slots[*moved as usize].listed = Some((session, at)),
                None if list.is_empty() => drop(self.ephemerals.remove(&session)),
                None => {}
            }
        }
        if let Some(session) = wanted {
            let list = self.ephemerals.entry(session).or_default();
            self.slots[slot as usize].listed = Some((session, list.len()));
            list.push(slot);
        }
    }

    /// The ephemerals that a session has behind all pending transactions: those of the tree that stay in their order,
    /// then those that are pending, by path.
    pub fn ephemerals_of(&self, tree: &Tree, session: SessionId) -> Vec<String> {
        let mut paths: Vec<String> =
            tree.ephemerals_of(session).filter(|p| self.find(tree, p).slot.is_none()).collect();
        let in_tree = paths.len();
        let pending = self.ephemerals.get(&session).map_or(&[][..], Vec::as_slice);
        paths.extend(pending.iter().map(|slot| self.slots[*slot as usize].path.clone()));
        paths[in_tree..].sort_unstable();
        paths
    }

    /// From here on changes can be taken back, until [`Overlay::keep`] or [`Overlay::roll_back`].
    pub fn begin(&mut self, tree: &Tree) {
        assert!(
            self.savepoint.is_none() && self.undo.is_empty(),
            "{} changes are neither kept nor undone",
            self.undo.len()
        );
        self.savepoint = Some((self.log.len(), self.digest(tree)));
    }
    pub fn keep(&mut self) {
        self.undo.clear();
        self.savepoint = None;
    }
    /// Takes back all changes since [`Overlay::begin`] (reference `rollbackPendingChanges`, ZOOKEEPER-1624).
    pub fn roll_back(&mut self) {
        let (log, digest) = self.savepoint.take().expect("only what was begun is rolled back");
        while let Some(Undo { slot, before }) = self.undo.pop() {
            match before {
                None => self.remove(slot),
                Some(record) => {
                    self.slots[slot as usize].record = Some(record);
                    self.relist(slot);
                }
            }
        }
        self.log.truncate(log);
        self.digest = digest;
    }

    /// The tree holds all transactions up to `through`: their records go, where no later one has touched the path.
    pub fn applied(&mut self, through: Zxid) {
        assert!(self.savepoint.is_none(), "{through} is applied in the middle of a transaction");
        while let Some((zxid, slot)) = self.log.front().copied().filter(|(zxid, _)| *zxid <= through) {
            self.log.pop_front();
            if self.slots[slot as usize].record.as_ref().is_some_and(|r| r.zxid == zxid) {
                self.remove(slot);
            }
        }
        assert!(!self.log.is_empty() || self.index.is_empty(), "{} records without a transaction", self.index.len());
    }
}

fn from_tree(tree: &Tree, node: &Node<'_>) -> NodeState {
    NodeState {
        stat: node.stat_persisted(),
        owner: node.owner(),
        children: node.num_children(),
        data_length: node.data().map_or(0, <[u8]>::len),
        acl: tree.acl_of(node).cloned(),
        content_crc: node.content_crc(),
    }
}
