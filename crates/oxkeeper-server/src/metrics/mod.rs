//! Figures counted where things happen. Each thread writes its own; readers add them up.
//!
//! A counter that one thread owns is bumped without a locked instruction ([`bump`]).

mod summary;

pub use summary::{Summary, SummaryView};

use crate::lock::lock;
use oxkeeper_replica::namespaces::Namespaces;
use oxkeeper_types::limits::NAMESPACES_MAX;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

/// What is counted on a server.
#[derive(Debug, Default)]
pub struct Metrics {
    /// By I/O thread.
    pub io: Vec<IoMetrics>,
    pub core: CoreMetrics,
    /// Of a server on its own nothing is counted here.
    pub peers: PeerMetrics,
    /// How much longer than asked for the thread of [`crate::stall_watch`] slept.
    pub stall_ms: Summary,
}

impl Metrics {
    pub fn new(io_threads: usize) -> Metrics {
        Metrics { io: (0..io_threads).map(|_| IoMetrics::default()).collect(), ..Metrics::default() }
    }
    /// Latency of all requests in milliseconds.
    pub fn latency(&self) -> SummaryView {
        self.io
            .iter()
            .fold(SummaryView::empty(), |sum, io| sum.merge(&io.read_latency.view()).merge(&io.update_latency.view()))
    }
    /// Sums over the I/O threads.
    pub fn total(&self, field: impl Fn(&IoMetrics) -> &AtomicU64) -> u64 {
        self.io.iter().map(|io| field(io).load(Relaxed)).fold(0, u64::wrapping_add)
    }
}

/// What one I/O thread counts, in cache lines of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct IoMetrics {
    pub packets_received: AtomicU64,
    pub packets_sent: AtomicU64,
    pub bytes_received: AtomicU64,
    pub response_bytes: AtomicU64,
    pub connections_rejected: AtomicU64,
    pub connections_dropped: AtomicU64,
    pub connect_requests: AtomicU64,
    pub handshakes_expired: AtomicU64,
    pub large_requests_rejected: AtomicU64,
    pub auth_failed: AtomicU64,
    pub throttle_waits: AtomicU64,
    pub throttled_ops: AtomicU64,
    pub stale_requests: AtomicU64,
    pub stale_requests_dropped: AtomicU64,
    /// Answers that came later than the session's timeout.
    pub stale_replies: AtomicU64,
    /// Bytes of the last, smallest and largest answer to a read; 0: none yet.
    pub response_last: AtomicU64,
    pub response_min: AtomicU64,
    pub response_max: AtomicU64,
    /// Milliseconds from a request's arrival to its answer.
    pub read_latency: Summary,
    pub update_latency: Summary,
    /// Bytes read by first-level node. Locked once for all requests of a buffer; only `mntr` ever waits for it.
    pub reads: Mutex<Namespaces>,
}

/// What the core and the disk thread count.
#[derive(Debug, Default)]
pub struct CoreMetrics {
    pub sync_ms: Summary,
    pub batch_size: Summary,
    pub prep_ms: Summary,
    pub snapshot_ms: Summary,
    pub startup_ms: Summary,
    pub slow_syncs: AtomicU64,
    pub snapshot_errors: AtomicU64,
    /// Sizes of what this server has proposed as a leader.
    pub proposals: Sizes,
    /// Replies whose connection was gone when they came.
    pub stale_replies: AtomicU64,
    /// Writes refused by a hard quota, by first-level node.
    pub quota_refusals: Mutex<BTreeMap<String, u64>>,
}

impl CoreMetrics {
    /// As many namespaces as there are figures for; see [`NAMESPACES_MAX`].
    pub fn quota_refused(&self, namespace: String) {
        let mut refusals = lock(&self.quota_refusals);
        if refusals.len() < NAMESPACES_MAX || refusals.contains_key(&namespace) {
            *refusals.entry(namespace).or_default() += 1;
        }
    }
}

/// What the threads of an ensemble's ports count, and the core on their behalf.
#[derive(Debug, Default)]
pub struct PeerMetrics {
    pub looking: AtomicU64,
    pub diffs: AtomicU64,
    pub snapshots: AtomicU64,
    pub proposals: AtomicU64,
    pub commits: AtomicU64,
    pub proposals_received: AtomicU64,
    pub commits_received: AtomicU64,
    pub election_ms: Summary,
    /// Monotonic milliseconds of the server's clock: since when it leads; 0 while it does not.
    pub leading_since: AtomicI64,
    /// The zxid with which the epoch began, where operators are shown it (`Zab::epoch_began`); 0 elsewhere.
    pub epoch_began: AtomicI64,
}

/// The last, the smallest and the largest of some sizes; -1 where there were none (reference `BufferStats`).
#[derive(Debug)]
pub struct Sizes {
    last: AtomicI64,
    min: AtomicI64,
    max: AtomicI64,
}

impl Default for Sizes {
    fn default() -> Sizes {
        Sizes { last: AtomicI64::new(-1), min: AtomicI64::new(-1), max: AtomicI64::new(-1) }
    }
}

impl Sizes {
    /// Only one thread may call it.
    pub fn add(&self, size: usize) {
        let size = size as i64;
        self.last.store(size, Relaxed);
        if size < self.min() || self.min() < 0 {
            self.min.store(size, Relaxed);
        }
        if size > self.max() {
            self.max.store(size, Relaxed);
        }
    }
    pub fn reset(&self) {
        [&self.last, &self.min, &self.max].into_iter().for_each(|size| size.store(-1, Relaxed));
    }
    pub fn last(&self) -> i64 {
        self.last.load(Relaxed)
    }
    pub fn min(&self) -> i64 {
        self.min.load(Relaxed)
    }
    pub fn max(&self) -> i64 {
        self.max.load(Relaxed)
    }
}

/// Adds to a figure that only the calling thread writes: no read-modify-write is needed.
pub fn bump(counter: &AtomicU64, by: u64) {
    counter.store(counter.load(Relaxed).wrapping_add(by), Relaxed);
}

impl IoMetrics {
    pub fn received(&self, bytes: usize) {
        bump(&self.packets_received, 1);
        bump(&self.bytes_received, bytes as u64);
    }
    /// One answer to a read left for the write buffer.
    pub fn responded(&self, bytes: usize) {
        let bytes = bytes as u64;
        bump(&self.response_bytes, bytes);
        self.response_last.store(bytes, Relaxed);
        let min = self.response_min.load(Relaxed);
        if min == 0 || bytes < min {
            self.response_min.store(bytes, Relaxed);
        }
        if bytes > self.response_max.load(Relaxed) {
            self.response_max.store(bytes, Relaxed);
        }
    }
    /// `srst`: latencies and packets count from here on (reference `ServerStats.reset`).
    pub fn reset(&self) {
        self.packets_received.store(0, Relaxed);
        self.packets_sent.store(0, Relaxed);
        for size in [&self.response_last, &self.response_min, &self.response_max] {
            size.store(0, Relaxed);
        }
        self.read_latency.reset();
        self.update_latency.reset();
    }
}
