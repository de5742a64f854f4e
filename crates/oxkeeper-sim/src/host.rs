//! One simulated server: the production replica, persister and recovery on a disk in memory, with clocks of its own.
//!
//! Owns what a machine keeps over a crash (disk, clocks) and what a process does not ([`Running`]). How outputs are carried out
//! is `dispatch`; when things happen is `world`.

use crate::clock::Clock;
use crate::museum::Bug;
use crate::network::{ConnKey, Message, Side};
use crate::old_learner::OldLearner;
use crate::port::Port;
use crate::random::Random;
use crate::swarm::RunOptions;
use crate::world::ServerEvent;
use bytes::Bytes;
use oxkeeper_proto::election::Notification;
use oxkeeper_proto::quorum::Packet;
use oxkeeper_replica::output::Mode;
use oxkeeper_replica::{Input, Now, Options, Outputs, Replica, State, WatchTable};
use oxkeeper_storage::fault_disk::FaultDisk;
use oxkeeper_storage::log::{LogOptions, LogReader, LogWriter};
use oxkeeper_storage::names::list_snapshots;
use oxkeeper_storage::snapshot::{SnapshotOptions, SnapshotWriter, write_snapshot};
use oxkeeper_storage::{Dirs, Disk, Persister, RecoverOptions, StorageError, StorageResult, recover};
use oxkeeper_tree::{ImageId, ImageLoader, Tree, TreeOptions};
use oxkeeper_types::ensemble::Ensemble;
use oxkeeper_types::node::OwnerRules;
use oxkeeper_types::persist::{Persist, Persisted};
use oxkeeper_types::{ConnId, Epoch, Millis, ServerId, Zxid};
use oxkeeper_zab::{Durable, LinkId, ZabOptions};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

/// Bytes of a snapshot copied at once.
const PIECE_BYTES: usize = 64 << 10;

/// A machine.
pub struct Host {
    pub id: ServerId,
    pub disk: FaultDisk,
    pub dirs: Dirs,
    pub clock: Clock,
    /// Goes up with every start and every end of a process: what was meant for an earlier one is not delivered.
    pub life: u64,
    pub running: Option<Running>,
    /// Stopped as by SIGSTOP; what happens meanwhile waits.
    pub paused: bool,
    pub deferred: Vec<ServerEvent>,
    /// A start is in the world's queue.
    pub start_scheduled: bool,
    /// The disk takes this many times as long.
    pub disk_slowness: u64,
    /// The disk answers nothing.
    pub disk_hangs: bool,
    /// It has done its work since it hangs, and is to say so when that ends.
    pub disk_held: bool,
    /// Crash at the nth time that this point is passed.
    pub armed: Option<(&'static str, u32)>,
    /// An injected fault may keep recovery from succeeding until it is healed.
    pub disk_full: bool,
    /// Connections of a machine that lost its power: their other ends hear of it when it is back.
    pub silent: Vec<(ConnKey, Side)>,
    /// Nobody can dial it.
    pub misaddressed: bool,
    /// It does not start.
    pub dead: bool,
    /// It is no member yet, or no more.
    pub absent: bool,
    /// The members by its files.
    pub list: Ensemble,
    /// A planted bug: the members that a leader has told last, kept over its starts.
    pub kept: Option<Ensemble>,
    /// Its log cannot be read for learners: what they would need was purged.
    pub purged: bool,
}

/// What waits for the disk, in order.
pub enum Work {
    Persist(Persist),
    Install(Received),
}

/// What the disk is doing.
pub enum Job {
    Batch(Vec<Persist>),
    Install(Received),
}

/// A leader's snapshot, received as a whole.
pub struct Received {
    pub link: LinkId,
    pub zxid: Zxid,
    pub bytes: Vec<u8>,
    pub tree: Box<Tree>,
}

/// Transactions in a server's log, as its outputs and its recovery tell: what the checkers know of its history.
#[derive(Clone, Debug, Default)]
pub struct Shadow {
    /// Everything through here came with a snapshot.
    pub base: Zxid,
    pub zxids: Vec<Zxid>,
}

impl Shadow {
    pub fn last(&self) -> Zxid {
        self.zxids.last().copied().unwrap_or(self.base)
    }
    pub fn truncate(&mut self, after: Zxid) {
        self.zxids.truncate(self.zxids.partition_point(|z| *z <= after));
        self.base = self.base.min(after);
    }
    /// What comes after `from` up to `through`.
    pub fn range(&self, from: Zxid, through: Zxid) -> &[Zxid] {
        let start = self.zxids.partition_point(|z| *z <= from);
        let end = self.zxids.partition_point(|z| *z <= through);
        &self.zxids[start..end.max(start)]
    }
}

#[derive(Default)]
pub struct ElectionPeer {
    pub conn: Option<(ConnKey, Side)>,
    pub dialling: bool,
    /// The newest message: sent when a connection comes up, and again on a new one.
    pub last: Option<Notification>,
}

pub struct LeaderDial {
    pub leader: ServerId,
    pub number: u64,
    pub attempts: u32,
}

/// What is known to be on stable storage: what may be promised to others.
#[derive(Clone, Copy, Debug)]
pub struct DurableNow {
    pub log: Zxid,
    pub accepted: Epoch,
    pub current: Epoch,
}

/// A process.
pub struct Running {
    pub replica: Replica,
    pub state: State,
    pub watches: RefCell<WatchTable>,
    pub persister: Persister,
    pub out: Outputs,
    pub work: VecDeque<Work>,
    pub job: Option<Job>,
    /// Simulated microseconds: when the job was begun.
    pub job_since: u64,
    /// A planted bug: the job's answers were given before it was done.
    pub lied: bool,
    pub snapshot: Option<(ImageId, Zxid)>,
    pub ports: BTreeMap<ConnId, Port>,
    /// Connections that may be able to go on with their requests.
    pub to_pump: Vec<ConnId>,
    pub links: BTreeMap<LinkId, (ConnKey, Side)>,
    /// The link to a leader, of a learner as release 3.8 has it.
    pub old_learner: Option<(LinkId, OldLearner)>,
    /// ACKs that came over each link of a leader, whatever became of them.
    pub acks: BTreeMap<LinkId, Zxid>,
    /// A planted bug: SYNCs for learners that wait for an apply.
    pub held_syncs: Vec<(LinkId, Packet)>,
    /// What the link with the leader has brought, and its reader has not read.
    pub unread: VecDeque<(LinkId, Message)>,
    /// The zxid of a SNAP whose stream comes next, by link.
    pub snaps: BTreeMap<LinkId, Zxid>,
    /// Received and not asked for yet.
    pub received: Option<Received>,
    pub election: BTreeMap<ServerId, ElectionPeer>,
    pub dial: Option<LeaderDial>,
    pub listening: bool,
    pub mode: Mode,
    pub shadow: Shadow,
    pub durable: DurableNow,
    /// What the checkers have seen applied.
    pub observed: Option<Zxid>,
    /// The epoch of the last LEADERINFO.
    pub offered: Option<Epoch>,
    pub wake_at: u64,
    pub apply_scheduled: bool,
}

impl Running {
    /// What the disk says to have now, behind a change of history.
    pub fn history_is(&mut self, last: Zxid) {
        self.durable.log = last;
        if self.shadow.last() != last {
            self.shadow.base = last;
            self.shadow.zxids.clear();
        }
    }

    /// The link is gone: its place, and what came over it and is not in force.
    pub fn forget_link(&mut self, link: LinkId) -> Option<(ConnKey, Side)> {
        self.snaps.remove(&link);
        self.acks.remove(&link);
        self.old_learner.take_if(|(of, _)| *of == link);
        self.received.take_if(|received| received.link == link);
        self.links.remove(&link)
    }
}

impl Host {
    pub fn new(index: usize, options: &RunOptions) -> Host {
        let id = ServerId(index as i64 + 1);
        let random = &mut Random::new(options.seed ^ (index as u64 + 1) << 32, "clock");
        let mut host = Host {
            id,
            disk: FaultDisk::new(),
            dirs: Dirs::new(Path::new("/data"), None),
            clock: Clock::new(random, options.clock_faults),
            life: 0,
            running: None,
            paused: false,
            deferred: Vec::new(),
            start_scheduled: false,
            disk_slowness: 1,
            disk_hangs: false,
            disk_held: false,
            armed: None,
            disk_full: false,
            silent: Vec::new(),
            misaddressed: false,
            dead: false,
            absent: index >= options.servers(),
            list: options.ensemble(),
            kept: None,
            purged: false,
        };
        host.replace_disk(FaultDisk::new());
        if options.begins_at > Zxid::ZERO {
            host.write_first_snapshot(options);
        }
        host
    }

    /// What a server has that has long been in use.
    fn write_first_snapshot(&self, options: &RunOptions) {
        let mut tree = Tree::new(tree_options(options));
        tree.set_last_processed(options.begins_at);
        let image = tree.freeze();
        let (mut cursor, digest) = (tree.image_cursor(image), tree.image_digest(image));
        let mut next = |out: &mut Vec<u8>, wanted: usize| tree.image_next(&mut cursor, out, wanted.min(PIECE_BYTES));
        self.disk.create_dir_all(&self.dirs.snapshots).expect("an empty disk takes a directory");
        let disk = self.shared_disk();
        write_snapshot(disk, &self.dirs, options.begins_at, &snapshot_options(), digest, &mut next)
            .expect("an empty disk takes a snapshot");
    }

    /// Another disk, with an empty data directory.
    pub fn replace_disk(&mut self, disk: FaultDisk) {
        disk.create_dir_all(Path::new("/data")).expect("an empty disk takes a directory");
        self.disk = disk;
        self.disk_full = false;
    }

    fn shared_disk(&self) -> Arc<dyn Disk> {
        Arc::new(self.disk.clone())
    }

    /// From files to a process, as the server does it.
    pub fn start(&mut self, options: &RunOptions, now: u64) -> StorageResult<()> {
        let recover_options = recover_options(options);
        if options.planted == Some(Bug::RecoveryForgets)
            && let Some((last, _)) = log_from(&self.disk, &self.dirs, Zxid::ZERO)?.last()
        {
            oxkeeper_storage::log::truncate::truncate_history(&self.disk, &self.dirs, Zxid(last.0 - 1))?;
        }
        let refuses = match options.planted {
            Some(Bug::UsedUpEpochRefused) => options.servers() > 1,
            Some(Bug::PassedEpochRefused) => options.servers() == 1,
            _ => false,
        };
        if refuses {
            self.refuse_used_up_epochs(options.counter_max().unwrap_or(u32::MAX))?;
        }
        if options.planted == Some(Bug::EmptyLogRefused) {
            self.refuse_empty_logs()?;
        }
        let recovered = recover(self.shared_disk(), &self.dirs, &recover_options)?;
        let last = recovered.last;
        let tree_last = recovered.tree.last_processed();
        let base = recovered.report.snapshot.as_ref().map_or(Zxid::ZERO, |s| s.zxid);
        // Older files may have a hole where a leader's snapshot was installed and the process ended before they were removed.
        let log = match log_from(&self.disk, &self.dirs, Zxid::ZERO) {
            Ok(log) => log,
            Err(_) => log_from(&self.disk, &self.dirs, Zxid(base.0 + 1))?,
        };
        // What joins without a gap to the last transaction, as the checkers know it.
        let mut history: Vec<(Zxid, Bytes)> = log;
        if history.last().map(|(z, _)| *z) != Some(tree_last) {
            history.clear();
        }
        let zxids: Vec<Zxid> = history.iter().map(|(z, _)| *z).filter(|z| *z <= tree_last).collect();
        let base = if zxids.is_empty() { tree_last.max(Zxid::ZERO) } else { before_first(&history, base) };
        let shadow = Shadow { base, zxids };
        let (recent, recent_after) = (recovered.recent.txns, recovered.recent.after);

        let state = State { tree: recovered.tree };
        let writer =
            LogWriter::new(self.shared_disk(), self.dirs.clone(), log_options(options), state.tree.last_processed());
        let clock = self.clock.now(now);
        let settings = replica_options(options, self.id);
        let epochs = recovered.epochs;
        let replayed = recovered.report.log.transactions;
        let replica = match epochs {
            None => Replica::new(settings, &state, replayed, recovered.report.snapshot_wanted, clock),
            Some(epochs) => {
                let durable = Durable {
                    accepted_epoch: epochs.accepted,
                    current_epoch: epochs.current,
                    last_logged: last,
                    recent,
                    recent_after,
                };
                Replica::of_ensemble(
                    settings,
                    zab_options(options, self),
                    durable,
                    &state,
                    replayed,
                    recovered.report.snapshot_wanted,
                    clock,
                )
            }
        };
        let durable = DurableNow {
            log: state.tree.last_processed(),
            accepted: epochs.map_or(Epoch(0), |e| e.accepted),
            current: epochs.map_or(Epoch(0), |e| e.current),
        };
        self.running = Some(Running {
            replica,
            state,
            watches: RefCell::new(WatchTable::new()),
            persister: Persister::new(writer),
            out: Outputs::default(),
            work: VecDeque::new(),
            job: None,
            job_since: 0,
            lied: false,
            snapshot: None,
            ports: BTreeMap::new(),
            to_pump: Vec::new(),
            links: BTreeMap::new(),
            old_learner: None,
            acks: BTreeMap::new(),
            held_syncs: Vec::new(),
            unread: VecDeque::new(),
            snaps: BTreeMap::new(),
            received: None,
            election: BTreeMap::new(),
            dial: None,
            listening: false,
            mode: if epochs.is_none() { Mode::Standalone } else { Mode::Looking },
            shadow,
            durable,
            observed: None,
            offered: None,
            wake_at: u64::MAX,
            apply_scheduled: false,
        });
        Ok(())
    }

    /// A planted bug: the end of the counter and what comes behind it make a gap.
    fn refuse_used_up_epochs(&self, counter_max: u32) -> StorageResult<()> {
        let log = log_from(&self.disk, &self.dirs, Zxid::ZERO).unwrap_or_default();
        let used_up = |zxid: Zxid| zxid.counter() == counter_max;
        if log.windows(2).any(|pair| used_up(pair[0].0) && pair[1].0.epoch() > pair[0].0.epoch()) {
            let source = std::io::Error::from(std::io::ErrorKind::InvalidData);
            return Err(StorageError::Io { action: "read past an epoch in", path: self.dirs.logs.clone(), source });
        }
        Ok(())
    }

    /// A planted bug: files of a length of nothing stop the start.
    fn refuse_empty_logs(&self) -> StorageResult<()> {
        let io = |source| StorageError::Io { action: "list", path: self.dirs.logs.clone(), source };
        for entry in self.disk.list(&self.dirs.logs).map_err(io)? {
            let path = self.dirs.logs.join(&entry.name);
            let begin = self.disk.bytes_of(&path).unwrap_or_default();
            if entry.name.starts_with("log.") && begin.iter().take(16).all(|byte| *byte == 0) {
                let source = std::io::Error::from(std::io::ErrorKind::UnexpectedEof);
                return Err(StorageError::Io { action: "read the header of", path, source });
            }
        }
        Ok(())
    }

    /// Carries out what the disk was doing; what it answers goes to the replica. An error ends the process.
    pub fn carry_out_job(&mut self, options: &RunOptions, job: Job) -> StorageResult<Vec<Input>> {
        let disk = self.shared_disk();
        let running = self.running.as_mut().expect("only a process has the disk do something");
        match job {
            Job::Batch(mut batch) => {
                let planted = options.planted;
                let lies = planted.map(|bug| bug.spoil_batch(&mut batch)).unwrap_or_default();
                let mut inputs: Vec<Input> = lies.into_iter().map(Input::Persisted).collect();
                if planted == Some(Bug::LostTruncation) && matches!(batch.last(), Some(Persist::TruncateLog { .. })) {
                    batch.pop();
                    inputs.extend(running.persister.persist(&batch)?.into_iter().map(Input::Persisted));
                    let recovered = recover(disk.clone(), &self.dirs, &recover_options(options))?;
                    inputs.push(Input::StateReplaced { tree: Box::new(recovered.tree) });
                    return Ok(inputs);
                }
                let done = match running.persister.persist(&batch) {
                    Err(_) if planted == Some(Bug::SyncErrorSwallowed) => Bug::pretend(&batch),
                    done => done?,
                };
                for done in done {
                    match done {
                        Persisted::Truncated { .. } => {
                            // As the server's disk thread does it: what comes next goes into a new file.
                            let again = RecoverOptions { epochs: false, recent_max: 0, ..recover_options(options) };
                            let recovered = recover(disk.clone(), &self.dirs, &again)?;
                            running.persister.restart_after(recovered.last)?;
                            inputs.push(Input::StateReplaced { tree: Box::new(recovered.tree) });
                        }
                        done => inputs.push(Input::Persisted(done)),
                    }
                }
                Ok(inputs)
            }
            Job::Install(Received { zxid, bytes, tree, .. }) => {
                let snapshot = snapshot_options();
                let mut writer = SnapshotWriter::create(disk, &self.dirs, zxid, snapshot.compression)?;
                writer.write(&bytes)?;
                let trailers = snapshot.trailers(zxid, tree.digest());
                if options.planted == Some(Bug::SnapshotBesideLog) {
                    running.persister.restart_after(zxid)?;
                    writer.finish(&trailers)?;
                } else {
                    running.persister.install(writer, &trailers, zxid)?;
                }
                Ok(vec![Input::StateReplaced { tree }])
            }
        }
    }

    /// Writes the snapshot under way; `None` where it failed, which costs nothing but its use.
    pub fn write_snapshot(&mut self, planted: Option<Bug>) -> Option<Zxid> {
        let disk = self.shared_disk();
        let running = self.running.as_mut()?;
        let (image, mut zxid) = running.snapshot.take()?;
        zxid.0 += i64::from(planted == Some(Bug::SnapshotNamedTooLate));
        let tree = &running.state.tree;
        if !tree.has_image(image) {
            // The tree was replaced meanwhile, and its images went with it.
            return None;
        }
        let (mut cursor, digest) = (tree.image_cursor(image), tree.image_digest(image));
        let mut next = |out: &mut Vec<u8>, wanted: usize| tree.image_next(&mut cursor, out, wanted.min(PIECE_BYTES));
        write_snapshot(disk, &self.dirs, zxid, &snapshot_options(), digest, &mut next).ok().map(|_| zxid)
    }

    /// The body of a frozen image, as it goes over a link.
    pub fn read_image(&self, image: ImageId) -> Vec<u8> {
        let tree = &self.running.as_ref().expect("only a process sends images").state.tree;
        let mut cursor = tree.image_cursor(image);
        let mut bytes = Vec::new();
        while tree.image_next(&mut cursor, &mut bytes, PIECE_BYTES) != oxkeeper_tree::ImageProgress::Done {}
        bytes
    }

    /// The transactions behind `after`, for a learner; `None` where the log cannot tell.
    pub fn read_history(&self, options: &RunOptions, after: Zxid) -> Option<Vec<(Zxid, Bytes)>> {
        if self.purged {
            return None;
        }
        let log = log_from(&self.disk, &self.dirs, after).ok()?;
        let first = log.first()?.0;
        let begins = after == Zxid::ZERO && first == Zxid::new(Epoch(1), 1);
        if first != after && !begins {
            return None;
        }
        let mut history: Vec<(Zxid, Bytes)> = log.into_iter().filter(|(z, _)| *z > after).collect();
        if options.planted == Some(Bug::HistoryWithHole) && history.len() > 2 {
            history.remove(1);
        }
        Some(history)
    }
}

/// The zxid before the oldest transaction of `history`, as far as one can tell: the snapshot's where that is older.
fn before_first(history: &[(Zxid, Bytes)], snapshot: Zxid) -> Zxid {
    let first = history[0].0;
    if snapshot < first { snapshot } else { Zxid(first.0 - 1) }
}

/// The transactions of the log from `from` on. A hole is an error; behind a snapshot there may be one.
fn log_from(disk: &FaultDisk, dirs: &Dirs, from: Zxid) -> Result<Vec<(Zxid, Bytes)>, StorageError> {
    let snapshots = list_snapshots(disk, &dirs.snapshots)?;
    let mut reader = LogReader::open(Arc::new(disk.clone()), &dirs.logs, from)?.beside(&snapshots);
    let mut log = Vec::new();
    while let Some(record) = reader.read_next()? {
        log.push((record.zxid, record.body));
    }
    Ok(log)
}

/// A process begins its work: a member of an ensemble looks for a leader.
pub fn begin(replica: &mut Replica, state: &State, now: Now, out: &mut Outputs) {
    if replica.report().zab.is_some() {
        replica.start(state, now, out);
    }
}

/// A tree from a received image; `None` where its bytes make no sense.
pub fn load_image(options: &RunOptions, bytes: &[u8]) -> Option<Box<Tree>> {
    ImageLoader::load(tree_options(options), bytes).ok().map(|(loaded, _)| Box::new(loaded.tree))
}

fn tree_options(options: &RunOptions) -> TreeOptions {
    TreeOptions { digest_enabled: true, owner_rules: owner_rules(), hash_seed: options.seed }
}
fn owner_rules() -> OwnerRules {
    OwnerRules { extended_types: true, emulate_353_ttl: false }
}
fn snapshot_options() -> SnapshotOptions {
    SnapshotOptions::default()
}
fn log_options(options: &RunOptions) -> LogOptions {
    let force_sync = options.planted != Some(Bug::ForceSyncOff);
    LogOptions { preallocate_bytes: 16 << 10, force_sync, ..LogOptions::default() }
}
fn recover_options(options: &RunOptions) -> RecoverOptions {
    let all = RecoverOptions::default();
    let record_bytes_max = if options.planted == Some(Bug::LongRecordRefused) { 200 } else { all.record_bytes_max };
    RecoverOptions {
        tree: tree_options(options),
        epochs: options.servers() > 1,
        record_bytes_max,
        recent_max: options.commit_log_count,
        ..all
    }
}
pub fn replica_options(options: &RunOptions, id: ServerId) -> Options {
    let tick = Millis(options.tick_ms as i64);
    Options {
        server: id,
        tick,
        session_timeout_min: Millis(2 * tick.0),
        session_timeout_max: Millis(20_000.max(20 * tick.0)),
        owner_rules: owner_rules(),
        snap_count: options.snap_count,
        container_check_interval: Millis(5_000),
        seed: options.seed ^ id.0 as u64,
        ..Options::default()
    }
}
fn zab_options(options: &RunOptions, host: &Host) -> ZabOptions {
    let index = host.id.0 as usize - 1;
    let is_unlimited = options.planted == Some(Bug::LimitNotPassedOn);
    let miscounts = options.planted == Some(Bug::QuorumMiscounted) && index < options.voters;
    let keeps = options.planted == Some(Bug::OldListKept);
    ZabOptions {
        tick: Millis(options.tick_ms as i64),
        init_limit: options.init_limit,
        sync_limit: if is_unlimited { 1_000_000 } else { options.sync_limit },
        commit_log_count: options.commit_log_count,
        counter_max: options.counter_max().unwrap_or(0xffff_fffe),
        seed: options.seed ^ host.id.0 as u64,
        reconfig_enabled: keeps,
        last_seen: host.kept.clone().filter(|_| keeps),
        ..ZabOptions::new(host.id, if miscounts { options.ensemble_by(index) } else { host.list.clone() })
    }
}
