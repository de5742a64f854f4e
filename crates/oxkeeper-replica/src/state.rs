//! What readers see, and who they are.

use crate::watch::WatchTable;
use oxkeeper_tree::Tree;
use oxkeeper_types::{ConnId, Id, SessionId};

/// The replicated state as of the last applied transaction. Readers share it; only [`crate::Replica::apply_committed`]
/// has it for itself.
pub struct State {
    pub tree: Tree,
}

/// Who asks: one connection with an established session, as the edge knows it.
#[derive(Clone, Copy, Debug)]
pub struct Caller<'a> {
    pub conn: ConnId,
    pub session: SessionId,
    pub auth: &'a [Id],
}

/// How a read reaches the watch table. Only reads that register, check or remove watches call it; they do so while they
/// hold the shared side, so that reading and registering are one step for every writer.
pub trait WatchAccess {
    fn with<R>(&self, f: impl FnOnce(&mut WatchTable) -> R) -> R;
}

/// The watch table of a single thread: simulation and tests.
impl WatchAccess for std::cell::RefCell<WatchTable> {
    fn with<R>(&self, f: impl FnOnce(&mut WatchTable) -> R) -> R {
        f(&mut self.borrow_mut())
    }
}
