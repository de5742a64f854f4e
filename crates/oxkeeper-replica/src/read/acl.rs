//! getACL.

use super::{Reading, Refusal};
use crate::auth;
use crate::state::WatchAccess;
use oxkeeper_proto::client::PathRequest;
use oxkeeper_proto::jute::{Reader, Writer};
use oxkeeper_types::{Acl, Perms};

impl<W: WatchAccess> Reading<'_, W> {
    /// READ or ADMIN lets a caller see the list; without ADMIN the hashes of digest ids are masked.
    pub(super) fn get_acl(&self, r: &mut Reader, w: &mut Writer) -> Result<(), Refusal> {
        let request = PathRequest::read(r)?;
        let node = self.node_with(&request.path, Perms(Perms::READ.0 | Perms::ADMIN.0))?;
        let acl: &[Acl] = self.state.tree.acl_of(&node).map_or(&[], |list| list);
        if self.check(&node, Perms::ADMIN).is_ok() {
            w.acl_list(acl);
        } else {
            w.acl_list(&auth::masked_acl(acl));
        }
        w.stat(&node.stat());
        Ok(())
    }
}
