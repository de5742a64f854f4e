//! Elections of several servers in one thread, with and without servers that do as the reference does.

mod ensembles;
mod joining;
mod random;
mod reference;
mod rules;
mod world;

use oxkeeper_proto::election::{Notification, PeerState};
use oxkeeper_types::ensemble::{Ensemble, MemberRules};
use oxkeeper_types::{Epoch, Millis, ServerId, Zxid};

use super::{Elected, Election, Vote};
use crate::options::ZabOptions;
use crate::output::Output;

pub(super) fn ensemble(text: &str) -> Ensemble {
    Ensemble::from_text(text, MemberRules::default()).unwrap()
}

/// Voters 1 to `voters`, then observers up to `members`, then `more` lines.
pub(super) fn members(voters: i64, members: i64, more: &str) -> Ensemble {
    let role = |id| if id <= voters { "participant" } else { "observer" };
    let lines: String = (1..=members).map(|id| format!("server.{id}=h{id}:1:2:{}\n", role(id))).collect();
    ensemble(&(lines + more))
}

pub(super) fn zxid(epoch: i64, counter: u32) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

/// A notification of format 2 without a configuration.
pub(super) fn note(state: PeerState, leader: i64, zxid: Zxid, round: i64, epoch: i64) -> Notification {
    Notification { state, leader: ServerId(leader), zxid, round, peer_epoch: Epoch(epoch), version: 2, config: None }
}

/// One election and the messages that it wants to send.
pub(super) struct One {
    pub election: Election,
    pub now: Millis,
    pub sent: Vec<(i64, Notification)>,
}

impl One {
    /// Has begun to look.
    pub fn new(options: ZabOptions, last: Zxid, epoch: i64) -> One {
        let mut one = One { election: Election::new(&options), now: Millis(1000), sent: Vec::new() };
        one.look(last, epoch);
        one
    }

    /// Server `me` of `ensemble`, at zxid 0x1:5 in epoch 1.
    pub fn of(me: i64, ensemble: Ensemble) -> One {
        One::new(ZabOptions::new(ServerId(me), ensemble), zxid(1, 5), 1)
    }

    pub fn look(&mut self, last: Zxid, epoch: i64) {
        let mut out = Vec::new();
        self.election.look(self.now, last, Epoch(epoch), &mut out);
        self.take(out);
    }

    pub fn hear(&mut self, from: i64, n: Notification) -> Option<Elected> {
        let mut out = Vec::new();
        let elected = self.election.on_notification(self.now, ServerId(from), n, &mut out);
        self.take(out);
        elected
    }

    pub fn link(&mut self, peer: i64, up: bool) -> Option<Elected> {
        let mut out = Vec::new();
        let elected = self.election.on_link(self.now, ServerId(peer), up, &mut out);
        self.take(out);
        elected
    }

    pub fn tick_at(&mut self, now: Millis) -> Option<Elected> {
        self.now = now;
        let mut out = Vec::new();
        let elected = self.election.on_tick(now, &mut out);
        self.take(out);
        elected
    }

    /// To whom it has spoken since the last call, and with the vote of the last message.
    pub fn told(&mut self) -> (Vec<i64>, Option<(PeerState, i64, i64)>) {
        let to = self.sent.iter().map(|(to, _)| *to).collect();
        let last = self.sent.last().map(|(_, n)| (n.state, n.leader.0, n.round));
        self.sent.clear();
        (to, last)
    }

    fn take(&mut self, out: Vec<Output>) {
        for output in out {
            let Output::Notify { to, notification } = output else { panic!("not of an election: {output:?}") };
            assert_ne!(to.0, self.election.electorate.me().0, "nobody writes to itself");
            self.sent.push((to.0, notification));
        }
    }
}
