//! Phase 2: every learner gets what it lacks, then NEWLEADER.

use super::*;

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
    assert_eq!(l.zab.next_zxid(), Some(z(2, 1)), "QP043, the first of the epoch");
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
    // QP064, older than what is in memory; ZOOKEEPER-2846 (BG019), the log holds what was never committed.
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
    // QP080, so many observers are brought up to date at a time.
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
    // QP044, the first list gets the epoch for a version (ZOOKEEPER-1783).
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
