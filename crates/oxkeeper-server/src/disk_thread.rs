//! The disk thread: takes everything that waits, writes it, syncs once, and tells the core how far it got. When a write
//! or a sync fails, the process ends: what is on the disk is not known any more, and nothing may be acknowledged.
//!
//! In an ensemble it also replaces the history: cuts the log and recovers what is left, or puts a leader's snapshot in its place.

use crate::core_queue::{CoreEvent, CoreQueue};
use crate::history::{History, ServerSide};
use crate::lock::lock;
use crate::metrics::{Metrics, bump};
use crate::options::Batching;
use crate::peer::snapshot_receiver::ReceivedSnapshot;
use oxkeeper_replica::Input;
use oxkeeper_storage::log::SyncObserver;
use oxkeeper_storage::log::writer::slow_sync_text;
use oxkeeper_storage::recover::{RecoverOptions, recover};
use oxkeeper_storage::{Persister, StorageError, StorageResult};
use oxkeeper_types::persist::{Persist, Persisted};
use std::collections::VecDeque;
use std::path::Path;
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

/// What waits for the disk. The queue itself takes what the core brings, which must never wait here: the core hears the clock, and the
/// disk's answers. Bounded is what reaches the core. Above `DISK_BYTES_MAX` of transactions, written ones that are not synced included,
/// clients' writes are not taken and links with other servers are not read ([`crate::history::Backlog`]). What was on its way to the
/// core by then comes on top. In an ensemble, besides, a server whose disk answers nothing for `syncLimit` gives up its role, and
/// nobody brings it anything then.
#[derive(Default)]
pub struct DiskQueue {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    history: Arc<History>,
}

#[derive(Default)]
struct Waiting {
    requests: Vec<DiskRequest>,
    stopped: bool,
    /// The thread waits for something to come.
    sleeping: bool,
}

/// Bytes of transactions.
fn bytes(request: &Persist) -> usize {
    match request {
        Persist::Append { txn, .. } => txn.len(),
        _ => 0,
    }
}

impl DiskQueue {
    pub fn new(history: Arc<History>) -> DiskQueue {
        DiskQueue { history, ..DiskQueue::default() }
    }

    /// Moves all of `requests` in. `received`: the snapshots that they ask to install, in the same order.
    pub fn put(&self, requests: &mut Vec<Persist>, received: &mut VecDeque<Box<ReceivedSnapshot>>) {
        if requests.is_empty() {
            return;
        }
        self.history.backlog.grow(requests.iter().map(bytes).sum());
        let mut waiting = lock(&self.waiting);
        waiting.requests.extend(requests.drain(..).map(|request| match request {
            Persist::InstallSnapshot { zxid } => {
                let snapshot = received.pop_front().expect("a snapshot is installed after it was received");
                assert_eq!(snapshot.tree.last_processed(), zxid, "the snapshot that was received is another one");
                DiskRequest::Install(snapshot)
            }
            request => DiskRequest::Persist(request),
        }));
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
    fn take(&self, batching: &Batching, synced: Instant) -> Option<Vec<DiskRequest>> {
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

/// The thread's own.
pub struct DiskThread {
    pub core: Arc<CoreQueue>,
    pub metrics: Arc<Metrics>,
    pub server: ServerSide,
    pub queue: Arc<DiskQueue>,
    pub persister: Persister,
    /// `myid`; 0 for a server on its own, as the reference names its thread.
    pub server_id: i64,
}

impl DiskThread {
    /// Runs until the queue is stopped, then closes the log in order.
    pub fn run(mut self) {
        self.persister.observe(Box::new(SlowSyncs {
            metrics: self.metrics.clone(),
            thread: format!("SyncThread:{}", self.server_id),
            threshold_ms: self.server.files.slow_sync.as_millis(),
            began: Instant::now(),
        }));
        let queue = self.queue.clone();
        let mut synced = Instant::now();
        while let Some(batch) = queue.take(&self.server.files.batching, synced) {
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
            synced = Instant::now();
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
        let (start, metrics) = (Instant::now(), &self.metrics.core);
        let done = self.persister.persist(batch).unwrap_or_else(|error| die(&error));
        let took = start.elapsed();
        metrics.sync_ms.add(took.as_millis() as u64);
        metrics.batch_size.add(batch.len() as u64);
        self.server.history.backlog.shrink(batch.iter().map(bytes).sum());
        batch.clear();
        self.note_synced();
        let mut events: Vec<CoreEvent> = done.into_iter().map(|d| CoreEvent::Input(Input::Persisted(d))).collect();
        self.core.put(&mut events);
    }

    fn note_synced(&self) {
        self.server.history.synced.store(self.persister.last().0, Relaxed);
    }

    /// The log ends where the leader's history does, and the tree is rebuilt from what is left (QP040, QP057).
    fn truncate(&mut self, request: Persist) {
        let Persist::TruncateLog { zxid } = request else { unreachable!("asked for with a truncation only") };
        tracing::warn!("Truncating log to get in sync with the leader {zxid}");
        let history = self.server.history.clone();
        let _files = history.end_generation();
        match self.cut_and_recover(request) {
            Ok(event) => self.core.put_one(event),
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
        match done[..] {
            [Persisted::Truncated { .. }] => {}
            [cannot @ Persisted::CannotTruncate { .. }] => return Ok(CoreEvent::Input(Input::Persisted(cannot))),
            _ => unreachable!("a truncation was answered by {done:?}"),
        }
        let options =
            RecoverOptions { epochs: false, recent_max: 0, in_service: true, ..self.server.files.recover.clone() };
        let recovered = recover(self.server.disk.clone(), &self.server.files.dirs, &options)?;
        self.persister.restart_after(recovered.last)?;
        self.note_synced();
        Ok(CoreEvent::Input(Input::StateReplaced { tree: Box::new(recovered.tree) }))
    }

    /// Nothing of the old history may be replayed on top of the snapshot (BG013).
    fn install(&mut self, snapshot: ReceivedSnapshot) {
        let ReceivedSnapshot { tree, writer } = snapshot;
        let zxid = tree.last_processed();
        let trailers = self.server.files.snapshot.trailers(zxid, tree.digest());
        let history = self.server.history.clone();
        let _files = history.end_generation();
        match self.persister.install(writer, &trailers, zxid) {
            Ok(file) => tracing::info!("installed the leader's snapshot as {}", file.path.display()),
            Err(error) => die(&error),
        }
        self.note_synced();
        self.core.put_one(CoreEvent::Input(Input::StateReplaced { tree: Box::new(tree) }));
    }
}

/// Warns of syncs that take long (reference `FileTxnLog.commit`): alerts are built on its line.
struct SlowSyncs {
    metrics: Arc<Metrics>,
    thread: String,
    threshold_ms: u128,
    began: Instant,
}

impl SyncObserver for SlowSyncs {
    fn sync_begins(&mut self, _: &Path) {
        self.began = Instant::now();
    }
    fn sync_ended(&mut self, _: &Path, file_bytes: u64) {
        let took_ms = self.began.elapsed().as_millis();
        if took_ms > self.threshold_ms {
            bump(&self.metrics.core.slow_syncs, 1);
            tracing::warn!("{}", slow_sync_text(&self.thread, took_ms as u64, file_bytes));
        }
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
    use tracing::field::{Field, Visit};
    use tracing::span;

    /// Keeps the text of every event.
    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<String>>>);

    impl Visit for Lines {
        fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
            if field.name() == "message" {
                lock(&self.0).push(format!("{value:?}"));
            }
        }
    }

    impl tracing::Subscriber for Lines {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            event.record(&mut self.clone());
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    #[test]
    fn a_slow_sync_is_counted_and_warned_of_in_the_words_of_the_reference() {
        let (lines, metrics, log) = (Lines::default(), Arc::new(Metrics::new(1)), Path::new("log.1"));
        let thread = "SyncThread:3".to_owned();
        let mut syncs = SlowSyncs { metrics: metrics.clone(), thread, threshold_ms: 1000, began: Instant::now() };
        tracing::subscriber::with_default(lines.clone(), || {
            syncs.sync_begins(log);
            syncs.threshold_ms = u128::MAX;
            syncs.sync_ended(log, 8208);
            assert!(lock(&lines.0).is_empty(), "it was not slow");
            syncs.threshold_ms = 1000;
            syncs.began -= Duration::from_millis(1500);
            syncs.sync_ended(log, 8208);
        });
        let said = lock(&lines.0).join("\n");
        assert!(said.starts_with("fsync-ing the write ahead log in SyncThread:3 took 1"), "{said}");
        assert!(said.contains("ms which will adversely effect operation latency.File size is 8208 bytes. "), "{said}");
        assert_eq!(metrics.core.slow_syncs.load(Relaxed), 1);
    }
    use std::time::Duration;

    const LONG: Duration = Duration::from_secs(3600);

    fn queue_of(requests: usize) -> DiskQueue {
        let queue = DiskQueue::default();
        queue.put(&mut vec![Persist::RollLog; requests], &mut VecDeque::new());
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
            queue.put(&mut vec![Persist::RollLog], &mut VecDeque::new());
            assert_eq!(rest.join().unwrap(), 3, "what comes later joins the batch");
            let rest = scope.spawn(|| taken(&queue, &patient, Instant::now()));
            queue.put(&mut vec![Persist::RollLog], &mut VecDeque::new());
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
