//! The state and the files that it is kept in, for those who write, send and receive history.

use crate::handover::Handover;
use crate::lock::lock;
use crate::options::FileOptions;
use oxkeeper_replica::State;
use oxkeeper_storage::Disk;
use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::sync::{Arc, Mutex, MutexGuard};

/// What snapshots and the log need to know of the rest of the server.
#[derive(Clone)]
pub struct ServerSide {
    pub handover: Arc<Handover<State>>,
    pub history: Arc<History>,
    pub disk: Arc<dyn Disk>,
    pub files: FileOptions,
}

/// What the files say happened, as far as other threads than the disk's may rely on it.
#[derive(Debug, Default)]
pub struct History {
    /// Everything in the log up to this zxid is durable.
    pub synced: AtomicI64,
    /// How often the history was replaced: cut, or put in place by a leader's snapshot. Images of the tree from before are of no
    /// use then, and may be gone.
    replaced: AtomicU64,
    /// Held while a snapshot is written.
    writing: Mutex<()>,
}

impl History {
    /// To be compared with a later one, while the shared side is held.
    pub fn generation(&self) -> u64 {
        self.replaced.load(SeqCst)
    }
    /// The history is about to be replaced: when this returns no snapshot of the old one is being written any more, nor will one be.
    pub fn end_generation(&self) {
        self.replaced.fetch_add(1, SeqCst);
        drop(lock(&self.writing));
    }
    /// To be held while a snapshot is written; whoever has it looks at the generation again.
    pub fn begin_snapshot(&self) -> MutexGuard<'_, ()> {
        lock(&self.writing)
    }
}
