//! One server against single messages.

use PeerState::{Following, Leading, Looking, Observing};

use super::super::vote::Ballot;
use super::*;

fn vote(leader: i64, epoch: i64, zxid: Zxid) -> Vote {
    Vote { leader: ServerId(leader), zxid, peer_epoch: Epoch(epoch) }
}

#[test]
fn a_round_begins_with_a_proposal_of_oneself_to_every_other_voter() {
    let mut one = One::of(2, members(3, 4, ""));
    assert_eq!(one.told(), (vec![1, 3], Some((Looking, 2, 1))));
    one.look(zxid(1, 6), 1);
    let n = one.sent[0].1.clone();
    assert_eq!((n.zxid, n.round, n.peer_epoch, n.version), (zxid(1, 6), 2, Epoch(1), 2));
    assert_eq!(n.config, Some(members(3, 4, "").to_string()));
}

#[test]
fn votes_are_ordered_by_epoch_then_zxid_then_id() {
    let base = vote(2, 2, zxid(2, 5));
    for higher in [vote(1, 3, zxid(1, 0)), vote(1, 2, zxid(2, 6)), vote(3, 2, zxid(2, 5))] {
        assert!(higher.is_above(&base) && !base.is_above(&higher), "{higher:?}");
    }
    assert!(!base.is_above(&base));
    assert!(base.is_above(&Vote::NOBODY));
}

#[test]
fn looking_votes_agree_in_everything_and_settled_ones_in_leader_and_epoch() {
    let ballot = |state, version, round, zxid, epoch| Ballot { vote: vote(3, epoch, zxid), round, state, version };
    let (z, other) = (zxid(1, 1), zxid(1, 2));
    let looking = ballot(Looking, 2, 4, z, 1);
    assert!(looking.agrees_with(&ballot(Following, 0, 4, z, 1)));
    for different in [ballot(Looking, 2, 5, z, 1), ballot(Leading, 2, 4, other, 1), ballot(Following, 2, 4, z, 2)] {
        assert!(!looking.agrees_with(&different) && !different.agrees_with(&looking), "{different:?}");
    }
    assert!(ballot(Following, 2, 4, z, 1).agrees_with(&ballot(Leading, 1, 9, other, 1)));
    assert!(!ballot(Following, 2, 4, z, 1).agrees_with(&ballot(Leading, 1, 4, z, 2)));
    assert!(ballot(Following, 0, 4, z, 1).agrees_with(&ballot(Leading, 2, 9, other, 2)), "one without versions");
}

#[test]
fn a_better_vote_of_the_same_round_is_taken_over_and_told_to_all() {
    let mut one = One::of(1, members(5, 5, ""));
    one.told();
    assert_eq!(one.hear(3, note(Looking, 3, zxid(1, 5), 1, 1)), None);
    assert_eq!(one.told(), (vec![2, 3, 4, 5], Some((Looking, 3, 1))));
    assert_eq!(one.hear(2, note(Looking, 2, zxid(1, 5), 1, 1)), None);
    assert_eq!(one.told(), (vec![2], Some((Looking, 3, 1))), "a worse one is counted, and answered with ours");
    assert_eq!(one.hear(2, note(Looking, 3, zxid(1, 5), 1, 1)), None);
    assert_eq!(one.told(), (vec![], None), "an equal one is only counted");
}

#[test]
fn a_later_round_is_joined_with_the_better_of_its_vote_and_our_own() {
    let mut one = One::of(3, members(5, 5, ""));
    one.hear(5, note(Looking, 5, zxid(1, 5), 1, 1));
    one.told();
    one.hear(1, note(Looking, 1, zxid(1, 4), 7, 1));
    assert_eq!(one.told().1, Some((Looking, 3, 7)), "5 was proposed in an earlier round");
    one.hear(4, note(Looking, 4, zxid(1, 5), 9, 1));
    assert_eq!((one.told().1, one.election.round()), (Some((Looking, 4, 9)), 9));
}

#[test]
fn a_round_that_nobody_can_have_reached_is_not_joined() {
    let mut one = One::of(1, members(3, 3, ""));
    one.told();
    for (round, epoch) in [(i64::MAX, 9), ((1 << 62) + 1, 9), (1, i64::MAX), (1, 1 << 31)] {
        assert_eq!(one.hear(3, note(Looking, 3, zxid(9, 9), round, epoch)), None);
    }
    assert_eq!((one.told(), one.election.round()), ((vec![], None), 1));
    // Nor does one in our name end us.
    assert_eq!(one.hear(1, note(Looking, 3, zxid(9, 9), 1, 9)), None);
    one.hear(3, note(Looking, 3, zxid(1, 5), 1 << 62, 1));
    one.look(zxid(1, 5), 1);
    assert_eq!(one.election.round(), (1 << 62) + 1, "and one is left behind the last that is joined");
}

#[test]
fn an_earlier_round_is_answered_and_not_counted() {
    let mut one = One::of(1, members(3, 3, ""));
    one.hear(2, note(Looking, 1, zxid(1, 5), 7, 1));
    one.told();
    one.look(zxid(1, 5), 1);
    one.told();
    assert_eq!(one.hear(3, note(Looking, 3, zxid(9, 9), 7, 9)), None);
    assert_eq!(one.told(), (vec![3], Some((Looking, 1, 8))));
    assert_eq!(one.election.vote().leader, ServerId(1));
}

#[test]
fn a_quorum_of_equal_votes_waits_for_something_better() {
    let mut one = One::of(4, members(5, 5, ""));
    assert_eq!(one.hear(1, note(Looking, 4, zxid(1, 5), 1, 1)), None);
    assert_eq!(one.hear(2, note(Looking, 4, zxid(1, 5), 1, 1)), None);
    assert_eq!(one.election.next_deadline(), Some(Millis(1200)));
    assert_eq!(one.tick_at(Millis(1199)), None);
    // Something better ends the wait; with a quorum for that another one begins.
    assert_eq!(one.hear(5, note(Looking, 5, zxid(1, 5), 1, 1)), None);
    assert_eq!(one.hear(1, note(Looking, 5, zxid(1, 5), 1, 1)), None);
    assert_eq!(one.election.next_deadline(), Some(Millis(1399)));
    let elected = one.tick_at(Millis(1399)).unwrap();
    assert_eq!((elected.leader, elected.round, elected.state), (ServerId(5), 1, Following));
    assert_eq!((one.election.next_deadline(), one.election.is_looking()), (None, false));
}

#[test]
fn the_wait_is_cut_short_when_every_voter_has_spoken_or_is_out_of_reach() {
    let mut all_spoke = One::of(3, members(3, 3, ""));
    assert_eq!(all_spoke.hear(1, note(Looking, 1, zxid(1, 5), 1, 1)), None);
    assert_eq!(all_spoke.hear(2, note(Looking, 3, zxid(1, 5), 1, 1)).unwrap().leader, ServerId(3));

    let mut down_before = One::of(2, members(3, 3, ""));
    assert_eq!(down_before.link(3, false), None);
    assert_eq!(down_before.hear(1, note(Looking, 2, zxid(1, 5), 1, 1)).unwrap().state, Leading);

    let mut down_after = One::of(1, members(3, 3, ""));
    assert_eq!(down_after.hear(2, note(Looking, 2, zxid(1, 5), 1, 1)), None);
    assert_eq!(down_after.link(3, true), None);
    assert_eq!(down_after.link(3, false).unwrap().leader, ServerId(2));
}

#[test]
fn links_elect_nobody_without_a_quorum_of_votes() {
    let mut one = One::of(3, members(5, 5, ""));
    for peer in [1, 2, 4, 5] {
        assert_eq!(one.link(peer, false), None);
    }
    assert_eq!(one.hear(1, note(Looking, 3, zxid(1, 5), 1, 1)), None, "two of five");
    assert_eq!(one.hear(2, note(Looking, 2, zxid(1, 5), 1, 1)), None, "and a third who thinks otherwise");
    assert_eq!(one.hear(2, note(Looking, 3, zxid(1, 5), 1, 1)).unwrap().leader, ServerId(3));
}

#[test]
fn a_candidate_out_of_reach_gets_the_whole_wait_to_come_back() {
    let mut one = One::of(1, members(3, 3, ""));
    one.link(3, false);
    assert_eq!(one.hear(2, note(Looking, 3, zxid(1, 5), 1, 1)), None);
    assert_eq!(one.hear(3, note(Looking, 3, zxid(1, 5), 1, 1)), None);
    assert_eq!(one.link(3, true).unwrap().leader, ServerId(3));
}

#[test]
fn a_later_round_without_a_better_vote_does_not_end_a_wait() {
    let mut one = One::of(3, members(5, 5, ""));
    one.hear(1, note(Looking, 3, zxid(1, 5), 1, 1));
    one.hear(2, note(Looking, 3, zxid(1, 5), 1, 1));
    assert_eq!(one.hear(4, note(Looking, 4, zxid(1, 4), 7, 1)), None);
    assert_eq!((one.election.round(), one.election.next_deadline()), (1, Some(Millis(1200))));
    assert_eq!(one.hear(5, note(Looking, 5, zxid(1, 5), 8, 1)), None);
    assert_eq!((one.election.round(), one.election.vote().leader), (8, ServerId(5)));
}

#[test]
fn silence_is_broken_with_growing_pauses() {
    let mut options = ZabOptions::new(ServerId(1), members(3, 3, ""));
    options.notification_max = Millis(1000);
    let mut one = One::new(options, zxid(1, 5), 1);
    one.told();
    let mut at = vec![];
    for _ in 0..5 {
        let due = one.election.next_deadline().unwrap();
        at.push(due.0 - one.now.0);
        assert_eq!(one.tick_at(Millis(due.0 - 1)), None);
        assert_eq!(one.told(), (vec![], None));
        assert_eq!(one.tick_at(due), None);
        assert_eq!(one.told(), (vec![2, 3], Some((Looking, 1, 1))));
    }
    assert_eq!(at, [200, 400, 800, 1000, 1000]);
    one.now = one.now + Millis(10);
    one.hear(2, note(Looking, 1, zxid(1, 5), 0, 1));
    assert_eq!(one.election.next_deadline(), Some(one.now + Millis(1000)), "what is heard begins the silence anew");
    one.look(zxid(1, 5), 1);
    assert_eq!(one.election.next_deadline(), Some(one.now + Millis(200)));
}

#[test]
fn a_settled_server_answers_those_who_look_with_its_leader_and_round() {
    let mut one = One::of(1, members(3, 4, ""));
    one.link(2, false);
    assert_eq!(one.hear(3, note(Looking, 3, zxid(1, 5), 4, 1)).unwrap().round, 4);
    one.told();
    one.hear(2, note(Looking, 2, zxid(1, 5), 9, 1));
    assert_eq!(one.told(), (vec![2], Some((Following, 3, 4))));
    one.hear(2, note(Following, 3, zxid(1, 5), 4, 1));
    assert_eq!(one.told(), (vec![], None), "who does not look needs no answer");
    one.election.set_peer_epoch(Epoch(2));
    one.hear(4, note(Looking, i64::MIN, Zxid(i64::MIN), 1, i64::MIN));
    assert_eq!(one.sent[0].1.peer_epoch, Epoch(2));
    assert_eq!(one.told(), (vec![4], Some((Following, 3, 4))));
    one.election.settle(Leading);
    one.hear(2, note(Looking, 2, zxid(1, 5), 9, 1));
    assert_eq!(one.told(), (vec![2], Some((Leading, 3, 4))));
}

#[test]
fn a_server_that_does_not_vote_is_answered_at_once_and_not_counted() {
    let mut one = One::of(1, members(3, 4, ""));
    one.told();
    assert_eq!(one.hear(4, note(Looking, 3, zxid(9, 9), 9, 9)), None);
    assert_eq!(one.told(), (vec![4], Some((Looking, 1, 1))));
    assert_eq!(one.hear(77, note(Looking, 77, zxid(9, 9), 1, 9)), None);
    assert_eq!((one.told().0, one.election.vote().leader), (vec![77], ServerId(1)));
}

#[test]
fn votes_for_strangers_and_news_of_observers_are_ignored() {
    let mut one = One::of(1, members(3, 4, ""));
    one.told();
    for leader in [4, 77, i64::MIN] {
        assert_eq!(one.hear(2, note(Looking, leader, zxid(9, 9), 3, 9)), None);
    }
    assert_eq!(one.hear(2, note(Observing, 3, zxid(1, 5), 1, 1)), None);
    assert_eq!((one.told().0, one.election.round(), one.election.vote().leader), (vec![], 1, ServerId(1)));
}

#[test]
fn a_server_that_does_not_trust_its_database_neither_votes_nor_is_voted_for() {
    let options = ZabOptions::new(ServerId(3), members(3, 3, ""));
    let mut empty = One::new(options, Zxid::NONE, 0);
    assert_eq!(empty.sent[0].1.zxid, Zxid::NONE);
    assert_eq!(empty.hear(1, note(Looking, 1, zxid(1, 5), 4, 1)), None);
    assert_eq!(empty.hear(2, note(Looking, 2, zxid(1, 5), 4, 1)), None);
    assert_eq!((empty.election.round(), empty.election.vote().leader), (1, ServerId(3)));
    // It follows whom the others have elected.
    assert_eq!(empty.hear(1, note(Following, 2, zxid(1, 5), 4, 1)), None);
    let elected = empty.hear(2, note(Leading, 2, zxid(1, 5), 4, 1)).unwrap();
    assert_eq!((elected.leader, elected.round), (ServerId(2), 4));

    let mut other = One::of(2, members(3, 3, ""));
    other.told();
    assert_eq!(other.hear(3, note(Looking, 3, Zxid::NONE, 6, 1)), None);
    assert_eq!((other.told().0, other.election.round()), (vec![], 1));
    assert_eq!(other.hear(1, note(Looking, 2, zxid(1, 5), 1, 1)).unwrap().leader, ServerId(2), "3 is not waited for");
}

#[test]
fn a_voter_alone_elects_itself_at_the_first_tick() {
    let mut one = One::of(1, members(1, 2, ""));
    assert_eq!((one.told().0, one.election.next_deadline()), (vec![], Some(one.now)));
    assert_eq!(one.tick_at(one.now).unwrap().state, Leading);
    let mut empty = One::new(ZabOptions::new(ServerId(1), members(1, 1, "")), Zxid::NONE, 0);
    assert_eq!(empty.tick_at(Millis(9000)), None, "an empty database elects nobody");
}

#[test]
fn a_newer_configuration_is_taken_over_only_while_looking_and_only_if_allowed() {
    let with = |members: Ensemble, version: i64| {
        let mut members = members;
        members.set_version(Zxid(version));
        let mut n = note(Looking, 2, zxid(1, 5), 1, 1);
        n.config = Some(members.to_string());
        n
    };
    let mut forbidden = One::of(1, members(3, 3, ""));
    forbidden.hear(2, with(members(5, 5, ""), 9));
    assert_eq!(forbidden.election.ensemble(), &members(3, 3, ""));

    let mut options = ZabOptions::new(ServerId(1), members(3, 3, ""));
    options.reconfig_enabled = true;
    let mut one = One::new(options, zxid(1, 5), 1);
    one.told();
    one.hear(2, with(members(3, 3, ""), 8));
    assert_eq!((one.election.ensemble().version(), one.election.round()), (Zxid(8), 1), "same members: no new round");
    assert_eq!(one.told().1, Some((Looking, 2, 1)), "and the vote in it counts");
    one.hear(2, with(members(5, 5, ""), 9));
    assert_eq!(one.told(), (vec![2, 3, 4, 5], Some((Looking, 1, 2))));
    assert_eq!(one.election.last_seen().unwrap().version(), Zxid(9));
    one.hear(2, with(members(4, 4, ""), 9));
    one.hear(2, with(members(4, 4, ""), 3));
    assert_eq!((one.election.ensemble().voters().count(), one.election.round()), (5, 2), "not newer");
    one.hear(4, note(Looking, 4, zxid(1, 5), 2, 1));
    one.hear(3, note(Following, 4, zxid(1, 5), 2, 1));
    one.hear(4, note(Leading, 4, zxid(1, 5), 2, 1)).unwrap();
    one.hear(2, with(members(3, 3, ""), 20));
    assert_eq!(one.election.ensemble().version(), Zxid(9), "settled");
    one.election.reconfigure(members(4, 4, "version=20"), None);
    assert_eq!(one.election.ensemble().version(), Zxid(0x20));
}

#[test]
fn a_vote_counts_without_its_configuration_if_that_cannot_be_read() {
    for (reconfig_enabled, text) in [(true, "server.1="), (true, "\u{fffd}"), (true, ""), (false, "server.1=")] {
        let options = ZabOptions { reconfig_enabled, ..ZabOptions::new(ServerId(1), members(3, 3, "")) };
        let mut one = One::new(options, zxid(1, 5), 1);
        let vote = || Notification { config: Some(text.into()), ..note(Looking, 3, zxid(1, 5), 1, 1) };
        assert_eq!(one.hear(3, vote()), None, "2 may have a better one");
        assert_eq!(one.hear(2, vote()).map(|elected| elected.leader), Some(ServerId(3)), "{text:?}");
        assert_eq!(one.election.ensemble(), &members(3, 3, ""));
    }
}

#[test]
fn an_observer_that_a_newer_configuration_makes_a_voter_proposes_itself() {
    let mut options = ZabOptions::new(ServerId(3), members(2, 3, ""));
    options.reconfig_enabled = true;
    let mut one = One::new(options, zxid(1, 5), 1);
    assert_eq!(one.told(), (vec![1, 2], Some((Looking, i64::MIN, 1))));
    let config = Some(members(3, 3, "version=9").to_string());
    one.hear(1, Notification { config, ..note(Looking, 1, zxid(1, 5), 1, 1) });
    assert_eq!(one.told(), (vec![1, 2], Some((Looking, 3, 2))));
}

#[test]
fn while_a_newer_configuration_is_pending_a_quorum_of_both_is_needed() {
    let mut options = ZabOptions::new(ServerId(3), members(3, 3, ""));
    options.last_seen = Some(members(5, 5, "version=1"));
    assert_eq!(
        One::new(options.clone(), zxid(1, 5), 1).told().0,
        [1, 2],
        "without reconfiguration there is no pending one"
    );
    options.reconfig_enabled = true;
    let mut one = One::new(options, zxid(1, 5), 1);
    assert_eq!(one.told().0, [1, 2, 4, 5]);
    for peer in [4, 5] {
        one.link(peer, false);
    }
    assert_eq!(one.hear(2, note(Looking, 3, zxid(1, 5), 1, 1)), None, "two of three, but two of five");
    assert_eq!(one.hear(1, note(Looking, 3, zxid(1, 5), 1, 1)).unwrap().leader, ServerId(3));
}
