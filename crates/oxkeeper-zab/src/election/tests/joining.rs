//! A server that comes to others who have a leader.

use PeerState::{Following, Leading, Looking, Observing};

use super::*;

#[test]
fn a_late_joiner_needs_a_quorum_and_the_word_of_the_leader() {
    let mut one = One::of(5, members(5, 5, ""));
    for follower in [1, 2, 4] {
        assert_eq!(one.hear(follower, note(Following, 3, zxid(1, 5), 9, 2)), None, "the leader has not spoken");
    }
    let elected = one.hear(3, note(Leading, 3, zxid(1, 5), 9, 2)).unwrap();
    assert_eq!((elected.leader, elected.round, elected.state), (ServerId(3), 9, Following));
    assert_eq!((one.election.round(), one.election.vote().peer_epoch), (9, Epoch(2)));

    let mut leader_first = One::of(5, members(5, 5, ""));
    assert_eq!(leader_first.hear(3, note(Leading, 3, zxid(1, 5), 9, 2)), None);
    assert_eq!(leader_first.hear(1, note(Following, 3, zxid(1, 5), 9, 2)), None, "two of five");
    assert!(leader_first.hear(2, note(Following, 3, zxid(1, 5), 9, 2)).is_some());
}

#[test]
fn rounds_and_zxids_of_a_stable_ensemble_may_differ_but_not_the_epoch() {
    let mut one = One::of(5, members(5, 5, ""));
    assert_eq!(one.hear(3, note(Leading, 3, zxid(1, 7), 9, 2)), None);
    // A follower that has not heard UPTODATE yet has the epoch of the vote.
    assert_eq!(one.hear(1, note(Following, 3, zxid(1, 5), 9, 1)), None);
    assert_eq!(one.hear(4, note(Following, 3, zxid(1, 6), 8, 2)), None);
    assert!(one.hear(1, note(Following, 3, zxid(1, 5), 9, 2)).is_some());
}

#[test]
fn a_leader_that_has_not_raised_its_epoch_yet_is_found_when_it_has() {
    let mut one = One::of(5, members(5, 5, ""));
    for follower in [1, 2] {
        assert_eq!(one.hear(follower, note(Following, 3, zxid(1, 5), 9, 2)), None);
    }
    // With the epoch of its vote it is alone, but it has said that it leads: the next follower to speak completes a quorum.
    assert_eq!(one.hear(3, note(Leading, 3, zxid(1, 5), 9, 1)), None);
    assert_eq!(one.hear(4, note(Following, 3, zxid(1, 5), 9, 2)).unwrap().leader, ServerId(3));

    let mut other = One::of(3, members(3, 3, ""));
    assert_eq!(other.hear(1, note(Following, 2, zxid(1, 5), 9, 2)), None);
    assert_eq!(other.hear(2, note(Leading, 2, zxid(1, 5), 9, 1)), None);
    assert_eq!(other.election.next_deadline(), Some(Millis(1200)));
    assert_eq!(other.tick_at(Millis(1200)), None);
    assert!(other.hear(2, note(Leading, 2, zxid(1, 5), 9, 2)).is_some());
}

#[test]
fn a_server_of_the_oldest_format_counts_without_its_epoch() {
    let mut one = One::of(3, members(3, 3, ""));
    let old = Notification { version: 0, ..note(Following, 2, zxid(1, 5), 9, 1) };
    assert_eq!(one.hear(1, old), None);
    assert!(one.hear(2, note(Leading, 2, zxid(1, 5), 9, 2)).is_some());
}

#[test]
fn votes_of_looking_and_settled_servers_of_one_round_count_together() {
    let mut one = One::of(1, members(3, 3, ""));
    one.hear(2, note(Looking, 3, zxid(1, 5), 1, 1));
    one.hear(2, note(Looking, 2, zxid(1, 5), 0, 1));
    let elected = one.hear(3, note(Leading, 3, zxid(1, 5), 1, 1)).unwrap();
    assert_eq!((elected.leader, elected.round), (ServerId(3), 1), "2 and we are looking, 3 leads");
}

#[test]
fn a_server_elected_by_the_others_leads_only_in_the_same_round() {
    let following = |round| note(Following, 3, zxid(1, 5), round, 1);
    let mut same = One::of(3, members(5, 5, ""));
    assert_eq!(same.hear(1, following(1)), None);
    assert_eq!(same.hear(2, following(1)).unwrap().state, Leading);
    let mut restarted = One::of(3, members(5, 5, ""));
    for follower in [1, 2, 4, 5] {
        assert_eq!(restarted.hear(follower, following(4)), None, "they remember a life before this one");
    }
}

#[test]
fn followers_of_a_dead_leader_elect_nobody_from_memory() {
    let mut one = One::of(1, members(5, 5, ""));
    one.link(5, false);
    for follower in [2, 3, 4] {
        assert_eq!(one.hear(follower, note(Following, 5, zxid(1, 5), 1, 1)), None);
    }
    assert!(one.election.is_looking());
}

#[test]
fn an_observer_learns_who_leads() {
    let mut settled = One::of(4, members(3, 4, ""));
    assert_eq!(settled.told(), (vec![1, 2, 3], Some((Looking, i64::MIN, 1))));
    assert_eq!(settled.hear(1, note(Following, 2, zxid(1, 5), 3, 1)), None);
    let elected = settled.hear(2, note(Leading, 2, zxid(1, 5), 3, 1)).unwrap();
    assert_eq!((elected.leader, elected.state), (ServerId(2), Observing));

    let mut looking = One::of(4, members(3, 4, ""));
    for voter in [1, 2, 3] {
        assert_eq!(looking.hear(voter, note(Looking, 3, zxid(1, 5), 1, 1)), None, "votes may still change");
    }
    assert_eq!(looking.told().1, Some((Looking, 3, 1)));
    assert_eq!(looking.tick_at(Millis(1200)).unwrap().state, Observing);
}
