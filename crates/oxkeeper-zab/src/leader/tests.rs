//! Transcripts of a leader, phase by phase.

use super::super::testing::{Bench, durable, ensemble, hello, txn, z};
use crate::{Durable, Input, LinkId, Standing, ZabOptions};
use oxkeeper_proto::election::{Notification, PeerState};
use oxkeeper_proto::quorum::{LearnerInfo, Packet};
use oxkeeper_types::ensemble::{Ensemble, MemberRules};
use oxkeeper_types::{Epoch, Millis, ServerId, Zxid};

fn options() -> ZabOptions {
    ZabOptions::new(ServerId(1), ensemble())
}

// ---- phase 1

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
    // QP037: (current epoch, last zxid)
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

// ---- phase 2

#[test]
fn newleader_needs_a_quorum_with_the_leader_s_own_epoch_on_disk() {
    let mut l = Bench::new(1, durable(3));
    l.elect(1);
    l.join(2, 2, 1);
    l.disk();
    let lines = l.ack_epoch(2, Some(1), z(1, 2));
    assert_eq!(lines[..3], ["current 2", "preparing 2", "2 DIFF 1.3"]);
    assert_eq!(lines[3..], ["2 PROPOSAL 1.3", "2 COMMIT 1.3", "2 NEWLEADER 2"]);
    // QP049: the follower's ACK is there before our own epoch is on disk.
    assert!(l.ack(2, z(2, 0)).is_empty());
    assert_eq!(l.zab.next_zxid(), None);
    assert_eq!(l.disk(), ["leading 2", "commit 1.3", "2 UPTODATE"]);
    assert_eq!(l.zab.next_zxid(), Some(z(2, 1)), "QP043");
}

#[test]
fn an_ack_of_another_epoch_closes_the_link() {
    let mut l = Bench::new(1, durable(3));
    l.elect(1);
    l.join(2, 2, 1);
    l.disk();
    l.ack_epoch(2, Some(1), z(1, 3));
    let lines = l.ack(2, z(1, 0));
    assert!(lines[0].contains("epoch 2, got epoch 1"), "{lines:?}");
}

#[test]
fn a_follower_of_3_8_may_acknowledge_proposals_before_newleader() {
    // BG009: kept, and counted as soon as NEWLEADER is acknowledged.
    let mut l = Bench::established(3);
    l.propose();
    l.join(3, 3, 1);
    let lines = l.ack_epoch(3, Some(1), z(1, 3));
    assert_eq!(lines, ["3 DIFF 1.3", "3 PROPOSAL 2.1", "3 NEWLEADER 2"]);
    l.disk();
    assert!(l.ack(3, z(2, 1)).is_empty(), "no vote of a server that has not accepted the epoch");
    // It is said once.
    assert_eq!(l.ack(3, z(2, 0)), ["3 UPTODATE", "2 COMMIT 2.1", "3 COMMIT 2.1", "commit 2.1"]);
}

#[test]
fn an_acknowledgement_from_before_newleader_confirms_leadership_like_a_later_one() {
    // Of five, so that neither a commit nor the first follower's answer is enough.
    let five: Vec<(String, String)> = (1..=5).map(|id| (format!("server.{id}"), format!("h{id}:1:2"))).collect();
    let five = five.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let five = Ensemble::from_entries(five, MemberRules::default()).expect("five");
    let voter = |id: i64| Packet::FollowerInfo {
        accepted_epoch: Epoch(1),
        info: LearnerInfo { server: Some(ServerId(id)), protocol_version: 0x1_0000, config_version: Zxid::ZERO },
    };
    let mut l = Bench::with(ZabOptions::new(ServerId(1), five), durable(3));
    l.elect(1);
    let join = |l: &mut Bench, id: u64| {
        l.step(Input::LearnerConnected { link: LinkId(id) });
        l.packet(id, voter(id as i64));
    };
    join(&mut l, 2);
    join(&mut l, 3);
    l.disk();
    for id in [2, 3] {
        l.ack_epoch(id, Some(1), z(1, 3));
    }
    l.disk();
    for id in [2, 3] {
        l.ack(id, z(2, 0));
    }
    l.step(Input::ConfirmLeadership);
    l.propose();
    l.pong(2);
    join(&mut l, 4);
    l.ack_epoch(4, Some(1), z(1, 3));
    l.ack(4, z(2, 1));
    assert_eq!(l.ack(4, z(2, 0)), ["4 UPTODATE", "confirmed 1"]);
}

#[test]
fn late_learners_get_what_they_lack_and_then_everything_live() {
    let mut l = Bench::established(3);
    l.propose();
    l.disk();
    l.ack(2, z(2, 1));
    l.propose();
    // A follower: committed pairs, then outstanding proposals (QP074).
    l.join(3, 3, 1);
    let lines = l.ack_epoch(3, Some(1), z(1, 2));
    let pairs = ["3 DIFF 2.1", "3 PROPOSAL 1.3", "3 COMMIT 1.3", "3 PROPOSAL 2.1", "3 COMMIT 2.1"];
    assert_eq!(lines[..5], pairs);
    assert_eq!(lines[5..], ["3 PROPOSAL 2.2", "3 NEWLEADER 2"]);
    // An observer: pairs only (QP073), INFORM from then on.
    l.join(4, 4, 1);
    let lines = l.ack_epoch(4, Some(1), z(2, 0));
    assert_eq!(lines, ["4 DIFF 2.1", "4 PROPOSAL 2.1", "4 COMMIT 2.1", "4 NEWLEADER 2"]);
    l.disk();
    let lines = l.ack(2, z(2, 2));
    assert_eq!(lines, ["2 COMMIT 2.2", "3 COMMIT 2.2", "4 INFORM 2.2", "commit 2.2"]);
    assert_eq!(l.ack(4, z(2, 0)), ["4 UPTODATE"]);
}

#[test]
fn a_learner_with_uncommitted_transactions_is_cut() {
    let mut l = Bench::established(3);
    l.propose();
    l.join(3, 3, 1);
    let lines = l.ack_epoch(3, Some(1), z(2, 1));
    // 2.1 has no quorum yet: cut, and proposed again (QP062).
    assert_eq!(lines, ["3 TRUNC 1.3", "3 PROPOSAL 2.1", "3 NEWLEADER 2"]);
}

#[test]
fn a_learner_that_stands_in_a_hole_of_the_log_is_cut_before_it_and_gets_the_rest() {
    // QP070, the learner's last zxid is absent and of the epoch of what comes next: epoch 2 began behind 2.2 with us.
    let recent = [z(1, 3), z(2, 3), z(2, 4)].map(|zxid| (zxid, txn())).to_vec();
    let durable = Durable {
        accepted_epoch: Epoch(2),
        current_epoch: Epoch(2),
        last_logged: z(2, 4),
        recent,
        recent_after: z(1, 2),
    };
    let mut l = Bench::new(1, durable);
    l.elect(1);
    l.join(2, 2, 2);
    l.disk();
    let lines = l.ack_epoch(2, Some(2), z(2, 2));
    let cut = ["2 TRUNC 1.3", "2 PROPOSAL 2.3", "2 COMMIT 2.3", "2 PROPOSAL 2.4", "2 COMMIT 2.4", "2 NEWLEADER 3"];
    assert_eq!(lines[lines.len() - cut.len()..], cut);
}

#[test]
fn a_snapshot_is_followed_by_what_was_committed_since_it_was_frozen() {
    let mut l = Bench::established(3);
    l.join(3, 3, 1);
    assert_eq!(l.ack_epoch(3, Some(1), Zxid::ZERO), ["freeze for 3"]);
    // While the tree is frozen, two more are proposed and one is committed.
    l.propose();
    l.propose();
    l.disk();
    assert_eq!(l.ack(2, z(2, 1)), ["2 COMMIT 2.1", "commit 2.1"], "link 3 hears nothing yet");
    let lines = l.step(Input::ImageFrozen { link: LinkId(3), zxid: z(1, 3) });
    assert_eq!(lines, ["3 PROPOSAL 2.1", "3 COMMIT 2.1", "3 PROPOSAL 2.2", "3 NEWLEADER 2"]);
}

#[test]
fn a_learner_may_be_late_from_the_end_of_its_snapshot_on() {
    // initLimit is 10 ticks of 2 s.
    let mut l = Bench::established(3);
    l.join(3, 3, 1);
    l.ack_epoch(3, Some(1), Zxid::ZERO);
    l.step(Input::ImageFrozen { link: LinkId(3), zxid: z(1, 3) });
    let mut lines = Vec::new();
    let mut pass = |l: &mut Bench, seconds| {
        for _ in 0..seconds {
            lines.extend(l.pass(1000));
            l.pong(2);
        }
        lines.contains(&"close 3: Silent".to_string())
    };
    assert!(!pass(&mut l, 60), "the snapshot is on its way");
    l.step(Input::ImageSent { link: LinkId(3) });
    assert!(!pass(&mut l, 19));
    assert!(pass(&mut l, 2));
}

#[test]
fn the_log_on_disk_reaches_further_back_and_hands_out_committed_transactions_only() {
    // QP064, ZOOKEEPER-2846 (BG019)
    let log = |from: i64, to: i64| (from..=to).map(|i| (z(1, i), txn())).collect::<Vec<_>>();
    let mut found = durable(6);
    found.recent.drain(..4);
    found.recent_after = z(1, 4);
    let mut l = Bench::new(1, found);
    l.elect(1);
    l.join(2, 2, 1);
    l.disk();
    let lines = l.ack_epoch(2, Some(1), z(1, 2));
    assert_eq!(lines[2..], ["read behind 1.2 for 2"]);
    let mut txns = log(3, 6);
    txns.push((z(1, 7), txn()));
    let lines = l.step(Input::HistoryRead { link: LinkId(2), after: z(1, 2), txns: Some(txns) });
    let sent: Vec<&str> = lines.iter().map(String::as_str).filter(|l| l.contains("PROPOSAL")).collect();
    assert_eq!(lines[0], "2 DIFF 1.6");
    assert_eq!(sent, ["2 PROPOSAL 1.3", "2 PROPOSAL 1.4", "2 PROPOSAL 1.5", "2 PROPOSAL 1.6"]);
    assert_eq!(lines.last().map(String::as_str), Some("2 NEWLEADER 2"));
}

#[test]
fn a_log_that_is_not_available_leads_to_a_snapshot() {
    let mut found = durable(6);
    found.recent.clear();
    found.recent_after = z(1, 6);
    let mut l = Bench::new(1, found);
    l.elect(1);
    l.join(2, 2, 1);
    l.disk();
    l.ack_epoch(2, Some(1), z(1, 2));
    let lines = l.step(Input::HistoryRead { link: LinkId(2), after: z(1, 2), txns: None });
    assert_eq!(lines, ["freeze for 2"]);
}

#[test]
fn observers_wait_for_a_place_and_voters_do_not() {
    // QP080
    let mut l = Bench::established_with(ZabOptions { snapshot_syncs_max: 1, diff_syncs_max: 1, ..options() }, 3);
    for link in [4, 5] {
        l.step(Input::LearnerConnected { link: LinkId(link) });
        l.packet(link, hello(link as i64, 1));
    }
    assert_eq!(l.ack_epoch(4, Some(1), z(1, 3)), ["4 DIFF 1.3", "4 NEWLEADER 2"]);
    assert!(l.ack_epoch(5, Some(1), z(1, 3)).is_empty());
    l.join(3, 3, 1);
    assert_eq!(l.ack_epoch(3, Some(1), z(1, 3)), ["3 DIFF 1.3", "3 NEWLEADER 2"]);
    l.ack(3, z(2, 0));
    assert_eq!(l.ack(4, z(2, 0)), ["4 UPTODATE", "5 DIFF 1.3", "5 NEWLEADER 2"]);
    // A place is free, too, when its observer goes.
    l.step(Input::LearnerConnected { link: LinkId(6) });
    l.packet(6, hello(6, 1));
    assert!(l.ack_epoch(6, Some(1), z(1, 3)).is_empty());
    assert_eq!(l.closed(5), ["6 DIFF 1.3", "6 NEWLEADER 2"]);
}

/// The configuration in the NEWLEADER of a leader in epoch 1.
fn newleader_config(options: ZabOptions) -> String {
    let mut l = Bench::with(options, durable(0));
    l.elect(1);
    l.join(2, 2, 0);
    l.disk();
    let mut out = Vec::new();
    let ack = oxkeeper_proto::quorum::AckEpoch { current_epoch: Some(Epoch(0)), last_zxid: Zxid::ZERO, kept: None };
    let input = Input::Packet { link: LinkId(2), packet: Packet::AckEpoch(ack) };
    l.zab.step(Millis(l.now), input, &mut out);
    let config = out.iter().find_map(|output| match output {
        crate::Output::Send { packet: Packet::NewLeader { config, .. }, .. } => config.clone(),
        _ => None,
    });
    config.expect("NEWLEADER has one")
}

#[test]
fn the_first_configuration_is_named_after_the_first_epoch() {
    // QP044, ZOOKEEPER-1783
    let options = ZabOptions { reconfig_enabled: true, ..ZabOptions::new(ServerId(1), ensemble()) };
    assert!(newleader_config(options).ends_with("version=100000000"));
}

#[test]
fn without_reconfiguration_newleader_carries_the_list_as_the_files_have_it() {
    // ZOOKEEPER-3829, 3842: no version is made up, and a list that was proposed before the last stop does not count.
    let mut options = ZabOptions::new(ServerId(1), ensemble());
    assert_eq!(newleader_config(options.clone()), ensemble().to_string());
    let mut proposed = ensemble();
    proposed.set_version(z(9, 0));
    options.last_seen = Some(proposed);
    assert_eq!(newleader_config(options), ensemble().to_string());
}

// ---- phase 3

#[test]
fn a_commit_needs_a_quorum_of_logs_the_leader_s_own_like_any_other() {
    let mut l = Bench::established(3);
    assert_eq!(l.propose(), ["append 2.1", "2 PROPOSAL 2.1"]);
    assert!(l.ack(2, z(2, 1)).is_empty(), "one of three");
    assert_eq!(l.disk(), ["2 COMMIT 2.1", "commit 2.1"], "QP052");
    // The other way round, and with two followers without the leader.
    l.propose();
    assert!(l.disk().is_empty());
    assert_eq!(l.ack(2, z(2, 2)), ["2 COMMIT 2.2", "commit 2.2"]);
    l.sync(3, 3, z(2, 2));
    l.propose();
    l.ack(2, z(2, 3));
    assert_eq!(l.ack(3, z(2, 3)), ["2 COMMIT 2.3", "3 COMMIT 2.3", "commit 2.3"]);
    assert!(!l.is_disk_idle());
    assert!(l.disk().is_empty());
}

#[test]
fn commits_are_in_order_though_acks_stand_for_all_before_them() {
    let mut l = Bench::established(3);
    for _ in 0..3 {
        l.propose();
    }
    l.disk();
    let lines = l.ack(2, z(2, 3));
    assert_eq!(lines, ["2 COMMIT 2.1", "2 COMMIT 2.2", "2 COMMIT 2.3", "commit 2.3"]);
    assert!(l.ack(2, z(2, 2)).is_empty(), "late");
    let lines = l.ack(2, z(2, 4));
    assert!(lines[0].contains("ACK of at most 0x200000003"), "{lines:?}");
}

#[test]
fn a_leader_alone_commits_what_is_on_its_disk() {
    let one = Ensemble::from_entries([("server.1", "h:1:2")], MemberRules::default()).expect("one");
    let mut l = Bench::with(ZabOptions::new(ServerId(1), one), durable(1));
    l.disk();
    assert!(l.zab.report().is_established_leader());
    assert_eq!(l.propose(), ["append 2.1"]);
    assert_eq!(l.step(Input::ConfirmLeadership), ["confirmed 1"]);
    assert_eq!(l.disk(), ["commit 2.1"]);
}

#[test]
fn a_leader_whose_disk_is_silent_gives_up_and_comes_back_with_its_disk() {
    let mut l = Bench::established(3);
    let limit = i64::from(options().sync_limit) * options().tick.0;
    l.propose();
    for n in 1.. {
        let next = z(2, n + 1);
        // The follower does its part, so there is a quorum without our disk.
        l.ack(2, z(2, n));
        let lines = l.pass(limit / 10);
        if n < 10 {
            assert!(!lines.iter().any(|line| line == "looking"), "{n}: {lines:?}");
            assert!(l.propose().contains(&format!("2 PROPOSAL 2.{}", next.counter())));
            continue;
        }
        assert_eq!(lines, ["tell DiskSilent", "close 2: DiskSilent", "looking"]);
        break;
    }
    assert_eq!(l.answers(2), [], "who could neither lead nor follow is in nobody's way");
    let round = l.zab.report().election_round;
    l.pass(100 * limit);
    assert_eq!((l.zab.report().election_round, l.zab.next_deadline()), (round, Millis(i64::MAX)));
    assert_eq!(l.disk_once(), ["tell DiskAnswers"]);
    assert_eq!(l.zab.report().election_round, round + 1);
    l.disk();
    assert_eq!(l.zab.last_logged(), z(2, 10), "nothing of it is lost");
    // Where it goes on answering there is nothing to give up.
    l.elect(1);
}

#[test]
fn a_disk_that_is_slow_and_answers_is_not_silent() {
    let mut l = Bench::established(3);
    let limit = i64::from(options().sync_limit) * options().tick.0;
    l.propose();
    for n in 1..20 {
        l.propose();
        l.ack(2, z(2, n + 1));
        let lines = l.pass(limit - 1);
        assert!(!lines.iter().any(|line| line == "looking"), "{n}: {lines:?}");
        l.disk_once();
        assert!(l.zab.report().is_established_leader());
    }
}

#[test]
fn hierarchical_quorums_count_weights_in_groups() {
    // QP124: two groups of three; a majority of groups is both.
    let mut lines: Vec<(String, String)> = (1..=6).map(|id| (format!("server.{id}"), format!("h{id}:1:2"))).collect();
    lines.extend([("group.1".into(), "1:2:3".into()), ("group.2".into(), "4:5:6".into())]);
    let entries = lines.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let groups = Ensemble::from_entries(entries, MemberRules::default()).expect("groups");
    let mut l = Bench::with(ZabOptions::new(ServerId(1), groups), durable(1));
    l.elect(1);
    let voter = |id: i64| Packet::FollowerInfo {
        accepted_epoch: Epoch(1),
        info: LearnerInfo { server: Some(ServerId(id)), protocol_version: 0x1_0000, config_version: Zxid::ZERO },
    };
    for id in 2..=5 {
        l.step(Input::LearnerConnected { link: LinkId(id) });
        l.packet(id, voter(id as i64));
    }
    l.disk();
    for id in 2..=5 {
        l.ack_epoch(id, Some(1), z(1, 1));
    }
    l.disk();
    for id in [2, 3, 4] {
        l.ack(id, z(2, 0));
        assert!(!l.zab.report().is_established_leader(), "four of six, and only one group");
    }
    l.ack(5, z(2, 0));
    assert!(l.zab.report().is_established_leader());
    l.propose();
    l.disk();
    assert!(l.ack(2, z(2, 1)).is_empty() && l.ack(3, z(2, 1)).is_empty() && l.ack(4, z(2, 1)).is_empty());
    assert_eq!(l.ack(5, z(2, 1)).last().map(String::as_str), Some("commit 2.1"));
}

#[test]
fn the_end_of_the_counter_rolls_the_epoch_and_loses_no_write() {
    // QP082; the reference gives up what is outstanding.
    let mut found = durable(0);
    (found.accepted_epoch, found.current_epoch) = (Epoch(1), Epoch(1));
    let mut l = Bench::with(options(), found);
    l.elect(1);
    l.join(2, 2, 1);
    l.disk();
    l.ack_epoch(2, Some(1), Zxid::ZERO);
    l.disk();
    l.ack(2, z(2, 0));
    l.zab.skip_counter_to(z(2, 0xffff_fffc));
    l.propose();
    l.propose();
    assert_eq!(l.zab.next_zxid(), None);
    l.disk();
    assert_eq!(l.ack(2, z(2, 0xffff_fffd)).last().map(String::as_str), Some("commit 2.4294967293"));
    let lines = l.ack(2, z(2, 0xffff_fffe));
    let expected = ["2 COMMIT 2.4294967294", "commit 2.4294967294", "close 2: RoleOver", "looking"];
    assert_eq!(lines, expected);
}

#[test]
fn an_epoch_may_begin_near_its_end() {
    let mut found = durable(0);
    (found.accepted_epoch, found.current_epoch) = (Epoch(1), Epoch(1));
    let mut l = Bench::with(ZabOptions { counter_initial: 0xffff_fffd, ..options() }, found);
    l.elect(1);
    l.join(2, 2, 1);
    l.disk();
    l.ack_epoch(2, Some(1), Zxid::ZERO);
    l.disk();
    l.ack(2, z(2, 0));
    assert_eq!(l.zab.next_zxid(), Some(z(2, 0xffff_fffe)));
    l.propose();
    assert_eq!(l.zab.next_zxid(), None);
}

// ---- liveness

#[test]
fn pings_go_twice_a_tick_and_only_to_learners_that_answer_them() {
    let mut l = Bench::established(3);
    l.join(3, 3, 1);
    l.ack_epoch(3, Some(1), z(1, 3));
    assert_eq!(l.pass(1000), ["2 PING 2.0"]);
    assert!(l.pass(999).is_empty());
    assert_eq!(l.pass(1), ["2 PING 2.0"]);
    assert!(l.pong(2).is_empty() && l.pong(2).is_empty());
    assert!(l.pong(2)[0].contains("no PING without a question"));
}

#[test]
fn without_a_quorum_of_links_the_leader_steps_down() {
    let mut l = Bench::established(3);
    assert_eq!(l.closed(2), ["looking"]);
    let mut l = Bench::established(3);
    l.sync(3, 3, z(1, 3));
    assert!(l.closed(2).is_empty());
    assert!(l.zab.report().is_established_leader());
}

#[test]
fn silent_followers_are_dropped_and_then_the_leader_steps_down() {
    // QP097: syncLimit is 5 ticks of 2 s.
    let mut l = Bench::established(3);
    let mut lines = Vec::new();
    for _ in 0..10 {
        lines.extend(l.pass(1000));
    }
    assert_eq!(lines[lines.len() - 2..], ["close 2: Silent", "looking"]);
}

#[test]
fn a_follower_that_does_not_log_is_dropped_though_it_answers() {
    // QP096
    let mut l = Bench::established(3);
    l.sync(3, 3, z(1, 3));
    l.propose();
    l.disk();
    let mut lines = Vec::new();
    for _ in 0..11 {
        lines.extend(l.pass(1000));
        l.ack(2, z(2, 1));
        if !lines.iter().any(|l| l.starts_with("close")) {
            l.pong(2);
            l.pong(3);
        }
    }
    assert!(lines.contains(&"close 3: Silent".to_string()), "{lines:?}");
    assert!(l.zab.report().is_established_leader());
}

#[test]
fn a_newer_connection_of_a_server_takes_the_place_of_the_older() {
    // ZOOKEEPER-3240 (BG026)
    let mut l = Bench::established(3);
    assert_eq!(l.join(7, 2, 2), ["close 2: Replaced", "7 LEADERINFO 2"]);
    assert!(l.packet(2, Packet::Ack { zxid: z(2, 1) }).is_empty(), "what still comes from the old one is dropped");
}

// ---- confirmation of leadership (ZOOKEEPER-1675)

#[test]
fn leadership_is_confirmed_by_answers_to_pings_sent_after_the_request() {
    let mut l = Bench::established(3);
    l.pass(1000);
    assert_eq!(l.step(Input::ConfirmLeadership), ["2 PING 2.0"]);
    assert_eq!(l.zab.confirm_number(), 1);
    assert!(l.pong(2).is_empty(), "that answers the PING before");
    assert_eq!(l.pong(2), ["confirmed 1"]);
}

#[test]
fn requests_during_a_round_share_the_next_one() {
    let mut l = Bench::established(3);
    l.step(Input::ConfirmLeadership);
    for _ in 0..3 {
        assert!(l.step(Input::ConfirmLeadership).is_empty());
        assert_eq!(l.zab.confirm_number(), 2);
    }
    assert_eq!(l.pong(2), ["confirmed 1", "2 PING 2.0"]);
    assert_eq!(l.pong(2), ["confirmed 2"]);
}

#[test]
fn a_commit_of_a_later_proposal_confirms_before_it_is_applied() {
    let mut l = Bench::established(3);
    l.propose();
    l.disk();
    l.step(Input::ConfirmLeadership);
    assert_eq!(l.ack(2, z(2, 1)), ["2 COMMIT 2.1", "commit 2.1"], "proposed before the request");
    l.propose();
    l.step(Input::ConfirmLeadership);
    l.propose();
    l.disk();
    // The first round is confirmed by 2.2, the second one by 2.3.
    assert_eq!(l.ack(2, z(2, 2)), ["confirmed 1", "2 COMMIT 2.2", "commit 2.2", "2 PING 2.3"]);
    assert_eq!(l.ack(2, z(2, 3)), ["confirmed 2", "2 COMMIT 2.3", "commit 2.3"]);
}

#[test]
fn a_follower_s_ack_confirms_though_our_own_disk_is_slow() {
    let mut l = Bench::established(3);
    l.step(Input::ConfirmLeadership);
    l.propose();
    assert_eq!(l.ack(2, z(2, 1)), ["confirmed 1"], "it was proposed after the request");
}
