//! The snapshot thread: writes frozen images of the tree, one at a time, beside the writes that go on; and removes old
//! files. The state is locked only while a piece of the image is copied out.

use crate::client::link::bump;
use crate::options::FileOptions;
use crate::shared::{CoreEvent, Shared};
use oxkeeper_replica::Input;
use oxkeeper_storage::purge::purge;
use oxkeeper_storage::snapshot::writer::write_snapshot;
use oxkeeper_storage::{Disk, StorageResult};
use oxkeeper_tree::ImageId;
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
}

/// The way to the snapshot thread. At most one job is under way: the replica asks for the next when this one is done.
pub struct SnapshotJobs(pub Sender<Job>);

impl SnapshotJobs {
    pub fn begin(&self, image: ImageId, zxid: Zxid) {
        self.0.send(Job { image, zxid }).expect("the snapshot thread lives as long as the core");
    }
}

/// Runs until the core is gone.
pub fn run(shared: Arc<Shared>, disk: Arc<dyn Disk>, files: FileOptions, jobs: Receiver<Job>) {
    let interval = files.purge_interval;
    // The first purge comes at once, as the reference's timer has it.
    let mut next_purge = interval.map(|_| Instant::now());
    loop {
        let wait = next_purge.map_or(Duration::from_secs(3600), |at| at.saturating_duration_since(Instant::now()));
        match jobs.recv_timeout(wait) {
            Ok(job) => {
                let zxid = write(&shared, &disk, &files, &job);
                shared.core.put_one(CoreEvent::Input(Input::SnapshotDone { zxid }));
            }
            Err(RecvTimeoutError::Disconnected) => return,
            Err(RecvTimeoutError::Timeout) => {}
        }
        if let Some(at) = next_purge
            && Instant::now() >= at
        {
            next_purge = interval.map(|interval| at + interval);
            clean_up(&*disk, &files);
        }
    }
}

/// A snapshot that fails costs nothing but its own use: the log still has everything.
fn write(shared: &Shared, disk: &Arc<dyn Disk>, files: &FileOptions, job: &Job) -> Option<Zxid> {
    let start = Instant::now();
    match write_image(shared, disk, files, job) {
        Ok(path) => {
            let took = start.elapsed();
            shared.core_metrics.snapshot_ms.add(took.as_millis() as u64);
            tracing::info!("wrote {} in {} ms", path.display(), took.as_millis());
            Some(job.zxid)
        }
        Err(error) => {
            bump(&shared.core_metrics.snapshot_errors, 1);
            tracing::error!("no snapshot was written; the next one is tried after snapCount transactions. {error}");
            None
        }
    }
}

fn write_image(shared: &Shared, disk: &Arc<dyn Disk>, files: &FileOptions, job: &Job) -> StorageResult<PathBuf> {
    let (mut cursor, digest) = {
        let state = shared.handover.shared();
        (state.tree.image_cursor(job.image), state.tree.image_digest(job.image))
    };
    let written = write_snapshot(disk.clone(), &files.dirs, job.zxid, &files.snapshot, digest, &mut |out, wanted| {
        shared.handover.shared().tree.image_next(&mut cursor, out, wanted.min(PIECE_BYTES))
    })?;
    Ok(written.path)
}

fn clean_up(disk: &dyn Disk, files: &FileOptions) {
    match purge(disk, &files.dirs, files.snapshots_kept) {
        Ok(purged) => purged.removed.iter().for_each(|path| tracing::info!("removed {}", path.display())),
        Err(error) => tracing::warn!("old files were not removed: {error}"),
    }
}
