//! A server that elects as the reference does, written as plainly as can be: the other members of a mixed ensemble.
//!
//! It waits its 200 ms whoever has spoken, throws away what arrives meanwhile unless it is a better vote, and hears itself
//! like any other.

use std::collections::{BTreeMap, BTreeSet};

use PeerState::{Following, Leading, Looking};

use super::super::vote::Ballot;
use super::world::Elector;
use super::*;

pub(super) struct Reference {
    me: ServerId,
    voters: BTreeSet<ServerId>,
    clock: i64,
    state: PeerState,
    own: Vote,
    proposal: Vote,
    elected: Vote,
    received: BTreeMap<ServerId, Ballot>,
    out_of_election: BTreeMap<ServerId, Ballot>,
    waiting: bool,
    pause: Millis,
    due: Millis,
    /// Our own messages, not read yet.
    own_queue: Vec<Notification>,
}

impl Reference {
    pub fn new(me: ServerId, voters: BTreeSet<ServerId>) -> Reference {
        Reference {
            me,
            voters,
            clock: 0,
            state: Looking,
            own: Vote::NOBODY,
            proposal: Vote::NOBODY,
            elected: Vote::NOBODY,
            received: BTreeMap::new(),
            out_of_election: BTreeMap::new(),
            waiting: false,
            pause: Millis(200),
            due: Millis(0),
            own_queue: Vec::new(),
        }
    }

    fn message(&self) -> Notification {
        let vote = if self.state == Looking { self.proposal } else { self.elected };
        Notification { peer_epoch: vote.peer_epoch, ..note(self.state, vote.leader.0, vote.zxid, self.clock, 0) }
    }

    fn tell_all(&mut self, out: &mut Vec<Output>) {
        let notification = self.message();
        for &to in self.voters.iter().filter(|voter| **voter != self.me) {
            out.push(Output::Notify { to, notification: notification.clone() });
        }
        self.own_queue.push(notification);
    }

    fn process_all(&mut self, now: Millis, from: ServerId, n: Notification, out: &mut Vec<Output>) {
        self.process(now, from, n, out);
        while self.state == Looking && !self.own_queue.is_empty() {
            let n = self.own_queue.remove(0);
            self.process(now, self.me, n, out);
        }
        self.own_queue.clear();
    }

    fn process(&mut self, now: Millis, from: ServerId, n: Notification, out: &mut Vec<Output>) {
        let vote = Vote::of(&n);
        if self.waiting && !vote.is_above(&self.proposal) {
            self.due = now + Millis(200);
            return;
        }
        self.waiting = false;
        self.due = now + self.pause;
        match n.state {
            Looking => self.process_vote(now, from, n, vote, out),
            Following | Leading => self.process_settled(from, &n),
            PeerState::Observing => {}
        }
    }

    fn process_vote(&mut self, now: Millis, from: ServerId, n: Notification, vote: Vote, out: &mut Vec<Output>) {
        if n.round < self.clock {
            return;
        }
        if n.round > self.clock {
            self.clock = n.round;
            self.received.clear();
            self.proposal = if vote.is_above(&self.own) { vote } else { self.own };
            self.tell_all(out);
        } else if vote.is_above(&self.proposal) {
            self.proposal = vote;
            self.tell_all(out);
        }
        self.received.insert(from, Ballot::looking(vote, n.round));
        let ours = Ballot::looking(self.proposal, self.clock);
        if self.is_quorum(&self.received, &ours) {
            self.waiting = true;
            self.due = now + Millis(200);
        }
    }

    fn process_settled(&mut self, from: ServerId, n: &Notification) {
        let ballot = Ballot::of(n);
        if n.round == self.clock {
            self.received.insert(from, Ballot { version: 0, ..ballot });
            if self.is_quorum(&self.received, &ballot) && self.leads(&self.received, &ballot) {
                return self.settle(ballot.vote);
            }
        }
        self.out_of_election.insert(from, ballot);
        if self.is_quorum(&self.out_of_election, &ballot) && self.leads(&self.out_of_election, &ballot) {
            self.clock = n.round;
            self.settle(ballot.vote);
        }
    }

    fn is_quorum(&self, ballots: &BTreeMap<ServerId, Ballot>, ballot: &Ballot) -> bool {
        ballots.values().filter(|other| ballot.agrees_with(other)).count() * 2 > self.voters.len()
    }

    fn leads(&self, ballots: &BTreeMap<ServerId, Ballot>, ballot: &Ballot) -> bool {
        if ballot.vote.leader == self.me {
            return ballot.round == self.clock;
        }
        ballots.get(&ballot.vote.leader).is_some_and(|b| b.state == Leading)
    }

    fn settle(&mut self, vote: Vote) {
        self.state = if vote.leader == self.me { Leading } else { Following };
        self.elected = vote;
        self.waiting = false;
        self.own_queue.clear();
    }
}

impl Elector for Reference {
    fn look(&mut self, now: Millis, last: Zxid, epoch: Epoch, out: &mut Vec<Output>) {
        self.clock += 1;
        self.state = Looking;
        self.own = Vote { leader: self.me, zxid: last, peer_epoch: epoch };
        self.proposal = self.own;
        self.received.clear();
        self.out_of_election.clear();
        self.waiting = false;
        self.pause = Millis(200);
        self.tell_all(out);
        let own = self.own_queue.remove(0);
        self.process_all(now, self.me, own, out);
    }

    fn on_notification(&mut self, now: Millis, from: ServerId, n: Notification, out: &mut Vec<Output>) {
        let asks = n.state == Looking && (self.state != Looking || n.round < self.clock);
        if asks {
            out.push(Output::Notify { to: from, notification: self.message() });
        }
        if self.state == Looking && self.voters.contains(&n.leader) {
            self.process_all(now, from, n, out);
        }
    }

    fn on_link(&mut self, _now: Millis, _peer: ServerId, _up: bool, _out: &mut Vec<Output>) {}

    fn on_tick(&mut self, now: Millis, out: &mut Vec<Output>) {
        if self.state != Looking || self.due > now {
            return;
        }
        if self.waiting {
            return self.settle(self.proposal);
        }
        self.tell_all(out);
        self.pause = Millis((self.pause.0 * 2).min(60_000));
        self.due = now + self.pause;
        let own = self.own_queue.remove(0);
        self.process_all(now, self.me, own, out);
    }

    fn next_deadline(&self) -> Option<Millis> {
        (self.state == Looking).then_some(self.due)
    }
    fn round(&self) -> i64 {
        self.clock
    }
    fn vote(&self) -> Vote {
        if self.state == Looking { self.proposal } else { self.elected }
    }
    fn is_looking(&self) -> bool {
        self.state == Looking
    }
}
