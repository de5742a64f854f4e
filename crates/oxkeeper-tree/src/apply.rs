//! One committed transaction -> its effect on the tree, its result, its changes (reference `DataTree.processTxn`).
//!
//! Must not know why a transaction was allowed. Nothing is decided here but what the record says.

use crate::change::{Applied, Change, ChangeKind};
use crate::digest::{ContentCrc, DigestCheck};
use crate::node::{Extension, NodeId};
use crate::tree::{NewNode, Tree};
use oxkeeper_proto::txn::{Txn, TxnEntry, TxnHeader};
use oxkeeper_types::node::{CONTAINER_OWNER, TTL_MS_MAX};
use oxkeeper_types::{Acl, AclList, ErrorCode, Millis, OpCode, Owner, SessionId, Stat, StatPersisted, Zxid, path};

/// What goes along while one transaction is applied.
pub(crate) struct Context<'a> {
    header: &'a TxnHeader,
    /// CRCs of path and data, one per create and setData in order; may be shorter than needed.
    hints: std::slice::Iter<'a, ContentCrc>,
    /// `None` during recovery, when nobody watches.
    changes: Option<&'a mut Vec<Change>>,
}

impl Context<'_> {
    fn report(&mut self, kind: ChangeKind, path: &str, acl: AclList) {
        let zxid = self.header.zxid;
        if let Some(changes) = &mut self.changes {
            let path = if path.is_empty() { "/" } else { path }.to_owned();
            changes.push(Change { kind, path, zxid, acl: Some(acl).filter(|acl| !acl.is_empty()) });
        }
    }
}

/// The part of a create that differs between its kinds.
struct Create<'a> {
    path: &'a str,
    data: Option<&'a [u8]>,
    acl: &'a [Acl],
    /// Raw `ephemeralOwner`.
    owner: i64,
    parent_cversion: i32,
}

/// Parent path and name. The parent of a first-level node is "", as in the reference.
fn split(path: &str) -> Option<(&str, &str)> {
    path.rsplit_once('/').filter(|(_, name)| !name.is_empty())
}

impl Tree {
    /// Applies one committed transaction, appending the changes that watches may be set on.
    pub fn apply(&mut self, entry: &TxnEntry, changes: &mut Vec<Change>) -> Applied {
        self.apply_hinted(entry, &[], changes)
    }

    /// As [`Tree::apply`]; `hints` are the CRCs of path and data ([`crate::content_crc`]) of the creates and setDatas in the
    /// transaction, in order, as far as they are known.
    pub fn apply_hinted(&mut self, entry: &TxnEntry, hints: &[ContentCrc], changes: &mut Vec<Change>) -> Applied {
        self.apply_entry(entry, hints, Some(changes))
    }

    pub(crate) fn apply_entry(
        &mut self,
        entry: &TxnEntry,
        hints: &[ContentCrc],
        changes: Option<&mut Vec<Change>>,
    ) -> Applied {
        let mut context = Context { header: &entry.header, hints: hints.iter(), changes };
        let mut applied = self.apply_txn(&entry.txn, &mut context);
        // Only now: a zxid stands for the whole of a multi.
        self.last_processed = self.last_processed.max(entry.header.zxid);
        applied.digest = self.digest_after(entry);
        applied
    }

    fn digest_after(&mut self, entry: &TxnEntry) -> DigestCheck {
        self.digest.after_txn(entry.header.zxid, entry.digest.map(|d| (d.version, d.tree_digest)))
    }

    fn apply_txn(&mut self, txn: &Txn, context: &mut Context<'_>) -> Applied {
        let mut applied = Applied::new(context.header.zxid, txn.op());
        match txn {
            Txn::Multi(txns) => self.apply_multi(txns, context, &mut applied),
            Txn::CloseSession { paths } => self.close_session(paths.as_deref(), context, &mut applied),
            Txn::CreateSession { timeout_ms } => {
                self.sessions.open(context.header.session, Millis(*timeout_ms as i64));
            }
            Txn::Error { code } => applied.error = error_of(*code),
            Txn::Check { path, .. } => applied.path = Some(path.clone()),
            Txn::Delete { path, .. } => {
                applied.path = Some(path.clone());
                applied.error = self.delete(path, context).err().unwrap_or(ErrorCode::Ok);
            }
            Txn::SetData { path, data, version, .. } => {
                let result = self.set_data(path, data.as_deref(), *version, context).map(|id| self.stat(id));
                Self::finish(path, result, true, &mut applied);
            }
            Txn::SetAcl { path, acl, version } => {
                let result = self.set_acl(path, acl, *version).map(|id| self.stat(id));
                Self::finish(path, result, true, &mut applied);
            }
            Txn::Create { path, data, acl, ephemeral, parent_cversion, op } => {
                let owner = if *ephemeral { context.header.session.0 } else { 0 };
                let data = data.as_deref();
                let create = Create { path, data, acl, owner, parent_cversion: *parent_cversion };
                let result = self.create(&create, context);
                Self::finish(path, result, *op == OpCode::Create2, &mut applied);
            }
            Txn::CreateContainer { path, data, acl, parent_cversion } => {
                let data = data.as_deref();
                let create = Create { path, data, acl, owner: CONTAINER_OWNER, parent_cversion: *parent_cversion };
                let result = self.create(&create, context);
                Self::finish(path, result, true, &mut applied);
            }
            Txn::CreateTtl { path, data, acl, parent_cversion, ttl_ms } => {
                let result = if (1..=TTL_MS_MAX).contains(ttl_ms) {
                    let (data, owner) = (data.as_deref(), Owner::Ttl { ttl_ms: *ttl_ms }.raw());
                    let create = Create { path, data, acl, owner, parent_cversion: *parent_cversion };
                    self.create(&create, context)
                } else {
                    Err(ErrorCode::BadArguments)
                };
                Self::finish(path, result, true, &mut applied);
            }
        }
        applied
    }

    fn finish(path: &str, result: Result<Stat, ErrorCode>, with_stat: bool, applied: &mut Applied) {
        applied.path = Some(path.to_owned());
        match result {
            Ok(stat) => applied.stat = with_stat.then_some(stat),
            Err(error) => applied.error = error,
        }
    }

    /// All parts under one zxid. Where one part is an error nothing happens at all: the parts before it succeeded in vain,
    /// those behind it never ran (reference `RUNTIMEINCONSISTENCY`).
    fn apply_multi(&mut self, txns: &[Txn], context: &mut Context<'_>, applied: &mut Applied) {
        let failed = txns.iter().any(|txn| matches!(txn, Txn::Error { .. }));
        let mut error_seen = false;
        for txn in txns {
            error_seen |= matches!(txn, Txn::Error { .. });
            let part = if failed && !matches!(txn, Txn::Error { .. }) {
                let mut part = Applied::new(context.header.zxid, OpCode::Error);
                part.error = if error_seen { ErrorCode::RuntimeInconsistency } else { ErrorCode::Ok };
                part
            } else {
                self.apply_txn(txn, context)
            };
            if applied.error == ErrorCode::Ok {
                applied.error = part.error;
            }
            applied.multi.push(part);
        }
    }

    /// The stat is the one right after the creation: a quota's statistics node is filled only afterwards.
    fn create(&mut self, new: &Create<'_>, context: &mut Context<'_>) -> Result<Stat, ErrorCode> {
        let hint = context.hints.next().copied();
        let (parent_path, name) = split(new.path).ok_or(ErrorCode::NodeExists)?;
        let parent = self.lookup(parent_path).ok_or(ErrorCode::NoNode)?;
        let (zxid, time) = (context.header.zxid, context.header.time);
        let hash = self.index.hash(parent, name);
        let existing = self.index.find(&self.nodes, parent, name, hash);
        self.count_created_child(parent, parent_path, new.parent_cversion, zxid);
        if let Some(existing) = existing {
            // Only over the fuzzy span of a snapshot, whose ACL table may be older than the node (ZOOKEEPER-4846).
            // The parent is put right for all kinds of create; the reference does so for the plain kind only.
            self.replace_acl(existing, new.path, new.acl, None);
            return Err(ErrorCode::NodeExists);
        }
        let acl = self.acls.intern(new.acl);
        let stat = StatPersisted {
            czxid: zxid,
            mzxid: zxid,
            pzxid: zxid,
            ctime: time,
            mtime: time,
            ephemeral_owner: new.owner,
            ..StatPersisted::default()
        };
        let id = self.insert(NewNode { parent, path: new.path, name, hash, data: new.data, acl, stat, crc: hint });
        let created = self.stat(id);
        self.quota_after_create(new.path, new.data.map_or(0, <[u8]>::len));
        if context.changes.is_some() {
            context.report(ChangeKind::Created, new.path, self.acls.list(acl).clone());
            let parent_acl = self.acls.list(self.record(parent).acl).clone();
            context.report(ChangeKind::ChildrenChanged, parent_path, parent_acl);
        }
        Ok(created)
    }

    /// Moves a parent's create counter and pzxid on, never back: a snapshot may have them later than the transaction.
    fn count_created_child(&mut self, parent: NodeId, parent_path: &str, cversion: i32, zxid: Zxid) {
        let now = self.extension(parent).map_or(0, |e| e.cversion);
        // Transactions from before 3.4 do not carry the counter. It wraps, so that the sequence can.
        let cversion = if cversion == -1 { now.wrapping_add(1) } else { cversion };
        if cversion > now {
            self.change_extension(parent, parent_path, |e| {
                e.cversion = cversion;
                e.pzxid = zxid;
            });
        }
    }

    fn change_extension(&mut self, id: NodeId, path: &str, change: impl FnOnce(&mut Extension)) {
        self.change(id, path, |tree| change(tree.extension_mut(id)));
    }

    fn replace_acl(&mut self, id: NodeId, path: &str, acl: &[Acl], version: Option<i32>) {
        let new = self.acls.intern(acl);
        self.change(id, path, |tree| {
            let old = std::mem::replace(&mut tree.record_mut(id).acl, new);
            tree.acls.release(old);
            if let Some(version) = version {
                tree.extension_mut(id).aversion = version;
            }
        });
    }

    fn delete(&mut self, path: &str, context: &mut Context<'_>) -> Result<(), ErrorCode> {
        let (parent_path, name) = split(path).ok_or(ErrorCode::NoNode)?;
        let parent = self.lookup(parent_path).ok_or(ErrorCode::NoNode)?;
        let zxid = context.header.zxid;
        // Also where the node itself is gone already: the snapshot may have the parent as it was before.
        if zxid > self.stat_persisted(parent).pzxid {
            self.change_extension(parent, parent_path, |e| e.pzxid = zxid);
        }
        let id = self.child(parent, name).ok_or(ErrorCode::NoNode)?;
        self.remove_below(id);
        let acl = self.acls.list(self.record(id).acl).clone();
        let record = self.unlink(id, path);
        self.quota_after_delete(path, record.content.data_len());
        if context.changes.is_some() {
            context.report(ChangeKind::Deleted, path, acl);
            let parent_acl = self.acls.list(self.record(parent).acl).clone();
            context.report(ChangeKind::ChildrenChanged, parent_path, parent_acl);
        }
        Ok(())
    }

    /// Removes what is below a node that is to be deleted. A committed delete meets children only over the fuzzy span of a
    /// snapshot, and then they come from transactions that are still to be replayed. The reference leaves them behind as
    /// nodes without a parent.
    fn remove_below(&mut self, top: NodeId) {
        if self.num_children(top) == 0 {
            return;
        }
        let mut below = Vec::new();
        self.visit_below(top, |id| below.push(id));
        for id in below.into_iter().rev() {
            let path = self.path_of(id);
            let record = self.unlink(id, &path);
            self.quota_after_delete(&path, record.content.data_len());
        }
    }

    fn set_data(
        &mut self,
        path: &str,
        data: Option<&[u8]>,
        version: i32,
        context: &mut Context<'_>,
    ) -> Result<NodeId, ErrorCode> {
        let hint = context.hints.next().copied();
        let id = self.lookup(path).ok_or(ErrorCode::NoNode)?;
        let before = self.record(id).content.data_len();
        self.write_data(id, path, data, hint, version, context.header.zxid, context.header.time);
        let grown = data.map_or(0, <[u8]>::len) as i64 - before as i64;
        self.add_usage(path, grown, 0);
        if context.changes.is_some() {
            context.report(ChangeKind::DataChanged, path, self.acls.list(self.record(id).acl).clone());
        }
        Ok(id)
    }

    /// Puts the ensemble's configuration into its node, outside of any transaction: its data version shows -1, its mzxid the version
    /// of the configuration (reference `ZKDatabase.initConfigInZKDatabase`). A node that is missing, as in trees from before 3.5, is
    /// made. In a tree without `/zookeeper` there is no place for it: no client can delete that, but a leader's transaction can, and a
    /// snapshot may be without it.
    pub fn write_config(&mut self, text: &str, version: Zxid, wall: Millis) {
        if self.lookup(path::SYSTEM).is_none() {
            return;
        }
        if self.lookup(path::CONFIG).is_none() {
            self.insert_config_node();
        }
        let id = self.lookup(path::CONFIG).expect("it was made");
        self.write_data(id, path::CONFIG, Some(text.as_bytes()), None, -1, version, wall.0);
    }

    #[allow(clippy::too_many_arguments)]
    fn write_data(
        &mut self,
        id: NodeId,
        path: &str,
        data: Option<&[u8]>,
        hint: Option<ContentCrc>,
        version: i32,
        mzxid: Zxid,
        mtime: i64,
    ) {
        self.change(id, path, |tree| {
            tree.replace_data(id, path, data, hint);
            let record = tree.record_mut(id);
            record.mtime = mtime;
            record.mzxid = mzxid;
            record.version = version;
        });
    }

    fn set_acl(&mut self, path: &str, acl: &[Acl], version: i32) -> Result<NodeId, ErrorCode> {
        let id = self.lookup(path).ok_or(ErrorCode::NoNode)?;
        self.replace_acl(id, path, acl, Some(version));
        Ok(id)
    }

    /// The ephemerals that the transaction names go first, in its order; then whatever the session still owns.
    fn close_session(&mut self, paths: Option<&[String]>, context: &mut Context<'_>, applied: &mut Applied) {
        let session = context.header.session;
        self.sessions.close(session);
        for path in paths.unwrap_or_default() {
            // Already gone: normal for a delete that was prepared just before.
            if self.delete(path, context).is_ok() {
                applied.deleted_ephemerals.push(path.clone());
            }
        }
        self.delete_ephemerals(session, context, &mut applied.deleted_ephemerals);
    }

    fn delete_ephemerals(&mut self, session: SessionId, context: &mut Context<'_>, deleted: &mut Vec<String>) {
        let left: Vec<String> = self.ephemerals_of(session).collect();
        for path in left {
            if self.delete(&path, context).is_ok() {
                deleted.push(path);
            }
        }
    }

    /// Deletes the ephemerals of sessions that are not in the table; after recovery (reference `ZooKeeperServer.loadData`).
    /// Gives the sessions whose nodes went.
    pub fn remove_stale_ephemerals(&mut self) -> Vec<SessionId> {
        let stale = self.sessions_with_ephemerals().filter(|id| !self.sessions.contains(*id));
        let stale: Vec<SessionId> = stale.collect();
        for &session in &stale {
            let header = TxnHeader { session, cxid: 0, zxid: self.last_processed, time: 0 };
            let mut context = Context { header: &header, hints: [].iter(), changes: None };
            self.delete_ephemerals(session, &mut context, &mut Vec::new());
        }
        stale
    }
}

/// Codes that only other releases know say no more than that something failed.
fn error_of(code: i32) -> ErrorCode {
    ErrorCode::from_number(code).unwrap_or(ErrorCode::SystemError)
}
