//! One server of the world: a `Zab`, a list of transactions for a replica, and a disk that does things later.
//!
//! Owns what survives a crash. Must not know the network.

use std::collections::VecDeque;

use bytes::Bytes;
use oxkeeper_types::persist::{Persist, Persisted, TxnBytes};
use oxkeeper_types::{Epoch, Millis, ServerId, Zxid};
use oxkeeper_zab::{Durable, Input, LinkId, Zab, ZabOptions};

use super::Txn;

pub fn encode(payload: u64) -> TxnBytes {
    Bytes::copy_from_slice(&payload.to_be_bytes())
}
pub fn decode(txn: &TxnBytes) -> u64 {
    u64::from_be_bytes(txn[..].try_into().expect("eight bytes"))
}

pub enum DiskRequest {
    Persist(Persist),
    Install { txns: Vec<Txn> },
}

#[derive(Default)]
struct OnDisk {
    accepted: Epoch,
    current: Epoch,
    snapshot: Vec<Txn>,
    log: Vec<Txn>,
}

pub struct Node {
    pub id: ServerId,
    pub zab: Option<Zab>,
    disk: OnDisk,
    pub requests: VecDeque<DiskRequest>,
    /// A leader's snapshot, from this link.
    pub received: Option<(LinkId, Vec<Txn>)>,
    pub disk_is_busy: bool,
    /// What the tree would hold.
    pub applied: Vec<Txn>,
    /// Proposed and not applied.
    pub line: VecDeque<Txn>,
    /// How much of `applied` was compared with what is committed.
    pub checked: usize,
    pub is_serving: bool,
    pub dials: Option<(ServerId, u64)>,
    pub incarnation: u64,
    pub next_tick: i64,
    /// Number, our epoch, the highest established epoch when it was asked for.
    pub confirmations: Vec<(u64, Epoch, Epoch)>,
    pub confirmed_count: u64,
}

impl Node {
    pub fn new(id: ServerId) -> Node {
        Node {
            id,
            zab: None,
            disk: OnDisk::default(),
            requests: VecDeque::new(),
            received: None,
            disk_is_busy: false,
            applied: Vec::new(),
            line: VecDeque::new(),
            checked: 0,
            is_serving: false,
            dials: None,
            incarnation: 0,
            next_tick: -1,
            confirmations: Vec::new(),
            confirmed_count: 0,
        }
    }

    fn recover_tree(&mut self) {
        self.applied = self.disk.snapshot.iter().chain(&self.disk.log).copied().collect();
        self.line.clear();
        self.checked = 0;
    }

    pub fn start(&mut self, options: ZabOptions, now: Millis) {
        self.recover_tree();
        let last = self.applied.last().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
        let keep = self.disk.log.len().saturating_sub(options.commit_log_count);
        let recent = &self.disk.log[keep..];
        let before = self.disk.snapshot.len() + keep;
        let durable = Durable {
            accepted_epoch: self.disk.accepted,
            current_epoch: self.disk.current,
            last_logged: last,
            recent: recent.iter().map(|(zxid, payload)| (*zxid, encode(*payload))).collect(),
            recent_after: before.checked_sub(1).map_or(Zxid::ZERO, |at| self.applied[at].0),
        };
        self.zab = Some(Zab::new(options, durable, now));
    }

    /// Of what the disk was asked for, the first `survives` are there though it never said so.
    pub fn crash(&mut self, survives: usize) {
        self.work(survives);
        self.zab = None;
        self.requests.clear();
        self.received = None;
        self.is_serving = false;
        self.dials = None;
        self.confirmations.clear();
        self.next_tick = -1;
    }

    /// Does the first of what was asked for, and says so.
    pub fn work(&mut self, batch: usize) -> Vec<Input> {
        let mut answers = Vec::new();
        let mut logged = None;
        for _ in 0..batch {
            let Some(request) = self.requests.pop_front() else { break };
            if !matches!(request, DiskRequest::Persist(Persist::Append { .. })) {
                answers.extend(logged.take().map(|through| Input::Persisted(Persisted::Log { through })));
            }
            match request {
                DiskRequest::Persist(Persist::Append { zxid, txn }) => {
                    let last = self.disk.snapshot.iter().chain(&self.disk.log).next_back().map_or(Zxid::ZERO, |t| t.0);
                    assert!(zxid > last, "appending {zxid} behind {last}");
                    self.disk.log.push((zxid, decode(&txn)));
                    logged = Some(zxid);
                }
                DiskRequest::Persist(Persist::TruncateLog { zxid })
                    if self.disk.snapshot.last().is_some_and(|(begins, _)| zxid < *begins) =>
                {
                    let last = self.disk.log.last().or(self.disk.snapshot.last()).expect("not empty").0;
                    answers.push(Input::Persisted(Persisted::CannotTruncate { last }));
                }
                DiskRequest::Persist(Persist::TruncateLog { zxid }) => {
                    self.disk.log.retain(|(z, _)| *z <= zxid);
                    let is_there = self.disk.snapshot.iter().chain(&self.disk.log).next_back().map(|(z, _)| *z);
                    assert_eq!(is_there, Some(zxid), "a log is cut at a transaction that is in it");
                    self.recover_tree();
                    answers.push(Input::StateReplaced { last: zxid });
                }
                DiskRequest::Persist(Persist::AcceptedEpoch(epoch)) => {
                    self.disk.accepted = epoch;
                    answers.push(Input::Persisted(Persisted::AcceptedEpoch(epoch)));
                }
                DiskRequest::Persist(Persist::CurrentEpoch(epoch)) => {
                    self.disk.current = epoch;
                    answers.push(Input::Persisted(Persisted::CurrentEpoch(epoch)));
                }
                DiskRequest::Persist(Persist::RollLog) => {}
                DiskRequest::Persist(Persist::InstallSnapshot { .. }) => unreachable!("it comes with its content"),
                DiskRequest::Install { txns } => {
                    self.disk.log.clear();
                    self.disk.snapshot = txns;
                    self.recover_tree();
                    let last = self.applied.last().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
                    answers.push(Input::StateReplaced { last });
                }
            }
        }
        answers.extend(logged.map(|through| Input::Persisted(Persisted::Log { through })));
        answers
    }

    /// A snapshot that was not asked for before its link was lost never will be.
    pub fn forget_image(&mut self, lost: LinkId) {
        self.received = self.received.take().filter(|(link, _)| *link != lost);
    }

    pub fn read_log(&self, after: Zxid) -> Option<Vec<(Zxid, TxnBytes)>> {
        let begins = self.disk.snapshot.last().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
        if after != begins && !self.disk.log.iter().any(|(zxid, _)| *zxid == after) {
            return None;
        }
        let behind = self.disk.log.iter().filter(|(zxid, _)| *zxid > after);
        Some(behind.map(|(zxid, payload)| (*zxid, encode(*payload))).collect())
    }

    pub fn commit(&mut self, through: Zxid) {
        while self.line.front().is_some_and(|(zxid, _)| *zxid <= through) {
            self.applied.push(self.line.pop_front().expect("looked at above"));
        }
        let last = self.applied.last().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
        assert_eq!(last, through, "server {:?} was told to apply through a zxid that was not proposed to it", self.id);
    }

    /// Looking: everything that was proposed is applied (ZOOKEEPER-2845).
    pub fn apply_all(&mut self) {
        self.applied.extend(self.line.drain(..));
        self.confirmations.clear();
    }

    pub fn confirmed(&mut self, number: u64) {
        self.confirmations.retain(|(asked, epoch, highest)| {
            if *asked <= number {
                assert!(
                    epoch >= highest,
                    "leadership of {epoch:?} was confirmed though {highest:?} was established before"
                );
                self.confirmed_count += 1;
            }
            *asked > number
        });
    }
}
