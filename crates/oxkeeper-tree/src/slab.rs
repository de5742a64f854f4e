//! Values under small integer ids, in chunks: growing copies nothing, freed ids are used again.
//!
//! Must not know what it stores.

/// Slots per chunk. A tree with few nodes pays one chunk.
const CHUNK: usize = 1 << CHUNK_BITS;
const CHUNK_BITS: u32 = 10;
const NONE: u32 = u32::MAX;

enum Slot<T> {
    /// The id of the next free slot, or [`NONE`].
    Free(u32),
    Used(T),
}

pub(crate) struct Slab<T> {
    /// Every chunk but the last is full; none ever grows beyond the capacity it was made with.
    chunks: Vec<Vec<Slot<T>>>,
    free: u32,
    used: usize,
}

impl<T> Slab<T> {
    /// What one value costs, the mark of a free slot included.
    pub(crate) const SLOT_BYTES: usize = size_of::<Slot<T>>();

    pub(crate) fn new() -> Slab<T> {
        Slab { chunks: Vec::new(), free: NONE, used: 0 }
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.used
    }

    /// One more than the greatest id that was ever given out.
    pub(crate) fn slots(&self) -> u32 {
        match self.chunks.last() {
            None => 0,
            Some(last) => ((self.chunks.len() - 1) * CHUNK + last.len()) as u32,
        }
    }

    pub(crate) fn insert(&mut self, value: T) -> u32 {
        self.used += 1;
        if self.free != NONE {
            let id = self.free;
            let slot = self.slot_mut(id);
            let Slot::Free(next) = *slot else { panic!("slot {id} is on the free list and in use") };
            *slot = Slot::Used(value);
            self.free = next;
            return id;
        }
        let id = self.slots();
        assert!(id < NONE - 1, "{id} values in one tree");
        if id as usize & (CHUNK - 1) == 0 {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        self.chunks.last_mut().expect("a chunk with room was just ensured").push(Slot::Used(value));
        id
    }

    pub(crate) fn remove(&mut self, id: u32) -> T {
        let next = self.free;
        match std::mem::replace(self.slot_mut(id), Slot::Free(next)) {
            Slot::Used(value) => {
                self.free = id;
                self.used -= 1;
                value
            }
            Slot::Free(_) => panic!("slot {id} is freed twice"),
        }
    }

    fn slot_mut(&mut self, id: u32) -> &mut Slot<T> {
        &mut self.chunks[(id >> CHUNK_BITS) as usize][id as usize & (CHUNK - 1)]
    }

    pub(crate) fn try_get(&self, id: u32) -> Option<&T> {
        match self.chunks.get((id >> CHUNK_BITS) as usize)?.get(id as usize & (CHUNK - 1))? {
            Slot::Used(value) => Some(value),
            Slot::Free(_) => None,
        }
    }

    pub(crate) fn get(&self, id: u32) -> &T {
        match &self.chunks[(id >> CHUNK_BITS) as usize][id as usize & (CHUNK - 1)] {
            Slot::Used(value) => value,
            Slot::Free(_) => panic!("slot {id} is free"),
        }
    }

    pub(crate) fn get_mut(&mut self, id: u32) -> &mut T {
        match self.slot_mut(id) {
            Slot::Used(value) => value,
            Slot::Free(_) => panic!("slot {id} is free"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn freed_ids_are_used_again_before_new_ones() {
        let mut slab = Slab::new();
        let ids: Vec<u32> = (0..3000).map(|n| slab.insert(n)).collect();
        assert_eq!((slab.len(), slab.slots(), ids[2999]), (3000, 3000, 2999));
        assert_eq!((slab.remove(5), slab.remove(2000)), (5, 2000));
        assert_eq!((slab.try_get(5), slab.try_get(6), slab.try_get(3000)), (None, Some(&6), None));
        assert_eq!((slab.insert(-1), slab.insert(-2), slab.insert(-3)), (2000, 5, 3000));
        assert_eq!((*slab.get(2000), *slab.get(5), slab.len()), (-1, -2, 3001));
    }
}
