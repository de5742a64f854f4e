//! Request header and request bodies. Bodies borrow from the frame; a null where the reference needs a value is a
//! decode error, because the reference fails there with the same answer (`MarshallingError`).

use crate::jute::{DecodeError, Reader, Strings, Writer, read_acl_list};
use oxkeeper_types::{Acl, Xid, Zxid};
use std::borrow::Cow;

/// In front of every request. The type is kept as a number: an unknown one has its own answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RequestHeader {
    pub xid: Xid,
    pub op: i32,
}

impl RequestHeader {
    pub fn read(r: &mut Reader) -> Result<RequestHeader, DecodeError> {
        Ok(RequestHeader { xid: Xid(r.int()?), op: r.int()? })
    }
    pub fn write(&self, w: &mut Writer) {
        w.int(self.xid.0);
        w.int(self.op);
    }
}

macro_rules! requests {
    ($($(#[$doc:meta])* $name:ident { $($field:ident: $kind:ident),* $(,)? })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, PartialEq, Eq, Debug)]
            pub struct $name<'a> { $(pub $field: requests!(@type $kind 'a),)* }
            impl<'a> $name<'a> {
                pub fn read(r: &mut Reader<'a>) -> Result<$name<'a>, DecodeError> {
                    Ok($name { $($field: requests!(@read $kind r),)* })
                }
                pub fn write(&self, w: &mut Writer) {
                    $(requests!(@write $kind w, self.$field);)*
                }
            }
        )*
    };
    (@type path $a:lifetime) => { Cow<$a, str> };
    (@type optional_string $a:lifetime) => { Option<Cow<$a, str>> };
    (@type data $a:lifetime) => { Option<&$a [u8]> };
    (@type acl $a:lifetime) => { Option<Vec<Acl>> };
    (@type strings $a:lifetime) => { Strings<$a> };
    (@type int $a:lifetime) => { i32 };
    (@type long $a:lifetime) => { i64 };
    (@type flag $a:lifetime) => { bool };
    (@type zxid $a:lifetime) => { Zxid };
    (@read path $r:ident) => { $r.required_string()? };
    (@read optional_string $r:ident) => { $r.string()? };
    (@read data $r:ident) => { $r.buffer()? };
    (@read acl $r:ident) => { read_acl_list($r)? };
    (@read strings $r:ident) => { $r.strings()? };
    (@read int $r:ident) => { $r.int()? };
    (@read long $r:ident) => { $r.long()? };
    (@read flag $r:ident) => { $r.boolean()? };
    (@read zxid $r:ident) => { Zxid($r.long()?) };
    (@write path $w:ident, $v:expr) => { $w.string(&$v) };
    (@write optional_string $w:ident, $v:expr) => { $w.optional_string($v.as_deref()) };
    (@write data $w:ident, $v:expr) => { $w.buffer($v) };
    (@write acl $w:ident, $v:expr) => { match &$v { None => $w.int(-1), Some(acl) => $w.acl_list(acl) } };
    (@write strings $w:ident, $v:expr) => { $w.strings(&$v) };
    (@write int $w:ident, $v:expr) => { $w.int($v) };
    (@write long $w:ident, $v:expr) => { $w.long($v) };
    (@write flag $w:ident, $v:expr) => { $w.boolean($v) };
    (@write zxid $w:ident, $v:expr) => { $w.long($v.0) };
}

requests! {
    /// create, create2 and createContainer. `flags` is a [`oxkeeper_types::CreateMode`] number, unchecked.
    CreateRequest { path: path, data: data, acl: acl, flags: int }
    CreateTtlRequest { path: path, data: data, acl: acl, flags: int, ttl_ms: long }
    /// `version` -1 matches any.
    DeleteRequest { path: path, version: int }
    SetDataRequest { path: path, data: data, version: int }
    SetAclRequest { path: path, acl: acl, version: int }
    CheckVersionRequest { path: path, version: int }
    /// exists, getData, getChildren and getChildren2: a path and whether to watch it.
    PathWatchRequest { path: path, watch: flag }
    /// getACL, getAllChildrenNumber.
    PathRequest { path: path }
    /// sync: the path is echoed, null included.
    SyncRequest { path: optional_string }
    GetEphemeralsRequest { prefix: optional_string }
    /// checkWatches, removeWatches: `watcher_type` is 1 children, 2 data, 3 any, 4 persistent, 5 recursive.
    /// No watch is on a null path, but the reference asks.
    WatchesRequest { path: optional_string, watcher_type: int }
    /// `mode` 0 persistent, 1 persistent recursive. A null path is taken by the reference and closes the connection later.
    AddWatchRequest { path: optional_string, mode: int }
    SetWatchesRequest { relative_zxid: zxid, data: strings, exist: strings, child: strings }
    SetWatches2Request {
        relative_zxid: zxid, data: strings, exist: strings, child: strings, persistent: strings, recursive: strings,
    }
    /// xid -4. `scheme` names an authentication provider, `auth` is its business.
    AuthRequest { kind: int, scheme: optional_string, auth: data }
    ReconfigRequest {
        joining: optional_string, leaving: optional_string, new_members: optional_string, config_version: long,
    }
    SaslRequest { token: data }
}
