//! What a leader knows of one learner, by its link.
//!
//! Owns how far the learner has come through the phases, and the reckoning of what it owes: acknowledgements and answers to
//! PING. Must not know the other learners.

use oxkeeper_types::{Millis, ServerId, Zxid};

use crate::misbehaved::Misbehaved;

#[derive(Clone, Debug)]
pub(super) struct Learner {
    pub id: ServerId,
    pub observer: bool,
    /// When a packet came last, or the state began.
    pub heard: Millis,
    /// The log is on its disk through this, as it says. Acknowledgements come in the order of its log, so one stands for all
    /// before it. ZooKeeper 3.8 sends those of outstanding proposals before the one of NEWLEADER, and not again: they are kept
    /// here, count from UPTODATE on ([`Learner::acked_as_voter`]), and are weighed at that moment.
    pub acked: Zxid,
    pub state: State,
}

#[derive(Clone, Debug)]
pub(super) enum State {
    /// FOLLOWERINFO or OBSERVERINFO has come. Until the epoch is agreed upon and on our disk.
    Introduced,
    /// LEADERINFO is sent. Until ACKEPOCH.
    EpochSent,
    /// ACKEPOCH has come. Until a quorum has sent it, and until there is a free place for an observer (QP080).
    EpochAcked { last: Zxid },
    /// The log on disk is read.
    Reading { last: Zxid },
    /// The replica freezes the tree.
    Freezing,
    /// NEWLEADER is sent, and everything since then. Until its ACK.
    Syncing(Sending),
    /// NEWLEADER is acknowledged. Until a quorum has done so.
    Synced,
    /// UPTODATE is sent.
    Broadcast(Progress),
}

/// What goes out before NEWLEADER.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Sending {
    Transactions,
    /// The stream of a snapshot; the edge watches that it moves.
    Snapshot,
    /// A snapshot, all of which has gone out.
    SnapshotSent,
}

/// In broadcast.
#[derive(Clone, Default, Debug)]
pub(super) struct Progress {
    pings_sent: u64,
    pings_answered: u64,
    /// The PING whose answer counts for the round of confirmation that is open.
    round_ping: u64,
    /// Of the proposals sent since NEWLEADER was acknowledged: the oldest without an ACK that we keep the time of, and the
    /// newest (reference `SyncLimitCheck`).
    oldest: Option<(Zxid, Millis)>,
    newest: Option<(Zxid, Millis)>,
}

impl Learner {
    pub fn new(id: ServerId, observer: bool, now: Millis) -> Learner {
        Learner { id, observer, heard: now, acked: Zxid::ZERO, state: State::Introduced }
    }

    /// Gets every proposal and commit, or inform.
    pub fn is_forwarded_to(&self) -> bool {
        matches!(self.state, State::Syncing(_) | State::Synced | State::Broadcast(_))
    }
    pub fn is_synced(&self) -> bool {
        matches!(self.state, State::Broadcast(_))
    }
    /// What it has acknowledged, as far as it counts for a commit.
    pub fn acked_as_voter(&self) -> Option<Zxid> {
        (!self.observer && self.is_synced()).then_some(self.acked)
    }

    pub fn enter(&mut self, state: State, now: Millis) {
        self.heard = now;
        self.state = state;
    }

    /// Whether we are waiting for it too long: `init` within the handshake, `sync` in broadcast. What we wait for on our
    /// own side is not its fault.
    pub fn is_late(&self, now: Millis, init: Millis, sync: Millis) -> bool {
        match &self.state {
            State::Introduced
            | State::EpochAcked { .. }
            | State::Reading { .. }
            | State::Freezing
            | State::Syncing(Sending::Snapshot)
            | State::Synced => false,
            State::EpochSent | State::Syncing(_) => now >= self.heard + init,
            State::Broadcast(progress) => {
                now >= self.heard + sync || progress.oldest.is_some_and(|(_, since)| now >= since + sync)
            }
        }
    }

    pub fn on_proposed(&mut self, zxid: Zxid, now: Millis) {
        if let State::Broadcast(progress) = &mut self.state {
            progress.oldest.get_or_insert((zxid, now));
            progress.newest = Some((zxid, now));
        }
    }

    pub fn on_ack(&mut self, zxid: Zxid) {
        self.acked = self.acked.max(zxid);
        if let State::Broadcast(progress) = &mut self.state
            && progress.oldest.is_some_and(|(oldest, _)| oldest <= zxid)
        {
            progress.oldest = progress.newest.filter(|(newest, _)| *newest > zxid);
        }
    }
}

impl Progress {
    pub fn ping_sent(&mut self) {
        self.pings_sent += 1;
    }
    pub fn on_ping(&mut self) -> Result<(), Misbehaved> {
        if self.pings_answered == self.pings_sent {
            return Err(Misbehaved::PingUnasked);
        }
        self.pings_answered += 1;
        Ok(())
    }
    /// A round of confirmation begins: the last PING sent, which was sent for it, will show loyalty.
    pub fn round_begins(&mut self) {
        self.round_ping = self.pings_sent;
    }
    /// Links are in order, and every PING is answered: counting tells which one an answer is for. A learner that came into
    /// broadcast later than the round began shows it with any answer.
    pub fn answered_round(&self) -> bool {
        self.pings_answered >= self.round_ping.max(1)
    }
}
