//! What kind of run a seed is: size, settings, load and faults are drawn once, so that runs differ in kind and not only in luck.

use crate::members::Members;
use crate::museum::Bug;
use crate::random::Random;
use oxkeeper_types::Zxid;
use oxkeeper_types::ensemble::{Ensemble, MemberRules};
use std::fmt;

/// Everything that decides a run beside the seed's random streams. Printed in front of every result.
#[derive(Clone, PartialEq, Debug)]
pub struct RunOptions {
    pub seed: u64,
    /// Voting servers; 1 is a standalone server.
    pub voters: usize,
    pub observers: usize,
    pub weighted: bool,
    pub clients: usize,
    /// Simulated milliseconds with faults, before everything is healed.
    pub duration_ms: u64,
    pub faults: usize,
    /// Numbers of faults that are left out: how a failing run is made smaller.
    pub faults_skipped: Vec<usize>,
    pub tick_ms: u64,
    pub init_limit: u32,
    pub sync_limit: u32,
    pub network_delay_us: u64,
    pub disk_sync_us: u64,
    /// A client's pause between requests.
    pub think_us: u64,
    pub pipeline: usize,
    pub session_timeout_ms: u64,
    pub snap_count: u64,
    pub commit_log_count: usize,
    /// The quorum port is open in every role, not only while leading (the reference's).
    pub always_listens: bool,
    /// Clocks differ, drift and jump.
    pub clock_faults: bool,
    pub disk_faults: bool,
    pub network_faults: bool,
    pub crashes: bool,
    /// Learners acknowledge as release 3.8 of the reference does.
    pub old_learners: bool,
    /// An epoch is used up after so many transactions, as it really is after four billions.
    pub counter_max: Option<u32>,
    /// Learners are late in reading what their leader's link has brought.
    pub late_readers: bool,
    /// A server on its own has been in use before, through here: soon all zxids of one epoch are given, and it goes on.
    pub begins_at: Zxid,
    /// How the list of voters changes.
    pub members: Members,
    /// Only requests and faults that there were when the simulator was new: the seeds of its first finds stay what they were.
    pub early: bool,
    /// A bug put in on purpose.
    pub planted: Option<Bug>,
}

impl RunOptions {
    pub fn of_seed(seed: u64) -> RunOptions {
        let later = &mut Random::new(seed, "later options");
        let r = &mut Random::new(seed, "options");
        let voters = *r.pick(&[1, 3, 3, 3, 3, 3, 3, 5, 5, 7]);
        let quiet = r.chance(5);
        let pipeline = *r.pick(&[1, 1, 3, 8]);
        let options = RunOptions {
            seed,
            voters,
            observers: if voters > 1 { *r.pick(&[0, 0, 0, 1, 1, 2]) } else { 0 },
            weighted: voters >= 5 && r.chance(30),
            clients: *r.pick(&[1, 3, 5, 5, 5, 8]),
            duration_ms: r.between(15_000, 45_000),
            faults: if quiet { 0 } else { r.between(3, 22) as usize },
            faults_skipped: Vec::new(),
            tick_ms: *r.pick(&[200, 500, 500, 1000]),
            init_limit: r.between(5, 10) as u32,
            sync_limit: r.between(3, 6) as u32,
            network_delay_us: *r.pick(&[80, 200, 200, 1000, 5000]),
            disk_sync_us: *r.pick(&[100, 300, 1000, 8000]),
            think_us: *r.pick(&[15_000, 40_000, 40_000, 150_000]) * pipeline as u64,
            pipeline,
            session_timeout_ms: *r.pick(&[2_000, 4_000, 4_000, 10_000]),
            snap_count: *r.pick(&[20, 100, 100, 1000, 100_000]),
            commit_log_count: *r.pick(&[1, 5, 20, 100, 500]),
            always_listens: r.chance(50),
            clock_faults: r.chance(40),
            disk_faults: r.chance(50),
            network_faults: r.chance(80),
            crashes: r.chance(85),
            old_learners: later.chance(30),
            counter_max: later.chance(15).then(|| later.between(20, 400) as u32),
            late_readers: r.chance(25),
            begins_at: Zxid::ZERO,
            members: Members::Same,
            early: false,
            planted: None,
        };
        let r = &mut Random::new(seed, "begins");
        let begins_at = if options.servers() == 1 && r.chance(60) {
            Zxid(0xffff_ffff - r.between(0, 300) as i64)
        } else {
            Zxid::ZERO
        };
        let r = &mut Random::new(seed, "members");
        let changes = !options.weighted && r.chance(20);
        RunOptions { members: if changes { Members::draw(r, voters) } else { Members::Same }, begins_at, ..options }
    }

    /// The last counter of an epoch, where epochs are shorter than they really are.
    pub fn counter_max(&self) -> Option<u32> {
        self.counter_max.filter(|_| !self.early && self.servers() > 1)
    }

    /// Members at first: voters, then observers.
    pub fn servers(&self) -> usize {
        self.voters + self.observers
    }
    /// How the list of voters changes, where it does.
    pub fn changes(&self) -> Members {
        if self.early { Members::Same } else { self.members }
    }
    /// Members, and behind them those that will be.
    pub fn machines(&self) -> usize {
        self.servers() + self.changes().spares()
    }

    /// The members at first; with `weighted`, voters stand in two or three groups and one of them has no weight.
    pub fn ensemble(&self) -> Ensemble {
        let mut lines = self.lines(&(0..self.voters).collect::<Vec<usize>>());
        if self.weighted {
            let groups = if self.voters >= 7 { 3 } else { 2 };
            for group in 1..=groups {
                let members: Vec<String> =
                    (1..=self.voters).filter(|n| n % groups == group % groups).map(|n| n.to_string()).collect();
                lines.push((format!("group.{group}"), members.join(":")));
            }
            lines.push((format!("weight.{}", self.voters), "0".to_string()));
        }
        ensemble_from(&lines)
    }
    /// The members where these machines are the voters.
    pub fn ensemble_of(&self, voters: &[usize]) -> Ensemble {
        ensemble_from(&self.lines(voters))
    }
    /// A planted bug: the members as machine `myself` sees them, which counts itself for as much as all others together.
    pub fn ensemble_by(&self, myself: usize) -> Ensemble {
        let mut lines = self.lines(&(0..self.voters).collect::<Vec<usize>>());
        let all: Vec<String> = (1..=self.voters).map(|n| n.to_string()).collect();
        lines.push(("group.1".to_string(), all.join(":")));
        lines.push((format!("weight.{}", myself + 1), self.voters.to_string()));
        ensemble_from(&lines)
    }
    fn lines(&self, voters: &[usize]) -> Vec<(String, String)> {
        let observers = self.voters..self.servers();
        let of = |n: usize, role| (format!("server.{}", n + 1), format!("10.0.0.{}:2888:3888:{role};2181", n + 1));
        let voters = voters.iter().map(|n| of(*n, "participant"));
        voters.chain(observers.map(|n| of(n, "observer"))).collect()
    }

    /// How long healed servers may take to serve everybody again, in simulated milliseconds: two elections with their
    /// greatest back-off, a synchronisation, and a client that tries every server.
    pub fn recovery_ms_max(&self) -> u64 {
        let sync = self.tick_ms * u64::from(self.init_limit + self.sync_limit);
        30_000 + 2 * sync + 2 * self.session_timeout_ms
    }
}

fn ensemble_from(lines: &[(String, String)]) -> Ensemble {
    let entries = lines.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    Ensemble::from_entries(entries, MemberRules::default()).expect("these lines describe an ensemble")
}

impl fmt::Display for RunOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seed {} voters {} observers {} weighted {} clients {} duration {} ms faults {}",
            self.seed, self.voters, self.observers, self.weighted, self.clients, self.duration_ms, self.faults
        )?;
        if !self.faults_skipped.is_empty() {
            write!(f, " without {:?}", self.faults_skipped)?;
        }
        write!(
            f,
            " tick {} ms limits {}/{} network {} us disk {} us think {} us pipeline {} session {} ms snapCount {} \
             commitLog {}",
            self.tick_ms,
            self.init_limit,
            self.sync_limit,
            self.network_delay_us,
            self.disk_sync_us,
            self.think_us,
            self.pipeline,
            self.session_timeout_ms,
            self.snap_count,
            self.commit_log_count
        )?;
        for (on, name) in [
            (self.early, "early"),
            (self.always_listens, "listens"),
            (self.clock_faults, "clocks"),
            (self.disk_faults, "disks"),
            (self.network_faults, "network"),
            (self.crashes, "crashes"),
            (self.late_readers, "late"),
        ] {
            if on {
                write!(f, " +{name}")?;
            }
        }
        if self.old_learners && !self.early {
            write!(f, " +old learners")?;
        }
        if self.begins_at > Zxid::ZERO {
            write!(f, " begins at {}", self.begins_at)?;
        }
        if self.changes() != Members::Same {
            write!(f, " members {:?}", self.changes())?;
        }
        if let Some(last) = self.counter_max() {
            write!(f, " epochs of {last}")?;
        }
        if let Some(bug) = self.planted {
            write!(f, " planted {}", bug.name())?;
        }
        Ok(())
    }
}
