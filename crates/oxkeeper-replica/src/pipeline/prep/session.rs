//! closeSession, and reconfig where there is no ensemble. createSession decides nothing: the session tracker did.

use super::{Context, Prep};
use crate::options::Options;
use oxkeeper_proto::txn::Txn;
use oxkeeper_types::{ErrorCode, path};

impl Prep {
    /// Deletes the session's ephemerals, those that are still pending included. Nobody checks the session: who expires
    /// it does not own it.
    pub(super) fn close_session(&mut self, cx: &Context<'_>) -> Txn {
        let paths = self.overlay.ephemerals_of(cx.tree, cx.request.session);
        for path in &paths {
            let parent_path = path::parent(path).unwrap_or_else(|| panic!("{path} is an ephemeral without a parent"));
            let parent = self.overlay.find(cx.tree, parent_path);
            let spot = self.overlay.find(cx.tree, path);
            self.delete_node(cx, path, &parent, &spot);
        }
        let listed = cx.options.close_session_txn && cx.paths_fit(&paths);
        Txn::CloseSession { paths: listed.then_some(paths) }
    }
}

/// A closeSession that would list more paths than a record holds lists none: whoever applies it looks them up, as before
/// release 3.6. Such a record has no digest: a reader that expects a list would take the digest for one.
pub(super) fn is_bare_close(options: &Options, txn: &Txn) -> bool {
    options.close_session_txn && matches!(txn, Txn::CloseSession { paths: None })
}

/// Why a standalone server refuses a reconfig: whether it is switched on, then the session, then that there is nothing to
/// reconfigure (CW258).
pub(super) fn refuse_reconfig(cx: &Context<'_>) -> ErrorCode {
    if !cx.options.reconfig_enabled {
        return ErrorCode::ReconfigDisabled;
    }
    cx.request.session_check.err().unwrap_or(ErrorCode::Unimplemented)
}
