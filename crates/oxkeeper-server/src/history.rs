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
    /// See [`History::own_files`].
    files: Mutex<()>,
}

impl History {
    /// To be compared with a later one, while the shared side is held.
    pub fn generation(&self) -> u64 {
        self.replaced.load(SeqCst)
    }
    /// The history is about to be replaced: when this returns no snapshot of the old one is being written any more, nor will one be,
    /// and the files are the caller's until it drops what it gets.
    pub fn end_generation(&self) -> MutexGuard<'_, ()> {
        self.replaced.fetch_add(1, SeqCst);
        self.own_files()
    }
    /// To be held by whoever gives snapshots and logs their names or removes them: the snapshot thread while it writes or purges, the
    /// disk thread while it replaces the history. Whoever writes a snapshot looks at the generation again. The disk thread appends
    /// and begins log files without it: nobody removes the newest.
    pub fn own_files(&self) -> MutexGuard<'_, ()> {
        lock(&self.files)
    }
    #[cfg(test)]
    pub fn are_files_owned(&self) -> bool {
        self.files.try_lock().is_err()
    }
}
