//! The decisions between DIFF, TRUNC and SNAP (QP060 to QP072), one row each.

use super::*;
use bytes::Bytes;

const fn z(epoch: i64, counter: i64) -> Zxid {
    Zxid((epoch << 32) | counter)
}

/// ⟨1,3⟩ to ⟨1,6⟩, ⟨3,1⟩ to ⟨3,4⟩; committed through ⟨3,3⟩; what is before ⟨1,3⟩ is on disk only.
fn history() -> History {
    let zxids = [z(1, 3), z(1, 4), z(1, 5), z(1, 6), z(3, 1), z(3, 2), z(3, 3), z(3, 4)];
    let recent = zxids.into_iter().map(|zxid| (zxid, Bytes::new())).collect();
    let mut history = History::found(z(3, 4), z(1, 2), recent, 500);
    history.offer(z(3, 3));
    history
}

const ALL: Means = Means { force_snapshot: false, log: true };

#[test]
fn each_row_of_the_reference_s_table() {
    let behind = |zxid| SyncPlan::Diff { behind: zxid };
    let rows = [
        ("QP061 equal", z(3, 3), ALL, behind(z(3, 3))),
        ("QP060 forced", z(3, 3), Means { force_snapshot: true, ..ALL }, SyncPlan::Snap),
        ("QP062 newer than what is committed", z(3, 9), ALL, SyncPlan::Trunc { to: z(3, 3) }),
        ("QP062 ... though it is proposed here, too", z(3, 4), ALL, SyncPlan::Trunc { to: z(3, 3) }),
        ("QP062 a newer epoch without a transaction", z(4, 0), ALL, SyncPlan::Snap),
        ("QP063, QP068 in memory", z(1, 4), ALL, behind(z(1, 4))),
        ("the one before the oldest in memory", z(1, 2), ALL, behind(z(1, 2))),
        ("QP069 start of an epoch in memory", z(3, 0), ALL, behind(z(3, 0))),
        ("QP069 start of an epoch without transactions", z(2, 0), ALL, behind(z(2, 0))),
        ("QP071 a transaction of an older epoch that we have not", z(1, 7), ALL, SyncPlan::Snap),
        ("QP071 the same, of an epoch that we have nothing of", z(2, 5), ALL, SyncPlan::Snap),
        ("QP064 older than memory", z(1, 1), ALL, SyncPlan::ReadLog),
        ("QP066 older than memory, log switched off", z(1, 1), Means { log: false, ..ALL }, SyncPlan::Snap),
        ("BG018 without any transaction", Zxid::ZERO, ALL, SyncPlan::Snap),
        ("no trusted database", Zxid::NONE, ALL, SyncPlan::Snap),
    ];
    for (name, learner_last, means, expected) in rows {
        assert_eq!(choose(&history(), learner_last, means), expected, "{name}");
    }
}

#[test]
fn a_hole_that_was_inherited_is_cut_at() {
    // Logs of releases before 3.9.4 may have holes; QP070, a learner that stands in one.
    let mut history = History::found(z(1, 4), z(1, 4), Vec::new(), 500);
    history.append(z(2, 1), Bytes::new());
    history.offer(z(2, 1));
    assert_eq!(choose(&history, z(1, 7), ALL), SyncPlan::Snap);
    assert_eq!(choose(&history, z(2, 3), ALL), SyncPlan::Trunc { to: z(2, 1) });
}

#[test]
fn an_empty_window_gives_no_diff_to_a_peer_that_lacks_the_snapshot() {
    // Given a leader that has restored a snapshot and logged nothing since (ZOOKEEPER-4352, BG018)
    let restored = History::found(z(5, 9), z(5, 9), Vec::new(), 500);
    let mut at_zero = History::found(Zxid::ZERO, Zxid::ZERO, Vec::new(), 500);
    assert_eq!(choose(&restored, Zxid::ZERO, ALL), SyncPlan::Snap);
    assert_eq!(choose(&restored, z(5, 9), ALL), SyncPlan::Diff { behind: z(5, 9) });
    assert_eq!(choose(&restored, z(5, 8), ALL), SyncPlan::ReadLog);
    // And the first start of an ensemble: nobody has anything.
    assert_eq!(choose(&at_zero, Zxid::ZERO, ALL), SyncPlan::Diff { behind: Zxid::ZERO });
    assert_eq!(choose(&at_zero, z(1, 3), ALL), SyncPlan::Snap);
    // A first transaction in memory does not make "no transaction" a common history.
    at_zero.append(z(1, 1), Bytes::new());
    at_zero.offer(z(1, 1));
    assert_eq!(choose(&at_zero, Zxid::ZERO, ALL), SyncPlan::Snap);
}

#[test]
fn the_log_on_disk_is_used_if_it_reaches_memory_without_a_gap() {
    let txns = |zxids: &[Zxid]| zxids.iter().map(|zxid| (*zxid, Bytes::new())).collect::<Vec<_>>();
    let plan = |older: Option<&[(Zxid, TxnBytes)]>| choose_with_log(&history(), z(1, 1), older, false);
    assert_eq!(plan(Some(&txns(&[z(1, 2)]))), SyncPlan::Diff { behind: z(1, 1) });
    assert_eq!(plan(Some(&txns(&[z(1, 2), z(1, 3), z(1, 4)]))), SyncPlan::Diff { behind: z(1, 1) });
    assert_eq!(plan(Some(&txns(&[z(1, 3)]))), SyncPlan::Snap, "QP067: a gap");
    assert_eq!(plan(Some(&txns(&[]))), SyncPlan::Snap, "ends before memory begins");
    assert_eq!(plan(None), SyncPlan::Snap);
}
