//! All that can happen to the consensus of a server.

use oxkeeper_proto::election::Notification;
use oxkeeper_proto::quorum::Packet;
use oxkeeper_types::persist::{Persisted, TxnBytes};
use oxkeeper_types::{ServerId, Zxid};

/// One connection of the quorum port, on either side. Given out by the edge, unique for the life of the process.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct LinkId(pub u64);

/// An event for [`crate::Zab::step`].
#[derive(Clone, Debug)]
pub enum Input {
    /// Time has passed. Comes at least as often as `Zab::next_deadline` asks for.
    Tick,

    // ---- election port
    /// A message from another member. Our own never come back through here.
    Notification {
        from: ServerId,
        notification: Notification,
    },
    /// The connection to this member on the election port came up, or was lost, or a dial was refused. Ends waits early; never
    /// needed for safety. Repeated reports of the same state are harmless.
    ElectionLink {
        peer: ServerId,
        up: bool,
    },

    // ---- quorum port, as a learner
    /// The dial asked for by [`crate::Output::DialLeader`] succeeded.
    LeaderConnected {
        link: LinkId,
    },
    /// It failed for good (the edge has retried as the reference does).
    LeaderUnreachable {
        leader: ServerId,
    },

    // ---- quorum port, as a leader
    /// Somebody connected. Whoever it is says so in its first packet.
    LearnerConnected {
        link: LinkId,
    },

    // ---- quorum port, both
    /// Everything of the link that is consensus: all packets but REQUEST, REVALIDATE and SYNC, which the replica takes.
    /// PING comes here too (liveness), after the replica has taken note of the sessions in it.
    /// A `Packet::Snap` is handed over when its header arrives; its stream ends with [`Input::SnapshotReceived`], or with the
    /// loss of the link.
    Packet {
        link: LinkId,
        packet: Packet,
    },
    /// The stream behind `Packet::Snap` was read to its end, the signature included. Nothing of it is in force before
    /// [`oxkeeper_types::persist::Persist::InstallSnapshot`] asks for it; it is forgotten when the link is closed before.
    SnapshotReceived {
        link: LinkId,
    },
    /// The link is gone, whoever closed it, or its bytes made no sense.
    LinkClosed {
        link: LinkId,
    },

    // ---- disk
    Persisted(Persisted),
    /// The tree was replaced and is durable: answer to [`oxkeeper_types::persist::Persist::InstallSnapshot`] (log and older
    /// files are gone, the log goes on behind `last`) and to [`oxkeeper_types::persist::Persist::TruncateLog`] (the log was
    /// cut and the tree rebuilt; `Persisted::CannotTruncate` where it was not). In its turn among the answers of the disk, whatever role there is by then.
    StateReplaced {
        last: Zxid,
    },
    /// Answer to [`crate::Output::ReadHistory`]: the transactions after `after` in the order of the log, contiguous with each
    /// other. `None`: not available (too long beside a snapshot, a gap, or `after` is not in the log and not its beginning).
    HistoryRead {
        link: LinkId,
        after: Zxid,
        txns: Option<Vec<(Zxid, TxnBytes)>>,
    },

    // ---- from the replica
    /// Leading only: a transaction that the replica has prepared, with the zxid after the last one (see
    /// `Zab::next_zxid`).
    Propose {
        zxid: Zxid,
        txn: TxnBytes,
    },
    /// Leading only: answer to [`crate::Output::FreezeImage`]. The tree was frozen for this link with everything through `zxid`
    /// applied; the SNAP packet and the stream go out in the place of the answer.
    ImageFrozen {
        link: LinkId,
        zxid: Zxid,
    },
    /// The stream of the snapshot that was frozen for this link has gone out: from now on the learner may be late.
    ImageSent {
        link: LinkId,
    },
    /// Leading only: make sure, at the cost of at most one exchange with a quorum, that this server still was the leader at some
    /// moment after this input. Answered by [`crate::Output::LeadershipConfirmed`] with a number >= the one that
    /// `Zab::confirm_number` returned right after this input. Rounds that are under way are shared.
    ConfirmLeadership,
}
