//! Members of two kinds in one ensemble: each kind leads, follows and observes, and members come back by every kind of
//! synchronisation, under writers. At the end of each leg all members must show the same tree.

use super::load::{Load, Outcome, agree};
use super::member::Member;
use super::tour::tour;
use super::{Ensemble, EnsembleError, Layout, during};
use crate::servers::ServerKind;
use oxkeeper_client::blocking::{Client, Options};
use oxkeeper_client::{CreateMode, call};
use oxkeeper_storage::log::truncate::remove_durably;
use oxkeeper_storage::names::{list_logs, list_snapshots};
use oxkeeper_storage::snapshot::{SnapshotOptions, write_frozen};
use oxkeeper_storage::{Dirs, RealDisk, RecoverOptions, StorageResult, recover};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The id of the member that is alone of its kind among the voters. Highest, so that it wins a tie.
const SOLO: u8 = 3;
const PAIR: [u8; 2] = [1, 2];
/// More transactions than a leader keeps in memory for learners (commitLogCount).
const BEYOND_MEMORY: usize = 700;
/// What is read in a log file to know that a tail was written there.
const TAIL: &str = "uncommitted-tail";
const TAIL_WRITES: usize = 20;
/// What either kind of server says when it cuts its log.
const CUT_WORDS: &str = "Truncating log to get in sync with the leader";
/// What a server of ours says where that is not possible.
const KEPT_WORDS: &str = "the history here cannot be cut to where the leader wants it";

/// How a server comes back that has logged what nobody else has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Back {
    /// Nothing was written meanwhile: its log is cut (TRUNC).
    Cut,
    /// There is a newer epoch with writes: it gets a snapshot (SNAP).
    Replaced,
    /// Nothing was written meanwhile, but its history begins with a snapshot that holds the tail: it cannot be cut, and it asks for a
    /// snapshot. The reference ends with 13 here.
    Kept,
}

/// One voter of kind `solo`, two of kind `pair`, and an observer.
#[derive(Clone, Debug)]
pub struct Mix {
    pub solo: ServerKind,
    pub pair: ServerKind,
    pub observer: ServerKind,
    /// Whether a leader may send a long stretch of transactions from its log files, rather than a snapshot.
    pub from_log: bool,
    pub seed: u64,
}

impl Mix {
    pub fn name(&self) -> String {
        let from = if self.from_log { "log" } else { "snapshot" };
        let (solo, pair, observer) = (self.solo.short(), self.pair.short(), self.observer.short());
        format!("1 {solo} + 2 {pair}, {observer} observes, far behind by {from}")
    }

    fn layout(&self) -> Layout {
        let voter = |kind: &ServerKind| (kind.clone(), false);
        let members = vec![voter(&self.pair), voter(&self.pair), voter(&self.solo), (self.observer.clone(), true)];
        // Larger ones are refused.
        let factor = if self.from_log { 1 } else { -1 };
        Layout { extra: vec![format!("snapshotSizeFactor={factor}")], ..Layout::of(members) }
    }

    /// Calls `leg` with a line on each leg that went well.
    pub fn run(&self, leg: &mut dyn FnMut(&str)) -> Result<(), EnsembleError> {
        let mut run =
            Run { ensemble: Ensemble::prepare(&self.layout())?, outcome: Outcome::default(), seed: self.seed };
        let result = run.legs(leg);
        if result.is_err() {
            eprintln!("files: {}\n{}", run.ensemble.keep_files(), run.ensemble.state());
        }
        result
    }
}

struct Run {
    ensemble: Ensemble,
    outcome: Outcome,
    seed: u64,
}

impl Run {
    fn legs(&mut self, leg: &mut dyn FnMut(&str)) -> Result<(), EnsembleError> {
        let mut started = Instant::now();
        let mut told = |text: String| {
            leg(&format!("{text} ({:.1} s)", started.elapsed().as_secs_f32()));
            started = Instant::now();
        };
        self.ensemble.start_some(&[SOLO, PAIR[1]])?;
        self.ensemble.expect_leader(SOLO)?;
        self.ensemble.start_all()?;
        let pairs = tour(&self.ensemble)?;
        self.load(600)?;
        told(format!("{} leads: every write seen everywhere, {pairs} pairs of members", self.name(SOLO)));

        self.come_back(PAIR[0], 30)?;
        self.come_back(PAIR[0], BEYOND_MEMORY)?;
        self.come_back(4, BEYOND_MEMORY)?;
        told(format!("{} brings others up to date{}", self.name(SOLO), self.synchronisations(SOLO)));

        let leader = self.lose_a_tail(SOLO, Back::Cut)?;
        told(format!("{} logged what nobody had; {} had it cut that off", self.name(SOLO), self.name(leader)));

        self.come_back(SOLO, 30)?;
        self.come_back(SOLO, BEYOND_MEMORY)?;
        let leader = self.leader()?;
        told(format!("{} brings {} up to date{}", self.name(leader), self.name(SOLO), self.synchronisations(leader)));

        tour(&self.ensemble)?;
        let is_ours = matches!(self.ensemble.member(leader).kind, ServerKind::Command(_));
        let (back, how) = if is_ours { (Back::Kept, ", by snapshot") } else { (Back::Replaced, "") };
        let next = self.lose_a_tail(leader, back)?;
        told(format!("{} leads, too; what only it had is gone under {}{how}", self.name(leader), self.name(next)));

        self.load(300)?;
        let tree = self.outcome.check(&self.ensemble)?;
        told(format!("{} nodes alike at all four; {}", tree.len(), self.outcome.summary()));
        for member in &mut self.ensemble.members {
            member.stop().map_err(EnsembleError::Wrong)?;
        }
        Ok(())
    }

    fn name(&mut self, id: u8) -> String {
        self.ensemble.member(id).name()
    }

    fn leader(&mut self) -> Result<u8, EnsembleError> {
        self.ensemble.leader().ok_or_else(|| EnsembleError::Wrong(format!("nobody leads\n{}", self.ensemble.state())))
    }

    fn synchronisations(&mut self, leader: u8) -> String {
        let member = self.ensemble.member(leader);
        match (member.figure("zk_diff_count"), member.figure("zk_snap_count")) {
            (Some(diffs), Some(snaps)) => format!(" ({diffs} times by transactions, {snaps} by snapshot)"),
            _ => String::new(),
        }
    }

    /// Sessions that write and wander from member to member, until so many writes are acknowledged.
    fn load(&mut self, writes: usize) -> Result<(), EnsembleError> {
        self.seed += 1;
        let load = Load::start(&self.ensemble, self.seed, Some(150));
        load.wait(writes)?;
        self.outcome.merge(load.finish()?);
        Ok(())
    }

    /// The member is killed while others write, misses so many transactions, and catches up.
    fn come_back(&mut self, id: u8, missed: usize) -> Result<(), EnsembleError> {
        self.seed += 1;
        let load = Load::start(&self.ensemble, self.seed, None);
        load.wait(50)?;
        self.ensemble.member(id).kill();
        self.ensemble.wait_serving()?;
        load.wait(missed)?;
        self.ensemble.member(id).start()?;
        self.ensemble.wait_serving()?;
        load.wait(50)?;
        self.outcome.merge(load.finish()?);
        agree(&self.ensemble)?;
        Ok(())
    }

    /// The leader logs what nobody else hears of, and is killed. When it is back, that must be gone. Answers with who led
    /// meanwhile.
    fn lose_a_tail(&mut self, leader: u8, back: Back) -> Result<u8, EnsembleError> {
        self.ensemble.expect_leader(leader)?;
        let tail = format!("{TAIL}-{}-{}", leader, self.seed);
        let server = self.ensemble.member(leader).address.to_string();
        let options = Options { session_timeout: Duration::from_secs(600), ..Options::default() };
        let client = Client::connect(&server, options).map_err(during("connecting to the leader"))?;
        let others: Vec<u8> = (1..=4).filter(|id| *id != leader).collect();
        for id in &others {
            self.ensemble.member(*id).pause();
        }
        for n in 0..TAIL_WRITES {
            let acl = oxkeeper_types::acl::open_acl();
            let create = call::create2(&format!("/{tail}-{n}"), Some(tail.as_bytes()), &acl, CreateMode::Persistent);
            drop(client.send(create).map_err(during("sending a write"))?);
        }
        let last = format!("/{tail}-{}", TAIL_WRITES - 1);
        let logged = self.ensemble.until("the leader has logged what it was sent", |ensemble| {
            ensemble.members[usize::from(leader) - 1].log_contains(last.as_bytes())
        });
        self.ensemble.member(leader).kill();
        // Not resumed: what the leader sent lies in their sockets, and they would log it.
        for id in &others {
            self.ensemble.member(*id).kill();
        }
        logged?;
        drop(client);
        self.ensemble.start_some(&others)?;
        if back == Back::Replaced {
            self.load(30)?;
        }
        let next = self.leader()?;
        let member = self.ensemble.member(leader);
        if back == Back::Kept {
            begin_with_snapshot(member).map_err(|error| EnsembleError::Wrong(error.to_string()))?;
        }
        let said = |member: &Member| [CUT_WORDS, KEPT_WORDS].map(|words| member.times_said(words));
        let before = said(member);
        member.start()?;
        self.ensemble.wait_serving()?;
        let member = self.ensemble.member(leader);
        let [asked, kept] = std::array::from_fn(|i| said(member)[i] > before[i]);
        if (asked, kept) != (back != Back::Replaced, back == Back::Kept) {
            let name = self.name(leader);
            return Err(EnsembleError::Wrong(format!(
                "{name} came back, asked to cut its log: {asked}, unable to: {kept}\n{}",
                self.ensemble.state()
            )));
        }
        self.load(30)?;
        let tree = agree(&self.ensemble)?;
        match tree.keys().find(|path| path.contains(TAIL)) {
            Some(path) => Err(EnsembleError::Wrong(format!("{path} was never committed and is there"))),
            None => Ok(next),
        }
    }
}

/// Leaves a stopped member of ours nothing but a snapshot of all that its log holds.
fn begin_with_snapshot(member: &Member) -> StorageResult<()> {
    let (disk, dirs) = (Arc::new(RealDisk), Dirs::new(&member.data_dir(), None));
    let mut recovered = recover(disk.clone(), &dirs, &RecoverOptions::default())?;
    let written = write_frozen(disk.clone(), &dirs, &mut recovered.tree, &SnapshotOptions::default())?;
    let logs = list_logs(&*disk, &dirs.logs)?.into_iter().map(|log| log.path);
    let snapshots = list_snapshots(&*disk, &dirs.snapshots)?.into_iter().map(|snapshot| snapshot.path);
    for path in logs.chain(snapshots).filter(|path| *path != written.path) {
        remove_durably(&*disk, &dirs.snapshots, &path)?;
    }
    Ok(())
}
