//! The three ports of a simulated server: learners and their leader, elections, clients. Who reaches whom, which messages become
//! which inputs; decisions are the replica's.

use crate::host::{ElectionPeer, LeaderDial, Received, Running, load_image};
use crate::museum::Bug;
use crate::network::{ConnKey, Kind, Message, Node};
use crate::old_learner::OldLearner;
use crate::port::{Port, Taken};
use crate::world::{ServerEvent, World};
use oxkeeper_proto::quorum::Packet;
use oxkeeper_replica::Input;
use oxkeeper_types::{ConnId, ServerId, Zxid};
use oxkeeper_zab::quorum::Quorums;
use oxkeeper_zab::{Input as ZabInput, LinkId, ZabReport};

/// Microseconds a dial to a silent machine takes to fail.
const DIAL_TIMEOUT_US: u64 = 2_000_000;
/// Tries of a learner to reach its leader, and microseconds between them (reference `Learner.connectToLeader`).
const LEADER_DIALS_MAX: u32 = 5;
const LEADER_DIAL_PAUSE_US: u64 = 100_000;
/// Microseconds that the reader of a link is late, mostly and at most.
const LATE_US: u64 = 400;
const LATE_US_MAX: u64 = 20_000;

impl World {
    fn index_of(&self, server: ServerId) -> Option<usize> {
        self.hosts.iter().position(|host| host.id == server)
    }
    /// Whether a dial gets through.
    fn reachable(&self, from: Node, to: Node) -> bool {
        let known = self.hosts.get(to).is_none_or(|host| !host.misaddressed);
        known && !self.net.is_cut(from, to) && !self.net.is_cut(to, from)
    }

    pub(crate) fn dial_leader(&mut self, h: usize, leader: ServerId) {
        let number = self.name();
        let running = self.hosts[h].running.as_mut().expect("outputs come from processes");
        running.dial = Some(LeaderDial { leader, number, attempts: 0 });
        self.dial_leader_once(h, leader, number, 0);
    }

    fn dial_leader_once(&mut self, h: usize, leader: ServerId, number: u64, pause_us: u64) {
        let us = match self.index_of(leader) {
            Some(to) if self.reachable(h, to) => self.net.delay(h, to) + self.net.delay(to, h),
            _ => DIAL_TIMEOUT_US,
        };
        self.server_after(pause_us + us, h, ServerEvent::LeaderDialled { number });
    }

    pub(crate) fn on_leader_dialled(&mut self, h: usize, number: u64) {
        let running = self.hosts[h].running.as_mut().expect("events go to processes");
        let Some(dial) = running.dial.as_mut().filter(|dial| dial.number == number) else { return };
        dial.attempts += 1;
        let (leader, attempts) = (dial.leader, dial.attempts);
        let listens = self.index_of(leader).filter(|to| {
            self.reachable(h, *to) && self.hosts[*to].running.as_ref().is_some_and(|leader| leader.listening)
        });
        match listens {
            Some(to) => {
                self.hosts[h].running.as_mut().expect("as above").dial = None;
                let names = [self.name(), self.name()];
                let key = self.net.open(Kind::Quorum, [h, to], names);
                let [mine, theirs] = names.map(LinkId);
                let old = self.options.old_learners && !self.options.early;
                self.running(h).old_learner = old.then(|| (mine, OldLearner::default()));
                self.running(h).links.insert(mine, (key, 0));
                self.running(to).links.insert(theirs, (key, 1));
                self.event_now(to, Input::Peer(ZabInput::LearnerConnected { link: theirs }));
                self.input(h, Input::Peer(ZabInput::LeaderConnected { link: mine }));
            }
            None if attempts < LEADER_DIALS_MAX => self.dial_leader_once(h, leader, number, LEADER_DIAL_PAUSE_US),
            None => {
                self.hosts[h].running.as_mut().expect("as above").dial = None;
                self.input(h, Input::Peer(ZabInput::LeaderUnreachable { leader }));
            }
        }
    }

    pub(crate) fn running(&mut self, h: usize) -> &mut Running {
        self.hosts[h].running.as_mut().expect("the caller knows that the process runs")
    }

    /// For another server than the one whose event is being handled.
    fn event_now(&mut self, h: usize, input: Input) {
        match input {
            Input::Peer(ZabInput::LearnerConnected { link }) if self.hosts[h].paused => {
                // The kernel has taken the connection; the process hears of it when it goes on.
                let key = self.running(h).links[&link].0;
                let message =
                    ServerEvent::Message { kind: Kind::Quorum, name: link.0, key, message: Message::Bytes(vec![]) };
                self.hosts[h].deferred.push(message);
            }
            Input::Peer(ZabInput::ElectionLink { .. }) if self.hosts[h].paused => {}
            input => {
                self.input(h, input);
                self.settle(h);
            }
        }
    }

    /// A message stands in the socket of a link. What our leader says may be read late.
    pub(crate) fn on_link_arrival(&mut self, h: usize, link: LinkId, message: Message) {
        let of_leader = self.running(h).links.get(&link).is_some_and(|(_, side)| *side == 0);
        if !self.options.late_readers || self.options.early || !of_leader {
            return self.on_link_message(h, link, message);
        }
        let unread = &mut self.running(h).unread;
        unread.push_back((link, message));
        if unread.len() == 1 {
            let us = if self.random.chance(5) { LATE_US_MAX } else { LATE_US };
            let us = self.random.below(us);
            self.server_after(us, h, ServerEvent::ReadLink);
        }
    }

    /// The reader of the link with the leader takes what there is.
    pub(crate) fn read_link(&mut self, h: usize) {
        while let Some((link, message)) = self.hosts[h].running.as_mut().and_then(|running| running.unread.pop_front())
        {
            self.on_link_message(h, link, message);
        }
    }

    /// Before a read is answered: what has arrived from the leader is read.
    fn look(&mut self, h: usize) {
        if self.options.planted != Some(Bug::ReadWithoutLook) {
            self.read_link(h);
        }
    }

    fn on_link_message(&mut self, h: usize, link: LinkId, message: Message) {
        if !self.running(h).links.contains_key(&link) {
            return;
        }
        let input = match message {
            Message::Packet(packet) => {
                match &packet {
                    Packet::Snap { zxid } => drop(self.running(h).snaps.insert(link, *zxid)),
                    Packet::LeaderInfo { epoch, .. } => self.running(h).offered = Some(*epoch),
                    _ => {}
                }
                let old = self.running(h).old_learner.as_mut().filter(|(of, _)| *of == link);
                if old.is_some_and(|(_, old)| !old.hears(&packet)) {
                    return;
                }
                if let Packet::Ack { zxid } = packet {
                    return self.on_ack(h, link, zxid);
                }
                ZabInput::Packet { link, packet }
            }
            Message::Image(bytes) => return self.receive_image(h, link, bytes),
            Message::Closed => {
                let running = self.running(h);
                running.forget_link(link);
                ZabInput::LinkClosed { link }
            }
            // A connection that was taken while the process was stopped.
            Message::Bytes(_) => ZabInput::LearnerConnected { link },
            Message::Notification(_) => unreachable!("notifications go over the election port"),
        };
        self.input(h, Input::Peer(input));
    }

    /// An acknowledgement arrives: what a quorum has said it has is committed in the same step.
    fn on_ack(&mut self, h: usize, link: LinkId, zxid: Zxid) {
        let forgets = self.options.planted == Some(Bug::EarlyAckForgotten) && zxid.counter() > 0;
        let early = |zab: ZabReport| zab.learners.iter().any(|learner| learner.link == link && !learner.synced);
        let forgotten = forgets && self.running(h).replica.report().zab.is_some_and(early);
        if zxid.counter() > 0 {
            let acked = self.running(h).acks.entry(link).or_insert(zxid);
            *acked = zxid.max(*acked);
        }
        if !forgotten {
            self.input(h, Input::Peer(ZabInput::Packet { link, packet: Packet::Ack { zxid } }));
        }
        if let Some(running) = &self.hosts[h].running {
            let quorums = Quorums::new(&self.hosts[h].list, self.hosts[h].kept.as_ref());
            self.check.on_ack(h, running, &quorums);
        }
    }

    /// The stream behind a SNAP has come to its end; the replica says when it takes the place of what there is.
    fn receive_image(&mut self, h: usize, link: LinkId, bytes: Vec<u8>) {
        let Some(zxid) = self.running(h).snaps.remove(&link) else { return };
        let Some(mut tree) = load_image(&self.options, &bytes) else {
            return self.check.fail("image", format!("server {} cannot load the image at {zxid} that it got", h + 1));
        };
        tree.set_last_processed(zxid);
        self.running(h).received = Some(Received { link, zxid, bytes, tree });
        self.input(h, Input::Peer(ZabInput::SnapshotReceived { link }));
    }

    // ---- election port

    pub(crate) fn dial_election(&mut self, h: usize, peer: ServerId) {
        let entry = self.running(h).election.entry(peer).or_default();
        if entry.dialling || entry.conn.is_some() {
            return;
        }
        entry.dialling = true;
        let to = self.index_of(peer);
        let (us, refused) = match to {
            Some(to) if self.reachable(h, to) => {
                let up = self.hosts[to].running.is_some() || !self.hosts[to].silent.is_empty();
                (self.net.delay(h, to) + self.net.delay(to, h), !up)
            }
            _ => (DIAL_TIMEOUT_US, true),
        };
        self.server_after(us, h, ServerEvent::ElectionDialled { peer, refused });
    }

    pub(crate) fn on_election_dialled(&mut self, h: usize, peer: ServerId, refused: bool) {
        self.running(h).election.entry(peer).or_default().dialling = false;
        if self.running(h).election[&peer].conn.is_some() {
            return;
        }
        let to =
            self.index_of(peer).filter(|to| !refused && self.reachable(h, *to) && self.hosts[*to].running.is_some());
        let Some(to) = to else {
            return self.input(h, Input::Peer(ZabInput::ElectionLink { peer, up: false }));
        };
        let me = self.hosts[h].id;
        let stale = self.running(to).election.entry(me).or_default().conn.take();
        if let Some((key, side)) = stale {
            // It has not heard yet that the old one is gone.
            self.net.close(self.now, key, side);
        }
        let lives = [self.hosts[h].life, self.hosts[to].life];
        let key = self.net.open(Kind::Election, [h, to], lives);
        self.running(h).election.entry(peer).or_default().conn = Some((key, 0));
        self.running(to).election.entry(me).or_default().conn = Some((key, 1));
        for (at, of, side) in [(h, peer, 0), (to, me, 1)] {
            let last = self.running(at).election[&of].last.clone();
            if let Some(notification) = last {
                self.net.send(self.now, key, side, Message::Notification(notification));
            }
        }
        self.event_now(to, Input::Peer(ZabInput::ElectionLink { peer: me, up: true }));
        if self.hosts[h].running.is_some() {
            self.input(h, Input::Peer(ZabInput::ElectionLink { peer, up: true }));
        }
    }

    pub(crate) fn on_election_message(&mut self, h: usize, key: ConnKey, message: Message) {
        let peer =
            self.running(h).election.iter().find(|(_, p): &(_, &ElectionPeer)| p.conn.is_some_and(|c| c.0 == key));
        let Some(peer) = peer.map(|(id, _)| *id) else { return };
        match message {
            Message::Notification(notification) => {
                self.input(h, Input::Peer(ZabInput::Notification { from: peer, notification }));
            }
            Message::Closed => {
                self.running(h).election.entry(peer).or_default().conn = None;
                self.input(h, Input::Peer(ZabInput::ElectionLink { peer, up: false }));
            }
            _ => unreachable!("only notifications go over the election port"),
        }
    }

    // ---- client port

    /// A client's dial arrives. The connection's key, where the server takes it.
    pub(crate) fn accept_client(&mut self, h: usize, client: usize, generation: u64) -> Option<ConnKey> {
        let node = self.client_node(client);
        if self.hosts[h].running.is_none() || !self.reachable(node, h) {
            return None;
        }
        let conn = self.name();
        let key = self.net.open(Kind::Client, [node, h], [generation, conn]);
        self.running(h).ports.insert(ConnId(conn), Port::new(key));
        Some(key)
    }

    pub(crate) fn on_client_bytes(&mut self, h: usize, conn: ConnId, message: Message) {
        let running = self.running(h);
        match message {
            Message::Bytes(bytes) => {
                let Some(port) = running.ports.get_mut(&conn) else { return };
                port.receive(&bytes);
                if port.is_established() {
                    let session = port.session;
                    self.input(h, Input::Touched(vec![session]));
                }
                self.pump(h, conn);
            }
            Message::Closed => {
                if running.ports.remove(&conn).is_some() {
                    running.watches.borrow_mut().close(conn);
                    self.input(h, Input::Disconnected { conn });
                }
            }
            _ => unreachable!("clients send bytes"),
        }
    }

    /// Takes requests as long as their turn has come.
    pub(crate) fn pump(&mut self, h: usize, conn: ConnId) {
        let mut looked = false;
        loop {
            let reads = |running: &Running| running.ports.get(&conn).is_some_and(Port::is_about_to_read);
            if !std::mem::replace(&mut looked, true) && self.hosts[h].running.as_ref().is_some_and(reads) {
                self.look(h);
            }
            let Some(Running { ports, replica, state, watches, .. }) = &mut self.hosts[h].running else { return };
            let Some(port) = ports.get_mut(&conn) else { return };
            let (key, arrived) = (port.key, port.arrived);
            match port.take(conn, replica.options(), state, replica.has_committed(), watches, self.options.planted) {
                Taken::Nothing => return,
                Taken::Connect(request) => self.input(h, Input::Connect { conn, request }),
                Taken::Submit(request) => self.input(h, Input::Submit(request)),
                Taken::Answer(bytes) => self.net.send(self.now, key, 1, Message::Bytes(bytes)),
                Taken::Read(bytes) => {
                    self.check.on_read_answered(h, arrived, &bytes);
                    self.net.send(self.now, key, 1, Message::Bytes(bytes));
                }
                Taken::Close => {
                    self.close_port(h, conn);
                    return self.input(h, Input::Disconnected { conn });
                }
            }
        }
    }

    pub(crate) fn close_port(&mut self, h: usize, conn: ConnId) {
        let running = self.running(h);
        if let Some(mut port) = running.ports.remove(&conn) {
            port.close();
            running.watches.borrow_mut().close(conn);
            self.net.close(self.now, port.key, 1);
        }
    }
}
