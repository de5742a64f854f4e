//! What a leader's clients feel of its followers: while one is down, while it comes back with an empty directory and gets a large
//! tree, and while one stands still. Clients write at the leader one after the other, and every answer is timed.

use super::failover::fill;
use super::{Ensemble, EnsembleError, Layout, Member, during, patient_client};
use crate::servers::ServerKind;
use oxkeeper_client::CreateMode;
use std::fmt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const WRITERS: usize = 8;
/// Ticks of silence after which a leader gives a follower up: more than it stands still for.
const SYNC_LIMIT: u32 = 40;
/// Writes before anything is timed, so that a JVM has compiled what it needs.
const WARM_UP: Duration = Duration::from_secs(5);

/// What is going on while writes are timed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Undisturbed,
    Down,
    /// From its start until it serves.
    Synchronising,
    Still,
}

const PHASES: [(Phase, &str); 4] = [
    (Phase::Undisturbed, "all three up"),
    (Phase::Down, "one follower killed"),
    (Phase::Synchronising, "it comes back empty"),
    (Phase::Still, "one follower stands still"),
];

/// Times of the writes of one phase.
#[derive(Clone, Debug)]
pub struct Figures {
    pub name: &'static str,
    pub lasted: Duration,
    pub writes: usize,
    pub median: Duration,
    pub p99: Duration,
    pub longest: Duration,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        write!(
            f,
            "{}: {:.1} s, {:.0} writes/s, median {:.1}, p99 {:.1}, longest {:.0} ms",
            self.name,
            self.lasted.as_secs_f64(),
            self.writes as f64 / self.lasted.as_secs_f64(),
            ms(self.median),
            ms(self.p99),
            ms(self.longest)
        )
    }
}

/// `(phase, time)` of each write, by the phase in which it was answered.
struct Timed {
    phase: AtomicUsize,
    over: AtomicBool,
    writes: Mutex<Vec<(usize, Duration)>>,
}

/// Figures of each phase, of `time` each but for the one that lasts as long as the synchronisation does.
pub fn measure(kind: &ServerKind, nodes: usize, time: Duration) -> Result<Vec<Figures>, EnsembleError> {
    let layout = Layout { sync_limit: SYNC_LIMIT, ..Layout::measured(kind, nodes) };
    let mut ensemble = Ensemble::start(&layout)?;
    fill(&ensemble.hosts(), nodes).map_err(during("filling the tree"))?;
    let leader = ensemble.leader().ok_or_else(|| EnsembleError::Wrong(ensemble.state()))?;
    let hosts = ensemble.member(leader).address.to_string();
    let timed = Timed { phase: AtomicUsize::new(0), over: AtomicBool::new(false), writes: Mutex::default() };
    let lasted = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|n| {
                let (timed, hosts) = (&timed, &hosts);
                scope.spawn(move || write(hosts, n, timed))
            })
            .collect();
        let lasted = disturb(&mut ensemble, leader, time, &timed);
        timed.over.store(true, Ordering::Relaxed);
        for writer in writers {
            writer.join().expect("a writer does not panic").map_err(during("writing at the leader"))?;
        }
        lasted
    })?;
    let writes = timed.writes.into_inner().expect("no writer has panicked");
    PHASES.iter().enumerate().map(|(n, (_, name))| figures(name, lasted[n], n, &writes)).collect()
}

fn disturb(
    ensemble: &mut Ensemble,
    leader: u8,
    time: Duration,
    timed: &Timed,
) -> Result<[Duration; PHASES.len()], EnsembleError> {
    std::thread::sleep(WARM_UP);
    timed.writes.lock().expect("no writer has panicked").clear();
    let follower = (1..=3).find(|id| *id != leader).expect("there are three");
    let mut lasted = [Duration::ZERO; PHASES.len()];
    for (n, (phase, _)) in PHASES.iter().enumerate() {
        match phase {
            Phase::Undisturbed => {}
            Phase::Down => ensemble.member(follower).kill(),
            Phase::Synchronising => empty(ensemble.member(follower))?,
            Phase::Still => ensemble.member(follower).pause(),
        }
        timed.phase.store(n, Ordering::Relaxed);
        let begun = Instant::now();
        if *phase == Phase::Synchronising {
            ensemble.member(follower).start()?;
            ensemble.wait_serving()?;
        } else {
            std::thread::sleep(time);
        }
        lasted[n] = begun.elapsed();
    }
    ensemble.member(follower).resume();
    ensemble.wait_serving()?;
    if ensemble.leader() != Some(leader) {
        return Err(EnsembleError::Wrong(format!("{leader} leads no more\n{}", ensemble.state())));
    }
    Ok(lasted)
}

/// Takes a member's history away.
fn empty(member: &Member) -> Result<(), EnsembleError> {
    let dir = member.data_dir().join("version-2");
    std::fs::remove_dir_all(&dir).map_err(|e| EnsembleError::Wrong(format!("cannot remove {}: {e}", dir.display())))
}

/// One write after the other, each timed.
fn write(hosts: &str, n: usize, timed: &Timed) -> Result<(), oxkeeper_client::ClientError> {
    let client = patient_client(hosts)?;
    let path = format!("/failover/writer{n}");
    client.create(&path, b"", CreateMode::Persistent)?;
    while !timed.over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        client.set(&path, [b'v'; 100], -1)?;
        let took = begun.elapsed();
        let phase = timed.phase.load(Ordering::Relaxed);
        timed.writes.lock().expect("no writer has panicked").push((phase, took));
    }
    client.close()
}

fn figures(
    name: &'static str,
    lasted: Duration,
    phase: usize,
    writes: &[(usize, Duration)],
) -> Result<Figures, EnsembleError> {
    let mut times: Vec<Duration> = writes.iter().filter(|(n, _)| *n == phase).map(|(_, took)| *took).collect();
    times.sort_unstable();
    let Some(longest) = times.last().copied() else {
        return Err(EnsembleError::Wrong(format!("{name}: no write was answered in {:.1} s", lasted.as_secs_f64())));
    };
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    Ok(Figures { name, lasted, writes: times.len(), median: at(0.5), p99: at(0.99), longest })
}
