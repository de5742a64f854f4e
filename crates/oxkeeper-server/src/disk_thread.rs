//! The disk thread: takes everything that waits, writes it, syncs once, and tells the core how far it got. When a write
//! or a sync fails, the process ends: what is on the disk is not known any more, and nothing may be acknowledged.
//!
//! In an ensemble it also replaces the history: cuts the log and recovers what is left, or puts a leader's snapshot in its place.

use crate::options::FileOptions;
use crate::peer::snapshot_receiver::ReceivedSnapshot;
use crate::shared::{CoreEvent, Shared, lock};
use oxkeeper_replica::Input;
use oxkeeper_storage::recover::{RecoverOptions, recover};
use oxkeeper_storage::{Disk, Persister, StorageError, StorageResult};
use oxkeeper_types::persist::{Persist, Persisted};
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Instant;

/// Exit code for a disk that failed (reference `ExitCode.UNABLE_TO_ACCESS_DATADIR` is for the start; a failed thread exits 1).
pub const EXIT_DISK_FAILED: i32 = 1;
/// Exit code for a log that cannot be cut back as the leader demands (reference `ExitCode.QUORUM_PACKET_ERROR`).
pub const EXIT_TRUNCATE_FAILED: i32 = 13;

/// What the disk is asked for.
pub enum DiskRequest {
    Persist(Persist),
    /// A leader's snapshot, received as a whole, takes the place of all that is there.
    Install(Box<ReceivedSnapshot>),
}

/// What waits for the disk. Bounded by what connections may have under way.
#[derive(Default)]
pub struct DiskQueue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    requests: Vec<DiskRequest>,
    stopped: bool,
    /// The thread waits for something to come.
    sleeping: bool,
}

impl DiskQueue {
    /// Moves all of `requests` in.
    pub fn put(&self, requests: &mut Vec<Persist>) {
        if !requests.is_empty() {
            self.extend(requests.drain(..).map(DiskRequest::Persist));
        }
    }
    pub fn install(&self, snapshot: ReceivedSnapshot) {
        self.extend([DiskRequest::Install(Box::new(snapshot))]);
    }
    fn extend(&self, requests: impl IntoIterator<Item = DiskRequest>) {
        let mut waiting = lock(&self.waiting);
        waiting.requests.extend(requests);
        let sleeping = std::mem::take(&mut waiting.sleeping);
        drop(waiting);
        if sleeping {
            self.wake.notify_one();
        }
    }
    /// What is there is still written; then the thread ends.
    pub fn stop(&self) {
        lock(&self.waiting).stopped = true;
        self.wake.notify_one();
    }
    /// The next batch of at most `batch_max` requests, or `None` when the queue was stopped and is empty.
    fn take(&self, batch_max: usize) -> Option<Vec<DiskRequest>> {
        let mut waiting = lock(&self.waiting);
        while waiting.requests.is_empty() && !waiting.stopped {
            waiting.sleeping = true;
            waiting = self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.requests.is_empty() {
            return None;
        }
        if waiting.requests.len() <= batch_max {
            return Some(std::mem::take(&mut waiting.requests));
        }
        let rest = waiting.requests.split_off(batch_max);
        Some(std::mem::replace(&mut waiting.requests, rest))
    }
}

/// The thread's own.
pub struct DiskThread {
    pub shared: Arc<Shared>,
    pub queue: Arc<DiskQueue>,
    pub persister: Persister,
    pub disk: Arc<dyn Disk>,
    pub files: FileOptions,
}

impl DiskThread {
    /// Runs until the queue is stopped, then closes the log in order.
    pub fn run(mut self) {
        let queue = self.queue.clone();
        while let Some(batch) = queue.take(self.files.batch_max) {
            let mut persists = Vec::with_capacity(batch.len());
            for request in batch {
                match request {
                    DiskRequest::Persist(request @ Persist::TruncateLog { .. }) => {
                        self.persist(&mut persists);
                        self.truncate(request);
                    }
                    DiskRequest::Persist(request) => persists.push(request),
                    DiskRequest::Install(snapshot) => {
                        self.persist(&mut persists);
                        self.install(*snapshot);
                    }
                }
            }
            self.persist(&mut persists);
        }
        if let Err(error) = self.persister.close() {
            tracing::warn!("the log was not closed in order; the next start will read it to its end: {error}");
        }
    }

    /// One sync for all.
    fn persist(&mut self, batch: &mut Vec<Persist>) {
        if batch.is_empty() {
            return;
        }
        let (start, metrics) = (Instant::now(), &self.shared.core_metrics);
        let done = self.persister.persist(batch).unwrap_or_else(|error| die(&error));
        let took = start.elapsed();
        metrics.sync_ms.add(took.as_millis() as u64);
        metrics.batch_size.add(batch.len() as u64);
        if took > self.files.slow_sync {
            crate::client::link::bump(&metrics.slow_syncs, 1);
            tracing::warn!(
                "fsync-ing the write ahead log took {}ms which will adversely affect operation latency; {} requests in the batch",
                took.as_millis(),
                batch.len()
            );
        }
        batch.clear();
        self.note_synced();
        let mut events: Vec<CoreEvent> = done.into_iter().map(|d| CoreEvent::Input(Input::Persisted(d))).collect();
        self.shared.core.put(&mut events);
    }

    fn note_synced(&self) {
        self.shared.history.synced.store(self.persister.last().0, Relaxed);
    }

    /// The log ends where the leader's history does, and the tree is rebuilt from what is left (QP040, QP057).
    fn truncate(&mut self, request: Persist) {
        let Persist::TruncateLog { zxid } = request else { unreachable!("asked for with a truncation only") };
        tracing::warn!("Truncating log to get in sync with the leader {zxid}");
        self.shared.history.end_generation();
        match self.cut_and_recover(request) {
            Ok(event) => self.shared.core.put_one(event),
            Err(error) => {
                tracing::error!(
                    "Not able to truncate the log {zxid}: the server stops. Move its data away and let it join empty, if \
                     the others are well. {error}"
                );
                std::process::exit(EXIT_TRUNCATE_FAILED);
            }
        }
    }

    fn cut_and_recover(&mut self, request: Persist) -> StorageResult<CoreEvent> {
        let done = self.persister.persist(&[request])?;
        assert!(matches!(done[..], [Persisted::Truncated { .. }]), "a truncation was answered by {done:?}");
        let options = RecoverOptions { epochs: false, recent_max: 0, ..self.files.recover.clone() };
        let recovered = recover(self.disk.clone(), &self.files.dirs, &options)?;
        self.persister.restart_after(recovered.last)?;
        self.note_synced();
        Ok(CoreEvent::Input(Input::StateReplaced { tree: Box::new(recovered.tree) }))
    }

    /// Nothing of the old history may be replayed on top of the snapshot (BG013). A snapshot whose link was closed meanwhile is
    /// dropped.
    fn install(&mut self, snapshot: ReceivedSnapshot) {
        let Some(mut snapshot) = snapshot.begin_install() else { return };
        let zxid = snapshot.tree.last_processed();
        let trailers = self.files.snapshot.trailers(zxid, snapshot.tree.digest());
        self.shared.history.end_generation();
        let installed = self.persister.restart_after(zxid).and_then(|()| {
            let writer = snapshot.writer.take().expect("installed once");
            writer.install(&trailers, &self.files.dirs)
        });
        match installed {
            Ok(file) => tracing::info!("installed the leader's snapshot as {}", file.path.display()),
            Err(error) => die(&error),
        }
        self.note_synced();
        let (link, tree) = (snapshot.link(), Box::new(snapshot.tree));
        self.shared.core.put_one(CoreEvent::Input(Input::StateReplaced { tree }));
        link.end_install();
    }
}

fn die(error: &StorageError) -> ! {
    tracing::error!(
        "the transaction log cannot be written, so the server stops; nothing that was acknowledged is lost. Make room or \
         mend the disk, then start it again. {error}"
    );
    std::process::exit(EXIT_DISK_FAILED);
}
