//! The door of consensus: one server, from looking for a leader to a role and back.
//!
//! Owns which role an input belongs to, and the passage between roles. Must not know what happens inside of one.

use std::collections::{BTreeMap, BTreeSet};

use oxkeeper_proto::election::{Notification, PeerState};
use oxkeeper_proto::quorum::Packet;
use oxkeeper_types::ensemble::Ensemble;
use oxkeeper_types::persist::Persisted;
use oxkeeper_types::{Millis, ServerId, Zxid};

use crate::core::{Core, Verdict};
use crate::disk::Reign;
use crate::election::Elected;
use crate::follower::Follower;
use crate::input::{Input, LinkId};
use crate::invariant;
use crate::leader::Leader;
use crate::misbehaved::Misbehaved;
use crate::options::{Durable, ZabOptions};
use crate::output::{LinkEnd, Notice, Output, RoleChange};
use crate::report::{Standing, ZabReport};

/// Learners that have connected before we know that we lead, at most; a further one is closed.
const EARLY_LEARNERS_MAX: usize = 256;

/// The consensus of one server. See the crate's documentation.
#[derive(Clone, Debug)]
pub struct Zab {
    core: Core,
    role: Role,
    /// How long the last election took.
    election_time: Option<Millis>,
    /// Kept for its memory only.
    logged: Vec<Zxid>,
}

#[derive(Clone, Debug)]
enum Role {
    Looking(Looking),
    Leading(Leader),
    /// Following or observing.
    Following(Follower),
}

#[derive(Clone, Debug)]
struct Looking {
    since: Millis,
    /// The election has not begun: until this moment, and until the tree is built again after a cut of the log.
    begins: Option<Millis>,
    /// Learners whose election was over sooner than ours, with what they have said. The reference does not listen yet, and they
    /// dial again every 100 ms.
    early: BTreeMap<LinkId, Early>,
    /// Voters whose last word was that they follow us, in another round than this: we have given up since, or this process has
    /// started since. They would wait for a word of ours for `initLimit`, and are needed in this round. The reference does not
    /// listen while it looks, so they are refused.
    strays: BTreeSet<ServerId>,
}

#[derive(Clone, Debug)]
struct Early {
    since: Millis,
    hello: Option<Packet>,
}

impl Looking {
    fn new(since: Millis, begins: Millis) -> Looking {
        Looking { since, begins: Some(begins), early: BTreeMap::new(), strays: BTreeSet::new() }
    }

    /// `from` follows us in another round, or does not: its link is closed, so that it looks, too.
    fn on_word(&mut self, from: ServerId, is_astray: bool, out: &mut Vec<Output>) {
        if !is_astray {
            self.strays.remove(&from);
            return;
        }
        self.strays.insert(from);
        let says_so = |early: &Early| early.hello.as_ref().and_then(introduced_as) == Some(from);
        let links: Vec<LinkId> = self.early.iter().filter(|(_, early)| says_so(early)).map(|(link, _)| *link).collect();
        for link in links {
            self.early.remove(&link);
            out.push(Output::CloseLink { link, why: LinkEnd::RoleOver });
        }
    }
}

/// Who a follower says it is.
fn introduced_as(hello: &Packet) -> Option<ServerId> {
    match hello {
        Packet::FollowerInfo { info, .. } => info.server,
        _ => None,
    }
}

impl Zab {
    pub fn new(options: ZabOptions, durable: Durable, now: Millis) -> Zab {
        let role = Role::Looking(Looking::new(now, now));
        Zab { core: Core::new(options, durable), role, election_time: None, logged: Vec::new() }
    }

    /// Begins to look for a leader. Once, before any step.
    pub fn start(&mut self, now: Millis, out: &mut Vec<Output>) {
        out.push(Output::Role(RoleChange::Looking));
        self.begin_election(now, out);
    }

    pub fn step(&mut self, now: Millis, input: Input, out: &mut Vec<Output>) {
        match input {
            Input::Tick => self.on_tick(now, out),
            Input::Notification { from, notification } => self.on_notification(now, from, notification, out),
            Input::ElectionLink { peer, up } => {
                let elected = self.core.election.on_link(now, peer, up, out);
                self.on_elected(now, elected, out);
            }
            Input::LeaderConnected { link } => match &mut self.role {
                Role::Following(follower) => follower.on_connected(&self.core, now, link, out),
                _ => out.push(Output::CloseLink { link, why: LinkEnd::RoleOver }),
            },
            Input::LeaderUnreachable { leader } => {
                if let Role::Following(follower) = &self.role
                    && follower.link().is_none()
                    && follower.leader() == leader
                {
                    self.end_role(now, LinkEnd::RoleOver, out);
                }
            }
            Input::LearnerConnected { link } => self.on_learner_connected(now, link, out),
            Input::Packet { link, packet } => self.on_packet(now, link, packet, out),
            Input::SnapshotReceived { link } => self.on_snapshot_received(now, link, out),
            Input::LinkClosed { link } => self.on_link_closed(now, link, out),
            Input::Persisted(Persisted::Truncated { zxid }) => self.on_state_replaced(now, zxid, out),
            Input::Persisted(Persisted::CannotTruncate { last }) => self.on_cannot_truncate(now, last, out),
            Input::Persisted(persisted) => {
                let was_silent = self.core.disk.is_silent();
                self.on_persisted(now, persisted, out);
                self.on_disk_answer(now, was_silent, out);
            }
            Input::StateReplaced { last } => self.on_state_replaced(now, last, out),
            Input::HistoryRead { link, txns, .. } => {
                if let Role::Leading(leader) = &mut self.role {
                    leader.on_history_read(&self.core, now, link, txns.as_deref(), out);
                }
            }
            Input::ImageFrozen { link, zxid } => {
                if let Role::Leading(leader) = &mut self.role {
                    leader.on_image_frozen(&self.core, now, link, zxid, out);
                }
            }
            Input::ImageSent { link } => {
                if let Role::Leading(leader) = &mut self.role {
                    leader.on_image_sent(now, link);
                }
            }
            Input::Propose { zxid, txn } => {
                let Role::Leading(leader) = &mut self.role else {
                    panic!("{zxid} was proposed by a server that does not lead")
                };
                leader.propose(&mut self.core, now, zxid, txn, out);
            }
            Input::ConfirmLeadership => {
                let Role::Leading(leader) = &mut self.role else {
                    panic!("a server that does not lead was asked to confirm it")
                };
                leader.confirm_leadership(&mut self.core, out);
            }
        }
        self.core.disk.keep_time(now);
        self.core.history.trim();
        self.invariants();
    }

    /// When [`Input::Tick`] has something to do.
    pub fn next_deadline(&self) -> Millis {
        let role = self.role_deadline();
        self.core.disk_silent_at().map_or(role, |silent| silent.min(role))
    }

    fn role_deadline(&self) -> Millis {
        match &self.role {
            Role::Looking(looking) => {
                let early = looking.early.values().map(|early| early.since + self.core.init_time()).min();
                let begins = looking.begins.filter(|_| self.is_ready_to_look());
                let next = [begins, early, self.core.election.next_deadline()].into_iter().flatten().min();
                next.unwrap_or(Millis(i64::MAX))
            }
            Role::Leading(leader) => leader.next_deadline(&self.core),
            Role::Following(follower) => follower.silent_at(&self.core).unwrap_or(Millis(i64::MAX)),
        }
    }

    /// The zxid of the next proposal. Leading only; `None` when the counter of the epoch is used up: the leader steps down as soon
    /// as everything is committed.
    pub fn next_zxid(&self) -> Option<Zxid> {
        match &self.role {
            Role::Leading(leader) => leader.next_zxid(&self.core),
            _ => None,
        }
    }
    /// The active configuration.
    pub fn ensemble(&self) -> &Ensemble {
        self.core.election.ensemble()
    }
    /// What operators are shown for the last zxid while nothing is proposed in this epoch, where that is not the last transaction:
    /// the beginning of the epoch, on an established leader (reference `Leader.startZkServer`) and on learners that have its state.
    pub fn epoch_began(&self) -> Option<Zxid> {
        match &self.role {
            Role::Looking(_) => None,
            Role::Leading(leader) => {
                leader.epoch().filter(|_| leader.is_established()).map(|epoch| Zxid::new(epoch, 0))
            }
            Role::Following(follower) => follower.epoch_began(),
        }
    }
    pub fn last_logged(&self) -> Zxid {
        self.core.history.last_logged()
    }
    pub fn confirm_number(&self) -> u64 {
        self.core.confirm_number
    }
    /// Leading: the learner in broadcast on this link.
    pub fn learner_of(&self, link: LinkId) -> Option<ServerId> {
        match &self.role {
            Role::Leading(leader) => leader.learner_of(link),
            _ => None,
        }
    }
    /// Following or observing, as soon as the leader is connected.
    pub fn leader_link(&self) -> Option<LinkId> {
        match &self.role {
            Role::Following(follower) => follower.link(),
            _ => None,
        }
    }

    pub fn report(&self) -> ZabReport {
        let core = &self.core;
        let (standing, epoch, leader, learners) = match &self.role {
            Role::Looking(_) => (Standing::Looking, None, None, Vec::new()),
            Role::Leading(leader) => (leader.standing(), leader.epoch(), Some(core.me()), leader.learners()),
            Role::Following(follower) => (follower.standing(), follower.epoch(), Some(follower.leader()), Vec::new()),
        };
        let is_established = matches!(&self.role, Role::Leading(leader) if leader.is_established());
        ZabReport {
            me: core.me(),
            standing,
            epoch,
            leader,
            accepted_epoch: core.epochs.accepted(),
            current_epoch: core.epochs.current(),
            last_logged: core.history.last_logged(),
            last_committed: core.committed,
            voters: core.quorums().voters(),
            learners,
            election_round: core.election.round(),
            election_time: self.election_time,
            outstanding: if is_established { core.history.outstanding() } else { 0 },
        }
    }

    /// Asserts what always holds, see [`crate::invariant`]. Called after each step.
    pub fn invariants(&self) {
        invariant::check(&self.core);
        match &self.role {
            Role::Looking(_) => {}
            Role::Leading(leader) => leader.invariants(&self.core),
            Role::Following(follower) => follower.invariants(&self.core),
        }
    }
}

/// Roles.
impl Zab {
    fn settle(&mut self, now: Millis, verdict: Verdict, out: &mut Vec<Output>) {
        match verdict {
            Verdict::Stay => {}
            Verdict::Over(why) => self.end_role(now, why, out),
        }
    }

    /// Back to looking: every link of the role is closed (QP045).
    fn end_role(&mut self, now: Millis, why: LinkEnd, out: &mut Vec<Output>) {
        let links: Vec<LinkId> = match &self.role {
            Role::Looking(looking) => looking.early.keys().copied().collect(),
            Role::Leading(leader) => leader.links().collect(),
            Role::Following(follower) => follower.link().into_iter().collect(),
        };
        out.extend(links.into_iter().map(|link| Output::CloseLink { link, why: why.clone() }));
        self.look(now, out);
    }

    fn look(&mut self, now: Millis, out: &mut Vec<Output>) {
        self.core.reign = Reign(self.core.reign.0 + 1);
        self.core.election.leave();
        let pause = if self.is_voter() { Millis(0) } else { self.core.observer_pause() };
        self.role = Role::Looking(Looking::new(now, now + pause));
        out.push(Output::Role(RoleChange::Looking));
        self.begin_election(now, out);
    }

    fn is_voter(&self) -> bool {
        self.core.election.ensemble().voters().any(|member| member.id == self.core.me())
    }

    /// While our history is being replaced, we do not know what to propose; while our disk is silent, we could neither lead nor follow.
    fn is_ready_to_look(&self) -> bool {
        !self.core.disk.is_replacing() && !self.core.disk.is_silent()
    }

    /// If the moment has come.
    fn begin_election(&mut self, now: Millis, out: &mut Vec<Output>) {
        let is_ready = self.is_ready_to_look();
        let Role::Looking(looking) = &mut self.role else { return };
        if looking.begins.is_some_and(|begins| begins <= now) && is_ready {
            looking.begins = None;
            let (last, epoch) = (self.core.history.last_logged(), self.core.epochs.current());
            self.core.election.look(now, last, epoch, out);
            // An ensemble of one has decided already.
            let elected = self.core.election.on_tick(now, out);
            self.on_elected(now, elected, out);
        }
    }

    fn on_elected(&mut self, now: Millis, elected: Option<Elected>, out: &mut Vec<Output>) {
        let Some(elected) = elected else { return };
        let Role::Looking(looking) = &mut self.role else { unreachable!("only a server that looks elects") };
        self.election_time = Some(now - looking.since);
        let early = std::mem::take(&mut looking.early);
        if elected.state == PeerState::Leading {
            self.role = Role::Leading(Leader::begin(&mut self.core, now, out));
            for (link, early) in early {
                self.on_learner_connected(now, link, out);
                if let Some(hello) = early.hello {
                    self.on_packet(now, link, hello, out);
                }
            }
        } else {
            let close = |link| Output::CloseLink { link, why: LinkEnd::RoleOver };
            out.extend(early.into_keys().map(close));
            let observer = elected.state == PeerState::Observing;
            self.role = Role::Following(Follower::begin(now, elected.leader, observer, out));
        }
    }

    fn on_tick(&mut self, now: Millis, out: &mut Vec<Output>) {
        if self.core.disk_silent_at().is_some_and(|at| at <= now) {
            self.on_silent_disk(now, out);
        }
        match &mut self.role {
            Role::Looking(looking) => {
                let limit = now - self.core.init_time();
                let silent: Vec<LinkId> =
                    looking.early.iter().filter(|(_, early)| early.since <= limit).map(|(link, _)| *link).collect();
                for link in silent {
                    looking.early.remove(&link);
                    out.push(Output::CloseLink { link, why: LinkEnd::Silent });
                }
                if looking.begins.is_some() {
                    self.begin_election(now, out);
                } else {
                    let elected = self.core.election.on_tick(now, out);
                    self.on_elected(now, elected, out);
                }
            }
            Role::Leading(leader) => {
                let verdict = leader.on_tick(&self.core, now, out);
                self.settle(now, verdict, out);
            }
            Role::Following(follower) => {
                if follower.silent_at(&self.core).is_some_and(|at| at <= now) {
                    self.end_role(now, LinkEnd::Silent, out);
                }
            }
        }
    }

    /// What cannot be logged is neither acknowledged nor counted, and would pile up in memory. So others are to lead, or to be the
    /// quorum, until the disk answers. In the election this server would only be in the way.
    fn on_silent_disk(&mut self, now: Millis, out: &mut Vec<Output>) {
        self.core.disk.note_silent();
        out.push(Output::Tell(Notice::DiskSilent));
        self.end_role(now, LinkEnd::DiskSilent, out);
    }

    fn on_notification(&mut self, now: Millis, from: ServerId, notification: Notification, out: &mut Vec<Output>) {
        let Notification { state, leader, round, .. } = notification;
        let elected = self.core.election.on_notification(now, from, notification, out);
        self.on_elected(now, elected, out);
        match &mut self.role {
            Role::Leading(leader) => {
                let verdict = leader.on_word(&self.core, now, from, state == PeerState::Looking);
                self.settle(now, verdict, out);
            }
            Role::Looking(looking) => {
                let follows_us =
                    state == PeerState::Following && leader == self.core.me() && self.core.quorums().is_voter(from);
                looking.on_word(from, follows_us && round != self.core.election.round(), out);
            }
            Role::Following(_) => {}
        }
    }
}

/// Links.
impl Zab {
    fn on_learner_connected(&mut self, now: Millis, link: LinkId, out: &mut Vec<Output>) {
        match &mut self.role {
            Role::Leading(leader) => leader.on_connected(now, link),
            Role::Looking(looking) if looking.early.len() < EARLY_LEARNERS_MAX => {
                looking.early.insert(link, Early { since: now, hello: None });
            }
            _ => out.push(Output::CloseLink { link, why: LinkEnd::RoleOver }),
        }
    }

    /// A packet of a link that is closed already, as we see it, is dropped.
    fn on_packet(&mut self, now: Millis, link: LinkId, packet: Packet, out: &mut Vec<Output>) {
        match &mut self.role {
            Role::Looking(looking) => {
                let Some(early) = looking.early.get_mut(&link) else { return };
                if early.hello.is_some() {
                    looking.early.remove(&link);
                    let why = crate::misbehaved::unexpected("nothing, before we have answered", &packet).into();
                    out.push(Output::CloseLink { link, why });
                    return;
                }
                if introduced_as(&packet).is_some_and(|server| looking.strays.contains(&server)) {
                    looking.early.remove(&link);
                    out.push(Output::CloseLink { link, why: LinkEnd::RoleOver });
                    return;
                }
                early.hello = Some(packet);
            }
            Role::Leading(leader) if leader.has_link(link) => {
                let verdict = leader.on_packet(&mut self.core, now, link, packet, out);
                self.settle(now, verdict, out);
            }
            Role::Following(follower) if follower.link() == Some(link) => {
                let result = follower.on_packet(&mut self.core, now, packet, out);
                self.settle(now, result.into(), out);
            }
            Role::Leading(_) | Role::Following(_) => {}
        }
    }

    /// The stream of a link that is closed already, as we see it, is dropped.
    fn on_snapshot_received(&mut self, now: Millis, link: LinkId, out: &mut Vec<Output>) {
        if let Role::Following(follower) = &mut self.role
            && follower.link() == Some(link)
        {
            let result = follower.on_snapshot_received(&mut self.core, out);
            self.settle(now, result.into(), out);
        }
    }

    fn on_link_closed(&mut self, now: Millis, link: LinkId, out: &mut Vec<Output>) {
        match &mut self.role {
            Role::Looking(looking) => {
                looking.early.remove(&link);
            }
            Role::Leading(leader) => {
                let verdict = leader.on_closed(&self.core, now, link, out);
                self.settle(now, verdict, out);
            }
            Role::Following(follower) => {
                if follower.link() == Some(link) {
                    self.look(now, out);
                }
            }
        }
    }
}

/// The disk.
impl Zab {
    /// An answer of the disk, whatever it is: it is not silent any more.
    fn on_disk_answer(&mut self, now: Millis, was_silent: bool, out: &mut Vec<Output>) {
        if was_silent {
            out.push(Output::Tell(Notice::DiskAnswers));
            self.begin_election(now, out);
        }
    }

    fn on_persisted(&mut self, now: Millis, persisted: Persisted, out: &mut Vec<Output>) {
        let core = &mut self.core;
        match persisted {
            Persisted::Log { through } => {
                let logged = &mut self.logged;
                logged.clear();
                core.disk.logged(through, core.reign, |zxid| logged.push(zxid));
                match &mut self.role {
                    Role::Looking(_) => {}
                    Role::Leading(leader) => {
                        let verdict = leader.on_logged(core, logged, out);
                        self.settle(now, verdict, out);
                    }
                    Role::Following(follower) => follower.on_logged(logged, out),
                }
                return;
            }
            Persisted::AcceptedEpoch(epoch) => core.epochs.accepted_done(epoch),
            Persisted::CurrentEpoch(epoch) => core.epochs.current_done(epoch),
            Persisted::Truncated { .. } | Persisted::CannotTruncate { .. } => unreachable!("handled in step"),
        }
        let asked_by = core.disk.epoch_done(persisted);
        match &mut self.role {
            Role::Looking(_) => {}
            Role::Leading(leader) => leader.on_epoch_durable(core, now, out),
            Role::Following(follower) => follower.on_epoch_durable(core, now, asked_by, out),
        }
    }

    fn on_state_replaced(&mut self, now: Millis, last: Zxid, out: &mut Vec<Output>) {
        let (asked_by, asked) = self.core.disk.replaced(last);
        if asked != last {
            self.core.history.truncate(last);
        }
        if asked_by != self.core.reign {
            // The link broke meanwhile, and the election has waited for this.
            self.begin_election(now, out);
            return;
        }
        let Role::Following(follower) = &mut self.role else {
            panic!("the state was replaced by one through {last}, which no role has asked for");
        };
        let result = if asked == last {
            follower.on_state_replaced(&mut self.core, now, last, out)
        } else {
            // Our history is a beginning of what the leader takes it for: it has to look at it again.
            Err(Misbehaved::TruncAway { wanted: asked, got: last }.into())
        };
        self.settle(now, result.into(), out);
    }

    /// Our history begins with a snapshot that holds what the leader wants cut off: of an epoch that was never accepted, as this
    /// process or its leader ended in the middle of the synchronisation. To cut what can be cut would take back what we have
    /// acknowledged before, so it stays until a leader's snapshot takes its place.
    fn on_cannot_truncate(&mut self, now: Millis, last: Zxid, out: &mut Vec<Output>) {
        let asked_by = self.core.disk.not_replaced();
        self.core.history.reset(last);
        self.core.needs_snapshot = true;
        if asked_by == self.core.reign {
            self.end_role(now, LinkEnd::CannotTruncate, out);
        } else {
            self.begin_election(now, out);
        }
    }
}

#[cfg(test)]
impl Zab {
    /// As if everything through `last` had been proposed and committed.
    pub(crate) fn skip_counter_to(&mut self, last: Zxid) {
        self.core.history.reset(last);
        self.core.committed = last;
    }
}
