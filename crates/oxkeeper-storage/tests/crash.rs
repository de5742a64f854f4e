//! Random programs of log writes on a disk that fails: what was acknowledged is there afterwards, and nothing that was never
//! written. The faults are argued in `fault_disk`.

use bytes::Bytes;
use oxkeeper_proto::txn::{DIGEST_VERSION, Txn, TxnDigest, TxnEntry, TxnHeader};
use oxkeeper_storage::fault_disk::{Fault, FaultDisk, Loss, Random};
use oxkeeper_storage::log::replay::replay_log;
use oxkeeper_storage::log::{LogOptions, LogWriter};
use oxkeeper_storage::names::{ACCEPTED_EPOCH, CURRENT_EPOCH};
use oxkeeper_storage::purge::purge;
use oxkeeper_storage::snapshot::{SnapshotOptions, write_frozen};
use oxkeeper_storage::{Compression, Dirs, Disk, Persister, RecoverOptions, Recovered, StorageError};
use oxkeeper_storage::{epoch_file::read_epoch, recover};
use oxkeeper_tree::Tree;
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::persist::{Persist, Persisted, TxnBytes};
use oxkeeper_types::{Epoch, OpCode, SessionId, Zxid};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

/// One server's disk through many lives, and what it may hold.
struct World {
    disk: FaultDisk,
    dirs: Dirs,
    random: Random,
    /// Everything submitted that is not known to be gone, in order.
    history: Vec<(Zxid, TxnBytes)>,
    /// How many of them must be there.
    acknowledged: usize,
    /// Last durable, and last asked for.
    accepted: (i64, i64),
    current: (i64, i64),
    kills: usize,
    epoch: i64,
}

impl World {
    fn new(seed: u64) -> World {
        let (disk, dirs) = (FaultDisk::new(), Dirs::new(Path::new("/d"), Some(Path::new("/l"))));
        disk.create_dir_all(&dirs.logs).unwrap();
        disk.create_dir_all(&dirs.snapshots).unwrap();
        let random = Random(seed);
        World {
            disk,
            dirs,
            random,
            history: vec![],
            acknowledged: 0,
            accepted: (0, 0),
            current: (0, 0),
            kills: 0,
            epoch: 0,
        }
    }

    fn last(&self) -> Zxid {
        self.history.last().map_or(Zxid::ZERO, |(zxid, _)| *zxid)
    }

    /// A batch of requests; the model learns what was asked before it is asked.
    fn batch(&mut self) -> (Vec<Persist>, Option<usize>) {
        if self.random.below(12) == 0 && !self.history.is_empty() {
            let keep = self.history.len() - self.random.below(self.history.len().min(5) + 1);
            let zxid = keep.checked_sub(1).map_or(Zxid::ZERO, |last| self.history[last].0);
            return (vec![Persist::TruncateLog { zxid }], Some(keep));
        }
        let mut batch = Vec::new();
        for _ in 0..1 + self.random.below(6) {
            match self.random.below(14) {
                0 => batch.push(Persist::RollLog),
                1 => {
                    self.epoch += 1;
                    self.accepted.1 = self.epoch;
                    batch.push(Persist::AcceptedEpoch(Epoch(self.epoch)));
                }
                2 => {
                    self.current.1 = self.epoch;
                    batch.push(Persist::CurrentEpoch(Epoch(self.epoch)));
                }
                _ => {
                    let last = self.last();
                    let epoch = if self.random.below(9) == 0 { self.epoch.max(last.epoch().0) } else { last.epoch().0 };
                    let counter = if epoch > last.epoch().0 { 1 } else { last.counter() + 1 };
                    let zxid = Zxid::new(Epoch(epoch), counter);
                    let txn = self.body(zxid);
                    self.history.push((zxid, txn.clone()));
                    batch.push(Persist::Append { zxid, txn });
                }
            }
        }
        (batch, None)
    }

    fn body(&mut self, zxid: Zxid) -> TxnBytes {
        let mut body = vec![0; 12];
        body.extend_from_slice(&zxid.0.to_be_bytes());
        body.resize(32, 1);
        let length = if self.random.below(10) == 0 { self.random.below(5000) } else { self.random.below(150) };
        // Bodies differ from life to life, and some are zeros: those must not pass for padding.
        let fill = self.random.below(3) as u8 * 0x55;
        body.extend(std::iter::repeat_n(fill, length));
        body.extend_from_slice(&self.random.draw().to_be_bytes());
        body.into()
    }

    fn persister(&mut self) -> Persister {
        let options = LogOptions {
            preallocate_bytes: [0, 4096, 16384][self.random.below(3)],
            file_bytes_max: [None, Some(3000)][self.random.below(2)],
            ..LogOptions::default()
        };
        Persister::new(LogWriter::new(Arc::new(self.disk.clone()), self.dirs.clone(), options, self.last()))
    }

    fn acknowledge(&mut self, answers: &[Persisted], keep: Option<usize>) {
        for answer in answers {
            match answer {
                Persisted::Log { through } => {
                    let position = self.history.iter().position(|(zxid, _)| zxid == through).expect("was submitted");
                    self.acknowledged = self.acknowledged.max(position + 1);
                }
                Persisted::Truncated { .. } => {
                    let keep = keep.expect("asked for");
                    self.history.truncate(keep);
                    self.acknowledged = keep;
                }
                Persisted::CannotTruncate { .. } => panic!("a log that was never replaced can be cut anywhere"),
                Persisted::AcceptedEpoch(epoch) => self.accepted.0 = epoch.0,
                Persisted::CurrentEpoch(epoch) => self.current.0 = epoch.0,
            }
        }
    }

    /// One life: batches until something fails or enough were done, then a crash.
    fn live(&mut self) {
        let mut persister = self.persister();
        match self.random.below(5) {
            0 => self.disk.set_capacity(Some(self.random.below(60_000) as u64)),
            1 => self.disk.fail_call(1 + self.random.below(30) as u64, Fault::Once(ErrorKind::Other)),
            _ => self.disk.fail_call(1 + self.random.below(40) as u64, Fault::Stop),
        }
        for _ in 0..12 {
            let (batch, keep) = self.batch();
            match persister.persist(&batch) {
                Ok(answers) => self.acknowledge(&answers, keep),
                Err(first) => {
                    assert!(!matches!(first, StorageError::ZxidOrder { .. }), "{first}");
                    let again = persister.persist(&[]);
                    assert!(matches!(again, Err(StorageError::Poisoned { .. })), "{first}, then {again:?}");
                    if let Some(keep) = keep {
                        // Cut in part: anything between the target and the old end may be left.
                        self.acknowledged = self.acknowledged.min(keep);
                    }
                    break;
                }
            }
        }
        self.disk.crash(loss(&mut self.random));
        self.disk.heal();
        self.kills += 1;
    }

    fn recover(&mut self, seed: u64) {
        let mut found: Vec<(Zxid, TxnBytes)> = Vec::new();
        let report = replay_log(&self.disk, &self.dirs.logs, Zxid::ZERO, true, &[], &mut |_, record| {
            found.push((record.zxid, record.body.clone()));
            Ok(())
        });
        if let Err(e) = report {
            panic!("seed {seed}, kill {}: recovery refused: {e}", self.kills);
        }
        let (n, at_least) = (found.len(), self.acknowledged);
        assert!(n >= at_least, "seed {seed}, kill {}: {n} transactions, {at_least} were acknowledged", self.kills);
        assert!(found[..] == self.history[..n.min(self.history.len())], "seed {seed}, kill {}: invented", self.kills);
        // What was not acknowledged and survived is history now, and durable: a second crash must not take it back.
        self.history = found;
        self.acknowledged = self.history.len();
        for (name, (durable, asked)) in [(ACCEPTED_EPOCH, &mut self.accepted), (CURRENT_EPOCH, &mut self.current)] {
            self.disk.sync_dir(&self.dirs.snapshots).unwrap();
            let stored = read_epoch(&self.disk, &self.dirs.snapshots, name).unwrap().map_or(0, |e| e.0);
            assert!((*durable..=*asked).contains(&stored), "seed {seed}: {name} {stored}, {durable} acknowledged");
            (*durable, *asked) = (stored, stored);
        }
        if self.random.below(3) == 0 {
            self.disk.crash(Loss::Everything);
        }
    }
}

fn run(seed: u64, lives: usize) -> usize {
    let mut world = World::new(seed);
    for _ in 0..lives {
        world.live();
        world.recover(seed);
    }
    world.kills
}

#[test]
fn acknowledged_writes_survive_kills_lost_writes_torn_writes_and_failing_calls() {
    let kills: usize = (0..200).map(|seed| run(seed, 15)).sum();
    assert_eq!(kills, 3000);
}

/// The one-seed twin, to look into a failure.
#[test]
fn one_seed() {
    run(1, 15);
}

/// A whole standalone server's life with files: transactions, snapshots of every packing, purges, recoveries that are
/// themselves interrupted. After each recovery the tree is that of some moment at or after the last acknowledgement.
fn run_with_snapshots(seed: u64, lives: usize) -> usize {
    let mut random = Random(seed ^ 0x5eed);
    let (disk, dirs) = (FaultDisk::new(), Dirs::new(Path::new("/d"), None));
    let (shared, mut kills): (Arc<dyn Disk>, _) = (Arc::new(disk.clone()), 0);
    let options = RecoverOptions::default();
    // The digest after every transaction, and how many of them must be there.
    let mut digests = vec![Tree::new(options.tree).digest()];
    let mut acknowledged = 0;
    for _ in 0..lives {
        if random.below(3) == 0 {
            disk.fail_call(1 + random.below(12) as u64, Fault::Stop);
        }
        let state = loop {
            match recover(shared.clone(), &dirs, &options) {
                Ok(state) => break state,
                Err(StorageError::Io { .. }) => {}
                Err(e) => panic!("seed {seed}, kill {kills}: recovery refused: {e}"),
            }
            disk.crash(loss(&mut random));
            kills += 1;
        };
        let Recovered { mut tree, last, .. } = state;
        let found = last.0 as usize;
        assert!(found >= acknowledged, "seed {seed}, kill {kills}: {found} transactions, {acknowledged} acknowledged");
        assert!(found < digests.len(), "seed {seed}, kill {kills}: transaction {found} was never written");
        assert_eq!(tree.digest(), digests[found], "seed {seed}, kill {kills}: another tree at {found}");
        digests.truncate(found + 1);
        acknowledged = found;

        let log = LogOptions { preallocate_bytes: 4096, ..LogOptions::default() };
        let mut persister = Persister::new(LogWriter::new(shared.clone(), dirs.clone(), log, last));
        if random.below(4) == 0 {
            disk.fail_call(1 + random.below(60) as u64, Fault::Once(ErrorKind::Other));
        } else {
            disk.fail_call(1 + random.below(60) as u64, Fault::Stop);
        }
        for _ in 0..30 {
            let batch: Vec<Persist> = (0..1 + random.below(5)).map(|_| transact(&mut tree, &mut random)).collect();
            digests.extend(batch.iter().map(digest_of));
            if persister.persist(&batch).is_err() {
                break;
            }
            acknowledged = digests.len() - 1;
            if random.below(4) == 0 {
                let compression = [Compression::None, Compression::Gzip, Compression::Snappy][random.below(3)];
                let options = SnapshotOptions { compression, ..SnapshotOptions::default() };
                let roll = random.below(2) == 0;
                // A snapshot that fails is not the end: the next one may do.
                let _ = write_frozen(shared.clone(), &dirs, &mut tree, &options);
                if roll && persister.persist(&[Persist::RollLog]).is_err() {
                    break;
                }
            }
            if random.below(10) == 0 {
                let _ = purge(&disk, &dirs, 3);
            }
        }
        disk.crash(loss(&mut random));
        kills += 1;
    }
    kills
}

fn loss(random: &mut Random) -> Loss {
    match random.below(6) {
        0 => Loss::Nothing,
        1 => Loss::Everything,
        _ => Loss::Random(random.draw()),
    }
}

/// Applies one random transaction and gives it as the log wants it, with the digest it leads to.
fn transact(tree: &mut Tree, random: &mut Random) -> Persist {
    let zxid = tree.last_processed().next().expect("few transactions");
    let path = format!("/n{}", random.below(40));
    let data = Some(Bytes::from(vec![random.draw() as u8; random.below(400)]));
    let txn = match (tree.contains(&path), random.below(3)) {
        (false, 0) => Txn::Error { code: -101 },
        (false, _) => {
            let (op, acl, ephemeral, parent_cversion) = (OpCode::Create, open_acl(), false, -1);
            Txn::Create { op, path, data, acl, ephemeral, parent_cversion }
        }
        (true, 0) => Txn::Delete { op: OpCode::Delete, path },
        (true, _) => {
            let version = tree.node(&path).expect("contained").stat().version + 1;
            Txn::SetData { op: OpCode::SetData, path, data, version }
        }
    };
    let header = TxnHeader { session: SessionId(7), cxid: 0, zxid, time: 1_700_000_000_000 };
    let mut entry = TxnEntry { header, txn, digest: None };
    tree.apply(&entry, &mut Vec::new());
    entry.digest = Some(TxnDigest { version: DIGEST_VERSION, tree_digest: tree.digest() });
    let mut bytes = Vec::new();
    entry.write(&mut bytes);
    Persist::Append { zxid, txn: bytes.into() }
}

/// The digest that a transaction carries.
fn digest_of(request: &Persist) -> u64 {
    let Persist::Append { txn, .. } = request else { unreachable!("only appends are made") };
    TxnEntry::read(&Bytes::copy_from_slice(txn)).expect("just written").digest.expect("just given").tree_digest
}

#[test]
fn a_server_with_snapshots_comes_back_as_it_was_after_every_crash() {
    let kills: usize = (0..120).map(|seed| run_with_snapshots(seed, 12)).sum();
    assert!(kills >= 1440, "{kills} kills");
}
