//! Finding a leader that is there already: from what followers and the leader itself say, in whatever round.
//!
//! Owns reference `receivedFollowingNotification` (EL048, EL049, EL050). Must not know the votes of servers that are looking,
//! beyond that they count beside those of the same round.

use oxkeeper_proto::election::Notification;
use oxkeeper_types::ServerId;

use super::electorate::Electorate;
use super::tally::Tally;
use super::vote::{Ballot, Vote};

/// A leader that a quorum says it follows: the vote, and the round it was elected in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub vote: Vote,
    pub round: i64,
}

/// Takes a notification from a server that follows or leads. `round` is this server's, `in_round` its ballots, `settled`
/// what servers out of the election have said.
pub(super) fn on_settled(
    electorate: &Electorate,
    round: i64,
    in_round: &mut Tally,
    settled: &mut Tally,
    from: ServerId,
    n: &Notification,
) -> Option<Found> {
    let ballot = Ballot::of(n);
    let found = Found { vote: ballot.vote, round: n.round };
    if n.round == round {
        // The reference does not keep the version here, so that the epochs of settled ballots of one round are not compared.
        in_round.cast(from, Ballot { version: 0, ..ballot });
        if is_established(electorate, round, in_round, &ballot) {
            return Some(found);
        }
    }
    settled.cast(from, ballot);
    is_established(electorate, round, settled, &ballot).then_some(found)
}

/// A quorum agrees, and the leader has said that it leads; or it is this server, and still in that round.
fn is_established(electorate: &Electorate, round: i64, tally: &Tally, ballot: &Ballot) -> bool {
    let leader = ballot.vote.leader;
    let leads = if leader == electorate.me() { ballot.round == round } else { tally.says_it_leads(leader) };
    leads && tally.supporters(ballot, electorate.quorums()).has_quorum()
}
