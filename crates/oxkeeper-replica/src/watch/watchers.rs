//! Who watches one path: connections in the order in which they came, with their modes. Must not know paths or sessions.
//!
//! One watcher is a word beside the path; more are a list; a long list gets an index, so that adding, finding and removing
//! stay cheap when every client watches the same node.

use super::kinds::{MODE_BITS, Modes};
use super::paths::spread;
use hashbrown::HashTable;

/// The place of an open connection in the table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Slot(pub u32);

impl Slot {
    pub const COUNT_MAX: usize = 1 << (32 - MODE_BITS);
}

/// A slot with its modes. With no modes it is something else: beside a path the number of a list, in a list a gap.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Word(pub u32);

impl Word {
    const GAP: Word = Word(0);

    pub fn new(slot: Slot, modes: Modes) -> Word {
        debug_assert!(modes != Modes::NONE, "slot {slot:?} without modes");
        Word(slot.0 << MODE_BITS | modes.0)
    }
    pub fn list(number: u32) -> Word {
        assert!((number as usize) < Slot::COUNT_MAX, "{number} lists of watchers are more than there can be");
        Word(number << MODE_BITS)
    }
    pub fn slot(self) -> Slot {
        Slot(self.0 >> MODE_BITS)
    }
    pub fn modes(self) -> Modes {
        Modes(self.0 & Modes::ALL.0)
    }
    /// The list that this stands for, if it is not a watcher itself.
    pub fn as_list(self) -> Option<u32> {
        (self.modes() == Modes::NONE).then_some(self.0 >> MODE_BITS)
    }
}

/// From this many words on there is an index; at half of it there is none any more.
const INDEXED_WORDS_MIN: usize = 32;

#[derive(Default)]
pub(super) struct Watchers {
    /// In order of arrival. Gaps only where there is an index.
    words: Vec<Word>,
    /// Words that are no gaps.
    len: u32,
    /// Those with a mode of the data manager, of the child manager.
    data: u32,
    child: u32,
    /// Positions in `words` by slot. Positions of gaps stay in it until the next [`Watchers::rebuild`].
    index: Option<Box<HashTable<u32>>>,
}

impl Watchers {
    pub fn len(&self) -> usize {
        self.len as usize
    }
    pub fn has(&self, modes: Modes) -> bool {
        modes.any(Modes::DATA) && self.data > 0 || modes.any(Modes::CHILD) && self.child > 0
    }
    pub fn iter(&self) -> impl Iterator<Item = Word> + '_ {
        self.words.iter().copied().filter(|&word| word != Word::GAP)
    }
    pub fn modes(&self, slot: Slot) -> Modes {
        self.position(slot).map_or(Modes::NONE, |at| self.words[at].modes())
    }

    /// Gives `slot` these modes, and a place at the end if it had none; takes it out if there are none.
    pub fn set(&mut self, slot: Slot, modes: Modes) {
        match (self.position(slot), modes) {
            (None, Modes::NONE) => {}
            (None, modes) => self.push(Word::new(slot, modes)),
            (Some(at), modes) => {
                self.replace(at, modes);
                if modes == Modes::NONE {
                    self.close_gaps(at);
                }
            }
        }
    }

    /// Shows every watcher with one of `modes` to `visit`, and takes the modes `removed` from it. `visit` gets the word
    /// before and the modes after.
    pub fn sweep(&mut self, modes: Modes, removed: Modes, mut visit: impl FnMut(Word, Modes)) {
        let mut first_gap = None;
        for at in 0..self.words.len() {
            let word = self.words[at];
            if !word.modes().any(modes) {
                continue;
            }
            let left = word.modes().without(removed);
            visit(word, left);
            if left != word.modes() {
                self.replace(at, left);
                if left == Modes::NONE && first_gap.is_none() {
                    first_gap = Some(at);
                }
            }
        }
        if let Some(at) = first_gap
            && self.len > 0
        {
            self.close_gaps(at);
        }
    }

    fn replace(&mut self, at: usize, modes: Modes) {
        let word = self.words[at];
        let change = |part: Modes| modes.any(part) as i32 - word.modes().any(part) as i32;
        self.data = self.data.wrapping_add_signed(change(Modes::DATA));
        self.child = self.child.wrapping_add_signed(change(Modes::CHILD));
        if modes == Modes::NONE {
            self.len -= 1;
            self.words[at] = Word::GAP;
        } else {
            self.words[at] = Word::new(word.slot(), modes);
        }
    }

    fn push(&mut self, word: Word) {
        let at = self.words.len() as u32;
        self.words.push(word);
        self.len += 1;
        self.data += word.modes().any(Modes::DATA) as u32;
        self.child += word.modes().any(Modes::CHILD) as u32;
        match &mut self.index {
            Some(index) => {
                let words = &self.words;
                index.insert_unique(spread(word.slot().0), at, |&at| spread(words[at as usize].slot().0));
            }
            None if self.words.len() >= INDEXED_WORDS_MIN => self.rebuild(),
            None => {}
        }
    }

    fn position(&self, slot: Slot) -> Option<usize> {
        let is_it = |word: Word| word != Word::GAP && word.slot() == slot;
        match &self.index {
            None => self.words.iter().position(|&word| is_it(word)),
            Some(index) => index.find(spread(slot.0), |&at| is_it(self.words[at as usize])).map(|&at| at as usize),
        }
    }

    /// With an index, gaps may grow to half of the words before they are closed; without one there are none.
    fn close_gaps(&mut self, first: usize) {
        if self.index.is_none() {
            let mut kept = first;
            for at in first..self.words.len() {
                if self.words[at] != Word::GAP {
                    self.words[kept] = self.words[at];
                    kept += 1;
                }
            }
            self.words.truncate(kept);
        } else if self.words.len() > 2 * self.len() {
            self.rebuild();
        }
    }

    fn rebuild(&mut self) {
        self.words.retain(|&word| word != Word::GAP);
        if self.words.capacity() > 4 * self.words.len() {
            self.words.shrink_to(2 * self.words.len());
        }
        if self.words.len() < INDEXED_WORDS_MIN / 2 {
            self.index = None;
            return;
        }
        let mut index = HashTable::with_capacity(self.words.len());
        for (at, word) in self.words.iter().enumerate() {
            index.insert_unique(spread(word.slot().0), at as u32, |&at| spread(self.words[at as usize].slot().0));
        }
        self.index = Some(Box::new(index));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Short lists have no gaps at all, long ones at most as many as watchers: nothing piles up under one-shot watches.
    #[test]
    fn gaps_do_not_pile_up() {
        let mut list = Watchers::default();
        for round in 0..1000u32 {
            let others = if round < 500 { 10 } else { 200 };
            list.set(Slot(0), Modes::DATA_PERSISTENT);
            for slot in 1..others {
                list.set(Slot(slot), Modes::DATA_ONCE);
            }
            list.sweep(Modes::DATA, Modes::DATA_ONCE, |_, _| ());
            assert_eq!((list.len(), list.modes(Slot(0))), (1, Modes::DATA_PERSISTENT));
            assert!(list.words.len() <= 2, "{} words in round {round}", list.words.len());
            assert!(list.index.is_none(), "one watcher needs no index");
        }
    }
}
