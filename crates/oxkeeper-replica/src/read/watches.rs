//! addWatch, checkWatches, removeWatches, setWatches, setWatches2.

use super::{Reading, Refusal};
use crate::auth;
use crate::state::WatchAccess;
use crate::watch::{self, WatchKind, WatcherType};
use oxkeeper_proto::client::{AddWatchRequest, SetWatches2Request, SetWatchesRequest, WatchesRequest};
use oxkeeper_proto::jute::{DecodeError, Reader, Writer};
use oxkeeper_types::{Acl, ErrorCode, Id, OpCode, Perms};

impl<W: WatchAccess> Reading<'_, W> {
    /// The body of a success is an error code of its own, 0. No ACL is asked here: events are filtered when they fire.
    pub(super) fn add_watch(&self, r: &mut Reader, w: &mut Writer) -> Result<(), Refusal> {
        let request = AddWatchRequest::read(r)?;
        let kind = match request.mode {
            0 => WatchKind::Persistent,
            1 => WatchKind::PersistentRecursive,
            mode => {
                return Err(DecodeError::Unknown { at: r.position(), what: "watch mode", value: mode.into() }.into());
            }
        };
        // The reference takes a null path; no event can ever match it, so there is nothing to keep.
        if let Some(path) = request.path {
            self.register(&path, kind);
        }
        w.int(0);
        Ok(())
    }

    pub(super) fn check_watches(&self, r: &mut Reader) -> Result<(), Refusal> {
        let (request, kind) = read_watches_request(r)?;
        let found =
            request.path.is_some_and(|path| self.watches.with(|table| table.contains(self.caller.conn, &path, kind)));
        if found { Ok(()) } else { Err(ErrorCode::NoWatcher.into()) }
    }

    pub(super) fn remove_watches(&self, r: &mut Reader) -> Result<(), Refusal> {
        let (request, kind) = read_watches_request(r)?;
        let found =
            request.path.is_some_and(|path| self.watches.with(|table| table.remove(self.caller.conn, &path, kind)));
        if found { Ok(()) } else { Err(ErrorCode::NoWatcher.into()) }
    }

    /// Registers what a client had before it reconnected, and appends an event for each thing it missed.
    pub(super) fn restore_watches(&self, op: OpCode, body: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        let r = &mut Reader::unbounded(body);
        let request = if op == OpCode::SetWatches2 {
            SetWatches2Request::read(r)?
        } else {
            let SetWatchesRequest { relative_zxid, data, exist, child } = SetWatchesRequest::read(r)?;
            SetWatches2Request { relative_zxid, data, exist, child, persistent: Vec::new(), recursive: Vec::new() }
        };
        let Reading { state, options, caller, watches, reads: _ } = self;
        let may_read = |acl: Option<&[Acl]>, ids: &[Id]| auth::allowed(options, acl, Perms::READ, ids);
        watches.with(|table| watch::restore(&state.tree, table, caller, &request, &may_read, out));
        Ok(())
    }
}

fn read_watches_request<'a>(r: &mut Reader<'a>) -> Result<(WatchesRequest<'a>, WatcherType), DecodeError> {
    let request = WatchesRequest::read(r)?;
    let value = request.watcher_type;
    let unknown = DecodeError::Unknown { at: r.position(), what: "watcher type", value: value.into() };
    Ok((request, WatcherType::from_number(value).ok_or(unknown)?))
}
