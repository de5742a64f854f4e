//! One server on a bench: told what happens, asked for a transcript of what it does. For the tests of this crate.
//!
//! A transcript has one line for each output, notifications left out. Numbers are as in ⟨epoch, counter⟩: `2.1`.

use std::collections::VecDeque;

use bytes::Bytes;
use oxkeeper_proto::election::{Notification, PeerState};
use oxkeeper_proto::quorum::{AckEpoch, LEARNER_PROTOCOL, LearnerInfo, Packet};
use oxkeeper_types::ensemble::{Ensemble, MemberRules};
use oxkeeper_types::persist::{Persist, Persisted};
use oxkeeper_types::{Epoch, Millis, ServerId, Zxid};

use crate::{Durable, Input, LinkId, Output, RoleChange, Zab, ZabOptions};

pub(crate) const fn z(epoch: i64, counter: i64) -> Zxid {
    Zxid((epoch << 32) | counter)
}
fn short(zxid: Zxid) -> String {
    if zxid == Zxid::NONE { "-1".into() } else { format!("{}.{}", zxid.epoch().0, zxid.counter()) }
}
pub(crate) fn txn() -> Bytes {
    Bytes::from_static(b"txn")
}
/// A write that was refused.
pub(crate) fn error_txn() -> Bytes {
    let mut bytes = vec![0; 36];
    bytes[28..32].copy_from_slice(&(-1_i32).to_be_bytes());
    bytes.into()
}

/// Members 1 to 3 vote, 4 observes.
pub(crate) fn ensemble() -> Ensemble {
    let lines = [("1", "participant"), ("2", "participant"), ("3", "participant"), ("4", "observer")];
    let lines = lines.map(|(id, role)| (format!("server.{id}"), format!("h{id}:1:2:{role}")));
    let entries = lines.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    Ensemble::from_entries(entries, MemberRules::default()).expect("an ensemble")
}

/// Log ⟨1,1⟩ to ⟨1,n⟩, epochs 1.
pub(crate) fn durable(n: i64) -> Durable {
    Durable {
        accepted_epoch: Epoch(i64::from(n > 0)),
        current_epoch: Epoch(i64::from(n > 0)),
        last_logged: if n > 0 { z(1, n) } else { Zxid::ZERO },
        recent: (1..=n).map(|i| (z(1, i), txn())).collect(),
        recent_after: Zxid::ZERO,
    }
}

pub(crate) struct Bench {
    pub zab: Zab,
    pub now: i64,
    disk: VecDeque<Persist>,
}

impl Bench {
    pub fn new(me: i64, durable: Durable) -> Bench {
        Bench::with(ZabOptions::new(ServerId(me), ensemble()), durable)
    }
    pub fn with(options: ZabOptions, durable: Durable) -> Bench {
        let mut bench = Bench { zab: Zab::new(options, durable, Millis(0)), now: 0, disk: VecDeque::new() };
        let mut out = Vec::new();
        bench.zab.start(Millis(0), &mut out);
        bench.take(out);
        bench
    }

    fn take(&mut self, out: Vec<Output>) -> Vec<String> {
        self.disk.extend(out.iter().filter_map(|output| match output {
            Output::Persist(persist) => Some(persist.clone()),
            _ => None,
        }));
        out.iter().filter_map(describe).collect()
    }

    pub fn step(&mut self, input: Input) -> Vec<String> {
        let mut out = Vec::new();
        self.zab.step(Millis(self.now), input, &mut out);
        self.take(out)
    }
    pub fn packet(&mut self, link: u64, packet: Packet) -> Vec<String> {
        self.step(Input::Packet { link: LinkId(link), packet })
    }
    pub fn closed(&mut self, link: u64) -> Vec<String> {
        self.step(Input::LinkClosed { link: LinkId(link) })
    }
    pub fn pass(&mut self, ms: i64) -> Vec<String> {
        self.now += ms;
        self.step(Input::Tick)
    }

    /// What it answers a voter that begins to look in a round long past.
    pub fn answers(&mut self, voter: i64) -> Vec<PeerState> {
        let notification = Notification {
            state: PeerState::Looking,
            leader: ServerId(voter),
            zxid: z(1, 1),
            round: 0,
            peer_epoch: Epoch(1),
            version: 2,
            config: None,
        };
        let mut out = Vec::new();
        self.zab.step(Millis(self.now), Input::Notification { from: ServerId(voter), notification }, &mut out);
        let states = out.iter().filter_map(|output| match output {
            Output::Notify { to, notification } if *to == ServerId(voter) => Some(notification.state),
            _ => None,
        });
        states.collect()
    }

    /// The disk does the oldest thing that it was asked for.
    pub fn disk_once(&mut self) -> Vec<String> {
        match self.disk.pop_front().expect("something was asked of the disk") {
            Persist::Append { zxid, .. } => self.step(Input::Persisted(Persisted::Log { through: zxid })),
            Persist::TruncateLog { zxid } | Persist::InstallSnapshot { zxid } => {
                self.step(Input::StateReplaced { last: zxid })
            }
            Persist::AcceptedEpoch(epoch) => self.step(Input::Persisted(Persisted::AcceptedEpoch(epoch))),
            Persist::CurrentEpoch(epoch) => self.step(Input::Persisted(Persisted::CurrentEpoch(epoch))),
            Persist::RollLog => Vec::new(),
        }
    }
    /// ... everything.
    pub fn disk(&mut self) -> Vec<String> {
        let mut lines = Vec::new();
        while !self.disk.is_empty() {
            lines.extend(self.disk_once());
        }
        lines
    }
    /// The test answers what was asked of it.
    pub fn forget_disk(&mut self) {
        self.disk.clear();
    }
    pub fn is_disk_idle(&self) -> bool {
        self.disk.is_empty()
    }

    /// The other voters vote for `leader`, until this server thinks so, too.
    pub fn elect(&mut self, leader: i64) -> Vec<String> {
        let report = self.zab.report();
        let is_us = report.me == ServerId(leader);
        let mut lines = Vec::new();
        for voter in report.voters.into_iter().filter(|voter| *voter != report.me) {
            let notification = Notification {
                state: PeerState::Looking,
                leader: ServerId(leader),
                zxid: if is_us { report.last_logged } else { z(1 << 20, 0) },
                round: report.election_round,
                peer_epoch: if is_us { report.current_epoch } else { Epoch(1 << 20) },
                version: 2,
                config: None,
            };
            lines.extend(self.step(Input::Notification { from: voter, notification }));
        }
        self.now += 200;
        if self.zab.report().leader.is_none() {
            lines.extend(self.step(Input::Tick));
        }
        assert_eq!(self.zab.report().leader, Some(ServerId(leader)), "the election is over");
        lines
    }

    // ---- as a leader

    /// A learner connects and introduces itself.
    pub fn join(&mut self, link: u64, server: i64, accepted: i64) -> Vec<String> {
        let mut lines = self.step(Input::LearnerConnected { link: LinkId(link) });
        lines.extend(self.packet(link, hello(server, accepted)));
        lines
    }
    pub fn ack_epoch(&mut self, link: u64, current: Option<i64>, last_zxid: Zxid) -> Vec<String> {
        self.packet(link, Packet::AckEpoch(AckEpoch { current_epoch: current.map(Epoch), last_zxid, kept: None }))
    }
    /// From one that promises the epoch and wants a snapshot, as its history, which ends here, can be built upon by nobody.
    pub fn ack_epoch_for_snapshot(&mut self, link: u64, current: i64, kept: Option<Zxid>) -> Vec<String> {
        let ack = AckEpoch { current_epoch: Some(Epoch(current)), last_zxid: Zxid::NONE, kept };
        self.packet(link, Packet::AckEpoch(ack))
    }
    pub fn ack(&mut self, link: u64, zxid: Zxid) -> Vec<String> {
        self.packet(link, Packet::Ack { zxid })
    }
    pub fn pong(&mut self, link: u64) -> Vec<String> {
        self.packet(link, Packet::Ping { zxid: Zxid::ZERO, touched: Some(Vec::new()) })
    }
    pub fn propose(&mut self) -> Vec<String> {
        let zxid = self.zab.next_zxid().expect("an established leader");
        self.step(Input::Propose { zxid, txn: txn() })
    }
    /// Server 1 with a log through ⟨1,n⟩ leads epoch 2; server 2 is synced on link 2.
    pub fn established(n: i64) -> Bench {
        Bench::established_with(ZabOptions::new(ServerId(1), ensemble()), n)
    }
    pub fn established_with(options: ZabOptions, n: i64) -> Bench {
        let mut bench = Bench::with(options, durable(n));
        bench.elect(1);
        bench.join(2, 2, i64::from(n > 0));
        bench.disk();
        let epoch = bench.zab.report().epoch.expect("agreed").0;
        bench.ack_epoch(2, Some(i64::from(n > 0)), bench.zab.last_logged());
        bench.disk();
        bench.ack(2, z(epoch, 0));
        assert!(bench.zab.report().is_established_leader());
        bench.ack(2, z(epoch, 0));
        bench
    }
    /// Another learner, through all phases.
    pub fn sync(&mut self, link: u64, server: i64, last: Zxid) -> Vec<String> {
        let epoch = self.zab.report().epoch.expect("agreed").0;
        let mut lines = self.join(link, server, 1);
        lines.extend(self.ack_epoch(link, Some(1), last));
        lines.extend(self.ack(link, z(epoch, 0)));
        lines
    }

    // ---- as a learner

    /// Server 1, or the observer 4, with a log through ⟨1,n⟩ has sent ACKEPOCH of epoch 2 to server 3 on link 9.
    pub fn discovered(me: i64, n: i64) -> Bench {
        Bench::discovered_with(ZabOptions::new(ServerId(me), ensemble()), n)
    }
    fn discovered_with(options: ZabOptions, n: i64) -> Bench {
        let is_observer = options.me == ServerId(4);
        let mut bench = Bench::with(options, durable(n));
        if is_observer {
            bench.find_leader(3);
        } else {
            bench.elect(3);
        }
        bench.step(Input::LeaderConnected { link: LinkId(9) });
        bench.packet(9, Packet::LeaderInfo { epoch: Epoch(2), protocol_version: LEARNER_PROTOCOL });
        bench.disk();
        bench
    }
    /// An observer finds the leader by what the others say.
    fn find_leader(&mut self, leader: i64) {
        for (voter, state) in [(3, PeerState::Leading), (2, PeerState::Following), (1, PeerState::Following)] {
            let notification = Notification {
                state,
                leader: ServerId(leader),
                zxid: z(1, 1),
                round: 7,
                peer_epoch: Epoch(2),
                version: 2,
                config: None,
            };
            self.step(Input::Notification { from: ServerId(voter), notification });
        }
        assert_eq!(self.zab.report().leader, Some(ServerId(leader)), "the observer has found the leader");
    }
    /// ... and follows it in broadcast, with an empty DIFF.
    pub fn following(me: i64, n: i64) -> Bench {
        Bench::following_with(ZabOptions::new(ServerId(me), ensemble()), n)
    }
    pub fn following_with(options: ZabOptions, n: i64) -> Bench {
        let mut bench = Bench::discovered_with(options, n);
        bench.packet(9, Packet::Diff { zxid: z(1, n) });
        bench.packet(9, new_leader(2));
        bench.disk();
        bench.packet(9, up_to_date());
        bench
    }
}

pub(crate) fn hello(server: i64, accepted: i64) -> Packet {
    let info =
        LearnerInfo { server: Some(ServerId(server)), protocol_version: LEARNER_PROTOCOL, config_version: Zxid::ZERO };
    let accepted_epoch = Epoch(accepted);
    if server > 3 {
        Packet::ObserverInfo { accepted_epoch, info }
    } else {
        Packet::FollowerInfo { accepted_epoch, info }
    }
}
pub(crate) fn new_leader(epoch: i64) -> Packet {
    Packet::NewLeader { epoch: Epoch(epoch), config: None }
}
pub(crate) fn up_to_date() -> Packet {
    Packet::UpToDate { zxid: Zxid::NONE }
}
pub(crate) fn proposal(epoch: i64, counter: i64) -> Packet {
    Packet::Proposal { zxid: z(epoch, counter), txn: txn() }
}
pub(crate) fn commit(epoch: i64, counter: i64) -> Packet {
    Packet::Commit { zxid: z(epoch, counter) }
}

fn describe(output: &Output) -> Option<String> {
    Some(match output {
        Output::Notify { .. } => return None,
        Output::DialLeader { leader } => format!("dial {}", leader.0),
        Output::Send { link, packet } => format!("{} {}", link.0, describe_packet(packet)),
        Output::CloseLink { link, why } => format!("close {}: {why:?}", link.0),
        Output::Persist(Persist::Append { zxid, .. }) => format!("append {}", short(*zxid)),
        Output::Persist(Persist::TruncateLog { zxid }) => format!("truncate {}", short(*zxid)),
        Output::Persist(Persist::InstallSnapshot { zxid }) => format!("install {}", short(*zxid)),
        Output::Persist(Persist::AcceptedEpoch(epoch)) => format!("accepted {}", epoch.0),
        Output::Persist(Persist::CurrentEpoch(epoch)) => format!("current {}", epoch.0),
        Output::Persist(Persist::RollLog) => "roll".into(),
        Output::Proposed { zxid, .. } => format!("proposed {}", short(*zxid)),
        Output::Commit { through } => format!("commit {}", short(*through)),
        Output::FreezeImage { link } => format!("freeze for {}", link.0),
        Output::ReadHistory { link, after } => format!("read behind {} for {}", short(*after), link.0),
        Output::Role(RoleChange::Looking) => "looking".into(),
        Output::Role(RoleChange::Preparing { epoch: None }) => "preparing".into(),
        Output::Role(RoleChange::Preparing { epoch: Some(epoch) }) => format!("preparing {}", epoch.0),
        Output::Role(RoleChange::Leading { epoch }) => format!("leading {}", epoch.0),
        Output::Role(RoleChange::Following { leader, serving }) => format!("following {} {serving}", leader.0),
        Output::Role(RoleChange::Observing { leader, serving }) => format!("observing {} {serving}", leader.0),
        Output::Tell(notice) => format!("tell {notice:?}"),
        Output::LeadershipConfirmed { number } => format!("confirmed {number}"),
    })
}

fn describe_packet(packet: &Packet) -> String {
    let name = packet.name();
    match packet {
        Packet::FollowerInfo { accepted_epoch, .. } | Packet::ObserverInfo { accepted_epoch, .. } => {
            format!("{name} {}", accepted_epoch.0)
        }
        Packet::LeaderInfo { epoch, .. } | Packet::NewLeader { epoch, .. } => format!("{name} {}", epoch.0),
        Packet::AckEpoch(AckEpoch { current_epoch, last_zxid, kept }) => {
            let kept = kept.map_or(String::new(), |kept| format!(" kept {}", short(kept)));
            format!("{name} {} {}{kept}", current_epoch.map_or(-1, |e| e.0), short(*last_zxid))
        }
        Packet::UpToDate { .. } => name.into(),
        Packet::Proposal { zxid, .. }
        | Packet::Ack { zxid }
        | Packet::Commit { zxid }
        | Packet::Ping { zxid, .. }
        | Packet::Inform { zxid, .. }
        | Packet::Diff { zxid }
        | Packet::Trunc { zxid }
        | Packet::Snap { zxid } => format!("{name} {}", short(*zxid)),
        other => format!("{other:?}"),
    }
}
