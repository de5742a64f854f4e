//! The snapshot thread: writes frozen images of the tree, one at a time, beside the writes that go on; and removes old
//! files. The state is locked only while a piece of the image is copied out.

use crate::core_queue::{CoreEvent, CoreQueue};
use crate::history::ServerSide;
use crate::metrics::{CoreMetrics, Metrics, bump};
use crate::options::FileOptions;
use oxkeeper_replica::Input;
use oxkeeper_storage::purge::purge;
use oxkeeper_storage::snapshot::SnapshotWriter;
use oxkeeper_storage::{Disk, StorageError};
use oxkeeper_tree::{ImageId, ImageProgress, Tree};
use oxkeeper_types::Zxid;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

/// Bytes copied out under one hold of the shared side: about 100 µs.
const PIECE_BYTES: usize = 256 << 10;

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
    let interval = server.files.purge_interval;
    // The first purge comes at once, as the reference's timer has it.
    let mut next_purge = interval.map(|_| Instant::now());
    loop {
        let wait = next_purge.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(Instant::now()));
        match jobs.recv_timeout(wait) {
            Ok(job) => {
                let zxid = write(&server, &metrics.core, &job);
                core.put_one(CoreEvent::Input(Input::SnapshotDone { zxid }));
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(at) = next_purge
            && Instant::now() >= at
        {
            next_purge = interval.map(|interval| at + interval);
            clean_up(&*server.disk, &server.files);
        }
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
    let _writing = history.begin_snapshot();
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

fn clean_up(disk: &dyn Disk, files: &FileOptions) {
    match purge(disk, &files.dirs, files.snapshots_kept) {
        Ok(purged) => purged.removed.iter().for_each(|path| tracing::info!("removed {}", path.display())),
        Err(error) => tracing::warn!("old files were not removed: {error}"),
    }
}
