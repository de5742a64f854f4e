//! Who is heard from, and how a leader learns that it still leads (ZOOKEEPER-1675).

use super::*;

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
    // QP096, its oldest proposal without an ACK is older than syncLimit.
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
    // ZOOKEEPER-3240 (BG026, a connection that is left over keeps its learner out)
    let mut l = Bench::established(3);
    assert_eq!(l.join(7, 2, 2), ["close 2: Replaced", "7 LEADERINFO 2"]);
    assert!(l.packet(2, Packet::Ack { zxid: z(2, 1) }).is_empty(), "what still comes from the old one is dropped");
}

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
