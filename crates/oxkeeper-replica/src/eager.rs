//! `enableEagerACLCheck`: a member of an ensemble refuses some writes of its own clients before they go anywhere, by the
//! tree as it has it. Such a write takes no zxid and nobody else hears of it (reference `ZooKeeperServer.authWriteRequest`).
//!
//! It is a sieve and no more: whoever passes is judged in its place by the leader. Called by the edge for a connection that is
//! owed no answer, since the refusal goes out at once.

use crate::auth;
use crate::options::Options;
use crate::state::State;
use oxkeeper_proto::client::{CreateRequest, DeleteRequest, SetAclRequest, SetDataRequest};
use oxkeeper_proto::jute::{DecodeError, Reader};
use oxkeeper_types::{Acl, ErrorCode, Id, OpCode, Perms, path};
use std::borrow::Cow;

/// Whose ACL decides, what it must grant, and the list that the request would set.
struct Target<'a> {
    path: Cow<'a, str>,
    perms: Perms,
    acl: Option<Option<Vec<Acl>>>,
}

impl State {
    /// The code of a write that the caller may not do here or whose own ACL is none. `None` lets it pass: also what cannot
    /// be read, what this server does not know, and operations that the reference does not look at (createTTL,
    /// createContainer, multi).
    pub fn refuses_eagerly(&self, options: &Options, caller: &[Id], op: OpCode, body: &[u8]) -> Option<ErrorCode> {
        let target = target(op, body).ok().flatten()?;
        if let Some(acl) = target.acl
            && let Err(code) = auth::fixup_acl(options, caller, acl)
        {
            return Some(code);
        }
        let node = self.tree.node(&target.path)?;
        let acl = self.tree.acl_of(&node).map(|list| &**list);
        (!auth::allowed(options, acl, target.perms, caller)).then_some(ErrorCode::NoAuth)
    }
}

fn target<'a>(op: OpCode, body: &'a [u8]) -> Result<Option<Target<'a>>, DecodeError> {
    let mut r = Reader::unbounded(body);
    Ok(match op {
        OpCode::Create | OpCode::Create2 => {
            let request = CreateRequest::read(&mut r)?;
            let acl = Some(request.acl);
            parent(request.path).map(|path| Target { path, perms: Perms::CREATE, acl })
        }
        OpCode::Delete => {
            let request = DeleteRequest::read(&mut r)?;
            parent(request.path).map(|path| Target { path, perms: Perms::DELETE, acl: None })
        }
        OpCode::SetData => {
            let request = SetDataRequest::read(&mut r)?;
            Some(Target { path: request.path, perms: Perms::WRITE, acl: None })
        }
        OpCode::SetAcl => {
            let request = SetAclRequest::read(&mut r)?;
            Some(Target { path: request.path, perms: Perms::ADMIN, acl: Some(request.acl) })
        }
        _ => None,
    })
}

/// The parent's path; `None` for what has none, and for the server's own nodes: those are refused for another reason.
fn parent(path: Cow<'_, str>) -> Option<Cow<'_, str>> {
    let slash = path.rfind('/')?;
    if path.contains('\0') || path::is_special(&path) {
        return None;
    }
    let end = slash.max(1);
    Some(match path {
        Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
        Cow::Owned(text) => Cow::Owned(text[..end].to_owned()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use oxkeeper_proto::jute::Writer;
    use oxkeeper_proto::txn::{Txn, TxnEntry, TxnHeader};
    use oxkeeper_tree::{Tree, TreeOptions};
    use oxkeeper_types::acl::open_acl;
    use oxkeeper_types::{SessionId, Zxid};

    fn state() -> State {
        let mut tree = Tree::new(TreeOptions::default());
        for (at, path) in ["/mine", "/mine/child", "/open"].into_iter().enumerate() {
            let id = if path == "/open" { Id::anyone() } else { Id::new("digest", "u:h") };
            let zxid = Zxid(at as i64 + 1);
            let header = TxnHeader { session: SessionId(1), cxid: 0, zxid, time: 0 };
            let acl = vec![Acl::new(Perms::ALL, id)];
            let (path, data) = (path.to_owned(), None);
            let txn = Txn::Create { op: OpCode::Create, path, data, acl, ephemeral: false, parent_cversion: 1 };
            tree.apply(&TxnEntry { header, txn, digest: None }, &mut Vec::new());
        }
        State { tree }
    }

    fn asked(caller: &Id, op: OpCode, write: impl FnOnce(&mut Writer)) -> Option<ErrorCode> {
        let mut body = Vec::new();
        write(&mut Writer::new(&mut body));
        state().refuses_eagerly(&Options::default(), std::slice::from_ref(caller), op, &body)
    }

    #[test]
    fn each_write_is_judged_by_the_acl_that_its_leader_would_ask() {
        let (owner, stranger) = (Id::new("digest", "u:h"), Id::new("ip", "127.0.0.1"));
        let create = |path: &'static str, acl| {
            move |w: &mut Writer| CreateRequest { path: path.into(), data: None, acl, flags: 0 }.write(w)
        };
        let delete =
            |path: &'static str| move |w: &mut Writer| DeleteRequest { path: path.into(), version: -1 }.write(w);
        let set = |path: &'static str| {
            move |w: &mut Writer| SetDataRequest { path: path.into(), data: None, version: -1 }.write(w)
        };
        let set_acl = |path: &'static str, acl| {
            move |w: &mut Writer| SetAclRequest { path: path.into(), acl, version: -1 }.write(w)
        };
        let open = || Some(open_acl());
        for (who, refused) in [(&stranger, Some(ErrorCode::NoAuth)), (&owner, None)] {
            assert_eq!(asked(who, OpCode::Create, create("/mine/x", open())), refused);
            assert_eq!(asked(who, OpCode::Create2, create("/mine/x", open())), refused);
            assert_eq!(asked(who, OpCode::Delete, delete("/mine/child")), refused);
            assert_eq!(asked(who, OpCode::SetData, set("/mine")), refused);
            assert_eq!(asked(who, OpCode::SetAcl, set_acl("/mine", open())), refused);
            // The parent decides, not the node.
            assert_eq!(asked(who, OpCode::Delete, delete("/mine")), None);
            assert_eq!(asked(who, OpCode::SetData, set("/open")), None);
            // A list that cannot be set is found here as well.
            for none in [None, Some(Vec::new())] {
                assert_eq!(asked(who, OpCode::Create, create("/x", none.clone())), Some(ErrorCode::InvalidAcl));
                assert_eq!(asked(who, OpCode::SetAcl, set_acl("/nowhere", none)), Some(ErrorCode::InvalidAcl));
            }
        }
    }

    #[test]
    fn what_it_does_not_know_passes() {
        let stranger = Id::new("ip", "127.0.0.1");
        let create = |path: &'static str| {
            move |w: &mut Writer| {
                CreateRequest { path: path.into(), data: None, acl: Some(open_acl()), flags: 0 }.write(w)
            }
        };
        for path in ["", "x", "/nowhere/x", "/mine/\0", "/zookeeper"] {
            assert_eq!(asked(&stranger, OpCode::Create, create(path)), None, "{path:?}");
        }
        for op in [OpCode::CreateContainer, OpCode::CreateTtl, OpCode::Multi, OpCode::CloseSession, OpCode::Sync] {
            assert_eq!(asked(&stranger, op, create("/mine/x")), None, "{op:?}");
        }
        assert_eq!(asked(&stranger, OpCode::SetData, |w| w.int(-1)), None, "it cannot be read");
        assert_eq!(asked(&stranger, OpCode::SetData, |w| w.string("/mine")), None, "it is cut off");
    }
}
