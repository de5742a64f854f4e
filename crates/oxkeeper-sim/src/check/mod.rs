//! Whether what happens may happen. The first rule that is broken ends the run.
//!
//! The measure of everything is one list: the transactions that servers which serve have applied, in order ([`Checks::commit`]),
//! and the model that applies them too. Rules of the protocol are in `zab` and `line`, those of clients in `client` and `watch`, those of
//! the end of a run in `last`.

mod arrival;
mod client;
mod last;
mod line;
mod watch;
mod zab;

pub use line::Asked;
pub use watch::{ClientWatches, Watching};

use crate::model::Model;
use crate::network::ConnKey;
use crate::swarm::RunOptions;
use bytes::Bytes;
use oxkeeper_proto::txn::TxnEntry;
use oxkeeper_types::{Epoch, SessionId, Zxid};
use std::collections::{BTreeMap, VecDeque};
use std::fmt;

/// A rule that was broken.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    pub rule: &'static str,
    pub text: String,
    /// Simulated microseconds.
    pub at: u64,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}.{:06}: {}", self.rule, self.at / 1_000_000, self.at % 1_000_000, self.text)
    }
}

/// A transaction that was broadcast.
struct Broadcast {
    txn: Bytes,
    by: usize,
}

/// A leader that a quorum has followed.
struct Leadership {
    by: usize,
    life: u64,
    /// The end of its history when it was established.
    history: Zxid,
}

pub struct Checks {
    pub now: u64,
    pub violation: Option<Violation>,
    pub model: Model,
    /// What was delivered, by zxid.
    pub committed: BTreeMap<Zxid, TxnEntry>,
    broadcast: BTreeMap<Zxid, Broadcast>,
    leaders: BTreeMap<Epoch, Leadership>,
    /// By connection of the quorum port: what its learner's requests wait for, oldest first.
    lines: BTreeMap<ConnKey, VecDeque<line::Awaited>>,
    /// First broadcasts of the step under way.
    fresh: Vec<Zxid>,
    /// What was not delivered yet of the history in a snapshot that a leader has sent, by the snapshot's zxid.
    sent: BTreeMap<Zxid, Vec<Zxid>>,
    /// Starts of processes, to tell one life from the next.
    lives: Vec<u64>,
    /// Since when a server is elected without leading yet.
    elected_at: Vec<Option<u64>>,
    /// The latest write that any client knows to be done.
    pub acked_max: Zxid,
    /// By server: the latest transaction of which it was told, or has told others, that it is committed.
    arrived: Vec<Zxid>,
    is_ensemble: bool,
    /// Until when, in simulated microseconds, a session may not be ended by a server: what its answers promise. `None`: its
    /// client has closed it.
    alive: BTreeMap<SessionId, Option<u64>>,
    /// What is taken off such a promise; `None` where pauses make them all void.
    expiry_slack_us: Option<u64>,
    /// Clocks may run fast: so much of a promise counts.
    expiry_percent: u64,
    pub counts: Counts,
}

/// How much a run has looked at: a checker that looks at nothing finds nothing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Counts {
    pub delivered: u64,
    pub trees_compared: u64,
    pub writes_acked: u64,
    pub reads_checked: u64,
    /// Reads that came to a server of an ensemble behind the word of a commit.
    pub reads_arrived: u64,
    pub syncs_checked: u64,
    pub events_checked: u64,
    /// COMMITs, INFORMs and SYNCs that answered a learner's request.
    pub learner_answers: u64,
    pub leaders: u64,
    pub expired: u64,
    /// Cuts of a history that were not possible, while one of three voters was dead for good: the other two have to do without.
    pub cuts_of_two: u64,
    /// Lists of members that came by files and had to be served when faults were over.
    pub lists_judged: u64,
    /// Simulated milliseconds that servers were elected without ever leading, until they looked again.
    pub elected_in_vain_ms: u64,
    /// Simulated milliseconds from the end of all faults until everybody was served.
    pub recovery_ms: u64,
}

impl Checks {
    pub fn new(options: &RunOptions) -> Checks {
        Checks {
            now: 0,
            violation: None,
            model: Model::at(options.begins_at),
            committed: BTreeMap::new(),
            broadcast: BTreeMap::new(),
            leaders: BTreeMap::new(),
            lines: BTreeMap::new(),
            fresh: Vec::new(),
            sent: BTreeMap::new(),
            lives: vec![0; options.machines()],
            elected_at: vec![None; options.machines()],
            acked_max: Zxid::ZERO,
            arrived: vec![Zxid::ZERO; options.machines()],
            is_ensemble: options.servers() > 1,
            alive: BTreeMap::new(),
            expiry_percent: if options.clock_faults { 80 } else { 100 },
            expiry_slack_us: crate::fault::times_are_kept(options)
                .then(|| options.tick_ms * 1000 * u64::from(options.sync_limit + 2) + 200_000),
            counts: Counts::default(),
        }
    }

    /// The first one counts.
    pub fn fail(&mut self, rule: &'static str, text: String) {
        if self.violation.is_none() {
            self.violation = Some(Violation { rule, text, at: self.now });
        }
    }
}
