//! Faults on an ensemble under clients: kills, pauses, restarts, cut links, while sessions read and write a few nodes and
//! everything is written down for [`crate::history`] to judge.

use super::clients::{self, Shared};
use super::load::agree;
use super::{Ensemble, EnsembleError, Layout, PATIENCE, during};
use crate::history::{self, Final};
use crate::rng::Rng;
use crate::servers::ServerKind;
use oxkeeper_client::CreateMode;
use oxkeeper_client::blocking::Client;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

const CLIENTS: usize = 6;
/// Writes that must go through after each fault before the next.
const WRITES_BETWEEN: usize = 30;
/// Ticks of silence after which a leader or a learner gives up.
const SYNC_LIMIT: u32 = 4;

#[derive(Clone, Debug)]
pub struct Faults {
    pub kind: ServerKind,
    pub time: Duration,
    pub seed: u64,
    /// Whether links are cut, too.
    pub network: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Fault {
    KillLeader,
    KillFollower,
    KillTwo,
    KillAll,
    StopLeader,
    PauseLeader,
    PauseFollower,
    CutLeaderFromPeers,
    CutFollowerFromPeers,
    CutPair,
    CutLeaderFromClients,
}

pub(super) const ON_PROCESSES: &[Fault] = &[
    Fault::KillLeader,
    Fault::KillLeader,
    Fault::KillFollower,
    Fault::KillTwo,
    Fault::KillAll,
    Fault::StopLeader,
    Fault::PauseLeader,
    Fault::PauseFollower,
];
pub(super) const ON_LINKS: &[Fault] = &[
    Fault::CutLeaderFromPeers,
    Fault::CutLeaderFromPeers,
    Fault::CutFollowerFromPeers,
    Fault::CutPair,
    Fault::CutLeaderFromClients,
    Fault::KillLeader,
    Fault::PauseLeader,
];

impl Faults {
    pub fn run(&self) -> Result<String, EnsembleError> {
        let layout = Layout {
            namespaces: self.network,
            sync_limit: SYNC_LIMIT,
            snap_count: 2000,
            ..Layout::of(vec![(self.kind.clone(), false); 3])
        };
        let mut ensemble = Ensemble::start(&layout)?;
        let result = self.torment(&mut ensemble);
        if result.is_err() {
            eprintln!("files: {}\n{}", ensemble.keep_files(), ensemble.state());
        }
        result
    }

    fn torment(&self, ensemble: &mut Ensemble) -> Result<String, EnsembleError> {
        let hosts = ensemble.hosts();
        clients::set_up(&hosts).map_err(during("creating the nodes"))?;
        // The reference's sync asks the leader, and the leader nobody: one that is deposed and does not know it yet
        // answers with old data.
        let shared = Shared::new(!self.kind.is_java());
        let faults = std::thread::scope(|scope| {
            for n in 0..CLIENTS {
                let (shared, hosts) = (&shared, &hosts);
                let rng = Rng::fork(self.seed, 100 + n as u64);
                scope.spawn(move || clients::run(hosts, n, rng, shared));
            }
            let result = self.inject(ensemble, &shared);
            shared.over.store(true, Ordering::Relaxed);
            result
        })?;
        let tree = agree(ensemble)?;
        let last = clients::last_state(&hosts).map_err(during("reading the last state"))?;
        let operations = shared.take();
        judge(ensemble, &operations, &last)?;
        let unknown = operations.iter().filter(|op| op.answer == history::Answer::Unknown).count();
        Ok(format!(
            "{faults} faults, {} operations, {unknown} without an answer, {} sessions: linearizable; {} nodes alike at all three",
            operations.len(),
            shared.sessions(),
            tree.len()
        ))
    }

    /// One fault after the other until time is up; answers with how many there were.
    fn inject(&self, ensemble: &mut Ensemble, shared: &Shared) -> Result<usize, EnsembleError> {
        let mut rng = Rng::fork(self.seed, 1);
        let end = Instant::now() + self.time;
        let mut count = 0;
        shared.wait_for_writes(WRITES_BETWEEN, PATIENCE).map_err(EnsembleError::Wrong)?;
        while Instant::now() < end {
            let fault = *rng.pick(if self.network { ON_LINKS } else { ON_PROCESSES });
            let leader = ensemble.leader().unwrap_or(1);
            // Some shorter than what a server notices, some longer.
            let time = Duration::from_millis(*rng.pick(&[20, 150, 600, 1500, 3500]));
            let outcome = strike(ensemble, fault, leader, time, &mut rng);
            let healed = heal(ensemble);
            let told =
                |e: EnsembleError| EnsembleError::Wrong(format!("after {fault:?} of {leader} for {time:?}: {e}"));
            outcome.and(healed).and_then(|()| ensemble.wait_serving()).map_err(told)?;
            let writes = shared.wait_for_writes(WRITES_BETWEEN, PATIENCE);
            writes.map_err(|e| told(EnsembleError::Wrong(format!("{e}\n{}", ensemble.state()))))?;
            count += 1;
        }
        Ok(count)
    }
}

/// Keeps the files and the history where it is one that cannot be.
pub(super) fn judge(
    ensemble: &mut Ensemble,
    operations: &[history::Operation],
    last: &Final,
) -> Result<(), EnsembleError> {
    let violations = history::check(operations, last);
    if violations.is_empty() {
        return Ok(());
    }
    let path = std::path::Path::new(&ensemble.keep_files()).join("history");
    let mut text: String = operations.iter().map(|op| format!("{op:?}\n")).collect();
    text.push_str(&format!("{last:?}\n"));
    let kept = std::fs::write(&path, text).map_or_else(|e| e.to_string(), |()| path.display().to_string());
    let lines: Vec<String> = violations.iter().map(ToString::to_string).collect();
    Err(EnsembleError::Wrong(format!("{}\nhistory: {kept}", lines.join("\n"))))
}

pub(super) fn strike(
    ensemble: &mut Ensemble,
    fault: Fault,
    leader: u8,
    time: Duration,
    rng: &mut Rng,
) -> Result<(), EnsembleError> {
    let all: Vec<u8> = ensemble.members.iter().map(|member| member.id).collect();
    let others: Vec<u8> = all.iter().copied().filter(|id| *id != leader).collect();
    let follower = *rng.pick(&others);
    let index = |id: u8| usize::from(id) - 1;
    let cut = |ensemble: &Ensemble, what: &dyn Fn(&super::network::Network) -> Result<(), String>| {
        let network = ensemble.network.as_ref().expect("faults on links need a network");
        what(network).map_err(EnsembleError::Wrong)
    };
    match fault {
        Fault::KillLeader => ensemble.member(leader).kill(),
        Fault::KillFollower => ensemble.member(follower).kill(),
        Fault::KillTwo => [leader, follower].into_iter().for_each(|id| ensemble.member(id).kill()),
        Fault::KillAll => all.into_iter().for_each(|id| ensemble.member(id).kill()),
        Fault::StopLeader => ensemble.member(leader).stop().map_err(EnsembleError::Wrong)?,
        Fault::PauseLeader => ensemble.member(leader).pause(),
        Fault::PauseFollower => ensemble.member(follower).pause(),
        Fault::CutLeaderFromPeers => cut(ensemble, &|network| network.cut_from_peers(index(leader)))?,
        Fault::CutFollowerFromPeers => cut(ensemble, &|network| network.cut_from_peers(index(follower)))?,
        Fault::CutPair => cut(ensemble, &|network| network.cut_pair(index(leader), index(follower)))?,
        Fault::CutLeaderFromClients => cut(ensemble, &|network| network.cut_from_clients(index(leader)))?,
    }
    std::thread::sleep(time);
    Ok(())
}

/// Everybody runs and reaches everybody again.
pub(super) fn heal(ensemble: &mut Ensemble) -> Result<(), EnsembleError> {
    if let Some(network) = &ensemble.network {
        network.heal().map_err(EnsembleError::Wrong)?;
    }
    for member in &mut ensemble.members {
        if member.is_paused() {
            member.resume();
        }
        if !member.is_running() {
            member.start()?;
        }
    }
    Ok(())
}

/// A node for the clients to work on.
pub(super) fn create(client: &Client, path: &str, data: &[u8]) -> Result<(), oxkeeper_client::ClientError> {
    client.create(path, data, CreateMode::Persistent).map(|_| ())
}
