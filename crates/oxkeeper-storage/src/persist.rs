//! The disk's side of the contract in `oxkeeper_types::persist`: a batch of requests in, what is durable out.
//!
//! Owns the order of durable effects. Comes after consensus (`Persist`), before its acknowledgements (`Persisted`).
//! A failed write or sync leaves unknown bytes behind (a second sync may lie: ZOOKEEPER-3701, and "fsyncgate"), so the handle
//! is dead from then on and every call fails.

use crate::epoch_file::write_epoch;
use crate::error::{StorageError, StorageResult};
use crate::log::truncate::truncate_history;
use crate::log::{LogWriter, SyncObserver};
use crate::names::{ACCEPTED_EPOCH, CURRENT_EPOCH, SnapshotFile};
use crate::snapshot::{SnapshotWriter, Trailers};
use oxkeeper_types::Zxid;
use oxkeeper_types::persist::{Persist, Persisted};

/// The one handle through which consensus writes.
pub struct Persister {
    log: LogWriter,
    /// See [`Persister::without_log`].
    keeps_log: bool,
    /// The last transaction that was passed over since the files held the whole history.
    unlogged: Option<Zxid>,
    /// The failure that killed the handle.
    dead: Option<String>,
}

impl Persister {
    pub fn new(log: LogWriter) -> Persister {
        Persister { log, keeps_log: true, unlogged: None, dead: None }
    }
    /// For an observer with `syncEnabled=false` (reference `ObserverZooKeeperServer`): transactions are answered and not written. The
    /// files hold a beginning of the history, from which the next start goes on.
    pub fn without_log(log: LogWriter) -> Persister {
        Persister { keeps_log: false, ..Persister::new(log) }
    }
    /// The last transaction appended; not necessarily durable inside a batch.
    pub fn last(&self) -> Zxid {
        self.unlogged.unwrap_or(self.log.last())
    }
    /// Bytes of log written since the start.
    pub fn bytes_appended(&self) -> u64 {
        self.log.bytes_appended()
    }
    /// Told around every sync of the log.
    pub fn observe(&mut self, observer: Box<dyn SyncObserver>) {
        self.log.set_observer(observer);
    }
    pub fn log(&self) -> &LogWriter {
        &self.log
    }
    pub fn is_dead(&self) -> bool {
        self.dead.is_some()
    }

    /// Carries out a batch in order. When it returns, everything in the answer is on stable storage; appends that
    /// follow each other share one sync and one answer.
    pub fn persist(&mut self, batch: &[Persist]) -> StorageResult<Vec<Persisted>> {
        if !self.keeps_log {
            return self.persist_without_log(batch);
        }
        self.guarded(|log| {
            let mut done = Vec::new();
            let mut pending = None;
            for request in batch {
                carry_out(log, request, &mut pending, &mut done)?;
            }
            settle(log, &mut pending, &mut done)?;
            Ok(done)
        })
    }

    /// Epochs are written all the same. The history in memory cannot be cut by cutting files that do not hold it: a snapshot has to
    /// take its place.
    fn persist_without_log(&mut self, batch: &[Persist]) -> StorageResult<Vec<Persisted>> {
        let (mut unlogged, mut done) = (self.unlogged, Vec::new());
        self.guarded(|log| {
            for request in batch {
                match (request, unlogged) {
                    (Persist::Append { zxid, .. }, _) => {
                        unlogged = Some(*zxid);
                        done.push(Persisted::Log { through: *zxid });
                    }
                    (Persist::RollLog, _) => {}
                    (Persist::TruncateLog { .. }, Some(last)) => done.push(Persisted::CannotTruncate { last }),
                    (other, _) => carry_out(log, other, &mut None, &mut done)?,
                }
            }
            Ok(())
        })?;
        self.unlogged = unlogged;
        Ok(done)
    }

    /// Follows a snapshot that was installed from a leader: appends go on after `last`, in a new file.
    pub fn restart_after(&mut self, last: Zxid) -> StorageResult<()> {
        self.unlogged = None;
        self.guarded(|log| log.restart_after(last))
    }

    /// Carries out [`Persist::InstallSnapshot`]: the snapshot that was received takes the place of all history.
    pub fn install(
        &mut self,
        snapshot: SnapshotWriter,
        trailers: &Trailers,
        zxid: Zxid,
    ) -> StorageResult<SnapshotFile> {
        self.unlogged = None;
        self.guarded(|log| {
            log.restart_after(zxid)?;
            let dirs = log.dirs.clone();
            snapshot.install(trailers, &dirs)
        })
    }

    /// Ends the log in order: what was reserved and not used is given back.
    pub fn close(&mut self) -> StorageResult<()> {
        self.guarded(|log| {
            log.roll()?;
            log.sync()
        })
    }

    fn guarded<T>(&mut self, work: impl FnOnce(&mut LogWriter) -> StorageResult<T>) -> StorageResult<T> {
        if let Some(first) = &self.dead {
            return Err(StorageError::Poisoned { first: first.clone() });
        }
        work(&mut self.log).inspect_err(|e| self.dead = Some(e.to_string()))
    }
}

fn carry_out(
    log: &mut LogWriter,
    request: &Persist,
    pending: &mut Option<Zxid>,
    done: &mut Vec<Persisted>,
) -> StorageResult<()> {
    match request {
        Persist::Append { zxid, txn } => {
            log.append(*zxid, txn)?;
            *pending = Some(*zxid);
        }
        Persist::RollLog => log.roll()?,
        Persist::TruncateLog { zxid } => {
            settle(log, pending, done)?;
            log.roll()?;
            log.sync()?;
            done.push(match truncate_history(&**log.disk(), &log.dirs, *zxid)? {
                Some(_) => {
                    log.restart_after((*zxid).min(log.last()))?;
                    Persisted::Truncated { zxid: *zxid }
                }
                None => Persisted::CannotTruncate { last: log.last() },
            });
        }
        // What was received is not ours to have: whoever has it installs it, see [`Persister::install`].
        Persist::InstallSnapshot { zxid } => unreachable!("a snapshot at {zxid} is installed with its writer"),
        // An epoch is a promise about the history that was logged before it: that history goes first.
        Persist::AcceptedEpoch(epoch) => {
            settle(log, pending, done)?;
            write_epoch(&**log.disk(), &log.dirs.snapshots, ACCEPTED_EPOCH, *epoch)?;
            done.push(Persisted::AcceptedEpoch(*epoch));
        }
        Persist::CurrentEpoch(epoch) => {
            settle(log, pending, done)?;
            write_epoch(&**log.disk(), &log.dirs.snapshots, CURRENT_EPOCH, *epoch)?;
            done.push(Persisted::CurrentEpoch(*epoch));
        }
    }
    Ok(())
}

/// Syncs what was appended and says so.
fn settle(log: &mut LogWriter, pending: &mut Option<Zxid>, done: &mut Vec<Persisted>) -> StorageResult<()> {
    log.sync()?;
    if let Some(through) = pending.take() {
        done.push(Persisted::Log { through });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Disk;
    use crate::fault_disk::FaultDisk;
    use crate::log::writer::LogOptions;
    use crate::names::Dirs;
    use bytes::Bytes;
    use oxkeeper_types::Epoch;
    use std::path::Path;
    use std::sync::Arc;

    #[test]
    fn without_a_log_transactions_are_answered_and_not_written_but_epochs_and_snapshots_are() {
        let (disk, dirs) = (FaultDisk::new(), Dirs::new(Path::new("/data"), None));
        disk.create_dir_all(&dirs.snapshots).unwrap();
        let log = LogWriter::new(Arc::new(disk.clone()), dirs.clone(), LogOptions::default(), Zxid::ZERO);
        let mut persister = Persister::without_log(log);
        let append = |zxid| Persist::Append { zxid: Zxid(zxid), txn: Bytes::from_static(b"any") };
        let done =
            persister.persist(&[append(1), Persist::RollLog, append(2), Persist::CurrentEpoch(Epoch(3))]).unwrap();
        let logged = |zxid| Persisted::Log { through: Zxid(zxid) };
        assert_eq!(done, [logged(1), logged(2), Persisted::CurrentEpoch(Epoch(3))]);
        assert_eq!(persister.last(), Zxid(2));
        let names = || disk.list(&dirs.snapshots).unwrap().into_iter().map(|entry| entry.name).collect::<Vec<_>>();
        assert_eq!(names(), ["currentEpoch"]);
        // The files do not hold what is to be cut.
        let cannot = [Persisted::CannotTruncate { last: Zxid(2) }];
        assert_eq!(persister.persist(&[Persist::TruncateLog { zxid: Zxid(1) }]).unwrap(), cannot);
        // What a leader's snapshot leaves is the whole history again.
        persister.restart_after(Zxid(7)).unwrap();
        assert_eq!(persister.last(), Zxid(7));
        persister.persist(&[append(8)]).unwrap();
        persister.close().unwrap();
        assert!(names().iter().all(|name| !name.starts_with("log.")), "{:?}", names());
    }
}
