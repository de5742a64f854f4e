//! The replicated table of sessions: id and timeout. Opening and closing are transactions; who is alive is judged elsewhere.

use oxkeeper_types::{Millis, SessionId};
use std::collections::BTreeMap;

/// The sessions that the ensemble has agreed on, in the order of their ids.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Sessions {
    timeouts: BTreeMap<SessionId, Millis>,
}

impl Sessions {
    /// The negotiated timeout of a session, `None` for a session that does not exist.
    pub fn get(&self, session: SessionId) -> Option<Millis> {
        self.timeouts.get(&session).copied()
    }
    pub fn contains(&self, session: SessionId) -> bool {
        self.timeouts.contains_key(&session)
    }
    pub fn iter(&self) -> impl Iterator<Item = (SessionId, Millis)> + '_ {
        self.timeouts.iter().map(|(id, timeout)| (*id, *timeout))
    }
    pub fn len(&self) -> usize {
        self.timeouts.len()
    }
    pub fn is_empty(&self) -> bool {
        self.timeouts.is_empty()
    }
    pub(crate) fn open(&mut self, session: SessionId, timeout: Millis) {
        self.timeouts.insert(session, timeout);
    }
    pub(crate) fn close(&mut self, session: SessionId) {
        self.timeouts.remove(&session);
    }
}
