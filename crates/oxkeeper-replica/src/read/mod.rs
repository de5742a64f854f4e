//! Reads: answered from [`State`] with the shared side, on the thread where the bytes arrived. Each appends one frame,
//! its reply; setWatches puts the events that were missed in front of it. Reading and watching are one step.
//!
//! The order of checks is the reference's (`FinalRequestProcessor.processRequest`): decode, node, ACL, then the answer.
//! Nothing is allocated on the common paths.

mod acl;
mod children;
mod data;
mod multi;
mod session;
mod watches;

use crate::auth;
use crate::namespaces::Namespaces;
use crate::options::Options;
use crate::state::{Caller, State, WatchAccess};
use oxkeeper_proto::client::{ReplyHeader, XID_PING, write_multi_results};
use oxkeeper_proto::frame;
use oxkeeper_proto::jute::{DecodeError, Reader, Writer};
use oxkeeper_tree::Node;
use oxkeeper_types::{ErrorCode, OpCode, Perms, Xid};
use std::cell::RefCell;

/// Why a read is answered with an error code instead of a body.
pub(crate) enum Refusal {
    Code(ErrorCode),
    /// Answered as `MarshallingError`; the connection stays.
    Malformed(DecodeError),
    /// As malformed, but the reference has begun its answer by then: an empty list of results follows the header.
    WritesInMultiRead,
}

impl From<ErrorCode> for Refusal {
    fn from(code: ErrorCode) -> Refusal {
        Refusal::Code(code)
    }
}
impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Refusal {
        Refusal::Malformed(error)
    }
}

/// What the edge learns of a read, for its metrics and its log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReadDone {
    pub error: ErrorCode,
    /// Why the body could not be decoded, where that is the error.
    pub malformed: Option<DecodeError>,
}

/// One read on its way: all that the op needs.
pub(crate) struct Reading<'a, W> {
    pub state: &'a State,
    pub options: &'a Options,
    pub caller: &'a Caller<'a>,
    pub watches: &'a W,
    pub reads: RefCell<&'a mut Namespaces>,
}

impl State {
    /// Answers one read op (see [`OpCode::is_read`]). `body` is what follows the request header; `reads` learns what was
    /// read.
    #[allow(clippy::too_many_arguments)] // each is another owner's: settings, connection, watches, figures, request, buffer
    pub fn read(
        &self,
        options: &Options,
        caller: &Caller,
        watches: &impl WatchAccess,
        reads: &mut Namespaces,
        xid: Xid,
        op: OpCode,
        body: &[u8],
        out: &mut Vec<u8>,
    ) -> ReadDone {
        let reading = Reading { state: self, options, caller, watches, reads: RefCell::new(reads) };
        if matches!(op, OpCode::SetWatches | OpCode::SetWatches2)
            && let Err(error) = reading.restore_watches(op, body, out)
        {
            return self.refuse(op, xid, Refusal::Malformed(error), out.len(), out);
        }
        let xid = if op == OpCode::Ping { XID_PING } else { xid };
        let start = out.len();
        let mut answered = Ok(());
        frame::append(out, |out| {
            let mut w = Writer::new(out);
            ReplyHeader { xid, zxid: self.tree.last_processed(), error: 0 }.write(&mut w);
            answered = reading.answer(op, &mut Reader::unbounded(body), &mut w);
        });
        match answered {
            Ok(()) => ReadDone { error: ErrorCode::Ok, malformed: None },
            Err(refusal) => self.refuse(op, xid, refusal, start, out),
        }
    }

    /// Replaces whatever stands behind `start` by an error reply.
    fn refuse(&self, op: OpCode, xid: Xid, refusal: Refusal, start: usize, out: &mut Vec<u8>) -> ReadDone {
        let done = match &refusal {
            Refusal::Code(error) => ReadDone { error: *error, malformed: None },
            Refusal::Malformed(why) => ReadDone { error: ErrorCode::MarshallingError, malformed: Some(*why) },
            Refusal::WritesInMultiRead => {
                let why = DecodeError::MixedMulti { at: 0 };
                ReadDone { error: ErrorCode::MarshallingError, malformed: Some(why) }
            }
        };
        // The reference has begun its list of results when it meets a null path in a multiRead.
        let empty_results = match &refusal {
            Refusal::WritesInMultiRead => true,
            Refusal::Malformed(why) => op == OpCode::MultiRead && matches!(why, DecodeError::Null { .. }),
            Refusal::Code(_) => false,
        };
        out.truncate(start);
        frame::append(out, |out| {
            let header = ReplyHeader { xid, zxid: self.tree.last_processed(), error: done.error.number() };
            header.write(&mut Writer::new(out));
            if empty_results {
                write_multi_results(&[], &mut Writer::new(out));
            }
        });
        done
    }
}

impl<W: WatchAccess> Reading<'_, W> {
    fn answer(&self, op: OpCode, r: &mut Reader, w: &mut Writer) -> Result<(), Refusal> {
        match op {
            OpCode::Ping | OpCode::SetWatches | OpCode::SetWatches2 => Ok(()),
            OpCode::Exists => self.exists(r, w),
            OpCode::GetData => self.get_data(r, w),
            OpCode::GetAcl => self.get_acl(r, w),
            OpCode::GetChildren => self.get_children(r, w, false),
            OpCode::GetChildren2 => self.get_children(r, w, true),
            OpCode::GetAllChildrenNumber => self.get_all_children_number(r, w),
            OpCode::GetEphemerals => self.get_ephemerals(r, w),
            OpCode::WhoAmI => self.who_am_i(w),
            OpCode::MultiRead => self.multi_read(r, w),
            OpCode::AddWatch => self.add_watch(r, w),
            OpCode::CheckWatches => self.check_watches(r),
            OpCode::RemoveWatches => self.remove_watches(r),
            op => unreachable!("{op:?} is not a read"),
        }
    }

    /// The node at `path`, if it is there and the caller has one of `perms` on it.
    fn node_with(&self, path: &str, perms: Perms) -> Result<Node<'_>, ErrorCode> {
        let node = self.state.tree.node(path).ok_or(ErrorCode::NoNode)?;
        self.check(&node, perms)?;
        Ok(node)
    }

    /// For the metrics by namespace.
    fn count(&self, path: &str, bytes: usize) {
        self.reads.borrow_mut().read(path, bytes);
    }

    fn check(&self, node: &Node, perms: Perms) -> Result<(), ErrorCode> {
        let acl = self.state.tree.acl_of(node).map(|list| &**list);
        if auth::allowed(self.options, acl, perms, self.caller.auth) { Ok(()) } else { Err(ErrorCode::NoAuth) }
    }
}
