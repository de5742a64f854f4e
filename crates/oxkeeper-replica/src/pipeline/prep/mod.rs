//! Turns a request into a transaction: every decision that a write needs is taken here, once, on the leader (or the
//! standalone server), in the order of the requests. Applying a transaction decides nothing any more.
//!
//! Decisions look at the tree and, before it, at what pending transactions will make of it ([`overlay`]). The order of
//! the checks in each operation is the reference's (`PrepRequestProcessor.pRequest2Txn`; inventory CW121-CW132,
//! CW183-CW210), since clients see which one fails first. Must not know connections, logs, peers or clocks.
//!
//! Where this differs from the reference, on purpose:
//!
//! - A body that cannot be decoded takes a zxid of its own (CW275), also when it is a multi.
//! - `/` has one record. The reference has one for "" and one for "/", so that setData of the root with a create still
//!   pending below it leaves a digest that no server agrees with.
//! - The overlay describes nodes as they will be applied: create with the container flag is a plain node (CW122), closeSession
//!   counts down the children of its ephemerals' parents. The reference's records differ from its tree there.
//! - createTTL with a flag that is not a TTL kind is refused whatever its ttl; with a negative one the reference's
//!   transaction cannot be applied by any server.
//! - A write whose transaction would be longer than `jute.maxbuffer` and its extra size allow is refused. The reference logs
//!   it and cannot read its log back.
//! - deleteContainer spares every node that is neither a container nor a TTL node, so that a reaper that comes late never
//!   deletes a persistent node of the same name.

mod create;
mod multi;
mod null_path;
mod overlay;
mod quota;
mod session;
mod size;
mod update;

use crate::options::Options;
use crate::report::QuotaExceeded;
use bytes::Bytes;
use overlay::Overlay;
use oxkeeper_proto::client::{
    CreateRequest, CreateTtlRequest, DeleteRequest, PathRequest, ReconfigRequest, SetAclRequest, SetDataRequest,
};
use oxkeeper_proto::jute::{DecodeError, Reader};
use oxkeeper_proto::txn::{DIGEST_VERSION, Txn, TxnDigest, TxnEntry, TxnHeader};
use oxkeeper_tree::{ContentCrc, Tree};
use oxkeeper_types::{Acl, AclList, ErrorCode, Id, Millis, OpCode, Perms, SessionId, Xid, Zxid, acl};

/// A request that becomes a transaction.
#[derive(Clone, Copy, Debug)]
pub struct PrepRequest<'a> {
    /// Whose request it is; for createSession and closeSession, the session itself.
    pub session: SessionId,
    /// 0 where no client asked.
    pub xid: Xid,
    /// A write op.
    pub op: OpCode,
    /// What stands behind the request header. For createSession, the timeout in milliseconds (int); for deleteContainer,
    /// the path (string); for closeSession, nothing.
    pub body: &'a Bytes,
    pub auth: &'a [Id],
    /// What the session tracker says of the session and its owner; asked at its place in the order of checks.
    pub session_check: Result<(), ErrorCode>,
}

impl<'a> PrepRequest<'a> {
    /// A request of the server itself, which nobody refuses.
    pub fn own(session: SessionId, op: OpCode, body: &'a Bytes) -> PrepRequest<'a> {
        PrepRequest { session, xid: Xid(0), op, body, auth: &[], session_check: Ok(()) }
    }
}

/// A transaction, ready to be proposed.
#[derive(Clone, Debug)]
pub struct Prepared {
    pub entry: TxnEntry,
    /// Why the request is refused. The reply's header carries it, except for a multi, whose results do; for
    /// `SessionMoved` the connection is closed instead.
    pub refused: Option<ErrorCode>,
    /// The CRCs of path and data of the nodes that the transaction fills, in its order: one for each create and setData
    /// (parts of a multi included). Empty where digests are off.
    pub content_crcs: Vec<ContentCrc>,
    /// The quota limits that the write passes, the hard one that refuses it last. Looked at only with `enforceQuota`.
    pub quotas_exceeded: Vec<QuotaExceeded>,
}

impl Prepared {
    /// An error transaction in place of a request that is none.
    pub fn refusal(header: TxnHeader, code: ErrorCode) -> Prepared {
        let entry = TxnEntry { header, txn: Txn::Error { code: code.number() }, digest: None };
        Prepared { entry, refused: Some(code), content_crcs: Vec::new(), quotas_exceeded: Vec::new() }
    }
    /// A leader's transaction, as its learners get it.
    pub fn of_leader(entry: TxnEntry) -> Prepared {
        Prepared { entry, refused: None, content_crcs: Vec::new(), quotas_exceeded: Vec::new() }
    }
}

/// What all steps of one request look at.
struct Context<'a> {
    tree: &'a Tree,
    options: &'a Options,
    request: &'a PrepRequest<'a>,
    zxid: Zxid,
    wall: Millis,
}

impl<'a> Context<'a> {
    /// A slice of the request's body that keeps the body alive instead of copying.
    fn share(&self, data: Option<&[u8]>) -> Option<Bytes> {
        data.map(|d| self.request.body.slice_ref(d))
    }
    fn header(&self) -> TxnHeader {
        let PrepRequest { session, xid, .. } = *self.request;
        TxnHeader { session, cxid: xid.0, zxid: self.zxid, time: self.wall.0 }
    }
    fn check_allowed(&self, acl: Option<&[Acl]>, perms: Perms) -> Result<(), ErrorCode> {
        let allowed = crate::auth::allowed(self.options, acl, perms, self.request.auth);
        if allowed { Ok(()) } else { Err(ErrorCode::NoAuth) }
    }
}

/// The code of a body that is not what the operation needs.
fn malformed(_: DecodeError) -> ErrorCode {
    ErrorCode::MarshallingError
}

/// The state of preparing: what is pending.
#[derive(Debug)]
pub struct Prep {
    overlay: Overlay,
    content_crcs: Vec<ContentCrc>,
    quotas_exceeded: Vec<QuotaExceeded>,
    open_acl: AclList,
    /// Writers tend to use one list: it is shared as long as it comes again.
    last_acl: AclList,
}

impl Prep {
    /// `seed` spreads paths over the hash table; it changes nothing that can be seen.
    pub fn new(seed: u64) -> Prep {
        let open_acl: AclList = acl::open_acl().into();
        Prep {
            overlay: Overlay::new(seed),
            content_crcs: Vec::new(),
            quotas_exceeded: Vec::new(),
            last_acl: open_acl.clone(),
            open_acl,
        }
    }

    /// Prepares one request as the transaction `zxid`. A refused request becomes an error transaction (a multi: a multi
    /// with errors in it), which takes the zxid all the same. Zxids rise from call to call.
    pub fn prepare(
        &mut self,
        tree: &Tree,
        options: &Options,
        request: &PrepRequest<'_>,
        zxid: Zxid,
        wall: Millis,
    ) -> Prepared {
        assert!(request.op.is_write(), "{:?} is not a write: it has no transaction", request.op);
        let context = Context { tree, options, request, zxid, wall };
        let (txn, refused) = match self.transaction(&context) {
            Ok(done) => done,
            Err(code) => (Txn::Error { code: code.number() }, Some(code)),
        };
        // An error transaction carries no digest in the reference: it fails before the digest is set.
        let digested = txn.op() != OpCode::Error && !session::is_bare_close(options, &txn);
        let digest = (tree.options().digest_enabled && digested)
            .then(|| TxnDigest { version: DIGEST_VERSION, tree_digest: self.overlay.digest(tree) });
        let header = context.header();
        let content_crcs = std::mem::take(&mut self.content_crcs);
        let quotas_exceeded = std::mem::take(&mut self.quotas_exceeded);
        Prepared { entry: TxnEntry { header, txn, digest }, refused, content_crcs, quotas_exceeded }
    }

    fn transaction(&mut self, cx: &Context<'_>) -> Result<(Txn, Option<ErrorCode>), ErrorCode> {
        if let Some(code) = null_path::refusal(cx) {
            return Err(code);
        }
        let mut r = Reader::unbounded(cx.request.body);
        let txn = match cx.request.op {
            op @ (OpCode::Create | OpCode::Create2 | OpCode::CreateContainer) => {
                self.create(cx, op, CreateRequest::read(&mut r).map_err(malformed)?)?
            }
            OpCode::CreateTtl => self.create_ttl(cx, CreateTtlRequest::read(&mut r).map_err(malformed)?)?,
            OpCode::Delete => self.delete(cx, DeleteRequest::read(&mut r).map_err(malformed)?)?,
            OpCode::DeleteContainer => self.delete_container(cx, PathRequest::read(&mut r).map_err(malformed)?)?,
            OpCode::SetData => self.set_data(cx, SetDataRequest::read(&mut r).map_err(malformed)?)?,
            OpCode::SetAcl => self.set_acl(cx, SetAclRequest::read(&mut r).map_err(malformed)?)?,
            OpCode::Multi => return self.multi(cx, &mut r),
            OpCode::Reconfig => {
                ReconfigRequest::read(&mut r).map_err(malformed)?;
                return Err(session::refuse_reconfig(cx));
            }
            OpCode::CreateSession => Txn::CreateSession { timeout_ms: r.int().map_err(malformed)? },
            OpCode::CloseSession => self.close_session(cx),
            op => unreachable!("{op:?} is not a write"),
        };
        Ok((txn, None))
    }

    /// The tree holds all transactions up to `through`.
    pub fn applied(&mut self, through: Zxid) {
        self.overlay.applied(through);
    }

    /// Forgets what is pending: those transactions will not come from here any more.
    pub fn clear(&mut self) {
        self.overlay.clear();
    }

    /// How many paths are pending.
    pub fn pending(&self) -> usize {
        self.overlay.len()
    }

    fn shared_acl(&mut self, acl: &[Acl]) -> Option<AclList> {
        if acl::is_open_acl(acl) {
            return Some(self.open_acl.clone());
        }
        if *self.last_acl != *acl {
            self.last_acl = acl.into();
        }
        Some(self.last_acl.clone())
    }

    /// The CRC of what a node will hold, remembered for whoever applies the transaction.
    fn note_content(&mut self, cx: &Context<'_>, path: &str, data: Option<&[u8]>) -> ContentCrc {
        if !cx.tree.options().digest_enabled {
            return ContentCrc(0);
        }
        let crc = oxkeeper_tree::content_crc(path, data);
        self.content_crcs.push(crc);
        crc
    }
}

/// The next version of a node, where the client expects the present one or any (reference `checkAndIncVersion`). A version
/// that runs over goes on below zero, and leaves out -1 on its way up: that one stands for any, so whoever expected it
/// would overwrite what it has not seen (ZOOKEEPER-4743, mended in 3.10).
fn next_version(current: i32, expected: i32) -> Result<i32, ErrorCode> {
    if expected != -1 && expected != current {
        return Err(ErrorCode::BadVersion);
    }
    Ok(match current.wrapping_add(1) {
        -1 => 0,
        next => next,
    })
}

fn check_path(path: &str) -> Result<(), ErrorCode> {
    oxkeeper_types::path::validate(path, false).map_err(|_| ErrorCode::BadArguments)
}

/// The text before the last slash: "" for a node right below the root. No slash, or a NUL anywhere, is refused before
/// anything is looked up; everything else that is wrong with a path comes later (CW206).
fn parent_of(path: &str) -> Result<&str, ErrorCode> {
    match path.rfind('/') {
        Some(slash) if !path.as_bytes().contains(&0) => Ok(&path[..slash]),
        _ => Err(ErrorCode::BadArguments),
    }
}

#[cfg(test)]
mod tests;
