//! What a server keeps from role to role: options, election, epochs, history, and what the disk owes.
//!
//! Owns the rule that a persist request, its book-keeping and the history change together. Must not know roles.

use std::sync::Arc;

use oxkeeper_types::ensemble::{Ensemble, MemberRules};
use oxkeeper_types::persist::{Persist, TxnBytes};
use oxkeeper_types::{Epoch, Millis, ServerId, Zxid};

use crate::disk::{Disk, Reign};
use crate::election::Election;
use crate::epochs::Epochs;
use crate::history::History;
use crate::input::LinkId;
use crate::misbehaved::Misbehaved;
use crate::options::{Durable, ZabOptions};
use crate::output::{LinkEnd, Output};
use crate::quorum::Quorums;

#[derive(Clone, Debug)]
pub(crate) struct Core {
    pub options: ZabOptions,
    pub election: Election,
    pub epochs: Epochs,
    pub history: History,
    pub disk: Disk,
    /// Of the present role.
    pub reign: Reign,
    /// A leader asked for a cut of our history to where nothing of ours leads: only a snapshot can make it equal to a leader's.
    pub needs_snapshot: bool,
    /// Told to be committed by an established leader, or established ourselves, since the process began. Never goes back.
    pub committed: Zxid,
    /// The highest epoch that a learner of ours said it has promised: we ask for a later one.
    pub promised_elsewhere: Epoch,
    /// Highest number given to a request for confirmation of leadership.
    pub confirm_number: u64,
}

impl Core {
    pub fn new(options: ZabOptions, durable: Durable) -> Core {
        Core {
            election: Election::new(&options),
            epochs: Epochs::found(durable.accepted_epoch, durable.current_epoch),
            history: History::found(
                durable.last_logged,
                durable.recent_after,
                durable.recent,
                options.commit_log_count,
            ),
            options,
            disk: Disk::default(),
            reign: Reign::default(),
            needs_snapshot: false,
            committed: Zxid::ZERO,
            promised_elsewhere: Epoch(0),
            confirm_number: 0,
        }
    }

    pub fn me(&self) -> ServerId {
        self.options.me
    }
    pub fn quorums(&self) -> &Arc<Quorums> {
        self.election.quorums()
    }
    /// How long a server may take for a step of discovery or synchronisation.
    pub fn init_time(&self) -> Millis {
        Millis(self.options.tick.0 * i64::from(self.options.init_limit))
    }
    /// How long a server in broadcast may be silent.
    pub fn sync_time(&self) -> Millis {
        Millis(self.options.tick.0 * i64::from(self.options.sync_limit))
    }

    /// How long an observer pauses before it looks for another leader: drawn anew for each role that ended, below
    /// `observer.election.DelayMs` (EL058, reference `Observer.waitForObserverElectionDelay`).
    pub fn observer_pause(&self) -> Millis {
        let delay = self.options.observer_election_delay.0.max(0) as u64;
        Millis(mixed(self.options.seed ^ self.reign.0).checked_rem(delay).unwrap_or(0) as i64)
    }

    /// When our own disk will have been silent for as long as a leader waits for a follower's ACK: `syncLimit`.
    pub fn disk_silent_at(&self) -> Option<Millis> {
        self.disk.silent_at(self.sync_time())
    }

    /// A leader looks after its learners twice a tick (QP094).
    pub fn half_tick(&self) -> Millis {
        Millis((self.options.tick.0 / 2).max(1))
    }

    /// What a leader may build upon; [`Zxid::NONE`], for which leaders send SNAP (reference: a database that is not trusted), where
    /// it could not cut our history.
    pub fn usable_last(&self) -> Zxid {
        if self.needs_snapshot { Zxid::NONE } else { self.history.last_logged() }
    }

    /// The end of a history that no leader may build upon. It is told beside the wish for a snapshot: what we have acknowledged
    /// is in it, so a leader has to know that its own is no shorter before it counts our promise.
    pub fn unusable_last(&self) -> Option<Zxid> {
        self.needs_snapshot.then(|| self.history.last_logged())
    }

    pub fn append(&mut self, zxid: Zxid, txn: TxnBytes, out: &mut Vec<Output>) {
        self.history.append(zxid, txn.clone());
        self.disk.append(self.reign, zxid);
        out.push(Output::Persist(Persist::Append { zxid, txn }));
    }

    /// On a learner: into the log, and into the replica's line.
    pub fn append_proposed(&mut self, zxid: Zxid, txn: TxnBytes, out: &mut Vec<Output>) {
        self.append(zxid, txn.clone(), out);
        out.push(Output::Proposed { zxid, txn });
    }

    /// What stands in the log through `through` may be applied.
    pub fn deliver(&mut self, through: Zxid, out: &mut Vec<Output>) {
        assert!(through >= self.committed, "delivering {through} again: {} was committed before", self.committed);
        self.history.offer(through);
        self.committed = through;
        out.push(Output::Commit { through });
    }

    pub fn truncate(&mut self, zxid: Zxid, out: &mut Vec<Output>) {
        assert!(zxid >= self.committed, "cutting at {zxid} takes back {}, which is committed", self.committed);
        self.history.truncate(zxid);
        self.disk.replace(self.reign, zxid);
        out.push(Output::Persist(Persist::TruncateLog { zxid }));
    }

    /// A leader's snapshot takes the place of our history.
    pub fn install(&mut self, zxid: Zxid, out: &mut Vec<Output>) {
        assert!(zxid >= self.committed, "a snapshot at {zxid} takes back {}, which is committed", self.committed);
        self.needs_snapshot = false;
        self.history.reset(zxid);
        self.disk.replace(self.reign, zxid);
        out.push(Output::Persist(Persist::InstallSnapshot { zxid }));
    }

    pub fn ask_accepted_epoch(&mut self, epoch: Epoch, out: &mut Vec<Output>) {
        self.epochs.ask_accepted(epoch);
        self.disk.accepted_epoch(self.reign, epoch);
        out.push(Output::Persist(Persist::AcceptedEpoch(epoch)));
    }

    pub fn ask_current_epoch(&mut self, epoch: Epoch, out: &mut Vec<Output>) {
        self.epochs.ask_current(epoch);
        self.disk.current_epoch(self.reign, epoch);
        out.push(Output::Persist(Persist::CurrentEpoch(epoch)));
    }

    /// Takes note of a configuration that is newer than what is known: a quorum is then one of both (QP044, the first configuration
    /// gets a version). Without reconfiguration the list of each server's files is the only one that counts, whatever a leader
    /// says: one that was kept from before would stay part of every quorum when servers restart with other files
    /// (ZOOKEEPER-3814, ZOOKEEPER-3829, ZOOKEEPER-3830, ZOOKEEPER-3842).
    pub fn note_configuration(&mut self, ensemble: Ensemble) {
        if !self.options.reconfig_enabled {
            return;
        }
        let known = self.election.last_seen().map_or(self.election.ensemble().version(), Ensemble::version);
        if ensemble.version() > known {
            let active = self.election.ensemble().clone();
            self.election.reconfigure(active, Some(ensemble));
        }
    }

    /// The text form, as a leader sends it. One that cannot be read is left alone, as in the reference.
    pub fn note_configuration_text(&mut self, text: &str) {
        if let Ok(ensemble) = Ensemble::from_text(text, MemberRules { multi_address: true }) {
            self.note_configuration(ensemble);
        }
    }

    /// The new epoch has a quorum, and with it the configuration that came with NEWLEADER. Without reconfiguration there is none, and
    /// versions stay as they are, or servers of the reference would take us for ahead of them (QP028, a learner is refused whose
    /// configuration is newer than its leader's).
    pub fn activate_configuration(&mut self) {
        if let Some(seen) = self.election.last_seen().cloned()
            && seen.version() > self.election.ensemble().version()
        {
            self.election.reconfigure(seen, None);
        }
    }
}

/// Spreads numbers that differ little (the last steps of splitmix64).
fn mixed(number: u64) -> u64 {
    let mut z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What a role says after an event.
#[derive(Debug)]
pub(crate) enum Verdict {
    Stay,
    /// It is over, look for a leader. The reason is the one given for links that are still open.
    Over(LinkEnd),
}

impl From<Misbehaved> for LinkEnd {
    fn from(how: Misbehaved) -> LinkEnd {
        LinkEnd::Misbehaved(how.to_string())
    }
}

impl From<Result<(), LinkEnd>> for Verdict {
    fn from(result: Result<(), LinkEnd>) -> Verdict {
        match result {
            Ok(()) => Verdict::Stay,
            Err(why) => Verdict::Over(why),
        }
    }
}

pub(crate) fn send(link: LinkId, packet: oxkeeper_proto::quorum::Packet, out: &mut Vec<Output>) {
    out.push(Output::Send { link, packet });
}
