//! What was asked of the disk and not answered yet.
//!
//! Owns the matching of answers to requests. Requests are answered in order, so counting is enough; each remembers the reign of the
//! role that asked, so that what a finished role wrote is never taken for the work of the next one (ZOOKEEPER-4541, ZOOKEEPER-4712:
//! BG010, a stopped server that still logs). Owns, too, how long the disk has been silent. Must not know what an answer sets free,
//! nor what silence costs.

use std::collections::VecDeque;

use oxkeeper_types::persist::Persisted;
use oxkeeper_types::{Epoch, Millis, Zxid};

/// One stay in a role; counts up for the life of the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) struct Reign(pub u64);

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Request {
    Append(Zxid),
    /// A cut of the log, or a snapshot in its place.
    Replace(Zxid),
    AcceptedEpoch(Epoch),
    CurrentEpoch(Epoch),
}

#[derive(Clone, Default, Debug)]
pub(crate) struct Disk {
    outstanding: VecDeque<(Reign, Request)>,
    replacements: usize,
    /// Since when something is outstanding and nothing was answered.
    waiting_since: Option<Millis>,
    /// Something was answered since [`Disk::keep_time`].
    answered: bool,
    /// It was silent for too long, and still is.
    is_silent: bool,
}

impl Disk {
    pub fn append(&mut self, reign: Reign, zxid: Zxid) {
        self.outstanding.push_back((reign, Request::Append(zxid)));
    }
    pub fn replace(&mut self, reign: Reign, zxid: Zxid) {
        self.replacements += 1;
        self.outstanding.push_back((reign, Request::Replace(zxid)));
    }
    pub fn accepted_epoch(&mut self, reign: Reign, epoch: Epoch) {
        self.outstanding.push_back((reign, Request::AcceptedEpoch(epoch)));
    }
    pub fn current_epoch(&mut self, reign: Reign, epoch: Epoch) {
        self.outstanding.push_back((reign, Request::CurrentEpoch(epoch)));
    }

    /// What is asked and answered at one moment has been noted.
    pub fn keep_time(&mut self, now: Millis) {
        if self.outstanding.is_empty() {
            self.waiting_since = None;
        } else if self.answered || self.waiting_since.is_none() {
            self.waiting_since = Some(now);
        }
        self.answered = false;
    }

    /// When it will have been silent for `limit`. A cut or a snapshot takes as long as it takes: whoever asked for it has a limit of
    /// its own. `None`, too, where that is known already.
    pub fn silent_at(&self, limit: Millis) -> Option<Millis> {
        let since = self.waiting_since.filter(|_| !self.is_silent && !self.is_replacing());
        since.map(|since| since + limit)
    }

    /// Until the next answer.
    pub fn note_silent(&mut self) {
        self.is_silent = true;
    }
    pub fn is_silent(&self) -> bool {
        self.is_silent
    }

    fn answer(&mut self) -> Option<(Reign, Request)> {
        self.answered = true;
        self.is_silent = false;
        self.outstanding.pop_front()
    }

    /// Whether the tree is being built again.
    pub fn is_replacing(&self) -> bool {
        self.replacements > 0
    }

    /// The appends through `through` are on disk; `each` gets those of `reign`, in order.
    pub fn logged(&mut self, through: Zxid, reign: Reign, mut each: impl FnMut(Zxid)) {
        loop {
            let Some((asked_by, Request::Append(zxid))) = self.answer() else {
                panic!("the log is on disk through {through}, which was not appended, or not in this order");
            };
            if asked_by == reign {
                each(zxid);
            }
            if zxid == through {
                return;
            }
        }
    }

    /// Matches an answer about an epoch; the reign that asked.
    pub fn epoch_done(&mut self, answer: Persisted) -> Reign {
        let asked = match answer {
            Persisted::AcceptedEpoch(epoch) => Request::AcceptedEpoch(epoch),
            Persisted::CurrentEpoch(epoch) => Request::CurrentEpoch(epoch),
            Persisted::Log { .. } | Persisted::Truncated { .. } | Persisted::CannotTruncate { .. } => {
                unreachable!("not about an epoch: {answer:?}")
            }
        };
        match self.answer() {
            Some((reign, request)) if request == asked => reign,
            other => panic!("the disk answered {answer:?} where the oldest request is {other:?}"),
        }
    }

    /// The tree was replaced: the reign that asked for it, and how far it was to reach. A log that is cut at a transaction that
    /// it does not hold ends before (BG029).
    pub fn replaced(&mut self, last: Zxid) -> (Reign, Zxid) {
        match self.answer() {
            Some((reign, Request::Replace(zxid))) if zxid >= last => {
                self.replacements -= 1;
                (reign, zxid)
            }
            other => panic!("the state was replaced by one through {last} where the oldest request is {other:?}"),
        }
    }

    /// The log could not be cut, and is as it was: the reign that asked for it.
    pub fn not_replaced(&mut self) -> Reign {
        match self.answer() {
            Some((reign, Request::Replace(_))) => {
                self.replacements -= 1;
                reign
            }
            other => panic!("the log could not be cut where the oldest request is {other:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn appends_of_an_older_reign_are_not_the_new_ones() {
        let mut disk = Disk::default();
        disk.append(Reign(1), Zxid(0x1_0000_0001));
        disk.accepted_epoch(Reign(2), Epoch(2));
        disk.append(Reign(2), Zxid(0x2_0000_0001));
        let mut seen = Vec::new();
        disk.logged(Zxid(0x1_0000_0001), Reign(2), |z| seen.push(z));
        assert_eq!(seen, []);
        assert_eq!(disk.epoch_done(Persisted::AcceptedEpoch(Epoch(2))), Reign(2));
        disk.logged(Zxid(0x2_0000_0001), Reign(2), |z| seen.push(z));
        assert_eq!(seen, [Zxid(0x2_0000_0001)]);
    }

    #[test]
    #[should_panic(expected = "not in this order")]
    fn an_answer_out_of_order_stops_the_server() {
        let mut disk = Disk::default();
        disk.current_epoch(Reign(1), Epoch(1));
        disk.append(Reign(1), Zxid(1));
        disk.logged(Zxid(1), Reign(1), |_| {});
    }
}
