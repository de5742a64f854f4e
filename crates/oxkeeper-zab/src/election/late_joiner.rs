//! Finding a leader that is there already: from what followers and the leader itself say, in whatever round.
//!
//! Owns reference `receivedFollowingNotification` (EL048 in our round, EL049 in another, EL050 its leader must say so itself). Must
//! not know the votes of servers that are looking, beyond that they count beside those of the same round.

use oxkeeper_proto::election::Notification;
use oxkeeper_types::ServerId;

use super::electorate::Electorate;
use super::tally::Tally;
use super::vote::{Ballot, Vote};
use crate::quorum::AckSet;

/// A leader that a quorum says it follows: the vote, the round it was elected in, and who says so.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Found {
    pub vote: Vote,
    pub round: i64,
    pub supporters: AckSet,
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
    let found = |supporters| Found { vote: ballot.vote, round: n.round, supporters };
    if n.round == round {
        // The reference does not keep the version here, so that the epochs of settled ballots of one round are not compared.
        in_round.cast(from, Ballot { version: 0, ..ballot });
        if let Some(supporters) = established(electorate, round, in_round, &ballot) {
            return Some(found(supporters));
        }
    }
    settled.cast(from, ballot);
    established(electorate, round, settled, &ballot).map(found)
}

/// The quorum that agrees, where the leader has said that it leads; or it is this server, and still in that round.
fn established(electorate: &Electorate, round: i64, tally: &Tally, ballot: &Ballot) -> Option<AckSet> {
    let leader = ballot.vote.leader;
    let leads = if leader == electorate.me() { ballot.round == round } else { tally.says_it_leads(leader) };
    let supporters = tally.supporters(ballot, electorate.quorums());
    (leads && supporters.has_quorum()).then_some(supporters)
}
