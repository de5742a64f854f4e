//! Every way in which the other end of a quorum link can break the protocol. The link is closed with the text.
//!
//! Owns the texts: what was expected, what came. Must not know what happens next. The reference only warns about some of
//! these (BG032); there is no state in which going on would be safe.

use std::fmt;

use oxkeeper_proto::quorum::Packet;
use oxkeeper_types::{Epoch, ServerId, Zxid};

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Misbehaved {
    /// A packet that has no place where the other end stands. Either side.
    Unexpected { expected: &'static str, got: &'static str },
    /// A protocol older than 0x10000 (Zab before ZooKeeper 3.4). Either side.
    OldProtocol { got: i32 },

    // ---- by a leader
    /// LEADERINFO with an epoch below the one that we have promised.
    EpochBehind { accepted: Epoch, got: Epoch },
    /// LEADERINFO with one of the last epochs there are.
    EpochNearEnd { accepted: Epoch, got: Epoch },
    /// NEWLEADER of another epoch than LEADERINFO.
    OtherEpoch { agreed: Epoch, got: Epoch },
    /// TRUNC to a point that is not behind us.
    TruncAhead { last_logged: Zxid, got: Zxid },
    /// TRUNC or SNAP that would take back what this server knows to be committed.
    Uncommit { committed: Zxid, got: Zxid },
    /// TRUNC to a transaction that our log does not hold.
    TruncAway { wanted: Zxid, got: Zxid },
    /// A proposal that does not follow the last one (ZOOKEEPER-4925, QP077).
    Gap { last: Zxid, got: Zxid },
    /// A proposal or a snapshot of an epoch that is not its own yet.
    LaterEpoch { agreed: Epoch, got: Zxid },
    /// COMMIT of something else than the oldest proposal (QP086, what a follower does then; reference: exit code 12).
    CommitMismatch { oldest: Option<Zxid>, got: Zxid },

    // ---- by a learner
    /// A learner that says it is this server.
    OurId { id: ServerId },
    /// It has activated a later configuration (QP028).
    ConfigAhead { ours: Zxid, got: Zxid },
    /// A negative epoch.
    BadEpoch { got: Epoch },
    /// It says that it has promised an epoch to which no quorum can have come.
    EpochFar { at_most: Epoch, got: Epoch },
    /// There is no epoch left to be proposed.
    EpochsUsedUp { accepted: Epoch },
    /// ACKEPOCH with a history of the epoch that it promises just now, or of a later one.
    HistoryAhead { promised: Epoch, got: Epoch },
    /// ACK of something that was never proposed.
    AckAhead { proposed: Zxid, got: Zxid },
    /// More answers than there were PINGs.
    PingUnasked,
}

impl fmt::Display for Misbehaved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Misbehaved::Unexpected { expected, got } => write!(f, "expected {expected}, got {got}"),
            Misbehaved::OldProtocol { got } => {
                write!(f, "expected protocol 0x10000 or later, got 0x{got:x}: servers before 3.4 are not supported")
            }
            Misbehaved::EpochBehind { accepted, got } => {
                write!(f, "expected an epoch of at least {} in LEADERINFO, got {}", accepted.0, got.0)
            }
            Misbehaved::EpochNearEnd { accepted, got } => write!(
                f,
                "expected an epoch that elections have led to in LEADERINFO, got {}, which is close to the last one there is, where {} \
                 is the one we have promised: somebody makes the leader believe so",
                got.0, accepted.0
            ),
            Misbehaved::EpochFar { at_most, got } => write!(
                f,
                "expected a promise of epoch {} at most, got epoch {}, to which no quorum can have come: this is a stranger, or the \
                 file acceptedEpoch of that member is damaged; then start it with an empty data directory",
                at_most.0, got.0
            ),
            Misbehaved::EpochsUsedUp { accepted } => write!(
                f,
                "expected an epoch that can still be proposed, got to {}, the last one there is: export the data, and start a new ensemble",
                accepted.0
            ),
            Misbehaved::HistoryAhead { promised, got } => {
                write!(
                    f,
                    "expected a history from before epoch {}, which it promises just now, got one of epoch {}",
                    promised.0, got.0
                )
            }
            Misbehaved::OtherEpoch { agreed, got } => {
                write!(f, "expected NEWLEADER of epoch {}, got epoch {}", agreed.0, got.0)
            }
            Misbehaved::TruncAhead { last_logged, got } => {
                write!(f, "expected TRUNC to a zxid below the last one in the log, {last_logged}, got {got}")
            }
            Misbehaved::Uncommit { committed, got } => {
                write!(
                    f,
                    "expected a history with everything through {committed}, which is committed, got one through {got}"
                )
            }
            Misbehaved::TruncAway { wanted, got } => {
                write!(f, "expected TRUNC to a transaction of our log, got {wanted}; the log ends at {got} now")
            }
            Misbehaved::Gap { last, got } => write!(f, "expected a proposal that follows {last}, got {got}"),
            Misbehaved::LaterEpoch { agreed, got } => {
                write!(f, "expected transactions of epochs through {}, which the leader leads in, got {got}", agreed.0)
            }
            Misbehaved::CommitMismatch { oldest: Some(oldest), got } => {
                write!(f, "expected COMMIT of the oldest proposal, {oldest}, got COMMIT of {got}")
            }
            Misbehaved::CommitMismatch { oldest: None, got } => {
                write!(f, "expected no COMMIT without a proposal, got COMMIT of {got}")
            }
            Misbehaved::OurId { id } => write!(f, "expected another server, got one that also has myid {}", id.0),
            Misbehaved::ConfigAhead { ours, got } => write!(
                f,
                "expected a configuration of at most version {:x}, got version {:x}: the learner is ahead of the leader",
                ours.0, got.0
            ),
            Misbehaved::BadEpoch { got } => write!(f, "expected an epoch from 0, got {}", got.0),
            Misbehaved::AckAhead { proposed, got } => {
                write!(f, "expected ACK of at most {proposed}, the last proposal, got {got}")
            }
            Misbehaved::PingUnasked => f.write_str("expected no PING without a question, got one"),
        }
    }
}

pub(crate) fn unexpected(expected: &'static str, got: &Packet) -> Misbehaved {
    Misbehaved::Unexpected { expected, got: got.name() }
}
