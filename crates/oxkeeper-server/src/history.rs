//! The state and the files that it is kept in, for those who write, send and receive history.

use crate::handover::Handover;
use crate::lock::lock;
use crate::options::FileOptions;
use oxkeeper_replica::State;
use oxkeeper_storage::Disk;
use oxkeeper_types::limits::DISK_BYTES_MAX;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, MutexGuard};

/// What snapshots and the log need to know of the rest of the server.
#[derive(Clone)]
pub struct ServerSide {
    pub handover: Arc<Handover<State>>,
    pub history: Arc<History>,
    pub disk: Arc<dyn Disk>,
    pub files: FileOptions,
}

/// How much waits for the disk. Kept by the core and the disk thread, looked at by those who bring more.
#[derive(Debug, Default)]
pub struct Backlog {
    bytes: AtomicUsize,
}

impl Backlog {
    pub fn grow(&self, bytes: usize) {
        self.bytes.fetch_add(bytes, Relaxed);
    }
    pub fn shrink(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Relaxed);
    }
    /// Whoever would bring more is to wait.
    pub fn is_full(&self) -> bool {
        self.bytes.load(Relaxed) >= DISK_BYTES_MAX
    }
}

/// What the files say happened, as far as other threads than the disk's may rely on it.
#[derive(Debug, Default)]
pub struct History {
    /// Everything in the log up to this zxid is durable.
    pub synced: AtomicI64,
    /// How often the history was replaced: cut, or put in place by a leader's snapshot. Images of the tree from before are of no
    /// use then, and may be gone.
    replaced: AtomicU64,
    /// What is to be logged.
    pub backlog: Backlog,
    /// See [`History::own_files`].
    files: Mutex<()>,
}

impl History {
    /// To be compared with a later one, while the shared side is held.
    pub fn generation(&self) -> u64 {
        self.replaced.load(SeqCst)
    }
    /// The history is about to be replaced: when this returns no snapshot of the old one is being written any more, nor will one be,
    /// and the files are the caller's until it drops what it gets.
    pub fn end_generation(&self) -> MutexGuard<'_, ()> {
        self.replaced.fetch_add(1, SeqCst);
        self.own_files()
    }
    /// To be held by whoever gives snapshots and logs their names or removes them: the snapshot thread while it writes or purges, the
    /// disk thread while it replaces the history. Whoever writes a snapshot looks at the generation again. The disk thread appends
    /// and begins log files without it: nobody removes the newest.
    pub fn own_files(&self) -> MutexGuard<'_, ()> {
        lock(&self.files)
    }
    #[cfg(test)]
    pub fn are_files_owned(&self) -> bool {
        self.files.try_lock().is_err()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core_queue::{CoreEvent, CoreQueue};
    use crate::disk_thread::{DiskQueue, DiskThread};
    use crate::metrics::Metrics;
    use crate::recovery::{self, Loaded};
    use crate::settings::Settings;
    use crate::snapshot_thread::clean_up;
    use oxkeeper_config::{Config, Inputs, MainSource};
    use oxkeeper_replica::Input;
    use oxkeeper_storage::disk::DirEntry;
    use oxkeeper_storage::fault_disk::FaultDisk;
    use oxkeeper_storage::names::{is_tmp_name, list_logs, list_snapshots};
    use oxkeeper_storage::snapshot::write_frozen;
    use oxkeeper_storage::{DiskFile, Persister};
    use oxkeeper_types::persist::Persist;
    use oxkeeper_types::{SessionId, Zxid};
    use std::io;
    use std::path::Path;
    use std::time::Duration;

    /// A disk that wants to know whose the files are whenever a snapshot or a log is named or removed.
    struct Guarded {
        inner: FaultDisk,
        history: Arc<History>,
    }

    impl Guarded {
        fn check(&self, path: &Path) {
            let name = path.file_name().unwrap().to_str().unwrap();
            let counts = !is_tmp_name(name) && (name.starts_with("snapshot.") || name.starts_with("log."));
            assert!(
                !counts || self.history.are_files_owned(),
                "{name} is changed by somebody who does not own the files"
            );
        }
    }

    impl Disk for Guarded {
        fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
            self.inner.create(path)
        }
        fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
            self.inner.open(path)
        }
        fn open_read(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
            self.inner.open_read(path)
        }
        fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
            self.check(to);
            self.inner.rename(from, to)
        }
        fn remove(&self, path: &Path) -> io::Result<()> {
            self.check(path);
            self.inner.remove(path)
        }
        fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
            self.inner.list(dir)
        }
        fn create_dir_all(&self, dir: &Path) -> io::Result<()> {
            self.inner.create_dir_all(dir)
        }
        fn is_dir(&self, path: &Path) -> bool {
            self.inner.is_dir(path)
        }
        fn exists(&self, path: &Path) -> bool {
            self.inner.exists(path)
        }
        fn sync_dir(&self, dir: &Path) -> io::Result<()> {
            self.inner.sync_dir(dir)
        }
    }

    /// With five snapshots and a log of nine transactions.
    fn server() -> (ServerSide, Persister, FaultDisk) {
        let main = MainSource::File { path: "test.cfg".into(), text: "clientPort=0\ndataDir=/data\n".into() };
        let config = Config::load(&Inputs { main, ..Inputs::default() }, &mut |_| Ok(None)).unwrap();
        let files = Settings::from_config(&config, 7).unwrap().files;
        let inner = FaultDisk::new();
        let Loaded { mut state, mut persister, .. } = recovery::load(Arc::new(inner.clone()), &files).unwrap();
        for zxid in 1..=9 {
            let header = oxkeeper_proto::txn::TxnHeader { session: SessionId(1), cxid: 0, zxid: Zxid(zxid), time: 0 };
            let (txn, digest) = (oxkeeper_proto::txn::Txn::Error { code: -1 }, None);
            let entry = oxkeeper_proto::txn::TxnEntry { header, txn, digest };
            let mut txn = Vec::new();
            entry.write(&mut txn);
            persister.persist(&[Persist::Append { zxid: Zxid(zxid), txn: txn.into() }]).unwrap();
            state.tree.apply(&entry, &mut Vec::new());
            if zxid % 2 == 0 {
                write_frozen(Arc::new(inner.clone()), &files.dirs, &mut state.tree, &files.snapshot).unwrap();
                persister.persist(&[Persist::RollLog]).unwrap();
            }
        }
        let history = Arc::new(History::default());
        let disk = Arc::new(Guarded { inner: inner.clone(), history: history.clone() });
        let handover = Arc::new(Handover::new(state));
        (ServerSide { handover, history, disk, files }, persister, inner)
    }

    #[test]
    fn who_purges_owns_the_files() {
        let (server, _, disk) = server();
        clean_up(&server);
        let kept: Vec<i64> =
            list_snapshots(&disk, &server.files.dirs.snapshots).unwrap().iter().map(|s| s.zxid.0).collect();
        assert_eq!(kept, [8, 6, 4]);
        assert!(!server.history.are_files_owned());
    }

    #[test]
    fn who_cuts_the_log_owns_the_files_and_leaves_those_that_others_write() {
        let (server, persister, disk) = server();
        let half_made = server.files.dirs.snapshots.join(".snapshot.9.77.tmp");
        disk.create(&half_made).unwrap();
        let (core, metrics, queue) = (Arc::new(CoreQueue::default()), Arc::new(Metrics::new(1)), Arc::default());
        let (dirs, history) = (server.files.dirs.clone(), server.history.clone());
        // The disk of the persister is the one without a guard; that of the recovery behind the cut has it.
        let waiting: Arc<DiskQueue> = queue;
        waiting.put(&mut vec![Persist::TruncateLog { zxid: Zxid(5) }], &mut Default::default());
        waiting.stop();
        DiskThread { core: core.clone(), metrics, server, queue: waiting, persister, server_id: 1 }.run();
        let mut events = Vec::new();
        core.take(&mut events, Duration::ZERO);
        let replaced = events.iter().find_map(|event| match event {
            CoreEvent::Input(Input::StateReplaced { tree }) => Some(tree.last_processed()),
            _ => None,
        });
        assert_eq!(replaced, Some(Zxid(5)));
        assert!(disk.exists(&half_made), "a reception under way keeps its file");
        assert!(list_logs(&disk, &dirs.logs).unwrap().iter().all(|log| log.first <= Zxid(5)));
        assert!(!history.are_files_owned());
    }

    #[test]
    fn nobody_purges_while_the_history_is_replaced() {
        let (server, _, disk) = server();
        let owned = server.history.end_generation();
        let purging = std::thread::spawn({
            let server = server.clone();
            move || clean_up(&server)
        });
        let snapshots = || list_snapshots(&disk, &server.files.dirs.snapshots).unwrap().len();
        // Whatever the other thread does meanwhile, it removes nothing.
        std::thread::sleep(Duration::from_millis(50));
        assert_eq!(snapshots(), 5);
        drop(owned);
        purging.join().unwrap();
        assert_eq!(snapshots(), 3);
    }
}
