//! delete, deleteContainer, setData, setACL, and the check inside a multi.

use super::overlay::Spot;
use super::quota::{self, Growth};
use super::{Context, Prep, check_path, next_version, parent_of};
use crate::auth::fixup_acl;
use oxkeeper_proto::client::{CheckVersionRequest, DeleteRequest, PathRequest, SetAclRequest, SetDataRequest};
use oxkeeper_proto::txn::Txn;
use oxkeeper_types::{ErrorCode, OpCode, Owner, Perms, path};

fn parent_of_deletable(path: &str) -> Result<&str, ErrorCode> {
    if path::is_special(path) { Err(ErrorCode::BadArguments) } else { parent_of(path) }
}

impl Prep {
    pub(super) fn delete(&mut self, cx: &Context<'_>, r: DeleteRequest<'_>) -> Result<Txn, ErrorCode> {
        cx.request.session_check?;
        let parent_path = parent_of_deletable(&r.path)?;
        let parent = self.overlay.find(cx.tree, parent_path);
        if !self.overlay.exists(&parent) {
            return Err(ErrorCode::NoNode);
        }
        cx.check_allowed(self.overlay.acl(&parent), Perms::DELETE)?;
        let spot = self.overlay.find(cx.tree, &r.path);
        let stat = self.overlay.stat(&spot).ok_or(ErrorCode::NoNode)?;
        next_version(stat.version, r.version)?;
        if self.overlay.children(&spot) > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        self.delete_node(cx, &r.path, &parent, &spot);
        Ok(Txn::Delete { op: OpCode::Delete, path: r.path.into_owned() })
    }

    /// For the reaper: no session, no ACL. `BadVersion` stands for a node that is not its business.
    pub(super) fn delete_container(&mut self, cx: &Context<'_>, r: PathRequest<'_>) -> Result<Txn, ErrorCode> {
        let parent_path = parent_of_deletable(&r.path)?;
        let spot = self.overlay.find(cx.tree, &r.path);
        let owner = self.overlay.owner(&spot).ok_or(ErrorCode::NoNode)?;
        if self.overlay.children(&spot) > 0 {
            return Err(ErrorCode::NotEmpty);
        }
        if !matches!(owner, Owner::Container | Owner::Ttl { .. }) {
            return Err(ErrorCode::BadVersion);
        }
        let parent = self.overlay.find(cx.tree, parent_path);
        self.delete_node(cx, &r.path, &parent, &spot);
        Ok(Txn::Delete { op: OpCode::DeleteContainer, path: r.path.into_owned() })
    }

    /// Takes a node out, and leaves the trace of that in its parent. Both exist.
    pub(super) fn delete_node(&mut self, cx: &Context<'_>, path: &str, parent: &Spot<'_>, spot: &Spot<'_>) {
        let parent_path = path::parent(path).unwrap_or_else(|| panic!("{path} has no parent"));
        self.overlay.update(cx.tree, parent_path, parent, cx.zxid, |state| {
            assert!(state.children > 0, "{path} is deleted by {} but its parent has no children", cx.zxid);
            state.children -= 1;
            state.stat.pzxid = cx.zxid;
        });
        self.overlay.delete(cx.tree, path, spot, cx.zxid);
    }

    pub(super) fn set_data(&mut self, cx: &Context<'_>, r: SetDataRequest<'_>) -> Result<Txn, ErrorCode> {
        cx.request.session_check?;
        check_path(&r.path)?;
        let spot = self.overlay.find(cx.tree, &r.path);
        let stat = self.overlay.stat(&spot).ok_or(ErrorCode::NoNode)?;
        cx.check_allowed(self.overlay.acl(&spot), Perms::WRITE)?;
        let length = r.data.map_or(0, <[u8]>::len);
        if cx.options.enforce_quota {
            let growth = Growth { nodes: 0, bytes: length as i64 - self.overlay.data_length(&spot) as i64 };
            quota::check(cx.tree, &r.path, growth, &mut self.quotas_exceeded)?;
        }
        let version = next_version(stat.version, r.version)?;
        let content_crc = self.note_content(cx, &r.path, r.data);
        self.overlay.update(cx.tree, &r.path, &spot, cx.zxid, |state| {
            state.stat.version = version;
            state.stat.mtime = cx.wall.0;
            state.stat.mzxid = cx.zxid;
            state.data_length = length;
            state.content_crc = content_crc;
        });
        let data = cx.share(r.data);
        Ok(Txn::SetData { op: OpCode::SetData, path: r.path.into_owned(), data, version })
    }

    pub(super) fn set_acl(&mut self, cx: &Context<'_>, r: SetAclRequest<'_>) -> Result<Txn, ErrorCode> {
        cx.request.session_check?;
        check_path(&r.path)?;
        let acl = fixup_acl(cx.options, cx.request.auth, r.acl)?;
        let spot = self.overlay.find(cx.tree, &r.path);
        let stat = self.overlay.stat(&spot).ok_or(ErrorCode::NoNode)?;
        cx.check_allowed(self.overlay.acl(&spot), Perms::ADMIN)?;
        let version = next_version(stat.aversion, r.version)?;
        cx.check_fits(&r.path, 0, &acl)?;
        let shared = self.shared_acl(&acl);
        self.overlay.update(cx.tree, &r.path, &spot, cx.zxid, |state| {
            state.stat.aversion = version;
            state.acl = shared;
        });
        Ok(Txn::SetAcl { path: r.path.into_owned(), acl, version })
    }

    /// Changes nothing. The transaction carries the version after the expected one, as in the reference.
    pub(super) fn check(&mut self, cx: &Context<'_>, r: CheckVersionRequest<'_>) -> Result<Txn, ErrorCode> {
        cx.request.session_check?;
        check_path(&r.path)?;
        let spot = self.overlay.find(cx.tree, &r.path);
        let stat = self.overlay.stat(&spot).ok_or(ErrorCode::NoNode)?;
        cx.check_allowed(self.overlay.acl(&spot), Perms::READ)?;
        let version = next_version(stat.version, r.version)?;
        Ok(Txn::Check { path: r.path.into_owned(), version })
    }
}
