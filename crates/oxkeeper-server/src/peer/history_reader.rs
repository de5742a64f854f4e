//! Reads the log for a learner that is too far behind for what consensus keeps in memory (QP064).

use super::shared::PeerShared;
use crate::core_queue::to_core;
use crate::lock::lock;
use oxkeeper_storage::StorageResult;
use oxkeeper_storage::log::LogReader;
use oxkeeper_storage::names::list_snapshots;
use oxkeeper_types::persist::TxnBytes;
use oxkeeper_types::{Epoch, Zxid};
use oxkeeper_zab::{Input, LinkId};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// Reads in a thread of its own, and answers the core.
pub fn begin(shared: &Arc<PeerShared>, link: LinkId, after: Zxid) {
    let reader = shared.clone();
    let work = move || answer(&reader, link, after, read(&reader, after));
    if let Err(error) = std::thread::Builder::new().name(format!("history-{}", link.0)).spawn(work) {
        tracing::warn!("no thread to read the log: {error}");
        answer(shared, link, after, Ok(None));
    }
}

fn answer(shared: &PeerShared, link: LinkId, after: Zxid, read: StorageResult<Option<Vec<(Zxid, TxnBytes)>>>) {
    let txns = read.unwrap_or_else(|error| {
        tracing::warn!("the log cannot be read from {after} on; the learner gets a snapshot. {error}");
        None
    });
    if let Some(txns) = &txns {
        let bytes = txns.iter().map(|(_, txn)| txn.len() + 64).sum();
        if let Some(link) = lock(&shared.links).get(&link) {
            link.allow(bytes);
        }
    }
    shared.core.put_one(to_core(Input::HistoryRead { link, after, txns }));
}

/// What follows `after` and is durable; `None` where a snapshot is the better way: more than `snapshotSizeFactor` of the newest
/// one would have to be sent, or `after` is not in the log (and is not where all history begins).
fn read(shared: &PeerShared, after: Zxid) -> StorageResult<Option<Vec<(Zxid, TxnBytes)>>> {
    let server = &shared.server;
    let snapshots = list_snapshots(&*server.disk, &server.files.dirs.snapshots)?;
    let newest = snapshots.first().map_or(0, |snapshot| snapshot.length);
    let bytes_max = (newest as f64 * shared.options.history_factor) as u64;
    let through = Zxid(server.history.synced.load(Relaxed));
    let mut log = LogReader::open(server.disk.clone(), &server.files.dirs.logs, after)?.beside(&snapshots);
    let (mut txns, mut bytes, mut first) = (Vec::new(), 0, true);
    while let Some(record) = log.read_next()? {
        if record.zxid > through {
            break;
        }
        if std::mem::take(&mut first) {
            if record.zxid == after {
                continue;
            }
            if !begins_history(after, record.zxid) {
                return Ok(None);
            }
        }
        bytes += record.body.len() as u64;
        // Nothing, of no snapshot or of none of it, is no limit (reference `ZKDatabase.getProposalsFromTxnLog`).
        if bytes_max > 0 && bytes > bytes_max {
            return Ok(None);
        }
        txns.push((record.zxid, TxnBytes::copy_from_slice(&record.body)));
    }
    Ok((!first).then_some(txns))
}

/// Whether nothing can have been before `first`: the first transaction of a server on its own, or of the first leader.
fn begins_history(after: Zxid, first: Zxid) -> bool {
    after == Zxid::ZERO && (first == Zxid(1) || first == Zxid::new(Epoch(1), 1))
}
