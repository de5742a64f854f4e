//! What a session asks about itself: getEphemerals, whoAmI.

use super::{Reading, Refusal};
use crate::auth;
use crate::state::WatchAccess;
use oxkeeper_proto::client::GetEphemeralsRequest;
use oxkeeper_proto::jute::{Reader, Writer};

impl<W: WatchAccess> Reading<'_, W> {
    /// The session's own ephemerals below a plain text prefix (not a path prefix); a blank one means all.
    pub(super) fn get_ephemerals(&self, r: &mut Reader, w: &mut Writer) -> Result<(), Refusal> {
        let request = GetEphemeralsRequest::read(r)?;
        let prefix = request.prefix.as_deref().unwrap_or_default();
        // Java trims what is not above a blank.
        let all = matches!(prefix.trim_matches(|c| c <= ' '), "" | "/");
        let paths: Vec<String> =
            self.state.tree.ephemerals_of(self.caller.session).filter(|p| all || p.starts_with(prefix)).collect();
        w.strings(&paths);
        Ok(())
    }

    pub(super) fn who_am_i(&self, w: &mut Writer) -> Result<(), Refusal> {
        let users = auth::user_names(&self.options.auth, self.caller.auth);
        w.count(users.len());
        for (scheme, user) in users {
            w.string(scheme);
            w.string(user);
        }
        Ok(())
    }
}
