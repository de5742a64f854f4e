//! The hand-over between the core and the threads that serve connections: the state behind a reader-writer lock, and one
//! outbox per connection.
//!
//! The rule that this file exists for: **a client never sees new data before the event that announces it.** The core puts
//! every event and reply of a batch into the outboxes while it holds the exclusive side; and the only way to read the
//! state is [`Handover::read_after_drain`], which takes the shared side and then empties the outbox of the asking
//! connection into its write buffer, in front of whatever will be read. So what leaves on a connection leaves in the
//! order of the state's versions. `tests/handover_model.rs` checks it under every interleaving.
//!
//! Generic over the state and over the notices beside bytes; must not know what either means. Locks and atomics come
//! from `super::sync` alone, so that the model check can put its own in their place.

use super::sync::{AtomicBool, Mutex, MutexGuard, Ordering, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// The state that readers share and the core changes.
#[derive(Debug)]
pub struct Handover<S> {
    state: RwLock<S>,
}

/// What waits for one connection. Filled by the core, emptied by the thread that owns the connection.
#[derive(Debug)]
pub struct Outbox<N> {
    waiting: Mutex<Waiting<N>>,
    /// Whether `waiting` holds anything: spares the lock on the way of a read. Written under the lock only.
    any: AtomicBool,
}

/// The content of an outbox.
#[derive(Debug)]
pub struct Waiting<N> {
    /// Whole frames.
    pub bytes: Vec<u8>,
    pub frames: usize,
    /// How many of the frames are replies.
    pub replies: usize,
    /// What happens beside bytes, in order; acted on after the bytes.
    pub notices: Vec<N>,
    /// More than the bound was put in: the bytes are gone and the connection has to be closed.
    pub overflowed: bool,
}

impl<N> Default for Waiting<N> {
    fn default() -> Waiting<N> {
        Waiting { bytes: Vec::new(), frames: 0, replies: 0, notices: Vec::new(), overflowed: false }
    }
}

/// What [`Outbox::drain`] found beside the bytes.
#[derive(Debug)]
pub struct Drained<N> {
    pub frames: usize,
    pub replies: usize,
    pub notices: Vec<N>,
    pub overflowed: bool,
}

/// Small buffers stay with an outbox, larger ones go back to the allocator when they are empty: an idle connection
/// holds next to nothing.
const KEPT_BYTES_MAX: usize = 512;

impl<S> Handover<S> {
    pub fn new(state: S) -> Handover<S> {
        Handover { state: RwLock::new(state) }
    }

    /// The shared side for one connection, its outbox emptied into `out` first. The state may then be read, and the
    /// answers appended to `out`, until the guard is dropped.
    pub fn read_after_drain<'a, N>(
        &'a self,
        outbox: &Outbox<N>,
        out: &mut Vec<u8>,
    ) -> (RwLockReadGuard<'a, S>, Drained<N>) {
        let state = self.shared();
        let drained = outbox.drain(out);
        (state, drained)
    }

    /// The shared side for those who answer no client: the core's own steps, reports, snapshots.
    pub fn shared(&self) -> RwLockReadGuard<'_, S> {
        self.state.read().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// The exclusive side, for the core. What it puts into outboxes it puts there before it lets go.
    pub fn exclusive(&self) -> RwLockWriteGuard<'_, S> {
        self.state.write().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl<N> Default for Outbox<N> {
    fn default() -> Outbox<N> {
        Outbox { waiting: Mutex::new(Waiting::default()), any: AtomicBool::new(false) }
    }
}

impl<N> Outbox<N> {
    /// Changes the content. Answers whether the outbox was empty before: then its thread has to be told.
    pub fn put(&self, fill: impl FnOnce(&mut Waiting<N>)) -> bool {
        let mut waiting = self.lock();
        fill(&mut waiting);
        // Relaxed would do for the reads: whoever has the shared side after an exclusive one sees what was stored before.
        // Outside of the exclusive side (a refused handshake, a command's output) the thread is told and comes again.
        !self.any.swap(true, Ordering::Release)
    }

    /// Moves the bytes behind `out`, and gives the rest.
    pub fn drain(&self, out: &mut Vec<u8>) -> Drained<N> {
        if !self.any.load(Ordering::Acquire) {
            return Drained { frames: 0, replies: 0, notices: Vec::new(), overflowed: false };
        }
        let mut waiting = self.lock();
        self.any.store(false, Ordering::Relaxed);
        if out.is_empty() && waiting.bytes.len() > KEPT_BYTES_MAX {
            std::mem::swap(out, &mut waiting.bytes);
            waiting.bytes = Vec::new();
        } else {
            out.extend_from_slice(&waiting.bytes);
            waiting.bytes.clear();
            if waiting.bytes.capacity() > KEPT_BYTES_MAX {
                waiting.bytes = Vec::new();
            }
        }
        Drained {
            frames: std::mem::take(&mut waiting.frames),
            replies: std::mem::take(&mut waiting.replies),
            notices: std::mem::take(&mut waiting.notices),
            overflowed: waiting.overflowed,
        }
    }

    /// Whether there is something in it that cannot wait until the connection can send again. Draining tells what.
    pub fn is_urgent(&self) -> bool {
        self.any.load(Ordering::Acquire) && {
            let waiting = self.lock();
            waiting.overflowed || !waiting.notices.is_empty()
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting<N>> {
        self.waiting.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}
