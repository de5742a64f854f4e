//! The end of the log in memory: what a leader hands to learners that lag behind a little, and what has no quorum yet
//! (reference `ZKDatabase.committedLog` and `Leader.outstandingProposals` in one).
//!
//! Owns the last logged zxid, the contiguity of what is appended, and how far learners are offered it as committed. Must not
//! know disks or links.

use std::collections::VecDeque;

use oxkeeper_types::Zxid;
use oxkeeper_types::persist::TxnBytes;

#[derive(Clone, Debug)]
pub(crate) struct History {
    /// The zxid before the oldest entry; the last logged one where there are none.
    after: Zxid,
    entries: VecDeque<(Zxid, TxnBytes)>,
    /// Learners are offered everything through this as committed. On an established leader, and on a learner, that is what is
    /// committed ([`crate::core::Core::committed`]); a new leader offers its whole log, which NEWLEADER is going to commit (paper,
    /// phase 2).
    offered: Zxid,
    /// `offered` at the end of the step before: what the replica may not have applied yet is not dropped.
    settled: Zxid,
    offered_max: usize,
}

impl History {
    pub fn found(last_logged: Zxid, after: Zxid, recent: Vec<(Zxid, TxnBytes)>, offered_max: usize) -> History {
        let mut last = after;
        for (zxid, _) in &recent {
            assert!(zxid.follows(last), "the log on disk goes from {last} to {zxid}");
            last = *zxid;
        }
        assert_eq!(last, last_logged, "the end of the log in memory and the last zxid logged");
        let entries = recent.into();
        History { after, entries, offered: after, settled: after, offered_max }
    }

    pub fn last_logged(&self) -> Zxid {
        self.entries.back().map_or(self.after, |(zxid, _)| *zxid)
    }
    pub fn offered(&self) -> Zxid {
        self.offered
    }
    pub fn after(&self) -> Zxid {
        self.after
    }

    pub fn append(&mut self, zxid: Zxid, txn: TxnBytes) {
        let last = self.last_logged();
        assert!(zxid.follows(last), "appending {zxid} behind {last} leaves a gap");
        self.entries.push_back((zxid, txn));
    }

    /// Everything through `through` is offered as committed.
    pub fn offer(&mut self, through: Zxid) {
        assert!(
            self.offered <= through && through <= self.last_logged(),
            "offering {through} where {} was offered and {} is logged",
            self.offered,
            self.last_logged()
        );
        self.offered = through;
    }

    /// At the end of a step: drops what is old enough.
    pub fn trim(&mut self) {
        let settled = std::mem::replace(&mut self.settled, self.offered);
        while self.entries.len() > self.offered_max && self.entries[0].0 <= settled {
            self.after = self.entries[0].0;
            self.entries.pop_front();
        }
    }

    /// Entries behind `after`, in order, offered or not.
    pub fn behind(&self, after: Zxid) -> impl Iterator<Item = &(Zxid, TxnBytes)> {
        let from = self.entries.partition_point(|(zxid, _)| *zxid <= after);
        self.entries.range(from..)
    }

    /// Entries that are offered as committed.
    pub fn offered_entries(&self) -> impl DoubleEndedIterator<Item = &(Zxid, TxnBytes)> {
        self.entries.range(..self.entries.partition_point(|(zxid, _)| *zxid <= self.offered))
    }

    pub fn outstanding(&self) -> usize {
        self.entries.len() - self.entries.partition_point(|(zxid, _)| *zxid <= self.offered)
    }

    /// TRUNC: nothing behind `last` is left.
    pub fn truncate(&mut self, last: Zxid) {
        self.entries.truncate(self.entries.partition_point(|(zxid, _)| *zxid <= last));
        if self.last_logged() != last {
            self.reset(last);
        }
        self.offered = self.offered.min(last);
        self.settled = self.settled.min(last);
    }

    /// SNAP: another history took the place of this one.
    pub fn reset(&mut self, last: Zxid) {
        self.entries.clear();
        self.after = last;
        self.offered = last;
        self.settled = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn history(n: i64, max: usize) -> History {
        let recent = (1..=n).map(|i| (Zxid(0x1_0000_0000 + i), Bytes::new())).collect();
        History::found(Zxid(0x1_0000_0000 + n), Zxid(0), recent, max)
    }

    #[test]
    fn only_what_was_committed_a_step_ago_is_dropped() {
        let mut h = history(5, 2);
        h.offer(Zxid(0x1_0000_0004));
        h.trim();
        assert_eq!(h.behind(Zxid(0)).count(), 5, "perhaps not applied yet");
        h.trim();
        assert_eq!((h.after(), h.behind(Zxid(0)).count()), (Zxid(0x1_0000_0003), 2));
    }

    #[test]
    fn truncation_inside_and_before_the_window() {
        let mut h = history(5, 2);
        h.truncate(Zxid(0x1_0000_0003));
        assert_eq!((h.last_logged(), h.behind(Zxid(0)).count()), (Zxid(0x1_0000_0003), 3));
        let mut h = History::found(Zxid(9), Zxid(7), vec![(Zxid(8), Bytes::new()), (Zxid(9), Bytes::new())], 9);
        h.truncate(Zxid(5));
        assert_eq!((h.last_logged(), h.after(), h.outstanding()), (Zxid(5), Zxid(5), 0));
    }

    #[test]
    #[should_panic(expected = "leaves a gap")]
    fn a_gap_stops_the_server() {
        history(2, 9).append(Zxid(0x1_0000_0004), Bytes::new());
    }
}
