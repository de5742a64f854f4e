//! The disk thread: takes everything that waits, writes it, syncs once, and tells the core how far it got. When a write
//! or a sync fails, the process ends: what is on the disk is not known any more, and nothing may be acknowledged.

use crate::shared::{CoreEvent, Shared, lock};
use oxkeeper_replica::Input;
use oxkeeper_storage::{Persister, StorageError};
use oxkeeper_types::persist::Persist;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Exit code for a disk that failed (reference `ExitCode.UNABLE_TO_ACCESS_DATADIR` is for the start; a failed thread exits 1).
pub const EXIT_DISK_FAILED: i32 = 1;

/// What waits for the disk. Bounded by what connections may have under way.
#[derive(Default)]
pub struct DiskQueue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

#[derive(Default)]
struct Waiting {
    requests: Vec<Persist>,
    stopped: bool,
    /// The thread waits for something to come.
    sleeping: bool,
}

impl DiskQueue {
    /// Moves all of `requests` in.
    pub fn put(&self, requests: &mut Vec<Persist>) {
        if requests.is_empty() {
            return;
        }
        let mut waiting = lock(&self.waiting);
        waiting.requests.append(requests);
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
    fn take(&self, batch_max: usize) -> Option<Vec<Persist>> {
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

/// Runs until the queue is stopped, then closes the log in order.
pub fn run(shared: Arc<Shared>, queue: Arc<DiskQueue>, mut persister: Persister, batch_max: usize, slow: Duration) {
    while let Some(batch) = queue.take(batch_max) {
        let start = Instant::now();
        let done = persister.persist(&batch).unwrap_or_else(|error| die(&error));
        let took = start.elapsed();
        shared.core_metrics.sync_ms.add(took.as_millis() as u64);
        shared.core_metrics.batch_size.add(batch.len() as u64);
        if took > slow {
            crate::client::link::bump(&shared.core_metrics.slow_syncs, 1);
            tracing::warn!(
                "fsync-ing the write ahead log took {}ms which will adversely affect operation latency; {} requests in the batch",
                took.as_millis(),
                batch.len()
            );
        }
        let mut events: Vec<CoreEvent> = done.into_iter().map(|d| CoreEvent::Input(Input::Persisted(d))).collect();
        shared.core.put(&mut events);
    }
    if let Err(error) = persister.close() {
        tracing::warn!("the log was not closed in order; the next start will read it to its end: {error}");
    }
}

fn die(error: &StorageError) -> ! {
    tracing::error!(
        "the transaction log cannot be written, so the server stops; nothing that was acknowledged is lost. Make room or \
         mend the disk, then start it again. {error}"
    );
    std::process::exit(EXIT_DISK_FAILED);
}
