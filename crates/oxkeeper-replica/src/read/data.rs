//! exists and getData.

use super::{Reading, Refusal};
use crate::state::WatchAccess;
use crate::watch::WatchKind;
use oxkeeper_proto::client::PathWatchRequest;
use oxkeeper_proto::jute::{Reader, Writer};
use oxkeeper_types::{ErrorCode, Perms};

impl<W: WatchAccess> Reading<'_, W> {
    /// A missing node is watched all the same: the watch fires when it is created.
    pub(super) fn exists(&self, r: &mut Reader, w: &mut Writer) -> Result<(), Refusal> {
        let request = PathWatchRequest::read(r)?;
        if request.path.contains('\0') {
            return Err(ErrorCode::BadArguments.into());
        }
        let node = self.state.tree.node(&request.path);
        if let Some(node) = &node {
            self.check(node, Perms::READ)?;
        }
        if request.watch {
            self.register(&request.path, WatchKind::Data);
        }
        w.stat(&node.ok_or(ErrorCode::NoNode)?.stat());
        self.count(&request.path, 0);
        Ok(())
    }

    pub(super) fn get_data(&self, r: &mut Reader, w: &mut Writer) -> Result<(), Refusal> {
        let request = PathWatchRequest::read(r)?;
        let node = self.node_with(&request.path, Perms::READ)?;
        if request.watch {
            self.register(&request.path, WatchKind::Data);
        }
        w.buffer(node.data());
        w.stat(&node.stat());
        self.count(&request.path, node.data().map_or(0, <[u8]>::len));
        Ok(())
    }

    pub(super) fn register(&self, path: &str, kind: WatchKind) {
        self.watches.with(|table| table.add(self.caller.conn, path, kind));
    }
}
