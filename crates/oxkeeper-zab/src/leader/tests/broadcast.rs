//! Phase 3: commits, quorums, and the end of an epoch.

use super::*;

#[test]
fn a_commit_needs_a_quorum_of_logs_the_leader_s_own_like_any_other() {
    let mut l = Bench::established(3);
    assert_eq!(l.propose(), ["append 2.1", "2 PROPOSAL 2.1"]);
    assert!(l.ack(2, z(2, 1)).is_empty(), "one of three");
    assert_eq!(l.disk(), ["2 COMMIT 2.1", "commit 2.1"], "QP052, our own ACK comes with our log");
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
    // QP082, the counter is used up; the reference gives up what is outstanding.
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
