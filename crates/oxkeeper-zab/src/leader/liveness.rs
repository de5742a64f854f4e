//! Whether learners are there, and enough of them.
//!
//! Owns the half-tick: PING to all that are synced, links of silent or late learners closed, the quorum of links. Must not
//! know what learners are silent about.

use oxkeeper_types::{Millis, ServerId};

use super::{Leader, Phase};
use crate::core::{Core, Verdict};
use crate::input::LinkId;
use crate::output::{LinkEnd, Output};

impl Leader {
    pub fn on_tick(&mut self, core: &Core, now: Millis, out: &mut Vec<Output>) -> Verdict {
        if self.phase_ends(core).is_some_and(|end| now >= end) {
            return Verdict::Over(LinkEnd::Silent);
        }
        if now < self.next_check {
            return Verdict::Stay;
        }
        self.next_check = now + core.half_tick();
        self.is_half_tick = !self.is_half_tick;
        let (init, sync) = (core.init_time(), core.sync_time());
        let guests = self.guests.iter().filter(|(_, since)| now >= **since + init).map(|(link, _)| *link);
        let learners = self.learners.iter().filter(|(_, l)| l.is_late(now, init, sync)).map(|(link, _)| *link);
        let late: Vec<LinkId> = guests.chain(learners).collect();
        for link in &late {
            self.close(*link, LinkEnd::Silent, out);
        }
        if (!late.is_empty() || !self.is_half_tick)
            && let Verdict::Over(why) = self.after_loss(core, now, out)
        {
            return Verdict::Over(why);
        }
        self.send_pings(core, out);
        Verdict::Stay
    }

    pub fn next_deadline(&self, core: &Core) -> Millis {
        self.phase_ends(core).map_or(self.next_check, |end| end.min(self.next_check))
    }

    /// Each wait for a quorum is bounded by `initLimit` (QP033 of promises, QP037 of ACKEPOCH, QP041 of ACKs of NEWLEADER).
    fn phase_ends(&self, core: &Core) -> Option<Millis> {
        match &self.phase {
            Phase::Discovery(discovery) => Some(discovery.since + core.init_time()),
            Phase::Sync(establishing) => Some(establishing.since + core.init_time()),
            Phase::Broadcast(_) => None,
        }
    }

    /// Reference `Leader.lead`: links count whether their learners are synced or not. Silent ones have been closed, so this is
    /// also whether a quorum was heard from (QP097). Looked at whenever a link is lost: without a quorum of links nothing can
    /// be committed, and whoever lost them is electing already.
    ///
    /// Before the epoch is established, voters that elected us may still be on their way: they count until they say something
    /// else. Waiting for `initLimit` when there is no quorum to come would leave the ensemble without service meanwhile, since
    /// those that look cannot elect anybody without us, nor us, as we are not looking.
    pub(super) fn has_quorum(&self, core: &Core) -> bool {
        let is_here = |server: ServerId| {
            server == core.me() || self.learners.values().any(|learner| learner.id == server && !learner.observer)
        };
        if self.is_established() {
            core.quorums().contains_where(is_here)
        } else {
            core.election.is_still_elected(is_here)
        }
    }

    /// A voter has told what it votes for, or whom it follows.
    pub fn on_word(&self, core: &Core, now: Millis, voter: ServerId, is_looking: bool) -> Verdict {
        if !self.is_established() && !self.has_quorum(core) {
            return Verdict::Over(LinkEnd::RoleOver);
        }
        if is_looking { self.on_voter_looking(core, now, voter) } else { Verdict::Stay }
    }

    /// EL059, `zookeeper.leader.maxTimeToWaitForEpoch`: a voter looks for a leader again while we still wait for promises.
    fn on_voter_looking(&self, core: &Core, now: Millis, voter: ServerId) -> Verdict {
        let Phase::Discovery(discovery) = &self.phase else { return Verdict::Stay };
        let Some(max) = core.options.epoch_wait_max else { return Verdict::Stay };
        if discovery.epoch().is_none() && core.quorums().is_voter_of_all(voter) && now > discovery.since + max {
            return Verdict::Over(LinkEnd::RoleOver);
        }
        Verdict::Stay
    }
}
