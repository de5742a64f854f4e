//! Requests and how their answers are read: one function per operation of the client port. Paths are the server's (no
//! chroot). A [`Call`] is data; nothing is sent here.

use super::watches::WatchKind;
use crate::ClientError;
use bytes::Bytes;
use oxkeeper_proto::client::*;
use oxkeeper_proto::jute::{DecodeError, Reader, Writer, read_acl_list, read_stat};
use oxkeeper_types::{Acl, CreateMode, ErrorCode, Id, OpCode, Stat, Xid, Zxid};

/// A request without its answer's type: what the session core queues.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    pub op: OpCode,
    /// For messages, and for the watch it may leave.
    pub path: String,
    pub body: Vec<u8>,
    /// A reserved xid, or `None` for the next free one.
    pub xid: Option<Xid>,
    pub watch: WatchEffect,
}

/// What a successful answer does to the client's list of watches.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WatchEffect {
    None,
    Add(WatchKind),
    /// exists: a data watch where the node is there, an exist watch where it is not.
    AddForExists,
    /// removeWatches with this watcher type.
    Remove(i32),
}

/// An answer: header fields, and the body where the code is 0.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Reply {
    pub zxid: Zxid,
    pub error: i32,
    pub body: Bytes,
}

type Decode<T> = fn(&mut Reader) -> Result<T, DecodeError>;

/// A request that knows how to read its answer.
pub struct Call<T> {
    pub request: Request,
    decode: Decode<T>,
    /// A code that is an answer rather than a failure, with the value it stands for.
    absent: Option<(ErrorCode, fn() -> T)>,
}

impl<T> Call<T> {
    fn new(op: OpCode, path: &str, body: impl FnOnce(&mut Writer), decode: Decode<T>) -> Call<T> {
        let mut out = Vec::new();
        body(&mut Writer::new(&mut out));
        let request = Request { op, path: path.to_string(), body: out, xid: None, watch: WatchEffect::None };
        Call { request, decode, absent: None }
    }
    fn watching(mut self, watch: bool, effect: WatchEffect) -> Call<T> {
        if watch {
            self.request.watch = effect;
        }
        self
    }
    /// The same request, its answer read in another way.
    pub(crate) fn decoded<U>(self, decode: Decode<U>) -> Call<U> {
        Call { request: self.request, decode, absent: None }
    }
    pub(crate) fn reader(&self) -> ReplyReader<T> {
        ReplyReader { decode: self.decode, absent: self.absent, op: self.request.op, path: self.request.path.clone() }
    }
}

/// The half of a [`Call`] that waits for the answer.
pub struct ReplyReader<T> {
    decode: Decode<T>,
    absent: Option<(ErrorCode, fn() -> T)>,
    pub op: OpCode,
    pub path: String,
}

impl<T> ReplyReader<T> {
    /// `host` is for messages.
    pub fn read(&self, reply: &Reply, host: &str) -> Result<T, ClientError> {
        if reply.error != 0 {
            if let Some((code, value)) = self.absent
                && code.number() == reply.error
            {
                return Ok(value());
            }
            return Err(ClientError::Server {
                code: reply.error,
                op: self.op,
                path: self.path.clone(),
                zxid: reply.zxid,
            });
        }
        (self.decode)(&mut Reader::unbounded(&reply.body)).map_err(|error| ClientError::Malformed {
            op: self.op,
            path: self.path.clone(),
            host: host.to_string(),
            error,
        })
    }
}

fn nothing(_: &mut Reader) -> Result<(), DecodeError> {
    Ok(())
}
fn text(r: &mut Reader) -> Result<String, DecodeError> {
    Ok(r.required_string()?.into_owned())
}
fn texts(r: &mut Reader) -> Result<Vec<String>, DecodeError> {
    Ok(r.strings()?.into_iter().map(|s| s.into_owned()).collect())
}
fn text_and_stat(r: &mut Reader) -> Result<(String, Stat), DecodeError> {
    Ok((text(r)?, read_stat(r)?))
}
fn data_and_stat(r: &mut Reader) -> Result<(Option<Vec<u8>>, Stat), DecodeError> {
    Ok((r.buffer()?.map(<[u8]>::to_vec), read_stat(r)?))
}
pub(crate) fn data(r: &mut Reader) -> Result<(Vec<u8>, Stat), DecodeError> {
    let (data, stat) = data_and_stat(r)?;
    Ok((data.unwrap_or_default(), stat))
}
fn create_body<'a>(path: &'a str, data: Option<&'a [u8]>, acl: &[Acl], mode: CreateMode) -> CreateRequest<'a> {
    CreateRequest { path: path.into(), data, acl: Some(acl.to_vec()), flags: mode.flag() }
}

/// `create` (1): answers with the path alone.
pub fn create(path: &str, data: Option<&[u8]>, acl: &[Acl], mode: CreateMode) -> Call<String> {
    Call::new(OpCode::Create, path, |w| create_body(path, data, acl, mode).write(w), text)
}
/// `create2` (15), or `createContainer` (19) for the container mode: path and stat.
pub fn create2(path: &str, data: Option<&[u8]>, acl: &[Acl], mode: CreateMode) -> Call<(String, Stat)> {
    Call::new(create_op(mode), path, |w| create_body(path, data, acl, mode).write(w), text_and_stat)
}
/// The operation that creates a node of this mode and answers with its stat; those with a TTL have [`create_ttl`].
pub(crate) fn create_op(mode: CreateMode) -> OpCode {
    if mode == CreateMode::Container { OpCode::CreateContainer } else { OpCode::Create2 }
}
/// `createTTL` (21): `mode` is one of the two with a TTL.
pub fn create_ttl(path: &str, data: Option<&[u8]>, acl: &[Acl], mode: CreateMode, ttl_ms: i64) -> Call<(String, Stat)> {
    let body = CreateTtlRequest { path: path.into(), data, acl: Some(acl.to_vec()), flags: mode.flag(), ttl_ms };
    Call::new(OpCode::CreateTtl, path, |w| body.write(w), text_and_stat)
}
/// `version` -1 matches any.
pub fn delete(path: &str, version: i32) -> Call<()> {
    Call::new(OpCode::Delete, path, |w| DeleteRequest { path: path.into(), version }.write(w), nothing)
}
/// `None` where there is no such node; a watch stays there all the same.
pub fn exists(path: &str, watch: bool) -> Call<Option<Stat>> {
    let body = PathWatchRequest { path: path.into(), watch };
    let mut call = Call::new(OpCode::Exists, path, |w| body.write(w), |r: &mut Reader| read_stat(r).map(Some))
        .watching(watch, WatchEffect::AddForExists);
    call.absent = Some((ErrorCode::NoNode, || None));
    call
}
pub fn get_data(path: &str, watch: bool) -> Call<(Option<Vec<u8>>, Stat)> {
    let body = PathWatchRequest { path: path.into(), watch };
    Call::new(OpCode::GetData, path, |w| body.write(w), data_and_stat)
        .watching(watch, WatchEffect::Add(WatchKind::Data))
}
/// As [`get_data`], a null read as no bytes.
pub fn get(path: &str, watch: bool) -> Call<(Vec<u8>, Stat)> {
    get_data(path, watch).decoded(data)
}
pub fn set_data(path: &str, data: Option<&[u8]>, version: i32) -> Call<Stat> {
    Call::new(OpCode::SetData, path, |w| SetDataRequest { path: path.into(), data, version }.write(w), read_stat)
}
pub fn get_acl(path: &str) -> Call<(Vec<Acl>, Stat)> {
    Call::new(OpCode::GetAcl, path, |w| w.string(path), |r| Ok((read_acl_list(r)?.unwrap_or_default(), read_stat(r)?)))
}
pub fn set_acl(path: &str, acl: &[Acl], version: i32) -> Call<Stat> {
    let body = SetAclRequest { path: path.into(), acl: Some(acl.to_vec()), version };
    Call::new(OpCode::SetAcl, path, |w| body.write(w), read_stat)
}
/// `getChildren` (8): names alone.
pub fn get_children(path: &str, watch: bool) -> Call<Vec<String>> {
    Call::new(OpCode::GetChildren, path, |w| PathWatchRequest { path: path.into(), watch }.write(w), texts)
        .watching(watch, WatchEffect::Add(WatchKind::Child))
}
/// `getChildren2` (12): names and the node's stat.
pub fn get_children2(path: &str, watch: bool) -> Call<(Vec<String>, Stat)> {
    let body = PathWatchRequest { path: path.into(), watch };
    Call::new(OpCode::GetChildren2, path, |w| body.write(w), |r| Ok((texts(r)?, read_stat(r)?)))
        .watching(watch, WatchEffect::Add(WatchKind::Child))
}
pub fn sync(path: &str) -> Call<String> {
    Call::new(OpCode::Sync, path, |w| w.string(path), text)
}
/// Writes in one transaction. A refused multi is an answer too: see [`multi_failure`].
pub fn multi(ops: &[MultiOp]) -> Call<Vec<MultiResult>> {
    let path = ops.first().map_or("", |op| op.path());
    Call::new(OpCode::Multi, path, |w| write_multi(ops, w), |r: &mut Reader| read_multi_results(r))
}
/// getData and getChildren operations; each is answered on its own.
pub fn multi_read(ops: &[MultiOp]) -> Call<Vec<MultiResult>> {
    let path = ops.first().map_or("", |op| op.path());
    Call::new(OpCode::MultiRead, path, |w| write_multi(ops, w), |r: &mut Reader| read_multi_results(r))
}
/// The operation that failed a multi, and its code; `None` where all were done.
pub fn multi_failure(results: &[MultiResult]) -> Option<(usize, ErrorCode)> {
    results.iter().enumerate().find_map(|(at, result)| match result {
        MultiResult::Error(code) if *code != 0 => {
            Some((at, ErrorCode::from_number(*code).unwrap_or(ErrorCode::SystemError)))
        }
        _ => None,
    })
}
/// `watcher_type`: 1 children, 2 data, 3 any, 4 persistent, 5 persistent recursive.
pub fn check_watches(path: &str, watcher_type: i32) -> Call<()> {
    let body = WatchesRequest { path: Some(path.into()), watcher_type };
    Call::new(OpCode::CheckWatches, path, |w| body.write(w), nothing)
}
pub fn remove_watches(path: &str, watcher_type: i32) -> Call<()> {
    let body = WatchesRequest { path: Some(path.into()), watcher_type };
    Call::new(OpCode::RemoveWatches, path, |w| body.write(w), nothing).watching(true, WatchEffect::Remove(watcher_type))
}
/// A watch that stays: on the node and its children's list, or (`recursive`) on the node and all below it.
pub fn add_watch(path: &str, recursive: bool) -> Call<()> {
    let body = AddWatchRequest { path: Some(path.into()), mode: recursive as i32 };
    let kind = if recursive { WatchKind::Recursive } else { WatchKind::Persistent };
    Call::new(OpCode::AddWatch, path, |w| body.write(w), nothing).watching(true, WatchEffect::Add(kind))
}
/// setWatches2 as given; a client's own reconnect does this by itself. Leaves no trace in the client's list.
pub fn set_watches(request: &SetWatches2Request) -> Call<()> {
    let mut call = Call::new(OpCode::SetWatches2, "", |w| request.write(w), nothing);
    call.request.xid = Some(XID_SET_WATCHES);
    call
}
/// The ephemeral nodes of this session whose path starts with `prefix`.
pub fn get_ephemerals(prefix: &str) -> Call<Vec<String>> {
    Call::new(OpCode::GetEphemerals, prefix, |w| w.string(prefix), texts)
}
/// How many nodes there are below `path`, at any depth.
pub fn get_all_children_number(path: &str) -> Call<i32> {
    Call::new(OpCode::GetAllChildrenNumber, path, |w| w.string(path), |r: &mut Reader| r.int())
}
/// The identities of this connection, as the server names them.
pub fn who_am_i() -> Call<Vec<Id>> {
    Call::new(OpCode::WhoAmI, "", |_| {}, |r: &mut Reader| oxkeeper_proto::jute::read_id_list(r))
}
pub fn auth(scheme: &str, auth: &[u8]) -> Call<()> {
    let body = AuthRequest { kind: 0, scheme: Some(scheme.into()), auth: Some(auth) };
    let mut call = Call::new(OpCode::Auth, scheme, |w| body.write(w), nothing);
    call.request.xid = Some(XID_AUTH);
    call
}
/// One step of a SASL exchange; `None` where the server has no SASL.
pub fn sasl(token: &[u8]) -> Call<Option<Vec<u8>>> {
    Call::new(OpCode::Sasl, "", |w| w.buffer(Some(token)), |r| Ok(r.buffer()?.map(<[u8]>::to_vec)))
}
/// Changes the ensemble: incrementally (`joining`, `leaving`) or as a whole (`new_members`). Answers with the config.
pub fn reconfig(
    joining: Option<&str>,
    leaving: Option<&str>,
    new_members: Option<&str>,
    config_version: i64,
) -> Call<(Option<Vec<u8>>, Stat)> {
    let body = ReconfigRequest {
        joining: joining.map(Into::into),
        leaving: leaving.map(Into::into),
        new_members: new_members.map(Into::into),
        config_version,
    };
    Call::new(OpCode::Reconfig, oxkeeper_types::path::CONFIG, |w| body.write(w), data_and_stat)
}
/// A ping as a call, for measuring; the client sends its own when it is idle.
pub fn ping() -> Call<()> {
    let mut call = Call::new(OpCode::Ping, "", |_| {}, nothing);
    call.request.xid = Some(XID_PING);
    call
}
/// Any request at all: for tools and tests. `path` is for messages.
pub fn raw(op: OpCode, path: &str, body: Vec<u8>) -> Call<Bytes> {
    Call::new(op, path, |w| w.out.extend_from_slice(&body), |r| Ok(Bytes::copy_from_slice(r.remaining())))
}
pub(crate) fn close_session() -> Call<()> {
    Call::new(OpCode::CloseSession, "", |_| {}, nothing)
}
