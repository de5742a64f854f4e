//! The snapshot thread: writes frozen images of the tree, one at a time, beside the writes that go on; and removes old
//! files. The state is locked only while a piece of the image is copied out.

use crate::core_queue::{CoreEvent, CoreQueue};
use crate::history::ServerSide;
use crate::metrics::{CoreMetrics, Metrics, bump};
use oxkeeper_replica::Input;
use oxkeeper_storage::StorageError;
use oxkeeper_storage::purge::purge;
use oxkeeper_storage::snapshot::SnapshotWriter;
use oxkeeper_tree::{ImageId, ImageProgress, Tree};
use oxkeeper_types::Zxid;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// Bytes copied out under one hold of the shared side: about 100 µs.
const PIECE_BYTES: usize = 256 << 10;

/// The longest wait for a job, where nothing else is due.
const WAIT_MAX: Duration = Duration::from_secs(3600);

/// A snapshot to be written.
pub struct Job {
    pub image: ImageId,
    pub zxid: Zxid,
    /// Of the history that the image belongs to.
    pub generation: u64,
}

/// The way to the snapshot thread. At most one job is under way: the replica asks for the next when this one is done.
pub struct SnapshotJobs(pub Sender<Job>);

impl SnapshotJobs {
    pub fn begin(&self, image: ImageId, zxid: Zxid, generation: u64) {
        self.0.send(Job { image, zxid, generation }).expect("the snapshot thread lives as long as the core");
    }
}

/// Runs until the core is gone.
pub fn run(server: ServerSide, core: Arc<CoreQueue>, metrics: Arc<Metrics>, jobs: Receiver<Job>) {
    let started = Instant::now();
    let mut timer = PurgeTimer::new(server.files.purge_interval);
    loop {
        match jobs.recv_timeout(timer.wait(started.elapsed())) {
            Ok(job) => {
                let zxid = write(&server, &metrics.core, &job);
                core.put_one(CoreEvent::Input(Input::SnapshotDone { zxid }));
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if timer.is_due(started.elapsed()) {
            clean_up(&server);
        }
    }
}

/// When files are purged: at the start and then once in each interval (reference `DatadirCleanupManager`). Times are counted from
/// the start of the server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PurgeTimer {
    /// `None`: never.
    interval: Option<Duration>,
    next: Duration,
}

impl PurgeTimer {
    pub fn new(interval: Option<Duration>) -> PurgeTimer {
        PurgeTimer { interval: interval.filter(|interval| !interval.is_zero()), next: Duration::ZERO }
    }
    /// How long there is nothing to do.
    pub fn wait(&self, now: Duration) -> Duration {
        self.interval.map_or(Duration::MAX, |_| self.next.saturating_sub(now)).min(WAIT_MAX)
    }
    /// Whether a purge is to be done now; if so, the next is due at the next whole interval: one that was slept through, or took
    /// longer, is not made up for.
    pub fn is_due(&mut self, now: Duration) -> bool {
        let Some(interval) = self.interval.filter(|_| now >= self.next) else { return false };
        let passed = (now - self.next).as_nanos() / interval.as_nanos() + 1;
        self.next += interval.saturating_mul(u32::try_from(passed).unwrap_or(u32::MAX));
        true
    }
}

/// A snapshot that fails costs nothing but its own use: the log still has everything.
fn write(server: &ServerSide, metrics: &CoreMetrics, job: &Job) -> Option<Zxid> {
    let start = Instant::now();
    match write_image(server, job) {
        Ok(path) => {
            let took = start.elapsed();
            metrics.snapshot_ms.add(took.as_millis() as u64);
            tracing::info!("wrote {} in {} ms", path.display(), took.as_millis());
            Some(job.zxid)
        }
        Err(error) => {
            bump(&metrics.snapshot_errors, 1);
            tracing::error!("no snapshot was written; the next one is tried after snapCount transactions. {error}");
            None
        }
    }
}

/// Why a snapshot was not written to its end.
#[derive(Debug, thiserror::Error)]
enum Unwritten {
    #[error("{0}")]
    Storage(#[from] StorageError),
    #[error("the history that it is of was replaced by the leader's")]
    Replaced,
}

fn write_image(server: &ServerSide, job: &Job) -> Result<PathBuf, Unwritten> {
    let ServerSide { handover, history, disk, files } = server;
    let _files = history.own_files();
    let read = |change: &mut dyn FnMut(&Tree)| {
        let state = handover.shared();
        if history.generation() != job.generation {
            return Err(Unwritten::Replaced);
        }
        change(&state.tree);
        Ok(())
    };
    let mut begun = None;
    read(&mut |tree| begun = Some((tree.image_cursor(job.image), tree.image_digest(job.image))))?;
    let (mut cursor, digest) = begun.expect("read above");
    let mut writer = SnapshotWriter::create(disk.clone(), &files.dirs, job.zxid, files.snapshot.compression)?;
    let mut piece = Vec::with_capacity(2 * PIECE_BYTES);
    let mut progress = ImageProgress::More;
    while progress != ImageProgress::Done {
        piece.clear();
        read(&mut |tree| progress = tree.image_next(&mut cursor, &mut piece, PIECE_BYTES))?;
        writer.write(&piece)?;
    }
    Ok(writer.finish(&files.snapshot.trailers(job.zxid, digest))?.path)
}

pub(crate) fn clean_up(server: &ServerSide) {
    let ServerSide { history, disk, files, .. } = server;
    let _files = history.own_files();
    match purge(&**disk, &files.dirs, files.snapshots_kept) {
        Ok(purged) => purged.removed.iter().for_each(|path| tracing::info!("removed {}", path.display())),
        Err(error) => tracing::warn!("old files were not removed: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    /// Simulated time: jumps as the thread would wait, and tells when purges were due.
    fn purges(timer: &mut PurgeTimer, hours: u32) -> Vec<u32> {
        let (mut now, mut due) = (Duration::ZERO, Vec::new());
        while now <= HOUR * hours {
            if timer.is_due(now) {
                due.push((now.as_secs() / 3600) as u32);
            }
            now += timer.wait(now).max(Duration::from_secs(1));
        }
        due
    }

    #[test]
    fn files_are_purged_at_the_start_and_every_interval_over_days() {
        let mut daily = PurgeTimer::new(Some(HOUR * 24));
        assert_eq!(purges(&mut daily, 24 * 10), (0..=10).map(|day| day * 24).collect::<Vec<_>>());
        assert!(purges(&mut PurgeTimer::new(None), 24 * 10).is_empty());
        assert!(purges(&mut PurgeTimer::new(Some(Duration::ZERO)), 24).is_empty());
        assert_eq!(purges(&mut PurgeTimer::new(Some(HOUR)), 5), [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn purges_that_were_slept_through_are_not_made_up_for() {
        let mut timer = PurgeTimer::new(Some(HOUR));
        assert!(timer.is_due(Duration::ZERO) && !timer.is_due(HOUR - Duration::from_millis(1)));
        assert_eq!(timer.wait(HOUR / 2), HOUR / 2);
        assert!(timer.is_due(HOUR * 50 + HOUR / 3));
        assert!(!timer.is_due(HOUR * 51 - Duration::from_millis(1)) && timer.is_due(HOUR * 51));
    }

    #[test]
    fn the_longest_interval_does_no_harm() {
        let mut timer = PurgeTimer::new(Some(Duration::from_millis(u64::MAX)));
        assert!(timer.is_due(Duration::ZERO) && !timer.is_due(HOUR * 1_000_000));
        assert_eq!(timer.wait(HOUR), WAIT_MAX);
    }
}
