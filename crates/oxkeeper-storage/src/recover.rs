//! From files to a state: the newest good snapshot, the log on top of it, the epochs. Runs once, before anything else.
//!
//! Owns the rules on what may be trusted (DK005-DK010 directories, DK051 snapshots, DK061 ephemerals, DK078-DK080 epochs,
//! DK092-DK097 what is missing). Comes before [`crate::persist`], which must be told [`Recovered::last`]. Must not run beside a
//! server that uses the same directories.
//!
//! The rule above all others: never lose anything silently. What is repaired (a torn tail, files that a crash left half made)
//! is in the report; what cannot be repaired without loss stops the start.

use crate::disk::Disk;
use crate::epoch_file::{read_epoch, write_epoch};
use crate::error::{StorageError, StorageResult};
use crate::log::RawRecord;
use crate::log::reader::last_logged_zxid;
use crate::log::replay::{LogReport, replay_log};
use crate::log::truncate::remove_durably;
use crate::names::{
    ACCEPTED_EPOCH, CURRENT_EPOCH, Dirs, INITIALIZE, SnapshotFile, is_tmp_name, list_logs, list_snapshots,
    looks_like_log, looks_like_snapshot, tmp_name,
};
use crate::snapshot::{self, LoadedSnapshot, SnapshotOptions, looks_valid, write_frozen};
use bytes::Bytes;
use oxkeeper_proto::txn::{DIGEST_VERSION, TxnEntry};
use oxkeeper_tree::{DigestCheck, Tree, TreeOptions};
use oxkeeper_types::limits::RECORD_BYTES_MAX;
use oxkeeper_types::{Epoch, SessionId, Zxid};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How many snapshots are tried before giving up (reference `FileSnap.deserialize`).
const SNAPSHOTS_TRIED_MAX: usize = 100;

#[derive(Clone, Debug)]
pub struct RecoverOptions {
    pub tree: TreeOptions,
    /// How the snapshot of an empty database is written.
    pub snapshot: SnapshotOptions,
    /// `snapshot.trust.empty`: logs without a snapshot are the whole history.
    pub trust_empty_snapshot: bool,
    /// `db.autocreate`: no files at all are an empty database, and not a lost one.
    pub database_autocreate: bool,
    /// The server runs already: half-made files are somebody's.
    pub in_service: bool,
    /// `datadir.autocreate`
    pub directory_autocreate: bool,
    /// The server is part of an ensemble: epoch files are used (DK081).
    pub epochs: bool,
    /// Of the transactions that are replayed, how many of the last are kept in [`Recovered::recent`] (`commitLogCount`).
    pub recent_max: usize,
    /// `jute.maxbuffer` and its extra size: a longer record of the log stops the start (DK031).
    pub record_bytes_max: usize,
}

impl Default for RecoverOptions {
    fn default() -> RecoverOptions {
        RecoverOptions {
            tree: TreeOptions::default(),
            snapshot: SnapshotOptions::default(),
            trust_empty_snapshot: false,
            database_autocreate: true,
            in_service: false,
            directory_autocreate: true,
            epochs: false,
            recent_max: 0,
            record_bytes_max: RECORD_BYTES_MAX,
        }
    }
}

/// The numbers in the epoch files.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Epochs {
    pub accepted: Epoch,
    pub current: Epoch,
}

/// The state of a server after a start.
#[derive(Debug)]
pub struct Recovered {
    pub tree: Tree,
    /// The last transaction there is; [`Zxid::NONE`] where an empty database may not be trusted, so that the server
    /// does not vote (DK092).
    pub last: Zxid,
    /// `None` for a standalone server.
    pub epochs: Option<Epochs>,
    pub recent: Recent,
    pub report: RecoveryReport,
}

/// The end of the log: what a leader sends to learners that are a little behind.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Recent {
    /// Oldest first, contiguous, up to the last transaction there is.
    pub txns: Vec<(Zxid, Bytes)>,
    /// The transaction before the oldest of them; the last one there is where there are none.
    pub after: Zxid,
}

/// What recovery found and did. Everything in here but counts deserves a line in the server's log.
#[derive(Debug, Default)]
pub struct RecoveryReport {
    /// The snapshot that was used.
    pub snapshot: Option<SnapshotFile>,
    /// Newer snapshots that could not be used, and why.
    pub rejected: Vec<(PathBuf, String)>,
    pub log: LogReport,
    /// Transactions that the snapshot had already, in part or in whole.
    pub refused: u64,
    /// The tree's digest differed from that in a transaction or in the snapshot: first zxid where it did.
    pub digest_mismatch: Option<Zxid>,
    /// The digest of a fuzzy snapshot is for a transaction that is not in the log: the state may mix two moments.
    pub snapshot_digest_missed: bool,
    /// Nodes whose ACL list is missing from the snapshot: only super users reach them.
    pub acls_missing: usize,
    /// The longest node of the snapshot and its bytes, where the reference would not read that many: the start goes on, since the node
    /// was accepted, and clients can read it.
    pub too_long: Option<(String, usize)>,
    /// Sessions that had ephemeral nodes but were not in the table: the nodes are gone.
    pub stale_sessions: Vec<SessionId>,
    /// `initialize` files that were found and removed.
    pub initialize_markers: Vec<PathBuf>,
    /// Half-made files of an earlier life, removed.
    pub removed: Vec<PathBuf>,
    /// A snapshot of the empty database was written.
    pub created: bool,
    /// The log was read without a snapshot: write one as soon as the server is in sync (DK094).
    pub snapshot_wanted: bool,
    /// Epoch files that were missing or behind, and what was written to them.
    pub epochs_derived: Vec<(&'static str, Epoch)>,
}

/// Recovers a server's state and leaves its directories fit for writing.
pub fn recover(disk: Arc<dyn Disk>, dirs: &Dirs, options: &RecoverOptions) -> StorageResult<Recovered> {
    let mut report = RecoveryReport::default();
    prepare_dirs(&*disk, dirs, options)?;
    if !options.in_service {
        remove_leftovers(&*disk, dirs, &mut report)?;
    }
    let markers = find_markers(&*disk, dirs);
    let mut tail = Tail { max: options.recent_max, ..Tail::default() };
    let mut tree = match choose_snapshot(&*disk, dirs, options, &mut report)? {
        Some(loaded) => {
            let after = loaded.tree.last_processed();
            replay(&*disk, dirs, loaded, after, options, &mut tail, &mut report)?
        }
        None => without_snapshot(&disk, dirs, options, !markers.is_empty(), &mut tail, &mut report)?,
    };
    report.stale_sessions = tree.remove_stale_ephemerals();
    let last = tree.last_processed();
    let epochs = if options.epochs { Some(recover_epochs(&*disk, dirs, last, &mut report)?) } else { None };
    // Last, so that a crash in between still finds them: the reference removes the marker first.
    for marker in markers {
        disk.remove(&marker).map_err(|e| StorageError::io("remove", &marker, e))?;
        sync_dir(&*disk, marker.parent().unwrap_or(Path::new("")))?;
        report.initialize_markers.push(marker);
    }
    Ok(Recovered { tree, last, epochs, recent: tail.finish(last), report })
}

fn sync_dir(disk: &dyn Disk, dir: &Path) -> StorageResult<()> {
    disk.sync_dir(dir).map_err(|e| StorageError::io("sync directory", dir, e))
}

/// Makes the directories or complains (DK009); refuses snapshots among logs and logs among snapshots (DK008).
pub fn prepare_dirs(disk: &dyn Disk, dirs: &Dirs, options: &RecoverOptions) -> StorageResult<()> {
    for dir in [&dirs.logs, &dirs.snapshots] {
        if disk.is_dir(dir) {
            continue;
        }
        if !options.directory_autocreate {
            return Err(StorageError::MissingDir { path: dir.clone() });
        }
        disk.create_dir_all(dir).map_err(|e| StorageError::io("create directory", dir, e))?;
        for parent in dir.ancestors().skip(1).take(2).filter(|parent| !parent.as_os_str().is_empty()) {
            sync_dir(disk, parent)?;
        }
    }
    if dirs.are_one() {
        return Ok(());
    }
    refuse_mixed(disk, &dirs.logs, looks_like_snapshot, "snapshot", "transaction logs (dataLogDir)")?;
    refuse_mixed(disk, &dirs.snapshots, looks_like_log, "log", "snapshots (dataDir)")
}

fn refuse_mixed(
    disk: &dyn Disk,
    dir: &Path,
    is_foreign: fn(&str) -> bool,
    kind: &'static str,
    expected: &'static str,
) -> StorageResult<()> {
    let entries = disk.list(dir).map_err(|e| StorageError::io("list", dir, e))?;
    match entries.into_iter().find(|e| is_foreign(&e.name)) {
        Some(found) => Err(StorageError::MixedDirs { dir: dir.to_path_buf(), found: found.name, kind, expected }),
        None => Ok(()),
    }
}

/// Removes what atomic writes left half made (DK005). Temporary epoch files stay: one may hold the epoch that counts (DK079).
fn remove_leftovers(disk: &dyn Disk, dirs: &Dirs, report: &mut RecoveryReport) -> StorageResult<()> {
    let entries = disk.list(&dirs.snapshots).map_err(|e| StorageError::io("list", &dirs.snapshots, e))?;
    for entry in entries {
        let snapshot = looks_like_snapshot(entry.name.strip_prefix('.').unwrap_or(&entry.name));
        if is_tmp_name(&entry.name) && snapshot {
            let path = dirs.snapshots.join(&entry.name);
            disk.remove(&path).map_err(|e| StorageError::io("remove", &path, e))?;
            report.removed.push(path);
        }
    }
    // Also makes durable what a killed predecessor renamed and did not get to sync.
    sync_dir(disk, &dirs.snapshots)
}

/// The marker is documented for dataDir and read by the reference from dataLogDir: both count (TL064).
fn find_markers(disk: &dyn Disk, dirs: &Dirs) -> Vec<PathBuf> {
    let mut markers: Vec<PathBuf> = [&dirs.snapshots, &dirs.logs]
        .into_iter()
        .filter_map(|dir| Some(dir.parent()?.join(INITIALIZE)))
        .filter(|path| disk.exists(path))
        .collect();
    markers.dedup();
    markers
}

/// Loads the newest snapshot that is whole; `None` where there is none at all.
fn choose_snapshot(
    disk: &dyn Disk,
    dirs: &Dirs,
    options: &RecoverOptions,
    report: &mut RecoveryReport,
) -> StorageResult<Option<LoadedSnapshot>> {
    let mut tried = 0;
    for file in list_snapshots(disk, &dirs.snapshots)? {
        if tried == SNAPSHOTS_TRIED_MAX {
            break;
        }
        if !looks_valid(disk, &file)? {
            let why = format!("it is not whole ({} bytes): its writer was interrupted", file.length);
            report.rejected.push((file.path, why));
            continue;
        }
        tried += 1;
        match snapshot::load(disk, &file, options.tree) {
            Ok(loaded) => {
                // A snapshot of the reference may not be synced yet; from now on everything rests on it.
                let handle = disk.open(&file.path).map_err(|e| StorageError::io("open", &file.path, e))?;
                handle.sync_data().map_err(|e| StorageError::io("sync", &file.path, e))?;
                report.acls_missing = loaded.acls_missing;
                report.too_long = Some(loaded.longest.clone()).filter(|(_, bytes)| *bytes > options.record_bytes_max);
                report.snapshot = Some(file);
                return Ok(Some(loaded));
            }
            Err(error) => report.rejected.push((file.path, error.to_string())),
        }
    }
    match report.rejected.first() {
        // Files that are there but cannot be read are not an empty database (BG020).
        Some((_, newest)) => Err(StorageError::NoReadableSnapshot {
            dir: dirs.snapshots.clone(),
            tried: report.rejected.len(),
            newest: newest.clone(),
        }),
        None => Ok(None),
    }
}

/// Brings a snapshot up to the end of the log.
fn replay(
    disk: &dyn Disk,
    dirs: &Dirs,
    loaded: LoadedSnapshot,
    after: Zxid,
    options: &RecoverOptions,
    tail: &mut Tail,
    report: &mut RecoveryReport,
) -> StorageResult<Tree> {
    let mut tree = loaded.tree;
    if let Some(digest) = loaded.trailers.digest {
        if digest.zxid == after && after > Zxid::ZERO {
            let comparable = digest.version == DIGEST_VERSION && tree.options().digest_enabled;
            if comparable && digest.digest != tree.digest() {
                report.digest_mismatch = Some(after);
            }
        } else {
            tree.await_snapshot_digest(digest.zxid, digest.version, digest.digest, after);
        }
    }
    // Older snapshots stand in for one that is damaged: what lies between must be in the log.
    let refuse_gap = !report.rejected.is_empty();
    let mut player = Player { tree, record_bytes_max: options.record_bytes_max, refused: 0, digest_mismatch: None };
    tail.after = after;
    let snapshots: Vec<Zxid> = list_snapshots(disk, &dirs.snapshots)?.iter().map(|snapshot| snapshot.zxid).collect();
    report.log = replay_log(disk, &dirs.logs, after, refuse_gap, &snapshots, &mut |path, record| {
        player.play(path, &record)?;
        tail.push(record);
        Ok(())
    })?;
    if let Some(gap) = &report.log.gap {
        tail.forget_before(gap.found);
    }
    if options.epochs && report.log.transactions == 0 && report.log.last_logged.is_some_and(|last| last < after) {
        remove_foreign_history(disk, dirs, report)?;
    }
    report.refused = player.refused;
    report.digest_mismatch = report.digest_mismatch.or(player.digest_mismatch);
    report.snapshot_digest_missed = player.tree.is_awaiting_snapshot_digest();
    Ok(player.tree)
}

/// In an ensemble: removes logs that end before the snapshot does: its leader's history may be another than theirs. A start finds them after
/// the installation of a leader's snapshot was interrupted, and once transactions follow nothing would show any more that the
/// two do not join: they would be sent to learners as what was committed (BG013, simulator seed 2808).
fn remove_foreign_history(disk: &dyn Disk, dirs: &Dirs, report: &mut RecoveryReport) -> StorageResult<()> {
    for log in list_logs(disk, &dirs.logs)? {
        remove_durably(disk, &dirs.logs, &log.path)?;
        report.log.removed.push(log.path);
    }
    Ok(())
}

/// Keeps the last transactions that are replayed.
#[derive(Default)]
struct Tail {
    max: usize,
    records: VecDeque<RawRecord>,
    after: Zxid,
}

impl Tail {
    fn push(&mut self, record: RawRecord) {
        if self.max == 0 {
            self.after = record.zxid;
            return;
        }
        if self.records.len() == self.max {
            self.after = self.records.pop_front().expect("as long as the most there may be").zxid;
        }
        self.records.push_back(record);
    }

    /// Nothing is known of what lies before `first`, so nobody can be brought up to date from there.
    fn forget_before(&mut self, first: Zxid) {
        if self.records.front().is_some_and(|oldest| oldest.zxid == first) {
            self.records.pop_front();
            self.after = first;
        }
    }

    /// Copies, so that the pieces of the files that they were read from are not held.
    fn finish(self, last: Zxid) -> Recent {
        let txns: Vec<_> = self.records.iter().map(|r| (r.zxid, Bytes::copy_from_slice(&r.body))).collect();
        let after = if txns.is_empty() { last } else { self.after };
        Recent { txns, after }
    }
}

struct Player {
    tree: Tree,
    record_bytes_max: usize,
    refused: u64,
    digest_mismatch: Option<Zxid>,
}

impl Player {
    fn play(&mut self, path: &Path, record: &RawRecord) -> StorageResult<()> {
        let (bytes, max) = (record.body.len(), self.record_bytes_max);
        if bytes > max {
            let (path, offset, zxid) = (path.to_path_buf(), record.offset, record.zxid);
            return Err(StorageError::RecordTooLong { path, offset, zxid, bytes, max });
        }
        let entry = TxnEntry::read(&record.body).map_err(|e| StorageError::Replay {
            path: path.to_path_buf(),
            offset: record.offset,
            zxid: record.zxid,
            what: format!("its checksum is right, but {e}"),
            advice: "A newer release may have written it: start that one, or move this server's data away and let it \
                     join empty",
        })?;
        let mismatches = self.tree.digest_mismatches();
        let outcome = self.tree.replay(&entry);
        self.refused += u64::from(outcome.refused);
        let mismatch =
            matches!(outcome.digest, DigestCheck::Mismatch { .. }) || self.tree.digest_mismatches() > mismatches;
        if mismatch && self.digest_mismatch.is_none() {
            self.digest_mismatch = Some(record.zxid);
        }
        Ok(())
    }
}

/// No snapshot: either there never was anything, or something is lost (DK092-DK094, ZOOKEEPER-2325).
fn without_snapshot(
    disk: &Arc<dyn Disk>,
    dirs: &Dirs,
    options: &RecoverOptions,
    marked: bool,
    tail: &mut Tail,
    report: &mut RecoveryReport,
) -> StorageResult<Tree> {
    let tree = Tree::new(options.tree);
    if last_logged_zxid(&**disk, &dirs.logs)?.is_some() {
        if !options.trust_empty_snapshot {
            let log = list_logs(&**disk, &dirs.logs)?.swap_remove(0).path;
            return Err(StorageError::LogsWithoutSnapshot { snapshots: dirs.snapshots.clone(), log });
        }
        report.snapshot_wanted = true;
        let loaded =
            LoadedSnapshot { tree, trailers: Default::default(), acls_missing: 0, longest: Default::default() };
        return replay(&**disk, dirs, loaded, Zxid::ZERO, options, tail, report);
    }
    let mut tree = tree;
    if marked || options.database_autocreate {
        write_frozen(disk.clone(), dirs, &mut tree, &options.snapshot)?;
        report.created = true;
    } else {
        tree.set_last_processed(Zxid::NONE);
    }
    Ok(tree)
}

/// Reads the epoch files, and derives what is missing (DK078-DK080; reference `QuorumPeer.loadDataBase`).
fn recover_epochs(disk: &dyn Disk, dirs: &Dirs, last: Zxid, report: &mut RecoveryReport) -> StorageResult<Epochs> {
    let dir = &dirs.snapshots;
    let mut derive = |name: &'static str, epoch: Epoch| -> StorageResult<Epoch> {
        write_epoch(disk, dir, name, epoch)?;
        report.epochs_derived.push((name, epoch));
        Ok(epoch)
    };
    let mut current = match read_epoch(disk, dir, CURRENT_EPOCH)? {
        Some(epoch) => epoch,
        None => derive(CURRENT_EPOCH, last.epoch())?,
    };
    let promised = read_epoch(disk, dir, ACCEPTED_EPOCH)?;
    if last.epoch() > current {
        // A crash between the sync of the temporary file and its rename leaves the right number there (BG016).
        match read_epoch(disk, dir, &tmp_name(CURRENT_EPOCH)).ok().flatten().filter(|tmp| *tmp >= last.epoch()) {
            Some(tmp) => current = derive(CURRENT_EPOCH, tmp)?,
            // A crash while a leader's history was coming in: it is on disk before the epoch that it belongs to is current, so
            // that NEWLEADER is never acknowledged for less. The epoch itself was promised before. Until the rest has come, this
            // server stands behind all who have it.
            None if promised.is_some_and(|promised| promised >= last.epoch()) => {}
            None => return Err(StorageError::CurrentEpochBehind { path: dir.join(CURRENT_EPOCH), current, last }),
        }
    }
    let accepted = match promised {
        Some(epoch) => epoch,
        // The reference takes the epoch of the last zxid even if the current epoch is later, and then refuses to start.
        None => derive(ACCEPTED_EPOCH, last.epoch().max(current))?,
    };
    if accepted < current {
        return Err(StorageError::AcceptedEpochBehind { path: dir.join(ACCEPTED_EPOCH), accepted, current });
    }
    for name in [CURRENT_EPOCH, ACCEPTED_EPOCH].map(tmp_name) {
        let path = dir.join(name);
        if disk.exists(&path) {
            disk.remove(&path).map_err(|e| StorageError::io("remove", &path, e))?;
            report.removed.push(path);
        }
    }
    Ok(Epochs { accepted, current })
}
