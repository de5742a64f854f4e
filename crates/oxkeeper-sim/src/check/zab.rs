//! The ten invariants of the protocol, by their names in the reference's TLA+ specification, and persist-before-send.
//!
//! | rule | broken when |
//! |---|---|
//! | Leadership1 | two servers are established leaders of one epoch |
//! | Leadership2 | a transaction of an epoch is broadcast by another server than that epoch's leader |
//! | PrefixConsistency | a server that serves has applied something that is not in the common list, or not all of it |
//! | Integrity | something is delivered or logged that nobody broadcast, or with other bytes |
//! | Agreement | trees differ at one zxid, or from the model |
//! | TotalOrder | a server delivers behind the end of the list what others had passed over |
//! | LocalPrimaryOrder | a hole in the transactions of one epoch |
//! | GlobalPrimaryOrder | a transaction of an earlier epoch is delivered behind one of a later |
//! | PrimaryIntegrity | a leader is established without everything that was delivered of earlier epochs |
//! | ShouldNotBeTriggered | an assertion of the product fails (`lib`) |
//! | SilentDisk | a server leads or follows though its disk has answered nothing for longer than `syncLimit` |
//! | CommitWithQuorum | a leader has taken the acknowledgements of a quorum, and has not committed |
//! | PersistBeforeSend | something leaves that promises what the disk has not confirmed |

use super::{Broadcast, Checks, Leadership};
use crate::host::Running;
use crate::swarm::RunOptions;
use bytes::Bytes;
use oxkeeper_proto::quorum::Packet;
use oxkeeper_proto::txn::{Txn, TxnEntry};
use oxkeeper_replica::output::Mode;
use oxkeeper_types::Zxid;
use oxkeeper_zab::quorum::Quorums;
use oxkeeper_zab::{RoleChange, ZabReport};

fn serves(mode: Mode) -> bool {
    matches!(mode, Mode::Standalone | Mode::Leader | Mode::Follower | Mode::Observer)
}

impl Checks {
    pub fn on_start(&mut self, h: usize, _running: &Running) {
        self.lives[h] += 1;
    }
    pub fn on_crash(&mut self, h: usize) {
        self.fresh.clear();
        self.elected_at[h] = None;
    }

    /// Nothing is between these two. A server on its own has no epochs, and goes on counting.
    fn joins(&self, before: Zxid, zxid: Zxid) -> bool {
        let counts_on = !self.is_ensemble || zxid.epoch() == before.epoch();
        if counts_on { zxid.0 == before.0 + 1 } else { zxid.counter() == 1 }
    }

    /// A server writes a transaction to its log: its own as the leader, or the leader's.
    pub fn on_append(&mut self, h: usize, running: &Running, zxid: Zxid, txn: &Bytes) {
        let last = running.shadow.last();
        if zxid <= last || !self.joins(last, zxid) {
            self.fail("LocalPrimaryOrder", format!("server {} logs {zxid} behind {last}", h + 1));
        }
        match self.broadcast.get(&zxid) {
            Some(known) if known.txn == *txn => {}
            // Never delivered and lost with the disk's cache: a server alone gives the number again.
            Some(_) if !self.is_ensemble && zxid > self.model.last => {
                self.broadcast.insert(zxid, Broadcast { txn: txn.clone(), by: h });
            }
            Some(known) => {
                let text =
                    format!("server {} logs {zxid} with other bytes than server {} broadcast", h + 1, known.by + 1);
                self.fail("Integrity", text);
            }
            None => {
                self.broadcast.insert(zxid, Broadcast { txn: txn.clone(), by: h });
                self.fresh.push(zxid);
            }
        }
    }

    /// All outputs of a step were carried out: whoever has broadcast must be the leader by now.
    pub fn end_of_step(&mut self, h: usize) {
        for zxid in std::mem::take(&mut self.fresh) {
            if !self.is_ensemble {
                continue;
            }
            let leader = self.leaders.get(&zxid.epoch());
            if leader.is_none_or(|l| l.by != h || l.life != self.lives[h]) {
                let leader = leader.map(|l| l.by + 1);
                self.fail("Leadership2", format!("server {} broadcasts {zxid}, whose leader is {leader:?}", h + 1));
            }
        }
    }

    /// The established leader of the latest epoch, if it is the same process.
    pub fn last_leader(&self) -> Option<usize> {
        let (_, leader) = self.leaders.last_key_value()?;
        (leader.life == self.lives[leader.by]).then_some(leader.by)
    }

    /// How long servers that were elected wait for a quorum that does not come.
    fn note_elected(&mut self, h: usize, role: RoleChange) {
        match role {
            RoleChange::Preparing { .. } => drop(self.elected_at[h].get_or_insert(self.now)),
            RoleChange::Looking => {
                if let Some(since) = self.elected_at[h].take() {
                    self.counts.elected_in_vain_ms += (self.now - since) / 1000;
                }
            }
            _ => self.elected_at[h] = None,
        }
    }

    pub fn on_role(&mut self, h: usize, running: &Running, role: RoleChange) {
        self.note_elected(h, role);
        let RoleChange::Leading { epoch } = role else { return };
        self.counts.leaders += 1;
        if let Some(other) = self.leaders.get(&epoch) {
            let text = format!("servers {} and {} lead epoch {}", other.by + 1, h + 1, epoch.0);
            return self.fail("Leadership1", text);
        }
        // The last acknowledgement may come late, when others have gone on to a later epoch: that is not this leader's to know.
        let earlier = self.model.digests.range(..Zxid::new(epoch, 0)).next_back();
        let (history, delivered) = (running.shadow.last(), earlier.map_or(Zxid::ZERO, |(zxid, _)| *zxid));
        self.leaders.insert(epoch, Leadership { by: h, life: self.lives[h], history });
        let knows = delivered <= running.shadow.base || running.shadow.zxids.binary_search(&delivered).is_ok();
        if !knows {
            let text = format!(
                "server {} leads epoch {} with a history through {history} that lacks {delivered}, which was delivered",
                h + 1,
                epoch.0
            );
            self.fail("PrimaryIntegrity", text);
        }
        if running.durable.current != epoch {
            let text =
                format!("server {} leads epoch {} with currentEpoch {}", h + 1, epoch.0, running.durable.current.0);
            self.fail("PersistBeforeSend", text);
        }
    }

    /// A server has looked at its clock. Clocks differ by a tenth.
    pub fn on_woken(&mut self, h: usize, running: &Running, options: &RunOptions) {
        let limit_us = options.tick_ms * 1000 * u64::from(options.sync_limit);
        let waited_us = self.now - running.job_since;
        let takes_part = matches!(running.mode, Mode::Leader | Mode::Follower | Mode::Observer);
        if takes_part && running.job.is_some() && waited_us > limit_us * 5 / 4 + options.tick_ms * 1000 {
            let text = format!(
                "server {} is {:?} and its disk has been silent for {} ms",
                h + 1,
                running.mode,
                waited_us / 1000
            );
            self.fail("SilentDisk", text);
        }
    }

    /// What this packet promises must be on disk.
    pub fn on_send(&mut self, h: usize, running: &Running, packet: &Packet) {
        if let Packet::Snap { zxid } = packet {
            self.on_snapshot_sent(running, *zxid);
        }
        self.on_told_committed(h, packet);
        let durable = running.durable;
        let broken = match packet {
            Packet::Ack { zxid } if zxid.counter() == 0 => durable.current < zxid.epoch(),
            Packet::Ack { zxid } => durable.log < *zxid,
            Packet::LeaderInfo { epoch, .. } => durable.accepted < *epoch,
            Packet::AckEpoch(ack) => {
                running.offered.is_some_and(|epoch| durable.accepted < epoch)
                    || ack.current_epoch.is_some_and(|epoch| epoch != durable.current)
            }
            _ => false,
        };
        if broken {
            let text = format!("server {} sends {packet:?} with {durable:?} on disk", h + 1);
            self.fail("PersistBeforeSend", text);
        }
    }

    /// An acknowledgement was taken: what a quorum has, of those that the leader counts, is committed.
    pub fn on_ack(&mut self, h: usize, running: &Running, quorums: &Quorums) {
        let Some(zab) = running.replica.report().zab.filter(ZabReport::is_established_leader) else { return };
        let epoch = zab.epoch.unwrap_or_default();
        let synced = zab.learners.iter().filter(|learner| learner.synced && !learner.observer);
        let mut acked: Vec<_> = synced
            .filter_map(|learner| Some((learner.server, *running.acks.get(&learner.link)?)))
            .chain([(zab.me, running.durable.log)])
            .filter(|(_, acked)| acked.epoch() == epoch && *acked > zab.last_committed)
            .collect();
        acked.sort_unstable_by_key(|(_, acked)| *acked);
        let has =
            |through| quorums.contains_where(|id| acked.iter().any(|(who, acked)| *who == id && *acked >= through));
        if let Some((_, through)) = acked.iter().rev().find(|(_, through)| has(*through)) {
            let text =
                format!("a quorum has {through} on disk, and leader {} has committed {}", h + 1, zab.last_committed);
            self.fail("CommitWithQuorum", text);
        }
    }

    /// After every step: what a server that serves has applied was delivered.
    pub fn observe(&mut self, h: usize, running: &mut Running) {
        if !serves(running.mode) {
            running.observed = None;
            return;
        }
        let last = running.state.tree.last_processed();
        if running.observed == Some(last) {
            return;
        }
        if last > self.model.last {
            self.deliver(h, running, last);
        }
        let digest = running.state.tree.digest();
        self.counts.trees_compared += 1;
        match self.model.digests.get(&last) {
            Some(expected) if *expected == digest => {}
            Some(expected) => {
                let text = format!("server {} has the digest {digest:x} at {last}, the model {expected:x}", h + 1);
                self.fail("Agreement", text);
            }
            None => {
                let text = format!("server {} serves at {last}, which was passed over by others", h + 1);
                self.fail("TotalOrder", text);
            }
        }
        let from = running.observed.unwrap_or(running.shadow.base);
        let odd = running.shadow.range(from, last).iter().find(|z| !self.model.digests.contains_key(z));
        if let Some(odd) = odd.copied() {
            self.fail("PrefixConsistency", format!("server {} has applied {odd}, which nobody else delivers", h + 1));
        }
        running.observed = Some(last);
    }

    /// The transactions of a server's history through `last` that nobody has delivered. A leader hands its whole history on,
    /// and it may fail before it is established: then somebody else delivers what came in its snapshot.
    fn undelivered(&self, running: &Running, last: Zxid) -> Option<Vec<Zxid>> {
        let (before, base) = (self.model.last, running.shadow.base);
        let mut zxids = if before < base { self.sent.get(&base)?.clone() } else { Vec::new() };
        zxids.retain(|zxid| *zxid > before);
        zxids.extend_from_slice(running.shadow.range(before.max(base), last));
        Some(zxids)
    }

    fn on_snapshot_sent(&mut self, running: &Running, zxid: Zxid) {
        if let Some(history) = self.undelivered(running, zxid) {
            self.sent.insert(zxid, history);
        }
    }

    fn deliver(&mut self, h: usize, running: &Running, last: Zxid) {
        let Some(zxids) = self.undelivered(running, last) else {
            let text = format!("server {} delivers {last} from a snapshot at {}", h + 1, running.shadow.base);
            return self.fail("Integrity", text);
        };
        if zxids.last() != Some(&last) {
            return self.fail("Integrity", format!("server {} delivers {last}, which is not in its log", h + 1));
        }
        for zxid in zxids {
            self.commit(h, zxid);
        }
    }

    /// The list grows by one.
    fn commit(&mut self, h: usize, zxid: Zxid) {
        let before = self.model.last;
        if zxid.epoch() < before.epoch() {
            self.fail("GlobalPrimaryOrder", format!("server {} delivers {zxid} behind {before}", h + 1));
        }
        if !self.joins(before, zxid) && self.violation.is_none() {
            self.fail("LocalPrimaryOrder", format!("server {} delivers {zxid} behind {before}", h + 1));
        }
        let later = self.leaders.range(oxkeeper_types::Epoch(zxid.epoch().0 + 1)..).find(|(_, l)| l.history < zxid);
        if let Some((epoch, leader)) = later {
            let text = format!(
                "server {} delivers {zxid}; the leader of epoch {} began with a history through {}",
                h + 1,
                epoch.0,
                leader.history
            );
            self.fail("PrimaryIntegrity", text);
        }
        let Some(broadcast) = self.broadcast.get(&zxid) else {
            return self.fail("Integrity", format!("server {} delivers {zxid}, which nobody broadcast", h + 1));
        };
        let entry = match TxnEntry::read(&broadcast.txn) {
            Ok(entry) => entry,
            Err(error) => return self.fail("Integrity", format!("{zxid} cannot be read: {error}")),
        };
        if let Err(text) = self.model.apply(&entry) {
            self.fail("Model", text);
        }
        if let Txn::CloseSession { .. } = entry.txn {
            self.session_ends(entry.header.session);
        }
        self.counts.delivered += 1;
        self.committed.insert(zxid, entry);
    }
}
