//! All that can happen to a server.

use bytes::Bytes;
use oxkeeper_proto::client::ConnectRequest;
use oxkeeper_tree::{ImageId, Tree};
use oxkeeper_types::persist::Persisted;
use oxkeeper_types::{ConnId, Id, Millis, OpCode, SessionId, Xid, Zxid};
use std::sync::Arc;

/// The two clocks, read by the edge once per wake-up.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Never goes back; deadlines and session expiry are measured on it.
    pub monotonic: Millis,
    /// Since 1970; becomes ctime and mtime of znodes.
    pub wall: Millis,
}

/// An event for [`crate::Replica::step`].
#[derive(Debug)]
pub enum Input {
    /// Time has passed. Comes at least as often as [`crate::Replica::next_deadline`] asks for.
    Tick,
    /// The handshake of a new connection. Answered by a frame, and by `Control::Established` or `Control::Close`.
    Connect { conn: ConnId, request: ConnectRequest },
    /// A request that becomes a transaction, or that must keep its place among those (sync).
    Submit(Submitted),
    /// These sessions were heard from since the last such input, at the latest `TOUCH_DELAY_MS_MAX` ago.
    Touched(Vec<SessionId>),
    /// The connection is gone, whoever closed it. Its session lives on until it expires.
    Disconnected { conn: ConnId },
    /// What the disk has done. After a [`oxkeeper_types::persist::Persist::TruncateLog`] the edge rebuilds the tree from disk
    /// and answers with [`Input::StateReplaced`] instead of `Persisted::Truncated`; `Persisted::CannotTruncate` comes here.
    Persisted(Persisted),
    /// Of an ensemble: what happened on the election port and the quorum port. Every packet of a link comes through here, in
    /// order; `Tick`, `Persisted`, `StateReplaced`, `Propose`, `ImageFrozen` and `ConfirmLeadership` never do.
    Peer(oxkeeper_zab::Input),
    /// Of an ensemble: answer to `Persist::InstallSnapshot` and `Persist::TruncateLog`, in its turn among the answers of the
    /// disk. This is the tree on disk now.
    StateReplaced { tree: Box<Tree> },
    /// The image of [`crate::output::PeerOutput::SendImage`] was sent, or its link is gone.
    ImageSent { image: ImageId },
    /// The snapshot that `Control::Snapshot` asked for has been written (or has failed: `None`).
    SnapshotDone { zxid: Option<Zxid> },
}

/// A request as it enters the pipeline.
#[derive(Clone, Debug)]
pub struct Submitted {
    pub conn: ConnId,
    pub session: SessionId,
    pub xid: Xid,
    /// A write op, sync or closeSession. Everything else is answered by `State::read` or by the edge.
    pub op: OpCode,
    /// The body behind the request header, undecoded.
    pub body: Bytes,
    /// Who the connection was when the request came in.
    pub auth: Arc<[Id]>,
}
