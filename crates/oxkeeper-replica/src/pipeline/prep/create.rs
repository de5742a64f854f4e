//! create, create2, createContainer, createTTL.

use super::overlay::NodeState;
use super::quota::{self, Growth};
use super::{Context, Prep, check_path, parent_of};
use crate::auth::fixup_acl;
use bytes::Bytes;
use oxkeeper_proto::client::{CreateRequest, CreateTtlRequest};
use oxkeeper_proto::txn::Txn;
use oxkeeper_types::node::TTL_MS_MAX;
use oxkeeper_types::{Acl, CreateMode, ErrorCode, OpCode, Owner, Perms, StatPersisted};
use std::borrow::Cow;
use std::fmt::Write;

/// The four requests in one form.
struct Creation<'a> {
    op: OpCode,
    path: Cow<'a, str>,
    data: Option<Bytes>,
    acl: Option<Vec<Acl>>,
    flags: i32,
    /// Only with createTTL.
    ttl_ms: Option<i64>,
}

/// Flag, whether TTL nodes are on, and the range of the ttl (which only createTTL has): in that order, before anything else.
pub(super) fn create_mode(cx: &Context<'_>, flags: i32, ttl_ms: Option<i64>) -> Result<CreateMode, ErrorCode> {
    let mode = CreateMode::from_flag(flags).ok_or(ErrorCode::BadArguments)?;
    if mode.is_ttl() && !cx.options.owner_rules.extended_types {
        return Err(ErrorCode::Unimplemented);
    }
    match (mode.is_ttl(), ttl_ms) {
        (false, None) => Ok(mode),
        (true, Some(ttl_ms)) if (1..=TTL_MS_MAX).contains(&ttl_ms) => Ok(mode),
        _ => Err(ErrorCode::BadArguments),
    }
}

impl Creation<'_> {
    /// Who will own the node once the transaction is applied: the operation decides where the flag contradicts it.
    fn owner(&self, cx: &Context<'_>, mode: CreateMode) -> Owner {
        match (self.op, self.ttl_ms) {
            (OpCode::CreateContainer, _) => Owner::Container,
            (_, Some(ttl_ms)) => Owner::Ttl { ttl_ms },
            _ if mode.is_ephemeral() => Owner::Session(cx.request.session),
            _ => Owner::None,
        }
    }

    fn into_txn(self, path: String, acl: Vec<Acl>, ephemeral: bool, parent_cversion: i32) -> Txn {
        let data = self.data;
        match (self.op, self.ttl_ms) {
            (OpCode::CreateContainer, _) => Txn::CreateContainer { path, data, acl, parent_cversion },
            (_, Some(ttl_ms)) => Txn::CreateTtl { path, data, acl, parent_cversion, ttl_ms },
            (op, None) => Txn::Create { op, path, data, acl, ephemeral, parent_cversion },
        }
    }
}

impl Prep {
    pub(super) fn create(&mut self, cx: &Context<'_>, op: OpCode, r: CreateRequest<'_>) -> Result<Txn, ErrorCode> {
        let data = cx.share(r.data);
        self.create_node(cx, Creation { op, path: r.path, data, acl: r.acl, flags: r.flags, ttl_ms: None })
    }

    pub(super) fn create_ttl(&mut self, cx: &Context<'_>, r: CreateTtlRequest<'_>) -> Result<Txn, ErrorCode> {
        let (op, data, ttl_ms) = (OpCode::CreateTtl, cx.share(r.data), Some(r.ttl_ms));
        self.create_node(cx, Creation { op, path: r.path, data, acl: r.acl, flags: r.flags, ttl_ms })
    }

    fn create_node(&mut self, cx: &Context<'_>, mut new: Creation<'_>) -> Result<Txn, ErrorCode> {
        let mode = create_mode(cx, new.flags, new.ttl_ms)?;
        cx.request.session_check?;
        let slash = parent_of(&new.path)?.len();
        let acl = fixup_acl(cx.options, cx.request.auth, new.acl.take())?;
        let parent = self.overlay.find(cx.tree, &new.path[..slash]);
        let parent_stat = self.overlay.stat(&parent).ok_or(ErrorCode::NoNode)?;
        cx.check_allowed(self.overlay.acl(&parent), Perms::CREATE)?;
        let path = final_path(std::mem::take(&mut new.path), mode, parent_stat.cversion);
        check_path(&path)?;
        let spot = self.overlay.find(cx.tree, &path);
        if self.overlay.exists(&spot) {
            return Err(ErrorCode::NodeExists);
        }
        if let Some(Owner::Session(_)) = self.overlay.owner(&parent) {
            return Err(ErrorCode::NoChildrenForEphemerals);
        }
        if cx.options.enforce_quota {
            let growth = Growth { nodes: 1, bytes: new.data.as_ref().map_or(0, Bytes::len) as i64 };
            quota::check(cx.tree, &path, growth, &mut self.quotas_exceeded)?;
        }
        cx.check_fits(&path, new.data.as_ref().map_or(0, Bytes::len), &acl)?;

        let cversion = parent_stat.cversion.wrapping_add(1);
        self.overlay.update(cx.tree, &path[..slash], &parent, cx.zxid, |state| {
            state.children += 1;
            // As the tree applies it: the counter never goes back, so it stands still once it has run over.
            if cversion > state.stat.cversion {
                state.stat.cversion = cversion;
                state.stat.pzxid = cx.zxid;
            }
        });
        let owner = new.owner(cx, mode);
        // As the tree will read it: with 3.5.3 TTL nodes on, sessions with the top bit set are not sessions there.
        let owner = Owner::from_raw(owner.raw(), cx.options.owner_rules).unwrap_or(owner);
        let content_crc = self.note_content(cx, &path, new.data.as_deref());
        let state = NodeState {
            stat: StatPersisted {
                czxid: cx.zxid,
                mzxid: cx.zxid,
                ctime: cx.wall.0,
                mtime: cx.wall.0,
                version: 0,
                cversion: 0,
                aversion: 0,
                ephemeral_owner: owner.raw(),
                pzxid: cx.zxid,
            },
            owner,
            children: 0,
            data_length: new.data.as_ref().map_or(0, Bytes::len),
            acl: self.shared_acl(&acl),
            content_crc,
        };
        self.overlay.create(cx.tree, &path, &spot, cx.zxid, state);
        Ok(new.into_txn(path, acl, mode.is_ephemeral(), cversion))
    }
}

/// The path with its number, where it gets one: ten digits of the parent's count of creates, which is a signed number.
pub(super) fn final_path(path: Cow<'_, str>, mode: CreateMode, parent_cversion: i32) -> String {
    if !mode.is_sequential() {
        return path.into_owned();
    }
    let mut path = match path {
        Cow::Owned(path) => path,
        Cow::Borrowed(text) => {
            let mut path = String::with_capacity(text.len() + 11);
            path.push_str(text);
            path
        }
    };
    write!(path, "{parent_cversion:010}").expect("writing to a string cannot fail");
    path
}
