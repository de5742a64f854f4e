//! The paths with recursive watches, once more and apart: they are few, and each change asks for all paths above its own.

use super::kinds::Modes;
use super::paths::{PathHash, PathId, Paths};
use super::watchers::{Slot, Watchers};
use hashbrown::HashTable;

struct Root {
    hash: PathHash,
    /// In use as long as somebody watches here.
    id: PathId,
    watchers: Watchers,
}

#[derive(Default)]
pub(super) struct Recursive {
    roots: HashTable<Root>,
}

impl Recursive {
    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }
    pub fn at(&self, paths: &Paths, path: &str) -> Option<&Watchers> {
        let hash = paths.hash(path);
        let root = self.roots.find(hash.spread(), |root| root.hash == hash && paths.text(root.id) == path);
        root.map(|root| &root.watchers)
    }
    pub fn add(&mut self, paths: &Paths, id: PathId, slot: Slot) {
        let hash = paths.hash(paths.text(id));
        let root = self
            .roots
            .entry(hash.spread(), |root| root.id == id, |root| root.hash.spread())
            .or_insert_with(|| Root { hash, id, watchers: Watchers::default() });
        root.into_mut().watchers.set(slot, Modes::RECURSIVE);
    }
    /// To be called while the path is still there.
    pub fn remove(&mut self, paths: &Paths, id: PathId, slot: Slot) {
        let hash = paths.hash(paths.text(id));
        let Ok(mut root) = self.roots.find_entry(hash.spread(), |root| root.id == id) else {
            panic!("nobody watches below {:?}, and slot {slot:?} stops to", paths.text(id));
        };
        root.get_mut().watchers.set(slot, Modes::NONE);
        if root.get().watchers.len() == 0 {
            root.remove();
        }
    }
}
