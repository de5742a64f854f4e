//! Seeds that once failed, named by what they found, and what holds for any seed. What a seed draws changes with the
//! simulator; each bug has its own test beside the code as well, where that could be written.

use oxkeeper_sim::members::Members;
use oxkeeper_sim::museum::Bug;
use oxkeeper_sim::{RunOptions, run};

/// With the requests and faults of the time when the seed failed.
fn holds(seed: u64) {
    holds_with(RunOptions { early: true, ..RunOptions::of_seed(seed) });
}

fn holds_with(options: RunOptions) {
    let outcome = run(&options, false);
    assert_eq!(outcome.violation, None, "{}", outcome.options);
    assert!(outcome.counts.writes_acked > 0, "a run without a write shows nothing: {}", outcome.options);
}

#[test]
fn a_seed_is_a_run() {
    for seed in [1, 3, 5] {
        let options = RunOptions::of_seed(seed);
        let (first, second) = (run(&options, false), run(&options, true));
        assert_eq!((first.hash, first.events), (second.hash, second.events), "{options}");
    }
}

/// A COMMIT that overtook the SYNC of an earlier request of the same client changed the order of its answers.
#[test]
fn pipelined_syncs_and_writes_are_answered_in_order() {
    for seed in [2, 5, 269] {
        holds(seed);
    }
}

/// The leader froze its tree for a learner and sent NEWLEADER without a SNAP: such learners never came back.
#[test]
fn learners_that_are_far_behind_get_a_snapshot() {
    for seed in [19, 21, 84] {
        holds(seed);
    }
}

/// A transaction behind a sync was committed before the round of pings that was to confirm the leader came to its end.
#[test]
fn a_commit_confirms_the_leader_as_well() {
    holds(74);
}

/// A power loss between the history of a new epoch and its currentEpoch kept a server from ever starting again.
#[test]
fn a_crash_in_the_middle_of_synchronisation_does_not_stop_the_next_start() {
    for seed in [86, 1025] {
        holds(seed);
    }
}

/// A leader's snapshot took the place of a tree that was being written to disk.
#[test]
fn a_snapshot_of_a_tree_that_was_replaced_is_given_up() {
    holds(142);
}

/// An interrupted installation of a leader's snapshot left the old log, which was read on from later: to learners, other
/// transactions than those that were committed.
#[test]
fn a_log_of_before_a_snapshot_is_no_history() {
    for seed in [2676, 2808, 7541] {
        holds_with(RunOptions::of_seed(seed));
    }
}

/// A leader failed while its snapshot was being installed: the learner had the history of an epoch that it had not accepted, and the
/// next leader had it cut where nothing leads, back to an older snapshot.
#[test]
fn a_history_is_cut_where_it_leads_or_not_at_all() {
    for seed in [77526, 117892] {
        holds_with(RunOptions::of_seed(seed));
    }
}

/// A session had moved: the answer of its write was withheld and the connection closed, but the answer of the sync behind it went out
/// first.
#[test]
fn nothing_is_answered_behind_an_answer_that_is_withheld() {
    holds_with(RunOptions::of_seed(122338));
}

/// A server was elected when a better candidate came back, and its voters went over to that one: it led nobody for `initLimit`,
/// 12 s and 10 s here, and they had to do without it.
#[test]
fn a_leader_that_its_voters_have_left_does_not_wait_for_them() {
    for seed in [901021, 902060, 902716] {
        let outcome = run(&RunOptions::of_seed(seed), false);
        assert_eq!(outcome.violation, None, "{}", outcome.options);
        let ms = outcome.counts.elected_in_vain_ms;
        assert!(ms < 1000, "servers were elected for {ms} ms without leading: {}", outcome.options);
    }
}

/// Two of three servers are left, and the history of one of them cannot be cut: its promise says that it wants a snapshot, and counts.
#[test]
fn two_of_three_elect_though_the_history_of_one_cannot_be_cut() {
    for seed in [3, 34, 102] {
        let outcome = run(&RunOptions::of_seed(seed), false);
        assert_eq!(outcome.violation, None, "{}", outcome.options);
        assert!(outcome.counts.cuts_of_two > 0, "no such cut was tried: {}", outcome.options);
        let planted = RunOptions { planted: Some(Bug::PromiseNotCounted), ..RunOptions::of_seed(seed) };
        let rule = run(&planted, false).violation.map(|violation| violation.rule);
        assert_eq!(rule, Some("Liveness"), "{planted}");
    }
}

/// Lists of members come by files, one server after the other: each is served though the oldest members are dead. Not so where the
/// first list is kept.
#[test]
fn a_quorum_of_the_new_list_serves_without_the_oldest_members() {
    for (seed, members) in [(2, Members::Replace), (46, Members::Grow), (42, Members::Exchange), (35, Members::Retire)]
    {
        let options = RunOptions::of_seed(seed);
        assert_eq!(options.changes(), members, "{options}");
        let outcome = run(&options, false);
        assert_eq!(outcome.violation, None, "{options}");
        assert!(outcome.counts.lists_judged > 0, "no list had to be served: {options}");
        let planted = RunOptions { planted: Some(Bug::OldListKept), ..options };
        let rule = run(&planted, false).violation.map(|violation| violation.rule);
        assert_eq!(rule, Some("Liveness"), "{planted}");
    }
}

/// A false alarm: the last acknowledgement of NEWLEADER came when others had delivered in a later epoch already.
#[test]
fn a_leader_may_be_established_too_late() {
    holds_with(RunOptions::of_seed(11523));
}

/// A false alarm: a leader handed its history on in a snapshot and failed, and the learner was the first to deliver it.
#[test]
fn what_came_in_a_snapshot_may_be_delivered_by_the_learner() {
    holds_with(RunOptions::of_seed(4465));
}

/// A false alarm: what a slow disk was doing took its old time, after the disk was quick again.
#[test]
fn a_disk_that_is_quick_again_is_quick_with_what_it_is_doing() {
    holds_with(RunOptions::of_seed(5795));
}

/// A false alarm: the data and the children of a node that is gone are told of one by one after a reconnect.
#[test]
fn each_list_of_watches_is_answered_for_itself() {
    holds_with(RunOptions::of_seed(22498));
}

/// A false alarm: the first event after a reconnect was one of the new connection, for which both are told of at once.
#[test]
fn an_event_with_a_zxid_is_none_of_what_was_missed() {
    holds_with(RunOptions::of_seed(46616));
}

/// Some of the planted bugs, so that the checkers are known to work where only these tests run.
#[test]
fn planted_bugs_are_found() {
    for (bug, seeds) in [
        (Bug::AckBeforeSync, 1..=5),
        (Bug::EventLost, 1..=10),
        (Bug::RecoveryForgets, 1..=10),
        (Bug::ReadBeforeApply, 9..=12),
        (Bug::ReadWithoutLook, 9..=12),
        (Bug::SyncAtApply, 1..=6),
        (Bug::PassedEpochRefused, 25..=33),
    ] {
        let mut runs = seeds.map(|seed| RunOptions { planted: Some(bug), ..RunOptions::of_seed(seed) });
        assert!(runs.any(|options| run(&options, false).violation.is_some()), "{} was not found", bug.name());
    }
}
