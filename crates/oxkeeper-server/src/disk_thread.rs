//! The disk thread: takes everything that waits, writes it, syncs once, and tells the core how far it got. When a write
//! or a sync fails, the process ends: what is on the disk is not known any more, and nothing may be acknowledged.

use crate::options::Batching;
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
    /// The next batch, or `None` when the queue was stopped and is empty. `synced`: when the batch before it was.
    fn take(&self, batching: &Batching, synced: Instant) -> Option<Vec<Persist>> {
        let batch_max = batching.transactions_max;
        let mut waiting = lock(&self.waiting);
        while waiting.requests.is_empty() && !waiting.stopped {
            waiting.sleeping = true;
            waiting = self.wake.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.requests.is_empty() {
            return None;
        }
        // Reference `SyncRequestProcessor`: more may come until the batch is full or the delay is over, unless none comes
        // for a while. Both times are 0 by default.
        while waiting.requests.len() < batch_max && !waiting.stopped {
            let patience = batching.delay.saturating_sub(synced.elapsed()).min(batching.poll);
            if patience.is_zero() {
                break;
            }
            let before = waiting.requests.len();
            waiting.sleeping = true;
            waiting = self.wake.wait_timeout(waiting, patience).unwrap_or_else(PoisonError::into_inner).0;
            waiting.sleeping = false;
            if waiting.requests.len() == before {
                break;
            }
        }
        if waiting.requests.len() <= batch_max {
            return Some(std::mem::take(&mut waiting.requests));
        }
        let rest = waiting.requests.split_off(batch_max);
        Some(std::mem::replace(&mut waiting.requests, rest))
    }
}

/// Runs until the queue is stopped, then closes the log in order.
pub fn run(shared: Arc<Shared>, queue: Arc<DiskQueue>, mut persister: Persister, batching: Batching, slow: Duration) {
    let mut synced = Instant::now();
    while let Some(batch) = queue.take(&batching, synced) {
        let start = Instant::now();
        let done = persister.persist(&batch).unwrap_or_else(|error| die(&error));
        synced = Instant::now();
        let took = synced - start;
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

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(3600);

    fn queue_of(requests: usize) -> DiskQueue {
        let queue = DiskQueue::default();
        queue.put(&mut vec![Persist::RollLog; requests]);
        queue
    }
    fn batching(transactions_max: usize, delay: Duration, poll: Duration) -> Batching {
        Batching { transactions_max, delay, poll }
    }
    fn taken(queue: &DiskQueue, batching: &Batching, synced: Instant) -> usize {
        queue.take(batching, synced).map_or(0, |batch| batch.len())
    }

    #[test]
    fn without_a_delay_a_batch_is_what_waits_up_to_its_limit() {
        let (queue, at_once) = (queue_of(5), batching(3, Duration::ZERO, Duration::ZERO));
        assert_eq!([0; 2].map(|_| taken(&queue, &at_once, Instant::now())), [3, 2]);
    }

    #[test]
    fn a_full_batch_waits_for_nothing_and_a_stop_ends_the_wait() {
        let (queue, patient) = (queue_of(5), batching(3, LONG, LONG));
        assert_eq!(taken(&queue, &patient, Instant::now()), 3);
        std::thread::scope(|scope| {
            let rest = scope.spawn(|| taken(&queue, &patient, Instant::now()));
            queue.put(&mut vec![Persist::RollLog]);
            assert_eq!(rest.join().unwrap(), 3, "what comes later joins the batch");
            let rest = scope.spawn(|| taken(&queue, &patient, Instant::now()));
            queue.put(&mut vec![Persist::RollLog]);
            queue.stop();
            assert_eq!(rest.join().unwrap(), 1);
        });
        assert!(queue.take(&patient, Instant::now()).is_none());
    }

    #[test]
    fn the_wait_ends_when_nothing_more_comes() {
        let start = Instant::now();
        let poll = Duration::from_millis(20);
        assert_eq!(taken(&queue_of(1), &batching(3, LONG, poll), start), 1);
        assert!(start.elapsed() >= poll, "{:?}", start.elapsed());
    }

    #[test]
    fn the_wait_ends_a_while_after_the_last_sync() {
        let (synced, delay) = (Instant::now(), Duration::from_millis(30));
        assert_eq!(taken(&queue_of(1), &batching(3, delay, LONG), synced), 1);
        assert!(synced.elapsed() >= delay, "{:?}", synced.elapsed());
        // By now it is over: the next one does not wait at all.
        assert_eq!(taken(&queue_of(1), &batching(3, delay, LONG), synced), 1);
    }
}
