//! All that the consensus of a server can ask for. Carried out in order.

use crate::input::LinkId;
use oxkeeper_proto::election::Notification;
use oxkeeper_proto::quorum::Packet;
use oxkeeper_types::persist::{Persist, TxnBytes};
use oxkeeper_types::{Epoch, ServerId, Zxid};

#[derive(Clone, Debug)]
pub enum Output {
    /// To the election port of a member. The edge keeps one message per member, the newest, until there is a connection, and
    /// sends the last one again on a new connection (EL031). Dials if there is none.
    Notify {
        to: ServerId,
        notification: Notification,
    },
    /// Connect to the quorum port of this member; answered by `LeaderConnected` or `LeaderUnreachable`. An unanswered dial is
    /// given up when another role begins.
    DialLeader {
        leader: ServerId,
    },
    Send {
        link: LinkId,
        packet: Packet,
    },
    /// Send what is queued, if that goes at once, and close. No `LinkClosed` is owed for it, and nothing more of it is taken.
    CloseLink {
        link: LinkId,
        why: LinkEnd,
    },
    /// For the disk, in order.
    Persist(Persist),
    /// Learner only: this transaction comes next in the log (its append stands before); the replica puts it in line.
    Proposed {
        zxid: Zxid,
        txn: TxnBytes,
    },
    /// Everything in line through this zxid may be applied.
    Commit {
        through: Zxid,
    },
    /// Leading only: freeze the tree as soon as everything that is committed is applied, before anything more is, and answer
    /// with `ImageFrozen`.
    FreezeImage {
        link: LinkId,
    },
    /// Leading only: read the log behind `after`; answered by `HistoryRead`.
    ReadHistory {
        link: LinkId,
        after: Zxid,
    },
    /// The part that this server plays has changed. Everything before it in the list belongs to the old role.
    Role(RoleChange),
    /// Something to tell whoever runs this server.
    Tell(Notice),
    /// See `Input::ConfirmLeadership`.
    LeadershipConfirmed {
        number: u64,
    },
}

/// What an operator is told of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Notice {
    /// Our own disk has been silent for `syncLimit`, and the role is given up for that.
    DiskSilent,
    /// It answers again.
    DiskAnswers,
    /// Our leader proposed a refused write under a zxid that it had given out before; it was passed over.
    PassedOver { zxid: Zxid },
}

/// Where a server stands. Clients are served in `Leading` and in a learner's `serving: true` only.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RoleChange {
    /// Looking for a leader: no clients, everything that was proposed here is applied, nothing is in line.
    Looking,
    /// Elected, not established yet.
    Preparing {
        epoch: Option<Epoch>,
    },
    /// A quorum has acknowledged NEWLEADER: the first transaction gets the zxid `Zab::next_zxid`.
    Leading {
        epoch: Epoch,
    },
    /// Following or observing this leader; `serving` from UPTODATE on.
    Following {
        leader: ServerId,
        serving: bool,
    },
    Observing {
        leader: ServerId,
        serving: bool,
    },
}

/// Why a link of the quorum port is closed. Logged once, by the edge, with the peer's id and address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LinkEnd {
    /// The role it belonged to is over.
    RoleOver,
    /// A newer connection of the same server took its place.
    Replaced,
    /// Nothing was heard in the time that `initLimit` or `syncLimit` allows.
    Silent,
    /// Our own disk has answered nothing for `syncLimit`.
    DiskSilent,
    /// Our history cannot be cut to where the leader wants it; the next leader is asked for a snapshot.
    CannotTruncate,
    /// The peer broke the protocol; the text says how, with expected and got.
    Misbehaved(String),
}
