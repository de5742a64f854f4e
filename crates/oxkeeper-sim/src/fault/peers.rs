//! Faults of whoever speaks at the quorum port: strangers in a member's name, and a leader whose disk dies while its snapshot is being
//! installed elsewhere.
//!
//! Drawn from a stream of their own, behind the other faults of a run, so that those stay what they are.

use super::{Fault, Target, Undo};
use crate::members::Members;
use crate::museum::Bug;
use crate::network::Kind;
use crate::random::Random;
use crate::swarm::RunOptions;
use crate::transcript::Who;
use crate::world::{Crash, Event, World};
use oxkeeper_proto::quorum::{LEARNER_PROTOCOL, LearnerInfo, Packet};
use oxkeeper_replica::Input;
use oxkeeper_types::{Epoch, ServerId, Zxid};
use oxkeeper_zab::{Input as ZabInput, LinkId};

/// Microseconds after which a stranger is gone.
const STRANGER_US: u64 = 100_000;
/// A planted bug: microseconds until the stranger comes again, for ever.
const STRANGER_AGAIN_US: u64 = 300_000;

/// Microseconds that the installation goes on behind the end of the leader's disk: its link is closed long before.
pub(crate) const INSTALL_US: u64 = 1_500_000;
/// A window that a learner is soon behind, so that it needs a snapshot.
const WINDOW_MAX: usize = 20;

/// How far a leader has come that is going to leave a learner with half of its history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Widow {
    /// The learner is down: the other two begin a new epoch without it.
    NewEpoch { learner: usize },
    /// The leader of that is cut off from the other voter, and goes on logging.
    Alone { learner: usize },
    /// The learner comes back to the leader alone, and is given its history; while it is being installed, the leader's disk dies.
    Courting { learner: usize, leader: usize },
}

pub(super) fn plan(options: &RunOptions) -> Vec<(u64, Fault)> {
    let r = &mut Random::new(options.seed, "peers");
    let span = options.duration_ms * 1000;
    let mut faults = Vec::new();
    if options.early || options.servers() == 1 || options.faults == 0 {
        return faults;
    }
    if r.chance(25) {
        for _ in 0..r.between(1, 3) {
            let target = if r.chance(70) { Target::Leader } else { Target::Server(r.index(options.servers())) };
            let epoch = *r.pick(&[0x7fff_ffff, 0x7fff_fffe, 0x7fff_0000, 100_000]);
            let member = r.index(options.servers());
            faults.push((r.between(span / 20, span * 19 / 20), Fault::Stranger { target, epoch, member }));
        }
    }
    let is_same = options.changes() == Members::Same;
    let may_leave = options.crashes && options.network_faults && options.disk_faults;
    if r.chance(50) && options.voters == 3 && may_leave && options.commit_log_count <= WINDOW_MAX && is_same {
        faults.push((r.between(span / 20, span / 3), Fault::LeaderLeavesHalf));
    }
    faults
}

impl World {
    /// Somebody says at the quorum port that it is a member, and has promised this epoch.
    pub(super) fn stranger_comes(&mut self, target: Target, epoch: i64, member: usize) {
        let h = self.find(target);
        let again = self.options.planted == Some(Bug::StrangerBelieved);
        if again {
            self.after(STRANGER_AGAIN_US, Event::Undo(Undo::Stranger { epoch, member }));
        }
        let Some(running) = self.hosts[h].running.as_ref().filter(|r| r.listening && !self.hosts[h].paused) else {
            return;
        };
        let zab = running.replica.report().zab.expect("strangers come to members only");
        let member = if member == h { (h + 1) % self.hosts.len() } else { member };
        // What a server that knows no bound would take it for: a promise like any other.
        let accepted_epoch = if again { Epoch(zab.accepted_epoch.0 + 1) } else { Epoch(epoch) };
        let link = LinkId(self.name());
        let server = Some(ServerId(member as i64 + 1));
        let info = LearnerInfo { server, protocol_version: LEARNER_PROTOCOL, config_version: Zxid::ZERO };
        self.input(h, Input::Peer(ZabInput::LearnerConnected { link }));
        let packet = Packet::FollowerInfo { accepted_epoch, info };
        self.input(h, Input::Peer(ZabInput::Packet { link, packet }));
        self.settle(h);
        self.after(STRANGER_US, Event::Undo(Undo::StrangerGoes { h, link }));
    }
    pub(super) fn stranger_goes(&mut self, h: usize, link: LinkId) {
        if self.hosts[h].running.is_some() && !self.hosts[h].paused {
            self.input(h, Input::Peer(ZabInput::LinkClosed { link }));
            self.settle(h);
        }
    }

    /// The first of several steps, each of which waits for what it needs.
    pub(super) fn leader_leaves_half(&mut self) {
        let leader = self.find(Target::Leader);
        let learner = (leader + 1) % self.options.voters;
        self.crash(learner, Crash::Killed);
        self.hosts[learner].dead = true;
        self.after(300_000, Event::Undo(Undo::Widow(Widow::NewEpoch { learner })));
    }

    pub(super) fn widow_step(&mut self, step: Widow) {
        if self.healed {
            return;
        }
        let voters = self.options.voters;
        match step {
            Widow::NewEpoch { learner } => {
                for key in self.net.keys() {
                    if self.net.conn(key).is_some_and(|conn| conn.kind == Kind::Quorum) {
                        self.net.reset(self.now, key);
                    }
                }
                self.after(3_000_000, Event::Undo(Undo::Widow(Widow::Alone { learner })));
            }
            Widow::Alone { learner } => {
                let leader = self.find(Target::Leader);
                if leader == learner {
                    return self.raise(learner);
                }
                let other = (0..voters).find(|h| *h != leader && *h != learner).expect("there are three");
                self.alone = Some(other);
                self.cut_alone();
                // What is older than its window was purged.
                self.hosts[leader].purged = true;
                // Until the leader knows that it has lost its quorum.
                let us = (u64::from(self.options.sync_limit) + 3) * self.options.tick_ms * 1000;
                self.after(us, Event::Undo(Undo::Widow(Widow::Courting { learner, leader })));
            }
            Widow::Courting { learner, leader } => {
                self.widow = Some((learner, leader));
                self.raise(learner);
            }
        }
    }

    /// The voter that the leader is to be without stays cut off when another fault ends and makes the network whole.
    pub(super) fn cut_alone(&mut self) {
        let Some(alone) = self.alone else { return };
        for h in (0..self.hosts.len()).filter(|h| *h != alone) {
            self.net.set_cut(h, alone, true);
            self.net.set_cut(alone, h, true);
        }
    }

    /// An image is being installed: its sender's disk dies now, for good, and the network is whole again. True where that happens: the
    /// installation goes on for [`INSTALL_US`], so that the learner has lost its leader by the end of it.
    pub(crate) fn widow(&mut self, learner: usize) -> bool {
        let Some((_, leader)) = self.widow.take_if(|(waits, _)| *waits == learner) else { return false };
        self.alone = None;
        self.trace.note(self.now, Who::Server(leader), "disk dies", &[], String::new);
        self.crash(leader, Crash::Killed);
        self.hosts[leader].dead = true;
        self.died = true;
        self.net.heal(self.now);
        true
    }

    pub(crate) fn raise(&mut self, h: usize) {
        if std::mem::take(&mut self.hosts[h].dead) {
            self.restart_after(h, 1_000);
        }
    }
}
