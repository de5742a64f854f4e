//! How long a quorum of equal votes waits for something better.
//!
//! Owns the wait (reference `finalizeWait`, EL041) and what cuts it short: every other voter has spoken in this round, or
//! cannot be reached. Must not know votes: whether there is a quorum, and for whom, is decided elsewhere, so nothing here can
//! elect anybody.

use std::collections::{BTreeMap, BTreeSet};

use oxkeeper_types::{Millis, ServerId};

#[derive(Clone, Debug, Default)]
pub(super) struct Patience {
    /// Voters that have said in this round what they vote for, or that they do not.
    heard: BTreeSet<ServerId>,
    /// The end of the wait. `None`: there is no quorum to wait with.
    until: Option<Millis>,
}

/// What the edge has reported about connections to the election ports of others. Never reported: may still answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Links {
    up: BTreeMap<ServerId, bool>,
}

impl Links {
    pub(super) fn set(&mut self, peer: ServerId, up: bool) {
        self.up.insert(peer, up);
    }
    pub(super) fn is_down(&self, peer: ServerId) -> bool {
        self.up.get(&peer) == Some(&false)
    }
}

impl Patience {
    pub(super) fn heard(&mut self, voter: ServerId) {
        self.heard.insert(voter);
    }

    pub(super) fn until(&self) -> Option<Millis> {
        self.until
    }

    /// There is a quorum; a wait that is under way goes on.
    pub(super) fn wait(&mut self, until: Millis) {
        self.until.get_or_insert(until);
    }

    /// The wait ends now.
    pub(super) fn wait_no_longer(&mut self, now: Millis) {
        self.until = Some(self.until.map_or(now, |until| until.min(now)));
    }

    /// The quorum is gone, or there is something better.
    pub(super) fn stop(&mut self) {
        self.until = None;
    }

    /// Whether nobody is left who could bring something better: each of `others` has spoken or is out of reach. A candidate
    /// that is out of reach is given the whole wait to come back.
    pub(super) fn is_pointless(
        &self,
        candidate: ServerId,
        others: impl Iterator<Item = ServerId>,
        links: &Links,
    ) -> bool {
        !links.is_down(candidate) && others.into_iter().all(|voter| self.heard.contains(&voter) || links.is_down(voter))
    }
}
