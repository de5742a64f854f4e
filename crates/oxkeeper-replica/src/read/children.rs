//! getChildren, getChildren2, getAllChildrenNumber.

use super::{Reading, Refusal};
use crate::state::WatchAccess;
use crate::watch::WatchKind;
use oxkeeper_proto::client::{PathRequest, PathWatchRequest};
use oxkeeper_proto::jute::{Reader, Writer};
use oxkeeper_types::Perms;
use oxkeeper_types::path::utf16_length;

impl<W: WatchAccess> Reading<'_, W> {
    pub(super) fn get_children(&self, r: &mut Reader, w: &mut Writer, with_stat: bool) -> Result<(), Refusal> {
        let request = PathWatchRequest::read(r)?;
        let node = self.node_with(&request.path, Perms::READ)?;
        if request.watch {
            self.register(&request.path, WatchKind::Child);
        }
        w.count(node.num_children());
        let mut bytes = 0;
        for name in node.children() {
            w.string(name);
            bytes += utf16_length(name);
        }
        self.count(&request.path, bytes);
        if with_stat {
            w.stat(&node.stat());
        }
        Ok(())
    }

    /// All descendants, not only children.
    pub(super) fn get_all_children_number(&self, r: &mut Reader, w: &mut Writer) -> Result<(), Refusal> {
        let request = PathRequest::read(r)?;
        self.node_with(&request.path, Perms::READ)?;
        // The reference counts the root itself, which it keeps under "" and "/", when it is asked by its other name.
        let root_itself = usize::from(request.path.is_empty());
        let total = self.state.tree.descendants(&request.path) + root_itself;
        w.int(i32::try_from(total).unwrap_or(i32::MAX));
        Ok(())
    }
}
