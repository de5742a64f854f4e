//! What a program is made of: its steps, as data. Must not know how they are drawn or played.

use crate::requests::Request;
use crate::servers::ServerConfig;
use oxkeeper_types::OpCode;

/// Whose session a connection asks for. The number is the program's name for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Identity {
    New(u32),
    Resume { of: u32, right_password: bool },
}

/// One thing to do. Everything that comes back is collected before the next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Connects `slot`; a connection that was there is dropped first.
    Open { slot: usize, identity: Identity, timeout_ms: i32, read_only: Option<bool>, zxid_ahead: bool },
    /// Closes the socket; the session lives on.
    Drop { slot: usize },
    /// `xid` `None` is the connection's next number.
    Request { slot: usize, xid: Option<i32>, request: Request },
    /// Several requests in one piece, as a client that does not wait.
    Burst { slot: usize, requests: Vec<Request> },
    /// A frame that is no request.
    Bytes { slot: usize, bytes: Vec<u8> },
    /// Waits until the server's reaper has taken the node.
    AwaitGone { slot: usize, path: String },
    /// Stops both servers as a crash would and starts them again; with `swap`, each on the files of the other.
    Restart { swap: bool },
    /// Reads the whole tree.
    Dump,
}

impl Step {
    /// What it sends, in order.
    pub fn requests(&self) -> &[Request] {
        match self {
            Step::Request { request, .. } => std::slice::from_ref(request),
            Step::Burst { requests, .. } => requests,
            _ => &[],
        }
    }

    /// Whether this closes a session, with all its ephemeral nodes.
    pub fn deletes_ephemerals(&self) -> bool {
        self.requests().iter().any(|request| request.number() == OpCode::CloseSession.number())
    }
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Program {
    pub seed: u64,
    pub config: ServerConfig,
    pub steps: Vec<Step>,
}
