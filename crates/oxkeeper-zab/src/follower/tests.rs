//! Transcripts of a follower and of an observer, phase by phase.

use super::super::testing::{Bench, commit, durable, ensemble, error_txn, new_leader, proposal, txn, up_to_date, z};
use crate::{Input, LinkId, Standing, ZabOptions};
use oxkeeper_proto::election::PeerState;
use oxkeeper_proto::quorum::{LEARNER_PROTOCOL, Packet};
use oxkeeper_types::persist::Persisted;
use oxkeeper_types::{Epoch, ServerId};

fn leader_info(epoch: i64) -> Packet {
    Packet::LeaderInfo { epoch: Epoch(epoch), protocol_version: LEARNER_PROTOCOL }
}

/// Server 3 is elected again, and this follower goes through discovery with it; what it does at the end of that.
fn meet_next_leader(f: &mut Bench, epoch: i64) -> Vec<String> {
    f.elect(3);
    f.step(Input::LeaderConnected { link: LinkId(9) });
    f.packet(9, leader_info(epoch));
    f.disk()
}

fn assert_over(lines: &[String], why: &str) {
    assert!(lines[0].starts_with("close 9: ") && lines[0].contains(why), "{why}: {lines:?}");
    assert_eq!(lines[1], "looking", "{lines:?}");
}

// ---- phase 1, paper: f.p is stored before ACK-E

#[test]
fn the_promise_is_on_disk_before_ackepoch() {
    let mut f = Bench::new(1, durable(3));
    assert_eq!(f.elect(3), ["following 3 false", "dial 3"]);
    assert_eq!(f.step(Input::LeaderConnected { link: LinkId(9) }), ["9 FOLLOWERINFO 1"]);
    assert_eq!(f.packet(9, leader_info(2)), ["accepted 2"]);
    assert_eq!(f.disk(), ["9 ACKEPOCH 1 1.3"]);
}

#[test]
fn an_epoch_that_was_accepted_before_is_not_voted_for_again() {
    // Given a promise of epoch 2 to a leader that was lost
    let mut f = Bench::discovered(1, 3);
    f.closed(9);
    f.elect(3);
    // When the same epoch is asked for again
    assert_eq!(f.step(Input::LeaderConnected { link: LinkId(10) }), ["10 FOLLOWERINFO 2"]);
    // Then it answers -1, at once
    assert_eq!(f.packet(10, leader_info(2)), ["10 ACKEPOCH -1 1.3"]);
}

#[test]
fn a_promise_that_is_on_its_way_to_disk_is_not_told_by_the_next_role() {
    let mut f = Bench::new(1, durable(3));
    f.elect(3);
    f.step(Input::LeaderConnected { link: LinkId(9) });
    f.packet(9, leader_info(2));
    f.closed(9);
    f.elect(3);
    f.step(Input::LeaderConnected { link: LinkId(10) });
    assert!(f.packet(10, leader_info(2)).is_empty(), "epoch 2 is asked of the disk, not on it");
    assert_eq!(f.disk(), ["10 ACKEPOCH -1 1.3"]);
}

#[test]
fn an_epoch_below_the_promise_ends_the_role() {
    let mut f = Bench::discovered(1, 3);
    f.closed(9);
    f.elect(3);
    f.step(Input::LeaderConnected { link: LinkId(9) });
    assert_over(&f.packet(9, leader_info(1)), "at least 2 in LEADERINFO, got 1");
}

#[test]
fn an_epoch_near_the_end_is_not_promised() {
    for epoch in [0x7fff_ffff, 0x7fff_0000] {
        let mut f = Bench::new(1, durable(3));
        f.elect(3);
        f.step(Input::LeaderConnected { link: LinkId(9) });
        assert_over(&f.packet(9, leader_info(epoch)), "close to the last one there is");
        assert_eq!(f.zab.report().accepted_epoch, Epoch(1));
    }
}

#[test]
fn a_leader_that_cannot_be_reached_ends_the_role() {
    let mut f = Bench::new(1, durable(3));
    f.elect(3);
    assert_eq!(f.step(Input::LeaderUnreachable { leader: oxkeeper_types::ServerId(3) }), ["looking"]);
}

// ---- phase 2, paper: history, then f.a, then ACK-LD

#[test]
fn committed_history_then_the_epoch_then_the_ack_of_newleader() {
    // ZOOKEEPER-4643, 4646, 4785 (BG005 to BG007) and 3911 (BG004): the epoch or the ACK before the history is on disk;
    // ZOOKEEPER-4394, 4685 (BG008, BG009): a COMMIT or an ACK around the ACK of NEWLEADER.
    let mut f = Bench::discovered(1, 3);
    for packet in [Packet::Diff { zxid: z(1, 5) }, proposal(1, 4), commit(1, 4), proposal(1, 5), commit(1, 5)] {
        assert!(f.packet(9, packet).is_empty());
    }
    // Given a proposal that has no COMMIT yet
    assert!(f.packet(9, proposal(2, 1)).is_empty());
    let lines = f.packet(9, new_leader(2));
    assert_eq!(lines, ["append 1.4", "proposed 1.4", "append 1.5", "proposed 1.5", "current 2"]);
    assert!(f.disk_once().is_empty() && f.disk_once().is_empty(), "the log is there, the epoch is not");
    assert_eq!(f.disk_once(), ["9 ACK 2.0"]);
    // A COMMIT between the ACK and UPTODATE finds its proposal (BG008).
    assert!(f.packet(9, commit(2, 1)).is_empty() && f.packet(9, proposal(2, 2)).is_empty());
    let lines = f.packet(9, up_to_date());
    let expected = ["9 ACK 2.0", "commit 1.5", "following 3 true"];
    assert_eq!(lines[..3], expected);
    assert_eq!(lines[3..], ["append 2.1", "proposed 2.1", "append 2.2", "proposed 2.2", "commit 2.1"]);
    // Then each of these is acknowledged for itself; what came before NEWLEADER is not.
    assert_eq!(f.disk(), ["9 ACK 2.1", "9 ACK 2.2"]);
}

#[test]
fn a_snapshot_replaces_everything_and_holds_back_what_comes_behind_it() {
    let mut f = Bench::discovered(1, 3);
    assert!(f.packet(9, Packet::Snap { zxid: z(1, 8) }).is_empty());
    // A leader of the reference begins to forward before it takes the snapshot's zxid: 1.7 and 1.8 are in it.
    for packet in
        [proposal(1, 7), commit(1, 7), proposal(1, 8), commit(1, 8), proposal(1, 9), commit(1, 9), new_leader(2)]
    {
        assert!(f.packet(9, packet).is_empty());
    }
    // While the edge reads, it is the one that watches the link.
    assert!(f.pass(1_000_000).is_empty());
    assert_eq!(f.step(Input::SnapshotReceived { link: LinkId(9) }), ["install 1.8"]);
    assert_eq!(f.disk_once(), ["append 1.9", "proposed 1.9", "current 2"]);
    assert_eq!(f.disk(), ["9 ACK 2.0"]);
    assert_eq!(f.packet(9, up_to_date()), ["9 ACK 2.0", "commit 1.9", "following 3 true"]);
}

#[test]
fn while_a_history_is_put_in_place_no_other_may_be_announced() {
    let first = [Packet::Snap { zxid: z(1, 8) }, Packet::Trunc { zxid: z(1, 2) }];
    let then = [Packet::Snap { zxid: z(1, 9) }, Packet::Trunc { zxid: z(1, 1) }, Packet::Diff { zxid: z(1, 8) }];
    for announced in &first {
        for (other, installing) in then.iter().flat_map(|other| [(other, false), (other, true)]) {
            let mut f = Bench::discovered(1, 3);
            f.packet(9, announced.clone());
            if installing && matches!(announced, Packet::Snap { .. }) {
                f.step(Input::SnapshotReceived { link: LinkId(9) });
            }
            assert_over(&f.packet(9, other.clone()), "behind the history that was announced");
            // The stream behind it is nobody's.
            assert!(f.step(Input::SnapshotReceived { link: LinkId(9) }).is_empty());
        }
    }
}

#[test]
fn nothing_of_a_later_epoch_than_the_leader_s_is_taken() {
    let mut f = Bench::discovered(1, 3);
    assert_over(&f.packet(9, Packet::Snap { zxid: z(3, 1) }), "epochs through 2");
    let mut f = Bench::discovered(1, 3);
    f.packet(9, Packet::Diff { zxid: z(1, 3) });
    assert_over(&f.packet(9, proposal(3, 1)), "epochs through 2");
    let mut f = Bench::following(1, 3);
    assert_over(&f.packet(9, proposal(3, 1)), "epochs through 2");
    let mut o = Bench::following(4, 3);
    assert_over(&o.packet(9, Packet::Inform { zxid: z(3, 1), txn: txn() }), "epochs through 2");
}

#[test]
fn a_log_that_cannot_be_cut_where_the_leader_says_ends_the_role() {
    // BG029: it ends before, and the leader has to look at it again.
    let mut f = Bench::discovered(1, 5);
    f.packet(9, Packet::Trunc { zxid: z(1, 3) });
    assert_over(&f.step(Input::StateReplaced { last: z(1, 2) }), "TRUNC to a transaction of our log");
    assert_eq!(f.zab.last_logged(), z(1, 2), "and the election knows what there is");
}

#[test]
fn a_cut_log_is_waited_for() {
    let mut f = Bench::discovered(1, 5);
    assert_eq!(f.packet(9, Packet::Trunc { zxid: z(1, 3) }), ["truncate 1.3"]);
    assert!(f.packet(9, new_leader(2)).is_empty());
    assert_eq!(f.disk_once(), ["current 2"]);
    assert_eq!(f.disk_once(), ["9 ACK 2.0"]);
}

#[test]
fn no_election_while_the_log_is_being_cut() {
    // ZOOKEEPER-5094 (BG015): nobody votes with a zxid that is being taken back.
    let mut f = Bench::discovered(1, 5);
    f.packet(9, Packet::Trunc { zxid: z(1, 3) });
    let round = f.zab.report().election_round;
    assert_eq!(f.closed(9), ["looking"]);
    assert_eq!(f.zab.report().election_round, round);
    f.disk();
    assert_eq!((f.zab.report().election_round, f.zab.last_logged()), (round + 1, z(1, 3)));
}

#[test]
fn a_snapshot_whose_leader_fails_leaves_the_epoch_alone() {
    for newleader_came in [false, true] {
        let mut f = Bench::discovered(1, 3);
        f.packet(9, Packet::Snap { zxid: z(1, 8) });
        if newleader_came {
            f.packet(9, new_leader(2));
        }
        assert_eq!(f.step(Input::SnapshotReceived { link: LinkId(9) }), ["install 1.8"]);
        assert_eq!(f.closed(9), ["looking"]);
        f.disk();
        assert_eq!((f.zab.last_logged(), f.zab.report().current_epoch), (z(1, 8), Epoch(1)));
    }
}

#[test]
fn a_history_that_cannot_be_cut_stays_until_a_snapshot_takes_its_place() {
    for link_breaks in [false, true] {
        let mut f = Bench::discovered(1, 5);
        assert_eq!(f.packet(9, Packet::Trunc { zxid: z(1, 2) }), ["truncate 1.2"]);
        let round = f.zab.report().election_round;
        if link_breaks {
            f.closed(9);
        }
        f.forget_disk();
        let over = f.step(Input::Persisted(Persisted::CannotTruncate { last: z(1, 5) }));
        if !link_breaks {
            assert_eq!(over[..2], ["close 9: CannotTruncate", "looking"]);
        }
        // It votes with what it has,
        assert_eq!((f.zab.last_logged(), f.zab.report().election_round), (z(1, 5), round + 1));
        // and tells leaders that they can build upon none of it.
        assert_eq!(meet_next_leader(&mut f, 3), ["9 ACKEPOCH 1 -1 kept 1.5"]);
        f.packet(9, Packet::Snap { zxid: z(2, 1) });
        assert_eq!(f.step(Input::SnapshotReceived { link: LinkId(9) }), ["install 2.1"]);
        f.closed(9);
        f.disk();
        assert_eq!(meet_next_leader(&mut f, 4), ["9 ACKEPOCH 1 2.1"], "that is a history again");
    }
}

#[test]
fn a_history_that_cannot_be_cut_takes_neither_diff_nor_trunc() {
    for packet in [Packet::Diff { zxid: z(1, 5) }, Packet::Trunc { zxid: z(1, 2) }] {
        let mut f = Bench::discovered(1, 5);
        f.packet(9, Packet::Trunc { zxid: z(1, 2) });
        f.forget_disk();
        f.step(Input::Persisted(Persisted::CannotTruncate { last: z(1, 5) }));
        meet_next_leader(&mut f, 3);
        let lines = f.packet(9, packet);
        assert!(lines[0].starts_with("close 9: Misbehaved"), "{lines:?}");
    }
}

#[test]
fn what_is_committed_here_is_never_taken_back() {
    // Agreement: a leader whose history lacks it cannot be one.
    for packet in [Packet::Trunc { zxid: z(1, 2) }, Packet::Snap { zxid: z(1, 2) }] {
        let mut f = Bench::following(1, 3);
        f.closed(9);
        meet_next_leader(&mut f, 3);
        assert_over(&f.packet(9, packet), "everything through 0x100000003, which is committed");
    }
}

#[test]
fn a_hole_in_the_history_ends_the_role() {
    // ZOOKEEPER-4925 (BG011, a hole is passed on; QP077, each proposal follows the last)
    let mut f = Bench::discovered(1, 3);
    f.packet(9, Packet::Diff { zxid: z(1, 5) });
    assert_over(&f.packet(9, proposal(1, 5)), "follows 0x100000003, got 0x100000005");
}

#[test]
fn a_commit_of_something_else_ends_the_role_in_synchronisation_and_in_broadcast() {
    // BG032, the reference warns of it in synchronisation (QP081) and ends its process in broadcast (QP086).
    let mut f = Bench::discovered(1, 3);
    f.packet(9, Packet::Diff { zxid: z(1, 5) });
    f.packet(9, proposal(1, 4));
    assert_over(&f.packet(9, commit(1, 5)), "COMMIT of the oldest proposal, 0x100000004, got COMMIT of 0x100000005");
    let mut f = Bench::following(1, 3);
    assert_over(&f.packet(9, commit(2, 1)), "no COMMIT without a proposal");
}

#[test]
fn newleader_of_another_epoch_and_uptodate_before_our_ack_end_the_role() {
    let mut f = Bench::discovered(1, 3);
    f.packet(9, Packet::Diff { zxid: z(1, 3) });
    assert_over(&f.packet(9, new_leader(3)), "NEWLEADER of epoch 2, got epoch 3");
    let mut f = Bench::discovered(1, 3);
    f.packet(9, Packet::Diff { zxid: z(1, 3) });
    f.packet(9, new_leader(2));
    assert_over(&f.packet(9, up_to_date()), "got UPTODATE");
}

/// A follower of `leader` 3 that got this configuration with NEWLEADER.
fn told_of_a_list(reconfig_enabled: bool, config: &str) -> Bench {
    let options = ZabOptions { reconfig_enabled, ..ZabOptions::new(ServerId(1), ensemble()) };
    let mut f = Bench::with(options, durable(3));
    f.elect(3);
    f.step(Input::LeaderConnected { link: LinkId(9) });
    f.packet(9, leader_info(2));
    f.disk();
    f.packet(9, Packet::Diff { zxid: z(1, 3) });
    f.packet(9, Packet::NewLeader { epoch: Epoch(2), config: Some(config.into()) });
    f
}

#[test]
fn the_configuration_of_newleader_counts_from_then_on() {
    // QP044: version 0 of everybody becomes the first epoch's; a quorum is one of both.
    let mut named = ensemble();
    named.set_version(z(2, 0));
    let mut f = told_of_a_list(true, &named.to_string());
    assert_eq!(f.zab.report().voters.len(), 3);
    f.disk();
    assert_eq!(f.packet(9, up_to_date()).last().map(String::as_str), Some("following 3 true"));
    assert_eq!(f.zab.ensemble().version(), z(2, 0));
}

#[test]
fn without_reconfiguration_the_list_of_a_leader_is_not_kept() {
    // ZOOKEEPER-3814, 3829: this server's file lists three voters, the leader's list has another, and a version.
    let larger = format!("{}\nserver.7=h7:1:2:participant", ensemble()).replace("version=0", "version=100000000");
    let mut f = told_of_a_list(false, &larger);
    let voters = f.zab.report().voters;
    assert_eq!(voters, [1, 2, 3].map(ServerId).into());
    f.disk();
    assert_eq!(f.packet(9, up_to_date()).last().map(String::as_str), Some("following 3 true"));
    assert_eq!((f.zab.ensemble(), f.zab.report().voters), (&ensemble(), voters));
    // With it, a quorum is one of both lists.
    assert_eq!(told_of_a_list(true, &larger).zab.report().voters, [1, 2, 3, 7].map(ServerId).into());
}

// ---- phase 3, paper: ACK after the log, deliver on COMMIT

#[test]
fn a_proposal_is_acknowledged_once_it_is_on_disk() {
    let mut f = Bench::following(1, 3);
    assert_eq!(f.packet(9, proposal(2, 1)), ["append 2.1", "proposed 2.1"]);
    assert_eq!(f.packet(9, proposal(2, 2)), ["append 2.2", "proposed 2.2"]);
    assert_eq!(f.disk_once(), ["9 ACK 2.1"]);
    // A commit by the others needs no word of ours.
    assert_eq!(f.packet(9, commit(2, 1)), ["commit 2.1"]);
    assert_eq!(f.disk_once(), ["9 ACK 2.2"]);
    assert_eq!(f.packet(9, commit(2, 2)), ["commit 2.2"]);
    assert_over(&f.packet(9, proposal(2, 4)), "follows");
}

#[test]
fn what_a_finished_role_wrote_is_not_acknowledged_by_the_next_one() {
    // ZOOKEEPER-4541, 4712 (BG010, the disk thread of a server that was stopped goes on)
    let mut f = Bench::following(1, 3);
    f.packet(9, proposal(2, 1));
    assert_eq!(f.closed(9), ["looking"]);
    f.elect(3);
    f.step(Input::LeaderConnected { link: LinkId(10) });
    assert!(f.disk().is_empty(), "2.1 is in the log, and nobody is told");
    assert_eq!(f.packet(10, leader_info(3)), ["accepted 3"]);
    assert_eq!(f.disk(), ["10 ACKEPOCH 2 2.1"]);
}

#[test]
fn a_silent_leader_is_given_up() {
    let mut f = Bench::discovered(1, 3);
    assert!(f.pass(19_999).is_empty(), "initLimit is 10 ticks of 2 s");
    assert_eq!(f.pass(1), ["close 9: Silent", "looking"]);
    let mut f = Bench::following(1, 3);
    f.now += 9_000;
    f.packet(9, Packet::Ping { zxid: z(2, 0), touched: None });
    assert!(f.pass(9_999).is_empty(), "syncLimit is 5");
    assert_eq!(f.pass(1), ["close 9: Silent", "looking"]);
}

#[test]
fn a_follower_whose_disk_is_silent_gives_up_and_so_does_an_observer() {
    for (me, what) in [(1, proposal(2, 1)), (4, Packet::Inform { zxid: z(2, 1), txn: txn() })] {
        let mut f = Bench::following(me, 3);
        f.packet(9, what);
        let limit = 10_000;
        f.pass(limit - 1);
        f.packet(9, Packet::Ping { zxid: z(2, 1), touched: None });
        let lines = f.pass(1);
        assert_eq!(lines[..3], ["tell DiskSilent", "close 9: DiskSilent", "looking"], "server {me}");
        let round = f.zab.report().election_round;
        f.pass(100_000);
        assert_eq!(f.zab.report().election_round, round);
        assert_eq!(f.disk_once(), ["tell DiskAnswers"]);
        f.pass(1_000);
        assert!(f.zab.report().election_round > round, "server {me}");
    }
}

#[test]
fn a_refused_write_under_the_zxid_before_is_passed_over_wherever_it_comes() {
    // Leaders of 3.9.0 to 3.9.5: what they cannot read has no zxid of its own, and ⟨e, 0⟩ before their first.
    let refusal = |epoch, counter| Packet::Proposal { zxid: z(epoch, counter), txn: error_txn() };
    let mut times_told = 0;
    let mut f = Bench::discovered(1, 3);
    let sent = [proposal(1, 4), commit(1, 4), refusal(1, 4), commit(1, 4), proposal(1, 5), commit(1, 5)];
    let told =
        |bench: &mut Bench, packet, at| bench.packet(9, packet) == [format!("tell PassedOver {{ zxid: {at:?} }}")];
    for packet in [Packet::Diff { zxid: z(1, 5) }].into_iter().chain(sent) {
        let lines = f.packet(9, packet);
        assert!(lines.iter().all(|line| line.starts_with("tell PassedOver")), "{lines:?}");
        times_told += lines.len();
    }
    assert_eq!(times_told, 1);
    let lines = f.packet(9, new_leader(2));
    assert_eq!(lines, ["append 1.4", "proposed 1.4", "append 1.5", "proposed 1.5", "current 2"]);
    f.disk();
    f.packet(9, up_to_date());
    assert!(told(&mut f, refusal(2, 0), z(2, 0)));
    assert_eq!(f.packet(9, proposal(2, 1)), ["append 2.1", "proposed 2.1"]);
    assert!(told(&mut f, refusal(2, 1), z(2, 1)) && told(&mut f, refusal(2, 1), z(2, 1)));
    assert_eq!(f.packet(9, commit(2, 1)), ["commit 2.1"]);
    assert_eq!(f.packet(9, proposal(2, 2)), ["append 2.2", "proposed 2.2"]);
    assert_eq!(f.disk(), ["9 ACK 2.1", "9 ACK 2.2"]);
    // Anything else under the zxid before is no such write.
    assert_over(&f.packet(9, proposal(2, 2)), "follows");
    let mut o = Bench::following(4, 3);
    let inform = |counter, txn| Packet::Inform { zxid: z(2, counter), txn };
    assert_eq!(o.packet(9, inform(1, txn())), ["append 2.1", "proposed 2.1", "commit 2.1"]);
    assert!(told(&mut o, inform(1, error_txn()), z(2, 1)));
    assert_eq!(o.packet(9, inform(2, txn())), ["append 2.2", "proposed 2.2", "commit 2.2"]);
}

// ---- observers

#[test]
fn observers_that_have_lost_their_leader_pause_each_for_a_time_of_its_own() {
    // EL058: a random part of `observer.election.DelayMs`, 200 unless set. Who has just started does not pause, nor does a voter.
    let round = |bench: &Bench| bench.zab.report().election_round;
    assert_eq!(round(&Bench::new(4, durable(3))), 1);
    let mut pauses = std::collections::BTreeSet::new();
    for seed in 0..50 {
        let options = ZabOptions { seed, ..ZabOptions::new(ServerId(4), ensemble()) };
        let mut o = Bench::following_with(options, 3);
        let before = round(&o);
        assert_eq!(o.closed(9), ["looking"]);
        let pause = if round(&o) > before { 0 } else { o.zab.next_deadline().0 - o.now };
        assert!((0..200).contains(&pause), "{pause} ms");
        if pause > 0 {
            o.pass(pause - 1);
            assert_eq!(round(&o), before, "after one less than {pause} ms");
            o.pass(1);
        }
        assert_eq!(round(&o), before + 1);
        pauses.insert(pause / 20);
    }
    assert!(pauses.len() >= 8, "fifty observers come back in {} of ten parts of the delay", pauses.len());
    let mut f = Bench::following(1, 3);
    let before = round(&f);
    f.closed(9);
    assert_eq!(round(&f), before + 1);
}

#[test]
fn who_has_lost_its_leader_while_its_log_is_cut_no_longer_says_that_it_follows() {
    let mut f = Bench::discovered(1, 5);
    f.packet(9, Packet::Trunc { zxid: z(1, 3) });
    assert_eq!(f.answers(2), [PeerState::Following]);
    f.closed(9);
    assert_eq!(f.answers(2), [], "it looks for nobody yet, and it follows nobody any more");
    f.disk();
    assert_eq!(f.answers(2), [PeerState::Looking]);
}

#[test]
fn an_observer_is_informed_and_acknowledges_the_handshake_only() {
    let mut o = Bench::discovered(4, 3);
    for packet in [Packet::Diff { zxid: z(1, 4) }, proposal(1, 4), commit(1, 4)] {
        assert!(o.packet(9, packet).is_empty());
    }
    assert_eq!(o.packet(9, new_leader(2)), ["append 1.4", "proposed 1.4", "current 2"]);
    assert_eq!(o.disk(), ["9 ACK 2.0"]);
    let inform = |counter| Packet::Inform { zxid: z(2, counter), txn: txn() };
    assert!(o.packet(9, inform(1)).is_empty(), "before UPTODATE it is kept");
    let lines = o.packet(9, up_to_date());
    assert_eq!(lines[..3], ["9 ACK 2.0", "commit 1.4", "observing 3 true"]);
    assert_eq!(lines[3..], ["append 2.1", "proposed 2.1", "commit 2.1"]);
    assert_eq!(o.packet(9, inform(2)), ["append 2.2", "proposed 2.2", "commit 2.2"]);
    assert!(o.disk().is_empty(), "an observer's ack is never sent");
    assert_over(&o.packet(9, inform(4)), "follows");
    assert_eq!(o.zab.report().standing, Standing::Looking);
}
