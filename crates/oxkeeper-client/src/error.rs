//! What can go wrong in a call, in words that say what to do about it.

use oxkeeper_proto::jute::DecodeError;
use oxkeeper_types::path::PathError;
use oxkeeper_types::{ErrorCode, OpCode, SessionId, Zxid};

/// Why a call has no result.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ClientError {
    /// The server answered with an error code. The text starts as the reference's exceptions do.
    #[error("KeeperErrorCode = {} for {} {path} (code {code})", text(*.code), .op.name())]
    Server {
        code: i32,
        op: OpCode,
        path: String,
        /// The transaction of a refused write, or the last one that the server had applied.
        zxid: Zxid,
    },
    /// The connection broke after the request had left: it may or may not have been carried out.
    #[error(
        "connection to {host} was lost while {} {path} was unanswered: it may or may not have been done; \
         read the node, then decide whether to try again", .op.name()
    )]
    ConnectionLost { op: OpCode, path: String, host: String },
    /// No answer in time. `sent` tells whether the request ever left.
    #[error("no answer to {} {path} within {after_ms} ms{}", .op.name(), timeout_advice(*.sent))]
    Timeout { op: OpCode, path: String, after_ms: i64, sent: bool },
    #[error("session {session} has expired: its ephemeral nodes and watches are gone; connect a new client")]
    SessionExpired { session: SessionId },
    #[error(
        "authentication with scheme '{scheme}' was refused: check scheme and credentials, then connect a new client"
    )]
    AuthFailed { scheme: String },
    #[error("this client was closed: connect a new one")]
    Closed,
    #[error("could not reach any of {hosts} within {after_ms} ms (last: {last}); is a server running there?")]
    Unreachable { hosts: String, after_ms: i64, last: String },
    #[error("connect string '{text}': {reason}; expected host:port[,host:port...][/chroot]")]
    ConnectString { text: String, reason: String },
    #[error("path '{path}': {error}; expected an absolute path such as /a/b")]
    Path { path: String, error: PathError },
    #[error("the answer to {} {path} can not be decoded: {error}; is {host} a ZooKeeper server?", .op.name())]
    Malformed { op: OpCode, path: String, host: String, error: DecodeError },
    /// Refused before it was sent: the server would have ended the connection for it.
    #[error(
        "{} {path} has {bytes} bytes, more than the {max} that the server takes (its jute.maxbuffer); store less in one node, \
         or raise the limit of servers and clients alike", .op.name()
    )]
    TooLarge { op: OpCode, path: String, bytes: usize, max: usize },
    /// One operation of a transaction was refused, so none of it was done. `at` counts from 0.
    #[error(
        "KeeperErrorCode = {} for {} {path}, operation {at} of a transaction (code {code}): nothing of it was done",
        text(*.code), .op.name()
    )]
    Refused { at: usize, code: i32, op: OpCode, path: String },
    #[error("{waiting} requests are waiting already, the most a client keeps; wait for answers before sending more")]
    TooManyRequests { waiting: usize },
}

impl ClientError {
    /// The server's error code, if this is one.
    pub fn code(&self) -> Option<ErrorCode> {
        match self {
            ClientError::Server { code, .. } | ClientError::Refused { code, .. } => ErrorCode::from_number(*code),
            ClientError::SessionExpired { .. } => Some(ErrorCode::SessionExpired),
            ClientError::AuthFailed { .. } => Some(ErrorCode::AuthFailed),
            ClientError::ConnectionLost { .. } => Some(ErrorCode::ConnectionLoss),
            _ => None,
        }
    }

    /// Whether a write that ended with this may have been carried out all the same: read the node before trying again.
    /// Where this is false, nothing was changed.
    pub fn may_have_happened(&self) -> bool {
        match self {
            ClientError::ConnectionLost { .. } | ClientError::Malformed { .. } => true,
            ClientError::Timeout { sent, .. } => *sent,
            // Writes that were on their way when the session ended, or the client was closed, are among these.
            ClientError::SessionExpired { .. } | ClientError::Closed | ClientError::AuthFailed { .. } => true,
            // The server lost track of its own write.
            ClientError::Server { code, .. } => *code == ErrorCode::OperationTimeout.number(),
            _ => false,
        }
    }

    /// The connection failed, not the request: what changes nothing may be asked again.
    pub fn is_of_the_connection(&self) -> bool {
        matches!(self, ClientError::ConnectionLost { .. } | ClientError::Timeout { .. })
    }

    pub fn is(&self, code: ErrorCode) -> bool {
        self.code() == Some(code)
    }
}

fn text(code: i32) -> &'static str {
    ErrorCode::from_number(code).map_or("an unknown code", ErrorCode::text)
}

fn timeout_advice(sent: bool) -> &'static str {
    if sent {
        ": it may still be carried out; read the node, then decide whether to try again"
    } else {
        ": it never left, so it is safe to try again; is a server reachable?"
    }
}
