//! Who takes part: the active configuration, the last seen one, and what follows from them.
//!
//! Owns the configurations as elections see them, and what becomes of one that comes with a notification (EL051 to EL053: votes of
//! strangers, another list, the same members). Must not know votes.

use std::collections::BTreeSet;
use std::sync::Arc;

use oxkeeper_types::ServerId;
use oxkeeper_types::ensemble::{Ensemble, MemberRules, Weight};

use super::vote::Vote;
use crate::quorum::Quorums;

#[derive(Clone, Debug)]
pub(super) struct Electorate {
    me: ServerId,
    active: Ensemble,
    last_seen: Option<Ensemble>,
    /// The text of `active`, which goes out with every notification (EL030).
    text: String,
    quorums: Arc<Quorums>,
    /// Voters of the active and of the last seen configuration, whatever its version: only they vote and are voted for.
    voters: BTreeSet<ServerId>,
}

/// What a configuration that came with a notification means to a server that is looking.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum News {
    /// It is not newer, or cannot be read.
    Nothing,
    /// Newer, with the same members: taken over, nothing changes for the election (EL053).
    Version,
    /// Newer and different: taken over, the election starts again (EL052).
    Members,
}

impl Electorate {
    pub(super) fn new(me: ServerId, active: Ensemble, last_seen: Option<Ensemble>) -> Electorate {
        let text = active.to_string();
        let quorums = Arc::new(Quorums::new(&active, last_seen.as_ref()));
        let voters = active.voters().chain(last_seen.iter().flat_map(Ensemble::voters)).map(|m| m.id).collect();
        Electorate { me, active, last_seen, text, quorums, voters }
    }

    pub(super) fn me(&self) -> ServerId {
        self.me
    }
    pub(super) fn active(&self) -> &Ensemble {
        &self.active
    }
    pub(super) fn last_seen(&self) -> Option<&Ensemble> {
        self.last_seen.as_ref()
    }
    pub(super) fn text(&self) -> &str {
        &self.text
    }
    pub(super) fn quorums(&self) -> &Arc<Quorums> {
        &self.quorums
    }

    /// Whether `server` may vote and be voted for (reference `validVoter`).
    pub(super) fn is_voter(&self, server: ServerId) -> bool {
        self.voters.contains(&server)
    }

    /// Whether this server votes under the active configuration; otherwise it only wants to know who leads.
    pub(super) fn i_vote(&self) -> bool {
        self.active.voters().any(|member| member.id == self.me)
    }

    /// The voters but this server.
    pub(super) fn others(&self) -> impl Iterator<Item = ServerId> {
        self.voters.iter().copied().filter(|voter| *voter != self.me)
    }

    /// Whether `vote` should replace `current` (EL037). A candidate without weight never wins; where one is proposed by
    /// itself, for want of anything else, every other candidate is better.
    pub(super) fn prefers(&self, vote: &Vote, current: &Vote) -> bool {
        if self.quorums.weight(vote.leader) == Weight(0) {
            return false;
        }
        let current_cannot_win = self.is_voter(current.leader) && !self.quorums.counts(current.leader);
        current_cannot_win || vote.is_above(current)
    }

    /// Takes a newer configuration over, as reference `WorkerReceiver` and `QuorumPeer.processReconfig` do.
    pub(super) fn learn(&mut self, text: &str) -> News {
        if text == self.text {
            return News::Nothing;
        }
        // What stands in a notification was checked by its sender, so the operator's limits do not apply.
        let Ok(newer) = Ensemble::from_text(text, MemberRules { multi_address: true }) else { return News::Nothing };
        if newer.version() <= self.active.version() {
            return News::Nothing;
        }
        let mut same_version = newer.clone();
        same_version.set_version(self.active.version());
        let news = if same_version.to_string() == self.text { News::Version } else { News::Members };
        let last_seen = self.last_seen.take().filter(|seen| seen.version() >= newer.version());
        *self = Electorate::new(self.me, newer.clone(), Some(last_seen.unwrap_or(newer)));
        news
    }
}
