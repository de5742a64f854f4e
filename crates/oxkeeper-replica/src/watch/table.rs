//! The table of watches: by path and by connection. Must not know changes or events.
//!
//! A watch is in two places: beside its path as a word (slot of the connection, modes), and in the connection's set of
//! paths. Firing needs the first, closing a connection the second, and each finds its way to the other in constant time.

use super::kinds::{Modes, WatchKind, WatcherType};
use super::paths::{PathId, Paths, spread};
use super::recursive::Recursive;
use super::watchers::{Slot, Watchers, Word};
use foldhash::fast::FixedState;
use hashbrown::{HashMap, HashTable};
use oxkeeper_types::{ConnId, Id, SessionId};
use std::fmt;
use std::sync::Arc;

/// All watches of one server.
pub struct WatchTable {
    /// By slot. `None`: the slot is free.
    pub(super) conns: Vec<Option<Conn>>,
    free_slots: Vec<Slot>,
    slots: HashMap<ConnId, Slot, FixedState>,
    pub(super) paths: Paths,
    /// Of paths with more than one watcher.
    pub(super) lists: Vec<Watchers>,
    free_lists: Vec<u32>,
    pub(super) recursive: Recursive,
    pub(super) counts: Counts,
    /// Two more with each change; marks the connections that have its event, see [`Conn::seen`].
    pub(super) round: u64,
}

/// An open connection.
pub(super) struct Conn {
    pub id: ConnId,
    pub session: SessionId,
    /// Asked when an event is delivered, not when the watch is set.
    pub auth: Arc<[Id]>,
    pub paths: HashTable<PathId>,
    /// Paths with a mode of the data manager.
    pub data_paths: u32,
    /// Whether the reference's data manager has an entry for it, which may be an empty one: firing leaves it there,
    /// removing by request does not (`WatchManager.triggerWatch`, `unwatch`). Operators see the difference.
    pub is_listed: bool,
    /// The last round in which it was woken; one more if by a watch of the data manager.
    pub seen: u64,
}

/// What the reference's two managers would count.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Counts {
    /// Pairs of connection and path.
    pub data: usize,
    pub child: usize,
    /// Paths in the data manager.
    pub data_paths: usize,
    /// Connections in the data manager.
    pub listed: usize,
}

impl Conn {
    /// Books a change of the modes on one path.
    pub fn settle(&mut self, path: PathId, before: Modes, after: Modes, counts: &mut Counts) {
        let change = |part: Modes| after.any(part) as isize - before.any(part) as isize;
        counts.data = counts.data.wrapping_add_signed(change(Modes::DATA));
        counts.child = counts.child.wrapping_add_signed(change(Modes::CHILD));
        self.data_paths = self.data_paths.wrapping_add_signed(change(Modes::DATA) as i32);
        match (before == Modes::NONE, after == Modes::NONE) {
            (true, false) => {
                self.paths.insert_unique(spread(path.0), path, |path| spread(path.0));
            }
            (false, true) => {
                let found = self.paths.find_entry(spread(path.0), |&other| other == path);
                found.unwrap_or_else(|_| panic!("{:?} does not know that it watches {path:?}", self.id)).remove();
                if self.paths.capacity() > 64 && self.paths.len() * 8 < self.paths.capacity() {
                    self.paths.shrink_to(self.paths.len() * 2, |path| spread(path.0));
                }
            }
            _ => {}
        }
    }
}

impl fmt::Debug for WatchTable {
    /// Numbers only: there may be millions of watches.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchTable").field("connections", &self.slots.len()).field("counts", &self.counts).finish()
    }
}

impl Default for WatchTable {
    fn default() -> WatchTable {
        WatchTable::new()
    }
}

impl WatchTable {
    pub fn new() -> WatchTable {
        WatchTable::with_seed(0)
    }
    /// `seed` spreads paths over the hash table, so that clients cannot choose paths that collide. Changes nothing visible.
    pub fn with_seed(seed: u64) -> WatchTable {
        WatchTable {
            conns: Vec::new(),
            free_slots: Vec::new(),
            slots: HashMap::with_hasher(FixedState::with_seed(seed)),
            paths: Paths::new(seed),
            lists: Vec::new(),
            free_lists: Vec::new(),
            recursive: Recursive::default(),
            counts: Counts::default(),
            round: 0,
        }
    }

    /// A connection has its session and may register from now on.
    pub fn open(&mut self, conn: ConnId, session: SessionId, auth: Arc<[Id]>) {
        let slot = self.free_slots.pop().unwrap_or_else(|| {
            self.conns.push(None);
            assert!(self.conns.len() <= Slot::COUNT_MAX, "{} open connections are too many", self.conns.len());
            Slot(self.conns.len() as u32 - 1)
        });
        let before = self.slots.insert(conn, slot);
        assert_eq!(before, None, "{conn:?} of session {session} is opened twice");
        let paths = HashTable::new();
        let new = Conn { id: conn, session, auth, paths, data_paths: 0, is_listed: false, seen: 0 };
        self.conns[slot.0 as usize] = Some(new);
    }

    /// What the connection is allowed to hear of from now on. Ignored when it is not open.
    pub fn set_auth(&mut self, conn: ConnId, auth: Arc<[Id]>) {
        if let Some(&slot) = self.slots.get(&conn) {
            self.conn(slot).auth = auth;
        }
    }

    /// Forgets a connection with all its watches. Nothing happens when it is not open.
    pub fn close(&mut self, conn: ConnId) {
        let Some(slot) = self.slots.remove(&conn) else { return };
        for path in std::mem::take(&mut self.conn(slot).paths) {
            let before = self.modes(slot, path);
            self.counts.data -= before.any(Modes::DATA) as usize;
            self.counts.child -= before.any(Modes::CHILD) as usize;
            self.place(slot, path, before, Modes::NONE);
        }
        let gone = self.conns[slot.0 as usize].take();
        self.counts.listed -= gone.is_some_and(|gone| gone.is_listed) as usize;
        self.free_slots.push(slot);
    }

    /// Registers a watch; twice is once. False, and nothing happens, when the connection is not open: a request may be
    /// answered after its connection has gone (reference `WatchManager.addWatch` on a stale connection).
    pub fn add(&mut self, conn: ConnId, path: &str, kind: WatchKind) -> bool {
        let Some(&slot) = self.slots.get(&conn) else { return false };
        let hash = self.paths.hash(path);
        let (id, before, after) = match self.paths.find(hash, path) {
            None => {
                let id = self.paths.insert(hash, path, Word::new(slot, kind.modes()));
                self.counts.data_paths += kind.modes().any(Modes::DATA) as usize;
                if kind.modes().any(Modes::RECURSIVE) {
                    self.recursive.add(&self.paths, id, slot);
                }
                (id, Modes::NONE, kind.modes())
            }
            Some(id) => {
                let before = self.modes(slot, id);
                let after = before.with(kind.modes());
                if after == before {
                    return true;
                }
                self.place(slot, id, before, after);
                (id, before, after)
            }
        };
        let WatchTable { conns, counts, .. } = self;
        let entry = open_conn(conns, slot);
        entry.settle(id, before, after, counts);
        if after.any(Modes::DATA) && !entry.is_listed {
            entry.is_listed = true;
            counts.listed += 1;
        }
        true
    }

    /// Whether the connection watches `path` in this way (reference `DataTree.containsWatcher`).
    pub fn contains(&self, conn: ConnId, path: &str, kind: WatcherType) -> bool {
        self.find(conn, path).is_some_and(|(_, _, modes)| modes.any(kind.modes()))
    }

    /// Removes what [`WatchTable::contains`] finds, and says whether there was anything (reference `DataTree.removeWatch`).
    pub fn remove(&mut self, conn: ConnId, path: &str, kind: WatcherType) -> bool {
        let Some((slot, id, before)) = self.find(conn, path) else { return false };
        let after = before.without(kind.modes());
        if after == before {
            return false;
        }
        self.place(slot, id, before, after);
        let WatchTable { conns, counts, .. } = self;
        let entry = open_conn(conns, slot);
        entry.settle(id, before, after, counts);
        let left_data = before.any(Modes::DATA) && !after.any(Modes::DATA);
        if left_data && entry.data_paths == 0 && entry.is_listed {
            entry.is_listed = false;
            counts.listed -= 1;
        }
        true
    }

    /// Watches as the reference counts them (`DataTree.getWatchCount`): pairs of connection and path, in each of the two
    /// managers. A persistent watch is in both, a recursive one is not.
    pub fn count(&self) -> usize {
        self.counts.data + self.counts.child
    }

    fn conn(&mut self, slot: Slot) -> &mut Conn {
        open_conn(&mut self.conns, slot)
    }

    fn find(&self, conn: ConnId, path: &str) -> Option<(Slot, PathId, Modes)> {
        let slot = *self.slots.get(&conn)?;
        let id = self.paths.find(self.paths.hash(path), path)?;
        let modes = self.modes(slot, id);
        (modes != Modes::NONE).then_some((slot, id, modes))
    }

    fn modes(&self, slot: Slot, path: PathId) -> Modes {
        let word = self.paths.word(path);
        match word.as_list() {
            Some(list) => self.lists[list as usize].modes(slot),
            None if word.slot() == slot => word.modes(),
            None => Modes::NONE,
        }
    }

    /// Changes the path's side of a watch. The path goes with its last watcher.
    fn place(&mut self, slot: Slot, path: PathId, before: Modes, after: Modes) {
        match (before.any(Modes::RECURSIVE), after.any(Modes::RECURSIVE)) {
            (false, true) => self.recursive.add(&self.paths, path, slot),
            (true, false) => self.recursive.remove(&self.paths, path, slot),
            _ => {}
        }
        let had_data = self.has_data(path);
        let word = self.paths.word(path);
        let (list, has_data) = match word.as_list() {
            Some(list) => (list, None),
            None if word.slot() != slot => (self.make_list(path, word), None),
            None if after == Modes::NONE => {
                self.paths.remove(path);
                self.counts.data_paths -= had_data as usize;
                return;
            }
            None => {
                self.paths.set_word(path, Word::new(slot, after));
                (0, Some(after.any(Modes::DATA)))
            }
        };
        let has_data = has_data.unwrap_or_else(|| {
            self.lists[list as usize].set(slot, after);
            let has_data = self.lists[list as usize].has(Modes::DATA);
            self.fold_list(path, list);
            has_data
        });
        self.counts.data_paths += has_data as usize;
        self.counts.data_paths -= had_data as usize;
    }

    /// Whether the path is in the reference's data manager.
    pub(super) fn has_data(&self, path: PathId) -> bool {
        let word = self.paths.word(path);
        match word.as_list() {
            Some(list) => self.lists[list as usize].has(Modes::DATA),
            None => word.modes().any(Modes::DATA),
        }
    }

    /// Moves the only watcher of a path into a list, to make room for a second one.
    fn make_list(&mut self, path: PathId, only: Word) -> u32 {
        let number = self.free_lists.pop().unwrap_or_else(|| {
            self.lists.push(Watchers::default());
            self.lists.len() as u32 - 1
        });
        self.lists[number as usize].set(only.slot(), only.modes());
        self.paths.set_word(path, Word::list(number));
        number
    }

    /// Gives a list back that holds one watcher or none, and with the last watcher the path.
    pub(super) fn fold_list(&mut self, path: PathId, number: u32) {
        let list = &mut self.lists[number as usize];
        if list.len() > 1 {
            return;
        }
        let last = std::mem::take(list).iter().next();
        self.free_lists.push(number);
        match last {
            Some(word) => self.paths.set_word(path, word),
            None => self.paths.remove(path),
        }
        if self.free_lists.len() == self.lists.len() {
            (self.lists, self.free_lists) = Default::default();
        }
    }
}

pub(super) fn open_conn(conns: &mut [Option<Conn>], slot: Slot) -> &mut Conn {
    let conn = conns.get_mut(slot.0 as usize).and_then(Option::as_mut);
    conn.unwrap_or_else(|| panic!("slot {slot:?} is not open"))
}
