//! The rounds of the core, and who waits for one: reads see what had arrived.
//!
//! The core takes everything that waits for it, steps, applies what is committed, and begins anew: a round. A read that is answered
//! by another thread finds here whether something that is committed has arrived at this server and is not applied yet, be it in the
//! core's queue or in its hands. If so it waits for the end of that round, and for nothing that arrives later. What stands in
//! the leader's socket is put into the queue first (`peer::intake`); the rule as a whole is told in `docs/ZAB.md`.
//!
//! Generic over what names a waiting reader; must not know what a commit is. Locks and atomics come from `super::sync` alone, so that
//! `tests/rounds_model.rs` can put its own in their place.

use super::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// Rounds are counted from 1; 0 is before the first.
#[derive(Debug)]
pub struct Rounds<W> {
    /// The one that takes, or has taken, what was in the queue. Written under the queue's lock.
    begun: AtomicU64,
    /// At the end of this one everything committed that has arrived is applied.
    wanted: AtomicU64,
    over: AtomicU64,
    waiting: Mutex<Vec<(u64, W)>>,
}

impl<W> Default for Rounds<W> {
    fn default() -> Rounds<W> {
        let [begun, wanted, over] = [0; 3].map(AtomicU64::new);
        Rounds { begun, wanted, over, waiting: Mutex::new(Vec::new()) }
    }
}

impl<W> Rounds<W> {
    /// Something that commits was put into the queue, whose lock is held.
    pub fn commit_arrived(&self) {
        self.wanted.fetch_max(self.begun.load(Ordering::Relaxed) + 1, Ordering::AcqRel);
    }

    /// The core takes all that is in the queue, whose lock is held.
    pub fn begin(&self) {
        self.begun.store(self.begun.load(Ordering::Relaxed) + 1, Ordering::Release);
    }

    /// By the core: something has come to be committed in this round. Called before anybody else is told.
    pub fn committed_here(&self) {
        self.wanted.fetch_max(self.begun.load(Ordering::Relaxed), Ordering::AcqRel);
    }

    /// By the core: all that is committed is applied. Those who waited for it are handed to `wake`.
    pub fn end(&self, wake: impl FnMut(W)) {
        let round = self.begun.load(Ordering::Relaxed);
        let mut waiting = self.lock();
        self.over.store(round, Ordering::Release);
        if !waiting.is_empty() {
            waiting.extract_if(.., |(until, _)| *until <= round).map(|(_, who)| who).for_each(wake);
        }
    }

    /// The round that a read which begins now has to wait for, if there is one.
    pub fn outstanding(&self) -> Option<u64> {
        let wanted = self.wanted.load(Ordering::Acquire);
        (!self.is_over(wanted)).then_some(wanted)
    }

    pub fn is_over(&self, round: u64) -> bool {
        self.over.load(Ordering::Acquire) >= round
    }

    /// Has `who` woken at the end of this round. False where it is over already.
    pub fn wait(&self, round: u64, who: W) -> bool {
        let mut waiting = self.lock();
        if self.is_over(round) {
            return false;
        }
        waiting.push((round, who));
        true
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(u64, W)>> {
        self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
