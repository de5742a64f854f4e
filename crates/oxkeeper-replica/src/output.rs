//! All that a server can ask for.

use crate::report::{DigestMismatch, QuotaExceeded};
use oxkeeper_proto::election::Notification;
use oxkeeper_proto::frame;
use oxkeeper_proto::quorum::Packet;
use oxkeeper_tree::ImageId;
use oxkeeper_types::ensemble::Ensemble;
use oxkeeper_types::persist::Persist;
use oxkeeper_types::{ConnId, Millis, ServerId, SessionId, Zxid};
use oxkeeper_zab::{LinkEnd, LinkId, Notice, RoleChange};
use std::ops::Range;

/// What a step leaves for the edge to carry out. Reused: the edge drains it and hands it back.
#[derive(Debug, Default)]
pub struct Outputs {
    /// For the disk thread, in order.
    pub persist: Vec<Persist>,
    /// Whole frames, one behind the other; [`Delivery`] says who gets which. One frame may go to many.
    pub frames: Vec<u8>,
    /// In the order in which each connection is to send them.
    pub deliveries: Vec<Delivery>,
    /// In order; carried out after the deliveries.
    pub controls: Vec<Control>,
    /// Of an ensemble, in order: what goes to the other servers. Nothing in here waits for the disk: what must, comes out only
    /// after the disk has answered.
    pub peers: Vec<PeerOutput>,
    /// Learners of ours whose clients wait for what was just committed. What `peers` has for them leaves behind what it has for
    /// everybody else: when such a client has its answer, the COMMIT has left for all.
    pub last: Vec<LinkId>,
    /// Of an ensemble: these members count from here on, in a version that is newer than the one before. To be kept, so that
    /// the next start begins with it.
    pub members: Option<Box<Ensemble>>,
    /// For the log and the metrics, in order.
    pub quotas_exceeded: Vec<QuotaExceeded>,
    /// For the log: transactions behind which the tree is not what their writer had.
    pub digest_mismatches: Vec<DigestMismatch>,
}

/// What a server of an ensemble asks of its election port and its quorum port.
#[derive(Clone, Debug)]
pub enum PeerOutput {
    /// As [`oxkeeper_zab::Output::Notify`].
    Notify {
        to: ServerId,
        notification: Notification,
    },
    /// As [`oxkeeper_zab::Output::DialLeader`].
    DialLeader {
        leader: ServerId,
    },
    Send {
        link: LinkId,
        packet: Packet,
    },
    /// As [`oxkeeper_zab::Output::CloseLink`].
    CloseLink {
        link: LinkId,
        why: LinkEnd,
    },
    /// Send the frozen image as a raw snapshot stream (sessions, ACLs, nodes, "/", then the signature), in this place among the
    /// packets of the link; then answer with `Input::ImageSent`.
    SendImage {
        link: LinkId,
        image: ImageId,
    },
    /// As [`oxkeeper_zab::Output::ReadHistory`]; answered by `Input::Peer(HistoryRead)`.
    ReadHistory {
        link: LinkId,
        after: Zxid,
    },
    /// The part that this server plays has changed, for those who are asked about it or wait for it: a dial that is under way
    /// is given up, and links of the old role are closed by their own outputs.
    /// `epoch_began`: see `Zab::epoch_began`.
    Role {
        role: RoleChange,
        epoch_began: Option<Zxid>,
    },
    /// For the log.
    Tell(Notice),
}

/// How clients are served.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    Standalone,
    Leader,
    Follower,
    Observer,
    ReadOnly,
    /// Not at all: connections are closed at their handshake.
    Looking,
}

/// `frames[range]` goes to the outbox of `conn`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Delivery {
    pub conn: ConnId,
    pub range: Range<usize>,
    /// Whether this answers a request (so that one more may be taken), and not an event.
    pub is_reply: bool,
}

/// What happens to a connection or to the server beside bytes.
#[derive(Clone, Debug)]
pub enum Control {
    /// The handshake succeeded: its answer is already in the frames.
    Established { conn: ConnId, session: SessionId, timeout: Millis },
    /// Send what is in the outbox, then close.
    Close { conn: ConnId, reason: CloseReason },
    /// From here on clients are served in this way. All connections are closed where it is not served any more
    /// (the replica says so connection by connection).
    Serve { mode: Mode },
    /// Write a snapshot from this frozen image; answer with `Input::SnapshotDone`.
    Snapshot { image: ImageId, zxid: Zxid },
}

/// Why a connection is closed by the server. Logged once, by the edge, with the connection's address and session.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CloseReason {
    /// The client asked for it.
    SessionClosed,
    /// Nothing was heard for the session's timeout.
    SessionExpired,
    /// The session is served by another connection now.
    SessionMoved,
    /// Unknown session, wrong password, or a session that is being closed.
    ConnectRefused,
    /// The client has seen a later zxid than this server has.
    ClientAhead {
        client: Zxid,
        server: Zxid,
    },
    /// `connection_throttle_*` had no token.
    ConnectThrottled,
    /// An op that no client may send; a reply with -6 stands before it.
    Unimplemented {
        op: i32,
    },
    AuthFailed,
    /// This server serves no clients now: it looks for a leader.
    NotServing,
    /// This server has no leader and serves read-only clients alone; this one is none.
    ReadOnlyServer,
    /// The same, and the client speaks for a session of the ensemble.
    SessionOfEnsemble,
}

impl Outputs {
    /// Appends one frame for one connection. `write` adds the body. Where an answer was withheld because the session has moved, so
    /// is every later one: a client takes its answers in the order of its requests.
    pub fn send(&mut self, conn: ConnId, is_reply: bool, write: impl FnOnce(&mut Vec<u8>)) {
        let withholds = |control: &Control| match control {
            Control::Close { conn: closed, reason: CloseReason::SessionMoved } => *closed == conn,
            _ => false,
        };
        if self.controls.iter().any(withholds) {
            return;
        }
        let start = self.frames.len();
        frame::append(&mut self.frames, write);
        self.deliveries.push(Delivery { conn, range: start..self.frames.len(), is_reply });
    }
    pub fn send_packet(&mut self, link: LinkId, packet: Packet) {
        self.peers.push(PeerOutput::Send { link, packet });
    }
    /// A client of this learner waits for what was just committed.
    pub(crate) fn hears_last(&mut self, link: LinkId) {
        if !self.last.contains(&link) {
            self.last.push(link);
        }
    }
    pub fn is_empty(&self) -> bool {
        self.persist.is_empty()
            && self.deliveries.is_empty()
            && self.controls.is_empty()
            && self.peers.is_empty()
            && self.members.is_none()
            && self.quotas_exceeded.is_empty()
            && self.digest_mismatches.is_empty()
    }
    /// Empties it and keeps its memory.
    pub fn clear(&mut self) {
        self.persist.clear();
        self.frames.clear();
        self.deliveries.clear();
        self.controls.clear();
        self.peers.clear();
        self.last.clear();
        self.members = None;
        self.quotas_exceeded.clear();
        self.digest_mismatches.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn behind_an_answer_that_was_withheld_nothing_is_sent() {
        let (moved, other) = (ConnId(1), ConnId(2));
        let mut out = Outputs::default();
        out.send(moved, true, |b| b.push(1));
        out.controls.push(Control::Close { conn: moved, reason: CloseReason::SessionMoved });
        out.controls.push(Control::Close { conn: other, reason: CloseReason::SessionClosed });
        out.send(moved, true, |b| b.push(2));
        out.send(other, true, |b| b.push(3));
        let conns: Vec<ConnId> = out.deliveries.iter().map(|delivery| delivery.conn).collect();
        assert_eq!(conns, [moved, other]);
    }
}
