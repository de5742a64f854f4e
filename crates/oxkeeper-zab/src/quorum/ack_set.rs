//! Servers that have agreed to one thing, counted under the old and the new configuration together
//! (reference `SyncedLearnerTracker`).
//!
//! Owns who has agreed. Must not know to what.

use std::collections::BTreeSet;
use std::sync::Arc;

use oxkeeper_types::ServerId;

use super::Quorums;

#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AckSet {
    quorums: Arc<Quorums>,
    /// Voters of at least one configuration.
    servers: BTreeSet<ServerId>,
}

impl AckSet {
    pub fn new(quorums: Arc<Quorums>) -> AckSet {
        AckSet { quorums, servers: BTreeSet::new() }
    }

    /// Takes note of an agreement. `false`: `server` votes nowhere, nothing has changed.
    pub fn add(&mut self, server: ServerId) -> bool {
        let counts = self.quorums.is_voter(server);
        if counts {
            self.servers.insert(server);
        }
        counts
    }

    pub fn has_quorum(&self) -> bool {
        self.quorums.contains(&self.servers)
    }

    pub fn contains(&self, server: ServerId) -> bool {
        self.servers.contains(&server)
    }

    pub fn servers(&self) -> &BTreeSet<ServerId> {
        &self.servers
    }

    pub fn into_servers(self) -> BTreeSet<ServerId> {
        self.servers
    }
}
