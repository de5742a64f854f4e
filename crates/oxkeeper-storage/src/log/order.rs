//! What may follow what in a log.
//!
//! Owns the rules on zxids that every reader of history shares: recovery, learners' histories, and cuts. Must not read files.

use super::reader::RawRecord;
use oxkeeper_proto::txn::is_refusal;
use oxkeeper_types::Zxid;

/// Whether nothing can lie between two transactions: the next number, also where a server on its own counts across the end of
/// 32 bits (reference `ZooKeeperServer.getNextZxid`), or the 1 with which every leader begins (`Leader.lead`).
pub(super) fn comes_next(last: Zxid, next: Zxid) -> bool {
    is_next_number(last, next) || (next.epoch() > last.epoch() && next.counter() == 1)
}

/// Whether `next` is the number after `last`: then nothing at all can be between them, whatever the epochs.
pub(super) fn is_next_number(last: Zxid, next: Zxid) -> bool {
    last.0.checked_add(1) == Some(next.0)
}

/// Whether something may be missing between two transactions that could follow each other: zxids do not tell how far an epoch
/// went. A snapshot between them does, as its last transaction is not in the log. The reference leaves the old log beside a
/// snapshot that a leader has sent (BG013), and what it is sent behind a snapshot or a TRUNC is in its next snapshot only. One at
/// ⟨e, 0⟩ was sent by a leader that had not proposed anything: what it holds cannot be told from its name.
pub(super) fn hides_hole(last: Zxid, next: Zxid, snapshots: &[Zxid]) -> bool {
    last.epoch() != next.epoch() && snapshots.iter().any(|snapshot| last < *snapshot && *snapshot < next)
}

/// Whether a record is a refused write without a zxid of its own: releases 3.9.0 to 3.9.5 log a request that they cannot read
/// under the last zxid that was given out (reference `PrepRequestProcessor.pRequestHelper`, its last `catch`): that of the
/// transaction before it, or ⟨e, 0⟩ where a leader had given out none. It changes nothing, so it is no part of the history.
pub(super) fn repeats_zxid(last: Zxid, record: &RawRecord) -> bool {
    let zxid = record.zxid;
    let is_before_the_first = zxid.counter() == 0 && zxid.epoch() > last.epoch() && !is_next_number(last, zxid);
    is_refusal(&record.body) && (zxid == last || is_before_the_first)
}
