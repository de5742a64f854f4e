//! Fast leader election of one server (reference `FastLeaderElection`), as a value.
//!
//! Owns the round, the vote, and the answers that others need while this server is not looking. Must not know connections
//! (the edge keeps, repeats and drops messages), epochs beyond the one in the vote, or what a leader does once elected.
//! Before it: recovery, or a role that failed. After it: discovery.
//!
//! A server that looks goes through these steps, each of which may be repeated:
//!
//! 1. [`Election::look`]: the next round; propose ourselves, tell every voter.
//! 2. A better vote of the same round is taken over and told to everybody; a later round is joined, an earlier one answered.
//! 3. A quorum votes as we do: wait for something better, see [`patience`].
//! 4. Or: a quorum says that it follows somebody who says it leads, see [`late_joiner`].
//!
//! Our own messages never leave: our vote is counted where it is made. Where the reference throws away what arrives while it
//! waits in step 3, unless it is a better vote, this takes note of votes of the same round, and believes an established leader.

mod electorate;
mod late_joiner;
mod notify;
mod patience;
mod tally;
#[cfg(test)]
mod tests;
mod vote;

use std::collections::BTreeSet;
use std::sync::Arc;

use oxkeeper_proto::election::{Notification, PeerState};
use oxkeeper_types::ensemble::Ensemble;
use oxkeeper_types::{Epoch, Millis, ServerId, Zxid};

pub use vote::Vote;

use crate::epochs::EPOCH_MAX;
use crate::options::ZabOptions;
use crate::output::Output;
use crate::quorum::{AckSet, Quorums};
use electorate::{Electorate, News};
use notify::BackOff;
use patience::{Links, Patience};
use tally::Tally;
use vote::Ballot;

/// The version of the notifications that we write: with a configuration.
const FORMAT: i32 = 2;
/// Rounds are counted one by one from 1. A later one than this was never reached, and one is always left to go to.
const ROUND_MAX: i64 = 1 << 62;

/// The election side of one server.
#[derive(Clone, Debug)]
pub struct Election {
    electorate: Electorate,
    /// `finalize_wait`, `notification_min`, `notification_max` of the options.
    finalize_wait: Millis,
    notification_min: Millis,
    notification_max: Millis,
    reconfig_enabled: bool,
    links: Links,
    /// The logical clock: the round that this server takes part in, or the one in which its leader was elected. 0 before the
    /// first.
    round: i64,
    phase: Phase,
}

#[derive(Clone, Debug)]
enum Phase {
    /// Between [`Election::leave`], or the start, and [`Election::look`]: there is nothing to say.
    Idle,
    Looking(Looking),
    Settled(Settled),
}

#[derive(Clone, Debug)]
struct Looking {
    /// This server as a candidate, whether it may be one or not.
    own: Vote,
    /// What this server proposes by itself.
    initial: Vote,
    /// What it proposes now; never below `initial` in the same round.
    proposal: Vote,
    /// Ballots of this round, by voter; our own among them where it counts.
    in_round: Tally,
    /// What servers out of the election say, of any round.
    settled: Tally,
    patience: Patience,
    repeat: BackOff,
}

#[derive(Clone, Debug)]
struct Settled {
    /// Following, Leading or Observing.
    state: PeerState,
    vote: Vote,
    /// Voters whose last word was for this outcome.
    behind: BTreeSet<ServerId>,
}

/// The end of an election, as one server sees it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Elected {
    pub leader: ServerId,
    /// The round in which it was elected.
    pub round: i64,
    /// The vote it was elected with.
    pub vote: Vote,
    /// The part of this server: Leading if `leader` is this server, otherwise Following or Observing.
    pub state: PeerState,
}

impl Election {
    pub fn new(options: &ZabOptions) -> Election {
        Election {
            electorate: Electorate::new(options.me, options.ensemble.clone(), options.last_seen()),
            finalize_wait: options.finalize_wait,
            notification_min: options.notification_min,
            notification_max: options.notification_max,
            reconfig_enabled: options.reconfig_enabled,
            links: Links::default(),
            round: 0,
            phase: Phase::Idle,
        }
    }

    /// A new round (EL034): propose ourselves, or nobody if we do not vote (EL035), and tell every voter. Without other voters
    /// the decision is due at once: see [`Election::next_deadline`].
    pub fn look(&mut self, now: Millis, last_logged: Zxid, current_epoch: Epoch, out: &mut Vec<Output>) {
        let own = Vote { leader: self.electorate.me(), zxid: last_logged, peer_epoch: current_epoch };
        self.start_round(now, own, out);
    }

    /// The role that the last round led to is over, and the next round has not begun: the history may still be on its way to
    /// another state, or an observer pauses. Whoever asks hears of neither the old leader nor a new candidate; everybody is told
    /// when the next round begins.
    pub fn leave(&mut self) {
        self.phase = Phase::Idle;
    }

    /// From another member. While looking: the algorithm; otherwise the answers that others need (EL046 of who has a leader, EL047
    /// to who does not vote).
    pub fn on_notification(
        &mut self,
        now: Millis,
        from: ServerId,
        n: Notification,
        out: &mut Vec<Output>,
    ) -> Option<Elected> {
        if from == self.electorate.me() || n.round > ROUND_MAX || n.peer_epoch > EPOCH_MAX {
            // Somebody in our name, or what no member says: a round is taken over by all that look, and would be the last one.
            return None;
        }
        if self.is_looking() && self.learn_ensemble(now, &n, out) == News::Members {
            return None;
        }
        if !self.electorate.is_voter(from) {
            self.answer_non_voter(from, out);
            return None;
        }
        match &mut self.phase {
            Phase::Idle => None,
            Phase::Settled(settled) => {
                // A vote of another round is none for this outcome, whomever it is for; those out of the election keep the
                // round in which they found their leader.
                let is_of_round = n.round == self.round || n.state != PeerState::Looking;
                if n.leader == settled.vote.leader && is_of_round {
                    settled.behind.insert(from);
                } else {
                    settled.behind.remove(&from);
                }
                if n.state == PeerState::Looking {
                    let (state, vote) = (settled.state, settled.vote);
                    self.send(from, state, vote, out);
                }
                None
            }
            Phase::Looking(looking) => {
                looking.repeat.heard(now);
                if n.state == PeerState::Looking && n.round < self.round {
                    // EL039: whoever lags behind learns of the round.
                    let proposal = looking.proposal;
                    self.send(from, PeerState::Looking, proposal, out);
                }
                if !self.electorate.is_voter(n.leader) {
                    return None;
                }
                match n.state {
                    PeerState::Looking => self.on_vote(now, from, &n, out),
                    PeerState::Following | PeerState::Leading => self.on_settled(from, &n),
                    PeerState::Observing => None,
                }
            }
        }
    }

    /// The connection to `peer` came up or went down. Ends a wait early, never starts anything: the edge repeats our last
    /// message on a new connection.
    pub fn on_link(&mut self, now: Millis, peer: ServerId, up: bool, _out: &mut Vec<Output>) -> Option<Elected> {
        if self.electorate.is_voter(peer) {
            self.links.set(peer, up);
        }
        self.count(now)
    }

    pub fn on_tick(&mut self, now: Millis, out: &mut Vec<Output>) -> Option<Elected> {
        let Phase::Looking(looking) = &mut self.phase else { return None };
        if looking.patience.until().is_some() {
            return self.count(now);
        }
        if looking.repeat.due() <= now {
            looking.repeat.repeated(now);
            self.tell_all(out);
        }
        None
    }

    /// When [`Election::on_tick`] has something to do; `None` unless looking.
    pub fn next_deadline(&self) -> Option<Millis> {
        match &self.phase {
            Phase::Looking(looking) => Some(looking.patience.until().unwrap_or(looking.repeat.due())),
            Phase::Idle | Phase::Settled(_) => None,
        }
    }

    /// The state that answers tell from now on. [`Elected::state`] is told from the moment of the decision without this.
    pub fn settle(&mut self, state: PeerState) {
        assert_ne!(state, PeerState::Looking, "looking is started by `look`");
        let Phase::Settled(settled) = &mut self.phase else { panic!("nobody is elected, so nothing is {state:?}") };
        settled.state = state;
    }

    /// The established epoch goes into the vote, so that those who join late hear the same from all (EL055, reference
    /// `updateElectionVote`; ZOOKEEPER-1732).
    pub fn set_peer_epoch(&mut self, epoch: Epoch) {
        let Phase::Settled(settled) = &mut self.phase else { panic!("nobody is elected for epoch {epoch:?}") };
        settled.vote.peer_epoch = epoch;
    }

    /// Other configurations are in force: decided by the leader, while this server is not looking.
    pub fn reconfigure(&mut self, active: Ensemble, last_seen: Option<Ensemble>) {
        assert!(!self.is_looking(), "configurations come from a leader or, while looking, from notifications");
        self.electorate = Electorate::new(self.electorate.me(), active, last_seen);
    }

    /// Whether the voters that are still for this outcome, together with those that `joined` knows of, are a quorum. They
    /// were at the time of the decision.
    pub fn is_still_elected(&self, joined: impl Fn(ServerId) -> bool) -> bool {
        let Phase::Settled(settled) = &self.phase else { panic!("nobody is elected") };
        self.quorums().contains_where(|voter| settled.behind.contains(&voter) || joined(voter))
    }

    pub fn round(&self) -> i64 {
        self.round
    }

    /// What is proposed, or was elected.
    pub fn vote(&self) -> Vote {
        match &self.phase {
            Phase::Idle => Vote::NOBODY,
            Phase::Looking(looking) => looking.proposal,
            Phase::Settled(settled) => settled.vote,
        }
    }

    pub fn is_looking(&self) -> bool {
        matches!(self.phase, Phase::Looking(_))
    }

    /// The active configuration. A newer one may have come with a notification while looking.
    pub fn ensemble(&self) -> &Ensemble {
        self.electorate.active()
    }

    /// The newest configuration known, active or not.
    pub fn last_seen(&self) -> Option<&Ensemble> {
        self.electorate.last_seen()
    }

    /// How votes, promises and acknowledgements are counted under both.
    pub fn quorums(&self) -> &Arc<Quorums> {
        self.electorate.quorums()
    }
}

/// While looking.
impl Election {
    fn start_round(&mut self, now: Millis, own: Vote, out: &mut Vec<Output>) {
        let initial = if self.electorate.i_vote() { own } else { Vote::NOBODY };
        self.round += 1;
        self.phase = Phase::Looking(Looking {
            own,
            initial,
            proposal: initial,
            in_round: Tally::default(),
            settled: Tally::default(),
            patience: Patience::default(),
            repeat: BackOff::new(now, self.notification_min, self.notification_max),
        });
        self.propose(initial, out);
        // Our vote alone may be a quorum. The decision is left to a tick, which may be due at once.
        self.weigh(now);
    }

    /// Makes `vote` ours, counts it and tells every voter.
    fn propose(&mut self, vote: Vote, out: &mut Vec<Output>) {
        let Phase::Looking(looking) = &mut self.phase else { unreachable!("only called while looking") };
        looking.proposal = vote;
        looking.patience.stop();
        // EL036, EL035, a last zxid of -1 and an observer: who does not trust its database does not count its own vote, nor does who
        // has none.
        if looking.initial.zxid != Zxid::NONE && self.electorate.is_voter(self.electorate.me()) {
            looking.in_round.cast(self.electorate.me(), Ballot::looking(vote, self.round));
        }
        self.tell_all(out);
    }

    /// A vote of a server that is looking, too (EL036 to EL040: by round, whether it is valid, and whether it is better than ours).
    fn on_vote(&mut self, now: Millis, from: ServerId, n: &Notification, out: &mut Vec<Output>) -> Option<Elected> {
        let Phase::Looking(looking) = &mut self.phase else { unreachable!("only called while looking") };
        if n.zxid == Zxid::NONE {
            // Whoever sends this will not vote for anybody: no use in waiting for it.
            looking.patience.heard(from);
            return self.count(now);
        }
        if looking.initial.zxid == Zxid::NONE {
            return None;
        }
        let vote = Vote::of(n);
        let better = self.electorate.prefers(&vote, &looking.proposal);
        if n.round < self.round || (n.round > self.round && looking.patience.until().is_some() && !better) {
            // About to decide with a quorum: a newcomer with a later round and nothing better finds the leader as a late
            // joiner. Going along would leave the others of the quorum with a leader that does not lead.
            return None;
        }
        if n.round > self.round {
            let initial = looking.initial;
            looking.in_round.clear();
            looking.patience = Patience::default();
            self.round = n.round;
            let best = if self.electorate.prefers(&vote, &initial) { vote } else { initial };
            self.propose(best, out);
        } else if better {
            self.propose(vote, out);
        } else if vote != looking.proposal {
            // What we told it may have come while it still followed a leader. The reference leaves it to the next repetition, 200 ms
            // later; a leader that is gone has to be replaced sooner. A worse vote is answered, a better one never: this ends.
            let proposal = looking.proposal;
            self.send(from, PeerState::Looking, proposal, out);
        }
        let Phase::Looking(looking) = &mut self.phase else { unreachable!("still looking") };
        looking.in_round.cast(from, Ballot::looking(vote, n.round));
        looking.patience.heard(from);
        self.count(now)
    }

    /// A server that follows or leads. Of this round, it has spoken for this round.
    fn on_settled(&mut self, from: ServerId, n: &Notification) -> Option<Elected> {
        let Phase::Looking(looking) = &mut self.phase else { unreachable!("only called while looking") };
        if n.round == self.round {
            looking.patience.heard(from);
        }
        let Looking { in_round, settled, .. } = looking;
        let found = late_joiner::on_settled(&self.electorate, self.round, in_round, settled, from, n)?;
        self.round = found.round;
        Some(self.decide(found.vote, found.supporters))
    }

    /// Ends the round if a quorum votes as we do, and nothing better is to be waited for (EL041).
    fn count(&mut self, now: Millis) -> Option<Elected> {
        self.weigh(now);
        let Phase::Looking(looking) = &self.phase else { return None };
        if looking.patience.until().is_none_or(|until| until > now) {
            return None;
        }
        let proposal = looking.proposal;
        let supporters = looking.in_round.supporters(&Ballot::looking(proposal, self.round), self.electorate.quorums());
        Some(self.decide(proposal, supporters))
    }

    /// Begins, ends or cuts short the wait for something better.
    fn weigh(&mut self, now: Millis) {
        let Phase::Looking(looking) = &mut self.phase else { return };
        let ballot = Ballot::looking(looking.proposal, self.round);
        if !looking.in_round.supporters(&ballot, self.electorate.quorums()).has_quorum() {
            looking.patience.stop();
            return;
        }
        looking.patience.wait(now + self.finalize_wait);
        // Voters do not tell a server that does not vote when they change their minds: it always waits.
        let told = self.electorate.i_vote();
        if told && looking.patience.is_pointless(ballot.vote.leader, self.electorate.others(), &self.links) {
            looking.patience.wait_no_longer(now);
        }
    }

    /// The end of the round (EL045).
    fn decide(&mut self, vote: Vote, supporters: AckSet) -> Elected {
        let state = if vote.leader == self.electorate.me() {
            PeerState::Leading
        } else if self.electorate.i_vote() {
            PeerState::Following
        } else {
            PeerState::Observing
        };
        self.phase = Phase::Settled(Settled { state, vote, behind: supporters.into_servers() });
        Elected { leader: vote.leader, round: self.round, vote, state }
    }

    /// A newer configuration is taken over if reconfiguration is enabled; one with other members starts the election again.
    fn learn_ensemble(&mut self, now: Millis, n: &Notification, out: &mut Vec<Output>) -> News {
        let Phase::Looking(Looking { own, .. }) = self.phase else { unreachable!("only called while looking") };
        let Some(text) = n.config.as_deref().filter(|_| self.reconfig_enabled) else { return News::Nothing };
        let news = self.electorate.learn(text);
        if news == News::Members {
            // The reference begins to count rounds anew here; ours only grow.
            self.start_round(now, own, out);
        }
        news
    }
}

/// What is sent.
impl Election {
    fn tell_all(&self, out: &mut Vec<Output>) {
        for voter in self.electorate.others() {
            self.send(voter, PeerState::Looking, self.vote(), out);
        }
    }

    /// Who does not vote only wants to know how things stand (EL047).
    fn answer_non_voter(&self, to: ServerId, out: &mut Vec<Output>) {
        match &self.phase {
            Phase::Idle => {}
            Phase::Looking(looking) => self.send(to, PeerState::Looking, looking.proposal, out),
            Phase::Settled(settled) => self.send(to, settled.state, settled.vote, out),
        }
    }

    fn send(&self, to: ServerId, state: PeerState, vote: Vote, out: &mut Vec<Output>) {
        let notification = Notification {
            state,
            leader: vote.leader,
            zxid: vote.zxid,
            round: self.round,
            peer_epoch: vote.peer_epoch,
            version: FORMAT,
            config: Some(self.electorate.text().to_owned()),
        };
        out.push(Output::Notify { to, notification });
    }
}
