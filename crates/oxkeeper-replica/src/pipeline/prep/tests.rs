//! Behaviour of each operation, given a tree and what is pending.

use super::*;
use oxkeeper_proto::client::{CheckVersionRequest, MultiOp, write_multi};
use oxkeeper_proto::jute::Writer;
use oxkeeper_tree::{DigestCheck, TreeOptions};
use oxkeeper_types::acl::open_acl;
use oxkeeper_types::node::{CONTAINER_OWNER, OwnerRules, TTL_MS_MAX};
use oxkeeper_types::{CreateMode, Stat};

mod checks;
mod multi;
mod pending;
mod random;
mod size;

pub(super) const ALICE: SessionId = SessionId(0xa11ce);
pub(super) const BOB: SessionId = SessionId(0xb0b);

/// A tree, what is prepared for it, and what waits to be applied.
pub(super) struct Server {
    pub tree: Tree,
    pub prep: Prep,
    pub options: Options,
    pub zxid: Zxid,
    pub auth: Vec<Id>,
    pub session: SessionId,
    pub session_check: Result<(), ErrorCode>,
    pub waiting: Vec<Prepared>,
}

impl Server {
    pub fn new() -> Server {
        let owner_rules = OwnerRules { extended_types: true, emulate_353_ttl: false };
        Server::with(Options { owner_rules, ..Options::default() })
    }
    pub fn with(options: Options) -> Server {
        let tree_options =
            TreeOptions { digest_enabled: options.digest_enabled, owner_rules: options.owner_rules, hash_seed: 7 };
        Server {
            tree: Tree::new(tree_options),
            prep: Prep::new(3),
            options,
            zxid: Zxid(0x1_0000_0000),
            auth: vec![Id::new("ip", "127.0.0.1")],
            session: ALICE,
            session_check: Ok(()),
            waiting: Vec::new(),
        }
    }

    /// Prepares a request and leaves it pending.
    pub fn prepare(&mut self, op: OpCode, write: impl FnOnce(&mut Writer)) -> Prepared {
        let mut body = Vec::new();
        write(&mut Writer::new(&mut body));
        self.prepare_body(op, Bytes::from(body))
    }
    pub fn prepare_body(&mut self, op: OpCode, body: Bytes) -> Prepared {
        self.zxid = self.zxid.next().unwrap();
        let request = PrepRequest {
            session: self.session,
            xid: Xid(9),
            op,
            body: &body,
            auth: &self.auth,
            session_check: self.session_check,
        };
        let wall = Millis(1_000_000 + self.zxid.counter() as i64);
        let prepared = self.prep.prepare(&self.tree, &self.options, &request, self.zxid, wall);
        assert_eq!(prepared.entry.header.zxid, self.zxid);
        self.waiting.push(prepared.clone());
        prepared
    }

    /// Applies the first `n` of what is pending; the digest in each must be the tree's behind it.
    pub fn apply(&mut self, n: usize) {
        for prepared in self.waiting.drain(..n) {
            // Through the bytes of the log, as every other server sees it.
            let mut bytes = Vec::new();
            prepared.entry.write(&mut bytes);
            let entry = TxnEntry::read(&Bytes::from(bytes)).unwrap();
            if prepared.entry.txn != (Txn::CloseSession { paths: None }) {
                assert_eq!(entry, prepared.entry);
            }
            let applied = self.tree.apply_hinted(&entry, &prepared.content_crcs, &mut Vec::new());
            assert!(!applied.is_refused(), "{entry:?} became {applied:?}");
            if let Some(digest) = entry.digest {
                assert_eq!(applied.digest, DigestCheck::Match, "{entry:?}");
                assert_eq!(digest.tree_digest, self.tree.digest());
            }
            self.prep.applied(entry.header.zxid);
        }
    }
    pub fn apply_all(&mut self) {
        self.apply(self.waiting.len());
        assert_eq!(self.prep.pending(), 0, "records are left with nothing pending");
    }
    /// Prepares and applies.
    pub fn run(&mut self, op: OpCode, write: impl FnOnce(&mut Writer)) -> Prepared {
        let prepared = self.prepare(op, write);
        self.apply_all();
        prepared
    }

    pub fn stat(&self, path: &str) -> Stat {
        self.tree.node(path).unwrap_or_else(|| panic!("{path} is not there")).stat()
    }
    /// Adds a node without further ado.
    pub fn given(&mut self, path: &str) {
        assert_eq!(self.run(OpCode::Create, create(path)).refused, None, "{path}");
    }
    pub fn given_ephemeral(&mut self, path: &str) {
        assert_eq!(self.run(OpCode::Create, create_flag(path, 1)).refused, None, "{path}");
    }
    pub fn given_acl(&mut self, path: &str, perms: Perms) {
        let acl = Some(vec![Acl::new(perms, Id::anyone())]);
        let done = self.run(OpCode::SetAcl, move |w| SetAclRequest { path: path.into(), acl, version: -1 }.write(w));
        assert_eq!(done.refused, None, "{path}");
    }
}

pub(super) fn create_request(path: &str, flags: i32) -> CreateRequest<'_> {
    CreateRequest { path: path.into(), data: Some(b"data"), acl: Some(open_acl()), flags }
}
pub(super) fn create(path: &str) -> impl FnOnce(&mut Writer) {
    create_flag(path, 0)
}
pub(super) fn create_flag(path: &str, flags: i32) -> impl FnOnce(&mut Writer) {
    move |w| create_request(path, flags).write(w)
}
pub(super) fn create_ttl(path: &str, flags: i32, ttl_ms: i64) -> impl FnOnce(&mut Writer) {
    move |w| CreateTtlRequest { path: path.into(), data: None, acl: Some(open_acl()), flags, ttl_ms }.write(w)
}
pub(super) fn delete(path: &str, version: i32) -> impl FnOnce(&mut Writer) {
    move |w| DeleteRequest { path: path.into(), version }.write(w)
}
pub(super) fn set_data<'a>(path: &'a str, data: &'a [u8], version: i32) -> impl FnOnce(&mut Writer) {
    move |w| SetDataRequest { path: path.into(), data: Some(data), version }.write(w)
}
pub(super) fn set_acl(path: &str, acl: Option<Vec<Acl>>, version: i32) -> impl FnOnce(&mut Writer) {
    move |w| SetAclRequest { path: path.into(), acl, version }.write(w)
}
pub(super) fn nothing(_: &mut Writer) {}

pub(super) fn path_of(prepared: &Prepared) -> &str {
    match &prepared.entry.txn {
        Txn::Create { path, .. } | Txn::CreateContainer { path, .. } | Txn::CreateTtl { path, .. } => path,
        other => panic!("{other:?} creates nothing"),
    }
}
