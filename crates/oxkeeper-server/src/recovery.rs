//! From files to a state that serves, and what of it an operator should know.

use crate::options::FileOptions;
use oxkeeper_replica::State;
use oxkeeper_storage::log::LogWriter;
use oxkeeper_storage::log::replay::Repeated;
use oxkeeper_storage::recover::{Epochs, Recovered, RecoveryReport, recover};
use oxkeeper_storage::{Disk, Persister, StorageResult};
use oxkeeper_zab::Durable;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What recovery has found, ready to serve.
pub struct Loaded {
    pub state: State,
    pub persister: Persister,
    /// Transactions that came from the log.
    pub replayed: u64,
    /// The log was read without a snapshot (`snapshot.trust.empty`): one is to be written soon.
    pub snapshot_wanted: bool,
    /// What consensus starts from; `None` for a server on its own.
    pub durable: Option<Durable>,
    pub took: Duration,
}

/// Reads the newest good snapshot and the log behind it.
pub fn load(disk: Arc<dyn Disk>, files: &FileOptions) -> StorageResult<Loaded> {
    let start = Instant::now();
    let Recovered { tree, last, epochs, recent, report } = recover(disk.clone(), &files.dirs, &files.recover)?;
    tell(&report);
    let (replayed, snapshot_wanted) = (report.log.transactions, report.snapshot_wanted);
    let took = start.elapsed();
    tracing::info!(
        "recovered {} nodes, {} sessions at zxid {last} in {} ms, {replayed} transactions of them from the log",
        tree.node_count(),
        tree.sessions().len(),
        took.as_millis(),
    );
    let log = LogWriter::new(disk, files.dirs.clone(), files.log.clone(), tree.last_processed());
    let durable = epochs.map(|Epochs { accepted, current }| Durable {
        accepted_epoch: accepted,
        current_epoch: current,
        last_logged: last,
        recent: recent.txns,
        recent_after: recent.after,
    });
    let persister = if files.keeps_log { Persister::new(log) } else { Persister::without_log(log) };
    Ok(Loaded { state: State { tree }, persister, replayed, snapshot_wanted, durable, took })
}

/// Everything out of the ordinary gets a line.
fn tell(report: &RecoveryReport) {
    for (path, why) in &report.rejected {
        tracing::warn!("{} cannot be used, an older snapshot takes its place: {why}", path.display());
    }
    if let Some(cut) = &report.log.cut {
        tracing::warn!(
            "{}: cut off behind offset {}, after zxid {}: {} bytes of a record that a crash had torn ({})",
            cut.path.display(),
            cut.offset,
            cut.last_good,
            cut.bytes,
            cut.reason
        );
    }
    if let Some(Repeated { path, offset, zxid, count }) = &report.log.repeated {
        tracing::warn!(
            "{}: skipped {count} refused writes that stand under the zxid before, the first at offset {offset}, zxid {zxid}: \
             releases 3.9.0 to 3.9.5 of Apache ZooKeeper log a request like that which they cannot read. They change nothing",
            path.display()
        );
    }
    if let Some(Repeated { path, offset, zxid, count }) = &report.log.copies {
        tracing::warn!(
            "{}: skipped {count} transactions that stand in the log twice, the first at offset {offset}, zxid {zxid}: \
             followers of releases before 3.9 of Apache ZooKeeper log what they are sent again",
            path.display()
        );
    }
    if let Some(gap) = &report.log.gap {
        tracing::warn!(
            "{}: the log begins at zxid {}, the snapshot ends at {}: transactions between them are missing",
            gap.path.display(),
            gap.found,
            gap.after
        );
    }
    if let Some(zxid) = report.digest_mismatch {
        tracing::error!("the digest of the tree differs from the recorded one from zxid {zxid} on");
    }
    if report.snapshot_digest_missed {
        tracing::warn!("the snapshot's digest belongs to a transaction that is not in the log; it was not checked");
    }
    if report.acls_missing > 0 {
        tracing::warn!(
            "{} nodes name an ACL that the snapshot lacks; only super users reach them",
            report.acls_missing
        );
    }
    if let Some((path, bytes)) = &report.too_long {
        tracing::warn!(
            "node {path} of the snapshot has {bytes} bytes, more than jute.maxbuffer and its extra size allow: it is served all the \
             same, but servers of Apache ZooKeeper do not start on such a snapshot, nor take it from this one, and nobody can write \
             the node again. Raise the limit on every server and client, or write something shorter to the node"
        );
    }
    for session in &report.stale_sessions {
        tracing::info!("removed the ephemeral nodes of session {session}, which is not in the session table");
    }
    for (name, epoch) in &report.epochs_derived {
        tracing::info!("{name} was missing or behind; it is {} now", epoch.0);
    }
    for path in report.removed.iter().chain(&report.log.removed).chain(&report.initialize_markers) {
        tracing::info!("removed {}", path.display());
    }
}
