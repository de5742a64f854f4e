//! Connections between nodes: two pipes each, first in first out, as TCP has them (Zab asks for no more and gets no less).
//!
//! What may happen: a message takes its time; a direction between two nodes is cut, and what is sent meanwhile waits, as
//! retransmissions do; a connection is reset, and what was under way in it is lost, from some message on; a slow path. What
//! may not: a message lost, doubled or overtaken inside of a connection that goes on.

use crate::random::Random;
use oxkeeper_proto::election::Notification;
use oxkeeper_proto::quorum::Packet;
use std::collections::{BTreeMap, VecDeque};

/// A machine: servers first, then clients.
pub type Node = usize;
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct ConnKey(pub u64);
/// Which end of a connection: 0 dialled, 1 was dialled.
pub type Side = usize;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Client,
    Election,
    Quorum,
}

#[derive(Debug)]
pub enum Message {
    Bytes(Vec<u8>),
    Notification(Notification),
    Packet(Packet),
    /// The raw stream behind a SNAP.
    Image(Vec<u8>),
    /// The other end has closed, or is no more.
    Closed,
}

#[derive(Debug, Default)]
pub struct Pipe {
    queue: VecDeque<(u64, Message)>,
    last_arrival: u64,
    /// An event for the head is in the world's queue.
    scheduled: bool,
}

#[derive(Debug)]
pub struct Conn {
    pub kind: Kind,
    pub ends: [Node; 2],
    /// What each end calls it: a link id, a connection id, or the life of the server.
    pub names: [u64; 2],
    pub closed: [bool; 2],
    /// `pipes[side]` carries what `side` sends.
    pipes: [Pipe; 2],
}

pub struct Network {
    random: Random,
    nodes: usize,
    cut: Vec<bool>,
    /// Extra microseconds of a direction.
    slow: Vec<u64>,
    delay_us: u64,
    conns: BTreeMap<ConnKey, Conn>,
    next: u64,
    /// A planted bug.
    pub overtaking: bool,
    /// Pipes to be looked at, and when: taken by the world after every step.
    pub due: Vec<(u64, ConnKey, Side)>,
}

impl Network {
    pub fn new(nodes: usize, delay_us: u64, random: Random) -> Network {
        Network {
            random,
            nodes,
            cut: vec![false; nodes * nodes],
            slow: vec![0; nodes * nodes],
            delay_us,
            conns: BTreeMap::new(),
            next: 1,
            overtaking: false,
            due: Vec::new(),
        }
    }

    /// How long one message takes in this direction.
    pub fn delay(&mut self, from: Node, to: Node) -> u64 {
        self.random.around(self.delay_us) + self.slow[from * self.nodes + to]
    }
    pub fn is_cut(&self, from: Node, to: Node) -> bool {
        self.cut[from * self.nodes + to]
    }
    pub fn set_cut(&mut self, from: Node, to: Node, cut: bool) {
        self.cut[from * self.nodes + to] = cut && from != to;
    }
    pub fn set_slow(&mut self, from: Node, to: Node, extra_us: u64) {
        self.slow[from * self.nodes + to] = extra_us;
    }
    /// Everything reaches everything again, at the usual pace.
    pub fn heal(&mut self, now: u64) {
        self.cut.fill(false);
        self.slow.fill(0);
        self.wake_stalled(now);
    }
    /// What waited for a cut to end goes on.
    pub fn wake_stalled(&mut self, now: u64) {
        for (key, conn) in &mut self.conns {
            for side in 0..2 {
                let (from, to) = (conn.ends[side], conn.ends[1 - side]);
                let pipe = &mut conn.pipes[side];
                if !pipe.queue.is_empty() && !pipe.scheduled && !self.cut[from * self.nodes + to] {
                    pipe.scheduled = true;
                    self.due.push((now + self.delay_us, *key, side));
                }
            }
        }
    }

    pub fn open(&mut self, kind: Kind, ends: [Node; 2], names: [u64; 2]) -> ConnKey {
        let key = ConnKey(self.next);
        self.next += 1;
        self.conns.insert(key, Conn { kind, ends, names, closed: [false; 2], pipes: Default::default() });
        key
    }
    pub fn conn(&self, key: ConnKey) -> Option<&Conn> {
        self.conns.get(&key)
    }
    pub fn keys(&self) -> Vec<ConnKey> {
        self.conns.keys().copied().collect()
    }

    pub fn send(&mut self, now: u64, key: ConnKey, side: Side, message: Message) {
        let Some(conn) = self.conns.get(&key) else { return };
        if conn.closed[side] {
            return;
        }
        self.push(now, key, side, message);
    }

    fn push(&mut self, now: u64, key: ConnKey, side: Side, message: Message) {
        let conn = &self.conns[&key];
        let (from, to) = (conn.ends[side], conn.ends[1 - side]);
        let delay = self.delay(from, to);
        let cut = self.is_cut(from, to);
        let overtakes = self.overtaking && matches!(message, Message::Packet(_)) && self.random.below(100) == 0;
        let pipe = &mut self.conns.get_mut(&key).expect("looked up above").pipes[side];
        let arrival = (now + delay).max(pipe.last_arrival);
        pipe.last_arrival = arrival;
        pipe.queue.push_back((arrival, message));
        let length = pipe.queue.len();
        if overtakes && length > 1 {
            pipe.queue.swap(length - 1, length - 2);
        }
        if !pipe.scheduled && !cut {
            pipe.scheduled = true;
            self.due.push((arrival, key, side));
        }
    }

    /// One end closes: it hears nothing more, the other end is told behind what was sent.
    pub fn close(&mut self, now: u64, key: ConnKey, side: Side) {
        if self.silence(key, side) {
            self.push(now, key, side, Message::Closed);
            self.drop_if_over(key);
        }
    }
    /// One end is gone without a word. True where it was there.
    pub fn silence(&mut self, key: ConnKey, side: Side) -> bool {
        match self.conns.get_mut(&key) {
            Some(conn) if !conn.closed[side] => {
                conn.closed[side] = true;
                conn.pipes[1 - side].queue.clear();
                true
            }
            _ => false,
        }
    }
    /// The last word of an end that was silenced.
    pub fn tell_closed(&mut self, now: u64, key: ConnKey, side: Side) {
        if self.conns.contains_key(&key) {
            self.push(now, key, side, Message::Closed);
            self.drop_if_over(key);
        }
    }
    /// Both ends are told that the connection is gone; what was under way is lost.
    pub fn reset(&mut self, now: u64, key: ConnKey) {
        if !self.conns.contains_key(&key) {
            return;
        }
        for side in 0..2 {
            let conn = self.conns.get_mut(&key).expect("looked up above");
            conn.pipes[side].queue.clear();
            conn.pipes[side].last_arrival = 0;
            self.push(now, key, side, Message::Closed);
        }
    }

    /// The next message of a pipe, if it may arrive now: the receiving node, what it calls the connection, and the message.
    pub fn arrive(&mut self, now: u64, key: ConnKey, side: Side) -> Option<(Node, Kind, u64, Message)> {
        let conn = self.conns.get_mut(&key)?;
        let (from, to) = (conn.ends[side], conn.ends[1 - side]);
        let pipe = &mut conn.pipes[side];
        pipe.scheduled = false;
        if self.cut[from * self.nodes + to] {
            return None;
        }
        let (arrival, _) = pipe.queue.front()?;
        if *arrival > now {
            pipe.scheduled = true;
            self.due.push((*arrival, key, side));
            return None;
        }
        let (_, message) = pipe.queue.pop_front().expect("looked at above");
        if let Some((next, _)) = pipe.queue.front() {
            pipe.scheduled = true;
            self.due.push(((*next).max(now), key, side));
        }
        let (deaf, kind, name) = (conn.closed[1 - side], conn.kind, conn.names[1 - side]);
        if matches!(message, Message::Closed) {
            conn.closed[1 - side] = true;
            self.drop_if_over(key);
        }
        (!deaf).then_some((to, kind, name, message))
    }

    fn drop_if_over(&mut self, key: ConnKey) {
        if self.conns.get(&key).is_some_and(|c| c.closed == [true; 2] && c.pipes.iter().all(|p| p.queue.is_empty())) {
            self.conns.remove(&key);
        }
    }
}
