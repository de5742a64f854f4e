//! Several servers with the connections between them: messages of one connection stay in order, the newest one is kept for
//! a server that is down, and said again when it comes back (EL031).

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::reference::Reference;
use super::*;

/// What a server of the world can do: [`Election`], or the reference's way of it.
pub(super) trait Elector {
    fn look(&mut self, now: Millis, last: Zxid, epoch: Epoch, out: &mut Vec<Output>);
    fn on_notification(&mut self, now: Millis, from: ServerId, n: Notification, out: &mut Vec<Output>);
    fn on_link(&mut self, now: Millis, peer: ServerId, up: bool, out: &mut Vec<Output>);
    fn on_tick(&mut self, now: Millis, out: &mut Vec<Output>);
    fn next_deadline(&self) -> Option<Millis>;
    fn round(&self) -> i64;
    fn vote(&self) -> Vote;
    fn is_looking(&self) -> bool;
}

impl Elector for Election {
    fn look(&mut self, now: Millis, last: Zxid, epoch: Epoch, out: &mut Vec<Output>) {
        Election::look(self, now, last, epoch, out);
    }
    fn on_notification(&mut self, now: Millis, from: ServerId, n: Notification, out: &mut Vec<Output>) {
        let elected = Election::on_notification(self, now, from, n, out);
        self.check(elected);
    }
    fn on_link(&mut self, now: Millis, peer: ServerId, up: bool, out: &mut Vec<Output>) {
        let elected = Election::on_link(self, now, peer, up, out);
        self.check(elected);
    }
    fn on_tick(&mut self, now: Millis, out: &mut Vec<Output>) {
        let elected = Election::on_tick(self, now, out);
        self.check(elected);
    }
    fn next_deadline(&self) -> Option<Millis> {
        Election::next_deadline(self)
    }
    fn round(&self) -> i64 {
        Election::round(self)
    }
    fn vote(&self) -> Vote {
        Election::vote(self)
    }
    fn is_looking(&self) -> bool {
        Election::is_looking(self)
    }
}

impl Election {
    /// A decision and the end of looking come together.
    fn check(&self, elected: Option<Elected>) {
        if let Some(elected) = elected {
            assert_eq!((elected.leader, elected.round), (self.vote().leader, self.round()));
            assert!(!self.is_looking() && self.next_deadline().is_none());
        }
    }
}

/// What comes over a connection, in order.
#[derive(Clone, Debug)]
enum Item {
    Note(Notification),
    Link(bool),
}

pub(super) struct Server {
    pub elector: Box<dyn Elector>,
    pub last: Zxid,
    pub epoch: i64,
    pub up: bool,
    /// When it last stopped looking.
    pub settled_at: Millis,
    as_reference: bool,
}

pub(super) struct World {
    pub now: Millis,
    pub ensemble: Ensemble,
    pub servers: BTreeMap<i64, Server>,
    /// Whether the edges report connections that come and go.
    pub reports_links: bool,
    channels: BTreeMap<(i64, i64), VecDeque<Item>>,
    /// The newest message from the first to the second.
    newest: BTreeMap<(i64, i64), Notification>,
}

impl World {
    /// All members of `ensemble`, down, at zxid 0x1:5 in epoch 1.
    pub fn new(ensemble: Ensemble) -> World {
        let mut world = World {
            now: Millis(1000),
            servers: BTreeMap::new(),
            reports_links: true,
            channels: BTreeMap::new(),
            newest: BTreeMap::new(),
            ensemble,
        };
        for id in world.ensemble.members().keys().map(|id| id.0).collect::<Vec<_>>() {
            let elector = world.elector(id, false);
            let (last, settled_at) = (zxid(1, 5), world.now);
            let server = Server { elector, last, epoch: 1, up: false, settled_at, as_reference: false };
            world.servers.insert(id, server);
        }
        world
    }

    pub fn with_history(mut self, id: i64, epoch: i64, last: Zxid) -> World {
        let server = self.servers.get_mut(&id).unwrap();
        (server.epoch, server.last) = (epoch, last);
        self
    }

    pub fn as_reference(&mut self, id: i64) {
        self.servers.get_mut(&id).unwrap().as_reference = true;
    }

    /// A fresh process on `id`.
    pub fn start(&mut self, id: i64) {
        let elector = self.elector(id, self.servers[&id].as_reference);
        let server = self.servers.get_mut(&id).unwrap();
        assert!(!server.up, "server {id} is up already");
        (server.up, server.elector) = (true, elector);
        for other in self.others_up(id) {
            self.report(other, id, true);
            self.report(id, other, true);
            if let Some(note) = self.newest.get(&(other, id)).cloned() {
                self.channels.entry((other, id)).or_default().push_back(Item::Note(note));
            }
        }
        self.look(id);
    }

    pub fn kill(&mut self, id: i64) {
        self.servers.get_mut(&id).unwrap().up = false;
        self.channels.retain(|(_, to), _| *to != id);
        self.newest.retain(|(from, _), _| *from != id);
        for other in self.others_up(id) {
            self.report(id, other, false);
        }
    }

    pub fn look(&mut self, id: i64) {
        let (last, epoch) = (self.servers[&id].last, Epoch(self.servers[&id].epoch));
        self.act(id, |elector, now, out| elector.look(now, last, epoch, out));
    }

    pub fn tick(&mut self, id: i64) {
        self.act(id, |elector, now, out| elector.on_tick(now, out));
    }

    /// Connections with something in them.
    pub fn busy(&self) -> Vec<(i64, i64)> {
        self.channels.iter().filter(|(_, items)| !items.is_empty()).map(|(pair, _)| *pair).collect()
    }

    pub fn deliver(&mut self, (from, to): (i64, i64)) {
        let item = self.channels.get_mut(&(from, to)).and_then(VecDeque::pop_front).expect("something to deliver");
        match item {
            Item::Note(n) => self.act(to, |elector, now, out| elector.on_notification(now, ServerId(from), n, out)),
            Item::Link(up) => self.act(to, |elector, now, out| elector.on_link(now, ServerId(from), up, out)),
        }
    }

    /// The next message is lost, if it is one.
    pub fn lose(&mut self, pair: (i64, i64)) {
        let items = self.channels.get_mut(&pair).unwrap();
        if let Some(Item::Note(_)) = items.front() {
            items.pop_front();
        }
    }

    /// The newest message comes once more.
    pub fn repeat(&mut self, (from, to): (i64, i64)) {
        if let (Some(note), true) = (self.newest.get(&(from, to)).cloned(), self.servers[&to].up) {
            self.channels.entry((from, to)).or_default().push_back(Item::Note(note));
        }
    }

    /// Everything is delivered, in turn, without any time passing.
    pub fn flow(&mut self) {
        while let [_, ..] = self.busy()[..] {
            for pair in self.busy() {
                self.deliver(pair);
            }
        }
    }

    /// Time goes to the next deadline of an election.
    pub fn pass(&mut self) {
        let due = self.up().iter().filter_map(|id| self.servers[id].elector.next_deadline()).min();
        self.now = due.expect("somebody waits").max(self.now);
        for id in self.up() {
            if self.servers[&id].elector.next_deadline().is_some_and(|due| due <= self.now) {
                self.tick(id);
            }
        }
    }

    pub fn up(&self) -> Vec<i64> {
        self.servers.iter().filter(|(_, server)| server.up).map(|(id, _)| *id).collect()
    }

    /// Whom each server that is up has settled on; `None` while it looks.
    pub fn leaders(&self) -> Vec<Option<i64>> {
        self.up().iter().map(|id| self.leader_of(*id)).collect()
    }

    pub fn leader_of(&self, id: i64) -> Option<i64> {
        let elector = &self.servers[&id].elector;
        (!elector.is_looking()).then(|| elector.vote().leader.0)
    }

    /// The servers that are up and have settled on `leader`.
    pub fn behind(&self, leader: i64) -> BTreeSet<ServerId> {
        self.up().into_iter().filter(|id| self.leader_of(*id) == Some(leader)).map(ServerId).collect()
    }

    fn others_up(&self, id: i64) -> Vec<i64> {
        self.up().into_iter().filter(|other| *other != id).collect()
    }

    fn elector(&self, id: i64, as_reference: bool) -> Box<dyn Elector> {
        if as_reference {
            return Box::new(Reference::new(ServerId(id), self.ensemble.voters().map(|m| m.id).collect()));
        }
        Box::new(Election::new(&ZabOptions::new(ServerId(id), self.ensemble.clone())))
    }

    fn report(&mut self, peer: i64, to: i64, up: bool) {
        if self.reports_links {
            self.channels.entry((peer, to)).or_default().push_back(Item::Link(up));
        }
    }

    fn act(&mut self, id: i64, act: impl FnOnce(&mut dyn Elector, Millis, &mut Vec<Output>)) {
        let mut out = Vec::new();
        let server = self.servers.get_mut(&id).unwrap();
        assert!(server.up, "server {id} is down");
        let looked = server.elector.is_looking();
        act(&mut *server.elector, self.now, &mut out);
        if looked && !server.elector.is_looking() {
            server.settled_at = self.now;
        }
        for output in out {
            let Output::Notify { to: ServerId(to), notification } = output else { panic!("{output:?}") };
            assert_ne!(to, id, "nobody writes to itself");
            self.newest.insert((id, to), notification.clone());
            if self.servers[&to].up {
                self.channels.entry((id, to)).or_default().push_back(Item::Note(notification));
            } else {
                self.report(to, id, false);
            }
        }
    }
}
