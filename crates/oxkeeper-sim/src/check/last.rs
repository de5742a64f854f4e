//! The end of a run: faults are over, everybody has had time. All servers are where the list ends, with the model's tree, and
//! nobody's ephemerals have outlived them.

use super::Checks;
use crate::host::Running;
use oxkeeper_types::{SessionId, Zxid};
use std::collections::BTreeMap;

impl Checks {
    /// The whole tree of a server against the model.
    pub fn compare_tree(&mut self, h: usize, running: &Running) {
        let tree = &running.state.tree;
        let mut seen: BTreeMap<String, ()> = BTreeMap::new();
        let mut wrong = None;
        tree.visit_all(|node| {
            let path = if node.name().is_empty() { String::new() } else { node.path() };
            let right = self.model.node(&path, Zxid(i64::MAX));
            let same = right.is_some_and(|right| {
                node.data() == right.data.as_deref()
                    && node.stat_persisted() == right.stat
                    && **node.acl() == *right.acl
            });
            // What the server writes there by itself is no transaction.
            if !same && !path.starts_with("/zookeeper") {
                wrong.get_or_insert(format!("{path:?} is {:?} on server {}", node.stat_persisted(), h + 1));
            }
            seen.insert(path, ());
        });
        if let Some(missing) = self.model.paths().map(|(path, _)| path).find(|path| !seen.contains_key(*path)) {
            wrong.get_or_insert(format!("{missing:?} is missing on server {}", h + 1));
        }
        let sessions: BTreeMap<SessionId, _> = tree.sessions().iter().collect();
        if sessions != self.model.sessions {
            wrong.get_or_insert(format!(
                "server {} knows the sessions {:?}, the model {:?}",
                h + 1,
                sessions.keys(),
                self.model.sessions.keys()
            ));
        }
        if let Some(text) = wrong {
            self.fail("Agreement", text);
        }
    }

    /// A request of this session, sent at `asked_at`, was answered: the server has heard of it then or later. A learner may lose
    /// what it has heard for as long as it serves without its leader, which is what the slack stands for.
    pub fn session_is_alive(&mut self, session: SessionId, timeout_ms: i32, asked_at: u64) {
        if let Some(slack) = self.expiry_slack_us {
            let until = (asked_at + timeout_ms as u64 * 10 * self.expiry_percent).saturating_sub(slack);
            match self.alive.get_mut(&session) {
                Some(known) => *known = known.map(|known| until.max(known)),
                None if self.model.closed.contains_key(&session) => {}
                None => drop(self.alive.insert(session, Some(until))),
            }
        }
    }
    /// Its client is about to close it.
    pub fn session_may_end(&mut self, session: SessionId) {
        self.alive.insert(session, None);
    }
    /// A session was closed. Who has asked for that is not in the transaction.
    pub(super) fn session_ends(&mut self, session: SessionId) {
        if let Some(until) = self.alive.remove(&session).flatten().filter(|until| *until > self.now) {
            let text = format!("session {session} ended {} ms too early", (until - self.now) / 1000);
            self.fail("SessionExpiry", text);
        }
    }

    /// A client has vanished long ago.
    pub fn session_is_gone(&mut self, client: usize, session: SessionId) {
        if self.model.sessions.contains_key(&session) {
            let text = format!("session {session} of client {}, which vanished, still lives", client + 1);
            self.fail("SessionExpiry", text);
        }
        if let Some(left) = self.model.ephemerals_of(session).first() {
            let text = format!("{left} has outlived session {session} of client {}", client + 1);
            self.fail("Ephemerals", text);
        }
    }
}
