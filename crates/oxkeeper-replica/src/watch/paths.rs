//! The watched paths: each stored once, under a small number. Must not know what the numbers are used for, save that one
//! word hangs on each.
//!
//! All bytes lie in one string, since an allocation of its own would cost a path of 20 bytes another 28. The hole that a
//! removed path leaves is closed when holes make up a quarter of the string.

use super::watchers::Word;
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// The number of a watched path. Valid until the path is removed; then reused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PathId(pub u32);

/// 32 bits of a path's hash: enough to tell millions of paths apart before their bytes are looked at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct PathHash(u32);

impl PathHash {
    /// All 64 bits that the hash table wants: it picks the bucket by the low ones and pre-compares the high ones.
    pub fn spread(self) -> u64 {
        spread(self.0)
    }
}

/// A number as a hash.
pub(super) fn spread(n: u32) -> u64 {
    let x = (n as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x ^ (x >> 32)
}

const FREE: u32 = u32::MAX;
/// Holes below this are not worth the work of closing them.
const HOLE_BYTES_MIN: usize = 64 << 10;

#[derive(Clone, Copy)]
struct Entry {
    start: u64,
    /// `FREE` for an unused entry; then `word` is the next unused one.
    length: u32,
    word: u32,
}

/// A key of the table: growing it needs no look at the paths, which lie all over memory.
#[derive(Clone, Copy)]
struct Key {
    hash: PathHash,
    id: PathId,
}

pub(super) struct Paths {
    entries: Vec<Entry>,
    first_free: u32,
    bytes: String,
    hole_bytes: usize,
    table: HashTable<Key>,
    hasher: FixedState,
    seed: u64,
}

impl Paths {
    pub fn new(seed: u64) -> Paths {
        Paths {
            entries: Vec::new(),
            first_free: FREE,
            bytes: String::new(),
            hole_bytes: 0,
            table: HashTable::new(),
            hasher: FixedState::with_seed(seed),
            seed,
        }
    }
    pub fn len(&self) -> usize {
        self.table.len()
    }
    pub fn hash(&self, path: &str) -> PathHash {
        let hash = self.hasher.hash_one(path.as_bytes());
        PathHash((hash ^ (hash >> 32)) as u32)
    }
    pub fn find(&self, hash: PathHash, path: &str) -> Option<PathId> {
        self.table.find(hash.spread(), |key| key.hash == hash && self.text(key.id) == path).map(|key| key.id)
    }
    pub fn text(&self, id: PathId) -> &str {
        let entry = &self.entries[id.0 as usize];
        debug_assert_ne!(entry.length, FREE, "path {id:?} is not in use");
        &self.bytes[entry.start as usize..entry.start as usize + entry.length as usize]
    }
    pub fn word(&self, id: PathId) -> Word {
        Word(self.entries[id.0 as usize].word)
    }
    pub fn set_word(&mut self, id: PathId, word: Word) {
        self.entries[id.0 as usize].word = word.0;
    }
    /// All paths, by number.
    pub fn ids(&self) -> impl Iterator<Item = PathId> + '_ {
        (0..self.entries.len() as u32).map(PathId).filter(|id| self.entries[id.0 as usize].length != FREE)
    }

    /// Adds a path that is not there.
    pub fn insert(&mut self, hash: PathHash, path: &str, word: Word) -> PathId {
        let length = u32::try_from(path.len()).ok().filter(|&n| n != FREE);
        let length = length.unwrap_or_else(|| panic!("a path of {} bytes in one request", path.len()));
        // The empty path (another name of the root) lies at the front: the end of the string may be cut off behind it.
        let start = if path.is_empty() { 0 } else { self.bytes.len() as u64 };
        let entry = Entry { start, length, word: word.0 };
        self.bytes.push_str(path);
        let id = match self.first_free {
            FREE => {
                assert!(self.entries.len() < FREE as usize, "{} watched paths are the most there can be", FREE);
                self.entries.push(entry);
                PathId(self.entries.len() as u32 - 1)
            }
            free => {
                self.first_free = self.entries[free as usize].word;
                self.entries[free as usize] = entry;
                PathId(free)
            }
        };
        self.table.insert_unique(hash.spread(), Key { hash, id }, |key| key.hash.spread());
        id
    }

    pub fn remove(&mut self, id: PathId) {
        let hash = self.hash(self.text(id));
        let found = self.table.find_entry(hash.spread(), |key| key.id == id);
        found.unwrap_or_else(|_| panic!("path {id:?} is not in the table")).remove();
        let entry = self.entries[id.0 as usize];
        let end = entry.start as usize + entry.length as usize;
        if end == self.bytes.len() {
            self.bytes.truncate(entry.start as usize);
        } else {
            self.hole_bytes += entry.length as usize;
        }
        self.entries[id.0 as usize] = Entry { start: 0, length: FREE, word: self.first_free };
        self.first_free = id.0;
        self.tidy();
    }

    /// Gives memory back: constant time per removal on average.
    fn tidy(&mut self) {
        if self.table.is_empty() {
            let large = self.entries.capacity() > 4096;
            if large {
                *self = Paths::new(self.seed);
            } else {
                self.entries.clear();
                self.bytes.clear();
                (self.first_free, self.hole_bytes) = (FREE, 0);
            }
            return;
        }
        if self.table.capacity() > 4096 && self.table.len() * 8 < self.table.capacity() {
            self.table.shrink_to(self.table.len() * 2, |key| key.hash.spread());
        }
        if self.hole_bytes > HOLE_BYTES_MIN && self.hole_bytes > self.bytes.len() / 4 {
            let mut bytes = String::with_capacity(self.bytes.len() - self.hole_bytes);
            for entry in self.entries.iter_mut().filter(|entry| entry.length != FREE) {
                let start = bytes.len() as u64;
                bytes.push_str(&self.bytes[entry.start as usize..entry.start as usize + entry.length as usize]);
                entry.start = start;
            }
            (self.bytes, self.hole_bytes) = (bytes, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::watch::kinds::Modes;
    use crate::watch::watchers::Slot;

    #[test]
    fn the_empty_path_outlives_those_before_it() {
        let mut paths = Paths::new(0);
        let word = Word::new(Slot(0), Modes::DATA_ONCE);
        let add = |paths: &mut Paths, path: &str| paths.insert(paths.hash(path), path, word);
        let before = add(&mut paths, "/before");
        let empty = add(&mut paths, "");
        paths.remove(before);
        assert_eq!(paths.text(empty), "");
        paths.remove(empty);
        assert_eq!(paths.len(), 0);
    }
}
