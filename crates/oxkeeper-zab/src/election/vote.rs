//! A vote, the order of votes, and when two of them are for the same outcome.
//!
//! Owns the comparisons of reference `FastLeaderElection.totalOrderPredicate` and `Vote.equals`. Must not know who has voted.

use oxkeeper_proto::election::{Notification, PeerState};
use oxkeeper_types::{Epoch, ServerId, Zxid};

/// Who should lead, and why: the epoch of its history, then how long the history is, then its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Vote {
    pub leader: ServerId,
    /// The leader's last logged zxid, as known when it was proposed.
    pub zxid: Zxid,
    /// The leader's current epoch; after the synchronisation the established one (EL055).
    pub peer_epoch: Epoch,
}

impl Vote {
    /// The proposal of a server that cannot be elected (EL035): below every other, and its leader is no member.
    pub const NOBODY: Vote = Vote { leader: ServerId(i64::MIN), zxid: Zxid(i64::MIN), peer_epoch: Epoch(i64::MIN) };

    pub(super) fn of(n: &Notification) -> Vote {
        Vote { leader: n.leader, zxid: n.zxid, peer_epoch: n.peer_epoch }
    }

    /// Epoch, then zxid, then id (EL037). Weights are the caller's.
    pub(super) fn is_above(&self, other: &Vote) -> bool {
        (self.peer_epoch, self.zxid, self.leader) > (other.peer_epoch, other.zxid, other.leader)
    }
}

/// A vote as it was cast: in a round, by a server in some state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Ballot {
    pub vote: Vote,
    pub round: i64,
    pub state: PeerState,
    /// Format version of the notification that brought it; 0 where the reference forgets it.
    pub version: i32,
}

impl Ballot {
    /// What a server that is looking votes for. The version never matters for these.
    pub(super) fn looking(vote: Vote, round: i64) -> Ballot {
        Ballot { vote, round, state: PeerState::Looking, version: 0 }
    }

    pub(super) fn of(n: &Notification) -> Ballot {
        Ballot { vote: Vote::of(n), round: n.round, state: n.state, version: n.version }
    }

    /// Whether both are counted together (reference `Vote.equals`).
    ///
    /// Between servers out of the election zxid and round are left out: they are as old as the vote, and differ from server
    /// to server in a stable ensemble (ZOOKEEPER-1805, EL054). Servers of format version 0 do not keep the epoch of the vote
    /// up to date (ZOOKEEPER-1732), so it is left out between one of them and a later one.
    pub(super) fn agrees_with(&self, other: &Ballot) -> bool {
        if self.state == PeerState::Looking || other.state == PeerState::Looking {
            return self.vote == other.vote && self.round == other.round;
        }
        let one_is_old = (self.version > 0) != (other.version > 0);
        self.vote.leader == other.vote.leader && (one_is_old || self.vote.peer_epoch == other.vote.peer_epoch)
    }
}
