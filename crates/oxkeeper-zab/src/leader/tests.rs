//! Transcripts of a leader: here of phase 1, a file each for what comes behind it.

mod broadcast;
mod liveness;
mod synchronisation;

use crate::testing::{Bench, durable, ensemble, hello, txn, z};
use crate::{Durable, Input, LinkId, Standing, ZabOptions};
use oxkeeper_proto::election::{Notification, PeerState};
use oxkeeper_proto::quorum::{LearnerInfo, Packet};
use oxkeeper_types::ensemble::{Ensemble, MemberRules};
use oxkeeper_types::{Epoch, Millis, ServerId, Zxid};

fn options() -> ZabOptions {
    ZabOptions::new(ServerId(1), ensemble())
}

#[test]
fn the_leader_s_promise_is_on_disk_before_leaderinfo() {
    // Paper, phase 1: the epoch is above every promise of a quorum.
    let mut l = Bench::new(1, durable(3));
    assert_eq!(l.elect(1), ["preparing"]);
    assert_eq!(l.join(2, 2, 4), ["accepted 5"]);
    assert!(l.join(3, 3, 1).is_empty(), "not on disk yet");
    assert_eq!(l.disk(), ["2 LEADERINFO 5", "3 LEADERINFO 5"]);
}

#[test]
fn a_learner_that_was_faster_than_our_election_is_served() {
    let mut l = Bench::new(1, durable(3));
    assert!(l.join(2, 2, 1).is_empty());
    assert_eq!(l.elect(1), ["preparing", "accepted 2"]);
    assert_eq!(l.disk(), ["2 LEADERINFO 2"]);
    // ... and one that was wrong about us is told so.
    let mut f = Bench::new(1, durable(3));
    f.join(2, 2, 1);
    assert_eq!(f.elect(3), ["close 2: RoleOver", "following 3 false", "dial 3"]);
}

#[test]
fn a_voter_that_is_ahead_ends_the_role() {
    // QP037, a voter that is ahead of the leader: (current epoch, last zxid)
    for (current, last, is_over) in [(1, z(1, 4), true), (2, z(1, 1), true), (1, z(1, 3), false)] {
        let mut l = Bench::new(1, durable(3));
        l.elect(1);
        l.join(2, 2, 2);
        l.disk();
        let lines = l.ack_epoch(2, Some(current), last);
        assert_eq!(lines.contains(&"looking".to_string()), is_over, "{current} {last}: {lines:?}");
    }
}

#[test]
fn a_second_answer_to_an_epoch_does_not_count_nor_does_an_observer() {
    let mut l = Bench::new(1, durable(3));
    l.elect(1);
    assert!(l.join(4, 4, 1).is_empty(), "an observer is no quorum");
    l.join(2, 2, 1);
    l.disk();
    assert!(l.ack_epoch(2, None, z(1, 3)).is_empty());
    assert!(l.ack_epoch(4, Some(1), z(1, 9)).is_empty(), "an observer may be ahead");
    assert_eq!(l.zab.report().standing, Standing::Leading(crate::Phase::Discovery));
    l.join(3, 3, 1);
    let lines = l.ack_epoch(3, Some(1), z(1, 3));
    assert_eq!(lines[..2], ["current 2", "preparing 2"]);
}

#[test]
fn a_promise_with_a_wish_for_a_snapshot_counts_where_the_leader_knows_to_be_ahead() {
    // Two of three are alive, and the history of one of them cannot be cut. (current epoch, end of what it has)
    let rows = [
        (1, Some(z(1, 3)), "agreed"),
        (0, Some(z(1, 9)), "agreed"),
        (1, Some(z(1, 4)), "over"),
        (2, Some(z(1, 1)), "over"),
        // It knows of no history, and may have had one: as one whose data directory was emptied.
        (1, None, "waits"),
        (0, None, "waits"),
    ];
    for (current, kept, outcome) in rows {
        let mut l = Bench::new(1, durable(3));
        l.elect(1);
        l.join(2, 2, 2);
        l.disk();
        let lines = l.ack_epoch_for_snapshot(2, current, kept);
        let expected: &[&str] = match outcome {
            "agreed" => &["current 3", "preparing 3", "freeze for 2"],
            "over" => &["close 2: RoleOver", "looking"],
            _ => &[],
        };
        assert_eq!(lines, expected, "{current} {kept:?}");
        if outcome == "agreed" {
            // The promise is no acknowledgement of a history: that takes the snapshot and NEWLEADER.
            assert!(l.disk().is_empty());
            l.step(Input::ImageFrozen { link: LinkId(2), zxid: z(1, 3) });
            assert!(!l.zab.report().is_established_leader());
            l.ack(2, z(3, 0));
            assert!(l.zab.report().is_established_leader());
        }
    }
}

#[test]
fn a_member_that_has_promised_a_later_epoch_gets_one_it_may_follow() {
    let mut l = Bench::established(3);
    let lines = l.join(3, 3, 7);
    assert_eq!(lines, ["close 3: RoleOver", "close 2: RoleOver", "looking"]);
    l.elect(1);
    assert_eq!(l.join(2, 2, 2), ["accepted 8"]);
}

#[test]
fn an_epoch_that_no_quorum_can_have_seen_costs_a_link_and_no_epoch() {
    // A stranger in the name of server 3. Its last words would be the last epoch there is, or one that leads there soon.
    for epoch in [0x7fff_ffff, 0x7fff_fffe, 0x7fff_0000, 2000] {
        let mut l = Bench::established(3);
        let lines = l.join(3, 3, epoch);
        assert!(lines[0].starts_with("close 3: Misbehaved") && lines[0].contains("epoch 1002 at most"), "{lines:?}");
        assert_eq!(lines.len(), 1, "the leader leads on");
        // Nor does it count in the next discovery, or come into it.
        l.closed(2);
        l.elect(1);
        assert!(l.join(3, 3, epoch)[0].starts_with("close 3: Misbehaved"));
        assert_eq!(l.join(2, 2, 2), ["accepted 3"]);
    }
    // Said again and again it leads nowhere without an election.
    let mut l = Bench::new(1, durable(3));
    l.elect(1);
    for link in 10..20 {
        l.join(link, 4, 1001);
        assert!(l.join(20 + link, 4, 1002)[0].contains("epoch 1001 at most"));
    }
    assert_eq!(l.join(2, 2, 1), ["accepted 1002"]);
}

#[test]
fn a_history_of_an_epoch_that_is_promised_just_now_costs_a_link() {
    for (current, last) in [(2, z(1, 3)), (0x7fff_ffff, z(1, 3)), (1, z(2, 1)), (1, Zxid(i64::MAX))] {
        let mut l = Bench::new(1, durable(3));
        l.elect(1);
        l.join(2, 2, 1);
        l.join(3, 3, 1);
        l.disk();
        let lines = l.ack_epoch(3, Some(current), last);
        assert!(lines[0].starts_with("close 3: Misbehaved") && lines[0].contains("from before epoch 2"), "{lines:?}");
        assert_eq!(lines.len(), 1);
        assert_eq!(l.ack_epoch(2, Some(1), z(1, 3))[..2], ["current 2", "preparing 2"]);
    }
}

#[test]
fn a_server_that_has_promised_the_last_epoch_says_that_none_is_left() {
    let mut found = durable(3);
    found.accepted_epoch = Epoch(0x7fff_ffff);
    let mut l = Bench::new(1, found);
    l.elect(1);
    let lines = l.join(2, 2, 1);
    assert!(lines[0].contains("the last one there is"), "{lines:?}");
}

#[test]
fn each_wait_for_a_quorum_ends_with_init_limit() {
    let mut l = Bench::new(1, durable(3));
    l.elect(1);
    assert!(l.pass(19_000).is_empty());
    assert_eq!(l.pass(1_000), ["looking"]);
}

#[test]
fn a_disloyal_voter_ends_the_wait_for_epochs_if_so_configured() {
    // EL059: voter 3 would be enough.
    for (max, is_over) in [(None, false), (Some(Millis(500)), true)] {
        let mut l = Bench::with(ZabOptions { epoch_wait_max: max, ..options() }, durable(3));
        l.elect(1);
        l.now += 600;
        let lines = word(&mut l, 2, PeerState::Looking, 2, 9);
        assert_eq!(lines == ["looking"], is_over, "{lines:?}");
    }
}

/// What `voter` has to say: that it looks and proposes `leader`, or that it follows it.
fn word(bench: &mut Bench, voter: i64, state: PeerState, leader: i64, round: i64) -> Vec<String> {
    let notification = Notification {
        state,
        leader: ServerId(leader),
        zxid: z(1, 9),
        round,
        peer_epoch: Epoch(1),
        version: 2,
        config: None,
    };
    bench.step(Input::Notification { from: ServerId(voter), notification })
}

#[test]
fn a_leader_that_its_voters_have_left_looks_again_at_once() {
    // All three have elected server 1 in round 1.
    let mut l = Bench::new(1, durable(3));
    l.elect(1);
    assert!(word(&mut l, 2, PeerState::Looking, 3, 1).is_empty(), "3 is a quorum with us");
    assert!(word(&mut l, 2, PeerState::Looking, 1, 1).is_empty(), "it is for us again");
    assert!(word(&mut l, 3, PeerState::Looking, 3, 1).is_empty(), "2 is a quorum with us");
    // A vote for us counts in our round only; following counts whatever the round.
    assert!(word(&mut l, 2, PeerState::Following, 1, 7).is_empty());
    assert_eq!(word(&mut l, 2, PeerState::Looking, 1, 2), ["looking"]);
    assert_eq!(l.zab.report().election_round, 2);
}

#[test]
fn a_voter_that_has_joined_counts_whatever_it_said_until_its_link_is_gone() {
    for synchronising in [false, true] {
        let mut l = Bench::new(1, durable(3));
        l.elect(1);
        l.join(2, 2, 1);
        if synchronising {
            l.disk();
            l.ack_epoch(2, Some(1), z(1, 3));
        }
        assert!(word(&mut l, 3, PeerState::Looking, 3, 5).is_empty());
        assert!(word(&mut l, 2, PeerState::Looking, 3, 5).is_empty(), "its connection may be on its way down");
        assert_eq!(l.closed(2), ["looking"]);
    }
    // One that has said nothing else may come back.
    let mut l = Bench::new(1, durable(3));
    l.elect(1);
    l.join(2, 2, 1);
    word(&mut l, 3, PeerState::Looking, 3, 5);
    assert!(l.closed(2).is_empty());
}

#[test]
fn votes_do_not_move_an_established_leader() {
    let mut l = Bench::established(3);
    assert!(word(&mut l, 2, PeerState::Looking, 3, 9).is_empty());
    assert!(word(&mut l, 3, PeerState::Looking, 3, 9).is_empty());
    assert!(l.zab.report().is_established_leader());
}

#[test]
fn a_voter_that_follows_us_in_another_round_is_sent_to_look_again() {
    // Server 2 has elected us in round 1; we have given up since, or started anew. It dials before or after it has said so.
    for round in [1, 3] {
        for says_first in [false, true] {
            let mut l = Bench::new(1, durable(3));
            l.elect(1);
            word(&mut l, 2, PeerState::Looking, 3, 1);
            assert_eq!(word(&mut l, 3, PeerState::Looking, 3, 1), ["looking"]);
            if says_first {
                assert!(word(&mut l, 2, PeerState::Following, 1, round).is_empty());
                assert_eq!(l.join(5, 2, 1), ["close 5: RoleOver"]);
            } else {
                assert!(l.join(5, 2, 1).is_empty(), "it may be early");
                assert_eq!(word(&mut l, 2, PeerState::Following, 1, round), ["close 5: RoleOver"]);
            }
            // In our round it is early, and waited for.
            word(&mut l, 2, PeerState::Looking, 2, 2);
            assert!(l.join(6, 2, 1).is_empty());
            assert!(word(&mut l, 2, PeerState::Following, 1, 2).is_empty());
        }
    }
}

#[test]
fn introductions_that_cannot_be_are_refused() {
    let info = |server, protocol_version, config_version| Packet::FollowerInfo {
        accepted_epoch: Epoch(1),
        info: LearnerInfo { server: Some(ServerId(server)), protocol_version, config_version },
    };
    let rows = [
        (info(1, 0x1_0000, Zxid::ZERO), "also has myid 1"),
        (info(2, 1, Zxid::ZERO), "protocol 0x10000 or later, got 0x1"),
        (info(2, 0x1_0000, z(1, 0)), "the learner is ahead of the leader"),
        (Packet::Ack { zxid: Zxid::ZERO }, "expected FOLLOWERINFO or OBSERVERINFO, got ACK"),
    ];
    for (packet, why) in rows {
        let mut l = Bench::established(3);
        l.step(Input::LearnerConnected { link: LinkId(3) });
        let lines = l.packet(3, packet);
        assert!(lines[0].starts_with("close 3: Misbehaved") && lines[0].contains(why), "{why}: {lines:?}");
        assert_eq!(lines.len(), 1, "the leader leads on");
    }
}
