//! The snapshot thread: writes frozen images of the tree, one at a time, beside the writes that go on.

use oxkeeper_tree::ImageId;
use oxkeeper_types::Zxid;
use std::sync::mpsc::Sender;

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
