//! Each distinct ACL list is stored once, with a count of the nodes that carry it (reference `ReferenceCountedACLCache`).
//!
//! Must not know who may do what.

use crate::node::AclIndex;
use foldhash::fast::FixedState;
use hashbrown::HashTable;
use oxkeeper_types::acl::{is_open_acl, open_acl};
use oxkeeper_types::{Acl, AclList};
use std::hash::BuildHasher;

/// `world:anyone` with all permissions: always there, never counted, -1 in files.
pub(crate) const OPEN: AclIndex = AclIndex(0);

struct Entry {
    /// `None` where the index is free.
    list: Option<AclList>,
    users: u64,
}

pub(crate) struct AclCache {
    entries: Vec<Entry>,
    free: Vec<u32>,
    by_list: HashTable<u32>,
    state: FixedState,
    /// Writers tend to use one list: it is tried before the table.
    last: AclIndex,
}

impl AclCache {
    pub(crate) fn new(seed: u64) -> AclCache {
        AclCache {
            entries: vec![Entry { list: Some(open_acl().into()), users: 0 }],
            free: Vec::new(),
            by_list: HashTable::new(),
            state: FixedState::with_seed(seed),
            last: OPEN,
        }
    }

    pub(crate) fn list(&self, index: AclIndex) -> &AclList {
        match self.entries.get(index.0 as usize).and_then(|e| e.list.as_ref()) {
            Some(list) => list,
            None => panic!("ACL {index:?} is not in the cache of {} entries", self.entries.len()),
        }
    }

    /// The index of `acl`, with one user more. A list that is new becomes an entry.
    pub(crate) fn intern(&mut self, acl: &[Acl]) -> AclIndex {
        if is_open_acl(acl) {
            return OPEN;
        }
        let last = self.last;
        if last != OPEN && self.entries[last.0 as usize].list.as_deref() == Some(acl) {
            self.entries[last.0 as usize].users += 1;
            return last;
        }
        let hash = self.state.hash_one(acl);
        let entries = &mut self.entries;
        let found = self.by_list.find(hash, |i| entries[*i as usize].list.as_deref() == Some(acl)).copied();
        let index = match found {
            Some(index) => index,
            None => {
                let entry = Entry { list: Some(acl.into()), users: 0 };
                let index = match self.free.pop() {
                    Some(index) => {
                        entries[index as usize] = entry;
                        index
                    }
                    None => {
                        entries.push(entry);
                        (entries.len() - 1) as u32
                    }
                };
                let state = &self.state;
                self.by_list.insert_unique(hash, index, |i| {
                    state.hash_one(entries[*i as usize].list.as_deref().expect("listed ACLs are in use"))
                });
                index
            }
        };
        self.entries[index as usize].users += 1;
        self.last = AclIndex(index);
        AclIndex(index)
    }

    /// One user more.
    pub(crate) fn retain(&mut self, index: AclIndex) {
        if index != OPEN {
            self.entries[index.0 as usize].users += 1;
        }
    }

    /// One user less; the last one takes the entry along.
    pub(crate) fn release(&mut self, index: AclIndex) {
        if index == OPEN {
            return;
        }
        let entry = &mut self.entries[index.0 as usize];
        assert!(entry.users > 0, "ACL {index:?} is released without a user");
        entry.users -= 1;
        if entry.users > 0 {
            return;
        }
        let list = entry.list.take().expect("an ACL with users has a list");
        let hash = self.state.hash_one(&*list);
        match self.by_list.find_entry(hash, |i| *i == index.0) {
            Ok(entry) => drop(entry.remove()),
            Err(_) => panic!("ACL {index:?} {list:?} is not in the table"),
        }
        self.free.push(index.0);
        self.last = OPEN;
    }

    /// All lists but the open one, in the order of their indices.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (AclIndex, &AclList)> {
        let listed = self.entries.iter().enumerate().skip(1);
        listed.filter_map(|(i, e)| e.list.as_ref().map(|list| (AclIndex(i as u32), list)))
    }

    /// How many distinct lists there are, the open one apart.
    pub(crate) fn len(&self) -> usize {
        self.by_list.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxkeeper_types::{Id, Perms};

    fn acl(id: &str) -> Vec<Acl> {
        vec![Acl::new(Perms::READ, Id::new("digest", id))]
    }

    #[test]
    fn equal_lists_share_an_index_until_the_last_user_leaves() {
        let mut cache = AclCache::new(1);
        let a = cache.intern(&acl("a"));
        let b = cache.intern(&acl("b"));
        assert_eq!((cache.intern(&acl("a")), cache.len()), (a, 2));
        cache.release(a);
        assert_eq!(cache.list(a)[..], acl("a")[..]);
        cache.release(a);
        assert_eq!((cache.len(), cache.iter().map(|(i, _)| i).collect::<Vec<_>>()), (1, vec![b]));
        assert_eq!(cache.intern(&acl("c")), a, "a free index is used again");
        assert_eq!(cache.list(a)[..], acl("c")[..]);
    }

    #[test]
    fn the_open_list_is_always_there() {
        let mut cache = AclCache::new(1);
        assert_eq!(cache.intern(&open_acl()), OPEN);
        cache.release(OPEN);
        assert_eq!((cache.len(), &cache.list(OPEN)[..]), (0, &open_acl()[..]));
    }
}
