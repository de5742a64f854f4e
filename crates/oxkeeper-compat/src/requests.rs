//! Requests as data: every operation of the client port, in forms that clients send and in forms that none should.
//! Encodes them; must not know what the answers mean.

use oxkeeper_proto::client::{SetWatches2Request, SetWatchesRequest};
use oxkeeper_proto::jute::Writer;
use oxkeeper_types::{Acl, OpCode, Zxid};
use std::fmt;

/// A buffer, or null. Shown short.
#[derive(Clone, PartialEq, Eq)]
pub struct Data(pub Option<Vec<u8>>);

impl Data {
    pub fn text(text: &str) -> Data {
        Data(Some(text.as_bytes().to_vec()))
    }
}
impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            None => f.write_str("null"),
            Some(bytes) if bytes.len() > 80 => write!(f, "<{} bytes of {:#04x}>", bytes.len(), bytes[0]),
            Some(bytes) => write!(f, "\"{}\"", bytes.escape_ascii()),
        }
    }
}

/// An ACL list, or null. Shown as the shell does.
#[derive(Clone, PartialEq, Eq)]
pub struct AclArg(pub Option<Vec<Acl>>);

impl fmt::Debug for AclArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(list) = &self.0 else { return f.write_str("null") };
        let entries: Vec<String> =
            list.iter().map(|a| format!("{}:{}:{:#x}", a.id.scheme, a.id.id, a.perms.0)).collect();
        write!(f, "[{}]", entries.join(","))
    }
}

/// One request. Numbers that the protocol restricts (flags, types, modes) are free here.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Request {
    /// `op` is create, create2 or createContainer.
    Create {
        op: OpCode,
        path: String,
        data: Data,
        acl: AclArg,
        flags: i32,
    },
    CreateTtl {
        path: String,
        data: Data,
        acl: AclArg,
        flags: i32,
        ttl_ms: i64,
    },
    Delete {
        path: String,
        version: i32,
    },
    SetData {
        path: String,
        data: Data,
        version: i32,
    },
    SetAcl {
        path: String,
        acl: AclArg,
        version: i32,
    },
    /// exists, getData, getChildren, getChildren2.
    Read {
        op: OpCode,
        path: String,
        watch: bool,
    },
    /// getACL, sync, getEphemerals, getAllChildrenNumber: a path alone, perhaps null.
    Path {
        op: OpCode,
        path: Option<String>,
    },
    /// `op` is multi or multiRead.
    Multi {
        op: OpCode,
        parts: Vec<Part>,
    },
    Check {
        path: String,
        version: i32,
    },
    /// `op` is checkWatches or removeWatches.
    Watches {
        op: OpCode,
        path: String,
        kind: i32,
    },
    AddWatch {
        path: String,
        mode: i32,
    },
    /// `back` is subtracted from the last zxid that the connection has seen. setWatches has the first three lists.
    SetWatches {
        op: OpCode,
        back: i64,
        lists: [Vec<String>; 5],
    },
    Auth {
        scheme: Option<String>,
        data: Data,
    },
    Sasl {
        token: Data,
    },
    Reconfig {
        joining: Option<String>,
        leaving: Option<String>,
        members: Option<String>,
        version: i64,
    },
    /// whoAmI, ping, closeSession: no body.
    Bare {
        op: OpCode,
    },
    /// Any number and any body.
    Raw {
        op: i32,
        body: Data,
    },
}

/// One operation in a multi, under the number that its header gives it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Part {
    pub number: i32,
    pub request: Request,
}

impl Part {
    pub fn of(request: Request) -> Part {
        Part { number: request.number(), request }
    }
}

impl Request {
    pub fn number(&self) -> i32 {
        let op = match self {
            Request::Create { op, .. }
            | Request::Read { op, .. }
            | Request::Path { op, .. }
            | Request::Multi { op, .. }
            | Request::Watches { op, .. }
            | Request::SetWatches { op, .. }
            | Request::Bare { op } => *op,
            Request::CreateTtl { .. } => OpCode::CreateTtl,
            Request::Delete { .. } => OpCode::Delete,
            Request::SetData { .. } => OpCode::SetData,
            Request::SetAcl { .. } => OpCode::SetAcl,
            Request::Check { .. } => OpCode::Check,
            Request::AddWatch { .. } => OpCode::AddWatch,
            Request::Auth { .. } => OpCode::Auth,
            Request::Sasl { .. } => OpCode::Sasl,
            Request::Reconfig { .. } => OpCode::Reconfig,
            Request::Raw { op, .. } => return *op,
        };
        op.number()
    }

    /// Whether it creates, changes or deletes a node below `top`, alone or in a part of a multi.
    pub fn writes_below(&self, top: &str) -> bool {
        match self {
            Request::Create { path, .. }
            | Request::CreateTtl { path, .. }
            | Request::Delete { path, .. }
            | Request::SetData { path, .. } => path.strip_prefix(top).is_some_and(|rest| rest.starts_with('/')),
            Request::Multi { parts, .. } => parts.iter().any(|part| part.request.writes_below(top)),
            _ => false,
        }
    }

    /// Appends the body. `last_zxid` is what the connection has seen last.
    pub fn write(&self, last_zxid: Zxid, w: &mut Writer) {
        match self {
            Request::Create { path, data, acl, flags, .. } => write_create(path, data, acl, *flags, w),
            Request::CreateTtl { path, data, acl, flags, ttl_ms } => {
                write_create(path, data, acl, *flags, w);
                w.long(*ttl_ms);
            }
            Request::Delete { path, version } | Request::Check { path, version } => {
                w.string(path);
                w.int(*version);
            }
            Request::SetData { path, data, version } => {
                w.string(path);
                w.buffer(data.0.as_deref());
                w.int(*version);
            }
            Request::SetAcl { path, acl, version } => {
                w.string(path);
                write_acl(acl, w);
                w.int(*version);
            }
            Request::Read { path, watch, .. } => {
                w.string(path);
                w.boolean(*watch);
            }
            Request::Path { path, .. } => w.optional_string(path.as_deref()),
            Request::Multi { parts, .. } => {
                for part in parts {
                    write_multi_header(part.number, false, w);
                    part.request.write(last_zxid, w);
                }
                write_multi_header(-1, true, w);
            }
            Request::Watches { path, kind, .. } => {
                w.string(path);
                w.int(*kind);
            }
            Request::AddWatch { path, mode } => {
                w.string(path);
                w.int(*mode);
            }
            Request::SetWatches { op, back, lists } => write_set_watches(*op, Zxid(last_zxid.0 - back), lists, w),
            Request::Auth { scheme, data } => {
                w.int(0);
                w.optional_string(scheme.as_deref());
                w.buffer(data.0.as_deref());
            }
            Request::Sasl { token } => w.buffer(token.0.as_deref()),
            Request::Reconfig { joining, leaving, members, version } => {
                w.optional_string(joining.as_deref());
                w.optional_string(leaving.as_deref());
                w.optional_string(members.as_deref());
                w.long(*version);
            }
            Request::Bare { .. } => {}
            Request::Raw { body, .. } => w.out.extend_from_slice(body.0.as_deref().unwrap_or_default()),
        }
    }

    pub fn body(&self, last_zxid: Zxid) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(last_zxid, &mut Writer::new(&mut out));
        out
    }
}

fn write_create(path: &str, data: &Data, acl: &AclArg, flags: i32, w: &mut Writer) {
    w.string(path);
    w.buffer(data.0.as_deref());
    write_acl(acl, w);
    w.int(flags);
}

fn write_acl(acl: &AclArg, w: &mut Writer) {
    match &acl.0 {
        None => w.int(-1),
        Some(list) => w.acl_list(list),
    }
}

fn write_multi_header(number: i32, done: bool, w: &mut Writer) {
    w.int(number);
    w.boolean(done);
    w.int(-1);
}

fn write_set_watches(op: OpCode, relative_zxid: Zxid, lists: &[Vec<String>; 5], w: &mut Writer) {
    let list = |i: usize| lists[i].iter().map(|p| p.as_str().into()).collect();
    let (data, exist, child) = (list(0), list(1), list(2));
    if op == OpCode::SetWatches {
        SetWatchesRequest { relative_zxid, data, exist, child }.write(w);
    } else {
        let (persistent, recursive) = (list(3), list(4));
        SetWatches2Request { relative_zxid, data, exist, child, persistent, recursive }.write(w);
    }
}
