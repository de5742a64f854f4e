//! Several `Zab` values in one world: a network of ordered links that break, disks that answer later, servers that crash and
//! come back with what was on disk, and a replica that only keeps a list of transactions. Everything follows from one seed.
//!
//! Owns faults and their order, and the checks of what no single server can see. Must not know how `Zab` decides.

mod check;
mod node;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};

use oxkeeper_proto::election::Notification;
use oxkeeper_proto::quorum::Packet;
use oxkeeper_types::ensemble::{Ensemble, Member, MemberRules};
use oxkeeper_types::{Epoch, Millis, ServerId, Zxid};
use oxkeeper_zab::{Input, LinkEnd, LinkId, Output, RoleChange, ZabOptions, ZabReport};

pub use check::Check;
use node::{DiskRequest, Node};

/// A transaction as the replica keeps it.
pub type Txn = (Zxid, u64);

/// splitmix64
pub struct Rng(u64);

impl Rng {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub fn below(&mut self, n: u64) -> u64 {
        self.next() % n
    }
    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

#[derive(Clone, Debug)]
pub enum Message {
    Packet(Packet),
    /// SNAP with its stream.
    Image(Vec<Txn>),
}

#[derive(Clone, Debug)]
enum Event {
    Tick(usize),
    Notify { to: usize, from: ServerId, notification: Notification },
    ElectionLink { to: usize, peer: ServerId, up: bool },
    Dialled { from: usize, leader: ServerId, incarnation: u64 },
    Message { to: usize, link: LinkId, message: Message },
    Closed { to: usize, link: LinkId },
    Disk(usize),
}

/// A connection of the quorum port.
struct Link {
    learner: usize,
    leader: usize,
    /// Per end: whether it is still there.
    open: [bool; 2],
    /// Per direction, toward this end: when the last message arrives.
    busy: [i64; 2],
}

pub struct Options {
    pub voters: usize,
    pub observers: usize,
    pub commit_log_count: usize,
    pub groups: bool,
}

pub struct World {
    pub rng: Rng,
    pub now: i64,
    sequence: u64,
    events: BinaryHeap<Reverse<(i64, u64, usize)>>,
    pending: BTreeMap<usize, Event>,
    pub nodes: Vec<Node>,
    links: BTreeMap<LinkId, Link>,
    next_link: u64,
    /// Pairs that cannot talk.
    cut: BTreeSet<(usize, usize)>,
    notify_busy: BTreeMap<(usize, usize), i64>,
    last_notified: BTreeMap<(usize, usize), Notification>,
    pub check: Check,
    next_payload: u64,
    ensemble: Ensemble,
    /// Servers whose files list other members.
    lists: BTreeMap<usize, Ensemble>,
    options: Options,
    /// How often each way of synchronisation was taken.
    pub ways: BTreeMap<&'static str, u64>,
}

impl World {
    pub fn new(seed: u64, options: Options) -> World {
        let mut world = World::prepare(seed, options);
        (0..world.nodes.len()).for_each(|at| world.start(at));
        world
    }

    /// Nobody is started.
    pub fn prepare(seed: u64, options: Options) -> World {
        let mut lines = Vec::new();
        for id in 1..=options.voters + options.observers {
            let role = if id > options.voters { "observer" } else { "participant" };
            lines.push((format!("server.{id}"), format!("h{id}:1:2:{role}")));
        }
        if options.groups {
            // Three groups of a third of the voters each.
            for group in 0..3 {
                let ids: Vec<String> =
                    (1..=options.voters).filter(|id| id % 3 == group).map(|id| id.to_string()).collect();
                lines.push((format!("group.{}", group + 1), ids.join(":")));
            }
        }
        let entries = lines.iter().map(|(k, v)| (k.as_str(), v.as_str()));
        let ensemble = Ensemble::from_entries(entries, MemberRules::default()).expect("an ensemble");
        let ids: Vec<ServerId> = ensemble.members().values().map(|m: &Member| m.id).collect();
        World {
            rng: Rng(seed),
            now: 0,
            sequence: 0,
            events: BinaryHeap::new(),
            pending: BTreeMap::new(),
            nodes: ids.into_iter().map(Node::new).collect(),
            links: BTreeMap::new(),
            next_link: 1,
            cut: BTreeSet::new(),
            notify_busy: BTreeMap::new(),
            last_notified: BTreeMap::new(),
            check: Check::default(),
            next_payload: 1,
            ensemble,
            lists: BTreeMap::new(),
            options,
            ways: BTreeMap::new(),
        }
    }

    /// The files of this server list these voters, and nobody else, from its next start on.
    pub fn write_list(&mut self, at: usize, voters: &[i64]) {
        let members = voters.iter().map(|id| self.ensemble.members()[&ServerId(*id)].clone());
        self.lists.insert(at, Ensemble::of_majority(members, Zxid::ZERO));
    }
    /// Whether by its list this server may follow that one.
    pub fn may_follow(&self, at: usize, leader: usize) -> bool {
        self.lists[&at].member(self.nodes[leader].id).is_some()
    }

    fn zab_options(&self, at: usize) -> ZabOptions {
        ZabOptions {
            tick: Millis(20),
            notification_min: Millis(10),
            notification_max: Millis(100),
            finalize_wait: Millis(15),
            commit_log_count: self.options.commit_log_count,
            observer_election_delay: Millis(5),
            ..ZabOptions::new(self.nodes[at].id, self.lists.get(&at).unwrap_or(&self.ensemble).clone())
        }
    }

    fn at(&mut self, time: i64, event: Event) {
        let key = self.sequence as usize;
        self.events.push(Reverse((time, self.sequence, key)));
        self.pending.insert(key, event);
        self.sequence += 1;
    }
    fn later(&mut self, max: u64, event: Event) {
        let time = self.now + 1 + self.rng.below(max) as i64;
        self.at(time, event);
    }
    fn index(&self, id: ServerId) -> Option<usize> {
        self.nodes.iter().position(|node| node.id == id)
    }
    fn is_cut(&self, a: usize, b: usize) -> bool {
        self.cut.contains(&(a.min(b), a.max(b)))
    }

    // ---- faults

    pub fn start(&mut self, at: usize) {
        if self.nodes[at].zab.is_some() {
            return;
        }
        let options = self.zab_options(at);
        let now = self.now;
        self.nodes[at].start(options, Millis(now));
        self.act(at, |zab, now, out| zab.start(now, out));
        for peer in 0..self.nodes.len() {
            if peer != at && !self.is_cut(at, peer) && self.nodes[peer].zab.is_some() {
                self.reconnect_election(at, peer);
            }
        }
    }

    /// Connections that come back carry the last message again (EL031).
    fn reconnect_election(&mut self, a: usize, b: usize) {
        for (from, to) in [(a, b), (b, a)] {
            let peer = self.nodes[from].id;
            self.later(3, Event::ElectionLink { to, peer, up: true });
            if let Some(notification) = self.last_notified.get(&(from, to)).cloned() {
                self.notify(from, to, notification);
            }
        }
    }

    pub fn crash(&mut self, at: usize) {
        if self.nodes[at].zab.is_none() {
            return;
        }
        let survives = self.rng.below(4) as usize;
        self.nodes[at].crash(survives);
        self.last_notified.retain(|(from, _), _| *from != at);
        let links: Vec<LinkId> = self.links_of(|link| link.learner == at || link.leader == at);
        for link in links {
            self.break_link(link, Some(at));
        }
        for to in 0..self.nodes.len() {
            if to != at {
                self.later(3, Event::ElectionLink { to, peer: self.nodes[at].id, up: false });
            }
        }
    }

    fn links_of(&self, which: impl Fn(&Link) -> bool) -> Vec<LinkId> {
        self.links.iter().filter(|(_, link)| which(link)).map(|(id, _)| *id).collect()
    }

    /// Both ends hear of it, at different times; `silent` does not any more.
    fn break_link(&mut self, id: LinkId, silent: Option<usize>) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let ends = [link.learner, link.leader];
        let open = std::mem::take(&mut link.open);
        for side in 0..2 {
            if open[side] && Some(ends[side]) != silent {
                self.later(5, Event::Closed { to: ends[side], link: id });
            }
        }
    }

    pub fn break_some_link(&mut self) {
        let links = self.links_of(|link| link.open == [true, true]);
        if !links.is_empty() {
            let id = links[self.rng.below(links.len() as u64) as usize];
            self.break_link(id, None);
        }
    }

    /// Nothing goes through any more; with `notice`, links break at once, otherwise by the servers' clocks.
    pub fn cut(&mut self, a: usize, b: usize, notice: bool) {
        if a == b || !self.cut.insert((a.min(b), a.max(b))) {
            return;
        }
        if notice {
            for id in self.links_of(|l| (l.learner, l.leader) == (a, b) || (l.learner, l.leader) == (b, a)) {
                self.break_link(id, None);
            }
            for (to, peer) in [(a, b), (b, a)] {
                let peer = self.nodes[peer].id;
                self.later(3, Event::ElectionLink { to, peer, up: false });
            }
        }
    }

    pub fn heal(&mut self) {
        for (a, b) in std::mem::take(&mut self.cut) {
            // What was lost is lost: such a connection is never used again.
            for id in self.links_of(|l| (l.learner, l.leader) == (a, b) || (l.learner, l.leader) == (b, a)) {
                self.break_link(id, None);
            }
            if self.nodes[a].zab.is_some() && self.nodes[b].zab.is_some() {
                self.reconnect_election(a, b);
            }
        }
    }

    // ---- clients

    /// The leaders that would take a transaction, of whatever epoch.
    pub fn leaders(&self) -> Vec<usize> {
        let leads = |node: &Node| node.zab.as_ref().is_some_and(|zab| zab.report().is_established_leader());
        (0..self.nodes.len()).filter(|at| leads(&self.nodes[*at])).collect()
    }

    pub fn propose(&mut self, at: usize) {
        let Some(zxid) = self.nodes[at].zab.as_ref().and_then(|zab| zab.next_zxid()) else { return };
        let payload = self.next_payload;
        self.next_payload += 1;
        self.nodes[at].line.push_back((zxid, payload));
        self.step(at, Input::Propose { zxid, txn: node::encode(payload) });
    }

    pub fn confirm(&mut self, at: usize) {
        if !self.leaders().contains(&at) {
            return;
        }
        let epoch = self.report(at).and_then(|report| report.epoch).expect("an established leader has an epoch");
        let highest = self.check.highest_established();
        let mut out = Vec::new();
        let node = &mut self.nodes[at];
        let zab = node.zab.as_mut().expect("it is up");
        zab.step(Millis(self.now), Input::ConfirmLeadership, &mut out);
        node.confirmations.push((zab.confirm_number(), epoch, highest));
        self.carry_out(at, out);
    }

    pub fn report(&self, at: usize) -> Option<ZabReport> {
        self.nodes[at].zab.as_ref().map(|zab| zab.report())
    }

    // ---- time

    /// Runs until `end`.
    pub fn run_until(&mut self, end: i64) {
        while let Some(Reverse((time, _, key))) = self.events.peek().copied() {
            if time > end {
                break;
            }
            self.events.pop();
            self.now = self.now.max(time);
            let event = self.pending.remove(&key).expect("an event that was put in");
            self.handle(event);
        }
        self.now = end;
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::Tick(at) => {
                let due = self.nodes[at].zab.as_ref().map(|zab| zab.next_deadline().0);
                if due.is_some_and(|due| due <= self.now) {
                    self.step(at, Input::Tick);
                }
            }
            Event::Notify { to, from, notification } => self.step(to, Input::Notification { from, notification }),
            Event::ElectionLink { to, peer, up } => self.step(to, Input::ElectionLink { peer, up }),
            Event::Dialled { from, leader, incarnation } => self.dialled(from, leader, incarnation),
            Event::Message { to, link, message } => self.arrive(to, link, message),
            Event::Closed { to, link } => {
                self.nodes[to].forget_image(link);
                self.step(to, Input::LinkClosed { link });
            }
            Event::Disk(at) => self.disk(at),
        }
    }

    fn dialled(&mut self, from: usize, leader: ServerId, incarnation: u64) {
        let node = &self.nodes[from];
        let dials = node.dials == Some((leader, incarnation));
        if node.zab.is_none() || !dials {
            return;
        }
        self.nodes[from].dials = None;
        let target = self.index(leader).filter(|to| self.nodes[*to].zab.is_some() && !self.is_cut(from, *to));
        let Some(to) = target else {
            self.step(from, Input::LeaderUnreachable { leader });
            return;
        };
        let link = LinkId(self.next_link);
        self.next_link += 1;
        self.links.insert(link, Link { learner: from, leader: to, open: [true, true], busy: [0, 0] });
        self.step(to, Input::LearnerConnected { link });
        self.step(from, Input::LeaderConnected { link });
    }

    fn arrive(&mut self, to: usize, id: LinkId, message: Message) {
        let Some(link) = self.links.get(&id) else { return };
        let side = usize::from(link.leader == to);
        if !link.open[side] || self.is_cut(link.learner, link.leader) || self.nodes[to].zab.is_none() {
            return;
        }
        match message {
            Message::Packet(packet) => {
                let answer = match &packet {
                    Packet::Ping { zxid, .. } if side == 0 && self.nodes[to].is_serving => {
                        Some(Packet::Ping { zxid: *zxid, touched: Some(Vec::new()) })
                    }
                    _ => None,
                };
                self.step(to, Input::Packet { link: id, packet });
                // The replica's answer, if the link is still its leader's.
                let zab = self.nodes[to].zab.as_ref();
                if let Some(packet) = answer.filter(|_| zab.is_some_and(|zab| zab.leader_link() == Some(id))) {
                    self.send(to, id, Message::Packet(packet));
                }
            }
            Message::Image(txns) => {
                let zxid = txns.last().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
                self.step(to, Input::Packet { link: id, packet: Packet::Snap { zxid } });
                self.nodes[to].received = Some((id, txns));
                self.step(to, Input::SnapshotReceived { link: id });
            }
        }
    }

    fn ask_disk(&mut self, at: usize, request: DiskRequest) {
        self.nodes[at].requests.push_back(request);
        if !self.nodes[at].disk_is_busy {
            self.nodes[at].disk_is_busy = true;
            self.later(6, Event::Disk(at));
        }
    }

    /// The disk has done some of what it was asked for.
    fn disk(&mut self, at: usize) {
        self.nodes[at].disk_is_busy = false;
        if self.nodes[at].zab.is_none() {
            return;
        }
        let batch = 1 + self.rng.below(6) as usize;
        for input in self.nodes[at].work(batch) {
            if self.nodes[at].zab.is_some() {
                self.step(at, input);
            }
        }
        if !self.nodes[at].requests.is_empty() && !self.nodes[at].disk_is_busy {
            self.nodes[at].disk_is_busy = true;
            self.later(6, Event::Disk(at));
        }
    }

    // ---- servers

    fn step(&mut self, at: usize, input: Input) {
        self.act(at, |zab, now, out| zab.step(now, input, out));
    }

    fn act(&mut self, at: usize, act: impl FnOnce(&mut oxkeeper_zab::Zab, Millis, &mut Vec<Output>)) {
        let now = Millis(self.now);
        let Some(zab) = self.nodes[at].zab.as_mut() else { return };
        let mut out = Vec::new();
        act(zab, now, &mut out);
        self.carry_out(at, out);
    }

    fn carry_out(&mut self, at: usize, out: Vec<Output>) {
        let mut answers = Vec::new();
        for output in out {
            match output {
                Output::Notify { to, notification } => {
                    if let Some(to) = self.index(to) {
                        self.last_notified.insert((at, to), notification.clone());
                        self.notify(at, to, notification);
                    }
                }
                Output::DialLeader { leader } => {
                    let node = &mut self.nodes[at];
                    node.incarnation += 1;
                    let incarnation = node.incarnation;
                    node.dials = Some((leader, incarnation));
                    self.later(5, Event::Dialled { from: at, leader, incarnation });
                }
                Output::Send { link, packet } => self.send(at, link, Message::Packet(packet)),
                Output::CloseLink { link, why } => self.close(at, link, why),
                Output::Persist(oxkeeper_types::persist::Persist::InstallSnapshot { .. }) => {
                    let (_, txns) = self.nodes[at].received.take().expect("a snapshot was received");
                    self.ask_disk(at, DiskRequest::Install { txns });
                }
                Output::Persist(persist) => self.ask_disk(at, DiskRequest::Persist(persist)),
                Output::Proposed { zxid, txn } => self.nodes[at].line.push_back((zxid, node::decode(&txn))),
                Output::Commit { through } => {
                    self.nodes[at].commit(through);
                    let node = &mut self.nodes[at];
                    self.check.on_commit(node.id, through, &node.applied, &mut node.checked);
                }
                Output::FreezeImage { link } => {
                    let txns = self.nodes[at].applied.clone();
                    let zxid = txns.last().map_or(Zxid::ZERO, |(zxid, _)| *zxid);
                    answers.push((Input::ImageFrozen { link, zxid }, Some((link, txns))));
                }
                Output::ReadHistory { link, after } => {
                    *self.ways.entry("log").or_default() += 1;
                    let txns = if self.rng.one_in(5) { None } else { self.nodes[at].read_log(after) };
                    answers.push((Input::HistoryRead { link, after, txns }, None));
                }
                Output::Role(change) => self.on_role(at, change),
                Output::Tell(_) => {}
                Output::LeadershipConfirmed { number } => self.nodes[at].confirmed(number),
            }
        }
        for (input, image) in answers {
            if let Some((link, txns)) = image {
                self.send(at, link, Message::Image(txns));
                self.step(at, input);
                self.step(at, Input::ImageSent { link });
                continue;
            }
            self.step(at, input);
        }
        if let Some(zab) = self.nodes[at].zab.as_ref() {
            let due = zab.next_deadline().0;
            if due < i64::MAX / 2 && self.nodes[at].next_tick != due.max(self.now) {
                self.nodes[at].next_tick = due.max(self.now);
                self.at(due.max(self.now), Event::Tick(at));
            }
        }
    }

    fn on_role(&mut self, at: usize, change: RoleChange) {
        let node = &mut self.nodes[at];
        node.is_serving =
            matches!(change, RoleChange::Following { serving: true, .. } | RoleChange::Observing { serving: true, .. });
        match change {
            RoleChange::Looking => node.apply_all(),
            RoleChange::Leading { epoch } => self.check.on_established(node.id, epoch, &node.applied),
            _ => {}
        }
    }

    fn notify(&mut self, from: usize, to: usize, notification: Notification) {
        if self.is_cut(from, to) || self.nodes[to].zab.is_none() {
            return;
        }
        let time = self.now + 1 + self.rng.below(4) as i64;
        let busy = self.notify_busy.entry((from, to)).or_default();
        *busy = (*busy).max(time);
        let (time, from) = (*busy, self.nodes[from].id);
        self.at(time, Event::Notify { to, from, notification });
    }

    fn send(&mut self, from: usize, id: LinkId, message: Message) {
        let way = match &message {
            Message::Packet(Packet::Diff { .. }) => Some("DIFF"),
            Message::Packet(Packet::Trunc { .. }) => Some("TRUNC"),
            Message::Image(_) => Some("SNAP"),
            Message::Packet(_) => None,
        };
        if let Some(way) = way {
            *self.ways.entry(way).or_default() += 1;
        }
        let Some(link) = self.links.get(&id) else { return };
        let side = usize::from(link.learner == from);
        let (to, is_open) = (if side == 1 { link.leader } else { link.learner }, link.open[side]);
        if !is_open || self.is_cut(link.learner, link.leader) {
            return;
        }
        let time = self.now + 1 + self.rng.below(4) as i64;
        let link = self.links.get_mut(&id).expect("looked up above");
        link.busy[side] = link.busy[side].max(time);
        let time = link.busy[side];
        self.at(time, Event::Message { to, link: id, message });
    }

    /// Our end is gone at once; what was sent before arrives, then the other end hears of it.
    fn close(&mut self, at: usize, id: LinkId, why: LinkEnd) {
        // A promise to a leader that came to nothing is the one reason to refuse a proper one.
        let is_promise = matches!(&why, LinkEnd::Misbehaved(text) if text.contains("in LEADERINFO"));
        let is_proper = is_promise || !matches!(why, LinkEnd::Misbehaved(_));
        assert!(is_proper, "a server misbehaved, says {:?}: {why:?}", self.nodes[at].id);
        let Some(link) = self.links.get_mut(&id) else { return };
        let ours = usize::from(link.leader == at);
        link.open[ours] = false;
        let other = if ours == 0 { link.leader } else { link.learner };
        let time = link.busy[1 - ours].max(self.now) + 1;
        if link.open[1 - ours] && !self.is_cut(at, other) {
            self.at(time, Event::Closed { to: other, link: id });
        }
    }

    /// A summary for messages.
    pub fn epochs(&self) -> Vec<(ServerId, Option<Epoch>)> {
        (0..self.nodes.len()).map(|at| (self.nodes[at].id, self.report(at).and_then(|r| r.epoch))).collect()
    }
}
